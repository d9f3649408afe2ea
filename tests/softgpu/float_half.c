/* Arithmetic of f16 and bf16, single and in pairs: computed in double from exact products and
 * rounded once. Minimum and maximum are exact. */
#include "tests/softgpu/float.h"

enum { ADD, SUB, MUL, FMA, MIN, MAX, ABS, NEG };

SG_INLINE double value_of(uint32_t bits, bool bf16, bool flush) {
    const float x = bf16 ? sg_f32_of_bf16(bits) : sg_f32_of_f16(bits);
    if (flush && !(bits & (bf16 ? 0x7f80 : 0x7c00))) return copysign(0, (double)x);
    return (double)x;
}

static bool is_nan(uint32_t bits, bool bf16) {
    return (bits & 0x7fff) > (bf16 ? 0x7f80u : 0x7c00u);
}

/* The greater (or lesser) of two, as sign and magnitude; -0 is less than 0. */
static uint32_t extreme(uint32_t x, uint32_t y, bool bf16, bool greater, bool nan) {
    const bool x_nan = is_nan(x, bf16), y_nan = is_nan(y, bf16);
    if (x_nan || y_nan) return nan || (x_nan && y_nan) ? 0x7fff : x_nan ? y : x;
    const int32_t a = x & 0x8000 ? -1 - (int32_t)(x & 0x7fff) : (int32_t)x,
                  b = y & 0x8000 ? -1 - (int32_t)(y & 0x7fff) : (int32_t)y;
    return (a > b) == greater ? x : y;
}

/* op->a: flags; b: operation; c: bf16. */
static uint32_t compute(const sg_op *op, uint32_t x, uint32_t y, uint32_t z) {
    const bool bf16 = op->c & 1, ftz = op->a & SG_FTZ;
    uint32_t r;
    switch (op->b) {
    case MIN:
    case MAX:
        r = extreme(x, y, bf16, op->b == MAX, op->a & SG_NAN);
        break;
    case ABS:
        return is_nan(x, bf16) ? 0x7fff : x & 0x7fff;
    case NEG:
        return is_nan(x, bf16) ? 0x7fff : x ^ 0x8000;
    default: {
        const double a = value_of(x, bf16, ftz), b = value_of(y, bf16, ftz),
                     c = value_of(z, bf16, ftz);
        r = sg_round_half(op->b == ADD   ? sg_odd_sum(a, b)
                          : op->b == SUB ? sg_odd_sum(a, -b)
                          : op->b == MUL ? a * b
                                         : sg_odd_sum(a * b, c),
                          bf16, SG_RN);
    }
    }
    if (ftz && !(r & (bf16 ? 0x7f80 : 0x7c00))) r &= 0x8000;
    if (is_nan(r, bf16)) return op->a & SG_SAT ? 0 : 0x7fff;
    const uint32_t one = bf16 ? 0x3f80 : 0x3c00;
    if (op->a & (SG_RELU | SG_SAT) && r & 0x8000) return 0;
    return op->a & SG_SAT && r > one ? one : r;
}

static void half(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const int last = op->source_count - 1, parts = op->c >> 1;
    const uint32_t *a = sg_u32(warp, op->source[0]),
                   *b = sg_u32(warp, op->source[last > 0 ? 1 : 0]),
                   *c = sg_u32(warp, op->source[last]);
    uint32_t *d = sg_u32(warp, op->dest[0]);
    for (int l = 0; l < SG_LANES; l++) {
        if (!(lanes >> l & 1)) continue;
        uint32_t r = 0;
        for (int i = 0; i < 16 * parts; i += 16)
            r |= compute(op, a[l] >> i & 0xffff, b[l] >> i & 0xffff, c[l] >> i & 0xffff) << i;
        d[l] = r;
    }
}

const char *sg_bind_half(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    static const char *const names[] = {"add", "sub", "mul", "fma", "min", "max", "abs", "neg"};
    int at = 0, which = 0;
    while (which < 8 && strcmp(in->opcode, names[which]))
        which++;
    if (which == 8) return sg_refuse_modifier();
    if (which <= FMA && !sg_take(in, &at, "rn") && which == FMA) return "it needs a rounding";
    if (sg_take(in, &at, "ftz")) op->a |= SG_FTZ;
    if (which <= FMA && sg_take(in, &at, "sat")) op->a |= SG_SAT;
    if (which == FMA && sg_take(in, &at, "relu")) op->a |= SG_RELU;
    if ((which == MIN || which == MAX) && sg_take(in, &at, "NaN")) op->a |= SG_NAN;
    const sg_type type = sg_take_type(in, &at);
    const bool bf16 = type == SG_T_BF16 || type == SG_T_BF16X2;
    if (at != in->modifier_count || (bf16 && op->a & SG_FTZ)) return sg_refuse_modifier();
    op->b = which;
    op->c = (type == SG_T_F16X2 || type == SG_T_BF16X2 ? 4 : 2) | bf16;
    op->run = half;
    op->kind = SG_K_FLOAT;
    return sg_bind_plain(op, in, binder, SG_SLOT_32, SG_SLOT_32,
                         which == FMA   ? 3
                         : which >= ABS ? 1
                                        : 2);
}
