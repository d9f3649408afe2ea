/* Comparisons: setp, set, testp; and choices: selp, slct.
 *
 * A comparison gives a word with a bit for each lane. Few are needed: a > b is b < a, a <= b of
 * integers is not b < a, and the unordered comparisons of floats are the opposites of ordered ones.
 */
#include "tests/softgpu/float.h"

typedef uint32_t comparison(const sg_warp *warp, const sg_op *op);

#define COMPARE(name, S, T, VALUE, ...)                                 \
    static SG_HOT uint32_t name(const sg_warp *warp, const sg_op *op) { \
        const uint##S##_t *a_ = sg_p##S(warp, op->source[0]);           \
        const uint##S##_t *b_ = sg_p##S(warp, op->source[1]);           \
        uint32_t bits = 0;                                              \
        for (int l = 0; l < SG_LANES; l++) {                            \
            const T x = VALUE(a_[l]), y = VALUE(b_[l]);                 \
            bits |= (__VA_ARGS__) ? 1u << l : 0;                        \
        }                                                               \
        return bits;                                                    \
    }
#define AS_FLUSHED(bits) sg_flush(sg_as_f32(bits))

COMPARE(eq_16, 32, uint16_t, (uint16_t), x == y)
COMPARE(eq_32, 32, uint32_t, , x == y)
COMPARE(eq_64, 64, uint64_t, , x == y)
COMPARE(lt_u16, 32, uint16_t, (uint16_t), x < y)
COMPARE(lt_s16, 32, int16_t, (int16_t), x < y)
COMPARE(lt_u32, 32, uint32_t, , x < y)
COMPARE(lt_s32, 32, int32_t, (int32_t), x < y)
COMPARE(lt_u64, 64, uint64_t, , x < y)
COMPARE(lt_s64, 64, int64_t, (int64_t), x < y)
/* lg: less or greater, that is neither equal nor unordered; un: unordered. */
#define FLOATS(suffix, S, T, VALUE)                \
    COMPARE(eq_##suffix, S, T, VALUE, x == y)      \
    COMPARE(lg_##suffix, S, T, VALUE, x<y || x> y) \
    COMPARE(lt_##suffix, S, T, VALUE, x < y)       \
    COMPARE(le_##suffix, S, T, VALUE, x <= y)      \
    COMPARE(un_##suffix, S, T, VALUE, x != x || y != y)
FLOATS(f32, 32, float, sg_as_f32)
FLOATS(ftz, 32, float, AS_FLUSHED)
FLOATS(f64, 64, double, sg_as_f64)
FLOATS(f16, 32, float, sg_f32_of_f16)
FLOATS(bf16, 32, float, sg_f32_of_bf16)

enum { EQ, LG, LT, LE, UN, RELATIONS };
enum { K_16, K_32, K_64, K_S16, K_S32, K_S64, K_F32, K_FTZ, K_F64, K_F16, K_BF16, KINDS };
static comparison *const comparisons[KINDS][RELATIONS] = {
    [K_16] = {eq_16, NULL, lt_u16, NULL, NULL},
    [K_32] = {eq_32, NULL, lt_u32, NULL, NULL},
    [K_64] = {eq_64, NULL, lt_u64, NULL, NULL},
    [K_S16] = {eq_16, NULL, lt_s16, NULL, NULL},
    [K_S32] = {eq_32, NULL, lt_s32, NULL, NULL},
    [K_S64] = {eq_64, NULL, lt_s64, NULL, NULL},
    [K_F32] = {eq_f32, lg_f32, lt_f32, le_f32, un_f32},
    [K_FTZ] = {eq_ftz, lg_ftz, lt_ftz, le_ftz, un_ftz},
    [K_F64] = {eq_f64, lg_f64, lt_f64, le_f64, un_f64},
    [K_F16] = {eq_f16, lg_f16, lt_f16, le_f16, un_f16},
    [K_BF16] = {eq_bf16, lg_bf16, lt_bf16, le_bf16, un_bf16},
};

typedef struct relation {
    const char *name;
    int integer, real; /* -1: not for these */
    bool swapped, integer_not, real_not;
    bool only_unsigned;
} relation;
static const relation relations[] = {
    {"eq", EQ, EQ, false, false, false, false}, {"ne", EQ, LG, false, true, false, false},
    {"lt", LT, LT, false, false, false, false}, {"gt", LT, LT, true, false, false, false},
    {"lo", LT, -1, false, false, false, true},  {"hi", LT, -1, true, false, false, true},
    {"equ", -1, LG, false, false, true, false}, {"neu", -1, EQ, false, false, true, false},
    {"num", -1, UN, false, false, true, false}, {"nan", -1, UN, false, false, false, false},
    {"gtu", -1, LE, false, false, true, false}, {"ltu", -1, LE, true, false, true, false},
    {"geu", -1, LT, false, false, true, false}, {"leu", -1, LT, true, false, true, false},
};
/* a <= b: of integers not b < a, of floats a comparison of its own, and swapped otherwise. */
static const relation inclusive[] = {
    {"le", LT, -1, true, true, false, false},   {"ge", LT, -1, false, true, false, false},
    {"ls", LT, -1, true, true, false, true},    {"hs", LT, -1, false, true, false, true},
    {"le", -1, LE, false, false, false, false}, {"ge", -1, LE, true, false, false, false},
};

/* How an op compares, in op->c. */
enum { NEGATED = 1, WITH_AND = 2, WITH_OR = 4, WITH_XOR = 8, NOT_C = 16 };

static uint32_t compared(const sg_warp *warp, const sg_op *op) {
    const uint32_t bits = comparisons[op->a][op->b](warp, op);
    return op->c & NEGATED ? ~bits : bits;
}
static uint32_t combined(const sg_warp *warp, const sg_op *op, uint32_t bits) {
    if (!(op->c & (WITH_AND | WITH_OR | WITH_XOR))) return bits;
    const uint32_t c = *sg_pred(warp, op->source[2]) ^ (op->c & NOT_C ? UINT32_MAX : 0);
    return op->c & WITH_AND ? bits & c : op->c & WITH_OR ? bits | c : bits ^ c;
}
static void put(const sg_warp *warp, sg_slot dest, uint32_t lanes, uint32_t bits) {
    uint32_t *d = sg_pred(warp, dest);
    *d = (*d & ~lanes) | (bits & lanes);
}

static void setp(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint32_t bits = compared(warp, op), first = combined(warp, op, bits);
    if (op->dest_count > 1) put(warp, op->dest[1], lanes, combined(warp, op, ~bits));
    put(warp, op->dest[0], lanes, first);
}

/* op->offset: what true is. */
static void set(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint32_t bits = combined(warp, op, compared(warp, op)), yes = (uint32_t)op->offset;
    SG_SET(uint32_t, sg_p32(warp, op->dest[0]), lanes, bits >> l & 1 ? yes : 0);
}

/* Pairs of 16-bit floats: op->a is of f16 or bf16. setp gives a predicate for each half. */
static void compare_pair(const sg_warp *warp, const sg_op *op, uint32_t bits[2]) {
    const uint32_t *a = sg_u32(warp, op->source[0]), *b = sg_u32(warp, op->source[1]);
    unsigned char halves[4][192] __attribute__((aligned(64)));
    for (int l = 0; l < SG_LANES; l++) {
        ((uint32_t *)(void *)halves[0])[l] = a[l] & 0xffff;
        ((uint32_t *)(void *)halves[1])[l] = b[l] & 0xffff;
        ((uint32_t *)(void *)halves[2])[l] = a[l] >> 16;
        ((uint32_t *)(void *)halves[3])[l] = b[l] >> 16;
    }
    for (int i = 0; i < 2; i++) {
        const sg_warp shadow = {.file = halves[2 * i]};
        const sg_slot sources[2] = {SG_SLOT_32, 192 | SG_SLOT_32};
        const sg_op part = {.a = op->a, .b = op->b, .c = op->c, .source = sources};
        bits[i] = compared(&shadow, &part);
    }
}
static void setp_pair(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    uint32_t bits[2];
    compare_pair(warp, op, bits);
    const uint32_t second = combined(warp, op, bits[1]);
    put(warp, op->dest[0], lanes, combined(warp, op, bits[0]));
    put(warp, op->dest[1], lanes, second);
}
static void set_pair(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    uint32_t bits[2];
    compare_pair(warp, op, bits);
    const uint32_t low = combined(warp, op, bits[0]), high = combined(warp, op, bits[1]),
                   yes = (uint32_t)op->offset;
    SG_SET(uint32_t, sg_p32(warp, op->dest[0]), lanes,
           (low >> l & 1 ? yes & 0xffff : 0) | (high >> l & 1 ? yes & 0xffff0000u : 0));
}

static int kind_of(sg_type type, bool ftz) {
    switch (type) {
    case SG_T_B16:
    case SG_T_U16:
        return K_16;
    case SG_T_B32:
    case SG_T_U32:
        return K_32;
    case SG_T_B64:
    case SG_T_U64:
        return K_64;
    case SG_T_S16:
        return K_S16;
    case SG_T_S32:
        return K_S32;
    case SG_T_S64:
        return K_S64;
    case SG_T_F32:
        return ftz ? K_FTZ : K_F32;
    case SG_T_F64:
        return K_F64;
    case SG_T_F16:
    case SG_T_F16X2:
        return K_F16;
    case SG_T_BF16:
    case SG_T_BF16X2:
        return K_BF16;
    default:
        return -1;
    }
}

/* Reads comparison, combination and .ftz; *swapped: the operands change places. The relation is
 * looked for by the type, which stands last. */
static const char *take_relation(sg_op *op, const sg_instruction *in, int *at, bool *swapped) {
    const sg_type type = sg_last_type(in);
    const bool is_float = sg_is_float_type(type);
    const relation *r = NULL;
    for (size_t i = 0; !r && i < sizeof relations / sizeof *relations; i++)
        if (sg_take(in, at, relations[i].name)) r = &relations[i];
    for (size_t i = 0; !r && i < sizeof inclusive / sizeof *inclusive; i++)
        if (is_float == (inclusive[i].real >= 0) && sg_take(in, at, inclusive[i].name))
            r = &inclusive[i];
    if (!r || (is_float ? r->real : r->integer) < 0) return sg_refuse_modifier();
    const bool bits = type == SG_T_B16 || type == SG_T_B32 || type == SG_T_B64;
    if (r->only_unsigned && (bits || sg_is_signed_type(type))) return sg_refuse_modifier();
    if (bits && r->integer != EQ) return sg_refuse_modifier();
    *swapped = r->swapped;
    op->b = is_float ? r->real : r->integer;
    op->c = (is_float ? r->real_not : r->integer_not) ? NEGATED : 0;
    if (sg_take(in, at, "and"))
        op->c |= WITH_AND;
    else if (sg_take(in, at, "or"))
        op->c |= WITH_OR;
    else if (sg_take(in, at, "xor"))
        op->c |= WITH_XOR;
    const bool ftz = sg_take(in, at, "ftz");
    op->a = kind_of(type, ftz);
    if (op->a < 0 || (ftz && type != SG_T_F32 && type != SG_T_F16 && type != SG_T_F16X2))
        return sg_refuse_modifier();
    /* Flushed f16 are not built. */
    return ftz && type != SG_T_F32 ? sg_refuse_modifier() : NULL;
}

static const char *add_sources(sg_op *op, const sg_instruction *in, sg_binder *binder, int operand,
                               bool swapped) {
    const sg_class class = sg_type_class(sg_last_type(in));
    const bool combines = op->c & (WITH_AND | WITH_OR | WITH_XOR);
    if (in->operand_count != operand + 2 + combines) return sg_refuse_operands();
    if (!sg_add_source(binder, &in->operands[operand + swapped], class) ||
        !sg_add_source(binder, &in->operands[operand + !swapped], class))
        return sg_bind_error(binder);
    if (!combines) return NULL;
    sg_operand c = in->operands[operand + 2];
    if (c.negated) op->c |= NOT_C;
    c.negated = false;
    return sg_add_source(binder, &c, SG_SLOT_PRED) ? NULL : sg_bind_error(binder);
}

static const char *bind_setp(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    const sg_type type = sg_last_type(in);
    const bool pair = type == SG_T_F16X2 || type == SG_T_BF16X2;
    int at = 0;
    bool swapped = false;
    const char *why = take_relation(op, in, &at, &swapped);
    if (why) return why;
    sg_take_type(in, &at);
    if (at != in->modifier_count) return sg_refuse_modifier();
    if (pair && !in->paired) return sg_refuse_operands();
    for (int i = 0; i <= in->paired; i++)
        if (i >= in->operand_count || !sg_add_dest(binder, &in->operands[i], SG_SLOT_PRED))
            return sg_bind_error(binder);
    op->run = pair ? setp_pair : setp;
    op->kind = SG_K_COMPARE;
    return add_sources(op, in, binder, 1 + in->paired, swapped);
}

static const char *bind_set(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    const sg_type type = sg_last_type(in);
    const bool pair = type == SG_T_F16X2 || type == SG_T_BF16X2;
    int at = 0;
    bool swapped = false;
    const char *why = take_relation(op, in, &at, &swapped);
    if (why) return why;
    const sg_type to = sg_take_type(in, &at);
    if (sg_take_type(in, &at) == SG_T_NONE || at != in->modifier_count || in->paired)
        return sg_refuse_modifier();
    if (pair ? to != type : to == SG_T_F16X2 || to == SG_T_BF16X2) return sg_refuse_modifier();
    switch (to) {
    case SG_T_U32:
    case SG_T_S32:
        op->offset = UINT32_MAX;
        break;
    case SG_T_F32:
        op->offset = 0x3f800000;
        break;
    case SG_T_U16:
    case SG_T_S16:
        op->offset = 0xffff;
        break;
    case SG_T_F16:
        op->offset = 0x3c00;
        break;
    case SG_T_BF16:
        op->offset = 0x3f80;
        break;
    case SG_T_F16X2:
        op->offset = 0x3c003c00;
        break;
    case SG_T_BF16X2:
        op->offset = 0x3f803f80;
        break;
    default:
        return sg_refuse_modifier();
    }
    if (in->operand_count < 1 || !sg_add_dest(binder, &in->operands[0], SG_SLOT_32))
        return sg_refuse_operands();
    op->run = pair ? set_pair : set;
    op->kind = SG_K_COMPARE;
    return add_sources(op, in, binder, 1, swapped);
}

/* ---- testp: a float's kind. op->a: which, b: f64. */

static const char *const properties[] = {"finite",     "infinite", "number",
                                         "notanumber", "normal",   "subnormal"};

static void testp(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    uint32_t bits = 0;
    for (int l = 0; l < SG_LANES; l++) {
        const int class = op->b ? fpclassify(sg_f64(warp, op->source[0])[l])
                                : fpclassify(sg_f32(warp, op->source[0])[l]);
        const bool has[] = {class != FP_NAN && class != FP_INFINITE,
                            class == FP_INFINITE,
                            class != FP_NAN,
                            class == FP_NAN,
                            class == FP_NORMAL,
                            class == FP_SUBNORMAL};
        bits |= (uint32_t)has[op->a] << l;
    }
    put(warp, op->dest[0], lanes, bits);
}

static const char *bind_testp(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    for (op->a = 0; op->a < 6; op->a++)
        if (sg_take(in, &at, properties[op->a])) break;
    const sg_type type = sg_take_type(in, &at);
    if (op->a == 6 || at != in->modifier_count || (type != SG_T_F32 && type != SG_T_F64))
        return sg_refuse_modifier();
    op->b = type == SG_T_F64;
    op->run = testp;
    op->kind = SG_K_COMPARE;
    return sg_bind_plain(op, in, binder, SG_SLOT_PRED, sg_type_class(type), 1);
}

/* ---- selp, slct. Of two values only the one that is taken taints the result. */

static uint32_t chooses_first(const sg_warp *warp, const sg_op *op) {
    const sg_slot c = op->source[2];
    if ((c & 3) == SG_SLOT_PRED) return *sg_pred(warp, c) ^ (op->a ? UINT32_MAX : 0);
    uint32_t bits = 0;
    for (int l = 0; l < SG_LANES; l++)
        bits |= (uint32_t)(op->b ? sg_f32(warp, c)[l] >= 0 : (int32_t)sg_u32(warp, c)[l] >= 0) << l;
    return bits;
}

static SG_HOT void choose_32(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint32_t *a = sg_p32(warp, op->source[0]), *b = sg_p32(warp, op->source[1]);
    uint32_t *d = sg_p32(warp, op->dest[0]);
    const uint32_t first = chooses_first(warp, op);
    SG_SET(uint32_t, d, lanes, first >> l & 1 ? a[l] : b[l]);
}
static SG_HOT void choose_64(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint64_t *a = sg_p64(warp, op->source[0]), *b = sg_p64(warp, op->source[1]);
    uint64_t *d = sg_p64(warp, op->dest[0]);
    const uint32_t first = chooses_first(warp, op);
    SG_SET(uint64_t, d, lanes, first >> l & 1 ? a[l] : b[l]);
}

/* After a choice by predicate. (slct's third source may have become the result: the usual rule.) */
static void choice_taint(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint32_t first = chooses_first(warp, op);
    const uint32_t tainted = (*sg_taint(warp, op->source[0]) & first) |
                             (*sg_taint(warp, op->source[1]) & ~first) |
                             *sg_taint(warp, op->source[2]);
    uint32_t *taint = sg_taint(warp, op->dest[0]);
    *taint = (*taint & ~lanes) | (tainted & lanes);
}

static const char *bind_choice(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    const bool by_predicate = in->opcode[1] == 'e';
    int at = 0;
    sg_take(in, &at, "ftz");
    if (at && by_predicate) return sg_refuse_modifier();
    const sg_type type = sg_take_type(in, &at);
    const int bytes = sg_type_bytes(type);
    sg_type by = SG_T_PRED;
    if (!by_predicate) {
        by = sg_take_type(in, &at);
        if (by != SG_T_S32 && by != SG_T_F32) return sg_refuse_modifier();
    }
    if (at != in->modifier_count || bytes < 2 || bytes > 8 || in->operand_count != 4)
        return sg_refuse_modifier();
    const sg_class class = sg_type_class(type);
    sg_operand c = in->operands[3];
    op->a = c.negated;
    op->b = by == SG_T_F32;
    c.negated = false;
    if (!sg_add_dest(binder, &in->operands[0], class) ||
        !sg_add_source(binder, &in->operands[1], class) ||
        !sg_add_source(binder, &in->operands[2], class) ||
        !sg_add_source(binder, &c, sg_type_class(by)))
        return sg_bind_error(binder);
    op->run = class == SG_SLOT_64 ? choose_64 : choose_32;
    op->taint = by_predicate ? choice_taint : NULL;
    op->kind = SG_K_MOVE;
    return NULL;
}

const sg_family sg_compare_family[] = {{"setp", bind_setp},   {"set", bind_set},
                                       {"testp", bind_testp}, {"selp", bind_choice},
                                       {"slct", bind_choice}, {NULL, NULL}};
