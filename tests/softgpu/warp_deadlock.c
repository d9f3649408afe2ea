/* What is told when nothing runs any more and something waits: who waits, where, and for what. */
#include <stdio.h>

#include "tests/softgpu/report.h"
#include "tests/softgpu/schedule.h"

/* Where the other lanes of the warp are. */
static void others_text(char *text, size_t room, const sg_warp *warp, const sg_group *not_this) {
    const sg_schedule *s = warp->schedule;
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < s->count && used < room; i++) {
        const sg_group *g = &s->groups[i];
        if (g == not_this) continue;
        const sg_program *program = warp->block->grid->program;
        char place[160];
        sg_place_text(place, sizeof place, program->module,
                      &program->ops[g->pc].instruction->place);
        used += (size_t)snprintf(text + used, room - used, "%slanes 0x%08x are at %s",
                                 used ? ", " : "", g->lanes, place);
    }
    if (warp->exited & warp->exists && used < room)
        snprintf(text + used, room - used, "%slanes 0x%08x have exited", used ? ", " : "",
                 warp->exited & warp->exists);
}

static void report_group(sg_warp *warp, const sg_group *g) {
    const sg_op *op = &warp->block->grid->program->ops[g->pc];
    char others[400], barrier[120];
    const int lane = __builtin_ctz(g->lanes);
    warp->pc = g->pc;
    others_text(others, sizeof others, warp, g);
    sg_barrier_text(barrier, sizeof barrier, warp, op, lane);
    const bool part = op->flags & SG_GATHERS && g->lanes != sg_living(warp);
    const char *opcode = op->instruction->opcode;
    if (part && op->kind == SG_K_SYNC)
        sg_report(SG_R_BARRIER, warp, op, g->lanes, "%s reached by part of a warp: %s", opcode,
                  others);
    else if (part || op->kind == SG_K_EXCHANGE)
        sg_report(SG_R_WARP_SYNC, warp, op, g->lanes, "%s waits for lanes that do not come: %s",
                  opcode, others);
    else
        sg_report(SG_R_DEADLOCK, warp, op, g->lanes, "%s waits for %s for ever%s%s%s%s", opcode,
                  g->what ? g->what : "something", barrier[0] ? ": " : "", barrier,
                  others[0] ? "; in its warp " : "", others);
}

void sg_report_deadlock(const sg_block *block) {
    for (int i = 0; i < block->warp_count; i++) {
        const sg_schedule *s = block->warps[i].schedule;
        for (int g = 0; g < s->count; g++)
            if (s->groups[g].waiting != SG_RUNS) report_group(&block->warps[i], &s->groups[g]);
    }
}
