/* Control flow, barriers and fences. What a branch does is in warp.c, since it changes who runs. */
#include "tests/softgpu/cluster.h"
#include "tests/softgpu/handler.h"
#include "tests/softgpu/race.h"
#include "tests/softgpu/schedule.h"

static const char *bind_branch(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    (void)binder;
    int at = 0;
    sg_take(in, &at, "uni");
    if (in->operand_count != 1 || in->operands[0].kind != SG_LABEL) return sg_refuse_operands();
    op->target = in->operands[0].target;
    op->run = sg_no_handler;
    op->kind = SG_K_CONTROL;
    op->flags = SG_IS_BRANCH;
    return sg_all_taken(in, at);
}

static void branch_indexed(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const sg_operand *table = &op->instruction->operands[1];
    const sg_operand *labels = warp->block->grid->program->function->elements + table->first;
    const uint32_t *index = sg_u32(warp, op->source[0]);
    const uint32_t bad = *sg_taint(warp, op->source[0]) & lanes;
    if (bad)
        sg_report(SG_R_UNWRITTEN, warp, op, bad,
                  "where it jumps to comes from bytes that nobody wrote");
    while (lanes) {
        const uint32_t i = index[__builtin_ctz(lanes)];
        uint32_t same = 0;
        for (int l = 0; l < SG_LANES; l++)
            same |= (uint32_t)(index[l] == i) << l;
        same &= lanes;
        if (i >= (uint32_t)table->count) {
            sg_report(SG_R_BOUNDS, warp, op, same, "jumps to entry %u of a table of %d", i,
                      table->count);
            sg_abandon(warp);
            return;
        }
        sg_jump(warp, same, labels[i].target);
        lanes &= ~same;
    }
}

static const char *bind_branch_indexed(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    if (!sg_take(in, &at, "idx")) return sg_refuse_modifier();
    sg_take(in, &at, "uni");
    if (in->operand_count != 2 || in->operands[1].kind != SG_VECTOR) return sg_refuse_operands();
    for (int i = 0; i < in->operands[1].count; i++)
        if (sg_element(binder, &in->operands[1], i)->kind != SG_LABEL) return sg_refuse_operands();
    if (!sg_add_source(binder, &in->operands[0], SG_SLOT_32)) return sg_bind_error(binder);
    op->run = branch_indexed;
    op->kind = SG_K_CONTROL;
    return sg_all_taken(in, at);
}

static const char *bind_end(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    (void)binder;
    int at = 0;
    sg_take(in, &at, "uni");
    if (in->operand_count) return sg_refuse_operands();
    op->run = sg_no_handler;
    op->kind = SG_K_CONTROL;
    op->flags = SG_ENDS_LANES;
    return sg_all_taken(in, at);
}

static void trap(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    sg_report(SG_R_TRAP, warp, op, lanes, "the kernel stopped itself with %s",
              op->instruction->opcode);
    sg_abandon(warp);
}

static const char *bind_trap(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    (void)binder;
    op->run = trap;
    op->kind = SG_K_CONTROL;
    return in->operand_count ? sg_refuse_operands() : sg_all_taken(in, 0);
}

static void nanosleep(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    (void)op;
    (void)lanes;
    sg_yield(warp);
}

static const char *bind_nanosleep(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    if (!sg_take(in, &at, "u32")) return sg_refuse_modifier();
    if (in->operand_count != 1) return sg_refuse_operands();
    if (!sg_add_source(binder, &in->operands[0], SG_SLOT_32)) return sg_bind_error(binder);
    op->run = nanosleep;
    op->kind = SG_K_SYNC;
    op->flags = SG_MAY_BLOCK;
    return sg_all_taken(in, at);
}

/* op->a: reaches beyond the block. */
static void fence(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    if (sg_schedule_of(warp)->runner->full) sg_race_fence(warp, lanes, op->a);
}

static const char *bind_membar(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    (void)binder;
    int at = 0;
    if (!sg_take(in, &at, "cta")) {
        if (!sg_take(in, &at, "gl") && !sg_take(in, &at, "sys")) return sg_refuse_modifier();
        op->a = 1;
    }
    op->run = fence;
    op->kind = SG_K_SYNC;
    return in->operand_count ? sg_refuse_operands() : sg_all_taken(in, at);
}

static const char *bind_fence(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    int at = 0;
    if (in->modifier_count &&
        (!strcmp(in->modifiers[0], "proxy") || !strcmp(in->modifiers[0], "mbarrier_init")))
        return sg_bind_proxy_fence(op, in, binder);
    /* One-sided fences order less than sg_race_fence says: refused. */
    if (!sg_take(in, &at, "sc")) sg_take(in, &at, "acq_rel");
    if (!sg_take(in, &at, "cta")) {
        if (!sg_take(in, &at, "gpu") && !sg_take(in, &at, "sys") && !sg_take(in, &at, "cluster"))
            return sg_refuse_modifier();
        op->a = 1;
    }
    op->run = fence;
    op->kind = SG_K_SYNC;
    return in->operand_count ? sg_refuse_operands() : sg_all_taken(in, at);
}

/* Launches follow each other entirely, so that there is nothing to wait for. */
static const char *bind_dependent_grids(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    (void)binder;
    int at = 0;
    if (!sg_take(in, &at, "launch_dependents") && !sg_take(in, &at, "wait"))
        return sg_refuse_modifier();
    op->run = sg_no_handler;
    op->kind = SG_K_SYNC;
    return in->operand_count ? sg_refuse_operands() : sg_all_taken(in, at);
}

const sg_family sg_control_family[] = {{"bra", bind_branch},
                                       {"brx", bind_branch_indexed},
                                       {"ret", bind_end},
                                       {"exit", bind_end},
                                       {"trap", bind_trap},
                                       {"brkpt", bind_trap},
                                       {"nanosleep", bind_nanosleep},
                                       {"membar", bind_membar},
                                       {"fence", bind_fence},
                                       {"griddepcontrol", bind_dependent_grids},
                                       {"bar", sg_bind_bar},
                                       {"barrier", sg_bind_barrier},
                                       {NULL, NULL}};
