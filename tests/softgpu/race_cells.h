/* race_cells: who was at each byte last.
 *
 * Memory is watched in pages of 1,024 bytes, a page in cells as small as the narrowest access that
 * it has seen in this launch: arrays of f32 cost one cell for 4 bytes, and neighbours in bf16 are
 * told apart. A cell remembers the last write and the last read since: warp, lane, stamp and
 * instruction. Of several readers it remembers the last one and how far they are apart (lanes of a
 * warp, warps of a block, blocks): enough for a later write, if all of them are ordered before it
 * by one barrier, or none is by anything; between these, only the last reader is checked, so that
 * nothing right is reported.
 */
#ifndef SOFTGPU_RACE_CELLS_H
#define SOFTGPU_RACE_CELLS_H

#include "tests/softgpu/access.h"

/* An access of aligned lanes inside one region; offsets are the region's. */
void sg_race_lanes(sg_warp *warp, const sg_op *op, sg_region *region, sg_space space,
                   uint32_t lanes, const uint64_t offsets[SG_LANES], int bytes, sg_access_kind kind,
                   sg_strength strength, bool in_row, bool same);
void sg_pages_free(sg_region *region);
/* All that was seen so far is of older launches. */
void sg_pages_forget(void);

/* A strong access of one lane, after it was made: what it makes known and learns. */
void sg_race_strong(sg_warp *warp, int lane, const sg_region *region, uint64_t offset, bool load,
                    bool store, bool acquire, bool release, bool beyond_block);

#endif
