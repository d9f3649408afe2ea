/* race_pages: where the cells of a region's pages are (race_cells.h). */
#ifndef SOFTGPU_RACE_PAGES_H
#define SOFTGPU_RACE_PAGES_H

#include "tests/softgpu/race_state.h"

#define PAGE 1024u

/* Of one page. */
typedef struct sg_page {
    /* n writes, n reads, then n times the instructions of both (16 bits each); n = PAGE >> shift */
    uint64_t *cells;
    uint32_t base; /* the launch, by its first serial number */
    uint16_t generation;
    uint8_t shift; /* a cell has 1 << shift bytes */
} sg_page;

typedef struct sg_pages {
    sg_page *of; /* [bytes / PAGE rounded up] */
    uint64_t count;
} sg_pages;

/* NULL: no memory left; then the region is not watched. */
sg_pages *sg_pages_of(sg_region *region);
/* The page, with cells of `shift` or smaller. NULL: no memory left. */
sg_page *sg_page_ready(sg_pages *pages, uint64_t index, const sg_race_grid *grid, int shift);

/* The instructions of the last write (low 16 bits) and read of each cell. */
static inline uint32_t *sg_page_ops(const sg_page *page) {
    return (uint32_t *)(void *)(page->cells + 2 * (PAGE >> page->shift));
}

#endif
