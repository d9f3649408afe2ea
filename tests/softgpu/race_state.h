/* race_state: what the race detector keeps of warps, blocks and the grid.
 *
 * A warp counts its stamps: an access carries the stamp of its time, and each sync of the warp that
 * follows accesses begins a new one. What is known is kept where it is the same for many: `full` of
 * a warp and `floor` of a block after whole syncs; matrices only after partial ones; clocks of
 * single lanes only for what was learned through fences and atomics.
 */
#ifndef SOFTGPU_RACE_STATE_H
#define SOFTGPU_RACE_STATE_H

#include "tests/softgpu/race_cells.h"
#include "tests/softgpu/race_clock.h"

#define SG_STAMP_MAX ((1u << 22) - 1) /* here a warp stays, and is no longer watched closely */
#define SG_SERIAL_MAX ((1u << 30) - 1)

typedef struct sg_race_warp {
    uint32_t serial; /* of all warps of the process, so that older launches are told apart */
    uint32_t stamp;
    bool used;      /* accesses carry this stamp */
    uint32_t full;  /* every lane knows every lane's accesses up to this stamp */
    uint32_t *seen; /* [knower][known] stamps, after partial syncs; NULL: full says it all */
    bool learned;   /* some of the following is not NULL */
    sg_clock *extra[SG_LANES];   /* what the lane knows besides */
    sg_clock *pending[SG_LANES]; /* what strong loads saw: known after the next fence */
    /* what the lane's next strong stores publish, by a fence for the block or wider */
    sg_clock *narrow[SG_LANES], *wide[SG_LANES];
} sg_race_warp;

typedef struct sg_race_block {
    uint32_t first; /* serial number of its first warp; the last warp's successor: its proxy */
    uint32_t warp_count;
    /* All lanes of the block know these stamps of each warp, and nothing of the proxy. */
    uint32_t floor[SG_MAX_WARPS + 1];
    struct sg_proxy *proxy; /* race_proxy.c; NULL: nothing asynchronous so far */
    uint32_t *seen;         /* [knower][known] warps, after barriers of a part */
    sg_race_warp warps[];
} sg_race_block;

typedef struct sg_location { /* of strong accesses */
    const sg_region *region; /* NULL: free */
    uint64_t offset;
    sg_clock *wide, *narrow;
    uint32_t narrow_block; /* number of its block */
} sg_location;

typedef struct sg_race_grid {
    uint32_t base, warps_per_block; /* the proxy counts as one */
    bool released;                  /* somebody published something */
    sg_location *locations;
    uint64_t location_count, location_room; /* room: a power of two */
    uint32_t pairs[64];                     /* of instructions that were reported */
    int pair_count;
} sg_race_grid;

static inline sg_race_block *sg_race_of_block(const sg_block *block) {
    return block->race;
}
static inline sg_race_warp *sg_race_of_warp(const sg_warp *warp) {
    return &sg_race_of_block(warp->block)->warps[warp->index];
}

static inline void sg_race_new_stamp(sg_race_warp *w) {
    if (w->used && w->stamp < SG_STAMP_MAX) w->stamp++;
    w->used = false;
}
/* What the lane knows now, itself included. The caller owns it. */
sg_clock *sg_race_snapshot(const sg_warp *warp, int lane);

/* Does this lane know of what that lane of that warp did at that stamp? Older launches are known.
 */
bool sg_race_knows(const sg_warp *warp, int lane, uint32_t serial, int other, uint32_t stamp);
/* The same of all lanes, known to all lanes: what is the same for many only. */
static inline bool sg_race_all_know(const sg_race_grid *g, const sg_race_block *b,
                                    const sg_race_warp *w, uint32_t serial, uint32_t stamp) {
    if (serial < g->base) return true;
    if (serial == w->serial) return stamp <= w->full;
    uint32_t index = serial - b->first;
    return index < b->warp_count && stamp <= b->floor[index];
}

#endif
