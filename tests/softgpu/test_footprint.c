/* What is counted of accesses: sectors and bank conflicts. */
#include "tests/softgpu/case.h"

static void test_sectors(void **state) {
    (void)state;
    sg_counters c;
    sg_case one = sg_case_three(1, 64);
    sg_case_wants_none(SG_CASE("", "ld.global.u32 %r1, [%at];\nst.global.u32 [%bt], %r1;"), &one,
                       &c);
    assert_int_equal(c.global_requests[0], 2);
    assert_int_equal(c.global_sectors[0], 8);
    assert_int_equal(c.global_bytes[0], 256);
    assert_int_equal(c.global_footprint[0], 256);
    assert_int_equal(c.global_sectors[1], 8);
    assert_int_equal(c.global_footprint[1], 256);
    /* A stride of 32 bytes: a sector a lane. Twice: the footprint counts once. */
    sg_case_wants_none(SG_CASE("", "mul.wide.u32 %d1, %tid, 32;\nadd.s64 %d2, %a, %d1;\n"
                                   "ld.global.u32 %r1, [%d2];\nld.global.u32 %r2, [%d2+4];"),
                       &one, &c);
    assert_int_equal(c.global_sectors[0], 128);
    assert_int_equal(c.global_bytes[0], 512);
    assert_int_equal(c.global_footprint[0], 64 * 32);
    /* Downwards, and all at one place. */
    sg_case_wants_none(SG_CASE("", "sub.s64 %d2, %a, %t8;\nld.global.u32 %r1, [%d2+252];\n"
                                   "ld.global.u32 %r2, [%a+64];"),
                       &one, &c);
    assert_int_equal(c.global_sectors[0], 8 + 2);
    assert_int_equal(c.global_footprint[0], 256);
    /* Across a boundary of sectors: five instead of four. */
    sg_case_wants_none(SG_CASE("", "ld.global.u32 %r1, [%at+4];"), &one, &c);
    assert_int_equal(c.global_sectors[0], 10);
    sg_case_wants_none(SG_CASE("", "mul.wide.u32 %d1, %tid, 16;\nadd.s64 %d2, %a, %d1;\n"
                                   "ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%d2];"),
                       &one, &c);
    assert_int_equal(c.global_sectors[0], 32);
    sg_case_give_back(&one);
}

static void test_conflicts(void **state) {
    (void)state;
    static const struct {
        const char *address, *load;
        uint64_t wanted;
    } rows[] = {
        {"shl.b32 %r1, %tid, 2;", "ld.shared.u32 %r3, [%r2];", 0},
        {"mov.u32 %r1, 64;", "ld.shared.u32 %r3, [%r2];", 0},
        {"shl.b32 %r1, %tid, 3;", "ld.shared.u32 %r3, [%r2];", 1},
        {"shl.b32 %r1, %tid, 7;", "ld.shared.u32 %r3, [%r2];", 31},
        {"mul.lo.s32 %r1, %tid, 132;", "ld.shared.u32 %r3, [%r2];", 0},
        {"shl.b32 %r1, %tid, 1;", "ld.shared.u16 %h3, [%r2];", 0},
        {"shl.b32 %r1, %tid, 3;", "ld.shared.u64 %d3, [%r2];", 0},
        {"shl.b32 %r1, %tid, 4;", "ld.shared.u64 %d3, [%r2];", 2},
        {"shl.b32 %r1, %tid, 4;", "ld.shared.v4.u32 {%r3, %r4, %r5, %r6}, [%r2];", 0},
        {"shl.b32 %r1, %tid, 7;", "ld.shared.v4.u32 {%r3, %r4, %r5, %r6}, [%r2];", 28},
        {"mul.lo.s32 %r1, %tid, 144;", "ld.shared.v4.u32 {%r3, %r4, %r5, %r6}, [%r2];", 0},
    };
    sg_case one = sg_case_three(1, 32);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[300];
        sg_counters c;
        snprintf(body, sizeof body, "%s\nmov.u32 %%r2, tile;\nadd.s32 %%r2, %%r2, %%r1;\n%s",
                 rows[i].address, rows[i].load);
        sg_case_wants_none(sg_case_text(".shared .align 16 .b8 tile[5120];", body), &one, &c);
        assert_int_equal(c.shared_requests[0], 1);
        if (c.shared_conflicts[0] != rows[i].wanted)
            fail_msg("%s %s: %d conflicts", rows[i].address, rows[i].load,
                     (int)c.shared_conflicts[0]);
    }
    sg_case_give_back(&one);
}

int main(void) {
    sg_get_options()->expect = true;
    sg_get_options()->full = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sectors),
        cmocka_unit_test(test_conflicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
