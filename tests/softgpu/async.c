/* cp.async, its groups and waits. Each warp keeps its copies under way in the order of asking; a
 * lane's groups are counted by its commits. */
#include "tests/softgpu/async.h"

#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/counters.h"
#include "tests/softgpu/mbarrier.h"
#include "tests/softgpu/memory_ops.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/race.h"
#include "tests/softgpu/report.h"
#include "tests/softgpu/tma.h"

#define GRANULE 4 /* bytes: the smallest copy */

typedef struct copies { /* of one instruction */
    const sg_op *op;
    uint32_t lanes; /* still under way */
    int bytes;
    uint64_t to[SG_LANES]; /* offsets in the shared window */
    const unsigned char *from[SG_LANES];
    uint8_t from_bytes[SG_LANES]; /* the rest is zeros */
    uint16_t missing[SG_LANES];   /* bytes of the source that nobody had written */
    uint32_t group[SG_LANES];
} copies;

typedef struct warp_async {
    copies *list;
    int count, capacity;
    uint32_t committed[SG_LANES]; /* groups so far */
} warp_async;

static warp_async *of_warp(sg_warp *warp) {
    if (!warp->async) warp->async = calloc(1, sizeof(warp_async));
    return warp->async;
}

void sg_async_block_start(sg_block *block) {
    block->async = NULL;
    for (int w = 0; w < block->warp_count; w++)
        block->warps[w].async = NULL;
}

void sg_async_block_end(sg_block *block) {
    for (int w = 0; w < block->warp_count; w++) {
        warp_async *a = block->warps[w].async;
        if (!a) continue;
        free(a->list);
        free(a);
        block->warps[w].async = NULL;
    }
    free(block->async);
    block->async = NULL;
}

/* One counter a granule: how many copies under way touch it. */
void sg_async_mark(sg_block *block, uint64_t offset, uint64_t bytes, int change) {
    if (!block->async) block->async = calloc(block->shared_bytes / GRANULE + 1, 1);
    uint8_t *flying = block->async;
    if (!flying) return;
    for (uint64_t g = offset / GRANULE; g <= (offset + bytes - 1) / GRANULE; g++)
        flying[g] = (uint8_t)(flying[g] + change);
}

bool sg_async_in_flight(const sg_block *block, uint64_t offset, uint64_t bytes) {
    const uint8_t *flying = block->async;
    if (!flying || !bytes) return false;
    for (uint64_t g = offset / GRANULE; g <= (offset + bytes - 1) / GRANULE; g++)
        if (flying[g]) return true;
    return false;
}

static uint64_t shared_offset(uint64_t address) {
    return address >= SG_SHARED_BASE ? address - SG_SHARED_BASE : address;
}

static copies *append(warp_async *a) {
    if (a->count == a->capacity) {
        int capacity = a->capacity ? 2 * a->capacity : 16;
        copies *list = realloc(a->list, (size_t)capacity * sizeof *list);
        if (!list) return NULL;
        a->list = list;
        a->capacity = capacity;
    }
    return &a->list[a->count++];
}

static uint16_t missing_bytes(const sg_warp *warp, uint64_t from, uint32_t bytes) {
    uint16_t missing = 0;
    if (!sg_get_options()->full || sg_written(warp, SG_GLOBAL, from, bytes)) return 0;
    for (uint32_t i = 0; i < bytes; i++)
        if (!sg_written(warp, SG_GLOBAL, from + i, 1)) missing |= (uint16_t)(1u << i);
    return missing;
}

/* Sources of the op: base of the shared address, base of the global one[, bytes to read]; a: bytes,
 * b: offset of the global address, c: says how many bytes to read. */
static void copy(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    warp_async *a = of_warp(warp);
    copies *c = a ? append(a) : NULL;
    if (!c) {
        sg_report(SG_R_LAUNCH, warp, op, lanes, "softgpu has no memory left for copies");
        return;
    }
    *c = (copies){.op = op, .bytes = op->a};
    const uint32_t *wanted = op->c ? sg_u32(warp, op->source[2]) : NULL;
    uint64_t to_addresses[SG_LANES], from_addresses[SG_LANES];
    sg_addresses(to_addresses, warp, op);
    sg_addresses_from(from_addresses, warp, op->source[1], op->b);
    for (int i = 0; i < 2; i++)
        sg_check_addresses(warp, op, op->source[i], lanes);
    const uint32_t bad = op->c && sg_get_options()->full ? *sg_taint(warp, op->source[2]) : 0;
    if (bad & lanes)
        sg_report(SG_R_UNWRITTEN, warp, op, bad & lanes,
                  "how much cp.async reads comes from bytes that nobody wrote");
    for (int l = 0; l < SG_LANES; l++) {
        if (!(lanes >> l & 1)) continue;
        const uint64_t to = to_addresses[l], from = from_addresses[l];
        uint32_t from_bytes = wanted ? wanted[l] : (uint32_t)op->a;
        if (from_bytes > (uint32_t)op->a) {
            sg_report(SG_R_BOUNDS, warp, op, 1u << l, "cp.async of %d bytes was told to read %u",
                      op->a, from_bytes);
            continue;
        }
        if (from % (uint64_t)op->a && from_bytes) {
            sg_report(SG_R_ALIGNMENT, warp, op, 1u << l,
                      "cp.async reads %d bytes at address %#llx, which is no multiple of %d", op->a,
                      (unsigned long long)from, op->a);
            continue;
        }
        unsigned char *source = NULL;
        if (from_bytes) {
            source = sg_access_range(warp, op, l, SG_GLOBAL, from, from_bytes, SG_READ);
            if (!source) continue;
            c->missing[l] = missing_bytes(warp, from, from_bytes);
        }
        if (to % (uint64_t)op->a) {
            sg_report(SG_R_ALIGNMENT, warp, op, 1u << l,
                      "cp.async writes %d bytes at shared offset %llu, which is no multiple of %d",
                      op->a, (unsigned long long)to, op->a);
            continue;
        }
        if (!sg_access_range(warp, op, l, SG_SHARED, to, (uint64_t)op->a, SG_WRITE)) continue;
        c->to[l] = shared_offset(to);
        c->from[l] = source;
        c->from_bytes[l] = (uint8_t)from_bytes;
        c->group[l] = a->committed[l];
        c->lanes |= 1u << l;
        sg_async_mark(warp->block, c->to[l], (uint64_t)op->a, 1);
        if (warp->block->grid->counters) warp->block->grid->counters->async_bytes += from_bytes;
    }
}

static void land(sg_warp *warp, copies *c, uint32_t lanes) {
    uint64_t addresses[SG_LANES] = {0};
    for (int l = 0; l < SG_LANES; l++) {
        if (!(lanes >> l & 1)) continue;
        unsigned char *to = warp->block->shared + c->to[l];
        size_t read = c->from_bytes[l];
        if (read) memcpy(to, c->from[l], read);
        memset(to + read, 0, (size_t)c->bytes - read);
        sg_set_written(warp, SG_SHARED, c->to[l], (uint64_t)c->bytes, true);
        for (uint32_t rest = c->missing[l]; rest; rest &= rest - 1)
            sg_set_written(warp, SG_SHARED, c->to[l] + (uint64_t)__builtin_ctz(rest), 1, false);
        sg_async_mark(warp->block, c->to[l], (uint64_t)c->bytes, -1);
        addresses[l] = c->to[l];
    }
    /* The bytes are written now, by the lane that waited: others need a barrier from here on. */
    if (sg_get_options()->full)
        sg_race_access(warp, c->op, lanes, SG_SHARED, addresses, c->bytes, SG_WRITE);
    c->lanes &= ~lanes;
}

static void commit(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    (void)op;
    warp_async *a = of_warp(warp);
    for (int l = 0; a && l < SG_LANES; l++)
        a->committed[l] += lanes >> l & 1;
}

/* newest: how many of the newest groups may stay under way, -1: none, uncommitted copies included.
 */
static void land_groups(sg_warp *warp, uint32_t lanes, int newest) {
    warp_async *a = warp->async;
    if (!a) return;
    int kept = 0;
    for (int i = 0; i < a->count; i++) {
        copies *c = &a->list[i];
        uint32_t ready = 0;
        for (int l = 0; l < SG_LANES; l++)
            if ((lanes & c->lanes) >> l & 1)
                if (newest < 0 || c->group[l] + (uint32_t)newest < a->committed[l])
                    ready |= 1u << l;
        if (ready) land(warp, c, ready);
        if (c->lanes) a->list[kept++] = *c;
    }
    a->count = kept;
}

static void wait_for(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    land_groups(warp, lanes, op->a);
}

void sg_async_land_lane(sg_warp *warp, int lane) {
    land_groups(warp, 1u << lane, -1);
}

/* Prefetch hints change nothing. */
static void take_hints(const sg_instruction *in, int *at) {
    static const char *const hints[] = {"L2::64B", "L2::128B", "L2::256B"};
    for (int i = 0; i < 3; i++)
        if (sg_take(in, at, hints[i])) return;
}

static const char *bind_copy(sg_op *op, const sg_instruction *in, sg_binder *binder, int at) {
    bool all = sg_take(in, &at, "ca");
    if (!all && !sg_take(in, &at, "cg")) return "cp.async needs .ca or .cg";
    if (!sg_take(in, &at, "shared") && !sg_take(in, &at, "shared::cta"))
        return "cp.async must write shared memory";
    if (!sg_take(in, &at, "global")) return "cp.async must read global memory";
    take_hints(in, &at);
    if (at != in->modifier_count) return "this modifier of cp.async is not known";
    if (in->operand_count < 3 || in->operand_count > 4 || in->operands[2].kind != SG_IMMEDIATE)
        return "this form of cp.async is not known";
    op->a = (int32_t)in->operands[2].bits;
    if (op->a != 16 && (!all || (op->a != 4 && op->a != 8)))
        return "cp.async copies 4, 8 or 16 bytes, .cg 16";
    if (!sg_add_address(binder, &in->operands[0])) return sg_bind_error(binder);
    const int64_t to_offset = op->offset;
    op->offset = 0;
    if (!sg_add_address(binder, &in->operands[1])) return sg_bind_error(binder);
    if (op->offset != (int32_t)op->offset) return "the offset is too large";
    op->b = (int32_t)op->offset; /* op->offset is the target's */
    op->offset = to_offset;
    op->c = in->operand_count == 4;
    if (op->c) {
        if (in->operands[3].kind == SG_REGISTER && in->operands[3].negated)
            return "this form of cp.async is not known";
        if (!sg_add_source(binder, &in->operands[3], SG_SLOT_32)) return sg_bind_error(binder);
    }
    op->run = copy;
    op->kind = SG_K_ASYNC_COPY;
    return NULL;
}

static const char *bind_cp(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    if (!sg_take(in, &at, "async")) return "of cp only cp.async is known";
    op->kind = SG_K_SYNC;
    if (sg_take(in, &at, "bulk")) return sg_bind_bulk(op, in, binder);
    if (sg_take(in, &at, "mbarrier")) {
        if (!sg_take(in, &at, "arrive")) return "this form of cp.async is not known";
        return sg_bind_cp_mbarrier_arrive(op, in, binder);
    }
    if (sg_take(in, &at, "commit_group")) {
        op->run = commit;
    } else if (sg_take(in, &at, "wait_all")) {
        op->run = wait_for;
        op->a = -1;
    } else if (sg_take(in, &at, "wait_group")) {
        if (in->operand_count != 1 || in->operands[0].kind != SG_IMMEDIATE)
            return "cp.async.wait_group needs a number";
        op->run = wait_for;
        op->a = (int32_t)in->operands[0].bits;
    } else {
        return bind_copy(op, in, binder, at);
    }
    return at == in->modifier_count ? NULL : "this modifier of cp.async is not known";
}

/* What mutant.c has taken out. */
static void nothing(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    (void)warp;
    (void)op;
    (void)lanes;
}
static const char *bind_deleted(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    (void)in;
    (void)binder;
    op->run = nothing;
    op->kind = SG_K_SYNC;
    return NULL;
}

const sg_family sg_async_family[] = {{"cp", bind_cp}, {"deleted", bind_deleted}, {NULL, NULL}};
