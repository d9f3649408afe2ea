/* Bulk copies: what they touch, loads, and how all of them are written. */
#include "tests/softgpu/tma.h"

#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/access.h"
#include "tests/softgpu/async.h"
#include "tests/softgpu/binder.h"
#include "tests/softgpu/counters.h"
#include "tests/softgpu/footprint.h"
#include "tests/softgpu/handler.h"
#include "tests/softgpu/mbarrier.h"
#include "tests/softgpu/memory_ops.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/race_proxy.h"
#include "tests/softgpu/schedule.h"

/* ---- Stretches. */

static void stretch(sg_bulk_visit *visit, void *user, uint64_t shared, uint64_t address,
                    uint64_t bytes) {
    sg_region *region = address ? sg_region_find(address) : NULL;
    visit(user, shared, region, region ? address - region->address : 0, bytes);
}

void sg_bulk_each(const sg_bulk *bulk, sg_bulk_visit *visit, void *user) {
    if (!bulk->tensor) {
        for (uint64_t at = 0; at < bulk->bytes; at += 16)
            stretch(visit, user, bulk->shared + at, bulk->address + at, 16);
        return;
    }
    const uint64_t row_bytes = (uint64_t)bulk->map.box[0] * bulk->map.element_bytes;
    sg_box_row row;
    for (uint64_t i = 0; sg_tensor_map_row(&row, &bulk->map, bulk->corner, i); i++)
        for (uint64_t at = 0, end; at < row_bytes; at = end) {
            /* A unit of 16 bytes is cut where the tensor begins or ends. */
            end = (at & ~15ull) + 16;
            if (at < row.first && row.first < end) end = row.first;
            if (at < row.last && row.last < end) end = row.last;
            const bool inside = at >= row.first && at < row.last;
            stretch(visit, user, sg_swizzled(bulk->shared + row.at + at, bulk->map.swizzle),
                    inside ? row.address + at - row.first : 0, end - at);
        }
}

/* ---- Checks. */

static bool global_row(sg_warp *warp, const sg_op *op, int lane, uint64_t address, uint64_t bytes,
                       bool load, int slot, uint32_t stamp) {
    uint64_t offset;
    sg_space space = SG_GLOBAL;
    sg_region *region = sg_region_of(&offset, &space, warp, lane, address, bytes);
    if (!region) {
        char where[200];
        const sg_region *block = sg_region_find(address);
        sg_memory_where(where, sizeof where, address);
        sg_report(block && block->freed ? SG_R_FREED : SG_R_BOUNDS, warp, op, 1u << lane,
                  "a bulk copy %s %llu bytes at address %#llx: %s", load ? "reads" : "writes",
                  (unsigned long long)bytes, (unsigned long long)address, where);
        return false;
    }
    sg_count_range(warp, op, lane, region, offset, bytes, !load);
    if (sg_get_options()->full)
        sg_race_proxy(warp, op, lane, region, SG_GLOBAL, offset, bytes, load ? SG_READ : SG_WRITE,
                      slot, stamp);
    return true;
}

bool sg_bulk_check(sg_warp *warp, const sg_op *op, int lane, const sg_bulk *bulk, bool load,
                   int shared_slot, uint32_t shared_stamp, int global_slot, uint32_t global_stamp) {
    const uint64_t span = sg_bulk_span(bulk), room = warp->block->shared_bytes;
    if (bulk->shared > room || span > room - bulk->shared) {
        sg_report(SG_R_BOUNDS, warp, op, 1u << lane,
                  "a bulk copy %s %llu bytes at shared offset %llu of %llu",
                  load ? "writes" : "reads", (unsigned long long)span,
                  (unsigned long long)bulk->shared, (unsigned long long)room);
        return false;
    }
    sg_counters *counters = warp->block->grid->counters;
    if (counters) counters->async_bytes += bulk->bytes;
    const bool full = sg_get_options()->full;
    if (full && !load && sg_async_in_flight(warp->block, bulk->shared, span))
        sg_report(SG_R_ASYNC_EARLY, warp, op, 1u << lane,
                  "a bulk copy reads %llu bytes at shared offset %llu, where an asynchronous copy "
                  "is still under way",
                  (unsigned long long)span, (unsigned long long)bulk->shared);
    sg_region *shared = sg_shared_region(warp->block);
    if (full && shared)
        sg_race_proxy(warp, op, lane, shared, SG_SHARED, bulk->shared, span,
                      load ? SG_WRITE : SG_READ, shared_slot, shared_stamp);
    if (!bulk->tensor)
        return global_row(warp, op, lane, bulk->address, bulk->bytes, load, global_slot,
                          global_stamp);
    sg_box_row row;
    for (uint64_t i = 0; sg_tensor_map_row(&row, &bulk->map, bulk->corner, i); i++)
        if (row.last > row.first && !global_row(warp, op, lane, row.address, row.last - row.first,
                                                load, global_slot, global_stamp))
            return false;
    return true;
}

/* ---- Loads. */

typedef struct load {
    sg_flight flight; /* first */
    sg_bulk bulk;
    int slot;
    uint32_t stamp;
} load;

static void put(void *user, uint64_t shared, sg_region *region, uint64_t offset, uint64_t bytes) {
    const load *l = user;
    sg_block *block = l->flight.warp->block;
    if (!region) {
        memset(block->shared + shared, l->bulk.map.nan, bytes);
        sg_set_written(l->flight.warp, SG_SHARED, shared, bytes, true);
        return;
    }
    memcpy(block->shared + shared, region->host + offset, bytes);
    const bool written = sg_shadow_written(region, offset, bytes);
    sg_set_written(l->flight.warp, SG_SHARED, shared, bytes, written);
    for (uint64_t i = 0; !written && i < bytes; i++)
        if (sg_shadow_written(region, offset + i, 1))
            sg_set_written(l->flight.warp, SG_SHARED, shared + i, 1, true);
}

static void land(sg_flight *flight) {
    load *l = (load *)(void *)flight;
    sg_bulk_each(&l->bulk, put, l);
    sg_clock *clock = sg_proxy_clock(flight->warp->block, l->slot, l->stamp);
    sg_mbarrier_landed(flight, l->bulk.bytes, clock);
    sg_clock_drop(clock);
}

static void unmark(sg_flight *flight) {
    const load *l = (const load *)(const void *)flight;
    sg_async_mark(flight->warp->block, l->bulk.shared, sg_bulk_span(&l->bulk), -1);
}

static void start_load(sg_warp *warp, const sg_op *op, int lane, const sg_bulk *bulk,
                       uint64_t barrier_address) {
    sg_mbarrier *barrier = sg_mbarrier_find(warp, op, lane, SG_SHARED, barrier_address);
    load *l = barrier ? calloc(1, sizeof *l) : NULL;
    if (!l) {
        sg_abandon(warp);
        return;
    }
    const bool full = sg_get_options()->full;
    if (full && !barrier->published)
        sg_report(SG_R_PROXY, warp, op, 1u << lane,
                  "this uses the mbarrier at shared offset %llu, after whose init came no "
                  "fence.mbarrier_init or fence.proxy.async",
                  (unsigned long long)barrier->offset);
    l->slot = barrier->number % SG_PROXY_BARRIERS;
    l->stamp = sg_proxy_next(warp->block, l->slot);
    l->bulk = *bulk;
    if (!sg_bulk_check(warp, op, lane, bulk, true, l->slot, l->stamp, l->slot, l->stamp)) {
        free(l);
        sg_abandon(warp);
        return;
    }
    l->flight = (sg_flight){
        .barrier = barrier, .warp = warp, .op = op, .lane = lane, .land = land, .drop = unmark};
    sg_async_mark(warp->block, bulk->shared, sg_bulk_span(bulk), 1);
    sg_flight_add(&l->flight);
}

/* ---- One lane's copy. Sources: each address as base and offset, in the order shared, global or
 * tensor map, mbarrier (loads); then bytes or coordinates. op->a: rank, 0: plain; op->b: load. */

static uint64_t address_at(const sg_warp *warp, const sg_op *op, int i, int lane) {
    const uint64_t offset = sg_u64(warp, op->source[2 * i + 1])[lane];
    if ((op->source[2 * i] & 3) == SG_SLOT_64)
        return sg_u64(warp, op->source[2 * i])[lane] + offset;
    return (uint32_t)(sg_u32(warp, op->source[2 * i])[lane] + (uint32_t)offset);
}

static uint64_t shared_at(const sg_warp *warp, const sg_op *op, int i, int lane) {
    const uint64_t address = address_at(warp, op, i, lane);
    return address - SG_SHARED_BASE < SG_WINDOW ? address - SG_SHARED_BASE : address;
}

static bool read_map(sg_tensor_map *map, sg_warp *warp, const sg_op *op, int lane,
                     uint64_t address) {
    const sg_grid *grid = warp->block->grid;
    const uint64_t params = grid->program->function->param_bytes;
    const unsigned char *from = NULL;
    if (address % 64) {
        sg_report(SG_R_ALIGNMENT, warp, op, 1u << lane,
                  "a tensor map at address %#llx, which is no multiple of 64",
                  (unsigned long long)address);
        return false;
    }
    if (address - SG_PARAM_BASE < SG_WINDOW) {
        if (params >= 128 && address - SG_PARAM_BASE <= params - 128)
            from = grid->params + (address - SG_PARAM_BASE);
    } else {
        from = sg_memory_host(address, 128, false);
    }
    if (from) memcpy(map, from, sizeof *map);
    if (!from || map->magic != SG_TENSOR_MAP_MAGIC) {
        sg_report(SG_R_MATRIX, warp, op, 1u << lane,
                  "there is no tensor map at address %#llx (is it a __grid_constant__ parameter?)",
                  (unsigned long long)address);
        return false;
    }
    if (map->rank == op->a) return true;
    sg_report(SG_R_MATRIX, warp, op, 1u << lane, "a tensor map of rank %d where %d is wanted",
              map->rank, op->a);
    return false;
}

static bool read_copy(sg_bulk *bulk, sg_warp *warp, const sg_op *op, int lane) {
    const int first = op->b ? 6 : 4; /* source of the bytes or coordinates */
    *bulk = (sg_bulk){.tensor = op->a, .shared = shared_at(warp, op, 0, lane)};
    const uint64_t align = op->a ? 128 : 16;
    if (bulk->shared % align) {
        sg_report(SG_R_ALIGNMENT, warp, op, 1u << lane,
                  "a bulk copy at shared offset %llu, which is no multiple of %llu",
                  (unsigned long long)bulk->shared, (unsigned long long)align);
        return false;
    }
    if (op->a) {
        if (!read_map(&bulk->map, warp, op, lane, address_at(warp, op, 1, lane))) return false;
        for (int i = 0; i < op->a; i++)
            bulk->corner[i] = (int32_t)sg_u32(warp, op->source[first + i])[lane];
        bulk->bytes = sg_tensor_map_box_bytes(&bulk->map);
        return true;
    }
    bulk->address = address_at(warp, op, 1, lane);
    bulk->bytes = sg_u32(warp, op->source[first])[lane];
    if (bulk->address % 16 || bulk->bytes % 16 || !bulk->bytes) {
        sg_report(SG_R_ALIGNMENT, warp, op, 1u << lane,
                  "a bulk copy of %llu bytes at address %#llx: both must be multiples of 16",
                  (unsigned long long)bulk->bytes, (unsigned long long)bulk->address);
        return false;
    }
    return true;
}

static bool same_bulk(const sg_bulk *x, const sg_bulk *y) {
    return x->shared == y->shared && x->address == y->address && x->bytes == y->bytes &&
           !memcmp(x->corner, y->corner, sizeof x->corner) &&
           !memcmp(&x->map, &y->map, sizeof x->map);
}

/* Lanes of one instruction that store the same bytes at the same place make one store. */
static void store(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    while (lanes) {
        const int first = __builtin_ctz(lanes);
        sg_bulk bulk, other;
        uint32_t same = 0;
        if (!read_copy(&bulk, warp, op, first)) {
            sg_abandon(warp);
            return;
        }
        for (uint32_t rest = lanes; rest; rest &= rest - 1)
            if (read_copy(&other, warp, op, __builtin_ctz(rest)) && same_bulk(&bulk, &other))
                same |= rest & -rest;
        sg_bulk_store(warp, op, same, &bulk);
        lanes &= ~same;
    }
}

static void copy(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    if (!op->b) {
        store(warp, op, lanes);
        return;
    }
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int l = __builtin_ctz(rest);
        sg_bulk bulk;
        if (read_copy(&bulk, warp, op, l))
            start_load(warp, op, l, &bulk, shared_at(warp, op, 2, l));
        else
            sg_abandon(warp);
    }
}

/* ---- Binding. */

static bool add_address(sg_op *op, sg_binder *binder, const sg_operand *o) {
    if (!o || !sg_add_address(binder, o)) return false;
    const int64_t offset = op->offset;
    op->offset = 0;
    return sg_add_constant(binder, (uint64_t)offset, SG_SLOT_64);
}

static const char *bind_copy(sg_op *op, const sg_instruction *in, sg_binder *binder, int at) {
    static const char *const ranks[] = {"1d", "2d", "3d", "4d", "5d"};
    static const char *const whole_shared[] = {"shared::cluster", "shared::cta", NULL};
    if (sg_take(in, &at, "tensor")) {
        for (int i = 0; i < SG_TENSOR_RANK && !op->a; i++)
            if (sg_take(in, &at, ranks[i])) op->a = i + 1;
        if (!op->a) return sg_refuse_modifier();
    }
    op->b = sg_take_any(in, &at, whole_shared);
    if (op->b ? !sg_take(in, &at, "global")
              : !sg_take(in, &at, "global") || !sg_take(in, &at, "shared::cta"))
        return "this direction of a bulk copy is not known";
    if (op->a) sg_take(in, &at, "tile");
    if (!sg_take(in, &at, op->b ? "mbarrier::complete_tx::bytes" : "bulk_group"))
        return "of bulk copies only loads that complete an mbarrier and stores of bulk groups are "
               "known";
    const bool hint = sg_take(in, &at, "L2::cache_hint");
    if (at != in->modifier_count)
        return "this modifier of bulk copies is not known (multicast needs clusters)";
    const int wanted = 2 + !op->a + op->b + hint;
    if (in->operand_count != wanted) return sg_refuse_operands();
    const sg_operand *to = &in->operands[0], *from = &in->operands[1];
    const sg_operand *shared = op->b ? to : from, *global = op->b ? from : to;
    const sg_operand *tensor = op->a ? sg_element(binder, global, 0) : global;
    const sg_operand *rest = op->a ? sg_element(binder, global, 1) : &in->operands[2];
    if (!rest || (op->a && (rest->kind != SG_VECTOR || rest->count != op->a)))
        return "the number of coordinates does not fit";
    if (!add_address(op, binder, shared) || !add_address(op, binder, tensor) ||
        (op->b && !add_address(op, binder, &in->operands[2 + !op->a])) ||
        !sg_add_source(binder, rest, SG_SLOT_32))
        return sg_bind_error(binder);
    op->run = copy;
    op->kind = SG_K_ASYNC_COPY;
    return NULL;
}

const char *sg_bind_bulk(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 2; /* async, bulk */
    if (binder->module->target < 90) return "bulk copies need .target sm_90";
    op->kind = SG_K_SYNC;
    if (sg_take(in, &at, "prefetch")) {
        op->run = sg_no_handler; /* changes nothing, wherever it goes */
        return NULL;
    }
    if (sg_take(in, &at, "commit_group")) {
        op->run = sg_bulk_commit;
        return sg_all_taken(in, at);
    }
    if (!sg_take(in, &at, "wait_group")) return bind_copy(op, in, binder, at);
    op->b = sg_take(in, &at, "read");
    if (in->operand_count != 1 || in->operands[0].kind != SG_IMMEDIATE) return sg_refuse_operands();
    op->a = (int32_t)in->operands[0].bits;
    op->run = sg_bulk_wait;
    return sg_all_taken(in, at);
}
