/* race: who may read what whom has written. Happens-before with clocks (Flanagan & Freund,
 * "FastTrack", PLDI 2009), where a thread of that paper is a lane and what orders accesses is: the
 * program, bar.sync and bar.warp.sync (shfl.sync and the like wait for lanes but order no memory),
 * fence + atomic (also across blocks: the last block's pattern), asynchronous copies' waits and
 * mbarriers, the end of a launch.
 *
 * Accesses of lanes of one warp in one instruction race with each other where a plain write meets
 * another access of the same byte; different instructions of a warp are ordered only by a sync that
 * names both lanes, or within one lane. Relaxed and stronger atomics do not race with each other.
 */
#ifndef SOFTGPU_RACE_H
#define SOFTGPU_RACE_H

#include "tests/softgpu/memory.h"

/* Life cycle. */
void sg_race_grid_start(sg_grid *grid);
void sg_race_grid_end(sg_grid *grid);
void sg_race_block_start(sg_block *block);
void sg_race_block_end(sg_block *block);

/* An access that passed all other checks; access.c tells of its own by itself (race_cells.h).
 * Addresses as in sg_access_lanes. Reports a race at most once a pair of instructions. */
void sg_race_access(sg_warp *warp, const sg_op *op, uint32_t lanes, sg_space space,
                    const uint64_t addresses[SG_LANES], int bytes, sg_access_kind kind);

/* What orders. lanes: those that take part. */
void sg_race_warp_sync(sg_warp *warp, uint32_t lanes);
/* A barrier of the block was completed by these lanes of these warps. Who has only arrived counts
 * as if it had waited, so that too little is reported there, never too much. */
void sg_race_barrier(sg_block *block, const uint32_t lanes_of_warp[SG_MAX_WARPS]);
/* Release and acquire as the PTX memory model has them: what a lane knows at a fence is published
 * by its later strong stores and atomics; what its strong loads and atomics have seen published it
 * knows after its next fence. beyond_block: false for a fence of the block's scope. Fences of
 * others count where a barrier lies between them and the atomic. */
void sg_race_fence(sg_warp *warp, uint32_t lanes, bool beyond_block);
/* An atomic at each lane's address, in the order in which the lanes run; with acquire, release as
 * its modifiers say. */
void sg_race_atomic(sg_warp *warp, const sg_op *op, int lane, sg_space space, uint64_t address,
                    int bytes, bool acquire, bool release);

#endif
