/* The cells of pages, and what an access finds in them. */
#include "tests/softgpu/race_cells.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/options.h"
#include "tests/softgpu/race.h"
#include "tests/softgpu/race_pages.h"
#include "tests/softgpu/report.h"

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

static uint32_t serial_of(uint64_t word) {
    return (uint32_t)(word >> SERIAL_AT);
}
static uint32_t stamp_of(uint64_t word) {
    return (uint32_t)(word >> STAMP_AT) & SG_STAMP_MAX;
}
static int lane_of(uint64_t word) {
    return (int)(word >> LANE_AT & 31);
}
static bool in_my_block(const visit *v, uint64_t word) {
    return serial_of(word) - v->b->first < v->b->warp_count;
}

/* Known to all lanes of this warp, whoever of that warp it was. */
static bool settled(visit *v, uint64_t word) {
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

static bool knows(visit *v, int lane, uint64_t word) {
    return is_own(v, lane, word) || settled(v, word) ||
           sg_race_knows(v->warp, lane, serial_of(word), lane_of(word), stamp_of(word));
}

/* Do both belong to the memory model's strong accesses, in a scope that holds both? */
static bool both_strong(const visit *v, uint64_t word) {
    return v->strength != SG_WEAK && word & STRONG &&
           (v->strength == SG_STRONG || in_my_block(v, word));
}

/* Is each of the readers that this word stands for ordered before? False only if surely not. */
static bool knows_readers(visit *v, int lane, uint64_t word) {
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

/* ---- Reports. */

static void tell(visit *v, int lane, uint64_t other, uint32_t other_op, const char *did) {
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
    uint32_t thread = id % g->warps_per_block * SG_LANES + (uint32_t)lane_of(other);
    sg_report(SG_R_RACE, v->warp, v->op, 1u << lane,
              "thread %d of block %d %s %d bytes, %s; thread %u of block %u%s %s there at %s, and "
              "nothing orders the two",
              sg_thread(v->warp, lane), v->warp->block->number,
              v->kind == SG_READ    ? "reads"
              : v->kind == SG_WRITE ? "writes"
                                    : "changes (atomic)",
              v->bytes, where, thread, id / g->warps_per_block,
              other & APART ? " (and others)" : "", did, place);
}

/* ---- Cells. */

static inline void check_write_before(visit *v, int lane, const sg_page *p, uint32_t cell) {
    uint64_t word = p->cells[cell];
    if ((word & EPOCH) != v->known && !both_strong(v, word) && !knows(v, lane, word))
        tell(v, lane, word, sg_page_ops(p)[cell] & 0xffff, "wrote");
}

static void check_reads_before(visit *v, int lane, const sg_page *p, uint32_t cell) {
    uint64_t word = p->cells[(PAGE >> p->shift) + cell];
    if (word && !both_strong(v, word) && !knows_readers(v, lane, word))
        tell(v, lane, word, sg_page_ops(p)[cell] >> 16, "read");
}

/* How far a new reader is from those whom this word stands for. */
static uint64_t apart(const visit *v, uint64_t word) {
    uint64_t is = serial_of(word) == v->w->serial ? LANES : in_my_block(v, word) ? WARPS : BLOCKS;
    return (word & APART) > is ? word & APART : is;
}

static bool replaces(visit *v, int lane, uint64_t word) {
    return !(word & APART)
               ? knows(v, lane, word)
               : serial_of(word) < v->g->base || ((word & APART) == LANES && settled(v, word)) ||
                     (v->space == SG_SHARED && !in_my_block(v, word)) ||
                     ((word & APART) == WARPS && in_my_block(v, word) &&
                      stamp_of(word) <= v->b->floor[serial_of(word) - v->b->first]);
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
