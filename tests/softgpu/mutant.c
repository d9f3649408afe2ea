#include "tests/softgpu/mutant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/handler.h"

typedef enum fault_kind { NONE, DELETE_IT, WAIT_LESS, SHIFT_BOUND, PASS, RELAX } fault_kind;

static const char *const fault_names[] = {"",
                                          "deleted",
                                          "waits for one group less",
                                          "bound shifted",
                                          "passes without waiting",
                                          "orders nothing"};

static bool has(const sg_instruction *in, const char *modifier) {
    for (int i = 0; i < in->modifier_count; i++)
        if (!strcmp(in->modifiers[i], modifier)) return true;
    return false;
}

static bool is(const sg_instruction *in, const char *opcode) {
    return !strcmp(in->opcode, opcode);
}

/* Where it says that accesses of memory are ordered by it, or -1. */
static int order_of(const sg_instruction *in) {
    static const char *const opcodes[] = {"ld", "st", "atom", "red"};
    for (size_t i = 0; i < sizeof opcodes / sizeof *opcodes; i++)
        if (is(in, opcodes[i]))
            for (int m = 0; m < in->modifier_count; m++)
                if (!strcmp(in->modifiers[m], "acquire") || !strcmp(in->modifiers[m], "release") ||
                    !strcmp(in->modifiers[m], "acq_rel"))
                    return m;
    return -1;
}

static const char *shifted(const char *compare) {
    static const char *const pairs[][2] = {{"lt", "le"}, {"le", "lt"}, {"gt", "ge"}, {"ge", "gt"},
                                           {"lo", "ls"}, {"ls", "lo"}, {"hi", "hs"}, {"hs", "hi"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (!strcmp(compare, pairs[i][0])) return pairs[i][1];
    return NULL;
}

static bool compares_integers(const sg_instruction *in) {
    static const char *const types[] = {"s16", "u16", "s32", "u32", "s64", "u64"};
    if (!is(in, "setp") || !in->modifier_count || !shifted(in->modifiers[0])) return false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(in->modifiers[in->modifier_count - 1], types[i])) return true;
    return false;
}

/* The toolkit's mathematics is not ours to test. Its functions stand in headers, or come as code
 * without lines of its own, where log2f and its like compare the bits of a float with those of
 * infinity, which no kernel of ours has for a bound. */
static bool is_library(const sg_module *module, const sg_instruction *in) {
    const int file = in->place.at.file;
    if (file >= 0 && file < module->file_count && strstr(module->files[file], "/include/"))
        return true;
    const sg_operand *bound = &in->operands[in->operand_count - 1];
    return bound->kind == SG_IMMEDIATE && bound->bits == 0x7f800000u &&
           !strcmp(in->modifiers[in->modifier_count - 1], "u32");
}

/* The faults that this instruction can have; at most two. */
static int faults_of(fault_kind faults[2], const sg_module *module, const sg_instruction *in) {
    if (is(in, "bar") || is(in, "barrier") || is(in, "fence") || is(in, "membar")) {
        faults[0] = DELETE_IT;
        return 1;
    }
    if (is(in, "mbarrier") && (has(in, "try_wait") || has(in, "test_wait"))) {
        faults[0] = PASS;
        return 1;
    }
    if ((is(in, "mbarrier") && has(in, "arrive")) ||
        (is(in, "wgmma") && (has(in, "fence") || has(in, "commit_group")))) {
        faults[0] = DELETE_IT;
        return 1;
    }
    if ((is(in, "cp") || is(in, "wgmma")) && (has(in, "wait_group") || has(in, "wait_all"))) {
        faults[0] = DELETE_IT;
        faults[1] = WAIT_LESS;
        return has(in, "wait_group") ? 2 : 1;
    }
    if (order_of(in) >= 0) {
        faults[0] = RELAX;
        return 1;
    }
    faults[0] = SHIFT_BOUND;
    return compares_integers(in) && !is_library(module, in);
}

static void plant(sg_instruction *in, fault_kind fault) {
    switch (fault) {
    case DELETE_IT:
        in->opcode = "deleted";
        in->modifier_count = in->operand_count = 0;
        break;
    case WAIT_LESS:
        in->operands[0].bits++;
        break;
    case SHIFT_BOUND:
        in->modifiers[0] = shifted(in->modifiers[0]);
        break;
    case PASS:
        in->modifiers[0] = "passed";
        break;
    case RELAX:
        in->modifiers[order_of(in)] = "relaxed";
        break;
    case NONE:
        break;
    }
}

bool sg_mutate(const sg_module *module, sg_function *function) {
    const char *wanted = getenv("SOFTGPU_MUTANT");
    const char *colon = wanted ? strrchr(wanted, ':') : NULL;
    const size_t length = strlen(function->name);
    if (!colon || (size_t)(colon - wanted) != length || strncmp(wanted, function->name, length))
        return true;
    const long target = strtol(colon + 1, NULL, 10);
    int number = 0;
    for (int i = 0; i < function->instruction_count; i++) {
        sg_instruction *in = &function->instructions[i];
        fault_kind faults[2];
        const int count = faults_of(faults, module, in);
        for (int f = 0; f < count; f++, number++) {
            if (number != target) continue;
            plant(in, faults[f]);
            return true;
        }
    }
    return false;
}

/* ---- Which faults there are, and which of them matter to what is run. */

typedef struct watched {
    struct watched *next;
    const sg_program *program;
    char *list;        /* the JSON lines, one for each fault, without their ends */
    int *instructions; /* of each fault */
    int fault_count;
    bool *equal;      /* of each instruction */
    sg_handler **run; /* of each instruction that is a bound: what it was */
} watched;

static watched *all_watched;

/* In place of a bound's handler. */
static void watch_bound(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    watched *w = all_watched;
    while (w->program != warp->block->grid->program)
        w = w->next;
    const ptrdiff_t at = op - w->program->ops;
    const sg_type type = sg_last_type(op->instruction);
    const int bytes = sg_type_bytes(type);
    for (int l = 0; l < SG_LANES && !w->equal[at]; l++) {
        if (!(lanes >> l & 1)) continue;
        if (bytes == 8)
            w->equal[at] = sg_u64(warp, op->source[0])[l] == sg_u64(warp, op->source[1])[l];
        else
            w->equal[at] = !((sg_u32(warp, op->source[0])[l] ^ sg_u32(warp, op->source[1])[l]) &
                             (bytes == 2 ? 0xffffu : UINT32_MAX));
    }
    w->run[at](warp, op, lanes);
}

static void write_list(void) {
    FILE *file = fopen(getenv("SOFTGPU_MUTANTS"), "a");
    if (!file) return;
    for (const watched *w = all_watched; w; w = w->next) {
        const char *line = w->list;
        for (int f = 0; f < w->fault_count; f++, line += strlen(line) + 1) {
            const int i = w->instructions[f];
            fprintf(file, "%s, \"matters\": %s}\n", line,
                    !w->run[i] || w->equal[i] ? "true" : "false");
        }
    }
    fclose(file);
}

static void describe(FILE *list, const sg_program *program, int number, fault_kind fault,
                     const sg_instruction *in) {
    char place[400];
    sg_place_text(place, sizeof place, program->module, &in->place);
    fprintf(list, "{\"kernel\": \"%s\", \"fault\": %d, \"what\": \"%s", program->function->name,
            number, in->opcode);
    for (int i = 0; i < in->modifier_count; i++)
        fprintf(list, ".%s", in->modifiers[i]);
    fprintf(list, " %s\", \"place\": \"%s\"", fault_names[fault], place);
    fputc(0, list);
}

/* What is taken here stays until the process ends. */
void sg_mutants_watch(sg_program *program) {
    if (!getenv("SOFTGPU_MUTANTS")) return;
    const size_t count = (size_t)program->op_count;
    watched *w = calloc(1, sizeof *w);
    if (!w) abort();
    w->instructions = calloc(2 * count, sizeof *w->instructions);
    w->equal = calloc(count, sizeof *w->equal);
    w->run = calloc(count, sizeof *w->run);
    size_t bytes;
    FILE *list = open_memstream(&w->list, &bytes);
    if (!w->instructions || !w->equal || !w->run || !list) abort();
    for (int i = 0; i < program->op_count; i++) {
        sg_op *op = &program->ops[i];
        fault_kind faults[2];
        const int found = faults_of(faults, program->module, op->instruction);
        for (int f = 0; f < found; f++) {
            describe(list, program, w->fault_count, faults[f], op->instruction);
            w->instructions[w->fault_count++] = i;
        }
        if (!found || faults[0] != SHIFT_BOUND) continue;
        w->run[i] = op->run;
        op->run = watch_bound;
    }
    fclose(list);
    w->program = program;
    w->next = all_watched;
    all_watched = w;
    if (!w->next) atexit(write_list);
}
