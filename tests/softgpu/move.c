/* mov in all its forms, and addresses: cvta, isspacep. Conversions are in move_convert.c. */
#include <time.h>

#include "tests/softgpu/float.h"
#include "tests/softgpu/memory.h"
#include "tests/softgpu/move.h"

static SG_HOT void move_32(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint32_t *a = sg_p32(warp, op->source[0]);
    SG_SET(uint32_t, sg_p32(warp, op->dest[0]), lanes, a[l]);
}
static SG_HOT void move_64(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint64_t *a = sg_p64(warp, op->source[0]);
    SG_SET(uint64_t, sg_p64(warp, op->dest[0]), lanes, a[l]);
}
static void move_128(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint64_t *a = sg_u64(warp, op->source[0]);
    uint64_t *d = sg_u64(warp, op->dest[0]);
    SG_SET(uint64_t, d, lanes, a[l]);
    SG_SET(uint64_t, d + SG_LANES, lanes, (a + SG_LANES)[l]);
}
static void move_pred(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    uint32_t *d = sg_pred(warp, op->dest[0]);
    *d = (*d & ~lanes) | (*sg_pred(warp, op->source[0]) & lanes);
}

/* ---- {a, b, ...}: op->a parts of op->b bits in a register of op->c. */

static SG_HOT void pack_2x16(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint32_t *a = sg_p32(warp, op->source[0]), *b = sg_p32(warp, op->source[1]);
    SG_SET(uint32_t, sg_p32(warp, op->dest[0]), lanes, (a[l] & 0xffff) | b[l] << 16);
}
static SG_HOT void pack_2x32(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint32_t *a = sg_p32(warp, op->source[0]), *b = sg_p32(warp, op->source[1]);
    SG_SET(uint64_t, sg_p64(warp, op->dest[0]), lanes, a[l] | (uint64_t)b[l] << 32);
}
static void pack(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint64_t mask = (op->b == 64 ? 0 : 1ull << op->b) - 1;
    for (int l = 0; l < SG_LANES; l++) {
        uint64_t word[2] = {0, 0};
        if (!(lanes >> l & 1)) continue;
        for (int i = 0; i < op->a; i++) {
            const uint64_t part = op->b == 64 ? sg_u64(warp, op->source[i])[l]
                                              : sg_u32(warp, op->source[i])[l] & mask;
            word[i * op->b / 64] |= part << (i * op->b % 64);
        }
        if (op->c == 32) {
            sg_u32(warp, op->dest[0])[l] = (uint32_t)word[0];
        } else {
            sg_u64(warp, op->dest[0])[l] = word[0];
            if (op->c == 128) sg_u64(warp, op->dest[0])[SG_LANES + l] = word[1];
        }
    }
}
static void unpack(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint64_t mask = (op->b == 64 ? 0 : 1ull << op->b) - 1;
    for (int l = 0; l < SG_LANES; l++) {
        uint64_t word[2] = {0, 0};
        if (!(lanes >> l & 1)) continue;
        if (op->c == 32) {
            word[0] = sg_u32(warp, op->source[0])[l];
        } else {
            word[0] = sg_u64(warp, op->source[0])[l];
            if (op->c == 128) word[1] = sg_u64(warp, op->source[0])[SG_LANES + l];
        }
        for (int i = 0; i < op->a; i++) {
            const uint64_t part = word[i * op->b / 64] >> (i * op->b % 64) & mask;
            if (op->b == 64)
                sg_u64(warp, op->dest[i])[l] = part;
            else
                sg_u32(warp, op->dest[i])[l] = (uint32_t)part;
        }
    }
}

static const char *bind_vector(sg_op *op, const sg_instruction *in, sg_binder *binder,
                               sg_type type) {
    const bool packs = in->operands[1].kind == SG_VECTOR;
    const sg_operand *vector = &in->operands[packs ? 1 : 0], *whole = &in->operands[packs ? 0 : 1];
    const int bits = sg_type_bytes(type) * 8;
    if (whole->kind == SG_VECTOR || vector->count < 2 || vector->count > 4 ||
        (vector->count != 2 && vector->count != 4) || bits < 32)
        return sg_refuse_operands();
    op->a = vector->count;
    op->b = bits / vector->count;
    op->c = bits;
    if (op->b < 16) return "registers of 8 bits are not packed";
    const sg_class part = op->b == 64 ? SG_SLOT_64 : SG_SLOT_32, all = sg_type_class(type);
    if (packs ? !sg_add_dest(binder, whole, all) || !sg_add_source(binder, vector, part)
              : !sg_add_dest(binder, vector, part) || !sg_add_source(binder, whole, all))
        return sg_bind_error(binder);
    op->run = !packs                      ? unpack
              : op->a == 2 && op->b == 16 ? pack_2x16
              : op->a == 2 && op->b == 32 ? pack_2x32
                                          : pack;
    return NULL;
}

/* ---- Clocks: they only have to go on. */

static void read_clock(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const uint64_t time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    if ((op->dest[0] & 3) == SG_SLOT_64)
        SG_SET(uint64_t, sg_u64(warp, op->dest[0]), lanes, time);
    else
        SG_SET(uint32_t, sg_u32(warp, op->dest[0]), lanes, time);
}

static const char *bind_mov(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    const sg_type type = sg_take_type(in, &at);
    const int bytes = sg_type_bytes(type);
    if (at != in->modifier_count || (type != SG_T_PRED && bytes < 2)) return sg_refuse_modifier();
    if (in->operand_count != 2) return sg_refuse_operands();
    op->kind = SG_K_MOVE;
    op->flags = SG_IS_COPY;
    if (in->operands[0].kind == SG_VECTOR || in->operands[1].kind == SG_VECTOR)
        return bind_vector(op, in, binder, type);
    const sg_class class = sg_type_class(type);
    const sg_operand *from = &in->operands[1];
    if (from->kind == SG_SPECIAL && (from->special == SG_CLOCK || from->special == SG_CLOCK64 ||
                                     from->special == SG_GLOBALTIMER)) {
        op->run = read_clock;
        if (class != SG_SLOT_32 && class != SG_SLOT_64) return sg_refuse_operands();
        return sg_add_dest(binder, &in->operands[0], class) ? NULL : sg_bind_error(binder);
    }
    op->run = class == SG_SLOT_PRED ? move_pred
              : class == SG_SLOT_32 ? move_32
              : class == SG_SLOT_64 ? move_64
                                    : move_128;
    return sg_bind_plain(op, in, binder, class, class, 1);
}

/* ---- Addresses. Those of global and constant memory are generic ones already; shared and local
 * memory are windows. op->offset: what to add. */

static SG_HOT void add_base(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint64_t *a = sg_p64(warp, op->source[0]), base = (uint64_t)op->offset;
    SG_SET(uint64_t, sg_p64(warp, op->dest[0]), lanes, a[l] + base);
}

static bool take_window(const sg_instruction *in, int *at, sg_space *space) {
    static const struct {
        const char *name;
        sg_space space;
    } names[] = {{"global", SG_GLOBAL}, {"shared", SG_SHARED}, {"shared::cta", SG_SHARED},
                 {"local", SG_LOCAL},   {"const", SG_CONST},   {"param", SG_PARAM}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (sg_take(in, at, names[i].name)) {
            *space = names[i].space;
            return true;
        }
    return false;
}

static const char *bind_cvta(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    sg_space space;
    const bool to = sg_take(in, &at, "to");
    if (!take_window(in, &at, &space) || !sg_take(in, &at, "u64") || at != in->modifier_count)
        return sg_refuse_modifier();
    const uint64_t base = space == SG_SHARED  ? SG_SHARED_BASE
                          : space == SG_LOCAL ? SG_LOCAL_BASE
                          : space == SG_PARAM ? SG_PARAM_BASE
                                              : 0;
    op->offset = (int64_t)(to ? 0 - base : base);
    op->run = base ? add_base : move_64;
    op->kind = SG_K_MOVE;
    return sg_bind_plain(op, in, binder, SG_SLOT_64, SG_SLOT_64, 1);
}

/* op->a: space. */
static void is_space(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint64_t *a = sg_u64(warp, op->source[0]);
    uint32_t bits = 0, *d = sg_pred(warp, op->dest[0]);
    for (int l = 0; l < SG_LANES; l++) {
        const sg_space is = a[l] - SG_SHARED_BASE < SG_WINDOW  ? SG_SHARED
                            : a[l] - SG_LOCAL_BASE < SG_WINDOW ? SG_LOCAL
                                                               : SG_GLOBAL;
        bits |= (uint32_t)((int)is == op->a) << l;
    }
    *d = (*d & ~lanes) | (bits & lanes);
}

static const char *bind_isspacep(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    sg_space space;
    if (!take_window(in, &at, &space) || at != in->modifier_count || space == SG_CONST ||
        space == SG_PARAM)
        return sg_refuse_modifier();
    op->a = (int32_t)space;
    op->run = is_space;
    op->kind = SG_K_MOVE;
    return sg_bind_plain(op, in, binder, SG_SLOT_PRED, SG_SLOT_64, 1);
}

const sg_family sg_move_family[] = {{"mov", bind_mov},
                                    {"cvt", sg_bind_convert},
                                    {"cvta", bind_cvta},
                                    {"isspacep", bind_isspacep},
                                    {NULL, NULL}};
