#include "tests/softgpu/cluster.h"

#include <stdlib.h>

#include "tests/softgpu/binder.h"
#include "tests/softgpu/counters.h"
#include "tests/softgpu/handler.h"
#include "tests/softgpu/mbarrier.h"
#include "tests/softgpu/memory_ops.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/race.h"
#include "tests/softgpu/race_proxy.h"
#include "tests/softgpu/schedule.h"

typedef struct cluster {
    uint32_t arrived[SG_MAX_WARPS]; /* lanes that wait for the phase */
    uint32_t owing[SG_MAX_WARPS];   /* lanes that have arrived and not waited */
    int registers[SG_MAX_WARPS];    /* what setmaxnreg said last, 0: nothing */
} cluster;

void sg_cluster_block_start(sg_block *block) {
    block->cluster = NULL;
}
void sg_cluster_block_end(sg_block *block) {
    free(block->cluster);
    block->cluster = NULL;
}

static cluster *of_block(sg_block *block) {
    if (!block->cluster) block->cluster = calloc(1, sizeof(cluster));
    return block->cluster;
}

/* ---- barrier.cluster: a barrier of all threads, arrival and wait apart. */

void sg_cluster_exit(sg_block *block) {
    cluster *c = block->cluster;
    bool any = false;
    for (int w = 0; c && w < block->warp_count; w++) {
        if (sg_living(&block->warps[w]) & ~c->arrived[w]) return;
        any |= c->arrived[w] != 0;
    }
    if (!any) return;
    if (sg_get_options()->full) sg_race_barrier(block, c->arrived);
    for (int w = 0; w < block->warp_count; w++) {
        c->arrived[w] = 0;
        sg_wake(&block->warps[w]);
    }
    block->grid->counters->barriers++;
    sg_schedule_of(&block->warps[0])->runner->events++;
}

static void arrive(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    cluster *c = of_block(warp->block);
    if (!c) return;
    if (c->owing[warp->index] & lanes) {
        sg_report(SG_R_BARRIER, warp, op, c->owing[warp->index] & lanes,
                  "barrier.cluster.arrive again, with no wait for the one before");
        sg_abandon(warp);
        return;
    }
    c->arrived[warp->index] |= lanes;
    c->owing[warp->index] |= lanes;
    sg_cluster_exit(warp->block);
}

static void wait_for(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    cluster *c = of_block(warp->block);
    if (!c) return;
    if (lanes & ~c->owing[warp->index]) {
        sg_report(SG_R_BARRIER, warp, op, lanes & ~c->owing[warp->index],
                  "barrier.cluster.wait of lanes that have not arrived");
        sg_abandon(warp);
        return;
    }
    const uint32_t early = lanes & c->arrived[warp->index];
    c->owing[warp->index] &= ~(lanes & ~early);
    if (early) sg_sleep(warp, early, "the barrier of the cluster");
}

const char *sg_bind_cluster_barrier(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    (void)binder;
    int at = 1; /* cluster */
    const bool arrives = sg_take(in, &at, "arrive");
    if (!arrives && !sg_take(in, &at, "wait")) return sg_refuse_modifier();
    /* A relaxed arrival orders less than sg_race_barrier says. */
    static const char *const orders[] = {"release", "acquire", "relaxed", NULL};
    sg_take_any(in, &at, orders);
    op->flags = SG_MAY_BLOCK;
    if (sg_take(in, &at, "aligned")) op->flags |= SG_GATHERS;
    op->run = arrives ? arrive : wait_for;
    op->kind = SG_K_SYNC;
    return in->operand_count ? sg_refuse_operands() : sg_all_taken(in, at);
}

/* ---- Fences. op->a: of mbarriers' inits only. */

static void fence(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    sg_mbarriers_publish(warp, lanes);
    if (!op->a && sg_get_options()->full) sg_proxy_fence(warp, lanes);
}

const char *sg_bind_proxy_fence(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    (void)binder;
    static const char *const spaces[] = {"global", "shared::cta", "shared::cluster", "shared",
                                         NULL};
    int at = 0;
    if (sg_take(in, &at, "mbarrier_init")) {
        if (!sg_take(in, &at, "release") || !sg_take(in, &at, "cluster"))
            return sg_refuse_modifier();
        op->a = 1;
    } else {
        if (!sg_take(in, &at, "proxy") || !sg_take(in, &at, "async"))
            return "of proxy fences only fence.proxy.async is known";
        sg_take_any(in, &at, spaces);
    }
    op->run = fence;
    op->kind = SG_K_SYNC;
    return in->operand_count ? sg_refuse_operands() : sg_all_taken(in, at);
}

/* ---- setmaxnreg. op->a: registers, op->b: more than before. */

#define ALL_REGISTERS 65536

static void set_registers(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    cluster *c = of_block(warp->block);
    if (!c) return;
    int *now = &c->registers[warp->index];
    if (*now && (op->b ? *now > op->a : *now < op->a))
        sg_report(SG_R_MATRIX, warp, op, lanes, "setmaxnreg.%s to %d registers from %d",
                  op->b ? "inc" : "dec", op->a, *now);
    *now = op->a;
    int sum = 0;
    for (int w = 0; w < warp->block->warp_count; w++) {
        if (!c->registers[w]) return; /* what these have, ptxas knows */
        sum += c->registers[w] * SG_LANES;
    }
    if (sum > ALL_REGISTERS)
        sg_report(SG_R_DEADLOCK, warp, op, lanes,
                  "setmaxnreg waits for ever: the block's warps ask for %d registers of %d", sum,
                  ALL_REGISTERS);
}

static const char *bind_registers(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    if (binder->module->target < 90) return "setmaxnreg needs .target sm_90a";
    op->b = sg_take(in, &at, "inc");
    if (!op->b && !sg_take(in, &at, "dec")) return sg_refuse_modifier();
    if (!sg_take(in, &at, "sync") || !sg_take(in, &at, "aligned") || !sg_take(in, &at, "u32") ||
        at != in->modifier_count)
        return sg_refuse_modifier();
    if (in->operand_count != 1 || in->operands[0].kind != SG_IMMEDIATE) return sg_refuse_operands();
    op->a = (int32_t)in->operands[0].bits;
    if (op->a < 24 || op->a > 256 || op->a % 8)
        return "setmaxnreg wants 24 to 256 registers, a multiple of 8";
    op->run = set_registers;
    op->kind = SG_K_SYNC;
    op->flags = SG_GATHERS | SG_MAY_BLOCK;
    return NULL;
}

/* ---- mapa: an address in another block of the cluster, which is this one. */

static void map_address(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const uint32_t *rank = sg_u32(warp, op->source[1]);
    uint32_t wrong = 0;
    for (int l = 0; l < SG_LANES; l++)
        wrong |= (uint32_t)(rank[l] != 0) << l;
    if (wrong & lanes)
        sg_report(SG_R_BOUNDS, warp, op, wrong & lanes, "mapa of block %u of a cluster that has 1",
                  rank[__builtin_ctz(wrong & lanes)]);
    if ((op->dest[0] & 3) == SG_SLOT_64)
        SG_SET(uint64_t, sg_u64(warp, op->dest[0]), lanes, sg_u64(warp, op->source[0])[l]);
    else
        SG_SET(uint32_t, sg_u32(warp, op->dest[0]), lanes, sg_u32(warp, op->source[0])[l]);
}

static const char *bind_map(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    sg_take(in, &at, "shared::cluster");
    const sg_type type = sg_take_type(in, &at);
    if (at != in->modifier_count || (type != SG_T_U32 && type != SG_T_U64))
        return sg_refuse_modifier();
    if (in->operand_count != 3) return sg_refuse_operands();
    const sg_class class = sg_type_class(type);
    if (!sg_add_dest(binder, &in->operands[0], class) ||
        !sg_add_source(binder, &in->operands[1], class) ||
        !sg_add_source(binder, &in->operands[2], SG_SLOT_32))
        return sg_bind_error(binder);
    op->run = map_address;
    op->kind = SG_K_MOVE;
    return NULL;
}

const sg_family sg_cluster_family[] = {
    {"setmaxnreg", bind_registers}, {"mapa", bind_map}, {NULL, NULL}};
