/* binder: what sg_binder is, for program.c, which drives it. While an instruction is bound its
 * operands are numbers of values, not yet slots: [0, register_count) the function's registers, then
 * one sink a class, then the constants. program.c gives each value a slot when all are known.
 */
#ifndef SOFTGPU_BINDER_H
#define SOFTGPU_BINDER_H

#include "tests/softgpu/program.h"

#define SG_MOST_OPERANDS 288 /* destinations or sources of one op */

struct sg_binder {
    const sg_module *module;
    const sg_function *function;
    uint64_t global_base, const_base;
    sg_op *op;
    const sg_instruction *in;
    sg_slot dest[SG_MOST_OPERANDS], source[SG_MOST_OPERANDS];
    sg_constant *constants; /* slot: the class until it is known */
    int constant_count, constant_room;
    char error[160]; /* why the last sg_add_* returned false; else empty */
};

static inline int sg_value_sink(const sg_binder *b, sg_class class) {
    return b->function->register_count + (int)class;
}
static inline int sg_value_constant(const sg_binder *b, int index) {
    return b->function->register_count + 4 + index;
}
sg_class sg_register_class(sg_width width);

/* Before each instruction. */
void sg_binder_start(sg_binder *binder, sg_op *op, const sg_instruction *in);

#endif
