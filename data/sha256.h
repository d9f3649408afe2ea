/* sha256: the SHA-256 hash (FIPS 180-4) of bytes and files, for checkpoints and corpora. Uses the
 * processor's SHA instructions where it has them; both paths give the same digest.
 */
#ifndef MOTET_DATA_SHA256_H
#define MOTET_DATA_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/core/status.h"

#define MOTET_SHA256_BYTES 32
#define MOTET_SHA256_HEX 65 /* 64 digits and the NUL */

typedef struct motet_sha256 {
    uint32_t state[8];
    uint64_t length;         /* bytes so far */
    unsigned char block[64]; /* the unfinished one: length % 64 bytes of it are filled */
    int portable;            /* set after init to keep the plain C path: for tests */
} motet_sha256;

void motet_sha256_init(motet_sha256 *hash);
void motet_sha256_update(motet_sha256 *hash, const void *bytes, size_t size);
void motet_sha256_final(unsigned char digest[MOTET_SHA256_BYTES], motet_sha256 *hash);

/* Lower-case hex digits of a digest. */
void motet_sha256_hex(char hex[MOTET_SHA256_HEX], const unsigned char digest[MOTET_SHA256_BYTES]);

/* The digest of a whole file as hex. MOTET_E_IO, naming the file, if it cannot be read. */
motet_status motet_sha256_file(char hex[MOTET_SHA256_HEX], const char *path);

#endif
