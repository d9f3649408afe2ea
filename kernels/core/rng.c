#include "kernels/core/rng.h"

#include <math.h>

void motet_philox(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4]) {
    uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32);
    uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

motet_rng motet_rng_make(uint64_t seed, uint64_t stream) {
    return (motet_rng){.seed = seed, .stream = stream};
}

uint32_t motet_rng_u32(motet_rng *rng) {
    if (rng->left == 0) {
        motet_philox(rng->seed, rng->stream, rng->counter++, rng->words);
        rng->left = 4;
    }
    return rng->words[4 - rng->left--];
}

float motet_rng_uniform(motet_rng *rng) {
    return motet_uniform_from_u32(motet_rng_u32(rng));
}

uint32_t motet_rng_below(motet_rng *rng, uint32_t bound) {
    uint32_t reject = -bound % bound; /* 2^32 mod bound */
    for (;;) {
        uint64_t product = (uint64_t)motet_rng_u32(rng) * bound;
        if ((uint32_t)product >= reject) return (uint32_t)(product >> 32);
    }
}

float motet_rng_normal(motet_rng *rng) {
    float u = 1.0f - motet_rng_uniform(rng); /* (0, 1] */
    float v = motet_rng_uniform(rng);
    return sqrtf(-2.0f * logf(u)) * cosf(6.2831853071795864769f * v);
}
