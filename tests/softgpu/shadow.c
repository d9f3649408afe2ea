/* The written bits and footprints of regions. */
#include "tests/softgpu/shadow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/options.h"
#include "tests/softgpu/race_cells.h"

#define SECTORS_A_WORD 64

bool sg_shadow_make(sg_region *region, bool all_written) {
    uint64_t words = region->bytes / 64 + 1;
    region->written = NULL;
    if (!all_written && sg_get_options()->full) {
        region->written = calloc(words, sizeof(uint64_t));
        if (!region->written) return false;
    }
    uint64_t prints = region->bytes / (SG_SECTOR * SECTORS_A_WORD) + 1;
    region->footprint = calloc(prints, sizeof(sg_footprint));
    return region->footprint != NULL;
}

void sg_shadow_free(sg_region *region) {
    free(region->written);
    free(region->footprint);
    sg_pages_free(region);
    region->written = NULL;
    region->footprint = NULL;
}

/* The bits of [offset, offset+bytes) that are in the word of `offset`; *taken: how many. */
static uint64_t word_mask(uint64_t offset, uint64_t bytes, uint64_t *taken) {
    uint64_t first = offset & 63, count = 64 - first < bytes ? 64 - first : bytes;
    *taken = count;
    return (count == 64 ? ~0ull : (1ull << count) - 1) << first;
}

bool sg_shadow_written(const sg_region *region, uint64_t offset, uint64_t bytes) {
    if (!region->written) return true;
    for (uint64_t taken; bytes; offset += taken, bytes -= taken) {
        uint64_t mask = word_mask(offset, bytes, &taken);
        if ((region->written[offset >> 6] & mask) != mask) return false;
    }
    return true;
}

void sg_shadow_set(sg_region *region, uint64_t offset, uint64_t bytes, bool written) {
    if (!region->written) return;
    for (uint64_t taken; bytes; offset += taken, bytes -= taken) {
        if (!(offset & 63) && bytes >= 4096) { /* whole words at once */
            taken = bytes & ~63ull;
            memset(&region->written[offset >> 6], written ? 0xff : 0, taken / 8);
            continue;
        }
        uint64_t mask = word_mask(offset, bytes, &taken), *word = &region->written[offset >> 6];
        *word = written ? *word | mask : *word & ~mask;
    }
}

uint64_t sg_shadow_unwritten(const sg_region *region, uint64_t offset, uint64_t bytes) {
    uint64_t count = 0;
    if (!region->written) return 0;
    for (uint64_t taken; bytes; offset += taken, bytes -= taken) {
        uint64_t mask = word_mask(offset, bytes, &taken);
        count += (uint64_t)__builtin_popcountll(~region->written[offset >> 6] & mask);
    }
    return count;
}

uint64_t sg_shadow_touch(sg_region *region, uint64_t offset, uint64_t bytes, bool store,
                         uint64_t launch) {
    uint64_t first = offset / SG_SECTOR, count = (offset + bytes - 1) / SG_SECTOR - first + 1;
    uint64_t fresh = 0;
    for (uint64_t taken; count; first += taken, count -= taken) {
        sg_footprint *print = &region->footprint[first / SECTORS_A_WORD];
        uint64_t mask = word_mask(first, count, &taken);
        if (print->launch[store] != (uint32_t)launch) {
            print->launch[store] = (uint32_t)launch;
            print->sectors[store] = 0;
        }
        uint64_t news = mask & ~print->sectors[store];
        if (news) {
            fresh += (uint64_t)__builtin_popcountll(news);
            print->sectors[store] |= news;
        }
    }
    return fresh;
}

/* What block->shadow points to. */
typedef struct block_shadow {
    sg_region shared;
    sg_region *local; /* [warp_count], NULL: nobody asked */
} block_shadow;

static block_shadow *of_block(const sg_block *block) {
    if (block->shadow) return block->shadow;
    block_shadow *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->shared.bytes = block->shared_bytes;
    s->shared.host = block->shared;
    snprintf(s->shared.what, sizeof s->shared.what, "shared memory");
    if (!sg_shadow_make(&s->shared, false)) {
        sg_shadow_free(&s->shared);
        free(s);
        return NULL;
    }
    ((sg_block *)block)->shadow = s;
    return s;
}

sg_region *sg_shared_region(const sg_block *block) {
    block_shadow *s = of_block(block);
    return s ? &s->shared : NULL;
}

sg_region *sg_local_region(const sg_warp *warp) {
    block_shadow *s = of_block(warp->block);
    if (!s) return NULL;
    if (!s->local) {
        s->local = calloc((size_t)warp->block->warp_count, sizeof(sg_region));
        if (!s->local) return NULL;
    }
    sg_region *r = &s->local[warp->index];
    if (!r->footprint) {
        r->bytes = warp->block->grid->program->function->local_bytes * SG_LANES;
        r->host = warp->local;
        if (!sg_shadow_make(r, false)) return NULL;
    }
    return r;
}

void sg_shadow_block_end(sg_block *block) {
    block_shadow *s = block->shadow;
    if (!s) return;
    for (int w = 0; s->local && w < block->warp_count; w++)
        sg_shadow_free(&s->local[w]);
    sg_shadow_free(&s->shared);
    free(s->local);
    free(s);
    block->shadow = NULL;
}
