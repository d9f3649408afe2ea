/* safetensors: named tensors in one file (format: 8-byte little-endian header length, JSON header,
 * data; as published with the Hugging Face safetensors library). Read by mmap; nothing is believed
 * before it is checked: lengths against the file, offsets against each other, dtypes against
 * shapes. As in that library the data must be covered without holes, so the writer puts U8 tensors
 * "__fill.N" where alignment needs a gap: any other reader opens our files, and we open theirs.
 */
#ifndef MOTET_DATA_SAFETENSORS_H
#define MOTET_DATA_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"

typedef struct motet_safetensors motet_safetensors;

/* Maps the file read-only. MOTET_E_IO if it cannot be opened; MOTET_E_DATA, naming file and byte or
 * tensor, if the header is longer than the file or 100 MB, is not JSON, repeats a name, or a tensor
 * leaves the data, overlaps another, is misaligned for its dtype or disagrees with its shape, or
 * bytes of the data belong to no tensor. */
motet_status motet_safetensors_open(motet_safetensors **file, const char *path);
void motet_safetensors_close(motet_safetensors *file); /* NULL is fine */

/* The same over bytes that the caller keeps until close, aligned to 8; name is for messages. */
motet_status motet_safetensors_open_bytes(motet_safetensors **file, const void *bytes, size_t size,
                                          const char *name);

/* The value of a __metadata__ entry, "" for one that is empty, NULL for none. Valid until close. */
const char *motet_safetensors_meta(const motet_safetensors *file, const char *key);

/* Tensors in the order of the header; fillers (names that begin with "__fill") are left out. */
int motet_safetensors_count(const motet_safetensors *file);
const char *motet_safetensors_name(const motet_safetensors *file, int index);

/* A view into the mapping (read-only memory). F32, BF16, I8, I32, and I64 read as
 * MOTET_E_UNSUPPORTED; F16 likewise. An I8 tensor NAME takes its row scales from the F32 tensor
 * NAME.scale. MOTET_E_DATA if the file has no such tensor. */
motet_status motet_safetensors_get(motet_tensor *tensor, const motet_safetensors *file,
                                   const char *name);

/* Whether the bytes are those that were written: compares the file with the SHA-256 that its
 * metadata has under MOTET_SAFETENSORS_SEAL. MOTET_E_DATA if it differs, or if there is none and
 * one is required. */
#define MOTET_SAFETENSORS_SEAL "motet.sha256"
motet_status motet_safetensors_verify(motet_safetensors *file, int required);

/* What a piece names as its model, 16 hex digits: the first of the file's own SHA-256 if that was
 * verified, else of the SHA-256 of the whole file, computed on the first call. */
const char *motet_safetensors_hash(motet_safetensors *file);

/* Writing: tensors and metadata in the order given, data aligned to 64 bytes, scales of I8 tensors
 * added by themselves; to a temporary name, fsync, rename: a full disk leaves the old file. The
 * metadata MOTET_SAFETENSORS_SEAL, value NULL, asks for the file's own hash. */
typedef struct motet_named_tensor {
    const char *name;
    motet_tensor tensor;
} motet_named_tensor;
typedef struct motet_named_text {
    const char *key, *value;
} motet_named_text;
motet_status motet_safetensors_write(const char *path, const motet_named_tensor *tensors, int count,
                                     const motet_named_text *metadata, int metadata_count);

#endif
