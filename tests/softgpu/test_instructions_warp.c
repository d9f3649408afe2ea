/* What lanes, warps and blocks do together: divergence, barriers, spinning, and what is
 * reported where they do it wrong. Right kernels run on 20 schedules. */
#include "tests/softgpu/schedule_case.h"

/* Lanes that come to a shuffle by different ways wait for each other. */
static void check_late(const uint32_t *b, const uint32_t *c, uint32_t threads) {
    (void)c;
    for (uint32_t i = 0; i < threads; i++)
        assert_int_equal(b[i], i ^ 16);
}
static void late_lanes(void **state) {
    (void)state;
    run_right(SG_CASE("",
                      "setp.lt.u32 %p1, %lane, 16;\n@%p1 bra M;\n"
                      "mov.u32 %r1, 0;\nL: add.s32 %r1, %r1, 1;\n"
                      "setp.lt.u32 %p2, %r1, 5000;\n@%p2 bra L;\n"
                      "M: shfl.sync.bfly.b32 %r3, %tid, 16, 31, -1;\nst.global.u32 [%bt], %r3;"),
              1, 64, check_late);
}

/* ---- Divergence. */

static void check_loops(const uint32_t *b, const uint32_t *c, uint32_t threads) {
    for (uint32_t i = 0; i < threads; i++) {
        assert_int_equal(b[i], (i % 32) * (i % 32 + 1) / 2);
        assert_int_equal(c[i], i % 3 == 0 ? 10 : i % 3 == 1 ? 21 : 32);
    }
}
static void divergence(void **state) {
    (void)state;
    /* A loop of as many rounds as the lane's number; a jump through a table. */
    run_right(SG_CASE("", "mov.u32 %r1, 0;\nmov.u32 %r2, 0;\nL: setp.ge.u32 %p1, %r2, %lane;\n"
                          "@%p1 bra M;\nadd.s32 %r2, %r2, 1;\nadd.s32 %r1, %r1, %r2;\nbra.uni L;\n"
                          "M: st.global.u32 [%bt], %r1;\nrem.u32 %r3, %tid, 3;\n"
                          "T: .branchtargets A, B, C;\nbrx.idx %r3, T;\n"
                          "A: mov.u32 %r4, 10;\nbra J;\nB: mov.u32 %r4, 21;\nbra J;\n"
                          "C: mov.u32 %r4, 32;\nJ: st.global.u32 [%ct], %r4;"),
              2, 96, check_loops);
}

/* Both sides of an if meet again: what follows is one instruction of the whole warp. */
static void meeting(void **state) {
    (void)state;
    const sg_case one = {sg_case_memory(4096, true), 0, 0, 1, 32, 0};
    sg_counters counters;
    sg_report_clear();
    assert_true(sg_case_run(SG_CASE("", "and.b32 %r1, %lane, 1;\nsetp.eq.u32 %p1, %r1, 0;\n"
                                        "@%p1 bra M;\nadd.s32 %r2, %r2, 1;\nbra N;\n"
                                        "M: add.s32 %r2, %r2, 2;\nN: st.global.u32 [%at], %r2;"),
                            &one, &counters));
    assert_int_equal(counters.instructions[SG_K_GLOBAL_STORE], 1);
    assert_int_equal(counters.lanes[SG_K_GLOBAL_STORE], 32);
    assert_int_equal(counters.instructions[SG_K_CONTROL], 3); /* two branches, ret */
    assert_int_equal(counters.lanes[SG_K_CONTROL], 16 + 16 + 32);
    sg_memory_give_back(one.a);
}

/* ---- Spinning: a lock that the lanes of a warp want, flags between blocks. */

static void check_lock(const uint32_t *b, const uint32_t *c, uint32_t threads) {
    (void)c;
    assert_int_equal(b[0], threads);
}
static void check_chain(const uint32_t *b, const uint32_t *c, uint32_t threads) {
    (void)threads;
    (void)c;
    assert_int_equal(b[0], 12);
}
static void spinning(void **state) {
    (void)state;
    run_right(SG_CASE("", "L: atom.acquire.gpu.global.cas.b32 %r1, [%a], 0, 1;\n"
                          "setp.ne.u32 %p1, %r1, 0;\n@%p1 bra L;\n"
                          "ld.global.u32 %r2, [%b];\nadd.s32 %r2, %r2, 1;\n"
                          "st.global.u32 [%b], %r2;\n"
                          "atom.release.gpu.global.exch.b32 %r3, [%a], 0;"),
              4, 64, check_lock);
    /* Block n waits for block n - 1. */
    run_right(SG_CASE("", "setp.ne.u32 %p1, %tid, 0;\n@%p1 bra E;\n"
                          "L: ld.acquire.gpu.global.u32 %r1, [%b];\n"
                          "setp.ne.u32 %p2, %r1, %block;\n@%p2 nanosleep.u32 20;\n@%p2 bra L;\n"
                          "add.s32 %r1, %r1, 1;\nst.release.gpu.global.u32 [%b], %r1;\nE:"),
              12, 32, check_chain);
    const int resident = sg_get_options()->resident;
    sg_get_options()->resident = 3;
    run_right(SG_CASE("", "setp.ne.u32 %p1, %tid, 0;\n@%p1 bra E;\n"
                          "L: ld.acquire.gpu.global.u32 %r1, [%b];\n"
                          "setp.ne.u32 %p2, %r1, %block;\n@%p2 bra L;\n"
                          "add.s32 %r1, %r1, 1;\nst.release.gpu.global.u32 [%b], %r1;\nE:"),
              12, 32, check_chain);
    sg_get_options()->resident = resident;
}

/* ---- Barriers. */

#define TILE ".shared .align 4 .b8 tile[1024];\n"
#define STORE_TILE                                                                 \
    "mov.u32 %r10, tile;\nadd.s32 %r11, %r10, %t4;\nst.shared.u32 [%r11], %tid;\n" \
    "xor.b32 %r12, %t4, 128;\nadd.s32 %r12, %r12, %r10;\n" /* the thread 32 further */
#define LOAD_TILE "ld.shared.u32 %r1, [%r12];\nst.global.u32 [%bt], %r1;\n"

static void check_tile(const uint32_t *b, const uint32_t *c, uint32_t threads) {
    (void)c;
    for (uint32_t i = 0; i < threads; i++)
        assert_int_equal(b[i], i ^ 32);
}
static void check_reduction(const uint32_t *b, const uint32_t *c, uint32_t threads) {
    for (uint32_t i = 0; i < threads; i++) {
        assert_int_equal(b[i], 20);
        assert_int_equal(c[i], 1);
    }
}
static void barriers(void **state) {
    (void)state;
    run_right(SG_CASE(TILE, STORE_TILE "bar.sync 0;\n" LOAD_TILE), 1, 128, check_tile);
    run_right(SG_CASE(TILE, STORE_TILE "barrier.sync.aligned 3, 128;\n" LOAD_TILE), 1, 128,
              check_tile);
    /* Lanes that come one by one: not aligned. */
    run_right(SG_CASE(TILE, STORE_TILE "setp.lt.u32 %p1, %lane, 7;\n@%p1 bra M;\nbarrier.sync 0;\n"
                                       "bra N;\nM: barrier.sync 0;\nN:" LOAD_TILE),
              1, 128, check_tile);
    /* Each pair of warps has its own. */
    run_right(SG_CASE(TILE, STORE_TILE "shr.u32 %r3, %tid, 6;\nadd.s32 %r3, %r3, 1;\n"
                                       "bar.sync %r3, 64;\n" LOAD_TILE),
              1, 128, check_tile);
    /* A barrier again and again. */
    run_right(SG_CASE(TILE, "mov.u32 %r5, 0;\nL: " STORE_TILE "bar.sync 0;\n" LOAD_TILE
                            "bar.sync 0;\nadd.s32 %r5, %r5, 1;\nsetp.lt.u32 %p1, %r5, 10;\n"
                            "@%p1 bra L;"),
              1, 128, check_tile);
    /* Threads that have ended are not waited for. */
    run_right(SG_CASE(TILE,
                      STORE_TILE "setp.gt.u32 %p1, %tid, 63;\n@%p1 exit;\nbar.sync 0;\n" LOAD_TILE
                                 "xor.b32 %r2, %r2, %r2;"),
              1, 64, check_tile);
    run_right(SG_CASE("", "setp.lt.u32 %p1, %tid, 20;\nbar.red.popc.u32 %r1, 0, %p1;\n"
                          "st.global.u32 [%bt], %r1;\nbar.red.or.pred %p2, 0, %p1;\n"
                          "bar.red.and.pred %p3, 0, !%p1;\nnot.pred %p3, %p3;\n"
                          "and.pred %p2, %p2, %p3;\nselp.u32 %r2, 1, 0, %p2;\n"
                          "st.global.u32 [%ct], %r2;"),
              1, 100, check_reduction);
}

static void check_producer(const uint32_t *b, const uint32_t *c, uint32_t threads) {
    (void)c;
    for (uint32_t i = 0; i < threads / 2; i++)
        assert_int_equal(b[threads / 2 + i], i);
}
static void arrival(void **state) {
    (void)state;
    /* The first warp fills the tile and goes on; the second waits for it. */
    run_right(SG_CASE(TILE, "mov.u32 %r10, tile;\nadd.s32 %r11, %r10, %t4;\n"
                            "setp.gt.u32 %p1, %tid, 31;\n@%p1 bra M;\n"
                            "st.shared.u32 [%r11], %tid;\nbar.arrive 1, 64;\nbra N;\n"
                            "M: bar.sync 1, 64;\nld.shared.u32 %r1, [%r11+-128];\n"
                            "st.global.u32 [%bt], %r1;\nN:"),
              1, 64, check_producer);
}

/* ---- What is wrong. */

static void wrong(void **state) {
    (void)state;
    /* Half of a warp at a barrier, the other half at another. */
    run_wrong(SG_CASE("", "setp.lt.u32 %p1, %lane, 16;\n" SG_LINE(5) "@%p1 bra M;\n" SG_LINE(
                              6) "bar.sync 0;\nbra N;\nM:\n" SG_LINE(8) "bar.sync 0;\nN:"),
              1, 64, SG_R_BARRIER, 6);
    run_wrong(SG_CASE("", "setp.lt.u32 %p1, %lane, 16;\n" SG_LINE(7) "@%p1 bar.sync 0;\n" SG_LINE(
                              9) "bar.sync 0;"),
              1, 32, SG_R_BARRIER, 7);
    /* One warp never comes. */
    run_wrong(SG_CASE("", SG_LINE(4) "bar.sync 1, 96;\n"), 1, 64, SG_R_DEADLOCK, 4);
    run_wrong(SG_CASE("", SG_LINE(4) "bar.sync 1, 64;\n"), 1, 32 * 3, SG_R_DEADLOCK, 4);
    run_wrong(SG_CASE("", SG_LINE(4) "bar.sync 1, 33;\n"), 1, 64, SG_R_BARRIER, 4);
    run_wrong(SG_CASE("", SG_LINE(4) "bar.sync 16;\n"), 1, 64, SG_R_BARRIER, 4);
    /* Two barriers wait for each other's threads. */
    run_wrong(SG_CASE("", "setp.lt.u32 %p1, %tid, 32;\n@%p1 bra M;\n" SG_LINE(
                              3) "bar.sync 1;\n"
                                 "M:\n" SG_LINE(4) "bar.sync 2;"),
              1, 64, SG_R_DEADLOCK, 3);
    /* Shuffles: lanes that the mask does not name; named ones that do not come; a lane that is not
     * there. */
    run_wrong(SG_CASE("", SG_LINE(3) "shfl.sync.bfly.b32 %r1, %tid, 1, 31, 0xffff;"), 1, 32,
              SG_R_WARP_SYNC, 3);
    run_wrong(SG_CASE("", "setp.lt.u32 %p1, %lane, 16;\n" SG_LINE(
                              3) "@%p1 shfl.sync.bfly.b32 %r1, %tid, 1, 31, -1;\nbar.sync 0;"),
              1, 32, SG_R_WARP_SYNC, 3);
    run_wrong(SG_CASE("", "setp.lt.u32 %p1, %lane, 16;\n" SG_LINE(
                              3) "@%p1 shfl.sync.bfly.b32 %r1, %tid, 16, 31, 0xffff;"),
              1, 32, SG_R_WARP_SYNC, 3);
    run_wrong(SG_CASE("", "setp.lt.u32 %p1, %lane, 16;\n" SG_LINE(
                              3) "@%p1 bar.warp.sync -1;\nbar.sync 0;"),
              1, 32, SG_R_DEADLOCK, 3);
    run_wrong(SG_CASE("", SG_LINE(3) "trap;"), 1, 32, SG_R_TRAP, 3);
    /* Bytes that nobody wrote: to copy and to skip them is right, to decide by them is not. */
    run_wrong(SG_CASE("", "ld.global.u32 %r1, [%ct];\nadd.s32 %r1, %r1, 1;\n"
                          "setp.eq.u32 %p1, %r1, 7;\n" SG_LINE(3) "@%p1 bra M;\nM:"),
              1, 32, SG_R_UNWRITTEN, 3);
    run_wrong(SG_CASE("", "ld.global.u32 %r1, [%ct];\nshfl.sync.bfly.b32 %r1, %r1, 1, 31, -1;\n"
                          "setp.eq.u32 %p1, %r1, 7;\n" SG_LINE(3) "@%p1 st.global.u32 [%at], 1;"),
              1, 32, SG_R_UNWRITTEN, 3);
    const uint64_t steps = sg_get_options()->steps;
    sg_get_options()->steps = 100000;
    run_wrong(SG_CASE("", SG_LINE(3) "L: bra.uni L;"), 1, 32, SG_R_STEPS, 3);
    sg_get_options()->steps = steps;
}

static void check_nothing(const uint32_t *b, const uint32_t *c, uint32_t threads) {
    (void)c;
    for (uint32_t i = 0; i < threads; i++)
        assert_int_equal(b[i], 5);
}
static void unwritten_is_skipped(void **state) {
    (void)state;
    /* tile[...] is read unwritten, replaced under a right predicate, and a branch follows. */
    run_right(SG_CASE(TILE, "mov.u32 %r10, tile;\nadd.s32 %r11, %r10, %t4;\n"
                            "ld.shared.u32 %r1, [%r11];\nsetp.lt.u32 %p1, %tid, 4096;\n"
                            "selp.b32 %r2, 5, %r1, %p1;\nsetp.eq.u32 %p2, %r2, 5;\n"
                            "@!%p2 bra M;\nst.global.u32 [%bt], %r2;\nM:"),
              1, 64, check_nothing);
}

/* The same order from the same seed, another one from another. */
static void seeds(void **state) {
    (void)state;
    uint32_t first[8];
    int differ = 0;
    for (int i = 0; i < 8; i++) {
        const sg_case one = {sg_case_memory(4096, true), sg_case_memory(4096, true), 0, 4, 256, 0};
        sg_get_options()->seed = (uint64_t)(i / 2 + 1);
        sg_report_clear();
        assert_true(sg_case_run(SG_CASE("", "setp.ne.u32 %p1, %lane, 0;\n@%p1 bra E;\n"
                                            "atom.relaxed.gpu.global.add.u32 %r1, [%a], 1;\n"
                                            "mul.lo.u32 %r1, %r1, %grid;\n"
                                            "atom.relaxed.gpu.global.xor.b32 %r2, [%b], %r1;\nE:"),
                                &one, NULL));
        first[i] = *(const uint32_t *)(const void *)sg_memory_host(one.b, 4, false);
        if (i % 2) assert_int_equal(first[i], first[i - 1]);
        differ += i && first[i] != first[0];
        sg_memory_give_back(one.a);
        sg_memory_give_back(one.b);
    }
    assert_true(differ > 0);
    sg_get_options()->seed = 1;
}

/* ---- Special registers, in three dimensions. */

static void specials(void **state) {
    (void)state;
    static const char body[] =
        "mov.u32 %r1, %tid.y;\nmov.u32 %r2, %tid.z;\nmov.u32 %r3, %ntid.y;\n"
        "mov.u32 %r4, %ntid.x;\nmad.lo.u32 %r5, %r2, %r3, %r1;\nmad.lo.u32 %r5, %r5, %r4, %tid;\n"
        /* the thread's number, and the block's in front of it */
        "mov.u32 %r6, %ctaid.y;\nmov.u32 %r7, %ctaid.z;\nmov.u32 %r8, %nctaid.y;\n"
        "mov.u32 %r9, %nctaid.x;\nmad.lo.u32 %r10, %r7, %r8, %r6;\n"
        "mad.lo.u32 %r10, %r10, %r9, %block;\nmov.u32 %r11, %ntid.z;\nmul.lo.u32 %r12, %r4, %r3;\n"
        "mul.lo.u32 %r12, %r12, %r11;\nmad.lo.u32 %r13, %r10, %r12, %r5;\n"
        "mul.wide.u32 %d1, %r13, 32;\nadd.s64 %d1, %a, %d1;\nst.global.u32 [%d1], %tid;\n"
        "st.global.u32 [%d1+4], %r1;\nst.global.u32 [%d1+8], %r2;\nmov.u32 %r14, %laneid;\n"
        "st.global.u32 [%d1+12], %r14;\nmov.u32 %r14, %warpid;\nst.global.u32 [%d1+16], %r14;\n"
        "mov.u32 %r14, %lanemask_lt;\nst.global.u32 [%d1+20], %r14;\n"
        "mov.u32 %r14, %lanemask_ge;\nst.global.u32 [%d1+24], %r14;\nmov.u32 %r14, %nwarpid;\n"
        "st.global.u32 [%d1+28], %r14;\nmov.u64 %d2, %clock64;\nmov.u64 %d3, %globaltimer;\n";
    const uint32_t blocks[3] = {2, 3, 2}, threads[3] = {5, 3, 4}, count = 12 * 60;
    const uint64_t a = sg_case_memory(count * 32, true), params[3] = {a, 0, 0};
    char sentence[300] = "";
    sg_loaded *loaded = NULL;
    sg_report_clear();
    if (!sg_loaded_make(&loaded, sg_case_text("", body), sentence, sizeof sentence))
        fail_msg("%s", sentence);
    if (!sg_kernel_launch(sg_loaded_kernel(loaded, "k"), blocks, threads, 0, params)) {
        sg_case_print();
        fail();
    }
    const uint32_t(*got)[8] = (const void *)sg_memory_host(a, count * 32, false);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t t = i % 60, lane = t % 32;
        const uint32_t wanted[8] = {
            t % 5, t / 5 % 3, t / 15, lane, t / 32, (1u << lane) - 1, ~((1u << lane) - 1), 2};
        assert_memory_equal(got[i], wanted, sizeof wanted);
    }
    sg_loaded_free(loaded);
    sg_memory_give_back(a);
}

int main(void) {
    sg_get_options()->expect = true;
    sg_get_options()->full = true;
    const struct CMUnitTest tests[] = {

        cmocka_unit_test(late_lanes), cmocka_unit_test(divergence),
        cmocka_unit_test(meeting),    cmocka_unit_test(spinning),
        cmocka_unit_test(barriers),   cmocka_unit_test(arrival),
        cmocka_unit_test(wrong),      cmocka_unit_test(unwritten_is_skipped),
        cmocka_unit_test(seeds),      cmocka_unit_test(specials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
