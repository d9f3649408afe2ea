/* race_visit: one access's look at cells, for race_cells.c (lanes) and race_proxy_cells.c (the
 * proxy): how a cell is written, and who knows of whom.
 */
#ifndef SOFTGPU_RACE_VISIT_H
#define SOFTGPU_RACE_VISIT_H

#include "tests/softgpu/race_pages.h"

/* A write or read in a cell: serial:30 stamp:22 lane:5 strong:1 apart:2 -:4. */
#define SERIAL_AT 34
#define STAMP_AT 12
#define LANE_AT 7
#define EPOCH (~0ull << STAMP_AT)
#define SERIAL (~0ull << SERIAL_AT)
#define LANE (31ull << LANE_AT)
#define STRONG (1ull << 6)
#define APART (3ull << 4) /* of readers: */
#define LANES (1ull << 4)
#define WARPS (2ull << 4)
#define BLOCKS (3ull << 4)

/* ---- One access. */

typedef struct visit {
    sg_warp *warp;
    const sg_op *op;
    sg_race_grid *g;
    const sg_race_block *b;
    const sg_race_warp *w;
    sg_space space;
    const uint64_t *offsets;
    const sg_region *region;
    int bytes;
    sg_access_kind kind;
    sg_strength strength;
    uint64_t mine;  /* this access, without a lane */
    uint64_t known; /* an epoch that was found settled */
    /* What became of the last read word for which lanes make no difference. */
    uint64_t read_before, read_after;
    uint32_t op_index;
} visit;

static inline uint32_t serial_of(uint64_t word) {
    return (uint32_t)(word >> SERIAL_AT);
}
static inline uint32_t stamp_of(uint64_t word) {
    return (uint32_t)(word >> STAMP_AT) & SG_STAMP_MAX;
}
static inline int lane_of(uint64_t word) {
    return (int)(word >> LANE_AT & 31);
}
static inline bool in_my_block(const visit *v, uint64_t word) {
    return serial_of(word) - v->b->first <= v->b->warp_count; /* the proxy, too */
}

/* Known to all lanes of this warp, whoever of that warp it was. */
static inline bool settled(visit *v, uint64_t word) {
    if ((word & EPOCH) == v->known) return true;
    bool is = sg_race_all_know(v->g, v->b, v->w, serial_of(word), stamp_of(word)) ||
              (v->space == SG_SHARED && !in_my_block(v, word));
    if (is) v->known = word & EPOCH;
    return is;
}

/* This very lane, and nobody besides. */
static inline bool is_own(const visit *v, int lane, uint64_t word) {
    return !((word ^ v->mine ^ (uint64_t)lane << LANE_AT) & (SERIAL | LANE | APART));
}

static inline bool knows(visit *v, int lane, uint64_t word) {
    return is_own(v, lane, word) || settled(v, word) ||
           sg_race_knows(v->warp, lane, serial_of(word), lane_of(word), stamp_of(word));
}

/* Do both belong to the memory model's strong accesses, in a scope that holds both? */
static inline bool both_strong(const visit *v, uint64_t word) {
    return v->strength != SG_WEAK && word & STRONG &&
           (v->strength == SG_STRONG || in_my_block(v, word));
}

/* Is each of the readers that this word stands for ordered before? False only if surely not. */
static inline bool knows_readers(visit *v, int lane, uint64_t word) {
    uint64_t apart = word & APART;
    if (!apart) return knows(v, lane, word);
    if (serial_of(word) < v->g->base) return true;
    if (apart != BLOCKS && settled(v, word)) {
        /* A whole sync of the warp settles lanes; warps need a whole barrier. */
        if (apart == LANES || !in_my_block(v, word)) return true;
        if (stamp_of(word) <= v->b->floor[serial_of(word) - v->b->first]) return true;
    }
    bool same_warp = serial_of(word) == v->w->serial;
    bool learned = v->w->learned && v->w->extra[lane];
    if (apart == LANES && same_warp && !v->w->seen && !learned) return false;
    if (apart == WARPS && !v->b->seen && !learned) return false;
    if (apart == BLOCKS && !learned) return false;
    return sg_race_knows(v->warp, lane, serial_of(word), lane_of(word), stamp_of(word));
}

static inline bool replaces(visit *v, int lane, uint64_t word) {
    return !(word & APART)
               ? knows(v, lane, word)
               : serial_of(word) < v->g->base || ((word & APART) == LANES && settled(v, word)) ||
                     (v->space == SG_SHARED && !in_my_block(v, word)) ||
                     ((word & APART) == WARPS && in_my_block(v, word) &&
                      stamp_of(word) <= v->b->floor[serial_of(word) - v->b->first]);
}

/* Reports that this lane's access and another one's are not ordered. */
void sg_race_tell(visit *v, int lane, uint64_t other, uint32_t other_op, const char *did);

static inline void check_write_before(visit *v, int lane, const sg_page *p, uint32_t cell) {
    uint64_t word = p->cells[cell];
    if ((word & EPOCH) != v->known && !both_strong(v, word) && !knows(v, lane, word))
        sg_race_tell(v, lane, word, sg_page_ops(p)[cell] & 0xffff, "wrote");
}

static inline void check_reads_before(visit *v, int lane, const sg_page *p, uint32_t cell) {
    uint64_t word = p->cells[(PAGE >> p->shift) + cell];
    if (word && !both_strong(v, word) && !knows_readers(v, lane, word))
        sg_race_tell(v, lane, word, sg_page_ops(p)[cell] >> 16, "read");
}

#endif
