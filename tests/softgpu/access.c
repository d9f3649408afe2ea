/* Accesses of warps: where each lane's address leads, what is wrong with it, and what must be known
 * of it later. The usual access, all lanes aligned in one region, takes the short way; whatever
 * else happens is sorted out lane by lane. */
#include "tests/softgpu/access.h"

#include <stdio.h>
#include <string.h>

#include "tests/softgpu/async.h"
#include "tests/softgpu/footprint.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/race_cells.h"
#include "tests/softgpu/report.h"

SG_CLONES void sg_shape_of(sg_shape *shape, const uint64_t addresses[SG_LANES], uint32_t lanes,
                           int bytes) {
    uint64_t low = UINT64_MAX, high = 0, bits = 0, step = 0, apart = 0;
    uint64_t first = addresses[__builtin_ctz(lanes)];
    if (lanes == ~0u) {
        for (uint64_t i = 0; i < SG_LANES; i++) {
            uint64_t a = addresses[i];
            low = a < low ? a : low;
            high = a > high ? a : high;
            bits |= a;
            step |= a ^ (first + i * (uint64_t)bytes);
            apart |= a ^ first;
        }
    } else {
        step = 1;
        for (uint64_t i = 0; i < SG_LANES; i++) {
            uint64_t a = lanes >> i & 1 ? addresses[i] : first;
            low = a < low ? a : low;
            high = a > high ? a : high;
            bits |= a;
            apart |= a ^ first;
        }
    }
    *shape = (sg_shape){low, high, bits, !step, !apart};
}

/* ---- One region, all lanes inside and aligned. */

SG_CLONES static void point(unsigned char *host[SG_LANES], unsigned char *base,
                            const uint64_t offsets[SG_LANES]) {
    uintptr_t at = (uintptr_t)base;
    for (int i = 0; i < SG_LANES; i++)
        host[i] = (unsigned char *)(at + (uintptr_t)offsets[i]);
}

static void check_in_flight(sg_warp *warp, const sg_op *op, uint32_t lanes,
                            const uint64_t offsets[SG_LANES], int bytes, sg_access_kind kind) {
    uint32_t early = 0;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        int l = __builtin_ctz(rest);
        if (sg_async_in_flight(warp->block, offsets[l], (uint64_t)bytes)) early |= 1u << l;
    }
    if (early)
        sg_report(SG_R_ASYNC_EARLY, warp, op, early,
                  "lane %d %s %d bytes at shared offset %llu, where an asynchronous copy is still "
                  "under way",
                  __builtin_ctz(early), kind == SG_READ ? "reads" : "writes", bytes,
                  (unsigned long long)offsets[__builtin_ctz(early)]);
}

static void note_written(sg_access *access, sg_region *region, uint32_t lanes,
                         const uint64_t offsets[SG_LANES], int bytes, sg_access_kind kind,
                         uint32_t value_taint, bool in_row) {
    if (!region->written) return;
    if (in_row && !value_taint) {
        uint64_t count = (uint64_t)bytes * SG_LANES;
        if (kind == SG_WRITE) {
            sg_shadow_set(region, offsets[0], count, true);
            return;
        }
        if (sg_shadow_written(region, offsets[0], count)) return;
    }
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        int l = __builtin_ctz(rest);
        if (kind == SG_WRITE)
            sg_shadow_set(region, offsets[l], (uint64_t)bytes, !(value_taint >> l & 1));
        else if (!sg_shadow_has(region, offsets[l], bytes))
            access->tainted |= 1u << l;
    }
    /* An atomic has made of unwritten bytes what will be reported once. */
    for (uint32_t rest = kind == SG_ATOMIC ? access->tainted : 0; rest; rest &= rest - 1)
        sg_shadow_set(region, offsets[__builtin_ctz(rest)], (uint64_t)bytes, true);
}

typedef struct request {
    sg_warp *warp;
    const sg_op *op;
    int bytes;
    sg_access_kind kind;
    sg_strength strength;
    uint32_t value_taint;
} request;

static void apply(sg_access *access, const request *r, sg_region *region, sg_space space,
                  uint32_t lanes, const uint64_t offsets[SG_LANES], bool in_row, bool same) {
    bool store = r->kind != SG_READ;
    if (space == SG_GLOBAL)
        sg_count_global(r->warp, region, lanes, offsets, r->bytes, store, in_row);
    else if (space == SG_SHARED)
        sg_count_shared(r->warp, lanes, offsets, r->bytes, store, in_row || same);
    if (!sg_get_options()->full) return;
    if (space == SG_SHARED && r->warp->block->async)
        check_in_flight(r->warp, r->op, lanes, offsets, r->bytes, r->kind);
    if (space == SG_SHARED || space == SG_GLOBAL)
        sg_race_lanes(r->warp, r->op, region, space, lanes, offsets, r->bytes, r->kind, r->strength,
                      in_row, same);
    note_written(access, region, lanes, offsets, r->bytes, r->kind,
                 r->kind == SG_WRITE ? r->value_taint : 0, in_row);
}

/* ---- Lane by lane. */

static bool in_window(uint64_t address, uint64_t base) {
    return address - base < SG_WINDOW;
}

sg_region *sg_region_of(uint64_t *offset, sg_space *space, const sg_warp *warp, int lane,
                        uint64_t address, uint64_t bytes) {
    if (*space == SG_GENERIC) {
        *space = SG_GLOBAL;
        if (in_window(address, SG_SHARED_BASE)) {
            *space = SG_SHARED;
            address -= SG_SHARED_BASE;
        } else if (in_window(address, SG_LOCAL_BASE)) {
            *space = SG_LOCAL;
            address -= SG_LOCAL_BASE;
        }
    }
    sg_region *region;
    *offset = address;
    if (*space == SG_SHARED) {
        region = sg_shared_region(warp->block);
        return region && bytes <= region->bytes && address <= region->bytes - bytes ? region : NULL;
    }
    if (*space == SG_LOCAL) {
        uint64_t local_bytes = warp->block->grid->program->function->local_bytes;
        if (bytes > local_bytes || address > local_bytes - bytes) return NULL;
        *offset = (uint64_t)lane * local_bytes + address;
        return sg_local_region(warp);
    }
    region = sg_region_find(address);
    if (!region || region->freed) return NULL;
    *offset = address - region->address;
    return bytes <= region->bytes - *offset ? region : NULL;
}

static const char *verb(sg_access_kind kind) {
    return kind == SG_READ ? "reads" : kind == SG_WRITE ? "writes" : "changes";
}

static void report_misaligned(const request *r, uint32_t lanes, int lane, uint64_t address) {
    sg_report(SG_R_ALIGNMENT, r->warp, r->op, lanes,
              "lane %d %s %d bytes at address %#llx, which is no multiple of %d", lane,
              verb(r->kind), r->bytes, (unsigned long long)address, r->bytes);
}

/* Says what is wrong with an address that led nowhere. bytes: of the access. */
static void report_lost(const request *r, sg_space asked, uint32_t lanes, int lane,
                        uint64_t address, uint64_t bytes) {
    static const char *const names[] = {"generic", "global", "shared", "local", "const", "param"};
    char where[200], size[27], count[27];
    sg_report_kind kind = SG_R_BOUNDS;
    sg_space space = asked;
    if (space == SG_GENERIC && in_window(address, SG_SHARED_BASE)) {
        space = SG_SHARED;
        address -= SG_SHARED_BASE;
    } else if (space == SG_GENERIC && in_window(address, SG_LOCAL_BASE)) {
        space = SG_LOCAL;
        address -= SG_LOCAL_BASE;
    }
    bool is_shared = in_window(address, SG_SHARED_BASE),
         is_local = in_window(address, SG_LOCAL_BASE);
    const sg_region *block = space == SG_PARAM ? NULL : sg_region_find(address);
    if (is_shared || is_local) {
        kind = SG_R_SPACE;
        snprintf(where, sizeof where,
                 is_shared == (space == SG_SHARED) && is_local == (space == SG_LOCAL)
                     ? "a generic address, not converted to the %s window"
                     : "an address of %s memory",
                 is_shared ? "shared" : "local");
    } else if (space == SG_SHARED || space == SG_LOCAL || space == SG_PARAM) {
        const sg_function *f = r->warp->block->grid->program->function;
        uint64_t room = space == SG_SHARED  ? r->warp->block->shared_bytes
                        : space == SG_LOCAL ? f->local_bytes
                                            : f->param_bytes;
        sg_number_text(size, room);
        if (block) {
            kind = SG_R_SPACE;
            snprintf(where, sizeof where, "an address of global memory");
        } else {
            sg_number_text(count, address >= room ? address - room : 0);
            snprintf(where, sizeof where, "%s bytes past the end of the %s bytes of %s memory",
                     count, size, names[space]);
        }
    } else {
        if (block && block->freed) kind = SG_R_FREED;
        sg_memory_where(where, sizeof where, address);
    }
    sg_number_text(count, bytes);
    sg_report(kind, r->warp, r->op, lanes, "lane %d %s %s byte%s at %s address %#llx: %s", lane,
              verb(r->kind), count, bytes == 1 ? "" : "s", names[asked],
              (unsigned long long)address, where);
}

static uint32_t one_by_one(sg_access *access, const request *r, uint32_t lanes, sg_space space,
                           const uint64_t addresses[SG_LANES]) {
    sg_region *regions[SG_LANES] = {NULL};
    sg_space spaces[SG_LANES];
    uint64_t offsets[SG_LANES] = {0};
    uint32_t misaligned = 0, lost = 0, fine = 0;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        int l = __builtin_ctz(rest);
        spaces[l] = space;
        if (addresses[l] & (uint64_t)(r->bytes - 1)) {
            misaligned |= 1u << l;
            continue;
        }
        regions[l] =
            sg_region_of(&offsets[l], &spaces[l], r->warp, l, addresses[l], (uint64_t)r->bytes);
        if (!regions[l]) {
            lost |= 1u << l;
            continue;
        }
        access->host[l] = regions[l]->host + offsets[l];
        fine |= 1u << l;
    }
    if (misaligned)
        report_misaligned(r, misaligned, __builtin_ctz(misaligned),
                          addresses[__builtin_ctz(misaligned)]);
    if (lost)
        report_lost(r, space, lost, __builtin_ctz(lost), addresses[__builtin_ctz(lost)],
                    (uint64_t)r->bytes);
    for (uint32_t rest = fine, group; rest; rest &= ~group) {
        int first = __builtin_ctz(rest);
        group = 0;
        for (uint32_t more = rest; more; more &= more - 1)
            if (regions[__builtin_ctz(more)] == regions[first]) group |= more & -more;
        apply(access, r, regions[first], spaces[first], group, offsets, false, false);
    }
    return fine;
}

/* ---- The doors. */

/* Blocks found before, by instruction: most instructions stay in one block. */
static sg_region *guess[256];

static uint32_t from_params(sg_access *access, const request *r, uint32_t lanes,
                            const uint64_t addresses[SG_LANES]) {
    const sg_grid *grid = r->warp->block->grid;
    uint64_t room = grid->program->function->param_bytes;
    uint32_t lost = 0;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        int l = __builtin_ctz(rest);
        if (addresses[l] > room || (uint64_t)r->bytes > room - addresses[l])
            lost |= 1u << l;
        else
            access->host[l] = (unsigned char *)(uintptr_t)grid->params + addresses[l];
    }
    if (lost)
        report_lost(r, SG_PARAM, lost, __builtin_ctz(lost), addresses[__builtin_ctz(lost)],
                    (uint64_t)r->bytes);
    return lanes & ~lost;
}

uint32_t sg_access_with(sg_access *access, bool *in_row, sg_warp *warp, const sg_op *op,
                        uint32_t lanes, sg_space space, const uint64_t addresses[SG_LANES],
                        int bytes, sg_access_kind kind, uint32_t value_taint,
                        sg_strength strength) {
    request r = {warp, op, bytes, kind, strength, value_taint};
    access->tainted = 0;
    if (in_row) *in_row = false;
    if (kind != SG_WRITE && value_taint & lanes)
        sg_report(SG_R_UNWRITTEN, warp, op, value_taint & lanes,
                  "the address comes from bytes that nobody wrote");
    if (space == SG_PARAM) return from_params(access, &r, lanes, addresses);
    sg_shape shape;
    sg_shape_of(&shape, addresses, lanes, bytes);
    sg_space is = space;
    uint64_t base = 0;
    sg_region *region = NULL;
    if (space == SG_GENERIC) {
        is = SG_GLOBAL;
        if (in_window(shape.low, SG_SHARED_BASE)) {
            is = SG_SHARED;
            base = SG_SHARED_BASE;
        }
    }
    if (is == SG_SHARED) {
        region = sg_shared_region(warp->block);
    } else if (is == SG_GLOBAL || is == SG_CONST) {
        sg_region **known = &guess[(uintptr_t)op / sizeof *op % 256];
        region = *known;
        if (!region || shape.low - region->address >= region->bytes)
            region = *known = sg_region_find(shape.low);
        if (region && region->freed) region = NULL;
        if (region) base = region->address;
    }
    if (!region || shape.bits & (uint64_t)(bytes - 1) || (uint64_t)bytes > region->bytes ||
        shape.high - base > region->bytes - (uint64_t)bytes)
        return one_by_one(access, &r, lanes, space, addresses);
    uint64_t offsets[SG_LANES];
    for (int i = 0; i < SG_LANES; i++)
        offsets[i] = addresses[i] - base;
    point(access->host, region->host, offsets);
    apply(access, &r, region, is, lanes, offsets, shape.in_row, shape.same);
    if (in_row) *in_row = shape.in_row;
    return lanes;
}

uint32_t sg_access_lanes(sg_access *access, sg_warp *warp, const sg_op *op, uint32_t lanes,
                         sg_space space, const uint64_t addresses[SG_LANES], int bytes,
                         sg_access_kind kind, uint32_t value_taint) {
    return sg_access_with(access, NULL, warp, op, lanes, space, addresses, bytes, kind, value_taint,
                          kind == SG_ATOMIC ? SG_STRONG : SG_WEAK);
}

unsigned char *sg_access_range(sg_warp *warp, const sg_op *op, int lane, sg_space space,
                               uint64_t address, uint64_t bytes, sg_access_kind kind) {
    request r = {warp, op, (int)bytes, kind, SG_WEAK, 0};
    uint64_t offset, offsets[SG_LANES] = {0};
    sg_space is = space;
    sg_region *region = sg_region_of(&offset, &is, warp, lane, address, bytes);
    if (!region) {
        report_lost(&r, space, 1u << lane, lane, address, bytes);
        return NULL;
    }
    if (is == SG_GLOBAL) sg_count_range(warp, op, lane, region, offset, bytes, kind != SG_READ);
    if (!sg_get_options()->full) return region->host + offset;
    bool flying = is == SG_SHARED && warp->block->async;
    for (uint64_t part, done = 0; done < bytes; done += part) {
        part = 16;
        while ((offset + done) % part || part > bytes - done)
            part /= 2;
        offsets[lane] = offset + done;
        if (flying) check_in_flight(warp, op, 1u << lane, offsets, (int)part, kind);
        if (is != SG_LOCAL)
            sg_race_lanes(warp, op, region, is, 1u << lane, offsets, (int)part, kind, SG_WEAK,
                          false, false);
    }
    return region->host + offset;
}

static sg_region *resolve(uint64_t *offset, const sg_warp *warp, sg_space space, uint64_t address,
                          uint64_t bytes) {
    /* A local address here is of lane 0; nobody asks for others. */
    return sg_region_of(offset, &space, warp, 0, address, bytes);
}

bool sg_written(const sg_warp *warp, sg_space space, uint64_t address, uint64_t bytes) {
    uint64_t offset;
    if (space == SG_PARAM) return true;
    const sg_region *region = resolve(&offset, warp, space, address, bytes);
    return !region || sg_shadow_written(region, offset, bytes);
}

void sg_set_written(const sg_warp *warp, sg_space space, uint64_t address, uint64_t bytes,
                    bool written) {
    uint64_t offset;
    sg_region *region = resolve(&offset, warp, space, address, bytes);
    if (region) sg_shadow_set(region, offset, bytes, written);
}
