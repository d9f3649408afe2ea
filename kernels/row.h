/* row: how the CPU twins of the row ops are written. Internal to kernels/.
 *
 * An op is a kernel over a range of rows, compiled once for each vector width (ROW_CLONES, chosen
 * when the program is loaded), and an entry point that checks shapes and runs the kernel over
 * ranges in parallel. Kernels see f32 only: row_read, row_write and row_store make f32 rows of
 * whatever the tensor holds, at most ROW_CHUNK elements at a time, through scratch on the stack, so
 * an op is written once for all dtypes and allocates nothing.
 *
 * Sums run over scratch (row_load), not over a tensor's own memory: its alignment is then always
 * the same, so the order of a vector sum is too. Elementwise work is bit-equal on every processor
 * (no contraction to fma); sums depend on the vector width, never on the number of threads.
 */
#ifndef MOTET_ROW_H
#define MOTET_ROW_H

#include <stdalign.h>
#include <stdbool.h>
#include <string.h>

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"

#define ROW_CHUNK 1024     /* elements of a row in scratch at once: 4 KiB, so four fit into L1 */
#define ROW_PARALLEL 16384 /* fewer elements than this are not worth a second thread */
#define ROW_SCRATCH(name) alignas(64) float name[ROW_CHUNK]

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define ROW_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ROW_CLONES
#endif
#define ROW_INLINE static inline __attribute__((always_inline))

/* MOTET_E_USAGE "op: why (name dtype [dims], ...)"; names holds count names, separated by blanks.
 */
motet_status motet_row_fail(const char *op, const char *why, const char *names, int count,
                            const motet_tensor *tensors);

ROW_INLINE bool row_is_float(motet_tensor t) {
    return t.dtype == MOTET_F32 || t.dtype == MOTET_BF16;
}
ROW_INLINE bool row_is(motet_tensor t, motet_dtype dtype, int rank) {
    return t.dtype == dtype && t.rank == rank;
}
/* Memory is there, or there is nothing in it. */
ROW_INLINE bool row_has_data(motet_tensor t) {
    return t.data || motet_tensor_count(t) == 0;
}
ROW_INLINE bool row_same_shape(motet_tensor a, motet_tensor b) {
    if (a.rank != b.rank) return false;
    for (int i = 0; i < a.rank; i++)
        if (a.dims[i] != b.dims[i]) return false;
    return true;
}

ROW_INLINE int64_t row_min(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* dst[0..n) <- elements at.. of t, always copied. */
ROW_INLINE void row_load(float *restrict dst, motet_tensor t, int64_t at, int64_t n) {
    if (t.dtype == MOTET_F32) {
        const float *src = (const float *)t.data + at;
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dst[i] = src[i];
    } else {
        const uint16_t *src = (const uint16_t *)t.data + at;
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dst[i] = motet_f32_from_bf16(src[i]);
    }
}

/* The f32 values of n elements at.. of t: in place if it holds f32, else in scratch. */
ROW_INLINE float *row_read(motet_tensor t, int64_t at, int64_t n, float *restrict scratch) {
    if (t.dtype == MOTET_F32) return (float *)t.data + at;
    row_load(scratch, t, at, n);
    return scratch;
}

/* Where to put f32 values for elements at.. of t; row_store then brings them there. */
ROW_INLINE float *row_write(motet_tensor t, int64_t at, float *scratch) {
    return t.dtype == MOTET_F32 ? (float *)t.data + at : scratch;
}
ROW_INLINE void row_store(motet_tensor t, int64_t at, int64_t n, const float *values) {
    if (t.dtype == MOTET_F32) {
        float *dst = (float *)t.data + at;
        if (values == dst) return;
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dst[i] = values[i];
    } else {
        uint16_t *dst = (uint16_t *)t.data + at;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            union {
                float f;
                uint32_t u;
            } bits = {values[i]};
            uint32_t nan = (bits.u >> 16) | 0x40u;
            uint32_t even = (bits.u + 0x7fffu + ((bits.u >> 16) & 1u)) >> 16;
            dst[i] = (uint16_t)((bits.u & 0x7fffffffu) > 0x7f800000u ? nan : even);
        }
    }
}

/* yes if the condition holds, else no, by masks: a conditional expression would let the compiler
 * split the work after it into paths, and compute every one of them in a vector loop. */
ROW_INLINE float row_select(bool condition, float yes, float no) {
    union {
        float f;
        uint32_t u;
    } a = {yes}, b = {no}, result;
    uint32_t mask = -(uint32_t)condition;
    result.u = (a.u & mask) | (b.u & ~mask);
    return result.f;
}

/* e^x within 1 ulp for every f32, in straight-line code that vectorises; 0, infinity and NaN as
 * expf gives them. x = n ln 2 + r, |r| <= ln 2 / 2; e^r by a minimax polynomial of degree 6
 * (relative error 3e-9); 2^n as two factors, so that results may be subnormal. */
ROW_INLINE float row_exp(float x) {
    union {
        float f;
        uint32_t u;
    } shifted, low, high;
    x = row_select(x < -110.0f, -110.0f, x);
    x = row_select(x > 90.0f, 90.0f, x);
    shifted.f = x * 0x1.715476p+0f + 0x1.8p23f; /* round(x / ln 2) in the low bits */
    float n = shifted.f - 0x1.8p23f;
    float r = x - n * 0x1.62e4p-1f; /* 15 bits of ln 2: n times it is exact */
    r = r - n * 0x1.7f7d1cp-20f;    /* ln 2 minus those */
    float q = 0x1.6a23ccp-10f;
    q = q * r + 0x1.123a1cp-7f;
    q = q * r + 0x1.5558f2p-5f;
    q = q * r + 0x1.555492p-3f;
    q = q * r + 0x1.fffffcp-2f;
    float e = 1.0f + (r + r * r * q);
    int32_t power = (int32_t)(shifted.u - 0x4b400000u);
    int32_t half = power >> 1;
    low.u = (uint32_t)(half + 127) << 23;
    high.u = (uint32_t)(power - half + 127) << 23;
    return e * low.f * high.f;
}

/* 1 / (1 + e^-x). */
ROW_INLINE float row_sigmoid(float x) {
    return 1.0f / (1.0f + row_exp(-x));
}

#endif
