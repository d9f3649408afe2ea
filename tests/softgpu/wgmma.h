/* wgmma: matrix instructions of a warpgroup, four warps side by side. Each warp computes its 16 of
 * the 64 rows when it comes to the instruction; what is asynchronous about it is watched:
 *
 *   registers  accumulators may not be touched, nor A's registers written, before the wait_group
 *              that covers them, and not between a wgmma.fence and the instruction
 *   memory     operands are read by the proxy (race_proxy.h) until the wait_group, which waits for
 *              all four warps
 *   warps      the four must run the same instructions with the same descriptors
 */
#ifndef SOFTGPU_WGMMA_H
#define SOFTGPU_WGMMA_H

#include "tests/softgpu/warp.h"

void sg_wgmma_block_start(sg_block *block);
void sg_wgmma_block_check(sg_block *block); /* the block has ended by itself */
void sg_wgmma_block_end(sg_block *block);

/* Which of the function's registers wgmma uses, or copies of them, while operands are still numbers
 * of registers; NULL: no wgmma. The caller frees. False: no memory. */
bool sg_wgmma_registers(bool **registers, const sg_program *program);
/* Marks the ops of a program that touch registers of wgmma (SG_WATCHED), at that time. False: no
 * memory. */
bool sg_wgmma_watch(sg_program *program);
/* Such an op is about to run. */
void sg_wgmma_touch(sg_warp *warp, const sg_op *op, uint32_t lanes);

#endif
