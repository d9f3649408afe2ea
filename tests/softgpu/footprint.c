/* Sectors of global requests, bank conflicts of shared ones. */
#include "tests/softgpu/footprint.h"

#include "tests/softgpu/counters.h"

#define BANKS 32

void sg_count_global(sg_warp *warp, sg_region *region, uint32_t lanes,
                     const uint64_t offsets[SG_LANES], int bytes, bool store, bool in_row) {
    sg_counters *c = warp->block->grid->counters;
    if (!c) return;
    uint64_t launch = warp->block->grid->launch, fresh = 0, sectors = 0;
    c->global_requests[store]++;
    c->global_bytes[store] += (uint64_t)(bytes * __builtin_popcount(lanes));
    if (in_row) {
        uint64_t count = (uint64_t)(bytes * SG_LANES);
        sectors = (offsets[0] + count - 1) / SG_SECTOR - offsets[0] / SG_SECTOR + 1;
        fresh = sg_shadow_touch(region, offsets[0], count, store, launch);
    } else {
        /* Aligned accesses of up to 16 bytes lie in one sector each. */
        uint64_t seen[SG_LANES], last = UINT64_MAX, most = 0;
        for (uint32_t rest = lanes; rest; rest &= rest - 1) {
            uint64_t sector = offsets[__builtin_ctz(rest)] / SG_SECTOR;
            if (sector == last) continue;
            last = sector;
            bool is_new = !sectors || sector > most;
            if (is_new) most = sector;
            for (uint64_t i = 0; !is_new; i++) {
                if (i == sectors)
                    is_new = true;
                else if (seen[i] == sector)
                    break;
            }
            if (!is_new) continue;
            seen[sectors++] = sector;
            fresh += sg_shadow_touch(region, sector * SG_SECTOR, 1, store, launch);
        }
    }
    c->global_sectors[store] += sectors;
    c->global_footprint[store] += fresh * SG_SECTOR;
}

void sg_count_range(sg_warp *warp, const sg_op *op, int lane, sg_region *region, uint64_t offset,
                    uint64_t bytes, bool store) {
    static struct {
        const sg_warp *warp;
        const sg_op *op;
        const sg_region *region;
        int lane;
        uint64_t sector;
    } last;
    sg_counters *c = warp->block->grid->counters;
    if (!c || !bytes) return;
    bool same = last.warp == warp && last.op == op && last.lane < lane;
    uint64_t first = offset / SG_SECTOR, end = (offset + bytes - 1) / SG_SECTOR;
    c->global_requests[store] += !same;
    c->global_bytes[store] += bytes;
    c->global_sectors[store] += end - first + 1;
    if (same && last.region == region && last.sector == first) c->global_sectors[store]--;
    c->global_footprint[store] +=
        sg_shadow_touch(region, offset, bytes, store, warp->block->grid->launch) * SG_SECTOR;
    last.warp = warp;
    last.op = op;
    last.region = region;
    last.lane = lane;
    last.sector = end;
}

/* How often the banks must be read for these lanes: the most distinct words of any bank. */
static int passes(uint32_t lanes, const uint64_t offsets[SG_LANES], int words) {
    uint64_t word_of[BANKS][SG_LANES];
    int count[BANKS] = {0}, most = 0;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        uint64_t first = offsets[__builtin_ctz(rest)] / 4;
        for (int w = 0; w < words; w++) {
            uint64_t word = first + (uint64_t)w;
            int bank = (int)(word % BANKS), i = 0;
            while (i < count[bank] && word_of[bank][i] != word)
                i++;
            if (i < count[bank]) continue;
            word_of[bank][count[bank]++] = word;
            if (count[bank] > most) most = count[bank];
        }
    }
    return most;
}

static uint64_t conflicts(uint32_t lanes, const uint64_t offsets[SG_LANES], int bytes) {
    int words = bytes <= 4 ? 1 : bytes / 4;
    uint32_t width = SG_LANES / (uint32_t)words;
    uint64_t found = 0;
    for (int part = 0; part < words; part++) {
        uint32_t mask = width == 32 ? ~0u : ((1u << width) - 1) << (part * (int)width);
        int needed = passes(lanes & mask, offsets, words);
        if (needed > 1) found += (uint64_t)(needed - 1);
    }
    return found;
}

/* The same pattern comes again and again; moved by whole words it has the same conflicts. */
typedef struct pattern {
    uint64_t steps[SG_LANES]; /* from the first lane */
    uint64_t found;
    uint32_t lanes;
    int bytes;
    int within_word; /* where in its word the first lane is */
} pattern;

SG_CLONES static bool same_steps(const uint64_t steps[SG_LANES], const uint64_t offsets[SG_LANES]) {
    uint64_t differ = 0, first = offsets[0];
    for (int i = 0; i < SG_LANES; i++)
        differ |= steps[i] ^ (offsets[i] - first);
    return !differ;
}

void sg_count_shared(sg_warp *warp, uint32_t lanes, const uint64_t offsets[SG_LANES], int bytes,
                     bool store, bool easy) {
    static pattern known[256];
    sg_counters *c = warp->block->grid->counters;
    if (!c) return;
    c->shared_requests[store]++;
    if (easy) return;
    pattern *p = &known[warp->pc % 256];
    int within_word = (int)(offsets[0] % 4);
    if (p->lanes != lanes || p->bytes != bytes || p->within_word != within_word ||
        !same_steps(p->steps, offsets)) {
        *p = (pattern){.lanes = lanes,
                       .bytes = bytes,
                       .within_word = within_word,
                       .found = conflicts(lanes, offsets, bytes)};
        for (int i = 0; i < SG_LANES; i++)
            p->steps[i] = offsets[i] - offsets[0];
    }
    c->shared_conflicts[store] += p->found;
}
