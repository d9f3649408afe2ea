/* Registers of asynchronous matrix instructions. Where nvcc moves an accumulator from one register
 * of PTX to another, nothing moves on the chip; such copies carry the state along. */
#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/report.h"
#include "tests/softgpu/schedule.h"
#include "tests/softgpu/slots.h"
#include "tests/softgpu/wgmma_state.h"

static bool is_mine(const bool *mine, int count, const sg_slot *registers, int n) {
    for (int i = 0; i < n; i++)
        if (registers[i] < count && mine[registers[i]]) return true;
    return false;
}

bool sg_wgmma_registers(bool **registers, const sg_program *program) {
    const int count = program->function->register_count;
    bool any = false;
    *registers = NULL;
    for (int i = 0; i < program->op_count; i++)
        any |= program->ops[i].run == sg_wgmma_run;
    if (!any) return true;
    bool *mine = *registers = calloc((size_t)count + 1, 1);
    if (!mine) return false;
    for (int i = 0; i < program->op_count; i++) {
        const sg_op *op = &program->ops[i];
        if (op->run != sg_wgmma_run) continue;
        for (int k = 0; k < op->source_count; k++)
            if (op->source[k] < count &&
                program->function->registers[op->source[k]].width == SG_W32)
                mine[op->source[k]] = true;
    }
    for (bool more = true; more;) {
        more = false;
        for (int i = 0; i < program->op_count; i++) {
            const sg_op *op = &program->ops[i];
            if (!sg_is_plain_copy(op) || op->dest[0] >= count || op->source[0] >= count) continue;
            if (mine[op->dest[0]] == mine[op->source[0]]) continue;
            mine[op->dest[0]] = mine[op->source[0]] = more = true;
        }
    }
    return true;
}

bool sg_wgmma_watch(sg_program *program) {
    const int count = program->function->register_count;
    bool *mine;
    if (!sg_wgmma_registers(&mine, program)) return false;
    for (int i = 0; mine && i < program->op_count; i++) {
        sg_op *op = &program->ops[i];
        if (op->run != sg_wgmma_run && (is_mine(mine, count, op->source, op->source_count) ||
                                        is_mine(mine, count, op->dest, op->dest_count)))
            op->flags |= SG_WATCHED;
    }
    free(mine);
    return true;
}

sg_wgmma_warp *sg_wgmma_of(sg_warp *warp) {
    sg_block *block = warp->block;
    if (!block->wgmma) block->wgmma = calloc(1, sizeof(sg_wgmma_block));
    if (!block->wgmma) return NULL;
    sg_wgmma_warp *w = &((sg_wgmma_block *)block->wgmma)->warps[warp->index];
    if (w->writing) return w;
    const size_t slots = block->grid->program->file_bytes / 64 + 1;
    w->writing = calloc(2 * slots, sizeof *w->writing);
    w->touched = malloc(slots);
    if (!w->writing || !w->touched) return NULL;
    w->reading = w->writing + slots;
    memset(w->touched, SG_WAS_WRITTEN, slots); /* no fence so far */
    return w;
}

void sg_wgmma_touch(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    if (!warp->block->wgmma) return;
    sg_wgmma_warp *w = &((sg_wgmma_block *)warp->block->wgmma)->warps[warp->index];
    if (!w->writing) return;
    const bool renames = sg_is_plain_copy(op) && op->instruction->operands[1].kind == SG_REGISTER;
    const int to = renames ? op->dest[0] >> 6 : 0, from = renames ? op->source[0] >> 6 : 0;
    if (renames && (w->writing[to] <= w->done || w->writing[to] == w->writing[from])) {
        w->writing[to] = w->writing[from];
        w->reading[to] = w->reading[from];
        w->touched[to] = w->touched[from];
        return;
    }
    for (int i = 0; i < op->source_count; i++) {
        const int at = op->source[i] >> 6;
        if (w->writing[at] > w->done)
            sg_report(SG_R_ASYNC_EARLY, warp, op, lanes,
                      "%s reads a register that a wgmma writes which no wait_group has waited for",
                      op->instruction->opcode);
        w->touched[at] |= SG_WAS_READ;
    }
    for (int i = 0; i < op->dest_count; i++) {
        const int at = op->dest[i] >> 6;
        if (w->writing[at] > w->done || w->reading[at] > w->done)
            sg_report(SG_R_ASYNC_EARLY, warp, op, lanes,
                      "%s writes a register that a wgmma %s which no wait_group has waited for",
                      op->instruction->opcode, w->writing[at] > w->done ? "writes" : "reads");
        w->touched[at] |= SG_WAS_WRITTEN;
    }
}

void sg_wgmma_use(sg_warp *warp, const sg_op *op, int sums, int a_registers) {
    sg_wgmma_warp *w = sg_wgmma_of(warp);
    if (!w) return;
    bool unfenced = false, early = false;
    for (int i = 0; i < sums + a_registers; i++) {
        const int at = op->source[i] >> 6;
        const bool is_a = i >= sums;
        unfenced |= w->touched[at] & (is_a ? SG_WAS_WRITTEN : SG_WAS_WRITTEN | SG_WAS_READ);
        early |= is_a ? w->writing[at] > w->done : w->reading[at] > w->done;
    }
    if (unfenced)
        sg_report(SG_R_PROXY, warp, op, UINT32_MAX,
                  "wgmma uses registers that the program has touched since the last wgmma.fence");
    if (early)
        sg_report(SG_R_ASYNC_EARLY, warp, op, UINT32_MAX,
                  "wgmma has A in registers that an earlier one writes, or accumulates in A's, "
                  "and no wait_group lies between them");
    for (int i = 0; i < sums + a_registers; i++)
        (i < sums ? w->writing : w->reading)[op->source[i] >> 6] = w->issued + 1;
}

void sg_wgmma_fence_registers(sg_warp *warp) {
    sg_wgmma_warp *w = sg_wgmma_of(warp);
    if (w) memset(w->touched, 0, warp->block->grid->program->file_bytes / 64 + 1);
}
