/* simd: one vector vocabulary for the kernels that are compiled once for each instruction set.
 *
 * A file simd_LEVEL.c defines MOTET_SIMD (512, 256 or 128) and includes this header and then the
 * kernels' bodies (*.inc), so every body exists once in source and three times in the program;
 * which one runs is decided once, at run time (simd_table.h). A vf holds VL floats. Level 512 needs
 * AVX-512 F, BW, DQ and VL, level 256 needs AVX2 and FMA, level 128 is portable C with the
 * compiler's vector extension (SSE2, NEON, anything).
 *
 * Functions that end in _n touch only the first n lanes of memory, 0 <= n <= VL; the other lanes
 * read as zero. Everything here is inline and internal: no function crosses a file.
 */
#ifndef MOTET_SIMD_H
#define MOTET_SIMD_H

#include <stdint.h>
#include <string.h>

#include "kernels/core/tensor.h"

#ifndef MOTET_SIMD
#define MOTET_SIMD 128
#endif

#define MOTET_INLINE static inline __attribute__((always_inline))

/* Coefficients of 2^f on [-0.5, 0.5]: interpolation at the Chebyshev nodes, relative error 2.6e-9.
 */
#define MOTET_EXP2_1 0.6931472067f
#define MOTET_EXP2_2 0.2402265092f
#define MOTET_EXP2_3 0.05550327227f
#define MOTET_EXP2_4 0.009618056679f
#define MOTET_EXP2_5 0.001340042818f
#define MOTET_EXP2_6 0.000154614447f

#if MOTET_SIMD == 512
#include <immintrin.h>
#ifdef __clang__
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,avx2"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,avx2,prefer-vector-width=512")
#endif
#define VL 16
typedef __m512 vf;

MOTET_INLINE __mmask16 v_first(int64_t n) {
    return (__mmask16)((1u << n) - 1u);
}
MOTET_INLINE vf v_set1(float x) {
    return _mm512_set1_ps(x);
}
MOTET_INLINE vf v_load(const float *p) {
    return _mm512_loadu_ps(p);
}
MOTET_INLINE vf v_load_n(const float *p, int64_t n) {
    return _mm512_maskz_loadu_ps(v_first(n), p);
}
MOTET_INLINE void v_store(float *p, vf x) {
    _mm512_storeu_ps(p, x);
}
MOTET_INLINE void v_store_n(float *p, vf x, int64_t n) {
    _mm512_mask_storeu_ps(p, v_first(n), x);
}
MOTET_INLINE vf v_from_bf16(__m256i x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
MOTET_INLINE vf v_load_bf16(const uint16_t *p) {
    return v_from_bf16(_mm256_loadu_si256((const __m256i *)p));
}
MOTET_INLINE vf v_load_bf16_n(const uint16_t *p, int64_t n) {
    return v_from_bf16(_mm256_maskz_loadu_epi16(v_first(n), p));
}
MOTET_INLINE vf v_load_i8(const int8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
MOTET_INLINE vf v_load_i8_n(const int8_t *p, int64_t n) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(v_first(n), p)));
}
MOTET_INLINE __m256i v_to_bf16(vf x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i r = _mm512_mask_blend_epi32(nan, up, quiet);
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16));
}
MOTET_INLINE void v_store_bf16(uint16_t *p, vf x) {
    _mm256_storeu_si256((__m256i *)p, v_to_bf16(x));
}
MOTET_INLINE void v_store_bf16_n(uint16_t *p, vf x, int64_t n) {
    _mm256_mask_storeu_epi16(p, v_first(n), v_to_bf16(x));
}
MOTET_INLINE vf v_add(vf a, vf b) {
    return _mm512_add_ps(a, b);
}
MOTET_INLINE vf v_sub(vf a, vf b) {
    return _mm512_sub_ps(a, b);
}
MOTET_INLINE vf v_mul(vf a, vf b) {
    return _mm512_mul_ps(a, b);
}
MOTET_INLINE vf v_div(vf a, vf b) {
    return _mm512_div_ps(a, b);
}
MOTET_INLINE vf v_max(vf a, vf b) { /* b if either is NaN */
    return _mm512_max_ps(a, b);
}
MOTET_INLINE vf v_min(vf a, vf b) { /* b if either is NaN */
    return _mm512_min_ps(a, b);
}
MOTET_INLINE vf v_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}
/* x < 0 ? a : b */
MOTET_INLINE vf v_if_negative(vf x, vf a, vf b) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), b, a);
}
/* The first n lanes of x, then those of y; n may be any integer. */
MOTET_INLINE vf v_keep(vf x, vf y, int64_t n) {
    const int64_t lanes = n < 0 ? 0 : n > VL ? VL : n;
    return _mm512_mask_blend_ps(v_first(lanes), y, x);
}
MOTET_INLINE float v_sum(vf x) {
    return _mm512_reduce_add_ps(x);
}
MOTET_INLINE float v_top(vf x) {
    return _mm512_reduce_max_ps(x);
}
MOTET_INLINE vf v_round(vf x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* x * 2^e for integral e */
MOTET_INLINE vf v_scale2(vf x, vf e) {
    return _mm512_scalef_ps(x, e);
}
/* out[i] = sum of the lanes of x_i; one tree for all four, whatever the others hold. */
MOTET_INLINE void v_sum4(float out[4], vf x0, vf x1, vf x2, vf x3) {
#define FOLD(x) _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1))
    const __m256 a = _mm256_hadd_ps(FOLD(x0), FOLD(x1));
    const __m256 b = _mm256_hadd_ps(FOLD(x2), FOLD(x3));
#undef FOLD
    const __m256 c = _mm256_hadd_ps(a, b);
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(c), _mm256_extractf128_ps(c, 1)));
}

#elif MOTET_SIMD == 256
#include <immintrin.h>
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define VL 8
typedef __m256 vf;

MOTET_INLINE vf v_set1(float x) {
    return _mm256_set1_ps(x);
}
MOTET_INLINE vf v_load(const float *p) {
    return _mm256_loadu_ps(p);
}
MOTET_INLINE __m256i v_first(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
MOTET_INLINE vf v_load_n(const float *p, int64_t n) {
    return _mm256_maskload_ps(p, v_first(n));
}
MOTET_INLINE void v_store(float *p, vf x) {
    _mm256_storeu_ps(p, x);
}
MOTET_INLINE void v_store_n(float *p, vf x, int64_t n) {
    _mm256_maskstore_ps(p, v_first(n), x);
}
MOTET_INLINE vf v_load_bf16(const uint16_t *p) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
MOTET_INLINE vf v_load_bf16_n(const uint16_t *p, int64_t n) {
    uint16_t part[VL] = {0};
    memcpy(part, p, (size_t)n * sizeof *p);
    return v_load_bf16(part);
}
MOTET_INLINE vf v_load_i8(const int8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
MOTET_INLINE vf v_load_i8_n(const int8_t *p, int64_t n) {
    int8_t part[VL] = {0};
    memcpy(part, p, (size_t)n);
    return v_load_i8(part);
}
MOTET_INLINE void v_store_bf16(uint16_t *p, vf x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i r = _mm256_srli_epi32(_mm256_blendv_epi8(up, quiet, nan), 16);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(r, r), 0x08);
    _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(packed));
}
MOTET_INLINE void v_store_bf16_n(uint16_t *p, vf x, int64_t n) {
    uint16_t part[VL];
    v_store_bf16(part, x);
    memcpy(p, part, (size_t)n * sizeof *p);
}
MOTET_INLINE vf v_add(vf a, vf b) {
    return _mm256_add_ps(a, b);
}
MOTET_INLINE vf v_sub(vf a, vf b) {
    return _mm256_sub_ps(a, b);
}
MOTET_INLINE vf v_mul(vf a, vf b) {
    return _mm256_mul_ps(a, b);
}
MOTET_INLINE vf v_div(vf a, vf b) {
    return _mm256_div_ps(a, b);
}
MOTET_INLINE vf v_max(vf a, vf b) {
    return _mm256_max_ps(a, b);
}
MOTET_INLINE vf v_min(vf a, vf b) {
    return _mm256_min_ps(a, b);
}
MOTET_INLINE vf v_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}
MOTET_INLINE vf v_if_negative(vf x, vf a, vf b) {
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ));
}
MOTET_INLINE vf v_keep(vf x, vf y, int64_t n) {
    const int64_t lanes = n < 0 ? 0 : n > VL ? VL : n;
    return _mm256_blendv_ps(y, x, _mm256_castsi256_ps(v_first(lanes)));
}
MOTET_INLINE void v_sum4(float out[4], vf x0, vf x1, vf x2, vf x3) {
    const __m256 c = _mm256_hadd_ps(_mm256_hadd_ps(x0, x1), _mm256_hadd_ps(x2, x3));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(c), _mm256_extractf128_ps(c, 1)));
}
MOTET_INLINE float v_sum(vf x) {
    const __m128 h = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 q = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
MOTET_INLINE float v_top(vf x) {
    const __m128 h = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 q = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
MOTET_INLINE vf v_round(vf x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
MOTET_INLINE vf v_scale2(vf x, vf e) { /* e in -126..127, else 0 or the nearest */
    const vf low = v_set1(-126.0f);
    const vf clamped = v_min(v_set1(127.0f), v_max(low, e));
    const __m256i exponent = _mm256_slli_epi32(
        _mm256_add_epi32(_mm256_cvtps_epi32(clamped), _mm256_set1_epi32(127)), 23);
    const vf y = _mm256_mul_ps(x, _mm256_castsi256_ps(exponent));
    return _mm256_blendv_ps(y, _mm256_setzero_ps(), _mm256_cmp_ps(e, low, _CMP_LT_OQ));
}

#else
#define VL 4
typedef float vf __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(16), aligned(4), may_alias));

MOTET_INLINE vf v_set1(float x) {
    return (vf){x, x, x, x};
}
MOTET_INLINE vf v_load(const float *p) {
    return *(const vf *)p;
}
MOTET_INLINE vf v_load_n(const float *p, int64_t n) {
    float part[VL] = {0};
    memcpy(part, p, (size_t)n * sizeof *p);
    return v_load(part);
}
MOTET_INLINE void v_store(float *p, vf x) {
    *(vf *)p = x;
}
MOTET_INLINE void v_store_n(float *p, vf x, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        p[i] = x[i];
}
MOTET_INLINE vf v_load_bf16(const uint16_t *p) {
    const vi x = {p[0], p[1], p[2], p[3]};
    return (vf)(x << 16);
}
MOTET_INLINE vf v_load_bf16_n(const uint16_t *p, int64_t n) {
    uint16_t part[VL] = {0};
    memcpy(part, p, (size_t)n * sizeof *p);
    return v_load_bf16(part);
}
MOTET_INLINE vf v_load_i8(const int8_t *p) {
    return (vf){p[0], p[1], p[2], p[3]};
}
MOTET_INLINE vf v_load_i8_n(const int8_t *p, int64_t n) {
    int8_t part[VL] = {0};
    memcpy(part, p, (size_t)n);
    return v_load_i8(part);
}
MOTET_INLINE void v_store_bf16_n(uint16_t *p, vf x, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        p[i] = motet_bf16_from_f32(x[i]);
}
MOTET_INLINE void v_store_bf16(uint16_t *p, vf x) {
    v_store_bf16_n(p, x, VL);
}
MOTET_INLINE vf v_add(vf a, vf b) {
    return a + b;
}
MOTET_INLINE vf v_sub(vf a, vf b) {
    return a - b;
}
MOTET_INLINE vf v_mul(vf a, vf b) {
    return a * b;
}
MOTET_INLINE vf v_div(vf a, vf b) {
    return a / b;
}
MOTET_INLINE vf v_choose(vi mask, vf a, vf b) {
    return (vf)((mask & (vi)a) | (~mask & (vi)b));
}
MOTET_INLINE vf v_max(vf a, vf b) {
    return v_choose(a > b, a, b);
}
MOTET_INLINE vf v_min(vf a, vf b) {
    return v_choose(a < b, a, b);
}
MOTET_INLINE vf v_fma(vf a, vf b, vf c) { /* two roundings */
    return a * b + c;
}
MOTET_INLINE vf v_if_negative(vf x, vf a, vf b) {
    return v_choose(x < 0.0f, a, b);
}
MOTET_INLINE vf v_keep(vf x, vf y, int64_t n) {
    const int32_t lanes = (int32_t)(n < 0 ? 0 : n > VL ? VL : n);
    return v_choose((vi){0, 1, 2, 3} < lanes, x, y);
}
MOTET_INLINE float v_sum(vf x) {
    return (x[0] + x[2]) + (x[1] + x[3]);
}
MOTET_INLINE void v_sum4(float out[4], vf x0, vf x1, vf x2, vf x3) {
    out[0] = v_sum(x0), out[1] = v_sum(x1), out[2] = v_sum(x2), out[3] = v_sum(x3);
}
MOTET_INLINE float v_top(vf x) {
    const float a = x[0] > x[1] ? x[0] : x[1], b = x[2] > x[3] ? x[2] : x[3];
    return a > b ? a : b;
}
MOTET_INLINE vf v_round(vf x) { /* |x| < 2^22, to nearest even */
    const vf magic = v_set1(12582912.0f);
    return (x + magic) - magic;
}
MOTET_INLINE vf v_scale2(vf x, vf e) {
    const vf low = v_set1(-126.0f);
    const vf clamped = v_min(v_set1(127.0f), v_max(low, e));
    const vi exponent = (__builtin_convertvector(clamped, vi) + 127) << 23;
    return v_choose(e < low, v_set1(0.0f), x * (vf)exponent);
}
#endif

/* 2^x, relative error < 2e-7 for -126 <= x <= 127, 0 far below; NaN stays NaN. */
MOTET_INLINE vf v_exp2(vf x) {
    x = v_min(v_set1(127.5f), v_max(v_set1(-160.0f), x));
    const vf whole = v_round(x), f = v_sub(x, whole);
    vf p = v_set1(MOTET_EXP2_6);
    p = v_fma(p, f, v_set1(MOTET_EXP2_5));
    p = v_fma(p, f, v_set1(MOTET_EXP2_4));
    p = v_fma(p, f, v_set1(MOTET_EXP2_3));
    p = v_fma(p, f, v_set1(MOTET_EXP2_2));
    p = v_fma(p, f, v_set1(MOTET_EXP2_1));
    p = v_fma(p, f, v_set1(1.0f));
    return v_scale2(p, whole);
}

/* x * Phi(x), Phi the normal distribution function. For y = |x|, Phi(-y) = exp(-y^2/2) * P(t) with
 * t = 1 / (1 + 0.3 y); P interpolates at the Chebyshev nodes, relative error 1.1e-7 for y <= 14. */
MOTET_INLINE vf v_gelu(vf x) {
    const vf one = v_set1(1.0f), y = v_max(x, v_sub(v_set1(0.0f), x));
    const vf t = v_div(one, v_fma(y, v_set1(0.3f), one));
    vf p = v_set1(0.03754876558f);
    p = v_fma(p, t, v_set1(-0.1653737545f));
    p = v_fma(p, t, v_set1(0.221350409f));
    p = v_fma(p, t, v_set1(-0.06877566412f));
    p = v_fma(p, t, v_set1(0.1376461447f));
    p = v_fma(p, t, v_set1(0.09657086391f));
    p = v_fma(p, t, v_set1(0.1214872488f));
    p = v_fma(p, t, v_set1(0.1195416277f));
    p = v_fma(p, t, v_set1(4.377244709e-06f));
    const vf tail = v_mul(p, v_exp2(v_mul(v_mul(y, y), v_set1(-0.7213475204f))));
    return v_mul(x, v_if_negative(x, tail, v_sub(one, tail)));
}

/* Elements i.. of an array of f32 or bf16; dtype is a constant wherever speed matters. */
MOTET_INLINE vf v_load_as(const void *p, motet_dtype dtype, int64_t i) {
    if (dtype == MOTET_BF16) return v_load_bf16((const uint16_t *)p + i);
    if (dtype == MOTET_I8) return v_load_i8((const int8_t *)p + i);
    return v_load((const float *)p + i);
}
MOTET_INLINE vf v_load_as_n(const void *p, motet_dtype dtype, int64_t i, int64_t n) {
    if (dtype == MOTET_BF16) return v_load_bf16_n((const uint16_t *)p + i, n);
    if (dtype == MOTET_I8) return v_load_i8_n((const int8_t *)p + i, n);
    return v_load_n((const float *)p + i, n);
}
MOTET_INLINE void v_store_as_n(void *p, motet_dtype dtype, int64_t i, vf x, int64_t n) {
    if (dtype == MOTET_BF16)
        v_store_bf16_n((uint16_t *)p + i, x, n);
    else
        v_store_n((float *)p + i, x, n);
}

#endif
