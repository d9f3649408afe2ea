/* philox: kernels/core/rng.h on the device, bit for bit: Philox4x32-10 (Salmon et al., SC 2011). */
#ifndef MOTET_CUDA_PHILOX_CUH
#define MOTET_CUDA_PHILOX_CUH

#include <stdint.h>

/* Four independent 32-bit words for (seed, stream, counter). */
static __device__ __forceinline__ void motet_philox(uint64_t seed, uint64_t stream,
                                                    uint64_t counter, uint32_t out[4]) {
    uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32);
    uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        const uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Uniform in [0, 1): a multiple of 2^-24. */
static __device__ __forceinline__ float motet_uniform_from_u32(uint32_t word) {
    return (float)(word >> 8) * 0x1p-24f;
}

#endif
