/* What the binding functions of the arithmetic families share. */
#include "tests/softgpu/handler.h"

const char *sg_refuse_modifier(void) {
    return "a modifier is not known";
}
const char *sg_refuse_operands(void) {
    return "this number or kind of operands is not known";
}

const char *sg_all_taken(const sg_instruction *in, int at) {
    return at == in->modifier_count ? NULL : sg_refuse_modifier();
}

sg_type sg_last_type(const sg_instruction *in) {
    int at = in->modifier_count - 1;
    return at < 0 ? SG_T_NONE : sg_take_type(in, &at);
}

const char *sg_bind_plain(sg_op *op, const sg_instruction *in, sg_binder *binder, sg_class dest,
                          sg_class source, int sources) {
    (void)op;
    if (in->operand_count != sources + 1 || in->paired) return sg_refuse_operands();
    for (int i = 0; i <= sources; i++)
        if (in->operands[i].negated) return sg_refuse_operands();
    if (!sg_add_dest(binder, &in->operands[0], dest)) return sg_bind_error(binder);
    for (int i = 1; i <= sources; i++)
        if (!sg_add_source(binder, &in->operands[i], source)) return sg_bind_error(binder);
    return NULL;
}

void sg_no_handler(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    (void)warp;
    (void)op;
    (void)lanes;
}
