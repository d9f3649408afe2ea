/* What the asynchronous proxy of a block knows and is known of. */
#include "tests/softgpu/race_proxy.h"

#include <stdlib.h>

sg_proxy *sg_proxy_of(const sg_block *block) {
    sg_race_block *b = block->race;
    if (!b) return NULL;
    if (!b->proxy) b->proxy = calloc(1, sizeof *b->proxy);
    return b->proxy;
}

static void raise(uint32_t *stamp, uint32_t to) {
    if (*stamp < to) *stamp = to;
}

void sg_proxy_fence(sg_warp *warp, uint32_t lanes) {
    sg_proxy *p = sg_proxy_of(warp->block);
    if (!p) return;
    const sg_race_block *b = warp->block->race;
    sg_race_warp *w = sg_race_of_warp(warp);
    const uint32_t me = (uint32_t)warp->index;
    for (uint32_t i = 0; i < b->warp_count; i++)
        raise(&p->fenced[i][SG_LANES], i == me   ? w->full
                                       : b->seen ? b->seen[me * SG_MAX_WARPS + i]
                                                 : b->floor[i]);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int l = __builtin_ctz(rest);
        raise(&p->fenced[me][l], w->stamp);
        for (int u = 0; w->seen && u < SG_LANES; u++)
            raise(&p->fenced[me][u], w->seen[l * SG_LANES + u]);
        const sg_clock *extra = w->learned ? w->extra[l] : NULL;
        for (int i = 0; extra && i < extra->count; i++) {
            const uint32_t at = (uint32_t)(extra->entries[i].key >> 6) - b->first;
            if (at < b->warp_count)
                raise(&p->fenced[at][extra->entries[i].key & 63], extra->entries[i].stamp);
        }
    }
    w->used = true; /* what follows must carry another stamp */
    sg_race_new_stamp(w);
}

uint32_t sg_proxy_next(const sg_block *block, int slot) {
    sg_proxy *p = sg_proxy_of(block);
    if (!p) return 0;
    if (p->stamp[slot] < SG_STAMP_MAX) p->stamp[slot]++;
    return p->stamp[slot];
}

sg_clock *sg_proxy_clock(const sg_block *block, int slot, uint32_t stamp) {
    const sg_race_block *b = block->race;
    if (!b) return NULL;
    return sg_clock_make(&(sg_clock_entry){sg_clock_key(b->first + b->warp_count, slot), stamp}, 1);
}

void sg_proxy_learn(sg_warp *warp, uint32_t lanes, sg_clock *clock) {
    if (!warp->block->race || !clock) return;
    sg_race_warp *w = sg_race_of_warp(warp);
    w->learned = true;
    /* Most lanes know the same, and go on to. */
    sg_clock *before = NULL, *after = NULL;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        sg_clock **extra = &w->extra[__builtin_ctz(rest)];
        if (after && *extra == before) {
            sg_clock_drop(*extra);
            *extra = sg_clock_share(after);
            continue;
        }
        sg_clock_drop(before);
        sg_clock_drop(after);
        before = sg_clock_share(*extra);
        sg_clock_join(extra, clock);
        after = sg_clock_share(*extra);
    }
    sg_clock_drop(before);
    sg_clock_drop(after);
}

sg_clock *sg_proxy_publish(sg_warp *warp, int lane) {
    if (!warp->block->race) return NULL;
    sg_race_warp *w = sg_race_of_warp(warp);
    sg_clock *now = sg_race_snapshot(warp, lane);
    w->used = true;
    sg_race_new_stamp(w);
    return now;
}
