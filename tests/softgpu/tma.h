/* tma: bulk copies between global and shared memory, of boxes of tensors (cp.async.bulk.tensor) and
 * of plain ranges (cp.async.bulk). Loads complete an mbarrier's bytes and land as flights do
 * (mbarrier.h). Stores belong to bulk groups of their thread: their shared bytes are read as late
 * as a wait_group[.read] allows, and global memory is written as late as a wait_group does.
 */
#ifndef SOFTGPU_TMA_H
#define SOFTGPU_TMA_H

#include "tests/softgpu/shadow.h"
#include "tests/softgpu/tensor_map.h"

/* What is copied between shared memory and where. */
typedef struct sg_bulk {
    bool tensor;
    sg_tensor_map map;
    int32_t corner[SG_TENSOR_RANK];
    uint64_t shared;  /* offset in the block's window */
    uint64_t bytes;   /* of the box, or of the range */
    uint64_t address; /* global: of a range */
} sg_bulk;

/* Calls visit for each stretch of at most 16 bytes, with its offset in shared memory; global is
 * NULL for bytes outside the tensor. */
typedef void sg_bulk_visit(void *user, uint64_t shared, sg_region *region, uint64_t offset,
                           uint64_t bytes);
void sg_bulk_each(const sg_bulk *bulk, sg_bulk_visit *visit, void *user);
/* Bytes of shared memory that it touches, from bulk->shared. */
static inline uint64_t sg_bulk_span(const sg_bulk *bulk) {
    return bulk->tensor && bulk->map.swizzle ? (bulk->bytes + 127) & ~127ull : bulk->bytes;
}
/* Checks bounds of both sides; tells the race detector of the accesses of the proxy with these
 * slots and stamps. load: global is read, shared written. False: reported. */
bool sg_bulk_check(sg_warp *warp, const sg_op *op, int lane, const sg_bulk *bulk, bool load,
                   int shared_slot, uint32_t shared_stamp, int global_slot, uint32_t global_stamp);

/* ---- Bulk groups, tma_store.c. */
void sg_bulk_block_start(sg_block *block);
void sg_bulk_block_check(sg_block *block); /* the block has ended by itself */
void sg_bulk_block_end(sg_block *block);   /* writes what is left */
/* One store of all these lanes, each in its own group. */
void sg_bulk_store(sg_warp *warp, const sg_op *op, uint32_t lanes, const sg_bulk *bulk);
sg_handler sg_bulk_commit, sg_bulk_wait; /* op->a: groups that may stay; op->b: .read */

/* cp.async.bulk*, from async.c's table. */
sg_bind sg_bind_bulk;

#endif
