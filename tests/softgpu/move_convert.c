/* cvt: between any two types. The usual conversions have vector handlers; the others go lane by
 * lane through a double or a 64-bit integer, which hold every value exactly. */
#include "tests/softgpu/binder.h"
#include "tests/softgpu/float.h"
#include "tests/softgpu/move.h"

#define HANDLER(name) static SG_HOT void name(sg_warp *warp, const sg_op *op, uint32_t lanes)
#define CONVERT(name, D, S, ...)                                  \
    HANDLER(name) {                                               \
        const uint##S##_t *a_ = sg_p##S(warp, op->source[0]);     \
        SG_SET(uint##D##_t, sg_p##D(warp, op->dest[0]), lanes, ({ \
                   const uint##S##_t x = a_[l];                   \
                   (__VA_ARGS__);                                 \
               }));                                               \
    }

/* ---- Integers: cut the source to its type, extend by its sign, cut to the destination. */

#define TO_ALL(from, S, T)                     \
    CONVERT(u16_##from, 32, S, (uint16_t)(T)x) \
    CONVERT(u32_##from, 32, S, (uint32_t)(T)x) \
    CONVERT(u64_##from, 64, S, (uint64_t)(T)x) \
    CONVERT(f32_##from, 32, S, sg_bits32((float)(T)x))
TO_ALL(u8, 32, uint8_t)
TO_ALL(s8, 32, int8_t)
TO_ALL(u16, 32, uint16_t)
TO_ALL(s16, 32, int16_t)
TO_ALL(u32, 32, uint32_t)
TO_ALL(s32, 32, int32_t)
TO_ALL(u64, 64, uint64_t)
TO_ALL(s64, 64, int64_t)
/* What is converted may stand in a wider register. */
TO_ALL(wide_u32, 64, uint32_t)
TO_ALL(wide_s32, 64, int32_t)
#define ROW(from) \
    { u16_##from, u32_##from, u64_##from, f32_##from }
static sg_handler *const of_integer[8][4] = {ROW(u8),  ROW(s8),  ROW(u16), ROW(s16),
                                             ROW(u32), ROW(s32), ROW(u64), ROW(s64)};
static sg_handler *const of_wide[2][4] = {ROW(wide_u32), ROW(wide_s32)};
static int integer_row(sg_type type) {
    switch (type) {
    case SG_T_U8:
        return 0;
    case SG_T_S8:
        return 1;
    case SG_T_U16:
        return 2;
    case SG_T_S16:
        return 3;
    case SG_T_U32:
        return 4;
    case SG_T_S32:
        return 5;
    case SG_T_U64:
        return 6;
    case SG_T_S64:
        return 7;
    default:
        return -1;
    }
}

/* ---- The usual ones with floats. */

#define F(bits) sg_as_f32(bits)
/* Bounded first: what does not fit is the nearest that does, NaN is 0. */
CONVERT(s32_f32_rz, 32, 32, ({
            const float f = F(x);
            const float low = f >= -0x1p31f ? f : -0x1p31f,
                        in = low < 0x1p31f ? low : 0x1.fffffep30f;
            f != f ? 0u : f >= 0x1p31f ? 0x7fffffffu : (uint32_t)(int32_t)in;
        }))
CONVERT(u32_f32_rz, 32, 32, ({
            const float f = F(x);
            const float low = f > 0 ? f : 0, in = low < 0x1p32f ? low : 0x1.fffffep31f;
            f != f ? 0u : f >= 0x1p32f ? UINT32_MAX : (uint32_t)in;
        }))
CONVERT(u64_f32_rz, 64, 32, ({
            const float f = F(x);
            f != f ? 1ull << 63 : !(f > 0) ? 0ull : f >= 0x1p64f ? UINT64_MAX : (uint64_t)f;
        }))
CONVERT(f32_rz, 32, 32, sg_bits32(sg_canonical(__builtin_truncf(F(x)))))
CONVERT(f32_rm, 32, 32, sg_bits32(sg_canonical(__builtin_floorf(F(x)))))
CONVERT(f32_rp, 32, 32, sg_bits32(sg_canonical(__builtin_ceilf(F(x)))))
CONVERT(f32_rn, 32, 32, sg_bits32(sg_canonical(__builtin_rintf(F(x)))))
CONVERT(bf16_f32, 32, 32, sg_bf16_of_f32(F(x)))
CONVERT(f16_f32, 32, 32, sg_f16_of_f32(F(x)))
CONVERT(f32_bf16, 32, 32, sg_bits32(sg_canonical(sg_f32_of_bf16(x))))
CONVERT(f32_f16, 32, 32, sg_bits32(sg_canonical(sg_f32_of_f16(x))))
CONVERT(f64_f32, 64, 32, sg_bits64((double)F(x)))
CONVERT(f32_f64, 32, 64, sg_bits32(sg_canonical((float)sg_as_f64(x))))
/* Ties away from zero: half of the last place is added to the magnitude. */
CONVERT(tf32_f32, 32, 32,
        (x & 0x7fffffffu) > 0x7f800000u    ? SG_NAN32
        : (x & 0x7f800000u) == 0x7f800000u ? x
                                           : (x + 0x1000u) & 0xffffe000u)

#define PAIR(name, convert)                                                                     \
    HANDLER(name) {                                                                             \
        const uint32_t *high = sg_p32(warp, op->source[0]), *low = sg_p32(warp, op->source[1]); \
        SG_SET(uint32_t, sg_p32(warp, op->dest[0]), lanes,                                      \
               convert(F(high[l])) << 16 | convert(F(low[l])));                                 \
    }
PAIR(bf16x2_f32, sg_bf16_of_f32)
PAIR(f16x2_f32, sg_f16_of_f32)

/* ---- All the others. */

typedef struct conversion { /* packed into op->a: from, to; op->b: rounding; op->c: flags */
    sg_type from, to;
    sg_rounding how;
    bool to_integral, ftz, sat, relu;
} conversion;
enum { TO_INTEGRAL = 16 };

static conversion conversion_of(const sg_op *op) {
    return (conversion){.from = (sg_type)(op->a & 255),
                        .to = (sg_type)(op->a >> 8 & 255),
                        .how = (sg_rounding)op->b,
                        .to_integral = op->c & TO_INTEGRAL,
                        .ftz = op->c & SG_FTZ,
                        .sat = op->c & SG_SAT,
                        .relu = op->c & SG_RELU};
}

static __int128 integer_of(uint64_t bits, sg_type type) {
    switch (type) {
    case SG_T_U8:
        return (uint8_t)bits;
    case SG_T_S8:
        return (int8_t)bits;
    case SG_T_U16:
        return (uint16_t)bits;
    case SG_T_S16:
        return (int16_t)bits;
    case SG_T_U32:
        return (uint32_t)bits;
    case SG_T_S32:
        return (int32_t)bits;
    case SG_T_U64:
        return bits;
    default:
        return (int64_t)bits;
    }
}

static double real_of(uint64_t bits, sg_type type) {
    switch (type) {
    case SG_T_F64:
        return sg_as_f64(bits);
    case SG_T_BF16:
        return (double)sg_f32_of_bf16((uint32_t)bits & 0xffff);
    case SG_T_F16:
        return (double)sg_f32_of_f16((uint32_t)bits & 0xffff);
    default:
        return (double)sg_as_f32((uint32_t)bits);
    }
}

static double integral(double x, sg_rounding how) {
    return how == SG_RN ? rint(x) : how == SG_RZ ? trunc(x) : how == SG_RM ? floor(x) : ceil(x);
}

/* The nearest value that the type can hold. */
static uint64_t clamp(__int128 x, sg_type type) {
    const int bits = sg_type_bytes(type) * 8;
    const bool is_signed = sg_is_signed_type(type);
    const __int128 one = 1, most = (one << (is_signed ? bits - 1 : bits)) - 1,
                   least = is_signed ? -(one << (bits - 1)) : 0;
    return (uint64_t)(x > most ? most : x < least ? least : x);
}

static uint64_t to_integer(double x, conversion c) {
    if (x != x) {
        const bool wide = sg_type_bytes(c.to) == 8 || c.from == SG_T_F64;
        return wide ? 1ull << (sg_type_bytes(c.to) * 8 - 1) : 0;
    }
    const double whole = integral(x, c.how);
    return clamp(whole > 0x1p66    ? (__int128)1 << 66
                 : whole < -0x1p66 ? -((__int128)1 << 66)
                                   : (__int128)whole,
                 c.to);
}

static uint64_t to_real(double x, conversion c) {
    if (c.sat) x = x > 0 ? (x < 1 ? x : 1) : 0;
    if (c.relu && !(x > 0)) x = x != x ? x : 0;
    switch (c.to) {
    case SG_T_F64:
        return sg_bits64(x);
    case SG_T_F32: {
        const float r = sg_canonical(sg_round_f32(x, c.how));
        return sg_bits32(c.ftz ? sg_flush(r) : r);
    }
    case SG_T_TF32: {
        uint32_t bits = sg_bits32(sg_canonical((float)x)), part = bits & 0x1fff;
        if (x != x || isinf(x)) return bits;
        const bool up =
            c.how == SG_RNA ? part >= 0x1000 : part > 0x1000 || (part == 0x1000 && bits >> 13 & 1);
        return (bits & ~0x1fffu) + (up ? 0x2000u : 0);
    }
    default:
        return sg_round_half(x, c.to == SG_T_BF16, c.how);
    }
}

/* An integer of 64 bits may be no double; its rounding is that of a double with its last bit set
 * where something was lost. */
static double odd_of(__int128 x) {
    const bool negative = x < 0;
    unsigned __int128 rest = negative ? 0 - (unsigned __int128)x : (unsigned __int128)x;
    int shift = 0;
    while (rest >> 53) {
        rest = rest >> 1 | (rest & 1);
        shift++;
    }
    const double value = ldexp((double)(uint64_t)rest, shift);
    return negative ? -value : value;
}

static uint64_t convert(uint64_t bits, conversion c) {
    if (!sg_is_float_type(c.from)) {
        const __int128 x = integer_of(bits, c.from);
        if (!sg_is_float_type(c.to)) return c.sat ? clamp(x, c.to) : (uint64_t)x;
        if (c.to == SG_T_F64 && c.how == SG_RN) return sg_bits64((double)x);
        return to_real(odd_of(x), c);
    }
    double x = real_of(bits, c.from);
    if (c.ftz && c.from == SG_T_F32) x = (double)sg_flush((float)x);
    if (!sg_is_float_type(c.to)) return to_integer(x, c);
    if (c.to_integral) {
        x = integral(x, c.how);
        c.how = SG_RN;
    }
    return to_real(x, c);
}

/* op->offset: bits of the destination register that the result fills. */
static void convert_any(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const conversion c = conversion_of(op);
    const bool wide_from = (op->source[0] & 3) == SG_SLOT_64;
    const bool wide_to = (op->dest[0] & 3) == SG_SLOT_64;
    const int type_bits = sg_type_bytes(c.to) * 8;
    /* A narrow integer in a wider register has its sign above it. */
    for (int l = 0; l < SG_LANES; l++) {
        if (!(lanes >> l & 1)) continue;
        uint64_t r =
            convert(wide_from ? sg_u64(warp, op->source[0])[l] : sg_u32(warp, op->source[0])[l], c);
        if (op->source_count > 1) { /* a pair; the second is the lower half */
            r = r << 16 | convert(sg_u32(warp, op->source[1])[l], c);
        } else if (type_bits < 64) {
            r &= (1ull << type_bits) - 1;
            if (sg_is_signed_type(c.to) && r >> (type_bits - 1))
                r |= UINT64_MAX << type_bits & (UINT64_MAX >> (64 - op->offset));
        }
        if (wide_to)
            sg_u64(warp, op->dest[0])[l] = r;
        else
            sg_u32(warp, op->dest[0])[l] = (uint32_t)r;
    }
}

/* ---- Binding. */

static bool take_mode(const sg_instruction *in, int *at, sg_rounding *how, bool *to_integral) {
    static const char *const whole[] = {"rni", "rzi", "rmi", "rpi"};
    *to_integral = false;
    if (sg_take_rounding(in, at, how)) return true;
    if (sg_take(in, at, "rna")) {
        *how = SG_RNA;
        return true;
    }
    for (int i = 0; i < 4; i++)
        if (sg_take(in, at, whole[i])) {
            *how = (sg_rounding)i;
            *to_integral = true;
            return true;
        }
    return false;
}

/* A quick handler, or NULL. */
static sg_handler *quick(conversion c) {
    static sg_handler *const to_whole[] = {f32_rn, f32_rz, f32_rm, f32_rp};
    const int from = integer_row(c.from), to = integer_row(c.to);
    if (c.ftz || c.sat || c.relu) return NULL;
    if (from >= 0 && to >= 2) return of_integer[from][to / 2 - 1];
    if (from >= 0 && c.to == SG_T_F32 && c.how == SG_RN) return of_integer[from][3];
    if (c.from == SG_T_F32) {
        if (c.to == SG_T_S32 && c.how == SG_RZ) return s32_f32_rz;
        if (c.to == SG_T_U32 && c.how == SG_RZ) return u32_f32_rz;
        if (c.to == SG_T_U64 && c.how == SG_RZ) return u64_f32_rz;
        if (c.to == SG_T_F32 && c.to_integral) return to_whole[c.how];
        if (c.to == SG_T_F64) return f64_f32;
        if (c.to == SG_T_BF16 && c.how == SG_RN) return bf16_f32;
        if (c.to == SG_T_F16 && c.how == SG_RN) return f16_f32;
        if (c.to == SG_T_TF32 && c.how == SG_RNA) return tf32_f32;
    }
    if (c.to == SG_T_F32) {
        if (c.from == SG_T_BF16) return f32_bf16;
        if (c.from == SG_T_F16) return f32_f16;
        if (c.from == SG_T_F64 && c.how == SG_RN && !c.to_integral) return f32_f64;
    }
    return NULL;
}

/* Does this pair of types want, allow or forbid a rounding? */
static const char *check_mode(conversion c, bool rounded) {
    const bool from_float = sg_is_float_type(c.from), to_float = sg_is_float_type(c.to);
    if (!from_float && !to_float) return rounded ? "integers are not rounded" : NULL;
    if (from_float && !to_float)
        return rounded && c.to_integral ? NULL
                                        : "a float becomes an integer by .rni .rzi .rmi .rpi";
    if (!from_float)
        return rounded && !c.to_integral && c.how != SG_RNA ? NULL : "it needs a rounding";
    if (c.how == SG_RNA && c.to != SG_T_TF32) return "only tf32 is rounded by .rna";
    const bool narrows = sg_type_bytes(c.to) < sg_type_bytes(c.from) || c.to == SG_T_TF32 ||
                         (c.to != c.from && sg_type_bytes(c.to) == 2);
    if (narrows) return rounded && !c.to_integral ? NULL : "it needs a rounding";
    if (c.to == c.from) return !rounded || c.to_integral ? NULL : "it needs .rni and the like";
    return rounded ? "nothing is rounded here" : NULL;
}

/* The class of operand i: its type's, or 64 bits where a register of that size holds it. */
static sg_class class_of(const sg_binder *binder, const sg_instruction *in, int i, sg_type type) {
    const sg_operand *o = i < in->operand_count ? &in->operands[i] : NULL;
    const bool wide =
        o && o->kind == SG_REGISTER && binder->function->registers[o->reg].width == SG_W64;
    return wide ? SG_SLOT_64 : sg_type_class(type);
}

const char *sg_bind_convert(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    conversion c = {.how = SG_RN};
    int at = 0;
    const bool rounded = take_mode(in, &at, &c.how, &c.to_integral);
    c.relu = sg_take(in, &at, "relu");
    c.ftz = sg_take(in, &at, "ftz");
    c.sat = sg_take(in, &at, "sat");
    c.to = sg_take_type(in, &at);
    c.from = sg_take_type(in, &at);
    if (at != in->modifier_count || c.from == SG_T_NONE) return sg_refuse_modifier();
    const bool pair = c.to == SG_T_BF16X2 || c.to == SG_T_F16X2;
    op->kind = SG_K_MOVE;
    if (pair) {
        if (c.from != SG_T_F32 || !rounded || c.to_integral || c.how > SG_RZ || c.sat || c.ftz)
            return sg_refuse_modifier();
        op->run = c.to == SG_T_BF16X2 ? bf16x2_f32 : f16x2_f32;
        if (c.how != SG_RN || c.relu) op->run = convert_any;
        c.to = c.to == SG_T_BF16X2 ? SG_T_BF16 : SG_T_F16;
    } else {
        const char *why = check_mode(c, rounded);
        if (why) return why;
        if (c.from == SG_T_BF16X2 || c.from == SG_T_F16X2 || c.from == SG_T_TF32 ||
            sg_type_bytes(c.from) == 0 || sg_type_bytes(c.to) == 0 ||
            (integer_row(c.from) < 0 && !sg_is_float_type(c.from)) ||
            (integer_row(c.to) < 0 && !sg_is_float_type(c.to)))
            return sg_refuse_modifier();
        if ((c.relu && c.to != SG_T_F16 && c.to != SG_T_BF16 && c.to != SG_T_TF32) ||
            (c.ftz && c.from != SG_T_F32 && c.to != SG_T_F32))
            return sg_refuse_modifier();
        op->run = quick(c);
        if (!op->run) op->run = convert_any;
    }
    op->a = (int32_t)c.from | (int32_t)c.to << 8;
    op->b = c.how;
    op->c = (c.to_integral ? TO_INTEGRAL : 0) | (c.ftz ? SG_FTZ : 0) | (c.sat ? SG_SAT : 0) |
            (c.relu ? SG_RELU : 0);
    /* Registers may be wider than the types, not narrower. */
    const sg_class from = class_of(binder, in, 1, c.from), to = class_of(binder, in, 0, c.to);
    const bool narrow = in->operands[0].kind == SG_REGISTER &&
                        binder->function->registers[in->operands[0].reg].width == SG_W16;
    op->offset = to == SG_SLOT_64 ? 64 : narrow ? 16 : 32;
    if (from != sg_type_class(c.from) || to != sg_type_class(c.to) ||
        (!narrow && c.to == SG_T_S16)) {
        const int row = integer_row(c.from) - 4; /* u32, s32 */
        const bool known = op->run != convert_any && to == sg_type_class(c.to) &&
                           from == SG_SLOT_64 && row >= 0 && c.to != SG_T_S16;
        op->run = !known             ? convert_any
                  : c.to == SG_T_F32 ? of_wide[row][3]
                                     : of_wide[row][integer_row(c.to) / 2 - 1];
    }
    return sg_bind_plain(op, in, binder, to, from, pair ? 2 : 1);
}
