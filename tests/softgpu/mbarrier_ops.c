/* The instructions of mbarriers. Sources: address, then what the action takes; op->a: the action,
 * op->b: bits below, op->c: space. */
#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/async.h"
#include "tests/softgpu/handler.h"
#include "tests/softgpu/mbarrier_state.h"
#include "tests/softgpu/memory_ops.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/race.h"
#include "tests/softgpu/race_proxy.h"
#include "tests/softgpu/schedule.h"

#define MOST_ARRIVALS ((1u << 20) - 1)
#define MOST_BYTES ((1 << 20) - 1)

typedef enum action { INIT, INVAL, ARRIVE, EXPECT, COMPLETE, TEST } action;
enum {
    COUNT = 1,
    BYTES = 2,
    PARITY = 4,
    RELAXED = 8,
    DROP = 16,
    NO_COMPLETE = 32,
    NO_INC = 64,
    PASSED = 128
};

static void touch(sg_warp *warp, const sg_op *op, int lane, const sg_mbarrier *b,
                  sg_access_kind kind) {
    if (!sg_get_options()->full) return;
    uint64_t addresses[SG_LANES];
    addresses[lane] = b->offset;
    sg_race_access(warp, op, 1u << lane, SG_SHARED, addresses, 8, kind);
}

/* Whoever uses the barrier must know of its init. Asked for by itself, since a cell remembers only
 * its last write. */
static void check_init(sg_warp *warp, const sg_op *op, int lane, const sg_mbarrier *b) {
    const sg_race_block *race = warp->block->race;
    if (!race || sg_race_knows(warp, lane, race->first + (uint32_t)(b->init_thread / SG_LANES),
                               b->init_thread % SG_LANES, b->init_stamp))
        return;
    sg_report(SG_R_RACE, warp, op, 1u << lane,
              "thread %d of block %d uses the mbarrier at shared offset %llu, which thread %d "
              "initialised, and nothing orders the two",
              sg_thread(warp, lane), warp->block->number, (unsigned long long)b->offset,
              b->init_thread);
}

static void init(sg_warp *warp, const sg_op *op, int lane, uint64_t address) {
    const uint32_t count = sg_u32(warp, op->source[1])[lane];
    uint64_t offset;
    if (!sg_mbarrier_offset(&offset, warp, op, lane, (sg_space)op->c, address)) return;
    sg_mbarrier *b = sg_mbarrier_at(warp->block, offset, true);
    if (!b) return;
    if (b->live || !count || count > MOST_ARRIVALS) {
        if (b->live)
            sg_report(SG_R_BARRIER, warp, op, 1u << lane,
                      "init of the mbarrier at shared offset %llu, which is one already (inval "
                      "ends it)",
                      (unsigned long long)offset);
        else
            sg_report(SG_R_BARRIER, warp, op, 1u << lane,
                      "an mbarrier for %u arrivals; 1 to %u are possible", count, MOST_ARRIVALS);
        return;
    }
    touch(warp, op, lane, b, SG_WRITE);
    b->init_stamp = warp->block->race ? sg_race_of_warp(warp)->stamp : 0;
    b->live = true;
    b->published = false;
    b->init_thread = sg_thread(warp, lane);
    b->expected = b->missing = count;
    b->phase = 0;
    b->bytes = 0;
    sg_clock_drop(b->gathered);
    sg_clock_drop(b->known);
    b->gathered = b->known = NULL;
    const uint64_t pattern = sg_mbarrier_pattern(b);
    memcpy(warp->block->shared + offset, &pattern, 8);
    sg_set_written(warp, SG_SHARED, offset, 8, true);
}

static void inval(sg_warp *warp, const sg_op *op, int lane, sg_mbarrier *b) {
    touch(warp, op, lane, b, SG_WRITE);
    if (b->flights)
        sg_report(SG_R_BARRIER, warp, op, 1u << lane,
                  "inval while %d asynchronous operations are under way to the mbarrier",
                  b->flights);
    b->live = false;
}

static bool change_bytes(sg_warp *warp, const sg_op *op, int lane, sg_mbarrier *b, int64_t by) {
    const int64_t bytes = b->bytes + by;
    if (bytes > MOST_BYTES || bytes < -MOST_BYTES) {
        sg_report(SG_R_BARRIER, warp, op, 1u << lane,
                  "the mbarrier at shared offset %llu would wait for %lld bytes; %d are possible",
                  (unsigned long long)b->offset, (long long)bytes, MOST_BYTES);
        return false;
    }
    b->bytes = bytes;
    return true;
}

static void arrive(sg_warp *warp, const sg_op *op, int lane, sg_mbarrier *b) {
    const uint32_t count = op->b & COUNT ? sg_u32(warp, op->source[1])[lane] : 1;
    const uint64_t phase = b->phase;
    check_init(warp, op, lane, b);
    touch(warp, op, lane, b, SG_ATOMIC);
    if (op->b & BYTES &&
        !change_bytes(warp, op, lane, b, sg_u32(warp, op->source[1 + (op->b & COUNT)])[lane]))
        return;
    if (op->b & DROP && b->expected >= count) b->expected -= count;
    if (op->b & NO_COMPLETE && count >= b->missing) {
        sg_report(SG_R_BARRIER, warp, op, 1u << lane,
                  "arrive.noComplete with %u arrivals, and that completes the phase", count);
        return;
    }
    sg_mbarrier_arrive(warp, op, lane, b, count, !(op->b & RELAXED));
    if (op->dest_count) sg_u64(warp, op->dest[0])[lane] = phase;
}

/* Is the phase that the lane asks for complete? */
static bool test(sg_warp *warp, const sg_op *op, int lane, sg_mbarrier *b) {
    check_init(warp, op, lane, b);
    if (op->b & PARITY) {
        const uint32_t parity = sg_u32(warp, op->source[1])[lane];
        if (parity > 1)
            sg_report(SG_R_BARRIER, warp, op, 1u << lane, "a parity of %u; 0 and 1 are possible",
                      parity);
        return (b->phase & 1) != parity;
    }
    const uint64_t state = sg_u64(warp, op->source[1])[lane];
    if (state > b->phase || state + 1 < b->phase)
        sg_report(SG_R_BARRIER, warp, op, 1u << lane,
                  "a state of phase %llu where the mbarrier at shared offset %llu is in phase %llu",
                  (unsigned long long)state, (unsigned long long)b->offset,
                  (unsigned long long)b->phase);
    return state != b->phase;
}

static void test_lanes(sg_warp *warp, const sg_op *op, uint32_t lanes,
                       const uint64_t addresses[SG_LANES]) {
    sg_mbarrier *landed = NULL;
    uint32_t passed = 0, failed = 0;
    sg_failed_test last = {.op = op};
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int l = __builtin_ctz(rest);
        sg_mbarrier *b = sg_mbarrier_find(warp, op, l, (sg_space)op->c, addresses[l]);
        if (!b) {
            sg_abandon(warp);
            return;
        }
        if (b != landed) sg_mbarrier_land_some(warp, b);
        landed = b;
        if (test(warp, op, l, b)) {
            passed |= 1u << l;
            if (!(op->b & RELAXED)) sg_proxy_learn(warp, 1u << l, b->known);
        } else {
            failed |= 1u << l;
            last.barrier = b;
            last.phase = b->phase;
        }
    }
    uint32_t *p = sg_pred(warp, op->dest[0]);
    *p = (*p & ~lanes) | passed;
    if (!failed) return;
    last.lanes = failed;
    sg_mbarriers_of(warp->block)->failed[warp->index] = last;
    sg_schedule_of(warp)->runner->failed_tests++;
    sg_yield(warp);
}

static void run(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    uint64_t addresses[SG_LANES];
    sg_addresses(addresses, warp, op);
    if (op->b & PASSED) {
        *sg_pred(warp, op->dest[0]) |= lanes;
        return;
    }
    if (op->a == TEST) {
        test_lanes(warp, op, lanes, addresses);
        return;
    }
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int l = __builtin_ctz(rest);
        if (op->a == INIT) {
            init(warp, op, l, addresses[l]);
            continue;
        }
        sg_mbarrier *b = sg_mbarrier_find(warp, op, l, (sg_space)op->c, addresses[l]);
        if (!b) {
            sg_abandon(warp);
            return;
        }
        if (op->a == INVAL) {
            inval(warp, op, l, b);
        } else if (op->a == ARRIVE) {
            arrive(warp, op, l, b);
        } else {
            const int64_t bytes = sg_u32(warp, op->source[1])[l];
            check_init(warp, op, l, b);
            touch(warp, op, l, b, SG_ATOMIC);
            if (change_bytes(warp, op, l, b, op->a == EXPECT ? bytes : -bytes))
                sg_mbarrier_settle(warp, b);
        }
    }
}

/* ---- cp.async.mbarrier.arrive: arrives when the lane's copies so far have landed. */

static void land_copies(sg_flight *f) {
    sg_async_land_lane(f->warp, f->lane);
    sg_mbarrier_flight_arrives(f);
}

static void copies_arrive(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    uint64_t addresses[SG_LANES];
    sg_addresses(addresses, warp, op);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int l = __builtin_ctz(rest);
        sg_mbarrier *b = sg_mbarrier_find(warp, op, l, (sg_space)op->c, addresses[l]);
        sg_flight *f = b ? calloc(1, sizeof *f) : NULL;
        if (!f) {
            sg_abandon(warp);
            return;
        }
        check_init(warp, op, l, b);
        touch(warp, op, l, b, SG_ATOMIC);
        *f = (sg_flight){.barrier = b, .warp = warp, .op = op, .lane = l, .land = land_copies};
        if (!(op->b & NO_INC)) sg_mbarrier_owe(b);
        sg_flight_add(f);
    }
}

const char *sg_bind_cp_mbarrier_arrive(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 3; /* async, mbarrier, arrive */
    if (sg_take(in, &at, "noinc")) op->b = NO_INC;
    op->c = sg_take(in, &at, "shared") || sg_take(in, &at, "shared::cta") ? SG_SHARED : SG_GENERIC;
    if (!sg_take(in, &at, "b64") || at != in->modifier_count) return sg_refuse_modifier();
    if (in->operand_count != 1) return sg_refuse_operands();
    if (!sg_add_address(binder, &in->operands[0])) return sg_bind_error(binder);
    op->run = copies_arrive;
    op->kind = SG_K_SYNC;
    return NULL;
}

/* ---- Binding. */

static const char *take_action(sg_op *op, const sg_instruction *in, int *at) {
    static const struct {
        const char *name;
        action action;
        int bits;
    } actions[] = {{"init", INIT, 0},        {"inval", INVAL, 0},
                   {"arrive", ARRIVE, 0},    {"arrive_drop", ARRIVE, DROP},
                   {"expect_tx", EXPECT, 0}, {"complete_tx", COMPLETE, 0},
                   {"test_wait", TEST, 0},   {"try_wait", TEST, 0},
                   {"passed", TEST, PASSED}}; /* mutant.c's: a test that does not test */
    static const char *const orders[] = {"release", "acquire", NULL};
    static const char *const scopes[] = {"cta", "cluster", NULL};
    size_t i = 0;
    while (i < sizeof actions / sizeof *actions && !sg_take(in, at, actions[i].name))
        i++;
    if (i == sizeof actions / sizeof *actions) return "this operation on mbarriers is not known";
    op->a = (int32_t)actions[i].action;
    op->b = actions[i].bits;
    if (op->a == ARRIVE && sg_take(in, at, "expect_tx")) op->b |= BYTES;
    if (op->a == ARRIVE && sg_take(in, at, "noComplete")) op->b |= NO_COMPLETE;
    if (op->a == TEST && sg_take(in, at, "parity")) op->b |= PARITY;
    if (op->a >= ARRIVE) {
        if (sg_take(in, at, "relaxed"))
            op->b |= RELAXED;
        else
            sg_take_any(in, at, orders);
        sg_take_any(in, at, scopes);
    }
    static const char *const shared[] = {"shared", "shared::cta", "shared::cluster", NULL};
    op->c = sg_take_any(in, at, shared) ? SG_SHARED : SG_GENERIC;
    return sg_take(in, at, "b64") && *at == in->modifier_count ? NULL : sg_refuse_modifier();
}

static const char *bind(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0, operand = 0;
    const char *why = take_action(op, in, &at);
    if (why) return why;
    const bool has_state =
        op->a == ARRIVE && in->operand_count && in->operands[0].kind != SG_ADDRESS;
    if (op->a == TEST || has_state) {
        if (in->operand_count < 2) return sg_refuse_operands();
        if (!sg_add_dest(binder, &in->operands[operand++],
                         op->a == TEST ? SG_SLOT_PRED : SG_SLOT_64))
            return sg_bind_error(binder);
    }
    if (operand >= in->operand_count) return sg_refuse_operands();
    if (!sg_add_address(binder, &in->operands[operand++])) return sg_bind_error(binder);
    int left = in->operand_count - operand;
    if (op->a == TEST && left == 2) left--; /* the time limit */
    const int wanted =
        op->a == INVAL || (op->a == ARRIVE && !(op->b & (BYTES | NO_COMPLETE))) ? 0 : 1;
    if (op->a == ARRIVE && !(op->b & BYTES) && left == 1) {
        op->b |= COUNT;
    } else if (left != wanted || op->b & NO_COMPLETE) {
        return sg_refuse_operands();
    }
    const sg_class class = op->a == TEST && !(op->b & PARITY) ? SG_SLOT_64 : SG_SLOT_32;
    if (left && !sg_add_source(binder, &in->operands[operand], class)) return sg_bind_error(binder);
    op->run = run;
    op->kind = SG_K_SYNC;
    op->flags = (uint8_t)(SG_MAY_BLOCK | (op->a == TEST ? SG_SPINS : 0));
    return NULL;
}

const sg_family sg_mbarrier_family[] = {{"mbarrier", bind}, {NULL, NULL}};
