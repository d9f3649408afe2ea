/* What loads, stores and atomics share. */
#include "tests/softgpu/memory_ops.h"

#include <string.h>

#include "tests/softgpu/options.h"
#include "tests/softgpu/race_cells.h"
#include "tests/softgpu/report.h"

/* ---- Modifiers. */

bool sg_take_any(const sg_instruction *in, int *at, const char *const *words) {
    for (; *words; words++)
        if (sg_take(in, at, *words)) return true;
    return false;
}

int32_t sg_take_access(const sg_instruction *in, int *at, const char **why) {
    static const struct {
        const char *word;
        int32_t bits;
    } orders[] = {{"weak", 0},
                  {"volatile", SG_M_STRONG},
                  {"relaxed", SG_M_STRONG},
                  {"acquire", SG_M_STRONG | SG_M_ACQUIRE},
                  {"release", SG_M_STRONG | SG_M_RELEASE},
                  {"acq_rel", SG_M_STRONG | SG_M_ACQUIRE | SG_M_RELEASE}},
      spaces[] = {
          {"global", SG_GLOBAL},      {"shared", SG_SHARED},
          {"shared::cta", SG_SHARED}, {"shared::cluster", SG_SHARED}, /* of a cluster of one */

          {"local", SG_LOCAL},        {"const", SG_CONST},
          {"param", SG_PARAM},        {"param::entry", SG_PARAM}};
    static const char *const wide[] = {"gpu", "sys", "cluster", NULL};
    static const char *const hints[] = {"nc",
                                        "ca",
                                        "cg",
                                        "cs",
                                        "lu",
                                        "cv",
                                        "wb",
                                        "wt",
                                        "L1::evict_normal",
                                        "L1::evict_unchanged",
                                        "L1::evict_first",
                                        "L1::evict_last",
                                        "L1::no_allocate",
                                        "L2::64B",
                                        "L2::128B",
                                        "L2::256B",
                                        NULL};
    int32_t bits = 0;
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        if (!sg_take(in, at, orders[i].word)) continue;
        bits = orders[i].bits;
        break;
    }
    /* nvcc writes the scope of atomics behind the space: atom.global.sys.cas.b32. */
    bool has_scope = false, has_space = false;
    for (int turn = 0; turn < 2; turn++) {
        if (!has_scope && sg_take(in, at, "cta")) {
            bits |= SG_M_BLOCK;
            has_scope = true;
        } else if (!has_scope && sg_take_any(in, at, wide)) {
            has_scope = true;
        }
        for (size_t i = 0; !has_space && i < sizeof spaces / sizeof *spaces; i++) {
            if (!sg_take(in, at, spaces[i].word)) continue;
            bits |= spaces[i].bits;
            has_space = true;
        }
    }
    while (sg_take_any(in, at, hints)) {
    }
    *why = NULL;
    if (*at < in->modifier_count && !strcmp(in->modifiers[*at], "L2::cache_hint"))
        *why = "cache policies (.L2::cache_hint) are not known";
    return *why ? -1 : bits;
}

/* ---- Addresses. */

SG_CLONES void sg_addresses_from(uint64_t addresses[SG_LANES], const sg_warp *warp, sg_slot base,
                                 int64_t offset) {
    if ((base & 3) == SG_SLOT_64) {
        const uint64_t *from = sg_u64(warp, base);
        for (int i = 0; i < SG_LANES; i++)
            addresses[i] = from[i] + (uint64_t)offset;
    } else { /* 32-bit addresses wrap at 32 bits */
        const uint32_t *from = sg_u32(warp, base);
        for (int i = 0; i < SG_LANES; i++)
            addresses[i] = from[i] + (uint32_t)offset;
    }
}

void sg_check_addresses(sg_warp *warp, const sg_op *op, sg_slot base, uint32_t lanes) {
    const uint32_t bad = *sg_taint(warp, base) & lanes;
    if (bad && sg_get_options()->full)
        sg_report(SG_R_UNWRITTEN, warp, op, bad, "the address comes from bytes that nobody wrote");
}

sg_strength sg_op_strength(const sg_op *op) {
    if (!(op->c & SG_M_STRONG)) return SG_WEAK;
    return op->c & SG_M_BLOCK ? SG_STRONG_BLOCK : SG_STRONG;
}

void sg_note_strong(sg_warp *warp, const sg_op *op, int lane, uint64_t address, int bytes,
                    bool load, bool store) {
    uint64_t offset;
    sg_space space = sg_op_space(op);
    sg_region *region = sg_region_of(&offset, &space, warp, lane, address, (uint64_t)bytes);
    if (!region || (space != SG_GLOBAL && space != SG_SHARED)) return;
    sg_race_strong(warp, lane, region, offset, load, store, op->c & SG_M_ACQUIRE,
                   op->c & SG_M_RELEASE, !(op->c & SG_M_BLOCK));
}

void sg_taint_is_set(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    (void)warp;
    (void)op;
    (void)lanes;
}
