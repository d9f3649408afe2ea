/* wgmma: binding, fences, groups and waits, and what is left at the end of a block. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/binder.h"
#include "tests/softgpu/handler.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/race_proxy.h"
#include "tests/softgpu/schedule.h"
#include "tests/softgpu/wgmma_state.h"

/* ---- The life of a block. */

void sg_wgmma_block_start(sg_block *block) {
    block->wgmma = NULL;
}

void sg_wgmma_block_check(sg_block *block) {
    const sg_wgmma_block *b = block->wgmma;
    for (int i = 0; b && i < block->warp_count; i++) {
        const sg_wgmma_warp *w = &b->warps[i], *first = &b->warps[i - i % SG_WARPGROUP];
        const int group = i / SG_WARPGROUP;
        if (w->issued != first->issued)
            sg_report(
                SG_R_MATRIX, &block->warps[i],
                b->kept[group][(w->issued > first->issued ? w : first)->issued % SG_WGMMA_KEPT].op,
                UINT32_MAX,
                "the block ends after %u wgmma of warp %d and %u of warp %d: all four warps "
                "of a warpgroup must run them",
                first->issued, i - i % SG_WARPGROUP, w->issued, i);
        else if (w->issued > w->done && sg_get_options()->full)
            sg_report(SG_R_ASYNC_EARLY, &block->warps[i],
                      b->kept[group][w->issued % SG_WGMMA_KEPT].op, UINT32_MAX,
                      "the block ends, and no wait_group has waited for this");
        else
            continue;
        return;
    }
}

void sg_wgmma_block_end(sg_block *block) {
    sg_wgmma_block *b = block->wgmma;
    for (int i = 0; b && i < SG_MAX_WARPS; i++) {
        free(b->warps[i].group_ends);
        free(b->warps[i].writing);
        free(b->warps[i].touched);
    }
    free(b);
    block->wgmma = NULL;
}

/* ---- Fence, commit, wait. */

static void fence(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    (void)op;
    (void)lanes;
    sg_wgmma_fence_registers(warp);
}

static void commit(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    (void)op;
    (void)lanes;
    sg_wgmma_warp *w = sg_wgmma_of(warp);
    if (!w) return;
    if (w->groups == w->room) {
        const int room = w->room ? 2 * w->room : 16;
        uint32_t *ends = realloc(w->group_ends, (size_t)room * sizeof *ends);
        if (!ends) return;
        w->group_ends = ends;
        w->room = room;
    }
    w->group_ends[w->groups++] = w->issued;
}

static void wait_for(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    sg_wgmma_warp *w = sg_wgmma_of(warp);
    if (!w || w->groups <= op->a) return;
    const int ready = w->groups - op->a;
    const uint32_t last = w->group_ends[ready - 1];
    const sg_wgmma_warp *four =
        ((sg_wgmma_block *)warp->block->wgmma)->warps + warp->index / SG_WARPGROUP * SG_WARPGROUP;
    for (int i = 0; i < SG_WARPGROUP; i++)
        if (four[i].issued < last) {
            sg_wait(warp, lanes, "the other warps of its warpgroup");
            return;
        }
    memmove(w->group_ends, w->group_ends + ready, (size_t)op->a * sizeof *w->group_ends);
    w->groups = op->a;
    if (last <= w->done) return;
    w->done = last;
    if (!sg_get_options()->full) return;
    sg_clock *clock =
        sg_proxy_clock(warp->block, SG_PROXY_WARPGROUP + warp->index / SG_WARPGROUP, last);
    sg_proxy_learn(warp, lanes, clock);
    sg_clock_drop(clock);
}

/* ---- Binding. */

/* Immediates 1 and -1, or 0 and 1. */
static bool take_choice(const sg_operand *o, bool *second, int64_t first_value,
                        int64_t second_value) {
    if (o->kind != SG_IMMEDIATE) return false;
    *second = (int64_t)o->bits == second_value;
    return *second || (int64_t)o->bits == first_value;
}

static const char *add_scale(sg_op *op, sg_operand o, sg_binder *binder) {
    if (o.kind == SG_IMMEDIATE) {
        op->c = o.bits ? 4 : 0;
        return NULL;
    }
    op->c = o.negated ? 3 : 1;
    o.negated = false;
    return sg_add_source(binder, &o, SG_SLOT_PRED) ? NULL : sg_bind_error(binder);
}

static const char *bind_mma(sg_op *op, const sg_instruction *in, sg_binder *binder, int at) {
    if (!sg_take(in, &at, "sync") || !sg_take(in, &at, "aligned")) return sg_refuse_modifier();
    for (int n = 8; n <= 256 && !op->a; n += 8) {
        char shape[32];
        snprintf(shape, sizeof shape, "m64n%dk16", n);
        if (sg_take(in, &at, shape)) op->a = n;
    }
    if (!op->a) return "this shape of wgmma is not known";
    const sg_type d = sg_take_type(in, &at), a = sg_take_type(in, &at), b = sg_take_type(in, &at);
    if (at != in->modifier_count) return sg_refuse_modifier();
    if (d != SG_T_F32 || a != b || (a != SG_T_BF16 && a != SG_T_F16))
        return "of wgmma only products of bf16 and of f16 into f32 are known";
    const sg_operand *o = in->operands;
    const bool in_registers = in->operand_count > 1 && o[1].kind == SG_VECTOR;
    if (in->operand_count != (in_registers ? 7 : 8)) return sg_refuse_operands();
    op->b = (a == SG_T_F16 ? SG_WG_HALF : 0) | (in_registers ? SG_WG_A_IN_REGISTERS : 0);
    bool choice[4] = {false};
    const bool understood = take_choice(&o[4], &choice[0], 1, -1) &&
                            take_choice(&o[5], &choice[1], 1, -1) &&
                            take_choice(&o[6], &choice[in_registers ? 3 : 2], 0, 1) &&
                            (in_registers || take_choice(&o[7], &choice[3], 0, 1));
    if (!understood) return "the scales and transpositions of wgmma are not understood";
    op->b |= (choice[0] ? SG_WG_MINUS_A : 0) | (choice[1] ? SG_WG_MINUS_B : 0) |
             (choice[2] ? SG_WG_A_MN_MAJOR : 0) | (choice[3] ? SG_WG_B_MN_MAJOR : 0);
    if (o[0].kind != SG_VECTOR || o[0].count != op->a / 2 || (in_registers && o[1].count != 4))
        return "the operands of wgmma do not fit its shape";
    if (!sg_add_dest(binder, &o[0], SG_SLOT_32) || !sg_add_source(binder, &o[0], SG_SLOT_32) ||
        !sg_add_source(binder, &o[1], in_registers ? SG_SLOT_32 : SG_SLOT_64) ||
        !sg_add_source(binder, &o[2], SG_SLOT_64))
        return sg_bind_error(binder);
    op->run = sg_wgmma_run;
    op->kind = SG_K_MMA;
    op->flags = SG_LOADS; /* sets its destinations' taint */
    return add_scale(op, o[3], binder);
}

static const char *bind(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    if (binder->module->target < 90) return "wgmma needs .target sm_90a";
    if (sg_take(in, &at, "mma_async")) return bind_mma(op, in, binder, at);
    const bool waits = sg_take(in, &at, "wait_group");
    if (!waits) {
        if (sg_take(in, &at, "fence"))
            op->run = fence;
        else if (sg_take(in, &at, "commit_group"))
            op->run = commit;
        else
            return sg_refuse_modifier();
    }
    if (!sg_take(in, &at, "sync") || !sg_take(in, &at, "aligned") || at != in->modifier_count)
        return sg_refuse_modifier();
    op->kind = SG_K_SYNC;
    op->flags = SG_GATHERS | SG_MAY_BLOCK;
    if (!waits) return in->operand_count ? sg_refuse_operands() : NULL;
    if (in->operand_count != 1 || in->operands[0].kind != SG_IMMEDIATE) return sg_refuse_operands();
    op->run = wait_for;
    op->a = (int32_t)in->operands[0].bits;
    return NULL;
}

const sg_family sg_wgmma_family[] = {{"wgmma", bind}, {NULL, NULL}};
