/* mbarrier_state: what mbarrier.c and mbarrier_ops.c share. */
#ifndef SOFTGPU_MBARRIER_STATE_H
#define SOFTGPU_MBARRIER_STATE_H

#include "tests/softgpu/access.h"
#include "tests/softgpu/mbarrier.h"

typedef struct sg_failed_test { /* the last one of a warp */
    const sg_op *op;            /* NULL: none */
    uint32_t lanes;
    const sg_mbarrier *barrier;
    uint64_t phase;
} sg_failed_test;

typedef struct sg_mbarriers {
    sg_mbarrier **list; /* never shrinks: pointers stay good */
    int count;
    sg_flight *flights;
    sg_failed_test failed[SG_MAX_WARPS];
} sg_mbarriers;

sg_mbarriers *sg_mbarriers_of(sg_block *block);
/* The barrier at this offset, live or not. */
sg_mbarrier *sg_mbarrier_at(sg_block *block, uint64_t offset, bool make);
/* Checks where an mbarrier is said to be. */
bool sg_mbarrier_offset(uint64_t *offset, sg_warp *warp, const sg_op *op, int lane, sg_space space,
                        uint64_t address);
/* What its bytes hold while it lives. */
uint64_t sg_mbarrier_pattern(const sg_mbarrier *barrier);
void sg_mbarrier_arrive(sg_warp *warp, const sg_op *op, int lane, sg_mbarrier *barrier,
                        uint32_t count, bool release);
/* Completes the phase if nothing is missing. */
void sg_mbarrier_settle(sg_warp *warp, sg_mbarrier *barrier);
/* Perhaps lets one of the flights to this barrier land. */
void sg_mbarrier_land_some(sg_warp *warp, sg_mbarrier *barrier);

#endif
