#include "data/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static const uint32_t ROUND[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t rotate(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

static void compress_portable(uint32_t state[8], const unsigned char *bytes, size_t blocks) {
    for (; blocks; blocks--, bytes += 64) {
        uint32_t w[64];
        for (int i = 0; i < 16; i++) {
            const unsigned char *p = bytes + 4 * i;
            w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        }
        for (int i = 16; i < 64; i++) {
            uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
            uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
            w[i] = w[i - 16] + s0 + w[i - 7] + s1;
        }
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int i = 0; i < 64; i++) {
            uint32_t s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
            uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + ROUND[i] + w[i];
            uint32_t s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
            uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
            h = g, g = f, f = e, e = d + t1;
            d = c, c = b, b = a, a = t1 + t2;
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
        state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}

#if defined(__x86_64__)
/* sha256rnds2 keeps the state as the words (A,B,E,F) and (C,D,G,H) and does two rounds a call;
 * sha256msg1 and msg2 extend the message by four words (Intel SDM, volume 2). */
__attribute__((target("sha,sse4.1"))) static void
compress_sha(uint32_t state[8], const unsigned char *bytes, size_t blocks) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bll, 0x0405060700010203ll);
    __m128i abef = _mm_set_epi32((int)state[0], (int)state[1], (int)state[4], (int)state[5]);
    __m128i cdgh = _mm_set_epi32((int)state[2], (int)state[3], (int)state[6], (int)state[7]);
    for (; blocks; blocks--, bytes += 64) {
        __m128i first = abef, second = cdgh, w[4];
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(bytes + 16 * i)), swap);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            if (i >= 4) {
                __m128i sum = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);
                sum = _mm_add_epi32(sum, _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
                w[i & 3] = _mm_sha256msg2_epu32(sum, w[(i + 3) & 3]);
            }
            __m128i k = _mm_add_epi32(w[i & 3], _mm_loadu_si128((const __m128i *)(ROUND + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(k, 0x0e));
        }
        abef = _mm_add_epi32(abef, first);
        cdgh = _mm_add_epi32(cdgh, second);
    }
    uint32_t x[4], y[4];
    _mm_storeu_si128((__m128i *)x, abef);
    _mm_storeu_si128((__m128i *)y, cdgh);
    state[0] = x[3], state[1] = x[2], state[4] = x[1], state[5] = x[0];
    state[2] = y[3], state[3] = y[2], state[6] = y[1], state[7] = y[0];
}

/* CPUID leaf 7, EBX bit 29; gcc 12 has no name for it in __builtin_cpu_supports. */
static int has_sha(void) {
    static int known; /* 1 no, 2 yes; a race writes the same value twice */
    int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (!answer) {
        uint32_t a = 7, b = 0, c = 0, d = 0;
        int sse = __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
        if (sse) __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        answer = sse && b >> 29 & 1 ? 2 : 1;
        __atomic_store_n(&known, answer, __ATOMIC_RELAXED);
    }
    return answer == 2;
}
#endif

static void compress(motet_sha256 *hash, const unsigned char *bytes, size_t blocks) {
#if defined(__x86_64__)
    if (!hash->portable && has_sha()) {
        compress_sha(hash->state, bytes, blocks);
        return;
    }
#endif
    compress_portable(hash->state, bytes, blocks);
}

void motet_sha256_init(motet_sha256 *hash) {
    static const uint32_t START[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memset(hash, 0, sizeof *hash);
    memcpy(hash->state, START, sizeof START);
}

void motet_sha256_update(motet_sha256 *hash, const void *bytes, size_t size) {
    const unsigned char *p = bytes;
    size_t filled = (size_t)(hash->length % 64);
    if (!size) return;
    hash->length += size;
    if (filled) {
        size_t take = 64 - filled < size ? 64 - filled : size;
        memcpy(hash->block + filled, p, take);
        p += take, size -= take;
        if (filled + take < 64) return;
        compress(hash, hash->block, 1);
    }
    compress(hash, p, size / 64);
    memcpy(hash->block, p + size / 64 * 64, size % 64);
}

void motet_sha256_final(unsigned char digest[MOTET_SHA256_BYTES], motet_sha256 *hash) {
    uint64_t bits = hash->length * 8;
    unsigned char tail[72] = {0x80};
    size_t filled = (size_t)(hash->length % 64);
    size_t pad = (filled < 56 ? 56 : 120) - filled;
    for (int i = 0; i < 8; i++)
        tail[pad + (size_t)i] = (unsigned char)(bits >> (56 - 8 * i));
    motet_sha256_update(hash, tail, pad + 8);
    for (int i = 0; i < 32; i++)
        digest[i] = (unsigned char)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}

void motet_sha256_hex(char hex[MOTET_SHA256_HEX], const unsigned char digest[MOTET_SHA256_BYTES]) {
    for (int i = 0; i < MOTET_SHA256_BYTES; i++) {
        hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    hex[2 * MOTET_SHA256_BYTES] = 0;
}

motet_status motet_sha256_file(char hex[MOTET_SHA256_HEX], const char *path) {
    enum { CHUNK = 1 << 18 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return MOTET_FAIL(MOTET_E_IO, "%s: %s", path, strerror(errno));
    unsigned char *buffer = malloc(CHUNK), digest[MOTET_SHA256_BYTES];
    if (!buffer) {
        close(fd);
        return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory to hash it", path);
    }
    motet_sha256 hash;
    motet_sha256_init(&hash);
    ssize_t got;
    while ((got = read(fd, buffer, CHUNK)) > 0 || (got < 0 && errno == EINTR))
        if (got > 0) motet_sha256_update(&hash, buffer, (size_t)got);
    int error = errno;
    free(buffer);
    close(fd);
    if (got < 0) return MOTET_FAIL(MOTET_E_IO, "%s: %s", path, strerror(error));
    motet_sha256_final(digest, &hash);
    motet_sha256_hex(hex, digest);
    return MOTET_OK;
}
