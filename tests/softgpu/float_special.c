/* Quotients, roots, exponentials and their like; see float.h for how exact. */
#include "tests/softgpu/float.h"

#define HANDLER(name) static SG_HOT void name(sg_warp *warp, const sg_op *op, uint32_t lanes)
#define F32(name, ...)                                                       \
    HANDLER(name) {                                                          \
        const uint32_t *a_ = sg_p32(warp, op->source[0]),                    \
                       *b_ = sg_p32(warp, op->source[op->source_count - 1]); \
        uint32_t *d_ = sg_p32(warp, op->dest[0]);                            \
        SG_SET(uint32_t, d_, lanes, ({                                       \
                   const float x = sg_as_f32(a_[l]), y = sg_as_f32(b_[l]);   \
                   (void)y;                                                  \
                   sg_bits32(sg_canonical(__VA_ARGS__));                     \
               }));                                                          \
    }
/* The same with subnormals flushed before and after. */
#define F32_FTZ(name, ...)                                                                     \
    HANDLER(name) {                                                                            \
        const uint32_t *a_ = sg_p32(warp, op->source[0]),                                      \
                       *b_ = sg_p32(warp, op->source[op->source_count - 1]);                   \
        uint32_t *d_ = sg_p32(warp, op->dest[0]);                                              \
        SG_SET(uint32_t, d_, lanes, ({                                                         \
                   const float x = sg_flush(sg_as_f32(a_[l])), y = sg_flush(sg_as_f32(b_[l])); \
                   (void)y;                                                                    \
                   sg_bits32(sg_flush(sg_canonical(__VA_ARGS__)));                             \
               }));                                                                            \
    }
#define BOTH(name, ...)    \
    F32(name, __VA_ARGS__) \
    F32_FTZ(name##_ftz, __VA_ARGS__)

/* 2^x: whole part into the exponent, the rest by the series of e^(r ln 2), |r| <= 1/2. */
SG_INLINE double power_of_two(double x) {
    const double shifter = 0x1.8p52;
    const double bounded = x > 1000 ? 1000 : x < -1000 ? -1000 : x; /* NaN stays */
    const double moved = bounded + shifter, whole = moved - shifter;
    const double r = (bounded - whole) * 0.693147180559945309417;
    double sum = 1.0 / 479001600;
    sum = sum * r + 1.0 / 39916800;
    sum = sum * r + 1.0 / 3628800;
    sum = sum * r + 1.0 / 362880;
    sum = sum * r + 1.0 / 40320;
    sum = sum * r + 1.0 / 5040;
    sum = sum * r + 1.0 / 720;
    sum = sum * r + 1.0 / 120;
    sum = sum * r + 1.0 / 24;
    sum = sum * r + 1.0 / 6;
    sum = sum * r + 0.5;
    sum = sum * r + 1;
    sum = sum * r + 1;
    /* The low bits of `moved` are the whole part. */
    const uint64_t scale = (sg_bits64(moved) + 1023) << 52;
    return x != x ? x : sum * sg_as_f64(scale);
}
/* log2: exponent, and the series of 2 artanh((m - 1) / (m + 1)), m in [sqrt 1/2, sqrt 2]. */
SG_INLINE double log_of_two(double x) {
    const uint64_t bits = sg_bits64(x), half = 0x3fe6a09e667f3bcdull;
    const uint64_t above = bits - half;
    const int64_t exponent = (int64_t)above >> 52;
    const double m = sg_as_f64(bits - ((uint64_t)exponent << 52));
    const double s = (m - 1) / (m + 1), q = s * s;
    double sum = 1.0 / 19;
    sum = sum * q + 1.0 / 17;
    sum = sum * q + 1.0 / 15;
    sum = sum * q + 1.0 / 13;
    sum = sum * q + 1.0 / 11;
    sum = sum * q + 1.0 / 9;
    sum = sum * q + 1.0 / 7;
    sum = sum * q + 1.0 / 5;
    sum = sum * q + 1.0 / 3;
    sum = sum * q + 1;
    const double value = (double)(int32_t)exponent + sum * s * (2 * 1.44269504088896340736);
    return x > 0 ? (x > DBL_MAX ? x : value) : x == 0 ? -INFINITY : NAN;
}

BOTH(div_f32, x / y)
BOTH(rcp_f32, 1.0f / x)
BOTH(sqrt_f32, __builtin_sqrtf(x))
BOTH(rsqrt_f32, (float)(1.0 / __builtin_sqrt((double)x)))
BOTH(ex2_f32, (float)power_of_two((double)x))
BOTH(lg2_f32, (float)log_of_two((double)x))
BOTH(sin_f32, (float)sin((double)x))
BOTH(cos_f32, (float)cos((double)x))
F32(tanh_f32, (float)tanh((double)x))

#define F64(name, ...)                                                       \
    HANDLER(name) {                                                          \
        const uint64_t *a_ = sg_p64(warp, op->source[0]),                    \
                       *b_ = sg_p64(warp, op->source[op->source_count - 1]); \
        uint64_t *d_ = sg_p64(warp, op->dest[0]);                            \
        SG_SET(uint64_t, d_, lanes, ({                                       \
                   const double x = sg_as_f64(a_[l]), y = sg_as_f64(b_[l]);  \
                   (void)y;                                                  \
                   sg_bits64(__VA_ARGS__);                                   \
               }));                                                          \
    }
F64(div_f64, x / y)
F64(rcp_f64, 1.0 / x)
F64(sqrt_f64, __builtin_sqrt(x))
F64(rsqrt_f64, 1.0 / __builtin_sqrt(x))

enum { DIV, RCP, SQRT, RSQRT, EX2, LG2, SIN, COS, TANH, SPECIALS };

/* ex2 and tanh of 16-bit floats. op->a: bf16, b: tanh, c: how many in a register. */
static void half_special(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint32_t *a = sg_u32(warp, op->source[0]);
    uint32_t *d = sg_u32(warp, op->dest[0]);
    for (int l = 0; l < SG_LANES; l++) {
        if (!(lanes >> l & 1)) continue;
        uint32_t r = 0;
        for (int i = 0; i < 16 * op->c; i += 16) {
            const uint32_t bits = a[l] >> i & 0xffff;
            const double x = (double)(op->a ? sg_f32_of_bf16(bits) : sg_f32_of_f16(bits));
            r |= sg_round_half(op->b ? tanh(x) : power_of_two(x), op->a, SG_RN) << i;
        }
        d[l] = r;
    }
}

/* Directed roundings of quotients and roots. op->a: operation, b: rounding, c: flush. */
static void directed(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    for (int l = 0; l < SG_LANES; l++) {
        if (!(lanes >> l & 1)) continue;
        float x = sg_f32(warp, op->source[0])[l],
              y = sg_f32(warp, op->source[op->source_count - 1])[l];
        if (op->c) {
            x = sg_flush(x);
            y = sg_flush(y);
        }
        /* What is no f32 is at least 2^-49 of itself away from any: the double is on the right
         * side. */
        const double exact = op->a == DIV   ? (double)x / (double)y
                             : op->a == RCP ? 1.0 / (double)y
                                            : sqrt((double)y);
        float r = sg_round_f32(exact, (sg_rounding)op->b);
        if (op->c) r = sg_flush(r);
        sg_u32(warp, op->dest[0])[l] = sg_bits32(sg_canonical(r));
    }
}

static const char *bind_half(sg_op *op, const sg_instruction *in, sg_binder *binder, int which,
                             sg_type type, bool ftz) {
    op->a = type == SG_T_BF16 || type == SG_T_BF16X2;
    op->b = which == TANH;
    op->c = type == SG_T_F16X2 || type == SG_T_BF16X2 ? 2 : 1;
    if (which != EX2 && which != TANH) return sg_refuse_modifier();
    if (ftz != (which == EX2 && op->a)) return sg_refuse_modifier(); /* bf16 is always .ftz */
    op->run = half_special;
    return sg_bind_plain(op, in, binder, SG_SLOT_32, SG_SLOT_32, 1);
}

const char *sg_bind_special(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    static const char *const names[] = {"div", "rcp", "sqrt", "rsqrt", "ex2",
                                        "lg2", "sin", "cos",  "tanh"};
    static sg_handler *const table[SPECIALS][3] = {{div_f32, div_f32_ftz, div_f64},
                                                   {rcp_f32, rcp_f32_ftz, rcp_f64},
                                                   {sqrt_f32, sqrt_f32_ftz, sqrt_f64},
                                                   {rsqrt_f32, rsqrt_f32_ftz, rsqrt_f64},
                                                   {ex2_f32, ex2_f32_ftz, NULL},
                                                   {lg2_f32, lg2_f32_ftz, NULL},
                                                   {sin_f32, sin_f32_ftz, NULL},
                                                   {cos_f32, cos_f32_ftz, NULL},
                                                   {tanh_f32, NULL, NULL}};
    int at = 0, which = 0;
    while (which < SPECIALS && strcmp(in->opcode, names[which]))
        which++;
    if (which == SPECIALS) return sg_refuse_modifier();
    sg_rounding how = SG_RN;
    const bool approximate =
        sg_take(in, &at, "approx") || (which == DIV && sg_take(in, &at, "full"));
    /* Only quotients and roots have exact forms; rsqrt and the like only approximate ones. */
    if (!approximate && (which > SQRT || !sg_take_rounding(in, &at, &how)))
        return sg_refuse_modifier();
    const bool ftz = sg_take(in, &at, "ftz");
    const sg_type type = sg_take_type(in, &at);
    if (at != in->modifier_count) return sg_refuse_modifier();
    op->kind = SG_K_SPECIAL;
    const int sources = which == DIV ? 2 : 1;
    if (type == SG_T_F64) {
        if (ftz || how != SG_RN || approximate != (which == RSQRT) || !table[which][2])
            return sg_refuse_modifier();
        op->run = table[which][2];
        return sg_bind_plain(op, in, binder, SG_SLOT_64, SG_SLOT_64, sources);
    }
    if (type != SG_T_F32) return bind_half(op, in, binder, which, type, ftz);
    if (!table[which][ftz]) return sg_refuse_modifier();
    op->run = table[which][ftz];
    if (how != SG_RN) {
        op->run = directed;
        op->a = which;
        op->b = how;
        op->c = ftz;
    }
    return sg_bind_plain(op, in, binder, SG_SLOT_32, SG_SLOT_32, sources);
}
