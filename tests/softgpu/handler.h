/* handler: how the arithmetic families write their handlers.
 *
 * A handler computes every lane and keeps those that run: lanes that do not run hold values, too,
 * and computing with them does no harm, while a loop without branches becomes vector code. Slots
 * are the same or do not overlap at all, so lanes never depend on each other (ivdep).
 */
#ifndef SOFTGPU_HANDLER_H
#define SOFTGPU_HANDLER_H

#include <math.h>
#include <string.h>

#include "tests/softgpu/report.h"
#include "tests/softgpu/warp.h"

/* A clone for each vector width; GCC's resolver picks one when the library is loaded, which is too
 * early for the sanitizers. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__x86_64__)
#define SG_HOT
#else
#define SG_HOT __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
#define SG_INLINE static inline __attribute__((always_inline))

/* Without these two, loops with square roots and comparisons of floats are not vectorised. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-math-errno", "no-trapping-math")
#endif

#define SG_EVERY_LANE _Pragma("GCC ivdep") for (int l = 0; l < SG_LANES; l++)

SG_INLINE uint32_t *sg_p32(const sg_warp *w, sg_slot s) {
    return __builtin_assume_aligned(sg_u32(w, s), 64);
}
SG_INLINE uint64_t *sg_p64(const sg_warp *w, sg_slot s) {
    return __builtin_assume_aligned(sg_u64(w, s), 64);
}

SG_INLINE float sg_as_f32(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
SG_INLINE uint32_t sg_bits32(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}
SG_INLINE double sg_as_f64(uint64_t bits) {
    double f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
SG_INLINE uint64_t sg_bits64(double f) {
    uint64_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

SG_INLINE float sg_f32_of_half(uint16_t half) {
    uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 31, part = half & 1023;
    union {
        uint32_t u;
        float f;
    } bits;
    if (exponent == 0) {
        bits.f = (float)part * 0x1p-24f;
        bits.u |= sign;
        return bits.f;
    }
    bits.u = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | part << 13;
    return bits.f;
}

/* Sets dest[l], an array of T, to `value` (an expression of l) where the lane runs. */
#define SG_SET(T, dest, lanes, value)                               \
    do {                                                            \
        if ((lanes) == UINT32_MAX) {                                \
            SG_EVERY_LANE(dest)[l] = (T)(value);                    \
        } else {                                                    \
            SG_EVERY_LANE {                                         \
                T result_ = (T)(value);                             \
                (dest)[l] = (lanes) >> l & 1 ? result_ : (dest)[l]; \
            }                                                       \
        }                                                           \
    } while (0)
/* Predicates are one word: gathers the bit `value` of every lane. */
#define SG_SET_PRED(dest, lanes, value)                     \
    do {                                                    \
        uint32_t bits_ = 0;                                 \
        for (int l = 0; l < SG_LANES; l++)                  \
            bits_ |= (uint32_t)((value) != 0) << l;         \
        *(dest) = (*(dest) & ~(lanes)) | (bits_ & (lanes)); \
    } while (0)

/* ---- Binding. Each returns NULL or why it refuses. */

/* Destination and sources in the order of the operands, all of these classes; sources are the
 * operands after the first. */
const char *sg_bind_plain(sg_op *op, const sg_instruction *in, sg_binder *binder, sg_class dest,
                          sg_class source, int sources);
const char *sg_refuse_modifier(void);
const char *sg_refuse_operands(void);
/* Was every modifier used up? NULL or the refusal. */
const char *sg_all_taken(const sg_instruction *in, int at);
/* The type that the last modifier names. */
sg_type sg_last_type(const sg_instruction *in);

static inline bool sg_is_float_type(sg_type t) {
    return t == SG_T_F16 || t == SG_T_BF16 || t == SG_T_F32 || t == SG_T_F16X2 ||
           t == SG_T_BF16X2 || t == SG_T_TF32 || t == SG_T_F64;
}
static inline bool sg_is_signed_type(sg_type t) {
    return t == SG_T_S8 || t == SG_T_S16 || t == SG_T_S32 || t == SG_T_S64;
}

/* In control.c's table. */
sg_bind sg_bind_bar, sg_bind_barrier;
/* Opcodes whose integers and floats are in different files. */
sg_bind sg_bind_float_arithmetic;
void sg_no_handler(sg_warp *warp, const sg_op *op, uint32_t lanes); /* does nothing */

#endif
