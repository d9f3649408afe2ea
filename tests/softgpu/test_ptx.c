/* The parser: what PTX text becomes, and what is said about text that is not PTX. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/softgpu/ptx.h"

#define HEAD ".version 9.0\n.target sm_80\n.address_size 64\n"

static sg_module *parse(const char *text) {
    sg_module *module;
    char sentence[300] = "";
    if (!sg_module_parse(&module, text, sentence, sizeof sentence)) fail_msg("%s", sentence);
    return module;
}

/* A kernel with this body; parameters a (u64) and n (u32). */
static sg_module *parse_body(const char *body) {
    char text[8000];
    assert_true((size_t)snprintf(text, sizeof text,
                                 HEAD ".visible .entry k(.param .u64 a, .param .u32 n)\n{\n%s\n}\n",
                                 body) < sizeof text);
    return parse(text);
}

static const sg_symbol *symbol(const sg_module *m, const char *name) {
    for (int i = 0; i < m->symbol_count; i++)
        if (!strcmp(m->symbols[i].name, name)) return &m->symbols[i];
    fail_msg("no symbol %s", name);
    return NULL;
}

static const sg_symbol *local(const sg_function *f, const char *name) {
    for (int i = 0; i < f->symbol_count; i++)
        if (!strcmp(f->symbols[i].name, name)) return &f->symbols[i];
    fail_msg("no symbol %s", name);
    return NULL;
}

static void parameters(void **state) {
    (void)state;
    sg_module *m =
        parse(HEAD ".visible .entry k(\n .param .u64 k_0,\n .param .u32 k_1,\n"
                   " .param .align 8 .b8 k_2[20],\n .param .u64 .ptr .global .align 16 k_3,\n"
                   " .param .u8 k_4)\n.maxntid 128, 2, 1\n.minnctapersm 2\n.maxnreg 64\n"
                   "{\n ret;\n}\n"
                   ".weak .entry empty()\n.reqntid 32\n{\n ret;\n}\n");
    assert_int_equal(m->target, 80);
    assert_int_equal(m->function_count, 2);
    const sg_function *f = &m->functions[0];
    assert_string_equal(f->name, "k");
    assert_true(f->entry);
    assert_int_equal(f->param_count, 5);
    const uint64_t offsets[] = {0, 8, 16, 40, 48}, bytes[] = {8, 4, 20, 8, 1};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(f->symbols[i].offset, offsets[i]);
        assert_int_equal(f->symbols[i].bytes, bytes[i]);
        assert_int_equal(f->symbols[i].space, SG_PARAM);
    }
    assert_int_equal(f->param_bytes, 49);
    assert_int_equal(f->max_threads[0] * f->max_threads[1] * f->max_threads[2], 256);
    assert_int_equal(f->required_threads[0], 0);
    assert_int_equal(m->functions[1].param_count, 0);
    assert_int_equal(m->functions[1].required_threads[0], 32);
    assert_int_equal(m->functions[1].required_threads[2], 1);
    sg_module_free(m);
}

static void variables(void **state) {
    (void)state;
    sg_module *m = parse(HEAD ".const .align 4 .f32 tab[2] = {0f3F800000, 0fC0000000};\n"
                              ".global .align 4 .u32 counter = 7;\n"
                              ".global .align 16 .b8 rows[3][2] = {1, 2, 3};\n"
                              ".global .align 8 .u64 at = generic(rows)+4;\n"
                              ".visible .global .u64 both[2] = {counter, rows+2};\n"
                              ".global .s16 low = -2;\n.global .f64 wide = 0d3FF0000000000000;\n"
                              ".global .align 4 .b8 zeros[12];\n");
    const sg_symbol *tab = symbol(m, "tab");
    assert_int_equal(tab->space, SG_CONST);
    assert_memory_equal(tab->init, ((float[]){1, -2}), 8);
    assert_int_equal(m->const_bytes, 8);
    assert_int_equal(symbol(m, "counter")->init[0], 7);
    const sg_symbol *rows = symbol(m, "rows");
    assert_int_equal(rows->offset, 16);
    assert_memory_equal(rows->init, "\1\2\3\0\0\0", 6);
    assert_memory_equal(symbol(m, "low")->init, "\376\377", 2);
    assert_memory_equal(symbol(m, "wide")->init, &(double){1}, 8);
    assert_null(symbol(m, "zeros")->init);
    assert_int_equal(symbol(m, "zeros")->bytes, 12);
    assert_int_equal(m->relocation_count, 3);
    const struct {
        const char *symbol, *target;
        uint64_t offset;
        int64_t addend;
    } wanted[] = {{"at", "rows", 0, 0}, {"both", "counter", 0, 0}, {"both", "rows", 8, 2}};
    for (int i = 0; i < 3; i++) {
        const sg_relocation *r = &m->relocations[i];
        assert_string_equal(m->symbols[r->symbol].name, wanted[i].symbol);
        assert_string_equal(m->symbols[r->target].name, wanted[i].target);
        assert_int_equal(r->offset, wanted[i].offset);
        if (i) assert_int_equal(r->addend, wanted[i].addend);
    }
    assert_int_equal(m->relocations[0].addend, 4);
    sg_module_free(m);
}

static void shared_and_local(void **state) {
    (void)state;
    sg_module *m =
        parse(HEAD ".shared .align 4 .b8 outer[12];\n"
                   ".extern .shared .align 128 .b8 dyn[];\n"
                   ".entry k()\n{\n .local .align 16 .b8 depot[20];\n .reg .b64 %rd<3>;\n"
                   " .shared .align 8 .b8 inner[24];\n mov.u64 %rd1, depot;\n"
                   " mov.u64 %rd1, outer;\n mov.u64 %rd2, outer;\n"
                   " mov.u64 %rd2, dyn+4;\n ret;\n}\n"
                   ".entry other()\n{\n ret;\n}\n");
    const sg_function *f = &m->functions[0];
    assert_int_equal(local(f, "inner")->offset, 0);
    assert_int_equal(local(f, "outer")->offset, 24);
    assert_int_equal(f->shared_bytes, 128); /* the dynamic array starts aligned */
    assert_int_equal(local(f, "dyn")->offset, 128);
    assert_true(local(f, "dyn")->dynamic);
    assert_int_equal(local(f, "depot")->bytes, 20);
    assert_int_equal(f->local_bytes, 32);
    assert_int_equal(f->symbol_count, 4);
    assert_int_equal(f->instructions[3].operands[1].offset, 4);
    assert_true(f->instructions[3].operands[1].of_function);
    assert_int_equal(m->functions[1].shared_bytes, 0);
    assert_int_equal(m->symbol_count, 0);
    sg_module_free(m);
}

static void immediates(void **state) {
    (void)state;
    static const struct {
        const char *text;
        sg_literal literal;
        uint64_t bits;
    } cases[] = {{"0", SG_INTEGER, 0},
                 {"-1", SG_INTEGER, UINT64_MAX},
                 {"0x1F", SG_INTEGER, 31},
                 {"0b101", SG_INTEGER, 5},
                 {"017", SG_INTEGER, 15},
                 {"4294967295U", SG_INTEGER, 4294967295u},
                 {"18446744073709551615", SG_INTEGER, UINT64_MAX},
                 {"0f3F800000", SG_F32_BITS, 0x3f800000},
                 {"0fBF800000", SG_F32_BITS, 0xbf800000},
                 {"-0f3F800000", SG_F32_BITS, 0xbf800000},
                 {"0d4000000000000000", SG_F64_BITS, 0x4000000000000000},
                 {"1.5", SG_F64_BITS, 0x3ff8000000000000},
                 {"-2e0", SG_F64_BITS, 0xc000000000000000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[200];
        snprintf(body, sizeof body, ".reg .b32 x;\nmov.b32 x, %s;", cases[i].text);
        sg_module *m = parse_body(body);
        const sg_operand *o = &m->functions[0].instructions[0].operands[1];
        assert_int_equal(o->kind, SG_IMMEDIATE);
        assert_int_equal(o->literal, cases[i].literal);
        assert_int_equal(o->bits, cases[i].bits);
        sg_module_free(m);
    }
}

static void operands(void **state) {
    (void)state;
    sg_module *m = parse_body(
        ".reg .pred %p<4>;\n.reg .b32 %r<10>;\n.reg .b64 %rd<5>;\n.reg .b16 h;\n.reg .b128 q;\n"
        "shfl.sync.bfly.b32 %r7|%p3, %r1, 16, 31, -1;\n"     /* 0 */
        "setp.lt.and.s32 _|%p1, %r1, %r2, !%p2;\n"           /* 1 */
        "ld.global.v4.f32 {%r1, %r2, _, %r4}, [%rd3+-16];\n" /* 2 */
        "st.shared.b32 [%r9], 0f00000000;\n"                 /* 3 */
        "ld.param.u32 %r5, [n];\n"                           /* 4 */
        "ld.param.u32 %r5, [a+4];\n"                         /* 5 */
        "ld.b32 %r5, [64];\n"                                /* 6 */
        "mov.u32 %r6, %tid.x;\nmov.u32 %r6, WARP_SZ;\n"      /* 7, 8 */
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], "
        "[%rd1, {%r2, %r3}], [%r4];\n" /* 9 */
        "@!%p1 st.b8 [%rd1], h;\n");   /* 10 */
    const sg_function *f = &m->functions[0];
    const sg_instruction *in = f->instructions;
    assert_int_equal(f->register_count, 21);
    assert_string_equal(in[0].opcode, "shfl");
    assert_int_equal(in[0].modifier_count, 3);
    assert_string_equal(in[0].modifiers[1], "bfly");
    assert_true(in[0].paired);
    assert_int_equal(in[0].operand_count, 6);
    assert_int_equal(in[0].operands[0].reg, 4 + 7);
    assert_int_equal(in[0].operands[1].reg, 3);
    assert_int_equal(in[0].operands[3].bits, 16);
    assert_int_equal(in[1].operands[0].kind, SG_SINK);
    assert_true(in[1].operands[4].negated);
    assert_false(in[2].paired);
    const sg_operand *vector = &in[2].operands[0];
    assert_int_equal(vector->kind, SG_VECTOR);
    assert_int_equal(vector->count, 4);
    assert_int_equal(f->elements[vector->first].reg, 5);
    assert_int_equal(f->elements[vector->first + 2].kind, SG_SINK);
    assert_int_equal(in[2].operands[1].kind, SG_ADDRESS);
    assert_int_equal(in[2].operands[1].offset, -16);
    assert_int_equal(in[2].operands[1].reg, 4 + 10 + 3);
    assert_int_equal(in[3].operands[0].offset, 0);
    assert_int_equal(in[4].operands[1].symbol, 1);
    assert_true(in[4].operands[1].of_function);
    assert_int_equal(in[4].operands[1].reg, -1);
    assert_int_equal(in[5].operands[1].offset, 4);
    assert_int_equal(in[6].operands[1].reg, -1);
    assert_int_equal(in[6].operands[1].symbol, -1);
    assert_int_equal(in[6].operands[1].offset, 64);
    assert_int_equal(in[7].operands[1].special, SG_TID_X);
    assert_int_equal(in[8].operands[1].special, SG_WARPSZ);
    assert_string_equal(in[9].modifiers[4], "shared::cluster");
    assert_string_equal(in[9].modifiers[6], "mbarrier::complete_tx::bytes");
    const sg_operand *tensor = &f->elements[in[9].operands[1].first];
    assert_int_equal(in[9].operands[1].count, 2);
    assert_int_equal(tensor[0].kind, SG_ADDRESS);
    assert_int_equal(tensor[1].kind, SG_VECTOR);
    assert_int_equal(f->elements[tensor[1].first + 1].reg, 4 + 3);
    assert_int_equal(in[10].guard, 1);
    assert_true(in[10].guard_negated);
    assert_int_equal(in[9].guard, -1);
    assert_int_equal(f->registers[19].width, SG_W16);
    assert_int_equal(f->registers[20].width, SG_W128);
    assert_int_equal(f->registers[0].width, SG_PRED);
    sg_module_free(m);
}

static void scopes(void **state) {
    (void)state;
    sg_module *m = parse_body(".reg .b32 t;\nmov.b32 t, 1;\n"
                              "{ .reg .b32 t; .reg .pred p;\n mov.b32 t, 2;\nWAIT:\n"
                              " @p bra DONE;\n bra WAIT;\nDONE:\n}\n"
                              "{ .reg .pred p;\nWAIT: @p bra DONE; bra WAIT;\nDONE:\n};\n"
                              "mov.b32 t, 3;\nbra END;\nEND:");
    const sg_function *f = &m->functions[0];
    const sg_instruction *in = f->instructions;
    assert_int_equal(in[0].operands[0].reg, 0);
    assert_int_equal(in[1].operands[0].reg, 1);
    assert_int_equal(in[2].operands[0].target, 4);
    assert_int_equal(in[3].operands[0].target, 2);
    assert_int_equal(in[4].operands[0].target, 6);
    assert_int_equal(in[5].operands[0].target, 4);
    assert_int_equal(in[6].operands[0].reg, 0);
    assert_int_equal(in[7].operands[0].target, 8);
    assert_int_equal(f->instruction_count, 9);
    assert_string_equal(in[8].opcode, "ret");
    sg_module_free(m);
}

static void jump_tables(void **state) {
    (void)state;
    sg_module *m = parse_body(".reg .b32 r;\nTS: .branchtargets L0, L1, L0;\nbrx.idx r, TS;\n"
                              "L0: mov.b32 r, 1;\nL1: ret;");
    const sg_function *f = &m->functions[0];
    const sg_operand *o = &f->instructions[0].operands[1];
    assert_int_equal(o->kind, SG_VECTOR);
    assert_int_equal(o->count, 3);
    const int targets[] = {1, 2, 1};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(f->elements[o->first + i].kind, SG_LABEL);
        assert_int_equal(f->elements[o->first + i].target, targets[i]);
    }
    sg_module_free(m);
}

static void places(void **state) {
    (void)state;
    sg_module *m =
        parse(HEAD ".entry k()\n{\n .reg .b32 r;\n .loc 1 5 2\n mov.b32 r, 1;\n"
                   " .loc 2 20 3, function_name $L__info, inlined_at 1 6 4\n mov.b32 r, 2;\n"
                   " .loc 3 30 5, function_name $L__info+9, inlined_at 2 20 3\n"
                   " mov.b32 r, 3;\n .loc 1 7 1\n ret;\n}\n"
                   " .file 1 \"/src/kernels/a.cu\"\n .file 2 \"b.cuh\", 17, 42\n"
                   " .file 3 \"/x/c.hpp\"\n .section .debug_str\n {\n$L__info:\n"
                   ".b8 95,90\n.b8 0\n }\n");
    static const char *const wanted[] = {
        "a.cu:5, PTX line 8", "b.cuh:20 (inlined at a.cu:6), PTX line 10",
        "c.hpp:30 (inlined at b.cuh:20, a.cu:6), PTX line 12", "a.cu:7, PTX line 14"};
    for (int i = 0; i < 4; i++) {
        char text[200];
        sg_place_text(text, sizeof text, m, &m->functions[0].instructions[i].place);
        assert_string_equal(text, wanted[i]);
    }
    char brief[8];
    sg_place_text(brief, sizeof brief, m, &m->functions[0].instructions[2].place);
    assert_string_equal(brief, "c.hpp:3");
    sg_module_free(m);
}

static void functions_and_calls(void **state) {
    (void)state;
    sg_module *m =
        parse(HEAD ".extern .func (.param .b32 back) vprintf (.param .b64 x, .param .b64 "
                   "y);\n.func (.param .b32 r) twice(.param .b32 v)\n.noreturn\n{\n ret;\n}\n"
                   ".entry k()\n{\n .reg .b64 %rd<2>;\n { .param .b64 param0;\n"
                   " st.param.b64 [param0+0], %rd1;\n"
                   " call.uni (retval0), vprintf, (param0, param0);\n }\n ret;\n}\n");
    assert_int_equal(m->function_count, 2);
    assert_false(m->functions[0].entry);
    assert_string_equal(m->functions[1].instructions[1].opcode, "call");
    assert_int_equal(m->functions[1].instructions[1].operand_count, 0);
    sg_module_free(m);
}

static void errors(void **state) {
    (void)state;
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"", "'.target' is missing"},
        {".target sm_x", "line 1"},
        {".version 9.0\n.target sm_80\n.address_size 32\n", "line 4: addresses must have 64 bits"},
        {HEAD ".texref t;", "line 4: '.texref' is not known"},
        {HEAD ".extern .global .u32 x;", "another module"},
        {HEAD ".global .u32 x = {1, 2};", "more values than room"},
        {HEAD ".global .u64 x = nowhere;", "'nowhere' is no address"},
        {HEAD ".entry k()\n{\n .reg .b32 r;\n mov.b32 r, q;\n}\n", "line 7: 'q' is not declared"},
        {HEAD ".entry k()\n{\n .reg .b32 %r<3>;\n mov.b32 %r3, 1;\n}\n", "'%r3' is not declared"},
        {HEAD ".entry k()\n{\n bra L;\n}\n", "line 6: 'L' is not declared"},
        {HEAD ".entry k()\n{\n { L: }\n bra L;\n}\n", "line 7: 'L' is not declared"},
        {HEAD ".entry k()\n{\n .reg .b32 r;\n @r ret;\n}\n", "'r' is no predicate"},
        {HEAD ".entry k()\n{\n .reg .b32 r;\n mov.b32 r, 0f12;\n}\n", "line 7"},
        {HEAD ".entry k()\n{\n .reg .b32 r;\n mov.b32 r, 1\n ret;\n}\n", "line 8: ';' is missing"},
        {HEAD ".entry k()\n{\n .reg .b32 r;\n mov.b32 r, [%tid.x];\n}\n", "is no address"},
        {HEAD ".entry k()\n{\n .reg .v2 .b32 r;\n}\n", "registers of type '.v2'"},
        {HEAD ".entry k()\n.reqnctapercluster 2\n{\n ret;\n}\n", "clusters of several blocks"},
        {HEAD ".entry k()\n{\n ret;\n", "the body of 'k' does not end"},
        {HEAD ".entry k()\n{\n ret; /* \n", "line 6"},
        {HEAD ".entry k(.param .b8 big[40000])\n{\n ret;\n}\n", "parameter 'big' is too large"},
        {HEAD ".global .align 3 .b8 x[3];\n", "power of two"},
        {HEAD ".global .b8 x[4611686018427387904][8];\n", "too large"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sg_module *m = (sg_module *)1;
        char sentence[300] = "";
        if (sg_module_parse(&m, cases[i].text, sentence, sizeof sentence))
            fail_msg("parsed: %s", cases[i].text);
        assert_null(m);
        if (!strstr(sentence, cases[i].said))
            fail_msg("'%s' does not say '%s'", sentence, cases[i].said);
    }
}

/* Text cut off anywhere, or with one byte changed, is parsed or refused; nothing else happens. */
static void damaged(void **state) {
    (void)state;
    static const char text[] =
        HEAD ".const .align 4 .f32 tab[2] = {0f3F800000, 0fC0000000};\n"
             ".extern .shared .align 16 .b8 dyn[];\n"
             ".entry k(.param .u64 a, .param .align 4 .b8 s[12])\n.maxntid 64\n{\n"
             " .reg .b32 %r<4>;\n .reg .pred p;\n .reg .b64 %rd<3>;\n"
             " .loc 1 2 3, function_name $L, inlined_at 1 4 5\n"
             "T: .branchtargets A, B;\nA: @!p ld.global.v2.b32 {%r1, _}, [%rd1+-8];\n"
             " { .reg .b32 t; mov.b32 t, -1; shfl.sync.idx.b32 %r1|p, t, 0x1f, 31, 1.0; }\n"
             "B: brx.idx %r1, T;\n st.shared.b32 [dyn+4], tab;\n}\n.file 1 \"x.cu\"\n"
             ".section .debug_str { .b8 1,2 }\n";
    const size_t length = sizeof text - 1;
    int parsed = 0;
    for (size_t cut = 0; cut < 2 * length; cut++) {
        char *copy = malloc(length + 1); /* exactly as long: a sanitizer sees reads beyond */
        assert_non_null(copy);
        memcpy(copy, text, length + 1);
        if (cut < length)
            copy[cut] = '\0';
        else
            copy[cut - length] = "{}[];,.%$9"[cut % 10];
        sg_module *m;
        char sentence[300] = "";
        if (sg_module_parse(&m, copy, sentence, sizeof sentence))
            parsed++;
        else
            assert_true(!m && strstr(sentence, "PTX line "));
        sg_module_free(m);
        free(copy);
    }
    assert_in_range(parsed, 1, length);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters),
        cmocka_unit_test(variables),
        cmocka_unit_test(shared_and_local),
        cmocka_unit_test(immediates),
        cmocka_unit_test(operands),
        cmocka_unit_test(scopes),
        cmocka_unit_test(jump_tables),
        cmocka_unit_test(places),
        cmocka_unit_test(functions_and_calls),
        cmocka_unit_test(errors),
        cmocka_unit_test(damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
