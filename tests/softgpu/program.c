#include "tests/softgpu/program.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/binder.h"
#include "tests/softgpu/mutant.h"
#include "tests/softgpu/slots.h"
#include "tests/softgpu/wgmma.h"

static _Thread_local const sg_place *refusal;

const sg_place *sg_program_refusal(void) {
    return refusal;
}

/* ---- Opcode to family, by hash. */

#define DISPATCH 512 /* a power of two, several times the number of opcodes */

static const sg_family *dispatch[DISPATCH];

static unsigned hash_of(const char *opcode) {
    unsigned hash = 2166136261u;
    for (; *opcode; opcode++)
        hash = (hash ^ (unsigned char)*opcode) * 16777619u;
    return (hash ^ hash >> 15) & (DISPATCH - 1);
}

static void fill_dispatch(void) {
    static const sg_family *const families[] = {
        sg_integer_family, sg_float_family,    sg_move_family,     sg_compare_family,
        sg_control_family, sg_exchange_family, sg_memory_family,   sg_atomic_family,
        sg_async_family,   sg_matrix_family,   sg_mbarrier_family, sg_wgmma_family,
        sg_cluster_family};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (const sg_family *f = families[i]; f->opcode; f++) {
            unsigned at = hash_of(f->opcode);
            while (dispatch[at] && strcmp(dispatch[at]->opcode, f->opcode))
                at = (at + 1) & (DISPATCH - 1);
            if (!dispatch[at]) dispatch[at] = f;
        }
}

static const sg_family *family_of(const char *opcode) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_dispatch);
    unsigned at = hash_of(opcode);
    while (dispatch[at] && strcmp(dispatch[at]->opcode, opcode))
        at = (at + 1) & (DISPATCH - 1);
    return dispatch[at];
}

/* What mutant.c leaves of an instruction that it takes out, and a copy of a slot to itself. */
static void run_nothing(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    (void)warp;
    (void)op;
    (void)lanes;
}

/* ---- Binding. */

typedef struct making {
    sg_program *program;
    sg_binder binder;
    sg_slot *operands; /* of all ops: destinations, then sources, op after op */
    size_t operand_count, operand_room;
} making;

static bool refuse(const making *m, const sg_instruction *in, const char *why, char *sentence,
                   size_t room) {
    char name[160] = "", place[300];
    size_t length = (size_t)snprintf(name, sizeof name, "%s", in->opcode);
    for (int i = 0; i < in->modifier_count && length < sizeof name; i++)
        length += (size_t)snprintf(name + length, sizeof name - length, ".%s", in->modifiers[i]);
    sg_place_text(place, sizeof place, m->program->module, &in->place);
    snprintf(sentence, room, "'%s': %s (%s)", name, why, place);
    refusal = &in->place;
    return false;
}

static bool keep_operands(making *m, sg_op *op) {
    const size_t more = (size_t)op->dest_count + (size_t)op->source_count;
    if (!more) return true;
    if (m->operand_count + more > m->operand_room) {
        const size_t room = 2 * (m->operand_room + more) + 256;
        sg_slot *grown = realloc(m->operands, room * sizeof *grown);
        if (!grown) return false;
        m->operands = grown;
        m->operand_room = room;
    }
    sg_slot *to = m->operands + m->operand_count;
    memcpy(to, m->binder.dest, (size_t)op->dest_count * sizeof *to);
    memcpy(to + op->dest_count, m->binder.source, (size_t)op->source_count * sizeof *to);
    m->operand_count += more;
    return true;
}

static bool bind_all(making *m, char *sentence, size_t room) {
    const sg_function *function = m->program->function;
    for (int i = 0; i < function->instruction_count; i++) {
        const sg_instruction *in = &function->instructions[i];
        sg_op *op = &m->program->ops[i];
        op->guard = in->guard;
        op->guard_negated = in->guard_negated;
        op->instruction = in;
        op->target = -1;
        sg_binder_start(&m->binder, op, in);
        const sg_family *family = family_of(in->opcode);
        const char *why = NULL;
        if (!strcmp(in->opcode, "deleted")) {
            op->run = run_nothing;
            op->kind = SG_K_CONTROL;
        } else if (!family) {
            why = "this instruction is not known";
        } else {
            why = family->bind(op, in, &m->binder);
            if (!why && m->binder.error[0]) why = m->binder.error;
            if (!why && !op->run) why = "nothing runs it";
        }
        if (why) return refuse(m, in, why, sentence, room);
        if (!keep_operands(m, op))
            return refuse(m, in, "there is no memory for it", sentence, room);
    }
    /* The array has stopped moving. */
    sg_slot *at = m->operands;
    for (int i = 0; i < m->program->op_count; i++) {
        sg_op *op = &m->program->ops[i];
        op->dest = at;
        at += op->dest_count;
        op->source = at;
        at += op->source_count;
    }
    if (sg_wgmma_watch(m->program)) return true;
    snprintf(sentence, room, "there is no memory for '%s'", function->name);
    return false;
}

/* ---- Slots. */

static const int slot_bytes[4] = {64, 192, 320, 576};

/* Lays out the file: registers, sinks, constants. slots: of each value. */
static void lay_out(making *m, sg_slot *slots, const int counts[4]) {
    sg_program *program = m->program;
    const sg_function *function = program->function;
    size_t start[4], end = 0;
    for (int c = 0; c < 4; c++) { /* one more of each class: the sink */
        start[c] = end;
        end += (size_t)(counts[c] + 1) * (size_t)slot_bytes[c];
    }
    for (int i = 0; i < function->register_count; i++) {
        const sg_class c = sg_register_class(function->registers[i].width);
        slots[i] = slots[i] < 0
                       ? -1
                       : (sg_slot)(start[c] + (size_t)slots[i] * (size_t)slot_bytes[c]) | (int)c;
    }
    for (int c = 0; c < 4; c++)
        slots[function->register_count + c] =
            (sg_slot)(start[c] + (size_t)counts[c] * (size_t)slot_bytes[c]) | c;
    for (int i = 0; i < m->binder.constant_count; i++) {
        const int c = m->binder.constants[i].slot;
        m->binder.constants[i].slot = slots[sg_value_constant(&m->binder, i)] = (sg_slot)end | c;
        end += (size_t)slot_bytes[c];
    }
    program->file_bytes = end;
    program->registers_wanted =
        counts[SG_SLOT_32] + 2 * counts[SG_SLOT_64] + 4 * counts[SG_SLOT_128];
}

static bool assign(making *m, char *sentence, size_t room) {
    sg_program *program = m->program;
    const size_t values =
        (size_t)program->function->register_count + 4 + (size_t)m->binder.constant_count;
    sg_slot *slots = malloc(values * sizeof *slots);
    int counts[4];
    if (!slots || !sg_slots_share(slots, counts, program)) {
        free(slots);
        snprintf(sentence, room, "there is no memory for the registers of '%s'",
                 program->function->name);
        return false;
    }
    lay_out(m, slots, counts);
    for (size_t i = 0; i < m->operand_count; i++)
        m->operands[i] = slots[m->operands[i]];
    for (int i = 0; i < program->op_count; i++)
        if (program->ops[i].guard >= 0) program->ops[i].guard = slots[program->ops[i].guard];
    for (int i = 0; i < program->op_count; i++)
        if (sg_is_plain_copy(&program->ops[i]) &&
            program->ops[i].dest[0] == program->ops[i].source[0])
            program->ops[i].run = run_nothing;
    free(slots);
    return true;
}

bool sg_program_make(sg_program **made, const sg_module *module, const sg_function *function,
                     uint64_t global_base, uint64_t const_base, char *sentence, size_t room) {
    *made = NULL;
    refusal = NULL;
    /* Mutants change the function that the module owns, once: its program is kept. */
    if (!sg_mutate(module, (sg_function *)function)) {
        snprintf(sentence, room, "SOFTGPU_MUTANT names a fault that '%s' cannot have",
                 function->name);
        return false;
    }
    making *m = calloc(1, sizeof *m);
    sg_program *program = calloc(1, sizeof *program);
    if (m && program)
        program->ops = calloc((size_t)function->instruction_count, sizeof *program->ops);
    if (!m || !program || !program->ops) {
        snprintf(sentence, room, "there is no memory for '%s'", function->name);
        free(m);
        free(program);
        return false;
    }
    program->module = module;
    program->function = function;
    program->op_count = function->instruction_count;
    m->program = program;
    m->binder = (sg_binder){.module = module,
                            .function = function,
                            .global_base = global_base,
                            .const_base = const_base};
    const bool ok = bind_all(m, sentence, room) && assign(m, sentence, room);
    program->memory = m->operands;
    program->constants = m->binder.constants;
    program->constant_count = m->binder.constant_count;
    free(m);
    if (!ok) {
        sg_program_free(program);
        return false;
    }
    sg_mutants_watch(program);
    *made = program;
    return true;
}

void sg_program_free(sg_program *program) {
    if (!program) return;
    free(program->ops);
    free(program->constants);
    free(program->memory);
    free(program);
}
