/* Instructions that look at other lanes: shfl, vote, match, redux, activemask, elect. All but
 * activemask name the lanes that take part, and wait until those that live have come. */
#include "tests/softgpu/handler.h"
#include "tests/softgpu/schedule.h"

/* The usual case: all lanes are here, and all name all. */
SG_HOT static bool all_name_all(const uint32_t masks[SG_LANES]) {
    uint32_t named = UINT32_MAX;
    for (int l = 0; l < SG_LANES; l++)
        named &= masks[l];
    return named == UINT32_MAX;
}

uint32_t sg_lanes_together(sg_warp *warp, const sg_op *op, uint32_t lanes,
                           const uint32_t masks[SG_LANES]) {
    if (lanes == UINT32_MAX && all_name_all(masks)) return lanes;
    const char *opcode = op->instruction->opcode;
    uint32_t together = 0, left = lanes;
    while (left) {
        const int first = __builtin_ctz(left);
        const uint32_t mask = masks[first];
        uint32_t same = 0;
        for (int l = 0; l < SG_LANES; l++)
            same |= (uint32_t)(masks[l] == mask) << l;
        same &= left;
        left &= ~same;
        if (same & ~mask) {
            sg_report(SG_R_WARP_SYNC, warp, op, same & ~mask,
                      "these lanes run %s, whose mask 0x%08x does not name them", opcode, mask);
            sg_abandon(warp);
            return 0;
        }
        if (mask & lanes & ~same) {
            sg_report(SG_R_WARP_SYNC, warp, op, mask & lanes & ~same,
                      "%s with another mask than the lanes it meets, which have 0x%08x", opcode,
                      mask);
            sg_abandon(warp);
            return 0;
        }
        if (mask & sg_living(warp) & ~same)
            sg_wait(warp, same, "lanes of its mask");
        else
            together |= same;
    }
    return together;
}

static uint32_t taint_of(const sg_warp *warp, sg_slot slot) {
    return *sg_taint(warp, slot);
}

static void set_taint(const sg_warp *warp, sg_slot slot, uint32_t lanes, uint32_t tainted) {
    uint32_t *taint = sg_taint(warp, slot);
    *taint = (*taint & ~lanes) | (tainted & lanes);
}

/* ---- shfl.sync. Sources: value, lane, clamp and segment, mask. op->a: mode. */

enum { UP, DOWN, BFLY, IDX };

/* from: the lane that each lane reads; its own one if the other is out of its segment. Returns the
 * lanes that are inside. */
SG_HOT
static uint32_t shuffled(int32_t from[SG_LANES], int mode, const uint32_t *b, const uint32_t *c) {
    int32_t other[SG_LANES], limit[SG_LANES];
    for (int l = 0; l < SG_LANES; l++) {
        const int32_t segment = (int32_t)(c[l] >> 8 & 31), clamp = (int32_t)(c[l] & 31);
        limit[l] = (l & segment) | (clamp & ~segment);
    }
    for (int l = 0; l < SG_LANES; l++) {
        const int32_t lane = (int32_t)(b[l] & 31), segment = (int32_t)(c[l] >> 8 & 31);
        other[l] = mode == UP     ? l - lane
                   : mode == DOWN ? l + lane
                   : mode == BFLY ? l ^ lane
                                  : (l & segment) | (lane & ~segment);
    }
    uint32_t inside = 0;
    for (int l = 0; l < SG_LANES; l++) {
        const bool in = mode == UP ? other[l] >= limit[l] : other[l] <= limit[l];
        from[l] = in ? other[l] : l;
        inside |= in ? 1u << l : 0;
    }
    return inside;
}

/* Which lanes read from one that has its bit in `bits`. */
static uint32_t reads_from(uint32_t bits, const int32_t from[SG_LANES]) {
    uint32_t readers = 0;
    for (int l = 0; l < SG_LANES; l++)
        readers |= (bits >> from[l] & 1) << l;
    return readers;
}

static void shfl(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint32_t *a = sg_p32(warp, op->source[0]);
    lanes = sg_lanes_together(warp, op, lanes, sg_p32(warp, op->source[3]));
    if (!lanes) return;
    int32_t from[SG_LANES];
    uint32_t results[SG_LANES];
    const uint32_t inside =
        shuffled(from, op->a, sg_p32(warp, op->source[1]), sg_p32(warp, op->source[2]));
    SG_EVERY_LANE results[l] = a[from[l]];
    if (lanes != UINT32_MAX) {
        const uint32_t *masks = sg_u32(warp, op->source[3]);
        uint32_t wrong = 0;
        for (int l = 0; l < SG_LANES; l++)
            wrong |= (~(lanes & masks[l]) >> from[l] & 1) << l;
        if (wrong & lanes)
            sg_report(SG_R_WARP_SYNC, warp, op, wrong & lanes,
                      "these lanes read from a lane that does not take part");
    }
    uint32_t taint = taint_of(warp, op->source[1]) | taint_of(warp, op->source[2]);
    const uint32_t index_taint = taint, value_taint = taint_of(warp, op->source[0]);
    if (value_taint) taint |= reads_from(value_taint, from);
    SG_SET(uint32_t, sg_p32(warp, op->dest[0]), lanes, results[l]);
    set_taint(warp, op->dest[0], lanes, taint);
    if (op->dest_count > 1) {
        uint32_t *p = sg_pred(warp, op->dest[1]);
        *p = (*p & ~lanes) | (inside & lanes);
        set_taint(warp, op->dest[1], lanes, index_taint);
    }
}

/* Handlers here set the taint themselves, since which lanes ran is known to them alone. */
static void taint_is_set(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    (void)warp;
    (void)op;
    (void)lanes;
}

static const char *finish(sg_op *op, sg_handler *run) {
    op->run = run;
    op->taint = taint_is_set;
    op->kind = SG_K_EXCHANGE;
    op->flags = SG_MAY_BLOCK;
    return NULL;
}

static const char *bind_shfl(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    static const char *const modes[] = {"up", "down", "bfly", "idx"};
    int at = 0, operand = 0;
    if (!sg_take(in, &at, "sync")) return "shfl without .sync is gone since sm_70";
    for (op->a = 0; op->a < 4; op->a++)
        if (sg_take(in, &at, modes[op->a])) break;
    if (op->a == 4 || !sg_take(in, &at, "b32") || at != in->modifier_count)
        return sg_refuse_modifier();
    if (in->operand_count != 5 + in->paired) return sg_refuse_operands();
    if (!sg_add_dest(binder, &in->operands[operand++], SG_SLOT_32)) return sg_bind_error(binder);
    if (in->paired && !sg_add_dest(binder, &in->operands[operand++], SG_SLOT_PRED))
        return sg_bind_error(binder);
    for (int i = 0; i < 4; i++)
        if (!sg_add_source(binder, &in->operands[operand++], SG_SLOT_32))
            return sg_bind_error(binder);
    return finish(op, shfl);
}

/* ---- Instructions whose result is the same for all lanes of a mask: a function of each mask's
 * lanes. Sources: value, mask. */

typedef uint32_t over_lanes(const sg_warp *warp, const sg_op *op, uint32_t lanes);

static void each_mask(sg_warp *warp, const sg_op *op, uint32_t lanes, over_lanes *value) {
    const uint32_t *masks = sg_u32(warp, op->source[1]);
    uint32_t left = sg_lanes_together(warp, op, lanes, masks);
    const bool pred = (op->dest[0] & 3) == SG_SLOT_PRED;
    while (left) {
        const uint32_t mask = masks[__builtin_ctz(left)], part = mask & left;
        const uint32_t result = value(warp, op, part);
        left &= ~part;
        if (pred)
            SG_SET_PRED(sg_pred(warp, op->dest[0]), part, result);
        else
            SG_SET(uint32_t, sg_u32(warp, op->dest[0]), part, result);
        set_taint(warp, op->dest[0], part, taint_of(warp, op->source[0]) & part ? part : 0);
    }
}

enum { ALL, ANY, UNI, BALLOT };

static uint32_t voted(const sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint32_t bits = *sg_pred(warp, op->source[0]),
                   true_lanes = (op->b ? ~bits : bits) & lanes;
    switch (op->a) {
    case ALL:
        return true_lanes == lanes;
    case ANY:
        return true_lanes != 0;
    case UNI:
        return true_lanes == lanes || !true_lanes;
    default:
        return true_lanes;
    }
}
static void vote(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    each_mask(warp, op, lanes, voted);
}

static const char *bind_vote(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    static const char *const modes[] = {"all", "any", "uni", "ballot"};
    int at = 0;
    bool sync = sg_take(in, &at, "sync");
    for (op->a = 0; op->a < 4; op->a++)
        if (sg_take(in, &at, modes[op->a])) break;
    /* CUB writes vote.ballot.sync. */
    if (!sync && !sg_take(in, &at, "sync")) return "vote without .sync is gone since sm_70";
    if (op->a == 4 || !sg_take(in, &at, op->a == BALLOT ? "b32" : "pred") ||
        at != in->modifier_count)
        return sg_refuse_modifier();
    if (in->operand_count != 3) return sg_refuse_operands();
    op->b = in->operands[1].negated;
    if (!sg_add_dest(binder, &in->operands[0], op->a == BALLOT ? SG_SLOT_32 : SG_SLOT_PRED) ||
        !sg_add_source(binder, &in->operands[1], SG_SLOT_PRED) ||
        !sg_add_source(binder, &in->operands[2], SG_SLOT_32))
        return sg_bind_error(binder);
    return finish(op, vote);
}

enum { ADD, MIN, MAX, AND, OR, XOR };

static uint32_t reduced(const sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint32_t *a = sg_u32(warp, op->source[0]);
    const uint32_t flip = op->b ? 0x80000000u : 0; /* signed: compared as unsigned ones */
    uint32_t sum = a[__builtin_ctz(lanes)] ^ flip;
    for (int l = __builtin_ctz(lanes) + 1; l < SG_LANES; l++) {
        if (!(lanes >> l & 1)) continue;
        const uint32_t x = a[l] ^ flip;
        switch (op->a) {
        case ADD:
            sum += x;
            break;
        case MIN:
            sum = x < sum ? x : sum;
            break;
        case MAX:
            sum = x > sum ? x : sum;
            break;
        case AND:
            sum &= x;
            break;
        case OR:
            sum |= x;
            break;
        default:
            sum ^= x;
        }
    }
    return sum ^ flip;
}
static void redux(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    each_mask(warp, op, lanes, reduced);
}

static const char *bind_redux(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    static const char *const modes[] = {"add", "min", "max", "and", "or", "xor"};
    int at = 0;
    if (!sg_take(in, &at, "sync")) return sg_refuse_modifier();
    for (op->a = 0; op->a < 6; op->a++)
        if (sg_take(in, &at, modes[op->a])) break;
    if (op->a == 6) return sg_refuse_modifier();
    const sg_type type = sg_take_type(in, &at);
    if (at != in->modifier_count ||
        (op->a >= AND ? type != SG_T_B32 : type != SG_T_U32 && type != SG_T_S32))
        return sg_refuse_modifier();
    op->b = type == SG_T_S32 && op->a != ADD;
    if (in->operand_count != 3) return sg_refuse_operands();
    const char *why = sg_bind_plain(op, in, binder, SG_SLOT_32, SG_SLOT_32, 2);
    return why ? why : finish(op, redux);
}

/* ---- match.sync: which lanes have the same value. Sources: value, mask; op->a: all. */

static void match(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint32_t *masks = sg_u32(warp, op->source[1]);
    const bool wide = (op->source[0] & 3) == SG_SLOT_64;
    uint64_t value[SG_LANES];
    uint32_t result[SG_LANES], all = 0, taint = 0;
    lanes = sg_lanes_together(warp, op, lanes, masks);
    if (!lanes) return;
    for (int l = 0; l < SG_LANES; l++)
        value[l] = wide ? sg_u64(warp, op->source[0])[l] : sg_u32(warp, op->source[0])[l];
    for (int l = 0; l < SG_LANES; l++) {
        const uint32_t mask = masks[l] & lanes;
        uint32_t same = 0;
        for (int k = 0; k < SG_LANES; k++)
            same |= (uint32_t)(value[k] == value[l]) << k;
        same &= mask;
        all |= (uint32_t)(same == mask) << l;
        result[l] = op->a && same != mask ? 0 : same;
        if (taint_of(warp, op->source[0]) & mask) taint |= 1u << l;
    }
    SG_SET(uint32_t, sg_u32(warp, op->dest[0]), lanes, result[l]);
    set_taint(warp, op->dest[0], lanes, taint);
    if (op->dest_count > 1) {
        uint32_t *p = sg_pred(warp, op->dest[1]);
        *p = (*p & ~lanes) | (all & lanes);
        set_taint(warp, op->dest[1], lanes, taint);
    }
}

static const char *bind_match(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0, operand = 0;
    op->a = sg_take(in, &at, "all");
    if (!op->a && !sg_take(in, &at, "any")) return sg_refuse_modifier();
    if (!sg_take(in, &at, "sync")) return sg_refuse_modifier();
    const sg_type type = sg_take_type(in, &at);
    if (at != in->modifier_count || (type != SG_T_B32 && type != SG_T_B64))
        return sg_refuse_modifier();
    if (in->operand_count != 3 + in->paired || (in->paired && !op->a)) return sg_refuse_operands();
    if (!sg_add_dest(binder, &in->operands[operand++], SG_SLOT_32) ||
        (in->paired && !sg_add_dest(binder, &in->operands[operand++], SG_SLOT_PRED)) ||
        !sg_add_source(binder, &in->operands[operand++], sg_type_class(type)) ||
        !sg_add_source(binder, &in->operands[operand], SG_SLOT_32))
        return sg_bind_error(binder);
    return finish(op, match);
}

static void activemask(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    SG_SET(uint32_t, sg_u32(warp, op->dest[0]), lanes, lanes);
    set_taint(warp, op->dest[0], lanes, 0);
}

static const char *bind_activemask(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    if (!sg_take(in, &at, "b32") || at != in->modifier_count) return sg_refuse_modifier();
    const char *why = sg_bind_plain(op, in, binder, SG_SLOT_32, SG_SLOT_32, 0);
    return why ? why : finish(op, activemask);
}

/* elect.sync d|p, mask: the lowest lane of the mask is elected. */
static void elect(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint32_t *masks = sg_u32(warp, op->source[0]);
    lanes = sg_lanes_together(warp, op, lanes, masks);
    if (!lanes) return;
    uint32_t leader[SG_LANES], elected = 0;
    for (int l = 0; l < SG_LANES; l++) {
        const uint32_t mask = masks[l] & lanes;
        leader[l] = mask ? (uint32_t)__builtin_ctz(mask) : 0;
        elected |= (uint32_t)(leader[l] == (uint32_t)l) << l;
    }
    SG_SET(uint32_t, sg_u32(warp, op->dest[0]), lanes, leader[l]);
    uint32_t *p = sg_pred(warp, op->dest[1]);
    *p = (*p & ~lanes) | (elected & lanes);
    set_taint(warp, op->dest[0], lanes, 0);
    set_taint(warp, op->dest[1], lanes, 0);
}

static const char *bind_elect(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    if (!sg_take(in, &at, "sync") || at != in->modifier_count) return sg_refuse_modifier();
    if (in->operand_count != 3 || !in->paired) return sg_refuse_operands();
    if (!sg_add_dest(binder, &in->operands[0], SG_SLOT_32) ||
        !sg_add_dest(binder, &in->operands[1], SG_SLOT_PRED) ||
        !sg_add_source(binder, &in->operands[2], SG_SLOT_32))
        return sg_bind_error(binder);
    return finish(op, elect);
}

const sg_family sg_exchange_family[] = {{"shfl", bind_shfl},
                                        {"vote", bind_vote},
                                        {"redux", bind_redux},
                                        {"match", bind_match},
                                        {"activemask", bind_activemask},
                                        {"elect", bind_elect},
                                        {NULL, NULL}};
