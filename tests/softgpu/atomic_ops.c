/* atom, red. Lanes run one after another: upwards, or, where the seed is even, downwards, so that
 * what depends on their order shows. */
#include <string.h>

#include "tests/softgpu/counters.h"
#include "tests/softgpu/memory_ops.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/report.h"

typedef enum operation {
    OP_ADD,
    OP_MIN,
    OP_MAX,
    OP_AND,
    OP_OR,
    OP_XOR,
    OP_INC,
    OP_DEC,
    OP_EXCH,
    OP_CAS,
    OPERATIONS
} operation;

/* op->b: operation, type and whether the old value is wanted (atom). */
#define OPERATION(b) ((operation)((b)&15))
#define TYPE(b) ((sg_type)((b) >> 4 & 63))
#define IS_ATOM 1024

static uint32_t bits_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}
static float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* Flushed to zero with its sign, as atom.add.f32 does in global memory (PTX ISA, "atom"). */
static float flush(float value, bool flushed) {
    uint32_t bits = bits_of_float(value);
    if (!flushed || bits & 0x7f800000) return value;
    return float_of_bits(bits & 0x80000000);
}

static uint16_t add_bf16(uint16_t a, uint16_t b) {
    uint32_t sum =
        bits_of_float(float_of_bits((uint32_t)a << 16) + float_of_bits((uint32_t)b << 16));
    if ((sum & 0x7fffffff) > 0x7f800000) return 0x7fff;
    return (uint16_t)((sum + 0x7fff + (sum >> 16 & 1)) >> 16);
}

/* The sum of two halves is exact in f32 or rounds there to more than twice the bits of a half, so
 * rounding again gives what rounding once does. */
static uint16_t add_f16(uint16_t a, uint16_t b) {
    _Float16 x, y, sum;
    memcpy(&x, &a, 2);
    memcpy(&y, &b, 2);
    sum = (_Float16)((float)x + (float)y);
    uint16_t bits;
    memcpy(&bits, &sum, 2);
    return (bits & 0x7fff) > 0x7c00 ? 0x7fff : bits;
}

static uint64_t add(uint64_t old, uint64_t value, sg_type type, bool global) {
    double x, y;
    switch (type) {
    case SG_T_F32:
        return bits_of_float(flush(flush(float_of_bits((uint32_t)old), global) +
                                       flush(float_of_bits((uint32_t)value), global),
                                   global));
    case SG_T_F64:
        memcpy(&x, &old, 8);
        memcpy(&y, &value, 8);
        x += y;
        memcpy(&old, &x, 8);
        return old;
    case SG_T_BF16:
        return add_bf16((uint16_t)old, (uint16_t)value);
    case SG_T_F16:
        return add_f16((uint16_t)old, (uint16_t)value);
    case SG_T_BF16X2:
        return (uint32_t)add_bf16((uint16_t)(old >> 16), (uint16_t)(value >> 16)) << 16 |
               add_bf16((uint16_t)old, (uint16_t)value);
    case SG_T_F16X2:
        return (uint32_t)add_f16((uint16_t)(old >> 16), (uint16_t)(value >> 16)) << 16 |
               add_f16((uint16_t)old, (uint16_t)value);
    default:
        return old + value;
    }
}

static bool less(uint64_t a, uint64_t b, sg_type type) {
    switch (type) {
    case SG_T_S32:
        return (int32_t)a < (int32_t)b;
    case SG_T_S64:
        return (int64_t)a < (int64_t)b;
    default:
        return a < b;
    }
}

static uint64_t result(uint64_t old, uint64_t value, uint64_t other, int32_t b, bool global) {
    sg_type type = TYPE(b);
    switch (OPERATION(b)) {
    case OP_ADD:
        return add(old, value, type, global);
    case OP_MIN:
        return less(value, old, type) ? value : old;
    case OP_MAX:
        return less(old, value, type) ? value : old;
    case OP_AND:
        return old & value;
    case OP_OR:
        return old | value;
    case OP_XOR:
        return old ^ value;
    case OP_INC:
        return old >= value ? 0 : old + 1;
    case OP_DEC:
        return !old || old > value ? value : old - 1;
    case OP_EXCH:
        return value;
    default:
        return old == value ? other : old; /* cas */
    }
}

static uint64_t source(const sg_warp *warp, sg_slot slot, int lane) {
    return (slot & 3) == SG_SLOT_64 ? sg_u64(warp, slot)[lane] : sg_u32(warp, slot)[lane];
}

static void report_unwritten(sg_warp *warp, const sg_op *op, uint32_t lanes, const char *what) {
    if (lanes)
        sg_report(SG_R_UNWRITTEN, warp, op, lanes, "lane %d: %s by an atomic %s nobody has written",
                  __builtin_ctz(lanes), what, op->a == 1 ? "byte" : "bytes");
}

/* Sources: address, value[, value to store (cas)]. op->a: bytes. */
static void atomic(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    uint64_t addresses[SG_LANES];
    sg_access access;
    const sg_options *options = sg_get_options();
    operation what = OPERATION(op->b);
    uint32_t asked = lanes;
    sg_addresses(addresses, warp, op);
    lanes = sg_access_with(&access, NULL, warp, op, lanes, sg_op_space(op), addresses, op->a,
                           SG_ATOMIC, *sg_taint(warp, op->source[0]), sg_op_strength(op));
    if (options->full) {
        uint32_t taint = 0;
        for (int i = 1; i < op->source_count; i++)
            taint |= *sg_taint(warp, op->source[i]);
        report_unwritten(warp, op, taint & lanes, "a value used");
        if (what != OP_EXCH) report_unwritten(warp, op, access.tainted, "memory changed");
    }
    bool global = sg_op_space(op) != SG_SHARED, down = options->seed % 2 == 0;
    for (uint32_t rest = lanes; rest;) {
        int l = down ? 31 - __builtin_clz(rest) : __builtin_ctz(rest);
        rest &= ~(1u << l);
        uint64_t old = 0, value = source(warp, op->source[1], l), other = 0;
        if (what == OP_CAS) other = source(warp, op->source[2], l);
        if (op->a == 2) value &= 0xffff;
        memcpy(&old, access.host[l], (size_t)op->a);
        uint64_t now = result(old, value, other, op->b, global);
        memcpy(access.host[l], &now, (size_t)op->a);
        if (options->full)
            sg_note_strong(warp, op, l, addresses[l], op->a, true, now != old || what != OP_CAS);
        if (!(op->b & IS_ATOM)) continue;
        if ((op->dest[0] & 3) == SG_SLOT_64)
            sg_u64(warp, op->dest[0])[l] = old;
        else
            sg_u32(warp, op->dest[0])[l] = (uint32_t)old;
    }
    if (op->b & IS_ATOM) {
        uint32_t *taint = sg_taint(warp, op->dest[0]);
        *taint = (*taint & ~asked) | (what == OP_EXCH ? access.tainted : 0);
    }
    if (warp->block->grid->counters)
        warp->block->grid->counters->atomics += (uint64_t)__builtin_popcount(lanes);
}

/* ---- Binding. */

static const struct {
    const char *name;
    operation what;
} operations[] = {{"add", OP_ADD}, {"min", OP_MIN},  {"max", OP_MAX}, {"and", OP_AND},
                  {"or", OP_OR},   {"xor", OP_XOR},  {"inc", OP_INC}, {"dec", OP_DEC},
                  {"cas", OP_CAS}, {"exch", OP_EXCH}};

static bool goes(operation what, sg_type t) {
    switch (what) {
    case OP_ADD:
        return t == SG_T_U32 || t == SG_T_S32 || t == SG_T_U64 || t == SG_T_F32 || t == SG_T_F64 ||
               t == SG_T_F16 || t == SG_T_BF16 || t == SG_T_F16X2 || t == SG_T_BF16X2;
    case OP_MIN:
    case OP_MAX:
        return t == SG_T_U32 || t == SG_T_S32 || t == SG_T_U64 || t == SG_T_S64;
    case OP_INC:
    case OP_DEC:
        return t == SG_T_U32;
    case OP_CAS:
        return t == SG_T_B16 || t == SG_T_B32 || t == SG_T_B64;
    default:
        return t == SG_T_B32 || t == SG_T_B64;
    }
}

static const char *bind_atomic(sg_op *op, const sg_instruction *in, sg_binder *binder,
                               bool is_atom) {
    int at = 0;
    const char *why;
    op->c = sg_take_access(in, &at, &why);
    if (why) return why;
    sg_space space = sg_op_space(op);
    if (space != SG_GENERIC && space != SG_GLOBAL && space != SG_SHARED)
        return "atomics go to global or shared memory";
    op->c |= SG_M_STRONG;
    operation what = OPERATIONS;
    for (size_t i = 0; i < sizeof operations / sizeof *operations && what == OPERATIONS; i++)
        if (sg_take(in, &at, operations[i].name)) what = operations[i].what;
    if (what == OPERATIONS) return "this atomic operation is not known";
    bool noftz = sg_take(in, &at, "noftz");
    sg_type type = sg_take_type(in, &at);
    if (at != in->modifier_count) return "this modifier of an atomic is not known";
    if (!goes(what, type)) return "this operation does not go with this type";
    if (noftz !=
        (type == SG_T_F16 || type == SG_T_BF16 || type == SG_T_F16X2 || type == SG_T_BF16X2))
        return ".noftz belongs to f16 and bf16 atomics";
    if (!is_atom && (what == OP_CAS || what == OP_EXCH)) return "red needs no old value";
    int values = what == OP_CAS ? 2 : 1;
    if (in->operand_count != is_atom + 1 + values) return "this form is not known";
    op->a = sg_type_bytes(type);
    op->b = (int32_t)what | (int32_t)type << 4 | (is_atom ? IS_ATOM : 0);
    sg_class class = op->a == 8 ? SG_SLOT_64 : SG_SLOT_32;
    if (is_atom && !sg_add_dest(binder, &in->operands[0], class)) return sg_bind_error(binder);
    if (in->operands[is_atom].kind != SG_ADDRESS) return "the address is missing";
    if (!sg_add_address(binder, &in->operands[is_atom])) return sg_bind_error(binder);
    for (int i = 0; i < values; i++)
        if (!sg_add_source(binder, &in->operands[is_atom + 1 + i], class))
            return sg_bind_error(binder);
    op->run = atomic;
    op->taint = sg_taint_is_set;
    op->kind = SG_K_ATOMIC;
    return NULL;
}

static const char *bind_atom(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    return bind_atomic(op, in, binder, true);
}
static const char *bind_red(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    return bind_atomic(op, in, binder, false);
}

const sg_family sg_atomic_family[] = {{"atom", bind_atom}, {"red", bind_red}, {NULL, NULL}};
