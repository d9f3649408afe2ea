/* Arithmetic of f32 and f64. Each instruction has a quick handler for round-to-nearest without
 * modifiers, and one that does the rest. */
#include "tests/softgpu/float.h"

float sg_round_f32(double x, sg_rounding how) {
    const float nearest = (float)x;
    const double back = (double)nearest;
    if (how == SG_RN || back == x || x != x) return nearest;
    const bool down = how == SG_RM || (how == SG_RZ && x > 0), up = how == SG_RP || how == SG_RZ;
    if (down && back > x) return nextafterf(nearest, -INFINITY);
    if (!down && up && back < x) return nextafterf(nearest, INFINITY);
    return nearest;
}

uint32_t sg_round_half(double x, bool bf16, sg_rounding how) {
    const int part_bits = bf16 ? 7 : 10, least = bf16 ? -126 : -14;
    const uint32_t infinity = bf16 ? 0x7f80 : 0x7c00, sign = signbit(x) ? 0x8000 : 0;
    if (x != x) return 0x7fff;
    if (isinf(x)) return sign | infinity;
    if (x == 0) return sign;
    int exponent;
    frexp(x, &exponent);
    exponent = exponent - 1 < least ? least : exponent - 1;
    const double scaled = ldexp(fabs(x), part_bits - exponent);
    double whole = floor(scaled);
    const double rest = scaled - whole;
    const bool away = how == SG_RP ? !sign : how == SG_RM ? sign != 0 : false;
    if (how == SG_RN    ? rest > 0.5 || (rest == 0.5 && fmod(whole, 2) == 1)
        : how == SG_RNA ? rest >= 0.5
                        : rest > 0 && away)
        whole += 1;
    /* A subnormal's exponent field is 0, and adding the implicit bit makes it 1. */
    const uint64_t bits = ((uint64_t)(exponent - least) << part_bits) + (uint64_t)whole;
    if (bits < infinity) return sign | (uint32_t)bits;
    return sign | (how == SG_RN || how == SG_RNA || away ? infinity : infinity - 1);
}

bool sg_take_rounding(const sg_instruction *in, int *at, sg_rounding *how) {
    static const char *const names[] = {"rn", "rz", "rm", "rp"};
    for (int i = 0; i < 4; i++)
        if (sg_take(in, at, names[i])) {
            *how = (sg_rounding)i;
            return true;
        }
    return false;
}

#define HANDLER(name) static SG_HOT void name(sg_warp *warp, const sg_op *op, uint32_t lanes)
/* value: of x, y (and z) from the sources; unused ones are the last source. */
#define F32(name, ...)                                                                           \
    HANDLER(name) {                                                                              \
        const int last_ = op->source_count - 1;                                                  \
        const uint32_t *a_ = sg_p32(warp, op->source[0]),                                        \
                       *b_ = sg_p32(warp, op->source[last_ > 0 ? 1 : 0]),                        \
                       *c_ = sg_p32(warp, op->source[last_]);                                    \
        uint32_t *d_ = sg_p32(warp, op->dest[0]);                                                \
        SG_SET(uint32_t, d_, lanes, ({                                                           \
                   const float x = sg_as_f32(a_[l]), y = sg_as_f32(b_[l]), z = sg_as_f32(c_[l]); \
                   (void)y;                                                                      \
                   (void)z;                                                                      \
                   sg_bits32(__VA_ARGS__);                                                       \
               }));                                                                              \
    }
#define F64(name, ...)                                                                            \
    HANDLER(name) {                                                                               \
        const int last_ = op->source_count - 1;                                                   \
        const uint64_t *a_ = sg_p64(warp, op->source[0]),                                         \
                       *b_ = sg_p64(warp, op->source[last_ > 0 ? 1 : 0]),                         \
                       *c_ = sg_p64(warp, op->source[last_]);                                     \
        uint64_t *d_ = sg_p64(warp, op->dest[0]);                                                 \
        SG_SET(uint64_t, d_, lanes, ({                                                            \
                   const double x = sg_as_f64(a_[l]), y = sg_as_f64(b_[l]), z = sg_as_f64(c_[l]); \
                   (void)y;                                                                       \
                   (void)z;                                                                       \
                   sg_bits64(__VA_ARGS__);                                                        \
               }));                                                                               \
    }

F32(add_f32, sg_canonical(x + y))
F32(sub_f32, sg_canonical(x - y))
F32(mul_f32, sg_canonical(x *y))
F32(fma_f32, sg_canonical(__builtin_fmaf(x, y, z)))
F64(add_f64, x + y)
F64(sub_f64, x - y)
F64(mul_f64, x *y)
F64(fma_f64, __builtin_fma(x, y, z))

enum { ADD, SUB, MUL, FMA };

/* op->a: flags, b: rounding, c: operation. */
static void f32_with_modifiers(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const int last = op->source_count - 1;
    for (int l = 0; l < SG_LANES; l++) {
        if (!(lanes >> l & 1)) continue;
        float x = sg_f32(warp, op->source[0])[l], y = sg_f32(warp, op->source[1])[l],
              z = sg_f32(warp, op->source[last])[l];
        if (op->a & SG_FTZ) {
            x = sg_flush(x);
            y = sg_flush(y);
            z = sg_flush(z);
        }
        float r;
        if (op->b == SG_RN) {
            r = op->c == ADD ? x + y : op->c == SUB ? x - y : op->c == MUL ? x * y : fmaf(x, y, z);
        } else {
            const double a = (double)x, b = (double)y;
            r = sg_round_f32(op->c == ADD   ? sg_odd_sum(a, b)
                             : op->c == SUB ? sg_odd_sum(a, -b)
                             : op->c == MUL ? a * b
                                            : sg_odd_sum(a * b, (double)z),
                             (sg_rounding)op->b);
        }
        if (op->a & SG_FTZ) r = sg_flush(r);
        if (op->a & SG_SAT) r = sg_saturate(r);
        sg_u32(warp, op->dest[0])[l] = sg_bits32(sg_canonical(r));
    }
}
/* .ftz alone is frequent enough to be quick. */
F32(add_ftz, sg_flush(sg_canonical(sg_flush(x) + sg_flush(y))))
F32(sub_ftz, sg_flush(sg_canonical(sg_flush(x) - sg_flush(y))))
F32(mul_ftz, sg_flush(sg_canonical(sg_flush(x) * sg_flush(y))))
F32(fma_ftz, sg_flush(sg_canonical(__builtin_fmaf(sg_flush(x), sg_flush(y), sg_flush(z)))))

/* The other one if one is NaN; -0 is less than 0. */
SG_INLINE float lesser(float x, float y) {
    const float zeros = sg_as_f32(sg_bits32(x) | sg_bits32(y));
    const float r = x < y ? x : x == y ? (x == 0 ? zeros : x) : y;
    return y != y ? sg_canonical(x) : r;
}
SG_INLINE float greater(float x, float y) {
    const float zeros = sg_as_f32(sg_bits32(x) & sg_bits32(y));
    const float r = x > y ? x : x == y ? (x == 0 ? zeros : x) : y;
    return y != y ? sg_canonical(x) : r;
}
SG_INLINE float or_nan(float r, float x, float y) {
    return x != x || y != y ? sg_as_f32(SG_NAN32) : r;
}
F32(min_f32, lesser(x, y))
F32(max_f32, greater(x, y))
F32(min_nan, or_nan(lesser(x, y), x, y))
F32(max_nan, or_nan(greater(x, y), x, y))
F32(min_ftz, lesser(sg_flush(x), sg_flush(y)))
F32(max_ftz, greater(sg_flush(x), sg_flush(y)))
F32(min_ftz_nan, or_nan(lesser(sg_flush(x), sg_flush(y)), x, y))
F32(max_ftz_nan, or_nan(greater(sg_flush(x), sg_flush(y)), x, y))
F64(min_f64, x != x ? y : y != y ? x : x < y || (x == y && signbit(x)) ? x : y)
F64(max_f64, x != x ? y : y != y ? x : x > y || (x == y && !signbit(x)) ? x : y)

F32(abs_f32, sg_as_f32(sg_bits32(x) & 0x7fffffffu))
F32(neg_f32, sg_as_f32(sg_bits32(x) ^ 0x80000000u))
F32(abs_ftz, sg_as_f32(sg_bits32(sg_flush(x)) & 0x7fffffffu))
F32(neg_ftz, sg_as_f32(sg_bits32(sg_flush(x)) ^ 0x80000000u))
F64(abs_f64, sg_as_f64(sg_bits64(x) & INT64_MAX))
F64(neg_f64, sg_as_f64(sg_bits64(x) ^ 1ull << 63))
/* The sign of the first, the rest of the second. */
F32(copysign_f32, sg_as_f32((sg_bits32(x) & 0x80000000u) | (sg_bits32(y) & 0x7fffffffu)))
F64(copysign_f64, sg_as_f64((sg_bits64(x) & 1ull << 63) | (sg_bits64(y) & INT64_MAX)))

/* ---- Binding. */

static const char *use(sg_op *op, const sg_instruction *in, sg_binder *binder, sg_handler *run,
                       sg_type type, int sources) {
    op->run = run;
    op->kind = SG_K_FLOAT;
    const sg_class class = sg_type_class(type);
    return sg_bind_plain(op, in, binder, class, class, sources);
}

static const char *bind_rounded(sg_op *op, const sg_instruction *in, sg_binder *binder, int which) {
    static sg_handler *const plain[] = {add_f32, sub_f32, mul_f32, fma_f32};
    static sg_handler *const ftz[] = {add_ftz, sub_ftz, mul_ftz, fma_ftz};
    static sg_handler *const wide[] = {add_f64, sub_f64, mul_f64, fma_f64};
    const int sources = which == FMA ? 3 : 2;
    sg_rounding how = SG_RN;
    int at = 0, flags = 0;
    if (!sg_take_rounding(in, &at, &how) && which == FMA) return "it needs a rounding";
    if (sg_take(in, &at, "ftz")) flags |= SG_FTZ;
    if (sg_take(in, &at, "sat")) flags |= SG_SAT;
    const sg_type type = sg_take_type(in, &at);
    if (at != in->modifier_count) return sg_refuse_modifier();
    if (type == SG_T_F64) {
        if (flags || how != SG_RN) return sg_refuse_modifier();
        return use(op, in, binder, wide[which], type, sources);
    }
    if (type != SG_T_F32) return sg_refuse_modifier();
    op->a = flags;
    op->b = how;
    op->c = which;
    sg_handler *run = f32_with_modifiers;
    if (how == SG_RN && !flags) run = plain[which];
    if (how == SG_RN && flags == SG_FTZ) run = ftz[which];
    return use(op, in, binder, run, type, sources);
}

static const char *bind_min_max(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    static sg_handler *const table[2][4] = {{min_f32, min_ftz, min_nan, min_ftz_nan},
                                            {max_f32, max_ftz, max_nan, max_ftz_nan}};
    const bool is_max = in->opcode[1] == 'a';
    int at = 0;
    const bool ftz = sg_take(in, &at, "ftz"), nan = sg_take(in, &at, "NaN");
    const sg_type type = sg_take_type(in, &at);
    if (at != in->modifier_count) return sg_refuse_modifier();
    if (type == SG_T_F64 && !ftz && !nan)
        return use(op, in, binder, is_max ? max_f64 : min_f64, type, 2);
    if (type != SG_T_F32) return sg_refuse_modifier();
    return use(op, in, binder, table[is_max][ftz + 2 * nan], type, 2);
}

static const char *bind_sign(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    const bool is_abs = in->opcode[0] == 'a';
    int at = 0;
    const bool ftz = sg_take(in, &at, "ftz");
    const sg_type type = sg_take_type(in, &at);
    if (at != in->modifier_count || (type == SG_T_F64 && ftz)) return sg_refuse_modifier();
    if (type == SG_T_F64) return use(op, in, binder, is_abs ? abs_f64 : neg_f64, type, 1);
    if (type != SG_T_F32) return sg_refuse_modifier();
    return use(op, in, binder, ftz ? (is_abs ? abs_ftz : neg_ftz) : (is_abs ? abs_f32 : neg_f32),
               type, 1);
}

const char *sg_bind_float_arithmetic(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    const sg_type type = sg_last_type(in);
    const char *name = in->opcode;
    if (!strcmp(name, "div")) return sg_bind_special(op, in, binder);
    if (type != SG_T_F32 && type != SG_T_F64) return sg_bind_half(op, in, binder);
    if (!strcmp(name, "add")) return bind_rounded(op, in, binder, ADD);
    if (!strcmp(name, "sub")) return bind_rounded(op, in, binder, SUB);
    if (!strcmp(name, "mul")) return bind_rounded(op, in, binder, MUL);
    if (!strcmp(name, "fma") || !strcmp(name, "mad")) return bind_rounded(op, in, binder, FMA);
    if (!strcmp(name, "min") || !strcmp(name, "max")) return bind_min_max(op, in, binder);
    if (!strcmp(name, "abs") || !strcmp(name, "neg")) return bind_sign(op, in, binder);
    return sg_refuse_modifier();
}

static const char *bind_copysign(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    const sg_type type = sg_take_type(in, &at);
    if (at != in->modifier_count || (type != SG_T_F32 && type != SG_T_F64))
        return sg_refuse_modifier();
    return use(op, in, binder, type == SG_T_F32 ? copysign_f32 : copysign_f64, type, 2);
}

const sg_family sg_float_family[] = {{"fma", sg_bind_float_arithmetic},
                                     {"copysign", bind_copysign},
                                     {"rcp", sg_bind_special},
                                     {"sqrt", sg_bind_special},
                                     {"rsqrt", sg_bind_special},
                                     {"ex2", sg_bind_special},
                                     {"lg2", sg_bind_special},
                                     {"sin", sg_bind_special},
                                     {"cos", sg_bind_special},
                                     {"tanh", sg_bind_special},
                                     {NULL, NULL}};
