/* cp.async: what lands and when, right pipelines on 20 schedules, and every way to get one wrong.
 * (mbarriers and bulk copies have tests of their own.) */
#include "tests/softgpu/case.h"

/* ---- Sizes. */

#define TILE ".shared .align 16 .b8 tile[1024];"
/* Each lane's own 16 bytes: shared at %r1, of %a at %d1, of %b at %d2. The tile is full of ff. */
#define OWN                                                                   \
    "shl.b32 %r20, %tid, 4;\nmov.u32 %r21, tile;\nadd.s32 %r1, %r21, %r20;\n" \
    "cvt.u64.u32 %d5, %r20;\nadd.s64 %d1, %a, %d5;\nadd.s64 %d2, %b, %d5;\n"  \
    "mov.u32 %r22, -1;\nst.shared.v4.u32 [%r1], {%r22, %r22, %r22, %r22};\n"
#define WAIT "cp.async.wait_all;\n"
#define OUT                                                                                   \
    "ld.shared.v4.u32 {%r3, %r4, %r5, %r6}, [%r1];\nst.global.v4.u32 [%d2], {%r3, %r4, %r5, " \
    "%r6};\n"
#define CP16 "cp.async.cg.shared.global [%r1], [%d1], 16;\n"

static void sizes(void **state) {
    (void)state;
    static const struct {
        const char *copy; /* with src-size: all up to the size, by lane */
        int bytes;
        bool part;
    } rows[] = {
        {"cp.async.ca.shared.global [%r1], [%d1], 4;", 4, false},
        {"cp.async.ca.shared.global [%r1], [%d1], 8;", 8, false},
        {"cp.async.ca.shared.global [%r1], [%d1], 16;", 16, false},
        {"cp.async.cg.shared.global [%r1], [%d1], 16;", 16, false},
        {"cp.async.cg.shared::cta.global.L2::128B [%r1], [%d1], 16;", 16, false},
        {"sub.s32 %r1, %r1, 16;\nadd.s64 %d1, %d1, -32;\n"
         "cp.async.cg.shared.global [%r1+16], [%d1+32], 16;\nadd.s32 %r1, %r1, 16;",
         16, false},
        {"cp.async.ca.shared.global [%r1], [%d1], 4, %r7;", 4, true},
        {"cp.async.ca.shared.global [%r1], [%d1], 8, %r7;", 8, true},
        {"cp.async.ca.shared.global [%r1], [%d1], 16, %r7;", 16, true},
        {"cp.async.cg.shared.global.L2::256B [%r1], [%d1], 16, %r7;", 16, true},
        {"cp.async.cg.shared.global [%r1], [%d1], 16, 8;", 8, false},
        /* Where nothing is read the address does not matter. */
        {"setp.eq.u32 %p1, %r7, 0;\nselp.b64 %d1, 3, %d1, %p1;\n"
         "cp.async.cg.shared.global [%r1], [%d1], 16, %r7;",
         16, true},
    };
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++) {
        sg_case one = sg_case_three(1, 32);
        unsigned char *from = sg_memory_host(one.a, 512, true);
        const unsigned char *to = sg_memory_host(one.b, 512, true);
        for (int i = 0; i < 512; i++)
            from[i] = (unsigned char)(i * 7 + 1 + i / 16);
        char body[1200];
        sg_counters counters;
        snprintf(body, sizeof body, "%srem.u32 %%r7, %%lane, %d;\n%s\n%s%s", OWN, rows[n].bytes + 1,
                 rows[n].copy, WAIT, OUT);
        sg_case_wants_none(sg_case_text(TILE, body), &one, &counters);
        uint64_t read = 0;
        for (int l = 0; l < 32; l++) {
            const int copied = rows[n].part ? l % (rows[n].bytes + 1) : rows[n].bytes;
            /* src-size 8 of 16 leaves zeros, 8 bytes of 8 leave what was there */
            const int size = strstr(rows[n].copy, ", 16") ? 16 : rows[n].bytes;
            read += (uint64_t)copied;
            for (int i = 0; i < 16; i++)
                if (to[16 * l + i] != (i < copied ? from[16 * l + i] : i < size ? 0 : 0xff))
                    fail_msg("%s: lane %d, byte %d", rows[n].copy, l, i);
        }
        assert_int_equal(counters.async_bytes, read);
        sg_case_give_back(&one);
    }
}

static void wrong_addresses(void **state) {
    (void)state;
    sg_case one = sg_case_three(1, 32), other = one;
#define COPY(change, copy) SG_CASE(TILE, OWN change SG_LINE(1) copy SG_LINE(2) WAIT)
    sg_case_wants(COPY("add.s32 %r1, %r1, 8;", CP16), &one, SG_R_ALIGNMENT, "writes 16 bytes");
    sg_case_wants(COPY("add.s64 %d1, %d1, 8;", CP16), &one, SG_R_ALIGNMENT, "reads 16 bytes");
    sg_case_wants(COPY("add.s64 %d1, %d1, 4;", "cp.async.ca.shared.global [%r1], [%d1], 8, 4;\n"),
                  &one, SG_R_ALIGNMENT, "no multiple of 8");
    sg_case_wants(COPY("add.s32 %r1, %r1, 2;", "cp.async.ca.shared.global [%r1], [%d1], 4;\n"),
                  &one, SG_R_ALIGNMENT, "writes 4 bytes");
    sg_case_wants(COPY("add.s64 %d1, %d1, 4000;", CP16), &one, SG_R_BOUNDS,
                  "past the end of a block of 4,096 bytes");
    sg_case_wants(COPY("add.s32 %r1, %r1, 1008;", CP16), &one, SG_R_BOUNDS,
                  "lane 1 writes 16 bytes at shared address");
    sg_case_wants(COPY("mov.u64 %d1, 0;", CP16), &one, SG_R_BOUNDS, "a null pointer");
    sg_case_wants(COPY("mov.u32 %r7, 17;", "cp.async.cg.shared.global [%r1], [%d1], 16, %r7;\n"),
                  &one, SG_R_BOUNDS, "told to read 17");
    sg_case_wants(COPY("cvt.u64.u32 %d1, %r1;\ncvta.shared.u64 %d1, %d1;", CP16), &one, SG_R_SPACE,
                  "an address of shared memory");
    sg_case_wants(COPY("cvt.u64.u32 %d3, %r1;\ncvta.shared.u64 %d3, %d3;",
                       "cp.async.cg.shared.global [%d3], [%d1], 16;\n"),
                  &one, SG_R_SPACE, "not converted");
    other.a = sg_case_memory(512, true);
    assert_true(sg_memory_give_back(other.a));
    sg_case_wants(COPY("", CP16), &other, SG_R_FREED, "a freed block of 512 bytes");
    /* The good lanes' copies land all the same. */
    sg_report_clear();
    memset(sg_memory_host(one.a, 512, true), 5, 512);
    assert_false(sg_case_run(
        SG_CASE(TILE, OWN "setp.eq.u32 %p1, %lane, 9;\n@%p1 mov.u64 %d1, 16;\n" CP16 WAIT OUT),
        &one, NULL));
    const unsigned char *to = sg_memory_host(one.b, 512, false);
    for (int i = 0; i < 512; i++)
        assert_int_equal(to[i], i / 16 == 9 ? 0xff : 5);
    sg_case_give_back(&one);
}

static void refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "cp.async.cg.shared.global [%r1], [%d1], 8;",
        "cp.async.cg.shared.global [%r1], [%d1], 4;",
        "cp.async.ca.shared.global [%r1], [%d1], 2;",
        "cp.async.ca.shared.global [%r1], [%d1], 12;",
        "cp.async.ca.shared.global [%r1], [%d1], 32;",
        "cp.async.ca.shared.global [%r1], [%d1];",
        "cp.async.ca.shared.global [%r1], [%d1], %r2;",
        "cp.async.shared.global [%r1], [%d1], 16;",
        "cp.async.ca.global.shared [%d1], [%r1], 16;",
        "cp.async.ca.shared.shared [%r2], [%r1], 16;",
        "cp.async.ca.shared.global [%r1], [%d1], 16, %p1;",
        "cp.async.ca.shared.global [%r1], [%d1], 16, !%p1;",
        "cp.async.ca.shared.global.L2::cache_hint [%r1], [%d1], 16, %d3;",
        "cp.async.commit_group.foo;",
        "cp.async.wait_group %r1;",
        "cp.async.wait_group;",
    };
    sg_case one = sg_case_three(1, 32);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char body[300];
        sg_report_clear();
        snprintf(body, sizeof body, "%s%s", SG_LINE(1), bad[i]);
        if (sg_case_run(sg_case_text("", body), &one, NULL) ||
            sg_case_reports(SG_R_UNKNOWN, 1) != 1)
            fail_msg("%s was taken", bad[i]);
    }
    sg_case_give_back(&one);
}

/* ---- Bytes that nobody wrote. */

static void unwritten(void **state) {
    (void)state;
    sg_case one = sg_case_three(1, 32), fresh = one;
    fresh.a = sg_case_memory(512, false);
    /* Written but for bytes 6 and 7 of lane 3 and 12 to 15 of lane 4. To copy is no use. */
    memset(sg_memory_host(fresh.a, 3 * 16 + 6, true), 1, 3 * 16 + 6);
    memset(sg_memory_host(fresh.a + 3 * 16 + 8, 20, true), 1, 20);
    memset(sg_memory_host(fresh.a + 5 * 16, 512 - 5 * 16, true), 1, 512 - 5 * 16);
    sg_case_wants_none(SG_CASE(TILE, OWN CP16 WAIT OUT), &fresh, NULL);
    assert_int_equal(sg_memory_unwritten(one.b, 512), 4 + 4); /* registers are whole */
    assert_int_equal(sg_memory_unwritten(one.b + 3 * 16 + 4, 4), 4);
    assert_int_equal(sg_memory_unwritten(one.b + 4 * 16 + 12, 4), 4);
    /* What is not read but filled with zeros is written. */
    memset(sg_memory_host(one.b, 512, true), 0, 512);
    sg_case_wants_none(
        SG_CASE(TILE, OWN "cp.async.cg.shared.global [%r1], [%d1], 16, 12;\n" WAIT OUT), &fresh,
        NULL);
    assert_int_equal(sg_memory_unwritten(one.b, 512), 4);
    assert_int_equal(sg_memory_unwritten(one.b + 3 * 16 + 4, 4), 4);
    /* To decide by it is. */
    sg_case_wants(SG_CASE(TILE,
                          OWN CP16 WAIT "ld.shared.u32 %r3, [%r1+4];\n"
                                        "setp.eq.u32 %p1, %r3, 9;\n" SG_LINE(1) "@%p1 bra M;\nM:"),
                  &fresh, SG_R_UNWRITTEN, "");
    sg_case_wants_none(SG_CASE(TILE, OWN CP16 WAIT "ld.shared.u32 %r3, [%r1+8];\n"
                                                   "setp.eq.u32 %p1, %r3, 9;\n@%p1 bra M;\nM:"),
                       &fresh, NULL);
    /* An address, a size. */
    const char *const spoil = "ld.global.u32 %r5, [%a+52];\nand.b32 %r5, %r5, 0;\n";
    static const char *const uses[][2] = {
        {"add.s32 %r1, %r1, %r5;", "address"},
        {"cvt.u64.u32 %d6, %r5;\nadd.s64 %d1, %d1, %d6;", "address"},
        {"add.s32 %r6, %r5, 8;", "how much"},
    };
    for (int i = 0; i < 3; i++) {
        char body[1000];
        snprintf(body, sizeof body, "%s%s%s\n%scp.async.cg.shared.global [%%r1], [%%d1], 16%s;\n",
                 OWN, spoil, uses[i][0], SG_LINE(1), i == 2 ? ", %r6" : "");
        sg_case_wants(sg_case_text(TILE, body), &fresh, SG_R_UNWRITTEN, uses[i][1]);
    }
    sg_memory_give_back(fresh.a);
    sg_case_give_back(&one);
}

/* ---- In flight. */

static void in_flight(void **state) {
    (void)state;
    static const char *const touches[] = {
        "ld.shared.u32 %r3, [%r1+12];",
        "ld.shared.u8 %h1, [%r1+15];",
        "st.shared.u32 [%r1], 0;",
        "atom.shared.add.u32 %r3, [%r1+4], 1;",
        "cp.async.ca.shared.global [%r1+8], [%d1], 4;",
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r3, %r4, %r5, %r6}, [%r1];",
    };
    sg_case one = sg_case_three(1, 32);
    for (size_t i = 0; i < sizeof touches / sizeof *touches; i++) {
        char body[1000];
        snprintf(body, sizeof body, "%s%s%s%s", OWN, CP16, SG_LINE(1), touches[i]);
        sg_case_wants(sg_case_text(TILE, body), &one, SG_R_ASYNC_EARLY, "still under way");
        /* A commit is no wait; groups are waited for, what was not committed is not. */
        snprintf(body, sizeof body, "%s%scp.async.commit_group;\n%s%s", OWN, CP16, SG_LINE(1),
                 touches[i]);
        sg_case_wants(sg_case_text(TILE, body), &one, SG_R_ASYNC_EARLY, "still under way");
        snprintf(body, sizeof body, "%s%scp.async.wait_group 0;\n%s%s", OWN, CP16, SG_LINE(1),
                 touches[i]);
        sg_case_wants(sg_case_text(TILE, body), &one, SG_R_ASYNC_EARLY, "still under way");
        snprintf(body, sizeof body,
                 "%s%scp.async.commit_group;\ncp.async.wait_group 0;\nbar.warp.sync -1;\n%s", OWN,
                 CP16, touches[i]);
        sg_case_wants_none(sg_case_text(TILE, body), &one, NULL);
    }
    /* Beside it is free; who ends without waiting has done no harm. */
    sg_case_wants_none(SG_CASE(TILE, OWN "cp.async.ca.shared.global [%r1+8], [%d1], 4;\n"
                                         "st.shared.u32 [%r1+4], 0;\nst.shared.u32 [%r1+12], 0;"),
                       &one, NULL);
    /* A sync before the wait shows nobody else what lands at the wait. */
#define NEIGHBOUR \
    "xor.b32 %r2, %r20, 16;\nadd.s32 %r2, %r2, %r21;\n" SG_LINE(1) "ld.shared.u32 %r3, [%r2];"
#define WARP_SYNC "bar.warp.sync -1;\n"
    sg_case_wants(SG_CASE(TILE, OWN CP16 WARP_SYNC WAIT NEIGHBOUR), &one, SG_R_RACE,
                  "nothing orders");
    sg_case_wants_none(SG_CASE(TILE, OWN CP16 WAIT WARP_SYNC NEIGHBOUR), &one, NULL);
    /* Groups are each lane's own: the even lanes' only group is the newest. */
#define ODD "and.b32 %r9, %lane, 1;\nsetp.eq.u32 %p2, %r9, 1;\n"
#define TWO                                                       \
    OWN ODD "cp.async.ca.shared.global [%r1], [%d1], 4;\n"        \
            "cp.async.commit_group;\n"                            \
            "@%p2 cp.async.ca.shared.global [%r1+8], [%d1], 4;\n" \
            "@%p2 cp.async.commit_group;\ncp.async.wait_group 1;\n"
    sg_report_clear();
    assert_false(
        sg_case_run(SG_CASE(TILE, TWO SG_LINE(1) "ld.shared.u32 %r3, [%r1];"), &one, NULL));
    assert_int_equal(sg_report_count(), 1);
    assert_int_equal(sg_case_reports(SG_R_ASYNC_EARLY, 1), 1);
    assert_non_null(strstr(sg_report_get(0)->sentence, "lane 0 reads"));
    sg_case_wants_none(SG_CASE(TILE, TWO "@%p2 ld.shared.u32 %r3, [%r1];"), &one, NULL);
    sg_case_wants_none(SG_CASE(TILE, TWO "@!%p2 cp.async.wait_all;\nld.shared.u32 %r3, [%r1];"),
                       &one, NULL);
    sg_case_give_back(&one);
}

int main(void) {
    sg_get_options()->expect = true;
    sg_get_options()->full = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),     cmocka_unit_test(wrong_addresses), cmocka_unit_test(refused),
        cmocka_unit_test(unwritten), cmocka_unit_test(in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
