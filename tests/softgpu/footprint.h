/* footprint: how an access of a warp falls on sectors and banks. */
#ifndef SOFTGPU_FOOTPRINT_H
#define SOFTGPU_FOOTPRINT_H

#include "tests/softgpu/access.h"

/* Counts a request to global memory: sectors, useful bytes, sectors that the launch had not touched
 * before. */
void sg_count_global(sg_warp *warp, sg_region *region, uint32_t lanes,
                     const uint64_t offsets[SG_LANES], int bytes, bool store, bool in_row);
/* The same, lane by lane, upwards: a sector that the lane before has asked for counts once. */
void sg_count_range(sg_warp *warp, const sg_op *op, int lane, sg_region *region, uint64_t offset,
                    uint64_t bytes, bool store);
/* Counts a request to shared memory: passes beyond the ones that its width needs. 32 banks of 4
 * bytes; 8-byte accesses go by half warps, 16-byte ones by quarters; lanes that read the same word
 * share it. */
void sg_count_shared(sg_warp *warp, uint32_t lanes, const uint64_t offsets[SG_LANES], int bytes,
                     bool store, bool easy);

#endif
