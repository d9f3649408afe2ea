/* What orders: the life of a grid, warp syncs, barriers, fences, strong accesses. */
#include "tests/softgpu/race.h"

#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/options.h"
#include "tests/softgpu/race_state.h"

/* ---- Life cycle. */

static uint32_t next_serial = 1;

void sg_race_grid_start(sg_grid *grid) {
    grid->race = NULL;
    if (!sg_get_options()->full) return;
    uint64_t threads = (uint64_t)grid->threads[0] * grid->threads[1] * grid->threads[2];
    uint64_t blocks = (uint64_t)grid->blocks[0] * grid->blocks[1] * grid->blocks[2];
    uint64_t warps = (threads + SG_LANES - 1) / SG_LANES + 1; /* and the proxy */
    if (blocks * warps > SG_SERIAL_MAX - 1) return; /* unwatched: hours of work in any case */
    sg_race_grid *g = calloc(1, sizeof *g);
    if (!g) return;
    if (blocks * warps > SG_SERIAL_MAX - next_serial) { /* start anew, nothing is remembered */
        sg_pages_forget();
        next_serial = 1;
    }
    g->base = next_serial;
    g->warps_per_block = (uint32_t)warps;
    next_serial += (uint32_t)(blocks * warps);
    grid->race = g;
}

void sg_race_grid_end(sg_grid *grid) {
    sg_race_grid *g = grid->race;
    if (!g) return;
    for (uint64_t i = 0; i < g->location_room; i++) {
        sg_clock_drop(g->locations[i].wide);
        sg_clock_drop(g->locations[i].narrow);
    }
    free(g->locations);
    free(g);
    grid->race = NULL;
}

void sg_race_block_start(sg_block *block) {
    block->shadow = NULL;
    block->race = NULL;
    const sg_race_grid *g = block->grid->race;
    if (!g) return;
    sg_race_block *b = calloc(1, sizeof *b + (size_t)block->warp_count * sizeof(sg_race_warp));
    if (!b) return;
    b->warp_count = (uint32_t)block->warp_count;
    b->first = g->base + (uint32_t)block->number * g->warps_per_block;
    for (uint32_t w = 0; w < b->warp_count; w++) {
        b->warps[w].serial = b->first + w;
        b->warps[w].stamp = 1;
    }
    block->race = b;
}

static void forget_warp(sg_race_warp *w) {
    free(w->seen);
    for (int l = 0; w->learned && l < SG_LANES; l++) {
        sg_clock_drop(w->extra[l]);
        sg_clock_drop(w->pending[l]);
        sg_clock_drop(w->narrow[l]);
        sg_clock_drop(w->wide[l]);
    }
}

void sg_race_block_end(sg_block *block) {
    sg_race_block *b = block->race;
    if (b) {
        for (uint32_t w = 0; w < b->warp_count; w++)
            forget_warp(&b->warps[w]);
        free(b->seen);
        free(b->proxy);
        free(b);
        block->race = NULL;
    }
    sg_shadow_block_end(block);
}

/* ---- Knowledge. */

bool sg_race_knows(const sg_warp *warp, int lane, uint32_t serial, int other, uint32_t stamp) {
    const sg_race_block *b = sg_race_of_block(warp->block);
    const sg_race_warp *w = &b->warps[warp->index];
    const sg_race_grid *g = warp->block->grid->race;
    if (sg_race_all_know(g, b, w, serial, stamp)) return true;
    if (serial == w->serial) {
        if (lane == other) return true;
        if (w->seen && w->seen[lane * SG_LANES + other] >= stamp) return true;
    } else if (serial - b->first < b->warp_count && b->seen) {
        if (b->seen[(uint32_t)warp->index * SG_MAX_WARPS + serial - b->first] >= stamp) return true;
    }
    return w->learned && sg_clock_knows(w->extra[lane], serial, other, stamp);
}

/* The latest stamp that an access may carry. */
static uint32_t last_used(const sg_race_warp *w) {
    return w->used ? w->stamp : w->stamp - 1;
}

/* All lanes of some warps share what they learned from elsewhere, and what they publish. */
static void share_learned(sg_race_block *b, const uint32_t *lanes_of_warp) {
    sg_clock *extra = NULL, *narrow = NULL, *wide = NULL;
    bool any = false;
    for (uint32_t i = 0; i < b->warp_count; i++) {
        sg_race_warp *w = &b->warps[i];
        if (!w->learned) continue;
        for (int l = 0; l < SG_LANES; l++) {
            if (!(lanes_of_warp[i] >> l & 1)) continue;
            sg_clock_join(&extra, w->extra[l]);
            sg_clock_join(&narrow, w->narrow[l]);
            sg_clock_join(&wide, w->wide[l]);
        }
    }
    any = extra || narrow || wide;
    for (uint32_t i = 0; any && i < b->warp_count; i++) {
        sg_race_warp *w = &b->warps[i];
        for (int l = 0; l < SG_LANES; l++) {
            if (!(lanes_of_warp[i] >> l & 1)) continue;
            w->learned = true;
            sg_clock_drop(w->extra[l]);
            sg_clock_drop(w->narrow[l]);
            sg_clock_drop(w->wide[l]);
            w->extra[l] = sg_clock_share(extra);
            w->narrow[l] = sg_clock_share(narrow);
            w->wide[l] = sg_clock_share(wide);
        }
    }
    sg_clock_drop(extra);
    sg_clock_drop(narrow);
    sg_clock_drop(wide);
}

static void sync_whole(sg_race_warp *w) {
    w->full = last_used(w);
    free(w->seen);
    w->seen = NULL;
    sg_race_new_stamp(w);
}

static void sync_part(sg_race_warp *w, uint32_t lanes) {
    if (!w->seen) {
        w->seen = malloc(SG_LANES * SG_LANES * sizeof *w->seen);
        if (!w->seen) { /* no memory: rather know too much than report what is right */
            sync_whole(w);
            return;
        }
        for (int i = 0; i < SG_LANES * SG_LANES; i++)
            w->seen[i] = w->full;
    }
    uint32_t row[SG_LANES] = {0};
    for (int l = 0; l < SG_LANES; l++)
        for (int u = 0; lanes >> l & 1 && u < SG_LANES; u++)
            if (w->seen[l * SG_LANES + u] > row[u]) row[u] = w->seen[l * SG_LANES + u];
    for (int u = 0; u < SG_LANES; u++)
        if (lanes >> u & 1) row[u] = last_used(w);
    for (int l = 0; l < SG_LANES; l++)
        if (lanes >> l & 1) memcpy(&w->seen[l * SG_LANES], row, sizeof row);
    sg_race_new_stamp(w);
}

static void sync_lanes(const sg_warp *warp, sg_race_warp *w, uint32_t lanes) {
    uint32_t live = warp->exists & ~warp->exited;
    if ((lanes & live) == live)
        sync_whole(w);
    else
        sync_part(w, lanes);
}

void sg_race_warp_sync(sg_warp *warp, uint32_t lanes) {
    sg_race_block *b = warp->block->race;
    if (!b) return;
    sg_race_warp *w = &b->warps[warp->index];
    sync_lanes(warp, w, lanes);
    if (!w->learned) return;
    uint32_t lanes_of_warp[SG_MAX_WARPS] = {0};
    lanes_of_warp[warp->index] = lanes;
    share_learned(b, lanes_of_warp);
}

void sg_race_barrier(sg_block *block, const uint32_t lanes_of_warp[SG_MAX_WARPS]) {
    sg_race_block *b = block->race;
    if (!b) return;
    bool whole = true;
    for (uint32_t i = 0; i < b->warp_count; i++) {
        const sg_warp *warp = &block->warps[i];
        if (warp->exists & ~warp->exited & ~lanes_of_warp[i]) whole = false;
    }
    if (!whole && !b->seen) {
        b->seen = malloc(SG_MAX_WARPS * SG_MAX_WARPS * sizeof *b->seen);
        if (!b->seen) whole = true;
        for (int i = 0; b->seen && i < SG_MAX_WARPS * SG_MAX_WARPS; i++)
            b->seen[i] = b->floor[i % SG_MAX_WARPS];
    }
    if (whole) {
        for (uint32_t i = 0; i < b->warp_count; i++) {
            b->floor[i] = last_used(&b->warps[i]);
            sync_whole(&b->warps[i]);
        }
        free(b->seen);
        b->seen = NULL;
    } else {
        uint32_t row[SG_MAX_WARPS] = {0};
        for (uint32_t i = 0; i < b->warp_count; i++)
            for (uint32_t k = 0; lanes_of_warp[i] && k < b->warp_count; k++)
                if (b->seen[i * SG_MAX_WARPS + k] > row[k]) row[k] = b->seen[i * SG_MAX_WARPS + k];
        for (uint32_t i = 0; i < b->warp_count; i++) {
            if (!lanes_of_warp[i]) continue;
            row[i] = last_used(&b->warps[i]);
        }
        for (uint32_t i = 0; i < b->warp_count; i++) {
            if (!lanes_of_warp[i]) continue;
            memcpy(&b->seen[i * SG_MAX_WARPS], row, sizeof row);
            sync_lanes(&block->warps[i], &b->warps[i], lanes_of_warp[i]);
        }
    }
    share_learned(b, lanes_of_warp);
}

/* ---- Fences and strong accesses. */

sg_clock *sg_race_snapshot(const sg_warp *warp, int lane) {
    const sg_race_block *b = sg_race_of_block(warp->block);
    const sg_race_warp *w = &b->warps[warp->index];
    sg_clock_entry entries[SG_MAX_WARPS + SG_LANES + 1];
    int n = 0;
    for (uint32_t i = 0; i < b->warp_count; i++) {
        uint32_t serial = b->first + i;
        if (serial == w->serial) {
            for (int u = 0; u < SG_LANES; u++) {
                uint32_t stamp = u == lane ? w->stamp : w->seen ? w->seen[lane * SG_LANES + u] : 0;
                if (stamp) entries[n++] = (sg_clock_entry){sg_clock_key(serial, u), stamp};
            }
        }
        uint32_t all = serial == w->serial ? w->full
                       : b->seen           ? b->seen[(uint32_t)warp->index * SG_MAX_WARPS + i]
                                           : b->floor[i];
        if (all) entries[n++] = (sg_clock_entry){sg_clock_key(serial, SG_ALL_LANES), all};
    }
    sg_clock *clock = sg_clock_make(entries, n);
    if (clock) sg_clock_join(&clock, w->extra[lane]);
    return clock;
}

static void learn(const sg_race_block *b, sg_race_warp *w, sg_clock **into, sg_clock *clock,
                  bool beyond_block) {
    if (!clock) return;
    w->learned = true;
    if (beyond_block)
        sg_clock_join(into, clock);
    else
        sg_clock_join_warps(into, clock, b->first, b->warp_count + 1);
}

void sg_race_fence(sg_warp *warp, uint32_t lanes, bool beyond_block) {
    sg_race_block *b = warp->block->race;
    if (!b) return;
    sg_race_warp *w = &b->warps[warp->index];
    ((sg_race_grid *)warp->block->grid->race)->released = true;
    w->learned = true;
    for (int l = 0; l < SG_LANES; l++) {
        if (!(lanes >> l & 1)) continue;
        learn(b, w, &w->extra[l], w->pending[l], beyond_block);
        sg_clock **published = beyond_block ? &w->wide[l] : &w->narrow[l];
        sg_clock *now = sg_race_snapshot(warp, l);
        sg_clock_drop(*published);
        *published = now;
        if (!beyond_block) continue;
        sg_clock_drop(w->pending[l]);
        w->pending[l] = NULL;
    }
    w->used = true; /* the snapshot holds this stamp: what follows must carry another */
    sg_race_new_stamp(w);
}

static uint64_t place_of(const sg_race_grid *g, const sg_region *region, uint64_t offset) {
    uint64_t hash = ((uint64_t)(uintptr_t)region / 64 + offset) * 0x9e3779b97f4a7c15ull;
    uint64_t at = hash >> 20 & (g->location_room - 1);
    while (g->locations[at].region &&
           (g->locations[at].region != region || g->locations[at].offset != offset))
        at = (at + 1) & (g->location_room - 1);
    return at;
}

static sg_location *find_location(sg_race_grid *g, const sg_region *region, uint64_t offset,
                                  bool make) {
    if (make && g->location_count * 2 >= g->location_room) {
        sg_race_grid old = *g;
        uint64_t room = old.location_room ? 2 * old.location_room : 64;
        sg_location *locations = calloc(room, sizeof *locations);
        if (!locations) return NULL;
        g->locations = locations;
        g->location_room = room;
        for (uint64_t i = 0; i < old.location_room; i++)
            if (old.locations[i].region)
                locations[place_of(g, old.locations[i].region, old.locations[i].offset)] =
                    old.locations[i];
        free(old.locations);
    }
    if (!g->location_room) return NULL;
    sg_location *location = &g->locations[place_of(g, region, offset)];
    if (location->region) return location;
    if (!make) return NULL;
    location->region = region;
    location->offset = offset;
    g->location_count++;
    return location;
}

void sg_race_strong(sg_warp *warp, int lane, const sg_region *region, uint64_t offset, bool load,
                    bool store, bool acquire, bool release, bool beyond_block) {
    sg_race_block *b = warp->block->race;
    sg_race_grid *g = warp->block->grid->race;
    if (!b || (!g->released && !release)) return;
    sg_race_warp *w = &b->warps[warp->index];
    uint32_t number = (uint32_t)warp->block->number;
    static const sg_region any_shared; /* in its place, since blocks' regions come and go */
    if (region->address == 0) {
        offset |= ((uint64_t)number + 1) << 32;
        region = &any_shared;
    }
    g->released = true;
    sg_location *at = find_location(g, region, offset, false);
    if (load && at) {
        sg_clock **into = acquire ? &w->extra[lane] : &w->pending[lane];
        learn(b, w, into, at->wide, beyond_block || !acquire);
        if (at->narrow_block == number) learn(b, w, into, at->narrow, true);
    }
    if (!store) return;
    sg_clock *wide = sg_clock_share(w->wide[lane]), *narrow = sg_clock_share(w->narrow[lane]);
    if (release) {
        sg_clock *now = sg_race_snapshot(warp, lane);
        sg_clock_join(beyond_block ? &wide : &narrow, now);
        sg_clock_drop(now);
        w->used = true;
        sg_race_new_stamp(w);
    }
    if (!at && (wide || narrow)) at = find_location(g, region, offset, true);
    if (at && !load) { /* a plain strong store: earlier releases are overwritten */
        sg_clock_drop(at->wide);
        sg_clock_drop(at->narrow);
        at->wide = at->narrow = NULL;
    }
    if (at) {
        sg_clock_join(&at->wide, wide);
        if (at->narrow_block != number && narrow) {
            sg_clock_drop(at->narrow);
            at->narrow = NULL;
            at->narrow_block = number;
        }
        sg_clock_join(&at->narrow, narrow);
    }
    sg_clock_drop(wide);
    sg_clock_drop(narrow);
}

void sg_race_atomic(sg_warp *warp, const sg_op *op, int lane, sg_space space, uint64_t address,
                    int bytes, bool acquire, bool release) {
    (void)op;
    uint64_t offset;
    sg_region *region = sg_region_of(&offset, &space, warp, lane, address, (uint64_t)bytes);
    if (region) sg_race_strong(warp, lane, region, offset, true, true, acquire, release, true);
}
