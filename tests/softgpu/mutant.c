#include "tests/softgpu/mutant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum fault_kind { NONE, DELETE_IT, WAIT_LESS, SHIFT_BOUND } fault_kind;

static const char *const fault_names[] = {"", "deleted", "waits for one group less",
                                          "bound shifted"};

static bool has(const sg_instruction *in, const char *modifier) {
    for (int i = 0; i < in->modifier_count; i++)
        if (!strcmp(in->modifiers[i], modifier)) return true;
    return false;
}

static bool is(const sg_instruction *in, const char *opcode) {
    return !strcmp(in->opcode, opcode);
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

/* The faults that this instruction can have; at most two. */
static int faults_of(fault_kind faults[2], const sg_instruction *in) {
    if (is(in, "bar") || is(in, "barrier") || is(in, "fence") || is(in, "membar")) {
        faults[0] = DELETE_IT;
        return 1;
    }
    if (is(in, "cp") && (has(in, "wait_group") || has(in, "wait_all"))) {
        faults[0] = DELETE_IT;
        faults[1] = WAIT_LESS;
        return has(in, "wait_group") ? 2 : 1;
    }
    faults[0] = SHIFT_BOUND;
    return compares_integers(in);
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
    case NONE:
        break;
    }
}

static void describe(FILE *list, const sg_module *module, const sg_function *function, int number,
                     fault_kind fault, const sg_instruction *in) {
    char place[400];
    sg_place_text(place, sizeof place, module, &in->place);
    fprintf(list, "{\"kernel\": \"%s\", \"fault\": %d, \"what\": \"%s", function->name, number,
            in->opcode);
    for (int i = 0; i < in->modifier_count; i++)
        fprintf(list, ".%s", in->modifiers[i]);
    fprintf(list, " %s\", \"place\": \"%s\"}\n", fault_names[fault], place);
}

bool sg_mutate(const sg_module *module, sg_function *function) {
    const char *wanted = getenv("SOFTGPU_MUTANT"), *path = getenv("SOFTGPU_MUTANTS");
    const char *colon = wanted ? strrchr(wanted, ':') : NULL;
    const size_t length = strlen(function->name);
    bool here =
        colon && (size_t)(colon - wanted) == length && !strncmp(wanted, function->name, length);
    if (!here && !path) return true;
    const long target = here ? strtol(colon + 1, NULL, 10) : -1;
    FILE *list = path ? fopen(path, "a") : NULL;
    int number = 0;
    bool planted = false;
    for (int i = 0; i < function->instruction_count; i++) {
        sg_instruction *in = &function->instructions[i];
        fault_kind faults[2];
        const int count = faults_of(faults, in);
        for (int f = 0; f < count; f++, number++) {
            if (list) describe(list, module, function, number, faults[f], in);
            if (number != target) continue;
            plant(in, faults[f]);
            planted = true;
            break;
        }
        if (planted) break;
    }
    if (list) fclose(list);
    return !here || planted;
}
