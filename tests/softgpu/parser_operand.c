#include <string.h>

#include "tests/softgpu/parser.h"

#define MOST_ELEMENTS 264 /* of a vector: wgmma's accumulators are 128 */

static bool find_special(sg_special *special, const char *name) {
    static const char *const names[SG_SPECIALS] = {
        [SG_TID_X] = "%tid.x",
        [SG_TID_Y] = "%tid.y",
        [SG_TID_Z] = "%tid.z",
        [SG_NTID_X] = "%ntid.x",
        [SG_NTID_Y] = "%ntid.y",
        [SG_NTID_Z] = "%ntid.z",
        [SG_CTAID_X] = "%ctaid.x",
        [SG_CTAID_Y] = "%ctaid.y",
        [SG_CTAID_Z] = "%ctaid.z",
        [SG_NCTAID_X] = "%nctaid.x",
        [SG_NCTAID_Y] = "%nctaid.y",
        [SG_NCTAID_Z] = "%nctaid.z",
        [SG_LANEID] = "%laneid",
        [SG_WARPID] = "%warpid",
        [SG_NWARPID] = "%nwarpid",
        [SG_SMID] = "%smid",
        [SG_NSMID] = "%nsmid",
        [SG_LANEMASK_EQ] = "%lanemask_eq",
        [SG_LANEMASK_LE] = "%lanemask_le",
        [SG_LANEMASK_LT] = "%lanemask_lt",
        [SG_LANEMASK_GE] = "%lanemask_ge",
        [SG_LANEMASK_GT] = "%lanemask_gt",
        [SG_CLOCK] = "%clock",
        [SG_CLOCK64] = "%clock64",
        [SG_GLOBALTIMER] = "%globaltimer",
        [SG_DYNAMIC_SMEM_SIZE] = "%dynamic_smem_size",
        [SG_TOTAL_SMEM_SIZE] = "%total_smem_size",
        [SG_WARPSZ] = "WARP_SZ",
        [SG_CLUSTER_CTAID_X] = "%cluster_ctaid.x",
        [SG_CLUSTER_CTAID_Y] = "%cluster_ctaid.y",
        [SG_CLUSTER_CTAID_Z] = "%cluster_ctaid.z",
        [SG_CLUSTER_NCTAID_X] = "%cluster_nctaid.x",
        [SG_CLUSTER_NCTAID_Y] = "%cluster_nctaid.y",
        [SG_CLUSTER_NCTAID_Z] = "%cluster_nctaid.z",
        [SG_CLUSTERID_X] = "%clusterid.x",
        [SG_CLUSTERID_Y] = "%clusterid.y",
        [SG_CLUSTERID_Z] = "%clusterid.z",
        [SG_NCLUSTERID_X] = "%nclusterid.x",
        [SG_NCLUSTERID_Y] = "%nclusterid.y",
        [SG_NCLUSTERID_Z] = "%nclusterid.z",
        [SG_CLUSTER_CTARANK] = "%cluster_ctarank",
        [SG_CLUSTER_NCTARANK] = "%cluster_nctarank",
    };
    for (int i = 0; i < SG_SPECIALS; i++)
        if (names[i] && !strcmp(names[i], name)) {
            *special = (sg_special)i;
            return true;
        }
    return false;
}

/* What a name stands for; a label that may come later is left to the end of the function. */
static bool read_word(sg_operand *o, sg_parser *p, sg_ref *ref) {
    const int line = p->token.line;
    const char *name = sg_parser_name(p);
    if (!name) return false;
    if (name[0] == '_' && !name[1]) {
        o->kind = SG_SINK;
        return true;
    }
    int index;
    const sg_binding *b = sg_parser_find(p, name, &index);
    if (b && b->is_register) {
        o->kind = SG_REGISTER;
        o->reg = index;
    } else if (b) {
        o->kind = SG_SYMBOL;
        o->of_function = b->of_function || index < 0;
        if (index < 0 && (index = sg_parser_adopt(p, -index - 1)) < 0) return false;
        o->symbol = index;
    } else if (find_special(&o->special, name)) {
        o->kind = SG_SPECIAL;
    } else {
        o->kind = SG_LABEL;
        o->target = -1;
        *ref = (sg_ref){.name = name, .scope = p->scope, .line = line};
    }
    return true;
}

static bool read_number(sg_operand *o, sg_parser *p) {
    o->kind = SG_IMMEDIATE;
    bool negative = false;
    while (sg_parser_is(p, '-') || sg_parser_is(p, '+')) {
        negative ^= p->token.mark == '-';
        sg_parser_next(p);
    }
    if (p->failed || p->token.kind != SG_TOKEN_NUMBER)
        return sg_parser_fail(p, "an operand is missing before '%.*s'", p->token.length,
                              p->token.text);
    o->literal = p->token.literal;
    o->bits = p->token.bits;
    if (negative)
        o->bits = o->literal == SG_INTEGER    ? 0 - o->bits
                  : o->literal == SG_F32_BITS ? o->bits ^ 0x80000000u
                                              : o->bits ^ (uint64_t)1 << 63;
    sg_parser_next(p);
    return !p->failed;
}

static bool read_offset(sg_operand *o, sg_parser *p) {
    while (sg_parser_is(p, '+') || sg_parser_is(p, '-')) {
        int64_t value;
        sg_parser_take(p, '+'); /* "+-4" is one offset */
        if (!sg_parser_integer(&value, p)) return false;
        o->offset += value;
    }
    return !p->failed;
}

static const sg_operand nothing = {.reg = -1, .symbol = -1, .target = -1};

/* Appends a vector's elements, which must lie side by side, and what they refer to. */
static bool close_vector(sg_operand *o, sg_parser *p, const sg_operand *elements,
                         const sg_ref *refs, int count) {
    o->kind = SG_VECTOR;
    o->first = p->elements.count;
    o->count = count;
    for (int i = 0; i < count; i++) {
        sg_operand *e = SG_MORE(p, p->elements);
        if (!e) return false;
        *e = elements[i];
        if (!refs[i].name) continue;
        sg_ref *r = SG_MORE(p, p->refs);
        if (!r) return false;
        *r = refs[i];
        r->instruction = -1;
        r->operand = o->first + i;
    }
    return true;
}

static bool read_operand(sg_operand *o, sg_parser *p, sg_ref *ref, int depth);

static bool read_vector(sg_operand *o, sg_parser *p, int depth) {
    sg_operand elements[MOST_ELEMENTS];
    sg_ref refs[MOST_ELEMENTS];
    int count = 0;
    if (depth > 2) return sg_parser_fail(p, "vectors are nested too deeply");
    if (!sg_parser_take(p, '}')) {
        do {
            if (count == MOST_ELEMENTS) return sg_parser_fail(p, "this vector is too long");
            refs[count].name = NULL;
            if (!read_operand(&elements[count], p, &refs[count], depth + 1)) return false;
            count++;
        } while (sg_parser_take(p, ','));
        if (!sg_parser_expect(p, '}')) return false;
    }
    return close_vector(o, p, elements, refs, count);
}

/* [reg+4], [symbol], [64]; [reg, {a, b}] is a vector of the address and of the coordinates. */
static bool read_address(sg_operand *o, sg_parser *p, int depth) {
    sg_ref refs[2] = {{.name = NULL}, {.name = NULL}};
    if (!p->failed && p->token.kind == SG_TOKEN_WORD) {
        const int line = p->token.line;
        if (!read_word(o, p, &refs[0])) return false;
        if (o->kind != SG_REGISTER && o->kind != SG_SYMBOL)
            return sg_parser_fail_at(p, line, "'%s' is no address",
                                     refs[0].name ? refs[0].name : "this");
        if (!read_offset(o, p)) return false;
    } else if (!sg_parser_integer(&o->offset, p) || !read_offset(o, p)) {
        return false;
    }
    o->kind = SG_ADDRESS;
    if (sg_parser_take(p, ',')) {
        sg_operand pair[2] = {*o, nothing};
        if (!sg_parser_expect(p, '{') || !read_vector(&pair[1], p, depth + 1)) return false;
        *o = nothing;
        if (!close_vector(o, p, pair, refs, 2)) return false;
    }
    return sg_parser_expect(p, ']');
}

static bool read_operand(sg_operand *o, sg_parser *p, sg_ref *ref, int depth) {
    *o = nothing;
    if (sg_parser_take(p, '{')) return read_vector(o, p, depth);
    if (sg_parser_take(p, '[')) return read_address(o, p, depth);
    if (sg_parser_take(p, '!')) o->negated = true;
    if (!p->failed && p->token.kind == SG_TOKEN_WORD) {
        if (!read_word(o, p, ref)) return false;
        return o->kind != SG_SYMBOL || read_offset(o, p);
    }
    return !o->negated && read_number(o, p);
}

bool sg_parser_operands(sg_parser *p, sg_instruction *in) {
    if (sg_parser_take(p, ';')) return true;
    do {
        for (bool more = true; more;) {
            if (in->operand_count == SG_MAX_OPERANDS)
                return sg_parser_fail(p, "'%s' has too many operands", in->opcode);
            sg_ref ref = {.name = NULL};
            if (!read_operand(&in->operands[in->operand_count], p, &ref, 0))
                return sg_parser_fail(p, "'%s' has an operand that is not PTX", in->opcode);
            if (ref.name) {
                sg_ref *r = SG_MORE(p, p->refs);
                if (!r) return false;
                *r = ref;
                r->instruction = p->instructions.count - 1;
                r->operand = in->operand_count;
            }
            in->operand_count++;
            more = sg_parser_take(p, '|');
            in->paired |= more;
        }
    } while (sg_parser_take(p, ','));
    return sg_parser_expect(p, ';');
}
