/* shadow: what softgpu knows of each byte of memory besides its value. A region is a stretch of
 * memory with its shadow: a block of device memory, or the shared memory of a block of threads.
 *
 *   written     one bit a byte: has somebody stored here? NULL: everything counts as written
 *   footprint   which 32-byte sectors the present launch has read and written
 *   race        who was here last (race.c)
 */
#ifndef SOFTGPU_SHADOW_H
#define SOFTGPU_SHADOW_H

#include "tests/softgpu/warp.h"

#define SG_SECTOR 32

typedef struct sg_footprint { /* of 64 sectors, by direction: load, store */
    uint32_t launch[2];
    uint64_t sectors[2];
} sg_footprint;

typedef struct sg_region {
    uint64_t address, bytes; /* shared memory: offsets, from 0 */
    unsigned char *host;
    uint64_t *written;
    sg_footprint *footprint;
    struct sg_pages *race;
    bool pinned, freed, mapped;
    char what[40];
} sg_region;

/* The block of device or pinned memory that this address is in, freed ones too. NULL: none. */
sg_region *sg_region_find(uint64_t address);
/* 4096 as "4,096". */
void sg_number_text(char text[27], uint64_t n);

/* Gives a region its shadow. False: no memory left. */
bool sg_shadow_make(sg_region *region, bool all_written);
void sg_shadow_free(sg_region *region);

/* offset: within the region; the range must lie inside. */
bool sg_shadow_written(const sg_region *region, uint64_t offset, uint64_t bytes);
void sg_shadow_set(sg_region *region, uint64_t offset, uint64_t bytes, bool written);
uint64_t sg_shadow_unwritten(const sg_region *region, uint64_t offset, uint64_t bytes);
/* Marks the sectors of a range as touched by this launch; how many are new. */
uint64_t sg_shadow_touch(sg_region *region, uint64_t offset, uint64_t bytes, bool store,
                         uint64_t launch);

/* An aligned access of 1, 2, 4, 8 or 16 bytes: its bits are in one word. */
static inline bool sg_shadow_has(const sg_region *r, uint64_t offset, int bytes) {
    uint64_t mask = (1ull << bytes) - 1;
    return !r->written || ((r->written[offset >> 6] >> (offset & 63)) & mask) == mask;
}

/* The region of a block's shared memory, and the written bits of a warp's local memory (one bit a
 * byte, lane after lane); made when first asked for. NULL: no memory left. */
sg_region *sg_shared_region(const sg_block *block);
sg_region *sg_local_region(const sg_warp *warp);
void sg_shadow_block_end(sg_block *block);

#endif
