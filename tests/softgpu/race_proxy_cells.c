/* What accesses of the asynchronous proxy find in cells. */
#include <stdio.h>

#include "tests/softgpu/race_proxy.h"
#include "tests/softgpu/race_visit.h"
#include "tests/softgpu/report.h"

/* Who of this block wrote last, and has not fenced since? */
static bool is_hidden(const visit *v, uint64_t word) {
    uint32_t warp = serial_of(word) - v->b->first;
    return warp < v->b->warp_count &&
           !sg_proxy_sees(v->b->proxy, (int)warp, lane_of(word), stamp_of(word));
}

static void tell_hidden(visit *v, int lane, const sg_page *p, uint32_t cell) {
    const sg_program *program = v->warp->block->grid->program;
    uint32_t other = sg_page_ops(p)[cell] & 0xffff, id = serial_of(p->cells[cell]) - v->g->base;
    char place[200] = "?";
    if (other < (uint32_t)program->op_count && program->ops[other].instruction)
        sg_place_text(place, sizeof place, program->module,
                      &program->ops[other].instruction->place);
    sg_report(SG_R_PROXY, v->warp, v->op, 1u << lane,
              "asynchronous work %s %s offset %llu, which thread %u wrote at %s without a "
              "fence.proxy.async after that",
              v->kind == SG_READ ? "reads" : "writes",
              v->space == SG_SHARED ? "shared" : "a block's", (unsigned long long)v->offsets[lane],
              id % v->g->warps_per_block * SG_LANES + (uint32_t)lane_of(p->cells[cell]), place);
}

static uint64_t proxy_read_word(visit *v, int lane, uint64_t word, uint64_t now) {
    if (!word || !((word ^ now) & (SERIAL | LANE | APART)) || replaces(v, lane, word)) return now;
    uint64_t is = serial_of(word) == serial_of(now) ? LANES : in_my_block(v, word) ? WARPS : BLOCKS;
    return now | ((word & APART) > is ? word & APART : is);
}

static void proxy_cells(visit *v, int lane, sg_page *p, uint32_t first, uint32_t end,
                        uint64_t mark) {
    for (uint32_t c = first; c < end; c++) {
        check_write_before(v, lane, p, c);
        if (v->kind != SG_READ) check_reads_before(v, lane, p, c);
        if (is_hidden(v, p->cells[c])) tell_hidden(v, lane, p, c);
        if (v->kind != SG_READ) {
            p->cells[c] = mark;
            p->cells[(PAGE >> p->shift) + c] = 0;
            sg_page_ops(p)[c] = v->op_index;
            continue;
        }
        uint64_t *read = &p->cells[(PAGE >> p->shift) + c];
        uint32_t *ops = &sg_page_ops(p)[c];
        *read = proxy_read_word(v, lane, *read, mark);
        *ops = (*ops & 0xffff) | v->op_index << 16;
    }
}

void sg_race_proxy(sg_warp *warp, const sg_op *op, int lane, sg_region *region, sg_space space,
                   uint64_t offset, uint64_t bytes, sg_access_kind kind, int slot, uint32_t stamp) {
    sg_race_block *b = warp->block->race;
    sg_pages *pages = b ? sg_pages_of(region) : NULL;
    if (!pages || !sg_proxy_of(warp->block)) return;
    sg_race_warp *w = &b->warps[warp->index];
    uint64_t offsets[SG_LANES] = {0}, index = (uint64_t)(op - warp->block->grid->program->ops);
    visit v = {.warp = warp,
               .op = op,
               .g = warp->block->grid->race,
               .b = b,
               .w = w,
               .space = space,
               .offsets = offsets,
               .region = region,
               .kind = kind,
               .strength = SG_WEAK,
               .mine = (uint64_t)w->serial << SERIAL_AT | (uint64_t)w->stamp << STAMP_AT,
               .read_before = UINT64_MAX,
               .op_index = index < 0xffff ? (uint32_t)index : 0xffff};
    uint64_t mark = (uint64_t)(b->first + b->warp_count) << SERIAL_AT |
                    (uint64_t)(stamp & SG_STAMP_MAX) << STAMP_AT | (uint64_t)slot << LANE_AT;
    for (uint64_t part; bytes; offset += part, bytes -= part) {
        part = PAGE - offset % PAGE < bytes ? PAGE - offset % PAGE : bytes;
        int shift = __builtin_ctzll(offset | part | 16);
        sg_page *p = sg_page_ready(pages, offset / PAGE, v.g, shift);
        if (!p) return;
        uint32_t first = (uint32_t)(offset % PAGE) >> p->shift;
        offsets[lane] = offset;
        v.bytes = (int)part;
        proxy_cells(&v, lane, p, first, first + ((uint32_t)part >> p->shift), mark);
    }
}
