/* Memory: blocks, what loads and stores do, what is wrong with an access. */
#include "tests/softgpu/case.h"

/* ---- Blocks. */

static void test_blocks(void **state) {
    (void)state;
    uint64_t live = sg_memory_live(), a, b, free_bytes, total, before;
    sg_memory_free_bytes(&before, &total);
    assert_true(sg_memory_take(&a, 4096, "first"));
    assert_true(sg_memory_take(&b, 3, "second"));
    sg_memory_free_bytes(&free_bytes, &total);
    assert_int_equal(before - free_bytes, 4099);
    assert_int_equal(a % 512, 0);
    assert_int_equal(b % 512, 0);
    assert_true(b >= a + 4096 + 512);
    assert_int_equal(sg_memory_live(), live + 2);
    assert_int_equal(sg_memory_unwritten(a, 4096), 4096);
    assert_int_equal(*sg_memory_host(a, 1, false), 0xff);
    assert_non_null(sg_memory_host(a + 8, 100, true));
    assert_int_equal(sg_memory_unwritten(a, 4096), 4096 - 100);
    assert_non_null(sg_memory_host(a + 4095, 1, false));
    assert_null(sg_memory_host(a + 4095, 2, false));
    assert_null(sg_memory_host(a - 1, 1, false));
    assert_null(sg_memory_host(a, UINT64_MAX, false));
    assert_false(sg_memory_give_back(a + 1));
    assert_true(sg_memory_give_back(a));
    assert_false(sg_memory_give_back(a));
    assert_null(sg_memory_host(a, 1, false));
    assert_true(sg_memory_give_back(b));
    assert_false(sg_memory_take(&a, 0, "nothing"));
    assert_false(sg_memory_take(&a, total + 1, "too much"));
    assert_false(sg_memory_take(&a, UINT64_MAX, "too much"));
    assert_int_equal(sg_memory_live(), live);
}

static void test_large_block(void **state) {
    (void)state;
    uint64_t a, bytes = (40ull << 20) + 12345;
    assert_true(sg_memory_take(&a, bytes, "large"));
    unsigned char *host = sg_memory_host(a, bytes, false);
    for (uint64_t i = 0; i < bytes; i += 4095)
        assert_int_equal(host[i], 0xff);
    assert_int_equal(host[bytes - 1], 0xff);
    host[17 << 20] = 1;
    assert_int_equal(host[1 << 20], 0xff);
    assert_int_equal(sg_memory_unwritten(a, bytes), bytes);
    sg_memory_host(a + 1, bytes - 2, true);
    assert_int_equal(sg_memory_unwritten(a, bytes), 2);
    assert_true(sg_memory_give_back(a));
}

static void test_pinned(void **state) {
    (void)state;
    void *pointer;
    assert_true(sg_memory_take_host(&pointer, 100));
    uint64_t a = (uint64_t)(uintptr_t)pointer;
    assert_int_equal(sg_memory_unwritten(a, 100), 0);
    assert_ptr_equal(sg_memory_host(a, 100, false), pointer);
    assert_null(sg_memory_host(a, 101, false));
    ((uint32_t *)pointer)[3] = 77;
    sg_case one = sg_case_three(1, 1);
    uint64_t kept = one.a;
    one.a = a;
    sg_case_wants_none(SG_CASE("", "ld.global.u32 %r1, [%a+12];\nst.global.u32 [%a+16], %r1;"),
                       &one, NULL);
    assert_int_equal(((uint32_t *)pointer)[4], 77);
    sg_case_wants(SG_CASE("", SG_LINE(1) "ld.global.u32 %r1, [%a+100];"), &one, SG_R_BOUNDS,
                  "0 bytes past the end of a block of 100 bytes (pinned host memory");
    one.a = kept;
    sg_case_give_back(&one);
    assert_true(sg_memory_give_back(a));
}

/* ---- Wrong addresses. */

static void test_wrong_addresses(void **state) {
    (void)state;
    sg_case one = sg_case_three(1, 32);
    sg_case_wants(SG_CASE("", SG_LINE(1) "st.global.u32 [%at+4096], %tid;"), &one, SG_R_BOUNDS,
                  "lane 0 writes 4 bytes at global address");
    sg_case_wants(SG_CASE("", SG_LINE(1) "st.global.u32 [%at+4096], %tid;"), &one, SG_R_BOUNDS,
                  "0 bytes past the end of a block of 4,096 bytes (test memory");
    sg_case_wants(SG_CASE("", SG_LINE(1) "ld.global.u32 %r1, [%at+3972];"), &one, SG_R_BOUNDS,
                  "lane 31 reads 4 bytes");
    sg_case_wants(SG_CASE("", SG_LINE(1) "ld.global.u32 %r1, [%at+-16];"), &one, SG_R_BOUNDS,
                  "16 bytes before the start of a block of 4,096 bytes");
    sg_case_wants(SG_CASE("", SG_LINE(1) "ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%a+4088];"), &one,
                  SG_R_ALIGNMENT, "no multiple of 16");
    sg_case_wants(SG_CASE("", "add.s64 %d1, %a, 2;" SG_LINE(1) "st.global.u32 [%d1], %tid;"), &one,
                  SG_R_ALIGNMENT, "no multiple of 4");
    sg_case_wants(SG_CASE("", "mov.u64 %d1, 8;" SG_LINE(1) "ld.global.u32 %r1, [%d1];"), &one,
                  SG_R_BOUNDS, "a null pointer plus 8");
    int on_the_stack = 3;
    sg_case host = one;
    host.a = (uint64_t)(uintptr_t)&on_the_stack;
    sg_case_wants(SG_CASE("", SG_LINE(1) "ld.global.u32 %r1, [%a];"), &host, SG_R_BOUNDS,
                  "host memory?");
    host.a = sg_case_memory(64, true);
    assert_true(sg_memory_give_back(host.a));
    sg_case_wants(SG_CASE("", SG_LINE(1) "ld.global.u32 %r1, [%a+8];"), &host, SG_R_FREED,
                  "8 bytes into a freed block of 64 bytes");
    /* The good lanes of a bad access are served. */
    sg_case_wants(SG_CASE("", SG_LINE(1) "st.global.u32 [%at+4092], 9;"), &one, SG_R_BOUNDS,
                  "lane 1 writes");
    assert_int_equal(*(uint32_t *)(void *)sg_memory_host(one.a + 4092, 4, false), 9);
    sg_case_give_back(&one);
}

static void test_spaces(void **state) {
    (void)state;
    sg_case one = sg_case_three(1, 32);
#define S ".shared .align 16 .b8 tile[128];"
    sg_case_wants(SG_CASE(S, "cvt.u64.u32 %d1, %t4;\nadd.s64 %d2, %a, %d1;" SG_LINE(
                                 1) "st.shared.u32 [%d2], %tid;"),
                  &one, SG_R_SPACE, "an address of global memory");
    sg_case_wants(SG_CASE(S, "mov.u64 %d1, tile;\ncvta.shared.u64 %d2, %d1;" SG_LINE(
                                 1) "st.global.u32 [%d2], 1;"),
                  &one, SG_R_SPACE, "an address of shared memory");
    sg_case_wants(SG_CASE(S, "mov.u64 %d1, tile;\ncvta.shared.u64 %d2, %d1;" SG_LINE(
                                 1) "st.shared.u32 [%d2], 1;"),
                  &one, SG_R_SPACE, "not converted");
    sg_case_wants(SG_CASE(S, "mov.u32 %r1, tile;\nadd.s32 %r1, %r1, %t4;" SG_LINE(
                                 1) "st.shared.u32 [%r1+16], 1;"),
                  &one, SG_R_BOUNDS, "0 bytes past the end of the 128 bytes of shared memory");
    sg_case_wants_none(
        SG_CASE(S, "mov.u64 %d1, tile;\ncvta.shared.u64 %d2, %d1;\nadd.s64 %d2, %d2, %t8;\n"
                   "st.u32 [%d2], %tid;\nld.u32 %r1, [%d2];\nst.u32 [%at], %r1;"),
        &one, NULL);
    uint32_t *a = (void *)sg_memory_host(one.a, 128, false);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(a[i], i);
#undef S
    /* Local memory is each lane's own. */
    sg_case_wants_none(
        SG_CASE(".local .align 4 .b8 own[8];",
                "mov.u64 %d1, own;\nadd.s32 %r1, %tid, 5;\nst.local.u32 [%d1+4], %r1;\n"
                "cvta.local.u64 %d2, %d1;\nld.u32 %r2, [%d2+4];\nst.global.u32 [%at], %r2;"),
        &one, NULL);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(a[i], i + 5);
    sg_case_wants(SG_CASE(".local .align 4 .b8 own[8];",
                          "mov.u64 %d1, own;" SG_LINE(1) "st.local.u32 [%d1+16], 1;"),
                  &one, SG_R_BOUNDS, "0 bytes past the end of the 16 bytes of local memory");
    sg_case_give_back(&one);
}

/* ---- Values. */

static void test_widths(void **state) {
    (void)state;
    /* type, register of the load, type of the store, what 0x8182838485868788 at [a] gives */
    static const struct {
        const char *load;
        uint64_t wanted;
    } loads[] = {
        {"ld.global.u8 %h1, [%a];\ncvt.u64.u16 %d1, %h1;", 0x88},
        {"ld.global.s8 %h1, [%a];\ncvt.u64.u16 %d1, %h1;", 0xff88},
        {"ld.global.s8 %r1, [%a];\ncvt.u64.u32 %d1, %r1;", 0xffffff88},
        {"ld.global.b8 %r1, [%a+1];\ncvt.u64.u32 %d1, %r1;", 0x87},
        {"ld.global.u8 %d1, [%a+7];", 0x81},
        {"ld.global.s8 %d1, [%a+7];", 0xffffffffffffff81},
        {"ld.global.b16 %h1, [%a+2];\ncvt.u64.u16 %d1, %h1;", 0x8586},
        {"ld.global.s16 %r1, [%a];\ncvt.u64.u32 %d1, %r1;", 0xffff8788},
        {"ld.global.u16 %r1, [%a];\ncvt.u64.u32 %d1, %r1;", 0x8788},
        {"ld.global.s16 %d1, [%a];", 0xffffffffffff8788},
        {"ld.global.f32 %f1, [%a];\nmov.b32 %r1, %f1;\ncvt.u64.u32 %d1, %r1;", 0x85868788},
        {"ld.global.s32 %d1, [%a+4];", 0xffffffff81828384},
        {"ld.global.u32 %d1, [%a+4];", 0x81828384},
        {"ld.global.nc.L1::no_allocate.L2::128B.u64 %d1, [%a];", 0x8182838485868788},
        {"ld.volatile.global.b64 %d1, [%a];", 0x8182838485868788},
        {"ld.relaxed.gpu.global.b64 %d1, [%a];", 0x8182838485868788},
        {"ld.acquire.sys.global.u32 %d1, [%a];", 0x85868788},
        {"ld.global.ca.v2.u16 {%h1, %h2}, [%a+4];\ncvt.u64.u16 %d1, %h2;", 0x8182},
        {"ld.global.cg.v2.u32 {%r1, %r2}, [%a];\ncvt.u64.u32 %d1, %r2;", 0x81828384},
        {"ld.global.v4.u8 {%h1, %h2, %h3, %h4}, [%a];\ncvt.u64.u16 %d1, %h3;", 0x86},
        {"ld.global.v2.u64 {%d2, %d1}, [%a];", 0x1122334455667788},
        {"ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%a];\ncvt.u64.u32 %d1, %r4;", 0x11223344},
    };
    sg_case one = sg_case_three(1, 1);
    uint64_t *a = (void *)sg_memory_host(one.a, 16, true);
    uint64_t *b = (void *)sg_memory_host(one.b, 16, true);
    a[0] = 0x8182838485868788;
    a[1] = 0x1122334455667788;
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
        char body[256];
        snprintf(body, sizeof body, "%s\nst.global.u64 [%%b], %%d1;", loads[i].load);
        sg_case_wants_none(sg_case_text("", body), &one, NULL);
        if (b[0] != loads[i].wanted)
            fail_msg("%s gave %#llx", loads[i].load, (unsigned long long)b[0]);
    }
    static const struct {
        const char *store;
        uint64_t wanted; /* over ff bytes; %d1 holds 0x1122334455667788, %r1 and %h1 its end */
    } stores[] = {
        {"st.global.u8 [%b], %h1;", 0xffffffffffffff88},
        {"st.global.b8 [%b+1], %r1;", 0xffffffffffff88ff},
        {"st.global.u8 [%b], %d1;", 0xffffffffffffff88},
        {"st.global.b16 [%b+2], %h1;", 0xffffffff7788ffff},
        {"st.global.u16 [%b+2], %r1;", 0xffffffff7788ffff},
        {"st.global.s32 [%b+4], %r1;", 0x55667788ffffffff},
        {"st.global.u32 [%b+4], 7;", 0x00000007ffffffff},
        {"st.global.f32 [%b], 0f3F800000;", 0xffffffff3f800000},
        {"st.volatile.global.u64 [%b], %d1;", 0x1122334455667788},
        {"st.release.gpu.global.u32 [%b], %r1;", 0xffffffff55667788},
        {"st.global.v2.b16 [%b], {%h1, %h1};", 0xffffffff77887788},
        {"st.global.cs.v4.u8 [%b], {%h1, %h2, %h1, %h2};", 0xffffffff00880088},
        {"st.global.wt.v2.u32 [%b], {%r1, %r2};", 0x0000000555667788},
    };
    for (size_t i = 0; i < sizeof stores / sizeof *stores; i++) {
        char body[256];
        b[0] = UINT64_MAX;
        snprintf(body, sizeof body,
                 "mov.u64 %%d1, 0x1122334455667788;\ncvt.u32.u64 %%r1, %%d1;\n"
                 "cvt.u16.u64 %%h1, %%d1;\nmov.u32 %%r2, 5;\nmov.u16 %%h2, 0;\n%s",
                 stores[i].store);
        sg_case_wants_none(sg_case_text("", body), &one, NULL);
        if (b[0] != stores[i].wanted)
            fail_msg("%s left %#llx", stores[i].store, (unsigned long long)b[0]);
    }
    sg_case_give_back(&one);
}

static void test_vectors_of_all_lanes(void **state) {
    (void)state;
    sg_case one = sg_case_three(1, 64);
    uint32_t *a = (void *)sg_memory_host(one.a, 4096, true);
    uint32_t *b = (void *)sg_memory_host(one.b, 4096, true);
    for (uint32_t i = 0; i < 1024; i++)
        a[i] = i * 7 + 1;
    sg_case_wants_none(
        SG_CASE("", "mul.wide.u32 %d1, %tid, 16;\nadd.s64 %d2, %a, %d1;\nadd.s64 %d3, %b, "
                    "%d1;\nld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%d2];\n"
                    "st.global.v4.u32 [%d3], {%r4, %r3, %r2, %r1};"),
        &one, NULL);
    for (uint32_t i = 0; i < 256; i++)
        assert_int_equal(b[i], a[i ^ 3]);
    /* Lanes that do not run keep their registers. */
    sg_case_wants_none(SG_CASE("",
                               "mov.u32 %r1, 99;\nand.b32 %r2, %tid, 1;\nsetp.eq.s32 %p1, %r2, 0;\n"
                               "@%p1 ld.global.u32 %r1, [%at];\nst.global.u32 [%bt], %r1;"),
                       &one, NULL);
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(b[i], i % 2 ? 99 : a[i]);
    sg_case_give_back(&one);
}

static void test_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "ld.global.u32.wide %r1, [%a];",
        "ld.global.foo.u32 %r1, [%a];",
        "ld.global.v8.u32 %r1, [%a];",
        "ld.release.gpu.global.u32 %r1, [%a];",
        "st.global.v2.u32 [%a], %r1;",
        "st.const.u32 [%a], %r1;",
        "atom.global.add.cc.u32 %r1, [%a], 1;",
        "atom.global.and.u32 %r1, [%a], 1;",
        "red.global.cas.b32 [%a], 1, 2;",
        "atom.global.add.bf16x2 %r1, [%a], %r2;",
        "ld.global.L2::cache_hint.u32 %r1, [%a], %d1;",
    };
    sg_case one = sg_case_three(1, 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char body[256];
        sg_report_clear();
        snprintf(body, sizeof body, "%s%s", SG_LINE(1), bad[i]);
        bool fine = sg_case_run(sg_case_text("", body), &one, NULL);
        if (fine || sg_case_reports(SG_R_UNKNOWN, 1) != 1) fail_msg("%s was taken", bad[i]);
    }
    sg_case_give_back(&one);
}

/* ---- Unwritten bytes. */

static void test_unwritten(void **state) {
    (void)state;
    sg_case one = sg_case_three(1, 32);
    sg_case fresh = one;
    fresh.a = sg_case_memory(4096, false);
    /* A copy is no use. The copy is as unwritten as what was copied. */
    memset(sg_memory_host(fresh.a, 64, true), 0, 64);
    sg_case_wants_none(SG_CASE("", "ld.global.u32 %r1, [%at];\nadd.s32 %r1, %r1, 1;\n"
                                   "st.global.u32 [%bt], %r1;"),
                       &fresh, NULL);
    assert_int_equal(sg_memory_unwritten(fresh.b, 64), 0);
    assert_int_equal(sg_memory_unwritten(fresh.b, 128), 64);
    /* A branch on it, an address made of it, an atomic on it are. */
    sg_case_wants(SG_CASE("", "ld.global.u32 %r1, [%at+64];\nsetp.eq.s32 %p1, %r1, 0;" SG_LINE(
                                  1) "@%p1 st.global.u32 [%ct], 1;"),
                  &fresh, SG_R_UNWRITTEN, "");
    sg_case_wants(
        SG_CASE("", "ld.global.u32 %r1, [%a+64];\nand.b32 %r1, %r1, 4;\ncvt.u64.u32 %d1, %r1;\n"
                    "add.s64 %d2, %c, %d1;" SG_LINE(1) "ld.global.u32 %r2, [%d2];"),
        &fresh, SG_R_UNWRITTEN, "address");
    sg_case_wants(
        SG_CASE("", "ld.global.u32 %r1, [%a+64];\nand.b32 %r1, %r1, 4;\ncvt.u64.u32 %d1, %r1;\n"
                    "add.s64 %d2, %c, %d1;" SG_LINE(1) "st.global.u32 [%d2], 1;"),
        &fresh, SG_R_UNWRITTEN, "address");
    sg_case_wants(SG_CASE("", SG_LINE(1) "red.global.add.u32 [%a+2048], 1;"), &fresh,
                  SG_R_UNWRITTEN, "memory changed");
    sg_case_wants(
        SG_CASE("", "ld.global.u32 %r1, [%a+1024];" SG_LINE(1) "red.global.add.u32 [%c], %r1;"),
        &fresh, SG_R_UNWRITTEN, "a value used");
    /* Elements of a vector are told apart: here the last one only is unwritten. */
    memset(sg_memory_host(fresh.a + 256, 12, true), 0, 12);
    sg_case_wants_none(
        SG_CASE("", "ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%a+256];\n"
                    "setp.eq.s32 %p1, %r3, 0;\n@%p1 st.global.u32 [%ct], %r2;\n"
                    "setp.ne.s32 %p2, %tid, 0;\n"
                    "@%p2 bra done;\nst.global.v4.u32 [%b], {%r1, %r2, %r3, %r4};\ndone:"),
        &fresh, NULL);
    assert_int_equal(sg_memory_unwritten(fresh.b, 16), 4);
    assert_int_equal(sg_memory_unwritten(fresh.b + 12, 4), 4);
    sg_case_wants(SG_CASE("",
                          "ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%a+256];\n"
                          "setp.eq.s32 %p1, %r4, 0;" SG_LINE(1) "@%p1 st.global.u32 [%ct], %r2;"),
                  &fresh, SG_R_UNWRITTEN, "");
    /* Shared memory is unwritten at the start of every block. */
    sg_case_wants(SG_CASE(".shared .align 4 .b8 tile[64];",
                          "ld.shared.u32 %r1, [tile+4];\nsetp.eq.s32 %p1, %r1, 3;" SG_LINE(
                              1) "@%p1 st.global.u32 [%ct], 1;"),
                  &fresh, SG_R_UNWRITTEN, "");
    sg_memory_give_back(fresh.a);
    sg_case_give_back(&one);
}

int main(void) {
    sg_get_options()->expect = true;
    sg_get_options()->full = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_large_block),
        cmocka_unit_test(test_pinned),
        cmocka_unit_test(test_wrong_addresses),
        cmocka_unit_test(test_spaces),
        cmocka_unit_test(test_widths),
        cmocka_unit_test(test_vectors_of_all_lanes),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_unwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
