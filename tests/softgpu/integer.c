/* Integer arithmetic. Division by zero gives all ones, and its remainder the dividend, as the chip
 * does. */
#include "tests/softgpu/integer.h"

#include "tests/softgpu/schedule.h"

/* The same in all six types: f(name_type, width, result, width, type, expression). */
#define EACH_TYPE(f, name, ...)                                            \
    f(name##_u16, 32, uint16_t, 32, uint16_t, __VA_ARGS__)                 \
        f(name##_s16, 32, uint16_t, 32, int16_t, __VA_ARGS__)              \
            f(name##_u32, 32, uint32_t, 32, uint32_t, __VA_ARGS__)         \
                f(name##_s32, 32, uint32_t, 32, int32_t, __VA_ARGS__)      \
                    f(name##_u64, 64, uint64_t, 64, uint64_t, __VA_ARGS__) \
                        f(name##_s64, 64, uint64_t, 64, int64_t, __VA_ARGS__)
#define TABLE(name)                                                                     \
    static sg_handler *const name##_of[INTEGERS] = {name##_u16, name##_s16, name##_u32, \
                                                    name##_s32, name##_u64, name##_s64}
/* Where signs do not matter. */
#define EACH_WIDTH(f, name, ...)                               \
    f(name##_u16, 32, uint16_t, 32, uint32_t, __VA_ARGS__)     \
        f(name##_u32, 32, uint32_t, 32, uint32_t, __VA_ARGS__) \
            f(name##_u64, 64, uint64_t, 64, uint64_t, __VA_ARGS__)
#define TABLE_OF_WIDTHS(name)                                                           \
    static sg_handler *const name##_of[INTEGERS] = {name##_u16, name##_u16, name##_u32, \
                                                    name##_u32, name##_u64, name##_u64}

/* Quotients: lanes that do not run may divide by anything, too. */
#define IS_SIGNED(x) ((__typeof__(x))-1 < 1)
#define OVERFLOWS(x, y) (IS_SIGNED(x) && (y) == (__typeof__(y))-1)

EACH_WIDTH(BINARY, add, x + y)
TABLE_OF_WIDTHS(add);
EACH_WIDTH(BINARY, sub, x - y)
TABLE_OF_WIDTHS(sub);
EACH_WIDTH(BINARY, mul, x *y)
TABLE_OF_WIDTHS(mul);
EACH_TYPE(BINARY, min, x < y ? x : y)
TABLE(min);
EACH_TYPE(BINARY, max, x > y ? x : y)
TABLE(max);
/* clang-format off */
EACH_TYPE(BINARY, div, y == 0 ? UINT64_MAX : OVERFLOWS(x, y) ? 0 - (uint64_t)x : (uint64_t)(x / y))
TABLE(div);
EACH_TYPE(BINARY, rem, y == 0 ? (uint64_t)x : OVERFLOWS(x, y) ? 0 : (uint64_t)(x % y))
TABLE(rem);
/* clang-format on */
UNARY(abs_s16, 32, uint16_t, 32, int16_t, x < 0 ? 0 - (uint32_t)x : (uint32_t)x)
UNARY(abs_s32, 32, uint32_t, 32, int32_t, x < 0 ? 0 - (uint32_t)x : (uint32_t)x)
UNARY(abs_s64, 64, uint64_t, 64, int64_t, x < 0 ? 0 - (uint64_t)x : (uint64_t)x)
static sg_handler *const abs_of[INTEGERS] = {NULL, abs_s16, NULL, abs_s32, NULL, abs_s64};
EACH_WIDTH(UNARY, neg, 0 - x)
TABLE_OF_WIDTHS(neg);

BINARY(hi_u16, 32, uint16_t, 32, uint16_t, (uint32_t)x *y >> 16)
BINARY(hi_s16, 32, uint16_t, 32, int16_t, (int32_t)x *y >> 16)
BINARY(hi_u32, 32, uint32_t, 32, uint32_t, (uint64_t)x *y >> 32)
BINARY(hi_s32, 32, uint32_t, 32, int32_t, (int64_t)x *y >> 32)
BINARY(hi_u64, 64, uint64_t, 64, uint64_t, (unsigned __int128)x *y >> 64)
BINARY(hi_s64, 64, uint64_t, 64, int64_t, (__int128)x *y >> 64)
TABLE(hi);
BINARY(wide_u16, 32, uint32_t, 32, uint16_t, (uint32_t)x *y)
BINARY(wide_s16, 32, uint32_t, 32, int16_t, (int32_t)x *y)
BINARY(wide_u32, 64, uint64_t, 32, uint32_t, (uint64_t)x *y)
BINARY(wide_s32, 64, uint64_t, 32, int32_t, (int64_t)x *y)
static sg_handler *const wide_of[INTEGERS] = {wide_u16, wide_s16, wide_u32, wide_s32, NULL, NULL};

TERNARY(mad_u16, 32, uint16_t, 32, uint32_t, uint32_t, x *y + z)
TERNARY(mad_u32, 32, uint32_t, 32, uint32_t, uint32_t, x *y + z)
TERNARY(mad_u64, 64, uint64_t, 64, uint64_t, uint64_t, x *y + z)
TABLE_OF_WIDTHS(mad);
TERNARY(mad_hi_u16, 32, uint16_t, 32, uint16_t, uint32_t, ((uint32_t)x * y >> 16) + z)
TERNARY(mad_hi_s16, 32, uint16_t, 32, int16_t, uint32_t, (uint32_t)((int32_t)x *y >> 16) + z)
TERNARY(mad_hi_u32, 32, uint32_t, 32, uint32_t, uint32_t, (uint32_t)((uint64_t)x *y >> 32) + z)
TERNARY(mad_hi_s32, 32, uint32_t, 32, int32_t, uint32_t, (uint32_t)((int64_t)x *y >> 32) + z)
TERNARY(mad_hi_u64, 64, uint64_t, 64, uint64_t, uint64_t,
        (uint64_t)((unsigned __int128)x *y >> 64) + z)
TERNARY(mad_hi_s64, 64, uint64_t, 64, int64_t, uint64_t, (uint64_t)((__int128)x *y >> 64) + z)
TABLE(mad_hi);
TERNARY(mad_wide_u16, 32, uint32_t, 32, uint16_t, uint32_t, (uint32_t)x *y + z)
TERNARY(mad_wide_s16, 32, uint32_t, 32, int16_t, uint32_t, (uint32_t)((int32_t)x *y) + z)
TERNARY(mad_wide_u32, 64, uint64_t, 32, uint32_t, uint64_t, (uint64_t)x *y + z)
TERNARY(mad_wide_s32, 64, uint64_t, 32, int32_t, uint64_t, (uint64_t)((int64_t)x *y) + z)
static sg_handler *const mad_wide_of[INTEGERS] = {mad_wide_u16, mad_wide_s16, mad_wide_u32,
                                                  mad_wide_s32, NULL,         NULL};

#define CLAMP32(x) ((x) > INT32_MAX ? INT32_MAX : (x) < INT32_MIN ? INT32_MIN : (x))
BINARY(add_saturated, 32, uint32_t, 32, int32_t, CLAMP32((int64_t)x + y))
BINARY(sub_saturated, 32, uint32_t, 32, int32_t, CLAMP32((int64_t)x - y))

TERNARY(sad_u16, 32, uint16_t, 32, uint16_t, uint32_t, z + (uint32_t)(x < y ? y - x : x - y))
TERNARY(sad_s16, 32, uint16_t, 32, int16_t, uint32_t, z + (uint32_t)(x < y ? y - x : x - y))
TERNARY(sad_u32, 32, uint32_t, 32, uint32_t, uint32_t, z + (x < y ? y - x : x - y))
TERNARY(sad_s32, 32, uint32_t, 32, int32_t, uint32_t,
        z + (x < y ? (uint32_t)y - (uint32_t)x : (uint32_t)x - (uint32_t)y))
TERNARY(sad_u64, 64, uint64_t, 64, uint64_t, uint64_t, z + (x < y ? y - x : x - y))
TERNARY(sad_s64, 64, uint64_t, 64, int64_t, uint64_t,
        z + (x < y ? (uint64_t)y - (uint64_t)x : (uint64_t)x - (uint64_t)y))
TABLE(sad);

/* ---- add.cc, addc, sub.cc, subc: the carry is a bit of each lane. op->a: which. */

enum { SETS_CARRY = 1, USES_CARRY = 2, SUBTRACTS = 4, WIDE = 8 };

static void with_carry(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    sg_schedule *s = warp->schedule;
    uint32_t carry = 0;
    for (int l = 0; l < SG_LANES; l++) {
        if (!(lanes >> l & 1)) continue;
        const bool wide = op->a & WIDE, subtracts = op->a & SUBTRACTS;
        const uint64_t x = wide ? sg_u64(warp, op->source[0])[l] : sg_u32(warp, op->source[0])[l];
        uint64_t y = wide ? sg_u64(warp, op->source[1])[l] : sg_u32(warp, op->source[1])[l];
        const uint64_t all = wide ? UINT64_MAX : UINT32_MAX;
        unsigned in = op->a & USES_CARRY ? s->carry >> l & 1 : subtracts;
        /* A difference is x + ~y + 1, and the carry is set where nothing was borrowed. */
        if (subtracts) y = ~y & all;
        const unsigned __int128 sum = (unsigned __int128)x + y + in;
        carry |= (uint32_t)(sum > all) << l;
        if (wide)
            sg_u64(warp, op->dest[0])[l] = (uint64_t)sum;
        else
            sg_u32(warp, op->dest[0])[l] = (uint32_t)sum;
    }
    if (op->a & SETS_CARRY) s->carry = (s->carry & ~lanes) | carry;
}

/* ---- dp4a, dp2a: sums of products of small integers. op->a, b: a and b are signed; op->c: which
 * half of b, dp2a. */

SG_INLINE int32_t byte_of(uint32_t word, int i, bool is_signed) {
    const uint32_t byte = word >> (8 * i) & 255;
    return is_signed ? (int8_t)byte : (int32_t)byte;
}
HANDLER(dp4a) {
    const uint32_t *a = sg_p32(warp, op->source[0]), *b = sg_p32(warp, op->source[1]),
                   *c = sg_p32(warp, op->source[2]);
    uint32_t *d = sg_p32(warp, op->dest[0]);
    const bool sa = op->a, sb = op->b;
    SG_SET(uint32_t, d, lanes, ({
               uint32_t sum = c[l];
               for (int i = 0; i < 4; i++)
                   sum += (uint32_t)(byte_of(a[l], i, sa) * byte_of(b[l], i, sb));
               sum;
           }));
}
HANDLER(dp2a) {
    const uint32_t *a = sg_p32(warp, op->source[0]), *b = sg_p32(warp, op->source[1]),
                   *c = sg_p32(warp, op->source[2]);
    uint32_t *d = sg_p32(warp, op->dest[0]);
    const bool sa = op->a, sb = op->b;
    const int half = op->c;
    SG_SET(uint32_t, d, lanes, ({
               uint32_t sum = c[l];
               for (int i = 0; i < 2; i++) {
                   const uint32_t word = a[l] >> (16 * i) & 0xffff;
                   const int32_t wide = sa ? (int16_t)word : (int32_t)word;
                   sum += (uint32_t)(wide * byte_of(b[l], 2 * half + i, sb));
               }
               sum;
           }));
}

/* ---- Binding. */

static const char *use(sg_op *op, sg_handler *run) {
    op->run = run;
    op->kind = SG_K_INTEGER;
    return run ? NULL : sg_refuse_modifier();
}

/* The type, which must be the last modifier, with a sign. */
static int take_type(const sg_instruction *in, int *at, sg_type *type) {
    *type = sg_take_type(in, at);
    return *at == in->modifier_count && !sg_is_bits_type(*type) ? sg_integer_index(*type) : -1;
}

static const char *bind_carry(sg_op *op, const sg_instruction *in, sg_binder *binder, int at) {
    const sg_type type = sg_take_type(in, &at);
    const int index = sg_integer_index(type);
    if (at != in->modifier_count || index < U32) return sg_refuse_modifier();
    if (index >= U64) op->a |= WIDE;
    const char *why = sg_bind_plain(op, in, binder, sg_type_class(type), sg_type_class(type), 2);
    return why ? why : use(op, with_carry);
}

static const char *bind_add_sub(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    const bool subtracts = in->opcode[0] == 's', uses_carry = in->opcode[3] == 'c';
    int at = 0;
    sg_type type;
    if (sg_is_float_type(sg_last_type(in))) return sg_bind_float_arithmetic(op, in, binder);
    op->a = (subtracts ? SUBTRACTS : 0) | (uses_carry ? USES_CARRY : 0);
    if (sg_take(in, &at, "cc")) {
        op->a |= SETS_CARRY;
        return bind_carry(op, in, binder, at);
    }
    if (uses_carry) return bind_carry(op, in, binder, at);
    const bool saturates = sg_take(in, &at, "sat");
    const int index = take_type(in, &at, &type);
    if (index < 0 || (saturates && index != S32)) return sg_refuse_modifier();
    const char *why = sg_bind_plain(op, in, binder, sg_type_class(type), sg_type_class(type), 2);
    if (why) return why;
    if (saturates) return use(op, subtracts ? sub_saturated : add_saturated);
    return use(op, subtracts ? sub_of[index] : add_of[index]);
}

static const char *bind_mul(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    const bool adds = !strcmp(in->opcode, "mad");
    enum { LO, HI, DOUBLE } part;
    int at = 0;
    sg_type type;
    if (sg_is_float_type(sg_last_type(in))) return sg_bind_float_arithmetic(op, in, binder);
    if (sg_take(in, &at, "lo"))
        part = LO;
    else if (sg_take(in, &at, "hi"))
        part = HI;
    else if (sg_take(in, &at, "wide"))
        part = DOUBLE;
    else
        return sg_refuse_modifier();
    const int index = take_type(in, &at, &type);
    if (index < 0 || (part == DOUBLE && index >= U64)) return sg_refuse_modifier();
    const sg_class from = sg_type_class(type),
                   to = part == DOUBLE && index >= U32 ? SG_SLOT_64 : from;
    if (in->operand_count != 3 + adds) return sg_refuse_operands();
    if (!sg_add_dest(binder, &in->operands[0], to) ||
        !sg_add_source(binder, &in->operands[1], from) ||
        !sg_add_source(binder, &in->operands[2], from) ||
        (adds && !sg_add_source(binder, &in->operands[3], to)))
        return sg_bind_error(binder);
    if (adds)
        return use(op, part == LO   ? mad_of[index]
                       : part == HI ? mad_hi_of[index]
                                    : mad_wide_of[index]);
    return use(op, part == LO ? mul_of[index] : part == HI ? hi_of[index] : wide_of[index]);
}

static const char *bind_typed(sg_op *op, const sg_instruction *in, sg_binder *binder,
                              sg_handler *const table[INTEGERS], int sources, bool only_signed) {
    int at = 0;
    sg_type type;
    const int index = take_type(in, &at, &type);
    if (index < 0 || (only_signed && !sg_is_signed_type(type))) return sg_refuse_modifier();
    const char *why =
        sg_bind_plain(op, in, binder, sg_type_class(type), sg_type_class(type), sources);
    return why ? why : use(op, table[index]);
}

static const char *bind_min(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    if (sg_is_float_type(sg_last_type(in))) return sg_bind_float_arithmetic(op, in, binder);
    return bind_typed(op, in, binder, in->opcode[1] == 'i' ? min_of : max_of, 2, false);
}
static const char *bind_div(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    if (sg_is_float_type(sg_last_type(in))) return sg_bind_float_arithmetic(op, in, binder);
    return bind_typed(op, in, binder, in->opcode[0] == 'd' ? div_of : rem_of, 2, false);
}
static const char *bind_abs(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    if (sg_is_float_type(sg_last_type(in))) return sg_bind_float_arithmetic(op, in, binder);
    return bind_typed(op, in, binder, in->opcode[0] == 'a' ? abs_of : neg_of, 1, true);
}
static const char *bind_sad(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    return bind_typed(op, in, binder, sad_of, 3, false);
}

static const char *bind_dot(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    const bool four = in->opcode[2] == '4';
    int at = 0;
    if (!four) {
        op->c = sg_take(in, &at, "hi");
        if (!op->c && !sg_take(in, &at, "lo")) return sg_refuse_modifier();
    }
    const sg_type a = sg_take_type(in, &at), b = sg_take_type(in, &at);
    if (at != in->modifier_count || (a != SG_T_U32 && a != SG_T_S32) ||
        (b != SG_T_U32 && b != SG_T_S32))
        return sg_refuse_modifier();
    op->a = a == SG_T_S32;
    op->b = b == SG_T_S32;
    const char *why = sg_bind_plain(op, in, binder, SG_SLOT_32, SG_SLOT_32, 3);
    return why ? why : use(op, four ? dp4a : dp2a);
}

const sg_family sg_integer_family[] = {
    {"add", bind_add_sub},     {"sub", bind_add_sub},   {"addc", bind_add_sub},
    {"subc", bind_add_sub},    {"mul", bind_mul},       {"mad", bind_mul},
    {"div", bind_div},         {"rem", bind_div},       {"abs", bind_abs},
    {"neg", bind_abs},         {"min", bind_min},       {"max", bind_min},
    {"sad", bind_sad},         {"dp4a", bind_dot},      {"dp2a", bind_dot},
    {"and", sg_bind_logic},    {"or", sg_bind_logic},   {"xor", sg_bind_logic},
    {"not", sg_bind_not},      {"cnot", sg_bind_not},   {"shl", sg_bind_shift},
    {"shr", sg_bind_shift},    {"shf", sg_bind_funnel}, {"bfe", sg_bind_extract},
    {"bfi", sg_bind_insert},   {"bmsk", sg_bind_mask},  {"bfind", sg_bind_find},
    {"popc", sg_bind_count},   {"clz", sg_bind_count},  {"brev", sg_bind_count},
    {"prmt", sg_bind_permute}, {"lop3", sg_bind_lop3},  {NULL, NULL}};
