/* wgmma_state: what wgmma.c and wgmma_watch.c share. Matrix instructions of a warp are numbered
 * from 1, the same in all four warps.
 */
#ifndef SOFTGPU_WGMMA_STATE_H
#define SOFTGPU_WGMMA_STATE_H

#include "tests/softgpu/wgmma.h"

#define SG_WARPGROUP 4 /* warps */
#define SG_WGMMA_KEPT 256

typedef struct sg_wgmma_warp {
    uint32_t issued, done; /* the last one asked for, waited for */
    uint32_t *group_ends;  /* of committed groups not waited for: their last instruction */
    int groups, room;
    /* Of each slot of the register file (by offset / 64): the last instruction that writes or reads
     * it, and what the program did with it since the last wgmma.fence. */
    uint32_t *writing, *reading;
    uint8_t *touched;
} sg_wgmma_warp;
enum { SG_WAS_WRITTEN = 1, SG_WAS_READ = 2 };

typedef struct sg_wgmma_block {
    sg_wgmma_warp warps[SG_MAX_WARPS];
    struct {
        uint32_t number;
        const sg_op *op;
        uint64_t a, b; /* descriptors */
    } kept[SG_MAX_WARPS / SG_WARPGROUP][SG_WGMMA_KEPT];
} sg_wgmma_block;

/* NULL: no memory. */
sg_wgmma_warp *sg_wgmma_of(sg_warp *warp);

/* An instruction is about to use its registers: accumulators [0, sums) of its sources, then those
 * of A. Reports, and notes them as in use. */
void sg_wgmma_use(sg_warp *warp, const sg_op *op, int sums, int a_registers);
void sg_wgmma_fence_registers(sg_warp *warp);

/* mma_async. op->a: N; op->b: these; op->c: bit 0: a predicate says whether to accumulate, bit 1:
 * negated, bit 2: always. Sources: accumulators, A's four registers or descriptor, B's descriptor[,
 * predicate]. */
enum {
    SG_WG_A_IN_REGISTERS = 1,
    SG_WG_A_MN_MAJOR = 2,
    SG_WG_B_MN_MAJOR = 4,
    SG_WG_HALF = 8,
    SG_WG_MINUS_A = 16,
    SG_WG_MINUS_B = 32
};
sg_handler sg_wgmma_run;

#endif
