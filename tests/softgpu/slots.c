#include "tests/softgpu/slots.h"

#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/binder.h"
#include "tests/softgpu/wgmma.h"

/* A basic block: instructions [first, end), and the sets of registers at its ends. */
typedef struct block {
    int first, end;
    uint64_t *use, *def; /* read before any write; surely written */
    uint64_t *in, *out;  /* may be read later */
    uint64_t *had, *has; /* may have been written: before, after */
} block;

typedef struct flow {
    const sg_program *program;
    block *blocks;
    int *block_of; /* of each instruction */
    int block_count;
    size_t words; /* of a set */
    uint64_t *sets;
} flow;

/* A register's interval: positions 2i where instruction i reads, 2i+1 where it writes. */
typedef struct interval {
    int reg, start, end;
    int copied; /* the register it is a copy of; -1: none */
} interval;

static bool has_bit(const uint64_t *set, int i) {
    return set[i >> 6] >> (i & 63) & 1;
}

static void set_bit(uint64_t *set, int i) {
    set[i >> 6] |= (uint64_t)1 << (i & 63);
}

static bool goes_on(const sg_op *op) {
    return op->guard >= 0 || !(op->flags & (SG_IS_BRANCH | SG_ENDS_LANES));
}

/* Calls visit for each instruction that this one may jump to. Whatever names a label may: brx.idx
 * is no SG_IS_BRANCH, since that flag means one target. */
static void each_target(const flow *f, int index, void (*visit)(const flow *, int, int, void *),
                        void *data) {
    const sg_op *op = &f->program->ops[index];
    for (int i = 0; i < op->instruction->operand_count; i++) {
        const sg_operand *o = &op->instruction->operands[i];
        if (o->kind == SG_LABEL) visit(f, index, o->target, data);
        for (int e = 0; o->kind == SG_VECTOR && e < o->count; e++) {
            const sg_operand *element = &f->program->function->elements[o->first + e];
            if (element->kind == SG_LABEL) visit(f, index, element->target, data);
        }
    }
}

static void mark_leader(const flow *f, int index, int target, void *leaders) {
    (void)f;
    ((bool *)leaders)[target] = ((bool *)leaders)[index + 1] = true;
}

static bool make_blocks(flow *f) {
    const int n = f->program->op_count;
    bool *leaders = calloc((size_t)n + 1, sizeof *leaders);
    f->block_of = malloc((size_t)n * sizeof *f->block_of);
    if (!leaders || !f->block_of) {
        free(leaders);
        return false;
    }
    leaders[0] = true;
    for (int i = 0; i < n; i++) {
        if (f->program->ops[i].flags & SG_ENDS_LANES) leaders[i + 1] = true;
        each_target(f, i, mark_leader, leaders);
    }
    int count = 0;
    for (int i = 0; i < n; i++)
        f->block_of[i] = (count += leaders[i]) - 1;
    free(leaders);
    f->block_count = count;
    f->blocks = calloc((size_t)count, sizeof *f->blocks);
    f->sets = calloc((size_t)count * 6 * f->words + 1, sizeof *f->sets);
    if (!f->blocks || !f->sets) return false;
    for (int i = 0; i < n; i++) {
        block *b = &f->blocks[f->block_of[i]];
        if (!b->end) b->first = i;
        b->end = i + 1;
    }
    for (int i = 0; i < count; i++) {
        uint64_t *sets = f->sets + (size_t)i * 6 * f->words;
        block *b = &f->blocks[i];
        b->use = sets;
        b->def = sets + f->words;
        b->in = sets + 2 * f->words;
        b->out = sets + 3 * f->words;
        b->had = sets + 4 * f->words;
        b->has = sets + 5 * f->words;
    }
    return true;
}

/* A guarded write leaves the old value in the other lanes: it is no def, but it has written. */
static void gather(flow *f) {
    const int registers = f->program->function->register_count;
    for (int i = 0; i < f->program->op_count; i++) {
        const sg_op *op = &f->program->ops[i];
        block *b = &f->blocks[f->block_of[i]];
        for (int k = -1; k < op->source_count; k++) {
            const int reg = k < 0 ? op->guard : op->source[k];
            if (reg >= 0 && reg < registers && !has_bit(b->def, reg)) set_bit(b->use, reg);
        }
        for (int k = 0; k < op->dest_count; k++) {
            const int reg = op->dest[k];
            if (reg >= registers) continue;
            set_bit(b->has, reg);
            if (op->guard < 0) set_bit(b->def, reg);
        }
    }
}

typedef struct joining {
    block *from;
    bool changed;
} joining;

static void join_live(const flow *f, int index, int target, void *data) {
    (void)index;
    const block *to = &f->blocks[f->block_of[target]];
    for (size_t w = 0; w < f->words; w++)
        ((block *)data)->out[w] |= to->in[w];
}

static void join_written(const flow *f, int index, int target, void *data) {
    (void)index;
    joining *j = data;
    block *to = &f->blocks[f->block_of[target]];
    for (size_t w = 0; w < f->words; w++) {
        const uint64_t more = j->from->has[w] & ~to->had[w];
        to->had[w] |= more;
        to->has[w] |= more;
        j->changed |= more != 0;
    }
}

/* Both problems to their fixpoints. */
static void solve(flow *f) {
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = f->block_count - 1; i >= 0; i--) {
            block *b = &f->blocks[i];
            each_target(f, b->end - 1, join_live, b);
            if (goes_on(&f->program->ops[b->end - 1]) && b->end < f->program->op_count)
                join_live(f, 0, b->end, b);
            for (size_t w = 0; w < f->words; w++) {
                const uint64_t in = b->use[w] | (b->out[w] & ~b->def[w]);
                changed |= in != b->in[w];
                b->in[w] = in;
            }
        }
    }
    for (joining j = {.changed = true}; j.changed;) {
        j.changed = false;
        for (int i = 0; i < f->block_count; i++) {
            j.from = &f->blocks[i];
            each_target(f, j.from->end - 1, join_written, &j);
            if (goes_on(&f->program->ops[j.from->end - 1]) && j.from->end < f->program->op_count)
                join_written(f, 0, j.from->end, &j);
        }
    }
}

static void widen(interval *v, int position) {
    if (v->start < 0 || position < v->start) v->start = position;
    if (position > v->end) v->end = position;
}

/* May the destination take a slot whose value is read here for the last time? Only where the
 * handler surely reads lane by lane before it writes. */
static bool reads_first(const sg_op *op) {
    return op->dest_count == 1 && !op->taint && !(op->flags & SG_MAY_BLOCK) &&
           op->kind <= SG_K_COMPARE;
}

static void measure(interval *intervals, const flow *f) {
    const int registers = f->program->function->register_count;
    for (int i = 0; i < registers; i++)
        intervals[i] = (interval){i, -1, -1, -1};
    for (int i = 0; i < f->block_count; i++) {
        const block *b = &f->blocks[i];
        for (size_t w = 0; w < f->words; w++) {
            const uint64_t before = b->in[w] & b->had[w], after = b->out[w] & b->has[w];
            for (uint64_t bits = before | after; bits; bits &= bits - 1) {
                const int bit = __builtin_ctzll(bits);
                interval *v = &intervals[(int)w * 64 + bit];
                if (before >> bit & 1) widen(v, 2 * b->first);
                if (after >> bit & 1) widen(v, 2 * b->end - 1);
            }
        }
    }
    for (int i = 0; i < f->program->op_count; i++) {
        const sg_op *op = &f->program->ops[i];
        for (int k = -1; k < op->source_count; k++) {
            const int reg = k < 0 ? op->guard : op->source[k];
            if (reg >= 0 && reg < registers) widen(&intervals[reg], 2 * i);
        }
        for (int k = 0; k < op->dest_count; k++) {
            if (op->dest[k] >= registers) continue;
            if (!reads_first(op)) widen(&intervals[op->dest[k]], 2 * i);
            widen(&intervals[op->dest[k]], 2 * i + 1);
            if (sg_is_plain_copy(op) && op->source[0] < registers)
                intervals[op->dest[k]].copied = op->source[0];
        }
    }
}

/* wgmma uses its registers beyond where they are named: these have slots of their own. */
static bool keep_wgmma(interval *intervals, const sg_program *program) {
    bool *kept;
    if (!sg_wgmma_registers(&kept, program)) return false;
    for (int i = 0; kept && i < program->function->register_count; i++)
        if (kept[i]) {
            intervals[i].start = 0;
            intervals[i].end = 2 * program->op_count;
        }
    free(kept);
    return true;
}

static sg_class class_of(const sg_function *function, int reg) {
    return sg_register_class(function->registers[reg].width);
}

static int by_start(const void *left, const void *right) {
    const interval *a = left, *b = right;
    if (a->start != b->start) return a->start < b->start ? -1 : 1;
    return a->reg < b->reg ? -1 : a->reg > b->reg;
}

bool sg_is_plain_copy(const sg_op *op) {
    return op->flags & SG_IS_COPY && op->dest_count == 1 && op->source_count == 1 &&
           !strcmp(op->instruction->opcode, "mov");
}

/* Linear scan (Poletto & Sarkar, TOPLAS 1999): the lowest slot that is free, but a copy stays where
 * it is if it can. */
static bool scan(int *numbers, int counts[4], interval *intervals, const sg_function *function) {
    const int registers = function->register_count;
    int *ends[4]; /* of each slot: where its register ends */
    bool ok = true;
    for (int c = 0; c < 4; c++)
        ok &= (ends[c] = malloc(((size_t)registers + 1) * sizeof **ends)) != NULL;
    qsort(intervals, (size_t)registers, sizeof *intervals, by_start);
    for (int i = 0; i < registers; i++)
        numbers[i] = -1;
    for (int i = 0; ok && i < registers; i++) {
        const interval *v = &intervals[i];
        if (v->start < 0) continue;
        const sg_class class = class_of(function, v->reg);
        int slot =
            v->copied >= 0 && class_of(function, v->copied) == class ? numbers[v->copied] : -1;
        if (slot < 0 || ends[class][slot] >= v->start) slot = 0;
        while (slot < counts[class] && ends[class][slot] >= v->start)
            slot++;
        counts[class] += slot == counts[class];
        ends[class][slot] = v->end;
        numbers[v->reg] = slot;
    }
    for (int c = 0; c < 4; c++)
        free(ends[c]);
    return ok;
}

bool sg_slots_share(int *numbers, int counts[4], const sg_program *program) {
    const size_t registers = (size_t)program->function->register_count;
    flow f = {.program = program, .words = (registers + 63) / 64};
    memset(counts, 0, 4 * sizeof *counts);
    interval *intervals = malloc((registers + 1) * sizeof *intervals);
    bool ok = intervals && make_blocks(&f);
    if (ok) {
        gather(&f);
        solve(&f);
        measure(intervals, &f);
        ok = keep_wgmma(intervals, program) && scan(numbers, counts, intervals, program->function);
    }
    free(intervals);
    free(f.blocks);
    free(f.block_of);
    free(f.sets);
    return ok;
}
