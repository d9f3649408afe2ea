/* float: what the files about floating point share: rounding, flushing, 16-bit formats.
 *
 * Results are those of IEEE 754 with the canonical NaN 0x7fffffff, as the chip gives. Approximate
 * instructions (ex2, lg2, rcp, rsqrt, sin, cos, tanh, div.full) are computed in double and rounded
 * once: softgpu is at least as exact as any GPU, whose last bits are not documented.
 */
#ifndef SOFTGPU_FLOAT_H
#define SOFTGPU_FLOAT_H

#include <float.h>

#include "tests/softgpu/handler.h"

typedef enum sg_rounding { SG_RN, SG_RZ, SG_RM, SG_RP, SG_RNA } sg_rounding;
enum { SG_FTZ = 1, SG_SAT = 2, SG_RELU = 4, SG_NAN = 8 }; /* flags of an op */

#define SG_NAN32 0x7fffffffu

SG_INLINE float sg_canonical(float x) {
    return x != x ? sg_as_f32(SG_NAN32) : x;
}
/* Subnormals become zeros of their sign. */
SG_INLINE float sg_flush(float x) {
    const uint32_t bits = sg_bits32(x);
    return sg_as_f32((bits & 0x7f800000u) ? bits : bits & 0x80000000u);
}
SG_INLINE float sg_saturate(float x) {
    return x > 0 ? (x < 1 ? x : 1) : 0; /* NaN becomes 0 */
}

/* a * b + c in double, so that any rounding of it to 24 bits or fewer is that of the exact value:
 * an inexact sum has its last bit set ("round to odd"). The product must be exact. */
SG_INLINE double sg_odd_sum(double p, double c) {
    const double s = p + c, part = s - p, error = (p - (s - part)) + (c - part);
    uint64_t bits = sg_bits64(s);
    const bool finite = (bits >> 52 & 2047) != 2047;
    if (finite && error != 0 && !(bits & 1)) bits += (error > 0) == (s > 0) ? 1 : UINT64_MAX;
    return finite ? sg_as_f64(bits) : s;
}

float sg_round_f32(double x, sg_rounding how);
/* 16 bits of an f16 (or bf16). */
uint32_t sg_round_half(double x, bool bf16, sg_rounding how);

SG_INLINE float sg_f32_of_bf16(uint32_t bits) {
    return sg_as_f32(bits << 16);
}
SG_INLINE float sg_f32_of_f16(uint32_t bits) {
    const uint32_t sign = bits << 16 & 0x80000000u, rest = bits & 0x7fff;
    const uint32_t normal = (rest << 13) + (112u << 23);
    const float subnormal = (float)(int32_t)rest * 0x1p-24f;
    const uint32_t special = rest << 13 | 0x7f800000u;
    return sg_as_f32(sign | (rest >= 0x7c00   ? special
                             : rest >= 0x0400 ? normal
                                              : sg_bits32(subnormal)));
}
/* To nearest even, from f32: the fast way for the usual conversions. */
SG_INLINE uint32_t sg_bf16_of_f32(float x) {
    const uint32_t bits = sg_bits32(x);
    return x != x ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
SG_INLINE uint32_t sg_f16_of_f32(float x) {
    const uint32_t bits = sg_bits32(x), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
    const uint32_t normal = (rest - (112u << 23) + 0xfff + (rest >> 13 & 1)) >> 13;
    /* Adding 0.5 makes an f32 whose last bit is the last one of a subnormal f16. */
    const uint32_t subnormal = sg_bits32(sg_as_f32(rest) + 0.5f) - 0x3f000000u;
    const uint32_t large = rest >= 0x477ff000u ? 0x7c00 : normal;
    return rest > 0x7f800000u ? 0x7fff : sign | (rest < 0x38800000u ? subnormal : large);
}

/* Parts of binding. */
bool sg_take_rounding(const sg_instruction *in, int *at, sg_rounding *how);
sg_bind sg_bind_half, sg_bind_special;

#endif
