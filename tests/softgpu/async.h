/* async: copies that land later. cp.async moves its bytes when a wait of the lane that asked for it
 * says so, as late as the rules allow: what is read before that was not there yet. Meanwhile the
 * target's bytes are in flight, and any access of them is reported.
 */
#ifndef SOFTGPU_ASYNC_H
#define SOFTGPU_ASYNC_H

#include "tests/softgpu/warp.h"

void sg_async_block_start(sg_block *block); /* no copies are under way */
void sg_async_block_end(sg_block *block);   /* drops what nobody waited for, frees */

/* Are any of these bytes of the block's shared memory the target of a copy under way? */
bool sg_async_in_flight(const sg_block *block, uint64_t offset, uint64_t bytes);
/* A copy of another kind sets out for these bytes (1) or has landed (-1). */
void sg_async_mark(sg_block *block, uint64_t offset, uint64_t bytes, int change);
/* The lane's copies so far land, whatever their groups. */
void sg_async_land_lane(sg_warp *warp, int lane);

#endif
