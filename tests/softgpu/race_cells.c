/* The cells of pages, and what an access finds in them. */
#include "tests/softgpu/race_cells.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/options.h"
#include "tests/softgpu/race.h"
#include "tests/softgpu/race_visit.h"
#include "tests/softgpu/report.h"

/* ---- Reports. */

void sg_race_tell(visit *v, int lane, uint64_t other, uint32_t other_op, const char *did) {
    sg_race_grid *g = v->g;
    uint32_t pair = v->op_index << 16 | other_op;
    for (int i = 0; i < g->pair_count; i++)
        if (g->pairs[i] == pair) return;
    if (g->pair_count == (int)(sizeof g->pairs / sizeof *g->pairs)) return;
    g->pairs[g->pair_count++] = pair;
    const sg_program *program = v->warp->block->grid->program;
    char place[200] = "?", where[200];
    if (other_op < (uint32_t)program->op_count && program->ops[other_op].instruction)
        sg_place_text(place, sizeof place, program->module,
                      &program->ops[other_op].instruction->place);
    uint64_t offset = v->offsets[lane];
    if (v->space == SG_SHARED)
        snprintf(where, sizeof where, "shared offset %llu", (unsigned long long)offset);
    else
        sg_memory_where(where, sizeof where, v->region->address + offset);
    uint32_t id = serial_of(other) - g->base;
    char who[80];
    if (id % g->warps_per_block + 1 == g->warps_per_block)
        snprintf(who, sizeof who, "asynchronous work of block %u", id / g->warps_per_block);
    else
        snprintf(who, sizeof who, "thread %u of block %u",
                 id % g->warps_per_block * SG_LANES + (uint32_t)lane_of(other),
                 id / g->warps_per_block);
    sg_report(SG_R_RACE, v->warp, v->op, 1u << lane,
              "thread %d of block %d %s %d bytes, %s; %s%s %s there at %s, and nothing orders the "
              "two",
              sg_thread(v->warp, lane), v->warp->block->number,
              v->kind == SG_READ    ? "reads"
              : v->kind == SG_WRITE ? "writes"
                                    : "changes (atomic)",
              v->bytes, where, who, other & APART ? " (and others)" : "", did, place);
}

/* ---- Cells. */

/* How far a new reader is from those whom this word stands for. */
static uint64_t apart(const visit *v, uint64_t word) {
    uint64_t is = serial_of(word) == v->w->serial ? LANES : in_my_block(v, word) ? WARPS : BLOCKS;
    return (word & APART) > is ? word & APART : is;
}

/* The bits of a new read, without its lane, where `word` was before. */
static uint64_t read_word(visit *v, int lane, uint64_t word) {
    uint64_t now = v->mine;
    if (word && !replaces(v, lane, word)) {
        now |= apart(v, word);
        if (!(word & STRONG)) now &= ~STRONG;
    }
    bool by_lane = v->w->learned || v->w->seen ||
                   (!(word & APART) && serial_of(word) == v->w->serial && !settled(v, word));
    if (!by_lane) {
        v->read_before = word & ~LANE;
        v->read_after = now;
    }
    return now;
}

static inline void note_read(visit *v, int lane, sg_page *p, uint32_t cell) {
    uint64_t *read = &p->cells[(PAGE >> p->shift) + cell], word = *read;
    uint64_t now = is_own(v, lane, word)              ? v->mine
                   : (word & ~LANE) == v->read_before ? v->read_after
                                                      : read_word(v, lane, word);
    *read = now | (uint64_t)lane << LANE_AT;
    uint32_t *ops = &sg_page_ops(p)[cell];
    *ops = (*ops & 0xffff) | v->op_index << 16;
}

static inline void note_write(visit *v, int lane, sg_page *p, uint32_t cell) {
    p->cells[cell] = v->mine | (uint64_t)lane << LANE_AT;
    p->cells[(PAGE >> p->shift) + cell] = 0;
    sg_page_ops(p)[cell] = v->op_index;
}

static void each_lane(visit *v, sg_pages *pages, uint32_t lanes) {
    int shift = __builtin_ctz((unsigned)v->bytes);
    /* All check before any of them is noted: lanes of one access do not race with each other. */
    for (int pass = 0; pass < 2; pass++) {
        uint64_t index = UINT64_MAX;
        sg_page *p = NULL;
        for (uint32_t rest = lanes; rest; rest &= rest - 1) {
            int l = __builtin_ctz(rest);
            if (v->offsets[l] / PAGE != index) {
                index = v->offsets[l] / PAGE;
                p = sg_page_ready(pages, index, v->g, shift);
                if (!p) return;
            }
            uint32_t first = (uint32_t)(v->offsets[l] % PAGE) >> p->shift;
            uint32_t end = first + ((uint32_t)v->bytes >> p->shift);
            for (uint32_t c = first; c < end; c++) {
                if (pass == 0) {
                    check_write_before(v, l, p, c);
                    if (v->kind != SG_READ) check_reads_before(v, l, p, c);
                } else if (v->kind == SG_READ) {
                    note_read(v, l, p, c);
                } else {
                    note_write(v, l, p, c);
                }
            }
        }
    }
}

/* ---- Rows: n cells side by side, `by` of them (as a shift) a lane. */

SG_CLONES static void look(uint64_t *differ, uint64_t *foreign, const uint64_t *cells, uint32_t n,
                           uint64_t mine, uint64_t first_lane, int by) {
    uint64_t d = 0, f = 0, first = cells[0];
    for (uint32_t i = 0; i < n; i++) {
        d |= cells[i] ^ first;
        f |= cells[i] ^ (mine | (first_lane + (i >> by)) << LANE_AT);
    }
    *differ = d;
    *foreign = f;
}

SG_CLONES static void fill(uint64_t *cells, uint32_t *ops, uint32_t n, uint64_t mine,
                           uint64_t first_lane, int by, uint32_t keep, uint32_t op) {
    for (uint32_t i = 0; i < n; i++)
        cells[i] = mine | (first_lane + (i >> by)) << LANE_AT;
    for (uint32_t i = 0; i < n; i++)
        ops[i] = (ops[i] & keep) | op;
}

/* All the cells are ordered before: alike and settled, or each its own lane's. */
static bool row_is_fine(visit *v, const uint64_t *cells, uint32_t n, uint64_t lane, int by,
                        uint64_t *differ) {
    uint64_t foreign;
    look(differ, &foreign, cells, n, v->mine, lane, by);
    if (!(foreign & (SERIAL | LANE | APART))) return true;
    return !(*differ & (EPOCH | APART)) && replaces(v, (int)lane, cells[0] & ~LANE) &&
           settled(v, cells[0]);
}

/* Lanes [lane, ...) of a row that lies in one page. False: needs a closer look. */
static bool row(visit *v, sg_page *p, uint32_t first, uint32_t n, uint64_t lane) {
    int by = __builtin_ctz((unsigned)v->bytes) - p->shift;
    uint64_t *writes = p->cells + first, *reads = writes + (PAGE >> p->shift), differ;
    uint32_t *ops = sg_page_ops(p) + first;
    if (!row_is_fine(v, writes, n, lane, by, &differ)) return false;
    if (v->kind == SG_READ) {
        uint64_t add = 0;
        if (!row_is_fine(v, reads, n, lane, by, &differ)) {
            /* Others read the same and are not ordered: alike in all cells, unless some of these
             * lanes may have been the one reader that a cell remembers. */
            if (differ & (EPOCH | APART | STRONG)) return false;
            if (!(reads[0] & APART) && serial_of(reads[0]) == v->w->serial) return false;
            if (v->mine & STRONG && !(reads[0] & STRONG)) return false;
            add = apart(v, reads[0]);
        }
        fill(reads, ops, n, v->mine | add, lane, by, 0xffff, v->op_index << 16);
        return true;
    }
    if (!row_is_fine(v, reads, n, lane, by, &differ)) return false;
    fill(writes, ops, n, v->mine, lane, by, 0, v->op_index);
    memset(reads, 0, n * sizeof *reads);
    return true;
}

static void rows(visit *v, sg_pages *pages) {
    int shift = __builtin_ctz((unsigned)v->bytes);
    uint64_t at = v->offsets[0], end = at + (uint64_t)v->bytes * SG_LANES;
    while (at < end) {
        sg_page *p = sg_page_ready(pages, at / PAGE, v->g, shift);
        if (!p) return;
        uint64_t part = PAGE - at % PAGE < end - at ? PAGE - at % PAGE : end - at;
        uint64_t lane = (at - v->offsets[0]) >> shift, count = part >> shift;
        if (!row(v, p, (uint32_t)(at % PAGE) >> p->shift, (uint32_t)part >> p->shift, lane)) {
            uint32_t lanes = count == 32 ? ~0u : ((1u << count) - 1) << lane;
            each_lane(v, pages, lanes);
        }
        at += part;
    }
}

void sg_race_lanes(sg_warp *warp, const sg_op *op, sg_region *region, sg_space space,
                   uint32_t lanes, const uint64_t offsets[SG_LANES], int bytes, sg_access_kind kind,
                   sg_strength strength, bool in_row, bool same) {
    sg_race_block *b = warp->block->race;
    if (!b) return;
    sg_pages *pages = sg_pages_of(region);
    if (!pages) return;
    sg_race_warp *w = &b->warps[warp->index];
    sg_grid *grid = warp->block->grid;
    uint64_t index = (uint64_t)(op - grid->program->ops);
    visit v = {.warp = warp,
               .op = op,
               .g = grid->race,
               .b = b,
               .w = w,
               .space = space,
               .offsets = offsets,
               .region = region,
               .bytes = bytes,
               .kind = kind,
               .strength = strength,
               .mine = (uint64_t)w->serial << SERIAL_AT | (uint64_t)w->stamp << STAMP_AT |
                       (strength == SG_WEAK ? 0 : STRONG),
               .read_before = UINT64_MAX,
               .op_index = index < 0xffff ? (uint32_t)index : 0xffff};
    w->used = true;
    if (in_row) {
        rows(&v, pages);
        return;
    }
    /* Where all read one place, the first and the last say it all. */
    if (same && kind == SG_READ && lanes & (lanes - 1)) {
        int last = 31 - __builtin_clz(lanes);
        uint32_t both = (lanes & -lanes) | 1u << last;
        sg_page *p =
            sg_page_ready(pages, offsets[last] / PAGE, v.g, __builtin_ctz((unsigned)bytes));
        if (p && settled(&v, p->cells[(uint32_t)(offsets[last] % PAGE) >> p->shift])) lanes = both;
    }
    each_lane(&v, pages, lanes);
}

void sg_race_access(sg_warp *warp, const sg_op *op, uint32_t lanes, sg_space space,
                    const uint64_t addresses[SG_LANES], int bytes, sg_access_kind kind) {
    if (!warp->block->race) return;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        int l = __builtin_ctz(rest);
        uint64_t offsets[SG_LANES] = {0};
        sg_space is = space;
        sg_region *region = sg_region_of(&offsets[l], &is, warp, l, addresses[l], (uint64_t)bytes);
        if (region && (is == SG_SHARED || is == SG_GLOBAL))
            sg_race_lanes(warp, op, region, is, 1u << l, offsets, bytes, kind,
                          kind == SG_ATOMIC ? SG_STRONG : SG_WEAK, false, false);
    }
}
