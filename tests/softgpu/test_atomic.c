/* Atomics: what each leaves and gives. */
#include "tests/softgpu/case.h"

static void test_atomics(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t before, wanted, old;
    } atomics[] = {
        {"atom.global.add.u32 %r1, [%a], 5;", 0xfffffffe, 3, 0xfffffffe},
        {"atom.global.add.s32 %r1, [%a], -5;", 3, 0xfffffffe, 3},
        {"atom.global.add.u64 %d1, [%a], 5;", 0xfffffffe, 0x100000003, 0xfffffffe},
        {"atom.global.min.s32 %r1, [%a], -5;", 3, 0xfffffffb, 3},
        {"atom.global.min.u32 %r1, [%a], -5;", 3, 3, 3},
        {"atom.global.max.s32 %r1, [%a], -5;", 3, 3, 3},
        {"atom.global.max.u32 %r1, [%a], 9;", 3, 9, 3},
        {"atom.global.max.s64 %d1, [%a], -1;", 1ull << 63, UINT64_MAX, 1ull << 63},
        {"atom.global.min.u64 %d1, [%a], 4;", 1ull << 63, 4, 1ull << 63},
        {"atom.global.and.b32 %r1, [%a], 12;", 10, 8, 10},
        {"atom.global.or.b32 %r1, [%a], 12;", 10, 14, 10},
        {"atom.global.xor.b64 %d1, [%a], 12;", 10, 6, 10},
        {"atom.global.inc.u32 %r1, [%a], 10;", 10, 0, 10},
        {"atom.global.inc.u32 %r1, [%a], 11;", 10, 11, 10},
        {"atom.global.dec.u32 %r1, [%a], 10;", 0, 10, 0},
        {"atom.global.dec.u32 %r1, [%a], 10;", 11, 10, 11},
        {"atom.global.dec.u32 %r1, [%a], 10;", 4, 3, 4},
        {"atom.global.exch.b32 %r1, [%a], 8;", 4, 8, 4},
        {"atom.global.exch.b64 %d1, [%a], 8;", 1ull << 40, 8, 1ull << 40},
        {"atom.global.cas.b32 %r1, [%a], 4, 9;", 4, 9, 4},
        {"atom.global.cas.b32 %r1, [%a], 5, 9;", 4, 4, 4},
        {"atom.global.cas.b64 %d1, [%a], 4, 9;", 4, 9, 4},
        {"mov.u16 %h1, 4; mov.u16 %h2, 9; atom.global.cas.b16 %h3, [%a], %h1, %h2;"
         "cvt.u32.u16 %r1, %h3;",
         0x10004, 0x10009, 4},
        {"atom.acq_rel.gpu.global.add.u32 %r1, [%a], 1;", 1, 2, 1},
        {"atom.global.sys.cas.b32 %r1, [%a], 1, 2;", 1, 2, 1},
        {"atom.relaxed.sys.add.u32 %r1, [%a], 1;", 1, 2, 1},
        {"mov.u32 %r1, 0; red.global.add.u32 [%a], 6;", 1, 7, 0},
        {"mov.u32 %r1, 0; red.release.gpu.global.max.u32 [%a], 6;", 1, 6, 0},
        /* 1.0 + 2^-24 is a tie and goes to even; subnormals go in global memory. */
        {"atom.global.add.f32 %r1, [%a], 0f33800000;", 0x3f800000, 0x3f800000, 0x3f800000},
        {"atom.global.add.f32 %r1, [%a], 0f3F800000;", 0x40000000, 0x40400000, 0x40000000},
        {"atom.global.add.f32 %r1, [%a], 0f00000001;", 0x80000002, 0x00000000, 0x80000002},
        /* bf16: 1 + 1 | 256 + 1 rounds to even; f16: 1 + 2 | 2048 + 1 */
        {"mov.u32 %r2, 0x3f803f80; atom.global.add.noftz.bf16x2 %r1, [%a], %r2;", 0x3f804380,
         0x40004380, 0x3f804380},
        {"mov.u32 %r2, 0x40003c00; atom.global.add.noftz.f16x2 %r1, [%a], %r2;", 0x3c006800,
         0x42006800, 0x3c006800},
        {"mov.u32 %r1, 0; mov.u16 %h1, 0x3f80; red.global.add.noftz.bf16 [%a], %h1;", 0x7f7f,
         0x7f7f, 0},
    };
    sg_case one = sg_case_three(1, 1);
    uint64_t *a = (void *)sg_memory_host(one.a, 8, true);
    uint64_t *b = (void *)sg_memory_host(one.b, 8, true);
    for (size_t i = 0; i < sizeof atomics / sizeof *atomics; i++) {
        char body[400];
        a[0] = atomics[i].before;
        snprintf(body, sizeof body, "%s\n%s\nst.global.u64 [%%b], %%d1;", atomics[i].text,
                 strstr(atomics[i].text, "%d1") ? "" : "cvt.u64.u32 %d1, %r1;");
        sg_case_wants_none(sg_case_text("", body), &one, NULL);
        if (a[0] != atomics[i].wanted || b[0] != atomics[i].old)
            fail_msg("%s left %#llx and gave %#llx", atomics[i].text, (unsigned long long)a[0],
                     (unsigned long long)b[0]);
    }
    /* Everybody's turn, once; shared memory too. */
    one.threads = 256;
    one.blocks = 3;
    a[0] = 0;
    sg_case_wants_none(
        SG_CASE(".shared .align 4 .b8 sum[4];",
                "setp.eq.s32 %p1, %tid, 0;\n@%p1 st.shared.u32 [sum], 0;\nbar.sync 0;\n"
                "red.shared.add.u32 [sum], %tid;\nbar.sync 0;\n@%p1 ld.shared.u32 %r1, "
                "[sum];\n@%p1 red.global.add.u32 [%a], %r1;"),
        &one, NULL);
    assert_int_equal(a[0], 3 * 255 * 128);
    sg_case_give_back(&one);
}

int main(void) {
    sg_get_options()->expect = true;
    sg_get_options()->full = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_atomics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
