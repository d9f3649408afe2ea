/* A launch: its blocks, some of them alive at once, and the order in which their warps get turns.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/async.h"
#include "tests/softgpu/cluster.h"
#include "tests/softgpu/counters.h"
#include "tests/softgpu/mbarrier.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/race.h"
#include "tests/softgpu/report.h"
#include "tests/softgpu/schedule.h"
#include "tests/softgpu/tma.h"
#include "tests/softgpu/wgmma.h"

#define IDLE_ROUNDS 10000 /* in which mbarriers were tested in vain, and nothing else happened */

typedef struct place { /* for a block that is alive */
    sg_block block;
    sg_warp warps[SG_MAX_WARPS];
    sg_schedule schedules[SG_MAX_WARPS];
    unsigned char *files, *local;
    int living; /* warps */
} place;

/* Those that are not the same in all lanes. */
static bool fill_by_lane(uint32_t values[SG_LANES], const sg_warp *w, sg_special special) {
    const uint32_t *threads = w->block->grid->threads, first = (uint32_t)sg_thread(w, 0);
    uint32_t at[3] = {first % threads[0], first / threads[0] % threads[1],
                      first / threads[0] / threads[1]};
    for (uint32_t l = 0; l < SG_LANES; l++) {
        const uint32_t bit = 1u << l;
        switch (special) {
        case SG_TID_X:
        case SG_TID_Y:
        case SG_TID_Z:
            values[l] = at[special - SG_TID_X];
            break;
        case SG_LANEID:
            values[l] = l;
            break;
        case SG_LANEMASK_EQ:
            values[l] = bit;
            break;
        case SG_LANEMASK_LE:
            values[l] = bit | (bit - 1);
            break;
        case SG_LANEMASK_LT:
            values[l] = bit - 1;
            break;
        case SG_LANEMASK_GE:
            values[l] = ~(bit - 1);
            break;
        case SG_LANEMASK_GT:
            values[l] = ~(bit | (bit - 1));
            break;
        default:
            return false;
        }
        if (++at[0] < threads[0]) continue;
        at[0] = 0;
        if (++at[1] < threads[1]) continue;
        at[1] = 0;
        at[2]++;
    }
    return true;
}

static uint32_t special_value(const sg_warp *w, sg_special special) {
    const sg_block *b = w->block;
    const sg_grid *g = b->grid;
    switch (special) {
    case SG_NTID_X:
    case SG_NTID_Y:
    case SG_NTID_Z:
        return g->threads[special - SG_NTID_X];
    case SG_CTAID_X:
    case SG_CTAID_Y:
    case SG_CTAID_Z:
        return b->index[special - SG_CTAID_X];
    case SG_NCTAID_X:
    case SG_NCTAID_Y:
    case SG_NCTAID_Z:
        return g->blocks[special - SG_NCTAID_X];
    case SG_WARPID:
        return (uint32_t)w->index;
    case SG_NWARPID:
        return (uint32_t)b->warp_count;
    case SG_SMID:
        return (uint32_t)b->number % 108;
    case SG_NSMID:
        return 108;
    case SG_DYNAMIC_SMEM_SIZE:
        return (uint32_t)g->dynamic_shared;
    case SG_TOTAL_SMEM_SIZE:
        return (uint32_t)b->shared_bytes;
    case SG_WARPSZ:
        return SG_LANES;
    case SG_CLUSTERID_X:
    case SG_CLUSTERID_Y:
    case SG_CLUSTERID_Z:
        return b->index[special - SG_CLUSTERID_X];
    case SG_NCLUSTERID_X:
    case SG_NCLUSTERID_Y:
    case SG_NCLUSTERID_Z:
        return g->blocks[special - SG_NCLUSTERID_X];
    case SG_CLUSTER_NCTAID_X:
    case SG_CLUSTER_NCTAID_Y:
    case SG_CLUSTER_NCTAID_Z:
    case SG_CLUSTER_NCTARANK:
        return 1;
    default: /* rank in a cluster of one; clocks are read by their own instruction */
        return 0;
    }
}

/* Constants of the program's text are in every warp's file the same; special registers are not. */
static void fill_constants(const sg_warp *warp, const sg_program *program, bool specials) {
    for (int i = 0; i < program->constant_count; i++) {
        const sg_constant *c = &program->constants[i];
        uint32_t values[SG_LANES];
        uint64_t bits = c->bits;
        if (c->is_special != specials) continue;
        const bool by_lane = specials && fill_by_lane(values, warp, c->special);
        if (specials && !by_lane) bits = special_value(warp, c->special);
        if ((c->slot & 3) == SG_SLOT_PRED) *sg_pred(warp, c->slot) = bits ? UINT32_MAX : 0;
        if ((c->slot & 3) == SG_SLOT_32)
            for (int l = 0; l < SG_LANES; l++)
                sg_u32(warp, c->slot)[l] = by_lane ? values[l] : (uint32_t)bits;
        if ((c->slot & 3) >= SG_SLOT_64)
            for (int l = 0; l < SG_LANES; l++)
                sg_u64(warp, c->slot)[l] = by_lane ? values[l] : bits;
    }
}

static void start_block(sg_runner *runner, place *p, int number) {
    sg_grid *grid = runner->grid;
    sg_block *b = &p->block;
    b->number = number;
    b->index[0] = (uint32_t)number % grid->blocks[0];
    b->index[1] = (uint32_t)number / grid->blocks[0] % grid->blocks[1];
    b->index[2] = (uint32_t)number / grid->blocks[0] / grid->blocks[1];
    if (b->shared_bytes) memset(b->shared, 0xff, b->shared_bytes);
    const uint64_t local = grid->program->function->local_bytes * SG_LANES;
    if (local) memset(p->local, 0xff, local * (uint64_t)b->warp_count);
    const size_t file = grid->program->file_bytes;
    p->living = b->warp_count;
    for (int i = 0; i < b->warp_count; i++) {
        sg_warp *w = &p->warps[i];
        const int lanes = b->thread_count - i * SG_LANES;
        *w = (sg_warp){.file = p->files + file * (size_t)i,
                       .block = b,
                       .index = i,
                       .id = number * b->warp_count + i,
                       .exists = lanes >= SG_LANES ? UINT32_MAX : (1u << lanes) - 1,
                       .schedule = &p->schedules[i],
                       .local = local ? p->local + local * (uint64_t)i : NULL};
        p->schedules[i] = (sg_schedule){.count = 1, .patience = 1024, .runner = runner};
        p->schedules[i].groups[0] = (sg_group){.lanes = w->exists};
        memcpy(w->file, runner->image, file);
        fill_constants(w, grid->program, true);
    }
    sg_barriers_start(b);
    sg_async_block_start(b);
    sg_mbarriers_block_start(b);
    sg_bulk_block_start(b);
    sg_wgmma_block_start(b);
    sg_cluster_block_start(b);
    sg_race_block_start(b);
}

static void end_block(place *p) {
    sg_block *b = &p->block;
    if (!p->living) { /* by itself */
        sg_mbarriers_block_check(b);
        sg_bulk_block_check(b);
        sg_wgmma_block_check(b);
    }
    sg_bulk_block_end(b);
    sg_mbarriers_block_end(b);
    sg_wgmma_block_end(b);
    sg_cluster_block_end(b);
    sg_race_block_end(b);
    sg_async_block_end(b);
}

static bool make_place(place *p, sg_grid *grid) {
    sg_block *b = &p->block;
    const uint64_t threads = (uint64_t)grid->threads[0] * grid->threads[1] * grid->threads[2];
    b->grid = grid;
    b->thread_count = (int)threads;
    b->warp_count = (int)((threads + SG_LANES - 1) / SG_LANES);
    b->warps = p->warps;
    b->shared_bytes = grid->program->function->shared_bytes + grid->dynamic_shared;
    const uint64_t warps = (uint64_t)b->warp_count;
    const uint64_t local = grid->program->function->local_bytes * SG_LANES * warps;
    p->files = aligned_alloc(64, (grid->program->file_bytes * warps + 63) / 64 * 64 + 64);
    b->shared = aligned_alloc(128, (b->shared_bytes + 127) / 128 * 128 + 128);
    p->local = aligned_alloc(64, (local + 63) / 64 * 64 + 64);
    return p->files && b->shared && p->local && sg_barriers_make(b);
}

static void free_place(place *p) {
    sg_barriers_free(&p->block);
    free(p->files);
    free(p->block.shared);
    free(p->local);
}

/* Where taint can be, and what else warp.c wants to know of each op. */
static bool prepare(sg_runner *runner) {
    static const int taint_in_slot[4] = {4, 128, 256, 512};
    const sg_program *program = runner->grid->program;
    unsigned char *seen = calloc(1, program->file_bytes / 64 + 1);
    size_t dests = 0;
    for (int i = 0; i < program->op_count; i++)
        dests += (size_t)program->ops[i].dest_count;
    runner->taint_at = malloc((dests + 1) * sizeof *runner->taint_at);
    runner->image = aligned_alloc(64, (program->file_bytes + 63) / 64 * 64 + 64);
    if (!seen || !runner->taint_at || !runner->image) {
        free(seen);
        return false;
    }
    memset(runner->image, 0, program->file_bytes);
    fill_constants(&(sg_warp){.file = runner->image}, program, false);
    for (int i = 0; i < program->op_count; i++) {
        sg_op *op = &program->ops[i];
        const sg_instruction *in = op->instruction;
        const bool memory = op->kind >= SG_K_GLOBAL_LOAD && op->kind <= SG_K_ATOMIC;
        if (memory && op->dest_count) op->flags |= SG_LOADS;
        if (op->kind == SG_K_ATOMIC) op->flags |= SG_SPINS;
        for (int m = 0; m < in->modifier_count; m++) {
            const char *modifier = in->modifiers[m];
            if ((op->kind == SG_K_MMA || memory) && !strcmp(modifier, "aligned"))
                op->flags |= SG_GATHERS;
            if (memory && (!strcmp(modifier, "volatile") || !strcmp(modifier, "acquire") ||
                           !strcmp(modifier, "relaxed")))
                op->flags |= SG_SPINS;
        }
        for (int d = 0; d < op->dest_count; d++) {
            if (seen[op->dest[d] / 64]) continue;
            seen[op->dest[d] / 64] = 1;
            runner->taint_at[runner->taint_count++] =
                (op->dest[d] & ~63) + taint_in_slot[op->dest[d] & 3];
        }
    }
    free(seen);
    return true;
}

/* What shows that more happens than failing tests of mbarriers. Not what waits for other lanes,
 * which is counted each time that it tries. */
static uint64_t useful_work(const sg_runner *runner) {
    const sg_counters *c = runner->grid->counters;
    return runner->events + c->barriers + c->mma_flops + c->atomics + c->async_bytes +
           c->global_requests[0] + c->global_requests[1] + c->shared_requests[0] +
           c->shared_requests[1] + c->instructions[SG_K_FLOAT] + c->instructions[SG_K_SPECIAL] +
           c->instructions[SG_K_OTHER_MEMORY];
}

static bool asleep(const sg_warp *warp) {
    const sg_schedule *s = warp->schedule;
    for (int i = 0; i < s->count; i++)
        if (s->groups[i].waiting != SG_SLEEPS) return false;
    return true;
}

/* Turns for everybody, in a new order each time round, until nobody is left. */
static void run_blocks(sg_runner *runner, place *places, int place_count, int blocks,
                       sg_warp **warps) {
    const int reports = sg_report_count();
    int next = 0, living = 0, idle = 0;
    for (; next < place_count; next++) {
        start_block(runner, &places[next], next);
        for (int i = 0; i < places[next].block.warp_count; i++)
            warps[living++] = &places[next].warps[i];
    }
    while (living) {
        bool progress = false;
        const uint64_t useful = useful_work(runner), failed = runner->failed_tests;
        for (int i = 0; i < living; i++) {
            const uint64_t r = sg_random(runner);
            const int j = i + (int)((r >> 32) * (uint64_t)(living - i) >> 32);
            sg_warp *w = warps[j];
            warps[j] = warps[i];
            warps[i] = w;
            if (asleep(w)) continue;
            if (sg_turn(w, SG_QUANTUM << (r & 3))) progress = true;
            if (sg_schedule_of(w)->steps > runner->max_steps) {
                sg_report(SG_R_STEPS, w, &runner->grid->program->ops[w->pc], sg_living(w),
                          "a warp ran %llu instructions and has not ended (SOFTGPU_STEPS)",
                          (unsigned long long)runner->max_steps);
                runner->abandoned = true;
            }
            if (runner->abandoned || sg_report_count() != reports) return;
        }
        /* Those that have ended make room. */
        for (int i = 0; i < living;) {
            place *p = (place *)(void *)warps[i]->block;
            if (sg_schedule_of(warps[i])->count) {
                i++;
                continue;
            }
            warps[i] = warps[--living];
            progress = true;
            if (--p->living) continue;
            end_block(p);
            if (next == blocks) continue;
            start_block(runner, p, next++);
            for (int k = 0; k < p->block.warp_count; k++)
                warps[living++] = &p->warps[k];
        }
        idle = progress && (useful_work(runner) != useful || runner->failed_tests == failed)
                   ? 0
                   : idle + 1;
        if (progress && idle < IDLE_ROUNDS) continue;
        for (int i = 0; i < place_count; i++) {
            if (!places[i].living) continue;
            sg_mbarriers_report_stuck(&places[i].block);
            sg_report_deadlock(&places[i].block);
        }
        return;
    }
}

bool sg_run(sg_grid *grid) {
    const sg_options *options = sg_get_options();
    const int reports = sg_report_count();
    sg_counters unasked = {0};
    const uint64_t blocks = (uint64_t)grid->blocks[0] * grid->blocks[1] * grid->blocks[2];
    const uint64_t threads = (uint64_t)grid->threads[0] * grid->threads[1] * grid->threads[2];
    if (!blocks || blocks > INT32_MAX / SG_MAX_WARPS || !threads ||
        threads > SG_MAX_WARPS * SG_LANES) {
        sg_report(SG_R_LAUNCH, NULL, NULL, 0, "softgpu runs no grid of %llu blocks of %llu threads",
                  (unsigned long long)blocks, (unsigned long long)threads);
        return false;
    }
    sg_runner runner = {.grid = grid,
                        .full = options->full,
                        .max_steps = options->steps,
                        .random = options->seed * 0x2545f4914f6cdd1dull};
    if (!grid->counters) grid->counters = &unasked;
    const int count =
        grid->together || blocks < (uint64_t)options->resident ? (int)blocks : options->resident;
    place *places = calloc((size_t)count, sizeof *places);
    sg_warp **warps = malloc((size_t)count * SG_MAX_WARPS * sizeof *warps);
    bool made = places && warps && prepare(&runner);
    for (int i = 0; made && i < count; i++)
        made = make_place(&places[i], grid);
    if (made) {
        sg_race_grid_start(grid);
        run_blocks(&runner, places, count, (int)blocks, warps);
        for (int i = 0; i < count; i++)
            if (places[i].living) end_block(&places[i]);
        sg_race_grid_end(grid);
    } else {
        sg_report(SG_R_LAUNCH, NULL, NULL, 0, "softgpu has no memory left for a launch");
    }
    for (int i = 0; places && i < count; i++)
        free_place(&places[i]);
    free(places);
    free(warps);
    free(runner.taint_at);
    free(runner.image);
    if (grid->counters == &unasked) grid->counters = NULL;
    return made && sg_report_count() == reports && !runner.abandoned;
}
