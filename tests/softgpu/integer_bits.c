/* Instructions on bits: logic, shifts, fields, counting, bytes. */
#include "tests/softgpu/integer.h"

#define WIDTHS(f, name, ...)                                  \
    f(name##_16, 32, uint16_t, 32, uint16_t, __VA_ARGS__)     \
        f(name##_32, 32, uint32_t, 32, uint32_t, __VA_ARGS__) \
            f(name##_64, 64, uint64_t, 64, uint64_t, __VA_ARGS__)
#define TABLE(name) \
    static sg_handler *const name##_of[4] = {name##_pred, name##_16, name##_32, name##_64}
#define PRED(name, ...)                                                      \
    static void name(sg_warp *warp, const sg_op *op, uint32_t lanes) {       \
        const uint32_t x = *sg_pred(warp, op->source[0]),                    \
                       y = *sg_pred(warp, op->source[op->source_count - 1]); \
        uint32_t *d = sg_pred(warp, op->dest[0]);                            \
        (void)y;                                                             \
        *d = (*d & ~lanes) | ((__VA_ARGS__)&lanes);                          \
    }

WIDTHS(BINARY, and, x &y)
PRED(and_pred, x &y)
TABLE(and);
WIDTHS(BINARY, or, x | y)
PRED(or_pred, x | y)
TABLE(or);
WIDTHS(BINARY, xor, x ^ y)
PRED(xor_pred, x ^ y)
TABLE(xor);
WIDTHS(UNARY, not, ~x)
PRED(not_pred, ~x)
TABLE(not );
WIDTHS(UNARY, cnot, x == 0)

/* Index of a table by the width of .pred .b16 .b32 .b64, or -1. */
static int width_index(sg_type type) {
    switch (type) {
    case SG_T_PRED:
        return 0;
    case SG_T_B16:
        return 1;
    case SG_T_B32:
        return 2;
    case SG_T_B64:
        return 3;
    default:
        return -1;
    }
}

static const char *use(sg_op *op, sg_handler *run) {
    op->run = run;
    op->kind = SG_K_INTEGER;
    return run ? NULL : sg_refuse_modifier();
}

const char *sg_bind_logic(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    const sg_type type = sg_take_type(in, &at);
    const int index = width_index(type);
    if (index < 0 || at != in->modifier_count) return sg_refuse_modifier();
    const char *why = sg_bind_plain(op, in, binder, sg_type_class(type), sg_type_class(type), 2);
    if (why) return why;
    return use(op, in->opcode[0] == 'a'   ? and_of[index]
                   : in->opcode[0] == 'o' ? or_of[index]
                                          : xor_of[index]);
}

const char *sg_bind_not(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    static sg_handler *const cnot_of[4] = {NULL, cnot_16, cnot_32, cnot_64};
    int at = 0;
    const sg_type type = sg_take_type(in, &at);
    const int index = width_index(type);
    if (index < 0 || at != in->modifier_count) return sg_refuse_modifier();
    const char *why = sg_bind_plain(op, in, binder, sg_type_class(type), sg_type_class(type), 1);
    return why ? why : use(op, in->opcode[0] == 'n' ? not_of[index] : cnot_of[index]);
}

/* ---- Shifts: by 32-bit amounts; too far is as far as can be. */

#define SHIFT(name, D, R, T, ...)                             \
    HANDLER(name) {                                           \
        const uint##D##_t *a_ = sg_p##D(warp, op->source[0]); \
        const uint32_t *n_ = sg_p32(warp, op->source[1]);     \
        uint##D##_t *d_ = sg_p##D(warp, op->dest[0]);         \
        SG_SET(uint##D##_t, d_, lanes, ({                     \
                   const T x = (T)a_[l];                      \
                   const uint32_t n = n_[l];                  \
                   (R)(__VA_ARGS__);                          \
               }));                                           \
    }
SHIFT(shl_u16, 32, uint16_t, uint16_t, n > 15 ? 0 : (uint32_t)x << n)
SHIFT(shl_u32, 32, uint32_t, uint32_t, n > 31 ? 0 : x << n)
SHIFT(shl_u64, 64, uint64_t, uint64_t, n > 63 ? 0 : x << n)
SHIFT(shr_u16, 32, uint16_t, uint16_t, n > 15 ? 0 : x >> n)
SHIFT(shr_s16, 32, uint16_t, int16_t, x >> (n > 15 ? 15 : n))
SHIFT(shr_u32, 32, uint32_t, uint32_t, n > 31 ? 0 : x >> n)
SHIFT(shr_s32, 32, uint32_t, int32_t, x >> (n > 31 ? 31 : n))
SHIFT(shr_u64, 64, uint64_t, uint64_t, n > 63 ? 0 : x >> n)
SHIFT(shr_s64, 64, uint64_t, int64_t, x >> (n > 63 ? 63 : n))

const char *sg_bind_shift(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    static sg_handler *const left[INTEGERS] = {shl_u16, NULL, shl_u32, NULL, shl_u64, NULL};
    static sg_handler *const right[INTEGERS] = {shr_u16, shr_s16, shr_u32,
                                                shr_s32, shr_u64, shr_s64};
    const bool is_left = in->opcode[2] == 'l';
    int at = 0;
    const sg_type type = sg_take_type(in, &at);
    const int index = sg_integer_index(type);
    if (index < 0 || at != in->modifier_count || (is_left && !sg_is_bits_type(type)))
        return sg_refuse_modifier();
    if (in->operand_count != 3) return sg_refuse_operands();
    if (!sg_add_dest(binder, &in->operands[0], sg_type_class(type)) ||
        !sg_add_source(binder, &in->operands[1], sg_type_class(type)) ||
        !sg_add_source(binder, &in->operands[2], SG_SLOT_32))
        return sg_bind_error(binder);
    return use(op, is_left ? left[index] : right[index]);
}

TERNARY(funnel_left_wrap, 32, uint32_t, 32, uint32_t, uint32_t,
        (((uint64_t)y << 32 | x) << (z & 31)) >> 32)
TERNARY(funnel_left_clamp, 32, uint32_t, 32, uint32_t, uint32_t,
        (((uint64_t)y << 32 | x) << (z > 32 ? 32 : z)) >> 32)
TERNARY(funnel_right_wrap, 32, uint32_t, 32, uint32_t, uint32_t,
        ((uint64_t)y << 32 | x) >> (z & 31))
TERNARY(funnel_right_clamp, 32, uint32_t, 32, uint32_t, uint32_t,
        ((uint64_t)y << 32 | x) >> (z > 32 ? 32 : z))

const char *sg_bind_funnel(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    const bool left = sg_take(in, &at, "l");
    if (!left && !sg_take(in, &at, "r")) return sg_refuse_modifier();
    const bool wrap = sg_take(in, &at, "wrap");
    if (!wrap && !sg_take(in, &at, "clamp")) return sg_refuse_modifier();
    if (!sg_take(in, &at, "b32") || at != in->modifier_count) return sg_refuse_modifier();
    const char *why = sg_bind_plain(op, in, binder, SG_SLOT_32, SG_SLOT_32, 3);
    if (why) return why;
    return use(op, left ? (wrap ? funnel_left_wrap : funnel_left_clamp)
                        : (wrap ? funnel_right_wrap : funnel_right_clamp));
}

/* ---- Fields: `length` bits from `start` on, both cut to 8 bits; what lies past the top is not
 * there. */

SG_INLINE uint64_t field_mask(uint32_t start, uint32_t length, uint32_t width) {
    const uint32_t room = start < width ? width - start : 0, n = length < room ? length : room;
    return n > 63 ? UINT64_MAX : (1ull << n) - 1;
}
SG_INLINE uint64_t extract(uint64_t x, uint32_t start, uint32_t length, uint32_t width, bool sign) {
    start &= 255;
    length &= 255;
    const uint64_t mask = field_mask(start, length, width);
    const uint32_t last = start + length > width ? width - 1 : start + length - 1;
    const uint64_t fill = sign && length && x >> (last & 63) & 1 ? ~mask : 0;
    return ((start > 63 ? 0 : x >> start) & mask) | fill;
}
SG_INLINE uint64_t insert(uint64_t x, uint64_t into, uint32_t start, uint32_t length,
                          uint32_t width) {
    start &= 255;
    length &= 255;
    if (start >= width) return into;
    const uint64_t mask = field_mask(start, length, width) << start;
    return (into & ~mask) | (x << start & mask);
}

#define EXTRACT(name, D, sign)                                                             \
    HANDLER(name) {                                                                        \
        const uint##D##_t *a = sg_p##D(warp, op->source[0]);                               \
        const uint32_t *b = sg_p32(warp, op->source[1]), *c = sg_p32(warp, op->source[2]); \
        uint##D##_t *d = sg_p##D(warp, op->dest[0]);                                       \
        SG_SET(uint##D##_t, d, lanes, extract(a[l], b[l], c[l], D, sign));                 \
    }
EXTRACT(bfe_u32, 32, false)
EXTRACT(bfe_s32, 32, true)
EXTRACT(bfe_u64, 64, false)
EXTRACT(bfe_s64, 64, true)
#define INSERT(name, D)                                                                         \
    HANDLER(name) {                                                                             \
        const uint##D##_t *a = sg_p##D(warp, op->source[0]), *b = sg_p##D(warp, op->source[1]); \
        const uint32_t *c = sg_p32(warp, op->source[2]), *e = sg_p32(warp, op->source[3]);      \
        uint##D##_t *d = sg_p##D(warp, op->dest[0]);                                            \
        SG_SET(uint##D##_t, d, lanes, insert(a[l], b[l], c[l], e[l], D));                       \
    }
INSERT(bfi_32, 32)
INSERT(bfi_64, 64)

const char *sg_bind_extract(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    static sg_handler *const table[INTEGERS] = {NULL, NULL, bfe_u32, bfe_s32, bfe_u64, bfe_s64};
    int at = 0;
    const sg_type type = sg_take_type(in, &at);
    const int index = sg_integer_index(type);
    if (index < 0 || sg_is_bits_type(type) || at != in->modifier_count) return sg_refuse_modifier();
    if (in->operand_count != 4) return sg_refuse_operands();
    if (!sg_add_dest(binder, &in->operands[0], sg_type_class(type)) ||
        !sg_add_source(binder, &in->operands[1], sg_type_class(type)) ||
        !sg_add_source(binder, &in->operands[2], SG_SLOT_32) ||
        !sg_add_source(binder, &in->operands[3], SG_SLOT_32))
        return sg_bind_error(binder);
    return use(op, table[index]);
}

const char *sg_bind_insert(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    const sg_type type = sg_take_type(in, &at);
    if ((type != SG_T_B32 && type != SG_T_B64) || at != in->modifier_count)
        return sg_refuse_modifier();
    if (in->operand_count != 5) return sg_refuse_operands();
    if (!sg_add_dest(binder, &in->operands[0], sg_type_class(type)) ||
        !sg_add_source(binder, &in->operands[1], sg_type_class(type)) ||
        !sg_add_source(binder, &in->operands[2], sg_type_class(type)) ||
        !sg_add_source(binder, &in->operands[3], SG_SLOT_32) ||
        !sg_add_source(binder, &in->operands[4], SG_SLOT_32))
        return sg_bind_error(binder);
    return use(op, type == SG_T_B32 ? bfi_32 : bfi_64);
}

/* y bits from x on. Wrapped, both count modulo 32, yet a mask that would pass the top ends there.
 */
SG_INLINE uint32_t mask_of(uint32_t x, uint32_t y, bool clamp) {
    const uint32_t start = x & 31, end = start + (y & 31);
    const uint32_t from = clamp && x > 31 ? 0 : UINT32_MAX << start;
    const uint32_t past = end > 31 || (clamp && (x > 31 || y > 31)) ? 0 : UINT32_MAX << (end & 31);
    return from & ~past;
}
BINARY(bmsk_clamp, 32, uint32_t, 32, uint32_t, mask_of(x, y, true))
BINARY(bmsk_wrap, 32, uint32_t, 32, uint32_t, mask_of(x, y, false))

const char *sg_bind_mask(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    const bool clamp = sg_take(in, &at, "clamp");
    if (!clamp && !sg_take(in, &at, "wrap")) return sg_refuse_modifier();
    if (!sg_take(in, &at, "b32") || at != in->modifier_count) return sg_refuse_modifier();
    const char *why = sg_bind_plain(op, in, binder, SG_SLOT_32, SG_SLOT_32, 2);
    return why ? why : use(op, clamp ? bmsk_clamp : bmsk_wrap);
}

/* ---- Counting and finding. */

SG_INLINE uint32_t highest(uint64_t x) {
    return x ? 63u - (uint32_t)__builtin_clzll(x) : UINT32_MAX;
}
SG_INLINE uint32_t shift_amount(uint64_t x, uint32_t top) {
    return x ? top - highest(x) : UINT32_MAX;
}
#define MAGNITUDE(x) (x < 0 ? ~x : x)
UNARY(bfind_u32, 32, uint32_t, 32, uint32_t, highest(x))
UNARY(bfind_s32, 32, uint32_t, 32, int32_t, highest((uint32_t)MAGNITUDE(x)))
UNARY(bfind_u64, 32, uint32_t, 64, uint64_t, highest(x))
UNARY(bfind_s64, 32, uint32_t, 64, int64_t, highest((uint64_t)MAGNITUDE(x)))
UNARY(shiftamt_u32, 32, uint32_t, 32, uint32_t, shift_amount(x, 31))
UNARY(shiftamt_s32, 32, uint32_t, 32, int32_t, shift_amount((uint32_t)MAGNITUDE(x), 31))
UNARY(shiftamt_u64, 32, uint32_t, 64, uint64_t, shift_amount(x, 63))
UNARY(shiftamt_s64, 32, uint32_t, 64, int64_t, shift_amount((uint64_t)MAGNITUDE(x), 63))

const char *sg_bind_find(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    static sg_handler *const plain[INTEGERS] = {NULL,      NULL,      bfind_u32,
                                                bfind_s32, bfind_u64, bfind_s64};
    static sg_handler *const amount[INTEGERS] = {NULL,         NULL,         shiftamt_u32,
                                                 shiftamt_s32, shiftamt_u64, shiftamt_s64};
    int at = 0;
    const bool is_amount = sg_take(in, &at, "shiftamt");
    const sg_type type = sg_take_type(in, &at);
    const int index = sg_integer_index(type);
    if (index < 0 || sg_is_bits_type(type) || at != in->modifier_count) return sg_refuse_modifier();
    const char *why = sg_bind_plain(op, in, binder, SG_SLOT_32, sg_type_class(type), 1);
    return why ? why : use(op, is_amount ? amount[index] : plain[index]);
}

SG_INLINE uint32_t reversed(uint32_t x) {
    x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
    x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
    x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(x);
}
UNARY(popc_32, 32, uint32_t, 32, uint32_t, __builtin_popcount(x))
UNARY(popc_64, 32, uint32_t, 64, uint64_t, __builtin_popcountll(x))
UNARY(clz_32, 32, uint32_t, 32, uint32_t, x ? __builtin_clz(x) : 32)
UNARY(clz_64, 32, uint32_t, 64, uint64_t, x ? __builtin_clzll(x) : 64)
UNARY(brev_32, 32, uint32_t, 32, uint32_t, reversed(x))
UNARY(brev_64, 64, uint64_t, 64, uint64_t,
      (uint64_t)reversed((uint32_t)x) << 32 | reversed((uint32_t)(x >> 32)))

const char *sg_bind_count(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    static sg_handler *const table[3][2] = {
        {popc_32, popc_64}, {clz_32, clz_64}, {brev_32, brev_64}};
    const int which = in->opcode[0] == 'p' ? 0 : in->opcode[0] == 'c' ? 1 : 2;
    int at = 0;
    const sg_type type = sg_take_type(in, &at);
    if ((type != SG_T_B32 && type != SG_T_B64) || at != in->modifier_count)
        return sg_refuse_modifier();
    const char *why = sg_bind_plain(op, in, binder, which == 2 ? sg_type_class(type) : SG_SLOT_32,
                                    sg_type_class(type), 1);
    return why ? why : use(op, table[which][type == SG_T_B64]);
}

/* ---- prmt: bytes of two words. */

SG_INLINE uint32_t pick_bytes(uint64_t bytes, uint32_t selector) {
    uint32_t result = 0;
    for (int i = 0; i < 4; i++) {
        const uint32_t nibble = selector >> (4 * i) & 15;
        const uint32_t byte = (uint32_t)(bytes >> (8 * (nibble & 7))) & 255;
        result |= (nibble & 8 ? (0u - (byte >> 7)) & 255 : byte) << (8 * i);
    }
    return result;
}
TERNARY(prmt, 32, uint32_t, 32, uint32_t, uint32_t, pick_bytes((uint64_t)y << 32 | x, z))

enum { F4E, B4E, RC8, ECL, ECR, RC16 };
SG_INLINE uint32_t selector_of(int mode, uint32_t z) {
    uint32_t selector = 0;
    z &= 3;
    for (uint32_t i = 0; i < 4; i++) {
        const uint32_t byte = mode == F4E   ? z + i
                              : mode == B4E ? (z - i) & 7
                              : mode == RC8 ? z
                              : mode == ECL ? (i > z ? i : z)
                              : mode == ECR ? (i < z ? i : z)
                                            : 2 * (z & 1) + (i & 1);
        selector |= byte << (4 * i);
    }
    return selector;
}
HANDLER(prmt_mode) {
    const uint32_t *a = sg_p32(warp, op->source[0]), *b = sg_p32(warp, op->source[1]),
                   *c = sg_p32(warp, op->source[2]);
    uint32_t *d = sg_p32(warp, op->dest[0]);
    const int mode = op->a;
    SG_SET(uint32_t, d, lanes, pick_bytes((uint64_t)b[l] << 32 | a[l], selector_of(mode, c[l])));
}

const char *sg_bind_permute(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    static const char *const modes[] = {"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"};
    int at = 0;
    sg_handler *run = prmt;
    if (!sg_take(in, &at, "b32")) return sg_refuse_modifier();
    for (int i = 0; i < 6 && at < in->modifier_count; i++)
        if (sg_take(in, &at, modes[i])) {
            op->a = i;
            run = prmt_mode;
        }
    if (at != in->modifier_count) return sg_refuse_modifier();
    const char *why = sg_bind_plain(op, in, binder, SG_SLOT_32, SG_SLOT_32, 3);
    op->kind = SG_K_MOVE;
    op->run = run;
    return why;
}

/* ---- lop3: any function of three bits; bit 4x + 2y + z of the table is its value. */

HANDLER(lop3) {
    const uint32_t *a = sg_p32(warp, op->source[0]), *b = sg_p32(warp, op->source[1]),
                   *c = sg_p32(warp, op->source[2]);
    uint32_t *d = sg_p32(warp, op->dest[0]), keep[8];
    for (int i = 0; i < 8; i++)
        keep[i] = 0u - ((uint32_t)op->a >> i & 1);
    SG_SET(uint32_t, d, lanes, ({
               const uint32_t x = a[l], y = b[l], z = c[l];
               const uint32_t low =
                   (~y & ((~z & keep[0]) | (z & keep[1]))) | (y & ((~z & keep[2]) | (z & keep[3])));
               const uint32_t high =
                   (~y & ((~z & keep[4]) | (z & keep[5]))) | (y & ((~z & keep[6]) | (z & keep[7])));
               (~x & low) | (x & high);
           }));
}

const char *sg_bind_lop3(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    if (!sg_take(in, &at, "b32") || at != in->modifier_count) return sg_refuse_modifier();
    if (in->operand_count != 5 || in->paired || in->operands[4].kind != SG_IMMEDIATE)
        return sg_refuse_operands();
    op->a = (int32_t)(in->operands[4].bits & 255);
    if (!sg_add_dest(binder, &in->operands[0], SG_SLOT_32)) return sg_bind_error(binder);
    for (int i = 1; i < 4; i++)
        if (!sg_add_source(binder, &in->operands[i], SG_SLOT_32)) return sg_bind_error(binder);
    return use(op, lop3);
}
