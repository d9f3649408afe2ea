#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/safetensors.h"

#define ALIGN 64u

/* One tensor as the file will hold it; scales and fillers are slots of their own. */
typedef struct slot {
    const void *data;
    uint64_t bytes;
} slot;

typedef struct plan {
    json_t *header;
    slot *slots;
    int count;
    uint64_t bytes; /* of data so far */
    int fillers;
} plan;

static motet_status plan_slot(plan *p, const char *name, const char *dtype, const void *data,
                              uint64_t bytes, int rank, const int64_t *dims) {
    json_t *shape = json_array();
    for (int i = 0; i < rank; i++)
        json_array_append_new(shape, json_integer(dims[i]));
    json_t *value = json_pack("{s:s, s:o, s:[I,I]}", "dtype", dtype, "shape", shape, "data_offsets",
                              (json_int_t)p->bytes, (json_int_t)(p->bytes + bytes));
    if (!value || json_object_get(p->header, name)) {
        json_decref(value);
        return MOTET_FAIL(value ? MOTET_E_USAGE : MOTET_E_MEMORY,
                          value ? "tensor '%.200s' is there twice"
                                : "no memory for the header of tensor '%.200s'",
                          name);
    }
    if (json_object_set_new(p->header, name, value))
        return MOTET_FAIL(MOTET_E_USAGE, "the tensor name '%.200s' is not UTF-8", name);
    p->slots[p->count++] = (slot){.data = data, .bytes = bytes};
    p->bytes += bytes;
    return MOTET_OK;
}

static motet_status plan_filler(plan *p) {
    int64_t gap = (int64_t)((ALIGN - p->bytes % ALIGN) % ALIGN);
    static const unsigned char zeros[ALIGN];
    if (!gap) return MOTET_OK;
    char name[32];
    snprintf(name, sizeof name, "__fill.%d", p->fillers++);
    return plan_slot(p, name, "U8", zeros, (uint64_t)gap, 1, &gap);
}

static motet_status plan_tensor(plan *p, const char *name, const motet_tensor *t) {
    static const char *const NAMES[] = {"F32", "BF16", "I8", "I32"};
    uint64_t bytes = motet_dtype_bytes(t->dtype);
    for (int i = 0; i < t->rank; i++)
        if (t->dims[i] < 0 || __builtin_mul_overflow(bytes, (uint64_t)t->dims[i], &bytes) ||
            bytes > INT64_MAX / 2)
            return MOTET_FAIL(MOTET_E_USAGE, "tensor '%.200s' has an impossible shape", name);
    if (!strncmp(name, "__", 2))
        return MOTET_FAIL(MOTET_E_USAGE, "the tensor name '%.200s' is reserved", name);
    MOTET_TRY(plan_filler(p));
    MOTET_TRY(plan_slot(p, name, NAMES[t->dtype], t->data, bytes, t->rank, t->dims));
    if (t->dtype != MOTET_I8) return MOTET_OK;
    char scale[512];
    if (!t->scale || t->rank < 1 ||
        snprintf(scale, sizeof scale, "%s.scale", name) >= (int)sizeof scale)
        return MOTET_FAIL(MOTET_E_USAGE, "int8 tensor '%.200s' has no scales", name);
    MOTET_TRY(plan_filler(p));
    return plan_slot(p, scale, "F32", t->scale, 4 * (uint64_t)t->dims[0], 1, t->dims);
}

static motet_status plan_metadata(plan *p, const motet_named_text *metadata, int count) {
    if (!count) return MOTET_OK;
    json_t *object = json_object();
    json_object_set_new(p->header, "__metadata__", object);
    for (int i = 0; i < count; i++) {
        if (json_object_get(object, metadata[i].key))
            return MOTET_FAIL(MOTET_E_USAGE, "metadata '%.200s' is there twice", metadata[i].key);
        if (json_object_set_new(object, metadata[i].key, json_string(metadata[i].value)))
            return MOTET_FAIL(MOTET_E_USAGE, "metadata '%.200s' is not UTF-8", metadata[i].key);
    }
    return MOTET_OK;
}

static int put(FILE *stream, const void *bytes, uint64_t size) {
    return size == 0 || fwrite(bytes, 1, (size_t)size, stream) == (size_t)size;
}

static int put_all(FILE *stream, const plan *p, const char *text, uint64_t length) {
    unsigned char prefix[8];
    uint64_t padded = (length + 8 + ALIGN - 1) / ALIGN * ALIGN - 8;
    for (int i = 0; i < 8; i++)
        prefix[i] = (unsigned char)(padded >> (8 * i));
    if (!put(stream, prefix, 8) || !put(stream, text, length)) return 0;
    for (; length < padded; length++)
        if (putc(' ', stream) == EOF) return 0;
    for (int i = 0; i < p->count; i++)
        if (!put(stream, p->slots[i].data, p->slots[i].bytes)) return 0;
    return fflush(stream) == 0 && fsync(fileno(stream)) == 0;
}

/* rename() is only durable once the folder is on disk too; a file system that cannot fsync a
 * folder has nothing better to offer, so its answer is not an error. */
static void sync_folder(const char *path) {
    char *copy = strdup(path);
    if (!copy) return;
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(copy);
}

static motet_status write_file(const char *path, const plan *p, const char *text) {
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.tmp%ld", path, (long)getpid()) >=
        (int)sizeof temporary)
        return MOTET_FAIL(MOTET_E_USAGE, "%.200s...: the path is too long", path);
    FILE *stream = fopen(temporary, "wbe");
    if (!stream) return MOTET_FAIL(MOTET_E_IO, "%s: %s", temporary, strerror(errno));
    int ok = put_all(stream, p, text, strlen(text));
    int error = errno;
    if (fclose(stream) && ok) ok = 0, error = errno;
    if (ok && rename(temporary, path)) ok = 0, error = errno;
    if (!ok) {
        unlink(temporary);
        return MOTET_FAIL(MOTET_E_IO, "%s: %s; nothing was changed", path, strerror(error));
    }
    sync_folder(path);
    return MOTET_OK;
}

motet_status motet_safetensors_write(const char *path, const motet_named_tensor *tensors, int count,
                                     const motet_named_text *metadata, int metadata_count) {
    if (count < 0 || count > 100000 || metadata_count < 0)
        return MOTET_FAIL(MOTET_E_USAGE, "%s: %d tensors cannot be written", path, count);
    plan p = {.header = json_object(), .slots = calloc(4 * (size_t)count + 4, sizeof *p.slots)};
    motet_status status = MOTET_OK;
    if (!p.header || !p.slots)
        status = MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for its header", path);
    if (status == MOTET_OK) status = plan_metadata(&p, metadata, metadata_count);
    for (int i = 0; i < count && status == MOTET_OK; i++)
        status = plan_tensor(&p, tensors[i].name, &tensors[i].tensor);
    char *text = NULL;
    if (status == MOTET_OK) {
        text = json_dumps(p.header, JSON_COMPACT);
        status = text ? write_file(path, &p, text)
                      : MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for its header", path);
    }
    free(text);
    json_decref(p.header);
    free(p.slots);
    return status;
}
