/* One warp's turn: which of its groups of lanes runs, instruction after instruction, what is
 * counted, and how taint spreads. */
#include "tests/softgpu/cluster.h"
#include "tests/softgpu/counters.h"
#include "tests/softgpu/report.h"
#include "tests/softgpu/schedule.h"
#include "tests/softgpu/wgmma.h"

#define PATIENCE 1024 /* instructions that the lowest group runs before another one may */
#define FAVOUR 256    /* ... and how many that one gets */
#define SPIN 64       /* how many instructions one counts for that may be part of waiting */
#define RESCAN 64     /* turns between looks whether any taint is left */

static void add_group(sg_schedule *s, uint32_t lanes, int pc) {
    s->groups[s->count++] = (sg_group){.pc = pc, .lanes = lanes};
}

static void drop_group(sg_schedule *s, int i) {
    s->groups[i] = s->groups[--s->count];
}

void sg_wait(sg_warp *warp, uint32_t lanes, const char *what) {
    sg_schedule *s = warp->schedule;
    s->wait_lanes |= lanes;
    s->wait_what = what;
    s->events |= SG_E_WAIT;
}

void sg_sleep(sg_warp *warp, uint32_t lanes, const char *what) {
    sg_wait(warp, lanes, what);
    sg_schedule_of(warp)->events |= SG_E_SLEEP;
}

void sg_wake(sg_warp *warp) {
    sg_schedule *s = warp->schedule;
    for (int i = 0; i < s->count; i++)
        if (s->groups[i].waiting == SG_SLEEPS) s->groups[i].waiting = SG_WAITS;
}

void sg_jump(sg_warp *warp, uint32_t lanes, int target) {
    sg_schedule *s = warp->schedule;
    if (!lanes) return;
    s->jumped |= lanes;
    add_group(s, lanes, target);
    s->events |= SG_E_JUMP;
}

void sg_yield(sg_warp *warp) {
    sg_schedule_of(warp)->events |= SG_E_YIELD;
}

void sg_abandon(sg_warp *warp) {
    sg_schedule *s = warp->schedule;
    s->runner->abandoned = true;
    s->events |= SG_E_YIELD;
}

/* Groups at one instruction become one, which runs (again) if any of them does. */
static void merge(sg_schedule *s) {
    for (int i = 0; i < s->count; i++)
        for (int j = i + 1; j < s->count; j++) {
            if (s->groups[i].pc != s->groups[j].pc) continue;
            s->groups[i].lanes |= s->groups[j].lanes;
            if (s->groups[j].waiting < s->groups[i].waiting)
                s->groups[i].waiting = s->groups[j].waiting;
            drop_group(s, j--);
            s->patience = PATIENCE;
        }
}

/* The group to run: the lowest, or the one whose turn it is out of fairness. */
static bool pick(sg_schedule *s) {
    if (s->count > 1) merge(s);
    int lowest = -1, favoured = -1;
    for (int i = 0; i < s->count; i++) {
        const sg_group *g = &s->groups[i];
        if (g->waiting != SG_RUNS) continue;
        if (lowest < 0 || g->pc < s->groups[lowest].pc) lowest = i;
        if (s->favour > 0 && g->lanes >> s->favoured & 1) favoured = i;
    }
    if (lowest < 0) return false;
    if (s->count > 1 && s->favour <= 0 && s->patience <= 0) {
        for (int i = 1; i <= SG_LANES && favoured < 0; i++) {
            int lane = (s->favoured + i) % SG_LANES;
            for (int k = 0; k < s->count; k++)
                if (k != lowest && s->groups[k].waiting == SG_RUNS &&
                    s->groups[k].lanes >> lane & 1) {
                    favoured = k;
                    s->favoured = lane;
                    s->favour = FAVOUR;
                }
        }
        s->patience = PATIENCE;
    }
    s->current = favoured >= 0 ? favoured : lowest;
    return true;
}

/* Where the current group meets another one, going forward. */
static int meeting(const sg_schedule *s) {
    int pc = s->groups[s->current].pc, at = INT32_MAX;
    for (int i = 0; i < s->count; i++)
        if (s->groups[i].pc > pc && s->groups[i].pc < at) at = s->groups[i].pc;
    return at;
}

/* ---- Taint. */

static void spread_taint(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    sg_schedule *s = warp->schedule;
    uint32_t any = 0;
    if (!(op->flags & SG_LOADS)) {
        if (op->taint) {
            op->taint(warp, op, lanes);
        } else {
            uint32_t tainted = 0;
            for (int i = 0; i < op->source_count; i++)
                tainted |= *sg_taint(warp, op->source[i]);
            for (int i = 0; i < op->dest_count; i++) {
                uint32_t *taint = sg_taint(warp, op->dest[i]);
                *taint = (*taint & ~lanes) | (tainted & lanes);
            }
        }
    }
    for (int i = 0; i < op->dest_count; i++)
        any |= *sg_taint(warp, op->dest[i]);
    if (any) s->tainted = true;
}

/* The guard of these lanes comes from bytes that nobody wrote. What only computes taints its
 * result; everything else acts on the value. */
static void guard_is_tainted(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    bool computes = op->dest_count > 0 && op->kind <= SG_K_COMPARE;
    if (!computes) {
        sg_report(SG_R_UNWRITTEN, warp, op, lanes,
                  "whether %s runs depends on bytes that nobody has written",
                  op->instruction->opcode);
        return;
    }
    for (int i = 0; i < op->dest_count; i++)
        *sg_taint(warp, op->dest[i]) |= lanes;
}

static bool any_taint(const sg_warp *warp, const sg_runner *runner) {
    uint32_t any = 0;
    for (int i = 0; i < runner->taint_count; i++)
        any |= *(const uint32_t *)(const void *)(warp->file + runner->taint_at[i]);
    return any != 0;
}

/* ---- Running. */

/* What a handler asked for: lanes that wait stay, lanes that jumped are elsewhere, the others go
 * on. The current group may end. */
static void settle(sg_warp *warp, int pc, uint32_t active) {
    sg_schedule *s = warp->schedule;
    sg_group *g = &s->groups[s->current];
    uint32_t waiting = s->wait_lanes, gone = s->jumped | (warp->exited & active);
    uint32_t on = active & ~waiting & ~gone;
    sg_waiting how = s->events & SG_E_SLEEP ? SG_SLEEPS : SG_WAITS;
    if (on) {
        g->pc = pc + 1;
        g->lanes = on;
        if (waiting) {
            add_group(s, waiting, pc);
            g = &s->groups[s->count - 1];
        }
    } else if (waiting) {
        g->pc = pc;
        g->lanes = waiting;
    } else {
        drop_group(s, s->current);
    }
    if (waiting) {
        g->waiting = how;
        g->what = s->wait_what;
    }
    s->wait_lanes = s->jumped = 0;
    s->events &= SG_E_YIELD;
}

/* Runs the current group until it meets another one, or something changes who runs. */
static int run(sg_warp *warp, int budget) {
    sg_schedule *s = warp->schedule;
    const sg_runner *runner = s->runner;
    const bool full = runner->full;
    const sg_op *ops = runner->grid->program->ops;
    sg_counters *counters = runner->grid->counters;
    sg_group *g = &s->groups[s->current];
    const uint32_t active = g->lanes;
    const int limit = s->count > 1 ? meeting(s) : INT32_MAX;
    int pc = g->pc, left = budget;
    while (left > 0 && pc != limit) {
        const sg_op *op = &ops[pc];
        uint32_t lanes = active, tainted = 0;
        warp->pc = pc;
        left--;
        if (op->flags & SG_SPINS) {
            left -= SPIN - 1;
            s->steps -= SPIN - 1;
        }
        if (op->guard >= 0) {
            uint32_t bits = *sg_pred(warp, op->guard);
            lanes &= op->guard_negated ? ~bits : bits;
            if (s->tainted) {
                tainted = *sg_taint(warp, op->guard) & active;
                if (tainted && !op->dest_count) guard_is_tainted(warp, op, tainted);
            }
        }
        counters->instructions[op->kind]++;
        counters->lanes[op->kind] +=
            lanes == UINT32_MAX ? SG_LANES : (uint64_t)__builtin_popcount(lanes);
        if (op->flags & SG_IS_BRANCH) {
            if (lanes == active) {
                pc = op->target;
            } else if (!lanes) {
                pc++;
                continue;
            } else {
                g->lanes = active & ~lanes;
                add_group(s, lanes, op->target);
                pc++;
            }
            if (s->count > 1) break;
            continue;
        }
        if (op->flags & SG_GATHERS && lanes && lanes != sg_living(warp)) {
            sg_wait(warp, lanes, "the other lanes of the warp");
        } else if (lanes) {
            if (full && op->flags & SG_WATCHED) sg_wgmma_touch(warp, op, lanes);
            op->run(warp, op, lanes);
            if (full && (s->tainted || op->flags & SG_LOADS)) spread_taint(warp, op, lanes);
            if (op->flags & SG_ENDS_LANES) {
                warp->exited |= lanes;
                s->events |= SG_E_JUMP;
                sg_barriers_exit(warp->block);
                sg_cluster_exit(warp->block);
            }
        }
        if (tainted && op->dest_count) guard_is_tainted(warp, op, tainted);
        if (s->events) {
            if (s->wait_lanes == active) left++; /* nothing was done */
            settle(warp, pc, active);
            return budget - left;
        }
        pc++;
    }
    g->pc = pc;
    return budget - left;
}

int sg_turn(sg_warp *warp, int budget) {
    sg_schedule *s = warp->schedule;
    int done = 0;
    for (int i = 0; i < s->count; i++)
        if (s->groups[i].waiting == SG_WAITS) s->groups[i].waiting = SG_RUNS;
    if (s->tainted && ++s->turns % RESCAN == 0) s->tainted = any_taint(warp, s->runner);
    s->events = 0;
    while (done < budget && !s->events && pick(s)) {
        int part = s->favour > 0 && s->favour < budget - done ? s->favour : budget - done;
        int ran = run(warp, part);
        done += ran;
        if (s->count > 1) {
            if (s->favour > 0)
                s->favour -= ran ? ran : 1;
            else
                s->patience -= ran;
        }
    }
    s->steps += (uint64_t)done;
    return done;
}
