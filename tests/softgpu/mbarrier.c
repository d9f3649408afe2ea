/* What mbarriers are, apart from the instructions (mbarrier_ops.c): found by address, counted down,
 * completed by what lands. */
#include "tests/softgpu/mbarrier.h"

#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/mbarrier_state.h"
#include "tests/softgpu/memory.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/race_proxy.h"
#include "tests/softgpu/report.h"
#include "tests/softgpu/schedule.h"

void sg_mbarriers_block_start(sg_block *block) {
    block->mbarriers = NULL;
}

sg_mbarriers *sg_mbarriers_of(sg_block *block) {
    if (!block->mbarriers) block->mbarriers = calloc(1, sizeof(sg_mbarriers));
    return block->mbarriers;
}

static void drop_flight(sg_flight *f) {
    f->barrier->flights--;
    if (f->drop) f->drop(f);
    free(f);
}

void sg_mbarriers_block_check(sg_block *block) {
    const sg_mbarriers *all = block->mbarriers;
    const sg_flight *f = all ? all->flights : NULL;
    if (f && sg_get_options()->full)
        sg_report(SG_R_ASYNC_EARLY, f->warp, f->op, 1u << f->lane,
                  "the block ends while this is still under way to its mbarrier at shared offset "
                  "%llu",
                  (unsigned long long)f->barrier->offset);
}

void sg_mbarriers_block_end(sg_block *block) {
    sg_mbarriers *all = block->mbarriers;
    if (!all) return;
    for (sg_flight *f = all->flights, *next; f; f = next) {
        next = f->next;
        drop_flight(f);
    }
    for (int i = 0; i < all->count; i++) {
        sg_clock_drop(all->list[i]->gathered);
        sg_clock_drop(all->list[i]->known);
        free(all->list[i]);
    }
    free(all->list);
    free(all);
    block->mbarriers = NULL;
}

sg_mbarrier *sg_mbarrier_at(sg_block *block, uint64_t offset, bool make) {
    sg_mbarriers *all = sg_mbarriers_of(block);
    for (int i = 0; all && i < all->count; i++)
        if (all->list[i]->offset == offset) return all->list[i];
    if (!all || !make) return NULL;
    sg_mbarrier **list = realloc(all->list, ((size_t)all->count + 1) * sizeof(sg_mbarrier *));
    if (!list) return NULL;
    all->list = list;
    sg_mbarrier *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->offset = offset;
    b->number = all->count;
    return list[all->count++] = b;
}

bool sg_mbarrier_offset(uint64_t *offset, sg_warp *warp, const sg_op *op, int lane, sg_space space,
                        uint64_t address) {
    if (address % 8) {
        sg_report(SG_R_ALIGNMENT, warp, op, 1u << lane,
                  "an mbarrier at address %#llx, which is no multiple of 8",
                  (unsigned long long)address);
        return false;
    }
    sg_space is = space;
    if (sg_region_of(offset, &is, warp, lane, address, 8) && is == SG_SHARED) return true;
    sg_report(is == SG_SHARED ? SG_R_BOUNDS : SG_R_SPACE, warp, op, 1u << lane,
              "an mbarrier at address %#llx, which is not in the block's %llu bytes of shared "
              "memory",
              (unsigned long long)address, (unsigned long long)warp->block->shared_bytes);
    return false;
}

uint64_t sg_mbarrier_pattern(const sg_mbarrier *b) {
    return 0x6d62617272696572ull ^ b->offset;
}

sg_mbarrier *sg_mbarrier_find(sg_warp *warp, const sg_op *op, int lane, sg_space space,
                              uint64_t address) {
    uint64_t offset, bits;
    if (!sg_mbarrier_offset(&offset, warp, op, lane, space, address)) return NULL;
    sg_mbarrier *b = sg_mbarrier_at(warp->block, offset, false);
    if (!b || !b->live) {
        sg_report(SG_R_BARRIER, warp, op, 1u << lane, "the mbarrier at shared offset %llu %s",
                  (unsigned long long)offset, b ? "was ended by inval" : "was never initialised");
        return NULL;
    }
    memcpy(&bits, warp->block->shared + offset, 8);
    if (bits != sg_mbarrier_pattern(b)) {
        sg_report(SG_R_BARRIER, warp, op, 1u << lane,
                  "the bytes of the mbarrier at shared offset %llu were overwritten",
                  (unsigned long long)offset);
        return NULL;
    }
    return b;
}

/* ---- Phases. */

static void event(const sg_warp *warp) {
    sg_schedule_of(warp)->runner->events++;
}

void sg_mbarrier_settle(sg_warp *warp, sg_mbarrier *b) {
    event(warp);
    if (b->missing || b->bytes) return;
    b->phase++;
    b->missing = b->expected;
    sg_clock_join(&b->known, b->gathered);
    sg_clock_drop(b->gathered);
    b->gathered = NULL;
}

void sg_mbarrier_arrive(sg_warp *warp, const sg_op *op, int lane, sg_mbarrier *b, uint32_t count,
                        bool release) {
    if (count > b->missing) {
        sg_report(SG_R_BARRIER, warp, op, 1u << lane,
                  "%u arrival%s at the mbarrier at shared offset %llu, which waits for %u of %u in "
                  "its phase %llu",
                  count, count == 1 ? "" : "s", (unsigned long long)b->offset, b->missing,
                  b->expected, (unsigned long long)b->phase);
        sg_abandon(warp);
        return;
    }
    if (release && sg_get_options()->full) {
        sg_clock *now = sg_proxy_publish(warp, lane);
        sg_clock_join(&b->gathered, now);
        sg_clock_drop(now);
    }
    b->missing -= count;
    sg_mbarrier_settle(warp, b);
}

void sg_mbarrier_owe(sg_mbarrier *b) {
    b->missing++;
}

/* ---- Flights. */

void sg_flight_add(sg_flight *f) {
    sg_mbarriers *all = sg_mbarriers_of(f->warp->block);
    f->barrier->flights++;
    f->next = all->flights;
    all->flights = f;
    event(f->warp);
}

void sg_mbarrier_land_some(sg_warp *warp, sg_mbarrier *b) {
    const uint64_t r = sg_random(sg_schedule_of(warp)->runner);
    if (!b->flights || !(r & 1)) return;
    int index = (int)((r >> 8) % (uint64_t)b->flights);
    sg_mbarriers *all = warp->block->mbarriers;
    for (sg_flight **at = &all->flights; *at; at = &(*at)->next) {
        sg_flight *f = *at;
        if (f->barrier != b || index--) continue;
        *at = f->next;
        f->land(f);
        event(warp);
        drop_flight(f);
        return;
    }
}

void sg_mbarrier_landed(sg_flight *f, uint64_t bytes, sg_clock *clock) {
    f->barrier->bytes -= (int64_t)bytes;
    sg_clock_join(&f->barrier->gathered, clock);
    sg_mbarrier_settle(f->warp, f->barrier);
}

void sg_mbarrier_flight_arrives(sg_flight *f) {
    sg_mbarrier_arrive(f->warp, f->op, f->lane, f->barrier, 1, true);
}

void sg_mbarriers_publish(sg_warp *warp, uint32_t lanes) {
    sg_mbarriers *all = warp->block->mbarriers;
    for (int i = 0; all && i < all->count; i++) {
        const int thread = all->list[i]->init_thread;
        if (thread / SG_LANES == warp->index && lanes >> thread % SG_LANES & 1)
            all->list[i]->published = true;
    }
}

/* ---- Deadlocks. */

void sg_mbarriers_report_stuck(sg_block *block) {
    sg_mbarriers *all = block->mbarriers;
    for (int w = 0; all && w < block->warp_count; w++) {
        const sg_failed_test *t = &all->failed[w];
        if (!t->op || !(t->lanes & sg_living(&block->warps[w]))) continue;
        const sg_mbarrier *b = t->barrier;
        if (b->phase != t->phase) continue;
        sg_report(SG_R_DEADLOCK, &block->warps[w], t->op, t->lanes,
                  "%s waits for ever: phase %llu of the mbarrier at shared offset %llu lacks %u of "
                  "%u arrivals and %lld bytes",
                  t->op->instruction->opcode, (unsigned long long)b->phase,
                  (unsigned long long)b->offset, b->missing, b->expected, (long long)b->bytes);
    }
}
