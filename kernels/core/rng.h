/* rng: counter-based random numbers, Philox4x32-10 (Salmon et al., "Parallel random numbers: as
 * easy as 1, 2, 3", SC 2011). A draw is a pure function of (seed, stream, counter): the same on
 * every back-end and in any order. A stream is one use (weight init, sampling, loader); streams
 * never overlap.
 */
#ifndef MOTET_CORE_RNG_H
#define MOTET_CORE_RNG_H

#include <stdint.h>

/* Four independent 32-bit words for (seed, stream, counter). */
void motet_philox(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4]);

/* A sequence of draws from one (seed, stream), for code that just wants the next number. */
typedef struct motet_rng {
    uint64_t seed, stream, counter;
    uint32_t words[4];
    int left; /* unused words */
} motet_rng;

motet_rng motet_rng_make(uint64_t seed, uint64_t stream);
uint32_t motet_rng_u32(motet_rng *rng);

/* Uniform in [0, 1): a multiple of 2^-24, so it is exact in f32. */
float motet_rng_uniform(motet_rng *rng);

/* Uniform in 0..bound-1 without modulo bias; bound >= 1. */
uint32_t motet_rng_below(motet_rng *rng, uint32_t bound);

/* Standard normal (Box-Muller). */
float motet_rng_normal(motet_rng *rng);

/* The uniform of a raw word: (word >> 8) * 2^-24. */
static inline float motet_uniform_from_u32(uint32_t word) {
    return (float)(word >> 8) * 0x1p-24f;
}

#endif
