/* Programs and launches: what instructions become, what is refused and how that is said, where
 * variables lie, which launches are not possible. */
#include <stdlib.h>

#include "tests/softgpu/case.h"

static sg_module *parse(const char *ptx) {
    sg_module *module;
    char sentence[300] = "";
    if (!sg_module_parse(&module, ptx, sentence, sizeof sentence)) fail_msg("%s", sentence);
    return module;
}

static sg_program *make(const sg_module *module) {
    sg_program *program;
    char sentence[500] = "";
    if (!sg_program_make(&program, module, &module->functions[0], 0, 0, sentence, sizeof sentence))
        fail_msg("%s", sentence);
    return program;
}

#define KERNEL(body)                                                                        \
    ".version 9.0\n.target sm_80\n.address_size 64\n.extern .shared .align 16 .b8 dyn[];\n" \
    ".const .align 8 .b8 table[16];\n.global .align 8 .b8 big[32];\n"                       \
    ".entry k(.param .u64 k_a, .param .u32 k_n)\n{\n"                                       \
    ".reg .pred %p<9>;\n.reg .b16 %h<9>;\n.reg .b32 %r<99>;\n.reg .f32 %f<9>;\n"            \
    ".reg .b64 %d<9>;\n.reg .f64 %g<9>;\n.shared .align 4 .b8 tile[40];\n" body             \
    "\n}\n.file 1 \"/x/k.cu\"\n"

static void refusals(void **state) {
    (void)state;
    static const struct {
        const char *ptx, *said;
        int line; /* of the PTX */
    } cases[] = {
        {KERNEL(".loc 1 7 0\nfrobnicate.b32 %r1, %r2;\nret;"),
         "'frobnicate.b32': this instruction is not known (k.cu:7, PTX line 17)", 17},
        {KERNEL("add.weird.s32 %r1, %r2, 1;\nret;"), "'add.weird.s32': ", 16},
        {KERNEL("ret;\nadd.s32 %r1, %d2, 1;"), "a register of 64 bits stands where 32 bits must be",
         17},
        {KERNEL("add.s32 %r1, %p2, 1;\nret;"),
         "a register of a predicate stands where 32 bits must be", 16},
        {KERNEL("add.s32 5, %r1, 1;\nret;"), "a destination is no register", 16},
        {KERNEL("add.s32 %r1, %r2, {%r1, [%d1]};\nret;"),
         "a source is neither a register nor a constant", 16},
        {KERNEL("add.s32 %r1, %r2, %clock;\nret;"), "clocks change", 16},
        {KERNEL("mov.u32 %r1, big;\nret;"), "an address of 64 bits does not fit into 32", 16},
        {KERNEL("ld.global.u32 %r1, [%p1];\nret;"), "", 16},
        {KERNEL("{ .param .b32 x; call.uni f, (x); }\nret;"), "'call.uni': ", 16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sg_module *module = parse(cases[i].ptx);
        sg_program *program = (sg_program *)1;
        char sentence[500] = "";
        assert_false(sg_program_make(&program, module, &module->functions[0], 0, 0, sentence,
                                     sizeof sentence));
        assert_null(program);
        if (!strstr(sentence, cases[i].said))
            fail_msg("'%s' does not say '%s'", sentence, cases[i].said);
        assert_non_null(sg_program_refusal());
        assert_int_equal(sg_program_refusal()->ptx_line, cases[i].line);
        sg_module_free(module);
    }
}

/* The constant that source `source` of instruction `i` is. */
static const sg_constant *constant(const sg_program *p, int i, int source) {
    for (int c = 0; c < p->constant_count; c++)
        if (p->constants[c].slot == p->ops[i].source[source]) return &p->constants[c];
    fail_msg("source %d of instruction %d is no constant", source, i);
    return NULL;
}

static void constants(void **state) {
    (void)state;
    sg_module *module = parse(KERNEL("add.s32 %r1, %r1, -1;\n"         /* 0 */
                                     "add.s64 %d1, %d1, -1;\n"         /* 1 */
                                     "add.s16 %h1, %h1, -1;\n"         /* 2 */
                                     "add.f32 %f1, %f1, 0f3F800000;\n" /* 3 */
                                     "add.f32 %f1, %f1, 1.0;\n"        /* 4 */
                                     "add.f64 %g1, %g1, 0f3F800000;\n" /* 5 */
                                     "add.s32 %r1, %r1, 4294967295;\n" /* 6 */
                                     "add.s32 %r1, %r1, %tid.x;\n"     /* 7 */
                                     "add.s32 %r1, %r1, dyn;\n"        /* 8 */
                                     "add.s64 %d1, %d1, tile;\n"       /* 9 */
                                     "add.s64 %d1, %d1, k_n;\n"        /* 10 */
                                     "ld.shared.u32 %r1, [dyn+8];\n"   /* 11 */
                                     "ld.param.u32 %r1, [k_n];\n"      /* 12 */
                                     "ld.global.u32 %r1, [64];\n"      /* 13 */
                                     "ret;"));
    sg_program *p = make(module);
    assert_int_equal(constant(p, 0, 1)->bits, UINT32_MAX);
    assert_int_equal(constant(p, 1, 1)->bits, UINT64_MAX);
    assert_int_equal(constant(p, 2, 1)->bits, UINT16_MAX);
    assert_int_equal(constant(p, 3, 1)->bits, 0x3f800000);
    assert_ptr_equal(constant(p, 4, 1), constant(p, 3, 1));
    assert_int_equal(constant(p, 5, 1)->bits, 0x3ff0000000000000);
    assert_ptr_equal(constant(p, 6, 1), constant(p, 0, 1));
    assert_true(constant(p, 7, 1)->is_special);
    assert_int_equal(constant(p, 7, 1)->special, SG_TID_X);
    assert_int_equal(constant(p, 8, 1)->bits, 48); /* tile's 40 bytes, aligned for dyn */
    assert_int_equal(constant(p, 9, 1)->bits, 0);
    assert_int_equal(constant(p, 10, 1)->bits, 8);
    assert_int_equal(constant(p, 11, 0)->bits, 48);
    assert_int_equal(p->ops[11].offset, 8);
    assert_int_equal(constant(p, 12, 0)->bits, 8);
    assert_int_equal(constant(p, 13, 0)->bits + (uint64_t)p->ops[13].offset, 64);
    for (int i = 0; i < p->constant_count; i++) /* none overlaps another, or the registers */
        for (int k = 0; k < i; k++)
            assert_true((p->constants[i].slot & ~63) != (p->constants[k].slot & ~63));
    sg_program_free(p);
    sg_module_free(module);
}

static void bases(void **state) {
    (void)state;
    sg_module *module = parse(KERNEL("add.s64 %d1, %d1, big+4;\nadd.s64 %d1, %d1, table;\nret;"));
    sg_program *p;
    char sentence[200];
    assert_true(
        sg_program_make(&p, module, &module->functions[0], 1000, 2000, sentence, sizeof sentence));
    assert_int_equal(constant(p, 0, 1)->bits, 1004);
    assert_int_equal(constant(p, 1, 1)->bits, 2000);
    sg_program_free(p);
    sg_module_free(module);
}

static void register_file(void **state) {
    (void)state;
    /* Forty registers one after another, two at a time. */
    char text[6000] = "mov.u32 %r0, 1;\n";
    for (int i = 1; i < 40; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "mov.u32 %%r%d, 2;\nadd.s32 %%r%d, %%r%d, %%r%d;\n", i + 40, i, i - 1, i + 40);
    strcat(text, "st.shared.u32 [tile], %r39;\nret;");
    char ptx[8000];
    snprintf(ptx, sizeof ptx,
             ".version 9.0\n.target sm_80\n.address_size 64\n.entry k()\n{\n.reg .b32 %%r<99>;\n"
             ".shared .align 4 .b8 tile[4];\n%s\n}\n",
             text);
    sg_module *module = parse(ptx);
    sg_program *p = make(module);
    assert_int_equal(p->registers_wanted, 2);
    assert_int_equal(p->file_bytes % 64, 0);
    assert_in_range(p->file_bytes, 192, 3000);
    assert_int_equal(p->op_count, module->functions[0].instruction_count);
    for (int i = 0; i < p->op_count; i++) {
        assert_ptr_equal(p->ops[i].instruction, &module->functions[0].instructions[i]);
        for (int k = 0; k < p->ops[i].dest_count; k++)
            assert_int_equal(p->ops[i].dest[k] & 63, SG_SLOT_32);
    }
    sg_program_free(p);
    sg_module_free(module);
}

/* ---- Launches. */

#define VARIABLES                                                                              \
    ".version 9.0\n.target sm_80\n.address_size 64\n"                                          \
    ".global .align 4 .u32 counter = 7;\n.global .align 4 .b8 rows[8] = {1, 0, 0, 0, 2};\n"    \
    ".global .align 8 .u64 at = generic(rows)+4;\n.const .align 4 .b8 k3[4] = {3};\n"          \
    ".global .align 4 .b8 zeros[4];\n"                                                         \
    ".visible .entry k(.param .u64 out)\n.maxntid 64\n{\n.reg .b32 %r<9>;\n.reg .b64 %d<9>;\n" \
    "ld.param.u64 %d1, [out];\nld.global.u32 %r1, [counter];\nld.global.u64 %d2, [at];\n"      \
    "ld.global.u32 %r2, [%d2];\nld.const.u32 %r3, [k3];\nld.global.u32 %r4, [zeros];\n"        \
    "mov.u64 %d3, rows;\nld.global.u32 %r5, [%d3];\n"                                          \
    "add.s32 %r6, %r1, 1;\nst.global.u32 [counter], %r6;\n"                                    \
    "st.global.v4.u32 [%d1], {%r1, %r2, %r3, %r4};\nst.global.u32 [%d1+16], %r5;\nret;\n}\n"   \
    ".entry bad()\n{\nfrobnicate;\nret;\n}\n.func f()\n{\nret;\n}\n"

static const uint32_t one[3] = {1, 1, 1};

static void variables(void **state) {
    (void)state;
    sg_loaded *loaded;
    char sentence[300];
    const uint64_t before = sg_memory_live();
    assert_true(sg_loaded_make(&loaded, VARIABLES, sentence, sizeof sentence));
    uint64_t address, bytes;
    assert_true(sg_loaded_global(&address, &bytes, loaded, "rows"));
    assert_int_equal(bytes, 8);
    assert_false(sg_loaded_global(&address, &bytes, loaded, "nothing"));
    assert_null(sg_loaded_kernel(loaded, "nothing"));
    assert_null(sg_loaded_kernel(loaded, "f")); /* no entry */
    sg_kernel *kernel = sg_loaded_kernel(loaded, "k");
    const uint64_t out = sg_case_memory(20, false);
    for (uint32_t launch = 0; launch < 2; launch++) {
        assert_true(sg_kernel_launch(kernel, one, one, 0, &out));
        const uint32_t wanted[5] = {7 + launch, 2, 3, 0, 1};
        assert_memory_equal(sg_memory_host(out, 20, false), wanted, 20);
    }
    assert_true(sg_memory_give_back(out));
    sg_loaded_free(loaded);
    assert_int_equal(sg_memory_live(), before);
}

/* Each thread goes its own way through the table; what it held before is still there. */
static void jump_table(void **state) {
    (void)state;
    static const char ptx[] =
        SG_CASE("", "and.b32 %r1, %tid, 3;\nadd.s32 %r2, %tid, 1000;\nmov.b32 %r3, 0;\n"
                    "ts: .branchtargets L0, L1, L2, L1;\nbrx.idx %r1, ts;\n"
                    "L0: mov.b32 %r4, 5;\nadd.s32 %r3, %r4, 1;\nbra join;\n"
                    "L1: mov.b32 %r5, 7;\nadd.s32 %r6, %r5, 1;\nadd.s32 %r3, %r6, 1;\nbra join;\n"
                    "L2: mov.b32 %r3, 30;\n"
                    "join: add.s32 %r7, %r2, %r3;\nst.global.u32 [%at], %r7;");
    sg_case one_case = {.a = sg_case_memory(400, false), .blocks = 1, .threads = 100};
    assert_true(sg_case_run(ptx, &one_case, NULL));
    const uint32_t *out = (const void *)sg_memory_host(one_case.a, 400, false);
    static const uint32_t added[4] = {6, 9, 30, 9};
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(out[i], 1000 + i + added[i & 3]);
    sg_memory_give_back(one_case.a);
}

static void unknown_instruction(void **state) {
    (void)state;
    sg_loaded *loaded;
    char sentence[300];
    assert_true(sg_loaded_make(&loaded, VARIABLES, sentence, sizeof sentence));
    sg_report_clear();
    sg_kernel *kernel = sg_loaded_kernel(loaded, "bad");
    assert_int_equal(sg_report_count(), 0); /* as long as nobody launches it */
    assert_false(sg_kernel_launch(kernel, one, one, 0, NULL));
    assert_int_equal(sg_report_count(), 1);
    const sg_reported *r = sg_report_get(0);
    assert_int_equal(r->kind, SG_R_UNKNOWN);
    assert_string_equal(r->kernel, "bad");
    assert_non_null(strstr(r->sentence, "'frobnicate': this instruction is not known"));
    sg_report_clear();
    sg_loaded_free(loaded);
}

static void limits(void **state) {
    (void)state;
    static const struct {
        uint32_t blocks[3], threads[3];
        uint64_t shared;
        const char *said;
    } cases[] = {
        {{1, 1, 1}, {65, 1, 1}, 0, "(launch bounds) is 65, the limit is 64"},
        {{1, 1, 1}, {8, 4, 4}, 0, "(launch bounds) is 128, the limit is 64"},
        {{1, 1, 1}, {1025, 1, 1}, 0, "block x is 1025, the limit is 1024"},
        {{1, 1, 1}, {64, 64, 1}, 0, "the number of threads of a block is 4096"},
        {{1, 1, 1}, {1, 1, 65}, 0, "block z is 65"},
        {{1, 65536, 1}, {1, 1, 1}, 0, "grid y is 65536, the limit is 65535"},
        {{0x80000000u, 1, 1}, {1, 1, 1}, 0, "grid x"},
        {{0, 1, 1}, {1, 1, 1}, 0, "zero"},
        {{1, 1, 1}, {1, 0, 1}, 0, "zero"},
        {{1, 1, 1}, {1, 1, 1}, (163 << 10) + 1, "shared memory of a block is 166913"},
        {{1, 1, 1}, {1, 1, 1}, UINT64_MAX, "shared memory of a block"},
    };
    sg_loaded *loaded;
    char sentence[300];
    assert_true(sg_loaded_make(&loaded, VARIABLES, sentence, sizeof sentence));
    sg_kernel *kernel = sg_loaded_kernel(loaded, "k");
    const uint64_t out = sg_case_memory(20, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sg_report_clear();
        assert_false(
            sg_kernel_launch(kernel, cases[i].blocks, cases[i].threads, cases[i].shared, &out));
        assert_int_equal(sg_report_count(), 1);
        assert_int_equal(sg_report_get(0)->kind, SG_R_LAUNCH);
        if (!strstr(sg_report_get(0)->sentence, cases[i].said))
            fail_msg("'%s' does not say '%s'", sg_report_get(0)->sentence, cases[i].said);
    }
    sg_report_clear();
    assert_true(sg_kernel_launch(kernel, one, one, 163 << 10, &out));
    sg_memory_give_back(out);
    sg_loaded_free(loaded);
}

static void modules(void **state) {
    (void)state;
    static const struct {
        const char *image, *said;
    } cases[] = {{".version 9.0\n.target sm_90\n", "for sm_90"},
                 {".version 9.0\n.target sm_80\n.texref t;\n", "line 3"},
                 {".version 9.0\n.target sm_80\n.global .b8 x[1000000000000];\n",
                  "no device memory for variable 'x'"},
                 {"\177ELF", "machine code"}};
    const uint64_t before = sg_memory_live();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sg_loaded *loaded = (sg_loaded *)1;
        char sentence[300] = "";
        assert_false(sg_loaded_make(&loaded, cases[i].image, sentence, sizeof sentence));
        assert_null(loaded);
        if (!strstr(sentence, cases[i].said))
            fail_msg("'%s' does not say '%s'", sentence, cases[i].said);
    }
    assert_int_equal(sg_memory_live(), before);
}

int main(void) {
    setenv("SOFTGPU_EXPECT", "1", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals),
        cmocka_unit_test(constants),
        cmocka_unit_test(bases),
        cmocka_unit_test(register_file),
        cmocka_unit_test(variables),
        cmocka_unit_test(jump_table),
        cmocka_unit_test(unknown_instruction),
        cmocka_unit_test(limits),
        cmocka_unit_test(modules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
