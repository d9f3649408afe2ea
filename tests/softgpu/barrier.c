/* The named barriers of a block: bar.sync, bar.arrive, bar.red and barrier.*, of which bar is the
 * aligned form. Since sm_70 a barrier waits for threads, not for warps: without a count, for all of
 * the block that have not exited. Lanes that arrive sleep until the barrier completes; then each is
 * marked as released, and its instruction, run again, lets it pass. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/cluster.h"
#include "tests/softgpu/counters.h"
#include "tests/softgpu/handler.h"
#include "tests/softgpu/race.h"
#include "tests/softgpu/schedule.h"

typedef enum mode { SYNC, ARRIVE, RED_POPC, RED_AND, RED_OR } mode;

typedef struct barrier {
    uint32_t arrived[SG_MAX_WARPS];  /* lanes, those of bar.arrive included */
    uint32_t waiting[SG_MAX_WARPS];  /* of these, lanes that sleep */
    uint32_t released[SG_MAX_WARPS]; /* lanes that may pass */
    uint32_t result[SG_MAX_WARPS];   /* for the released: how many had a true predicate */
    uint32_t threads[SG_MAX_WARPS];  /* ... of how many */
    bool busy;
    mode how;
    uint32_t count; /* threads wanted, 0: all */
    uint32_t truths;
} barrier;

bool sg_barriers_make(sg_block *block) {
    block->barriers = calloc(SG_MAX_BARRIERS, sizeof(barrier));
    return block->barriers;
}

void sg_barriers_start(sg_block *block) {
    memset(block->barriers, 0, SG_MAX_BARRIERS * sizeof(barrier));
}

void sg_barriers_free(sg_block *block) {
    free(block->barriers);
    block->barriers = NULL;
}

/* A warp that is here as a whole counts in full, also the last one of an odd block. */
static uint32_t threads_here(const sg_block *block, const barrier *b) {
    uint32_t threads = 0;
    for (int w = 0; w < block->warp_count; w++) {
        const uint32_t lanes = b->arrived[w];
        if (!lanes) continue;
        threads += (lanes & sg_living(&block->warps[w])) == sg_living(&block->warps[w])
                       ? SG_LANES
                       : (uint32_t)__builtin_popcount(lanes);
    }
    return threads;
}

static bool complete(const sg_block *block, const barrier *b) {
    if (!b->busy) return false;
    if (b->count) return threads_here(block, b) >= b->count;
    for (int w = 0; w < block->warp_count; w++)
        if (sg_living(&block->warps[w]) & ~b->arrived[w]) return false;
    return true;
}

static void release(sg_block *block, barrier *b) {
    uint32_t threads = 0;
    for (int w = 0; w < block->warp_count; w++)
        threads += (uint32_t)__builtin_popcount(b->arrived[w]);
    if (sg_schedule_of(&block->warps[0])->runner->full) sg_race_barrier(block, b->arrived);
    for (int w = 0; w < block->warp_count; w++) {
        if (b->waiting[w]) {
            b->released[w] |= b->waiting[w];
            b->result[w] = b->truths;
            b->threads[w] = threads;
            sg_wake(&block->warps[w]);
        }
        b->arrived[w] = b->waiting[w] = 0;
    }
    b->busy = false;
    b->truths = 0;
    block->grid->counters->barriers++;
}

void sg_barriers_exit(sg_block *block) {
    barrier *all = block->barriers;
    for (int i = 0; i < SG_MAX_BARRIERS; i++)
        if (all[i].busy && !all[i].count && complete(block, &all[i])) release(block, &all[i]);
}

/* ---- The instructions. Sources: barrier[, count][, predicate]. op->a: mode, op->b: index of the
 * count or 0, op->c: bit 0: index of the predicate is the last one's, bit 1: it is negated. */

static bool join(sg_warp *warp, const sg_op *op, uint32_t lanes, barrier *b, uint32_t count) {
    const mode how = op->a == ARRIVE ? SYNC : (mode)op->a;
    if (count % SG_LANES) {
        sg_report(SG_R_BARRIER, warp, op, lanes, "a barrier for %u threads: no multiple of %d",
                  count, SG_LANES);
        return false;
    }
    if (op->a == ARRIVE && !count) {
        sg_report(SG_R_BARRIER, warp, op, lanes, "an arrival without a number of threads");
        return false;
    }
    if (b->busy && b->count != count) {
        sg_report(SG_R_BARRIER, warp, op, lanes,
                  "this barrier is for %u threads here, and for %u where others wait (0: all)",
                  count, b->count);
        return false;
    }
    if (b->busy && b->how != how) {
        sg_report(SG_R_BARRIER, warp, op, lanes, "a reduction and another use meet at one barrier");
        return false;
    }
    if (b->arrived[warp->index] & lanes) {
        sg_report(SG_R_BARRIER, warp, op, b->arrived[warp->index] & lanes,
                  "these lanes have arrived already, and the barrier is not complete");
        return false;
    }
    b->busy = true;
    b->how = how;
    b->count = count;
    b->arrived[warp->index] |= lanes;
    if (op->a != ARRIVE) b->waiting[warp->index] |= lanes;
    if (op->c & 1) {
        const uint32_t bits = *sg_pred(warp, op->source[op->source_count - 1]);
        b->truths += (uint32_t)__builtin_popcount((op->c & 2 ? ~bits : bits) & lanes);
    }
    if (count && threads_here(warp->block, b) > count) {
        sg_report(SG_R_BARRIER, warp, op, lanes, "%u threads at a barrier for %u",
                  threads_here(warp->block, b), count);
        return false;
    }
    return true;
}

static void pass(sg_warp *warp, const sg_op *op, uint32_t lanes, const barrier *b) {
    const uint32_t truths = b->result[warp->index], threads = b->threads[warp->index];
    switch (op->a) {
    case RED_POPC:
        SG_SET(uint32_t, sg_p32(warp, op->dest[0]), lanes, truths);
        break;
    case RED_AND:
        SG_SET_PRED(sg_pred(warp, op->dest[0]), lanes, truths == threads);
        break;
    case RED_OR:
        SG_SET_PRED(sg_pred(warp, op->dest[0]), lanes, truths != 0);
        break;
    default:
        break;
    }
}

static void run_barrier(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint32_t *ids = sg_u32(warp, op->source[0]);
    const uint32_t *counts = op->b ? sg_u32(warp, op->source[op->b]) : NULL;
    const int w = warp->index;
    while (lanes) { /* one barrier after another, should the lanes name several */
        const int first = __builtin_ctz(lanes);
        const uint32_t id = ids[first], count = counts ? counts[first] : 0;
        uint32_t same = 0;
        for (int l = first; l < SG_LANES; l++)
            if (ids[l] == id && (!counts || counts[l] == count)) same |= 1u << l;
        same &= lanes;
        lanes &= ~same;
        if (id >= SG_MAX_BARRIERS) {
            sg_report(SG_R_BARRIER, warp, op, same, "barrier %u; there are %d", id,
                      SG_MAX_BARRIERS);
            sg_abandon(warp);
            return;
        }
        barrier *b = &((barrier *)warp->block->barriers)[id];
        const uint32_t fresh = same & ~b->released[w] & ~b->waiting[w];
        if (fresh) {
            if (!join(warp, op, fresh, b, count)) {
                sg_abandon(warp);
                return;
            }
            if (complete(warp->block, b)) release(warp->block, b);
        }
        if (op->a == ARRIVE) continue;
        const uint32_t through = same & b->released[w];
        b->released[w] &= ~through;
        if (through) pass(warp, op, through, b);
        if (same & ~through) sg_sleep(warp, same & ~through, "a barrier");
    }
}

void sg_barrier_text(char *text, size_t room, const sg_warp *warp, const sg_op *op, int lane) {
    text[0] = 0;
    if (op->run != run_barrier) return;
    const uint32_t id = sg_u32(warp, op->source[0])[lane] % SG_MAX_BARRIERS;
    const barrier *b = &((const barrier *)warp->block->barriers)[id];
    snprintf(text, room, "%u of %u threads are at barrier %u", threads_here(warp->block, b),
             b->count ? b->count : (uint32_t)warp->block->thread_count, id);
}

/* ---- Binding. */

static const char *bind(sg_op *op, const sg_instruction *in, sg_binder *binder, bool aligned) {
    int at = 0, operand = 0;
    sg_take(in, &at, "cta");
    if (sg_take(in, &at, "sync"))
        op->a = SYNC;
    else if (sg_take(in, &at, "arrive"))
        op->a = ARRIVE;
    else if (sg_take(in, &at, "red"))
        op->a = RED_POPC;
    else
        return sg_refuse_modifier();
    const bool reduces = op->a == RED_POPC;
    if (reduces && !sg_take(in, &at, "popc")) {
        if (sg_take(in, &at, "and"))
            op->a = RED_AND;
        else if (sg_take(in, &at, "or"))
            op->a = RED_OR;
        else
            return sg_refuse_modifier();
    }
    if (sg_take(in, &at, "aligned")) aligned = true;
    if (reduces) {
        const sg_class class = op->a == RED_POPC ? SG_SLOT_32 : SG_SLOT_PRED;
        if (!sg_take(in, &at, class == SG_SLOT_32 ? "u32" : "pred")) return sg_refuse_modifier();
        if (!in->operand_count) return sg_refuse_operands();
        if (!sg_add_dest(binder, &in->operands[operand++], class)) return sg_bind_error(binder);
    }
    if (at != in->modifier_count) return sg_refuse_modifier();
    const int left = in->operand_count - operand - reduces;
    if (left < 1 || left > 2) return sg_refuse_operands();
    for (int i = 0; i < left; i++)
        if (!sg_add_source(binder, &in->operands[operand++], SG_SLOT_32))
            return sg_bind_error(binder);
    op->b = left - 1;
    if (reduces) {
        sg_operand predicate = in->operands[operand];
        op->c = predicate.negated ? 3 : 1;
        predicate.negated = false;
        if (!sg_add_source(binder, &predicate, SG_SLOT_PRED)) return sg_bind_error(binder);
    }
    op->run = run_barrier;
    op->kind = SG_K_SYNC;
    op->flags = (uint8_t)(SG_MAY_BLOCK | (aligned ? SG_GATHERS : 0));
    return NULL;
}

/* bar.warp.sync mask: waits for the lanes it names, and orders their memory. */
static void warp_sync(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint32_t *masks = sg_u32(warp, op->source[0]);
    uint32_t together = sg_lanes_together(warp, op, lanes, masks);
    if (!sg_schedule_of(warp)->runner->full) return;
    while (together) { /* each mask by itself */
        const uint32_t mask = masks[__builtin_ctz(together)] & together;
        sg_race_warp_sync(warp, mask);
        together &= ~mask;
    }
}

const char *sg_bind_bar(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    if (!sg_take(in, &at, "warp")) return bind(op, in, binder, true);
    if (!sg_take(in, &at, "sync") || at != in->modifier_count) return sg_refuse_modifier();
    if (in->operand_count != 1) return sg_refuse_operands();
    if (!sg_add_source(binder, &in->operands[0], SG_SLOT_32)) return sg_bind_error(binder);
    op->run = warp_sync;
    op->kind = SG_K_SYNC;
    op->flags = SG_MAY_BLOCK;
    return NULL;
}

const char *sg_bind_barrier(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    if (in->modifier_count && !strcmp(in->modifiers[0], "cluster"))
        return sg_bind_cluster_barrier(op, in, binder);
    return bind(op, in, binder, false);
}
