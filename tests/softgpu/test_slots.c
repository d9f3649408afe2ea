/* Slots: no register's value is lost to another that shares its slot. Random flow graphs are given
 * slots, then lanes walk through them at random, and whoever reads must find what was last written
 * to that register. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/softgpu/slots.h"

#define MOST 60
#define REGISTERS 24

typedef struct graph {
    sg_function function;
    sg_program program;
    sg_instruction instructions[MOST];
    sg_op ops[MOST];
    sg_register registers[REGISTERS];
    sg_slot operands[MOST][8];
    sg_operand elements[MOST * 2];
} graph;

static uint64_t state_of_random;
static int random_below(int n) {
    state_of_random = state_of_random * 6364136223846793005u + 1442695040888963407u;
    return (int)((state_of_random >> 33) % (uint64_t)n);
}

/* A register of the class, or any. */
static int random_register(const graph *g, int width) {
    for (;;) {
        const int reg = random_below(REGISTERS);
        if (width < 0 || (int)g->registers[reg].width == width) return reg;
    }
}

static void make_op(graph *g, int i, int count) {
    sg_op *op = &g->ops[i];
    sg_instruction *in = &g->instructions[i];
    *op = (sg_op){.guard = -1, .instruction = in, .kind = SG_K_INTEGER};
    *in = (sg_instruction){.opcode = "x", .guard = -1};
    op->dest = g->operands[i];
    op->source = g->operands[i] + 4;
    if (!random_below(3)) op->guard = random_register(g, SG_PRED);
    if (i == count - 1) {
        op->flags = SG_ENDS_LANES;
        op->guard = -1;
    } else if (!random_below(5)) {
        op->flags = SG_IS_BRANCH;
        in->operand_count = 1;
        in->operands[0] = (sg_operand){.kind = SG_LABEL, .target = random_below(count)};
        if (!random_below(4)) { /* a table of two */
            op->flags = 0;      /* as brx.idx, whose handler jumps */
            in->operands[0] = (sg_operand){.kind = SG_VECTOR, .first = 2 * i, .count = 2};
            for (int e = 0; e < 2; e++)
                g->elements[2 * i + e] =
                    (sg_operand){.kind = SG_LABEL, .target = random_below(count)};
        }
    } else {
        op->dest_count = (int16_t)random_below(3);
        if (op->dest_count != 1 || !random_below(3)) op->kind = SG_K_MMA;
        for (int k = 0; k < op->dest_count; k++) {
            do
                g->operands[i][k] = random_register(g, -1);
            while (k && g->operands[i][k] == g->operands[i][0]);
        }
    }
    op->source_count = (int16_t)random_below(3);
    for (int k = 0; k < op->source_count; k++)
        g->operands[i][4 + k] = random_below(6) ? random_register(g, -1) : REGISTERS + 4;
    if (op->dest_count == 1 && op->source_count == 1 && op->kind == SG_K_INTEGER &&
        random_below(2)) {
        in->opcode = "mov";
        op->flags |= SG_IS_COPY;
        op->kind = SG_K_MOVE;
    }
}

static void make_graph(graph *g) {
    const int count = 5 + random_below(MOST - 5);
    for (int i = 0; i < REGISTERS; i++)
        g->registers[i].width = (sg_width)(i < 5 ? i : random_below(5));
    for (int i = 0; i < count; i++)
        make_op(g, i, count);
    g->function = (sg_function){.registers = g->registers,
                                .register_count = REGISTERS,
                                .instructions = g->instructions,
                                .instruction_count = count,
                                .elements = g->elements};
    g->program = (sg_program){.function = &g->function, .ops = g->ops, .op_count = count};
}

/* Where register `reg` lies among all slots. */
static int cell(const graph *g, const int *numbers, int reg) {
    static const int class_of[] = {SG_SLOT_PRED, SG_SLOT_32, SG_SLOT_32, SG_SLOT_64, SG_SLOT_128};
    return class_of[g->registers[reg].width] * REGISTERS + numbers[reg];
}

static void walk(const graph *g, const int *numbers) {
    int owner[4 * REGISTERS]; /* who wrote this slot last */
    bool written[REGISTERS] = {false};
    memset(owner, -1, sizeof owner);
    for (int at = 0, steps = 0; steps < 400; steps++) {
        const sg_op *op = &g->ops[at];
        const bool pass = op->guard < 0 || random_below(2);
        /* Only plain instructions may overwrite what they read. */
        const bool late = op->kind <= SG_K_COMPARE;
        for (int order = 0; order < 2; order++) {
            if (order == late)
                for (int k = 0; pass && k < op->dest_count; k++) {
                    owner[cell(g, numbers, op->dest[k])] = op->dest[k];
                    written[op->dest[k]] = true;
                }
            for (int k = -1; order != late && k < op->source_count; k++) {
                const int reg = k < 0 ? op->guard : op->source[k];
                bool own = false;
                for (int d = 0; reg >= 0 && d < op->dest_count; d++)
                    own |= op->dest[d] == reg;
                if (reg < 0 || reg >= REGISTERS || !written[reg] || (own && !late)) continue;
                assert_int_equal(owner[cell(g, numbers, reg)], reg);
            }
        }
        for (int d = 0; pass && d < op->dest_count; d++) /* both results are still there */
            assert_int_equal(owner[cell(g, numbers, op->dest[d])], op->dest[d]);
        if (pass && op->flags & SG_ENDS_LANES) return;
        if (!pass || !op->instruction->operand_count) {
            at++;
            continue;
        }
        const sg_operand *o = &op->instruction->operands[0];
        at = o->kind == SG_LABEL ? o->target : g->elements[o->first + random_below(2)].target;
    }
}

static void random_graphs(void **state) {
    (void)state;
    static graph g;
    int shared = 0;
    for (int seed = 1; seed <= 3000; seed++) {
        state_of_random = (uint64_t)seed;
        make_graph(&g);
        int numbers[REGISTERS], counts[4];
        assert_true(sg_slots_share(numbers, counts, &g.program));
        shared += counts[0] + counts[1] + counts[2] + counts[3] < REGISTERS;
        for (int i = 0; i < 10; i++)
            walk(&g, numbers);
    }
    assert_in_range(shared, 1500, 3000); /* sharing does happen */
}

/* a chain r1 = f(r0), r2 = f(r1), ...: one slot if each may overwrite its source, else two. */
static void chain(void **state) {
    (void)state;
    static graph g;
    for (int kind = 0; kind < 2; kind++) {
        const int count = REGISTERS;
        for (int i = 0; i < REGISTERS; i++)
            g.registers[i].width = SG_W32;
        for (int i = 0; i < count; i++) {
            g.operands[i][0] = i;
            g.operands[i][4] = i ? i - 1 : REGISTERS + 4;
            g.instructions[i] = (sg_instruction){.opcode = "x", .guard = -1};
            g.ops[i] = (sg_op){.guard = -1,
                               .kind = kind ? SG_K_GLOBAL_LOAD : SG_K_FLOAT,
                               .instruction = &g.instructions[i],
                               .dest = g.operands[i],
                               .source = g.operands[i] + 4,
                               .dest_count = 1,
                               .source_count = 1};
        }
        g.ops[count - 1].flags = SG_ENDS_LANES;
        g.function = (sg_function){.registers = g.registers,
                                   .register_count = REGISTERS,
                                   .instructions = g.instructions,
                                   .instruction_count = count};
        g.program = (sg_program){.function = &g.function, .ops = g.ops, .op_count = count};
        int numbers[REGISTERS], counts[4];
        assert_true(sg_slots_share(numbers, counts, &g.program));
        assert_int_equal(counts[SG_SLOT_32], 1 + kind);
        assert_int_equal(counts[SG_SLOT_64], 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_graphs), cmocka_unit_test(chain)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
