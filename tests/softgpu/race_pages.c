/* Pages of cells. */
#include "tests/softgpu/race_pages.h"

#include <stdlib.h>

static uint16_t generation;

void sg_pages_forget(void) {
    generation++;
}

void sg_pages_free(sg_region *region) {
    sg_pages *pages = region->race;
    if (!pages) return;
    for (uint64_t i = 0; i < pages->count; i++)
        free(pages->of[i].cells);
    free(pages->of);
    free(pages);
    region->race = NULL;
}

sg_pages *sg_pages_of(sg_region *region) {
    if (region->race) return region->race;
    sg_pages *pages = calloc(1, sizeof *pages);
    if (!pages) return NULL;
    pages->count = region->bytes / PAGE + 1;
    pages->of = calloc(pages->count, sizeof *pages->of);
    if (!pages->of) {
        free(pages);
        return NULL;
    }
    region->race = pages;
    return pages;
}

static uint64_t *new_cells(int shift) {
    return calloc(PAGE >> shift, 2 * sizeof(uint64_t) + sizeof(uint32_t));
}

/* Makes the cells smaller; each new one inherits all. */
static bool split(sg_page *p, int shift) {
    sg_page old = *p;
    p->cells = new_cells(shift);
    if (!p->cells) {
        *p = old;
        return false;
    }
    p->shift = (uint8_t)shift;
    uint32_t n = PAGE >> shift, old_n = PAGE >> old.shift, by = (uint32_t)(old.shift - shift);
    for (uint32_t i = 0; i < n; i++) {
        p->cells[i] = old.cells[i >> by];
        p->cells[n + i] = old.cells[old_n + (i >> by)];
        sg_page_ops(p)[i] = sg_page_ops(&old)[i >> by];
    }
    free(old.cells);
    return true;
}

sg_page *sg_page_ready(sg_pages *pages, uint64_t index, const sg_race_grid *g, int shift) {
    sg_page *p = &pages->of[index];
    if (p->base != g->base || p->generation != generation) {
        /* Cells of an older launch may stay: their serial numbers tell, unless those were reused.
         */
        if (!p->cells || p->shift != shift || p->generation != generation) {
            free(p->cells);
            p->cells = new_cells(shift);
            if (!p->cells) return NULL;
            p->shift = (uint8_t)shift;
        }
        p->base = g->base;
        p->generation = generation;
    } else if (p->shift > shift && !split(p, shift)) {
        return NULL;
    }
    return p;
}
