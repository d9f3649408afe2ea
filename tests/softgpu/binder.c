#include "tests/softgpu/binder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool fail(sg_binder *b, const char *why) {
    snprintf(b->error, sizeof b->error, "%s", why);
    return false;
}

void sg_binder_start(sg_binder *b, sg_op *op, const sg_instruction *in) {
    b->op = op;
    b->in = in;
    b->error[0] = '\0';
    op->dest = b->dest;
    op->source = b->source;
}

const char *sg_bind_error(const sg_binder *b) {
    return b->error[0] ? b->error : "its operands are not understood";
}

sg_class sg_register_class(sg_width width) {
    static const sg_class classes[] = {[SG_PRED] = SG_SLOT_PRED,
                                       [SG_W16] = SG_SLOT_32,
                                       [SG_W32] = SG_SLOT_32,
                                       [SG_W64] = SG_SLOT_64,
                                       [SG_W128] = SG_SLOT_128};
    return classes[width];
}

static bool push(sg_binder *b, bool dest, int value) {
    int16_t *count = dest ? &b->op->dest_count : &b->op->source_count;
    if (*count == SG_MOST_OPERANDS) return fail(b, "it has too many operands");
    (dest ? b->dest : b->source)[(*count)++] = value;
    return true;
}

static bool push_constant(sg_binder *b, sg_constant c) {
    for (int i = 0; i < b->constant_count; i++) {
        const sg_constant *k = &b->constants[i];
        if (k->slot == c.slot && k->is_special == c.is_special && k->special == c.special &&
            k->bits == c.bits)
            return push(b, false, sg_value_constant(b, i));
    }
    if (b->constant_count == b->constant_room) {
        const int room = b->constant_room ? 2 * b->constant_room : 64;
        sg_constant *more = realloc(b->constants, (size_t)room * sizeof *more);
        if (!more) return fail(b, "there is no memory for its constants");
        b->constants = more;
        b->constant_room = room;
    }
    b->constants[b->constant_count] = c;
    return push(b, false, sg_value_constant(b, b->constant_count++));
}

bool sg_add_constant(sg_binder *b, uint64_t bits, sg_class class) {
    if (class == SG_SLOT_PRED) bits = bits ? UINT32_MAX : 0; /* the slot's lanes */
    if (class == SG_SLOT_32) bits &= UINT32_MAX;
    return push_constant(b, (sg_constant){.slot = (sg_slot) class, .bits = bits});
}

static bool push_register(sg_binder *b, bool dest, const sg_operand *o, sg_class class) {
    static const char *const names[] = {"a predicate", "32 bits", "64 bits", "128 bits"};
    const sg_class is = sg_register_class(b->function->registers[o->reg].width);
    if (is == class) return push(b, dest, o->reg);
    snprintf(b->error, sizeof b->error, "a register of %s stands where %s must be", names[is],
             names[class]);
    return false;
}

static const sg_operand *elements_of(const sg_binder *b, const sg_operand *vector) {
    return &b->function->elements[vector->first];
}

const sg_operand *sg_element(const sg_binder *b, const sg_operand *vector, int i) {
    return vector->kind == SG_VECTOR && i >= 0 && i < vector->count ? elements_of(b, vector) + i
                                                                    : NULL;
}

bool sg_add_dest(sg_binder *b, const sg_operand *o, sg_class class) {
    switch (o->kind) {
    case SG_REGISTER:
        return push_register(b, true, o, class);
    case SG_SINK:
        return push(b, true, sg_value_sink(b, class));
    case SG_VECTOR:
        for (int i = 0; i < o->count; i++)
            if (!sg_add_dest(b, elements_of(b, o) + i, class)) return false;
        return true;
    default:
        return fail(b, "a destination is no register");
    }
}

/* The type of the operands is the last modifier that is one. */
static sg_type last_type(const sg_instruction *in) {
    for (int i = in->modifier_count - 1; i >= 0; i--) {
        int at = i;
        const sg_type type = sg_take_type(in, &at);
        if (type != SG_T_NONE) return type;
    }
    return SG_T_NONE;
}

static bool push_immediate(sg_binder *b, const sg_operand *o, sg_class class) {
    const sg_type type = last_type(b->in);
    uint64_t bits = o->bits;
    if (o->literal == SG_F64_BITS && class == SG_SLOT_32) { /* "1.0" where an f32 is wanted */
        double wide;
        memcpy(&wide, &bits, sizeof wide);
        const float narrow = (float)wide;
        uint32_t narrow_bits;
        memcpy(&narrow_bits, &narrow, sizeof narrow);
        bits = narrow_bits;
    } else if (o->literal == SG_F32_BITS && class == SG_SLOT_64 && type == SG_T_F64) {
        const uint32_t narrow_bits = (uint32_t)bits;
        float narrow;
        memcpy(&narrow, &narrow_bits, sizeof narrow);
        const double wide = (double)narrow;
        memcpy(&bits, &wide, sizeof wide);
    } else if (o->literal == SG_INTEGER && class == SG_SLOT_32 && sg_type_bytes(type) == 2) {
        bits &= UINT16_MAX; /* 16-bit values have an upper half of zeros */
    }
    return sg_add_constant(b, bits, class);
}

static bool push_special(sg_binder *b, const sg_operand *o, sg_class class) {
    if (o->special == SG_CLOCK || o->special == SG_CLOCK64 || o->special == SG_GLOBALTIMER)
        return fail(b, "clocks change, and this instruction does not read them anew");
    if (class != SG_SLOT_32 && class != SG_SLOT_64)
        return fail(b, "a special register does not fit here");
    return push_constant(
        b, (sg_constant){.slot = (sg_slot) class, .is_special = true, .special = o->special});
}

/* What a variable's name means as a number, before any offset. */
static uint64_t symbol_value(const sg_binder *b, const sg_operand *o) {
    if (o->of_function) return b->function->symbols[o->symbol].offset;
    const sg_symbol *s = &b->module->symbols[o->symbol];
    return s->offset + (s->space == SG_CONST ? b->const_base : b->global_base);
}

bool sg_add_source(sg_binder *b, const sg_operand *o, sg_class class) {
    switch (o->kind) {
    case SG_REGISTER:
        return push_register(b, false, o, class);
    case SG_IMMEDIATE:
        return push_immediate(b, o, class);
    case SG_SYMBOL:
        if (class == SG_SLOT_32 && !o->of_function)
            return fail(b, "an address of 64 bits does not fit into 32");
        return sg_add_constant(b, symbol_value(b, o) + (uint64_t)o->offset, class);
    case SG_SPECIAL:
        return push_special(b, o, class);
    case SG_SINK: /* ignored inputs, as in packing: b64 {r, _} */
        return sg_add_constant(b, 0, class);
    case SG_VECTOR:
        for (int i = 0; i < o->count; i++)
            if (!sg_add_source(b, elements_of(b, o) + i, class)) return false;
        return true;
    default:
        return fail(b, "a source is neither a register nor a constant");
    }
}

bool sg_add_address(sg_binder *b, const sg_operand *o) {
    if (o->kind != SG_ADDRESS) return fail(b, "an address is missing");
    b->op->offset = o->offset;
    if (o->reg >= 0) {
        const sg_class class = sg_register_class(b->function->registers[o->reg].width);
        if (class != SG_SLOT_32 && class != SG_SLOT_64)
            return fail(b, "an address register has neither 32 nor 64 bits");
        return push(b, false, o->reg);
    }
    return sg_add_constant(b, o->symbol >= 0 ? symbol_value(b, o) : 0, SG_SLOT_64);
}

bool sg_take(const sg_instruction *in, int *at, const char *modifier) {
    if (*at >= in->modifier_count || strcmp(in->modifiers[*at], modifier)) return false;
    ++*at;
    return true;
}

static const struct {
    const char *name;
    int bytes;
    sg_class class;
} types[] = {
    [SG_T_NONE] = {"", 0, SG_SLOT_32},       [SG_T_PRED] = {"pred", 0, SG_SLOT_PRED},
    [SG_T_B8] = {"b8", 1, SG_SLOT_32},       [SG_T_U8] = {"u8", 1, SG_SLOT_32},
    [SG_T_S8] = {"s8", 1, SG_SLOT_32},       [SG_T_B16] = {"b16", 2, SG_SLOT_32},
    [SG_T_U16] = {"u16", 2, SG_SLOT_32},     [SG_T_S16] = {"s16", 2, SG_SLOT_32},
    [SG_T_F16] = {"f16", 2, SG_SLOT_32},     [SG_T_BF16] = {"bf16", 2, SG_SLOT_32},
    [SG_T_B32] = {"b32", 4, SG_SLOT_32},     [SG_T_U32] = {"u32", 4, SG_SLOT_32},
    [SG_T_S32] = {"s32", 4, SG_SLOT_32},     [SG_T_F32] = {"f32", 4, SG_SLOT_32},
    [SG_T_F16X2] = {"f16x2", 4, SG_SLOT_32}, [SG_T_BF16X2] = {"bf16x2", 4, SG_SLOT_32},
    [SG_T_TF32] = {"tf32", 4, SG_SLOT_32},   [SG_T_B64] = {"b64", 8, SG_SLOT_64},
    [SG_T_U64] = {"u64", 8, SG_SLOT_64},     [SG_T_S64] = {"s64", 8, SG_SLOT_64},
    [SG_T_F64] = {"f64", 8, SG_SLOT_64},     [SG_T_B128] = {"b128", 16, SG_SLOT_128},
};

sg_type sg_take_type(const sg_instruction *in, int *at) {
    for (size_t i = SG_T_PRED; i < sizeof types / sizeof *types; i++)
        if (sg_take(in, at, types[i].name)) return (sg_type)i;
    return SG_T_NONE;
}

int sg_type_bytes(sg_type type) {
    return types[type].bytes;
}

sg_class sg_type_class(sg_type type) {
    return types[type].class;
}
