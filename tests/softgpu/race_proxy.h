/* race_proxy: the asynchronous proxy of a block, as one more thread of the race detector: TMA's
 * copies and wgmma's reads happen beside the program of those who asked for them, so that only
 * waiting for them makes them known. Its "lanes" are kinds of work, each in an order of its own:
 * what completes an mbarrier, a warpgroup's matrix instructions, a thread's bulk groups.
 *
 * Generic stores reach the proxy only past a fence.proxy.async: of the lane that stored, or of one
 * that knows of the store.
 */
#ifndef SOFTGPU_RACE_PROXY_H
#define SOFTGPU_RACE_PROXY_H

#include "tests/softgpu/race_state.h"

/* The slots: 14 for mbarriers (by number), 8 for warpgroups, 5 and 5 for the reads and writes of
 * bulk groups (by thread). Those who share a slot are told apart less. */
#define SG_PROXY_BARRIERS 14
#define SG_PROXY_WARPGROUP 14
#define SG_PROXY_READS 22
#define SG_PROXY_WRITES 27

typedef struct sg_proxy {
    uint32_t stamp[SG_LANES]; /* of each slot: of the last work asked for */
    /* Stores that the proxy sees: of each lane, and at 32 of all lanes, up to this stamp. */
    uint32_t fenced[SG_MAX_WARPS][SG_LANES + 1];
} sg_proxy;

/* NULL: not watched. */
sg_proxy *sg_proxy_of(const sg_block *block);
static inline bool sg_proxy_sees(const sg_proxy *p, int warp, int lane, uint32_t stamp) {
    return stamp <= p->fenced[warp][lane] || stamp <= p->fenced[warp][SG_LANES];
}
/* fence.proxy.async of these lanes. */
void sg_proxy_fence(sg_warp *warp, uint32_t lanes);
/* The stamp of the next work of this slot. */
uint32_t sg_proxy_next(const sg_block *block, int slot);
/* A clock that knows this slot's work up to the stamp; NULL: not watched. The caller owns it. */
sg_clock *sg_proxy_clock(const sg_block *block, int slot, uint32_t stamp);
/* These lanes know from now on what the clock does. */
void sg_proxy_learn(sg_warp *warp, uint32_t lanes, sg_clock *clock);
/* What the lane does from here on is not in the snapshot that was taken. */
sg_clock *sg_proxy_publish(sg_warp *warp, int lane);

/* An access of the proxy for this lane, which must know whoever was there before. Offsets are the
 * region's; the range lies inside, aligned to 4 bytes at least. (In race_proxy_cells.c.) */
void sg_race_proxy(sg_warp *warp, const sg_op *op, int lane, sg_region *region, sg_space space,
                   uint64_t offset, uint64_t bytes, sg_access_kind kind, int slot, uint32_t stamp);

#endif
