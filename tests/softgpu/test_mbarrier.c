/* mbarriers: phases, what they order, and every misuse with its line. */
#include "tests/softgpu/hopper_case.h"

#define TWO_BARRIERS                                                     \
    ".shared .align 8 .b8 bar[16];\n.shared .align 16 .b8 tile[4096];\n" \
    ".reg .b32 %m, %n, %own, %other;\n.reg .b64 %s;\n.reg .pred %q, %first;\n"

/* %m, %n: the barriers; %own: tile[tid], %other: tile[threads - 1 - tid]. */
#define START(count)                                                               \
    "mov.u32 %m, bar;\nadd.s32 %n, %m, 8;\nmov.u32 %own, tile;\n"                  \
    "mov.u32 %r1, %ntid.x;\nsub.s32 %r1, %r1, %tid;\nsub.s32 %r1, %r1, 1;\n"       \
    "shl.b32 %r1, %r1, 2;\nadd.s32 %other, %own, %r1;\nadd.s32 %own, %own, %t4;\n" \
    "setp.eq.s32 %first, %tid, 0;\n"                                               \
    "@1;@%first mbarrier.init.shared::cta.b64 [%m], " count ";\n"                  \
    "@%first mbarrier.init.shared::cta.b64 [%n], " count ";\n"
#define WAIT(name, where, parity)                                                    \
    name ": mbarrier.try_wait.parity.shared::cta.b64 %q, [" where "], " parity ";\n" \
         "@!%q bra " name ";\n"
#define RESULT "st.global.u32 [%bt], %r9;\n"

#define EXCHANGE(arrive, wait)                                           \
    START("64")                                                          \
    "bar.sync 0;\n@2;st.shared.u32 [%own], %tid;\n@3;" arrive "@4;" wait \
    "@5;ld.shared.u32 %r9, [%other];\n" RESULT
#define ARRIVE "mbarrier.arrive.shared::cta.b64 _, [%m];\n"

static void is_reversed(const uint32_t *b, uint32_t threads) {
    for (uint32_t i = 0; i < threads; i++)
        assert_int_equal(b[i], threads - 1 - i);
}

static void arrivals_order(void **state) {
    (void)state;
    static const char *const right[] = {
        EXCHANGE(ARRIVE, WAIT("W", "%m", "0")),
        EXCHANGE("mbarrier.arrive.release.cta.shared::cta.b64 %s, [%m];\n",
                 "W: mbarrier.test_wait.acquire.cta.shared::cta.b64 %q, [%m], %s;\n@!%q bra W;\n"),
        EXCHANGE("mbarrier.arrive.b64 _, [%d7];\n",
                 "W: mbarrier.try_wait.parity.b64 %q, [%d7], 0, 1000;\n@!%q bra W;\n"),
        EXCHANGE("mbarrier.arrive.shared.b64 _, [%m], 1;\n", WAIT("W", "%m", "0")),
    };
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        char body[4096];
        snprintf(body, sizeof body, "mov.u64 %%d7, bar;\ncvta.shared.u64 %%d7, %%d7;\n%s",
                 right[i]);
        hopper_right(TWO_BARRIERS, body, 64, 0, is_reversed);
    }
    hopper_wrong(TWO_BARRIERS, EXCHANGE(ARRIVE, ""), 64, SG_R_RACE, EITHER(5, 2));
    hopper_wrong(
        TWO_BARRIERS,
        EXCHANGE("mbarrier.arrive.relaxed.cta.shared::cta.b64 _, [%m];\n", WAIT("W", "%m", "0")),
        64, SG_R_RACE, EITHER(5, 2));
    /* The phase before the first counts as complete. */
    hopper_wrong(TWO_BARRIERS, EXCHANGE(ARRIVE, WAIT("W", "%m", "1")), 64, SG_R_RACE, EITHER(5, 2));
}

/* Warp 0 fills, warp 1 reads, four times round, one stage. */
#define PIPE(wait_empty, arrive_full, wait_full, arrive_empty)                       \
    START("32")                                                                      \
    "bar.sync 0;\nmov.u32 %r2, 0;\nmov.u32 %r9, 0;\nsetp.ge.u32 %p3, %tid, 32;\n"    \
    "xor.b32 %r7, %t4, 128;\nmov.u32 %r8, tile;\nadd.s32 %r8, %r8, %r7;\n"           \
    "again: and.b32 %r3, %r2, 1;\nxor.b32 %r4, %r3, 1;\n@%p3 bra read;\n" wait_empty \
    "@2;st.shared.u32 [%own], %r2;\n" arrive_full "bra next;\nread: " wait_full      \
    "@3;ld.shared.u32 %r5, [%r8];\nadd.s32 %r9, %r9, %r5;\n" arrive_empty            \
    "next: add.s32 %r2, %r2, 1;\nsetp.lt.s32 %p4, %r2, 4;\n@%p4 bra again;\n" RESULT
#define EMPTY WAIT("E", "%n", "%r4")
#define FULL WAIT("F", "%m", "%r3")
#define ARRIVE_EMPTY "mbarrier.arrive.shared::cta.b64 _, [%n];\n"

static void is_six(const uint32_t *b, uint32_t threads) {
    for (uint32_t i = 32; i < threads; i++)
        assert_int_equal(b[i], 0 + 1 + 2 + 3);
}

static void pipelines(void **state) {
    (void)state;
    hopper_right(TWO_BARRIERS, PIPE(EMPTY, ARRIVE, FULL, ARRIVE_EMPTY), 64, 0, is_six);
    /* One wait for both; a reader that says too early that it is done. */
    hopper_caught(TWO_BARRIERS, PIPE("", ARRIVE, FULL, ARRIVE_EMPTY), 64);
    hopper_wrong(TWO_BARRIERS, PIPE(EMPTY, ARRIVE, FULL ARRIVE_EMPTY, ""), 64, SG_R_RACE,
                 EITHER(2, 3));
}

static void misuse(void **state) {
    (void)state;
    hopper_wrong(TWO_BARRIERS, "mov.u32 %m, bar;\n@1;mbarrier.arrive.shared.b64 _, [%m];\n", 32,
                 SG_R_BARRIER, 1);
    hopper_wrong(TWO_BARRIERS,
                 "mov.u32 %m, bar;\nadd.s32 %m, %m, 4;\n@1;"
                 "mbarrier.init.shared.b64 [%m], 1;\n",
                 1, SG_R_ALIGNMENT, 1);
    hopper_wrong(TWO_BARRIERS, "@1;mbarrier.init.shared.b64 [1000000], 1;\n", 1, SG_R_BOUNDS, 1);
    hopper_wrong(TWO_BARRIERS, "@1;mbarrier.init.shared.b64 [bar], 0;\n", 1, SG_R_BARRIER, 1);
    hopper_wrong(TWO_BARRIERS,
                 "mbarrier.init.shared.b64 [bar], 1;\n@1;mbarrier.init.shared.b64 [bar], 1;\n", 1,
                 SG_R_BARRIER, 1);
    hopper_wrong(TWO_BARRIERS,
                 "mbarrier.init.shared.b64 [bar], 1;\nmbarrier.inval.shared.b64 [bar];\n"
                 "@1;mbarrier.arrive.shared.b64 _, [bar];\n",
                 1, SG_R_BARRIER, 1);
    hopper_wrong(TWO_BARRIERS,
                 "mbarrier.init.shared.b64 [bar], 2;\n@1;mbarrier.arrive.shared.b64 _, [bar], 3;\n",
                 1, SG_R_BARRIER, 1);
    hopper_wrong(TWO_BARRIERS,
                 "mbarrier.init.shared.b64 [bar], 1;\n@1;mbarrier.arrive.noComplete.shared.b64 %s, "
                 "[bar], 1;\n",
                 1, SG_R_BARRIER, 1);
    hopper_wrong(TWO_BARRIERS,
                 "mbarrier.init.shared.b64 [bar], 1;\nst.shared.u32 [bar], 5;\n"
                 "@1;mbarrier.arrive.shared.b64 _, [bar];\n",
                 1, SG_R_BARRIER, 1);
    hopper_caught(TWO_BARRIERS, START("64") "@2;" ARRIVE, 64);
    /* An old state. */
    hopper_wrong(TWO_BARRIERS,
                 "mbarrier.init.shared.b64 [bar], 1;\nmbarrier.arrive.shared.b64 %s, [bar];\n"
                 "mbarrier.arrive.shared.b64 _, [bar];\n"
                 "@1;mbarrier.test_wait.shared.b64 %q, [bar], %s;\n",
                 1, SG_R_BARRIER, 1);
}

static void used_before_init_is_ordered(void **state) {
    (void)state;
    /* Warp 1 waits by itself until thread 0 must be through: nothing orders the two. */
    hopper_wrong(TWO_BARRIERS,
                 START("32") "setp.lt.u32 %p3, %tid, 32;\n@%p3 bra done;\nmov.u32 %r2, 2000;\n"
                             "spin: sub.s32 %r2, %r2, 1;\nsetp.ne.s32 %p4, %r2, 0;\n"
                             "ld.shared.u32 %r3, [%own];\n@%p4 bra spin;\n@2;" ARRIVE "done:\n",
                 64, SG_R_RACE, EITHER(2, 3));
}

static void deadlocks_are_named(void **state) {
    (void)state;
    hopper_wrong(TWO_BARRIERS, START("65") "bar.sync 0;\n" ARRIVE "@2;" WAIT("W", "%m", "0"), 64,
                 SG_R_DEADLOCK, 2);
    hopper_wrong(TWO_BARRIERS,
                 START("64") "bar.sync 0;\n"
                             "@%first mbarrier.expect_tx.relaxed.cta.shared.b64 [%m], 16;\n" ARRIVE
                             "@2;" WAIT("W", "%m", "0"),
                 64, SG_R_DEADLOCK, 2);
}

static void bytes_count(void **state) {
    (void)state;
    hopper_right(TWO_BARRIERS,
                 START("64") "bar.sync 0;\nst.shared.u32 [%own], %tid;\n"
                             "mbarrier.arrive.expect_tx.shared.b64 _, [%m], 4;\n"
                             "mbarrier.complete_tx.relaxed.cta.shared.b64 [%m], 4;\n" WAIT(
                                 "W", "%m", "0") "ld.shared.u32 %r9, [%other];\n" RESULT,
                 64, 0, is_reversed);
    hopper_right(TWO_BARRIERS,
                 START("64") "bar.sync 0;\nst.shared.u32 [%own], %tid;\n"
                             "mbarrier.arrive_drop.shared.b64 _, [%m];\n" WAIT(
                                 "W", "%m", "0") "ld.shared.u32 %r9, [%other];\n" RESULT,
                 64, 0, is_reversed);
}

/* Each thread copies its word; the barrier knows of all copies. */
#define COPIES(arrive, wait)                                             \
    START("64")                                                          \
    "bar.sync 0;\nst.global.u32 [%at], %tid;\nbar.sync 0;\n"             \
    "@2;cp.async.ca.shared.global [%own], [%at], 4;\n" arrive "@3;" wait \
    "@4;ld.shared.u32 %r9, [%other];\n" RESULT

static void copies_arrive(void **state) {
    (void)state;
    hopper_right(TWO_BARRIERS,
                 COPIES("cp.async.mbarrier.arrive.noinc.shared.b64 [%m];\n", WAIT("W", "%m", "0")),
                 64, 0, is_reversed);
    hopper_right(
        TWO_BARRIERS,
        COPIES("cp.async.mbarrier.arrive.shared::cta.b64 [%m];\n" ARRIVE, WAIT("W", "%m", "0")), 64,
        0, is_reversed);
    hopper_wrong(TWO_BARRIERS, COPIES("cp.async.mbarrier.arrive.noinc.shared.b64 [%m];\n", ""), 64,
                 SG_R_ASYNC_EARLY, 4);
    hopper_wrong(TWO_BARRIERS, COPIES(ARRIVE, WAIT("W", "%m", "0")), 64, SG_R_ASYNC_EARLY, 4);
    /* Not noinc: its own arrival is not one of the 64. */
    hopper_wrong(TWO_BARRIERS,
                 COPIES("cp.async.mbarrier.arrive.shared.b64 [%m];\n", WAIT("W", "%m", "0")), 64,
                 SG_R_DEADLOCK, 3);
}

/* ---- Clusters of one block, elections, registers. */

static void clusters_of_one(void **state) {
    (void)state;
#define CLUSTER(arrive, wait) \
    START("64")               \
    "st.shared.u32 [%own], %tid;\n" arrive wait "@5;ld.shared.u32 %r9, [%other];\n" RESULT
    hopper_right(TWO_BARRIERS,
                 CLUSTER("barrier.cluster.arrive.release.aligned;\n",
                         "barrier.cluster.wait.acquire.aligned;\n"),
                 64, 0, is_reversed);
    hopper_wrong(TWO_BARRIERS, CLUSTER("barrier.cluster.arrive;\n", ""), 64, SG_R_RACE,
                 EITHER(5, 1));
    hopper_wrong(TWO_BARRIERS, "@1;barrier.cluster.wait;\n", 64, SG_R_BARRIER, 1);
    hopper_wrong(TWO_BARRIERS, "barrier.cluster.arrive;\n@1;barrier.cluster.arrive;\n", 32,
                 SG_R_BARRIER, 1);
    hopper_wrong(TWO_BARRIERS,
                 "setp.eq.s32 %q, %tid, 5;\n@%q bra L;\n@1;barrier.cluster.arrive.aligned;\n"
                 "barrier.cluster.wait.aligned;\nL: bar.warp.sync 0xffffffff;\n",
                 32, SG_R_BARRIER, 1);
    hopper_right(TWO_BARRIERS,
                 START("64") "bar.sync 0;\nst.shared.u32 [%own], %tid;\nmov.u32 %r2, "
                             "%cluster_ctarank;\nmapa.shared::cluster.u32 %r3, %m, %r2;\n"
                             "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r3];\n" WAIT(
                                 "W", "%m", "0") "ld.shared.u32 %r9, [%other];\n" RESULT,
                 64, 0, is_reversed);
    hopper_wrong(TWO_BARRIERS, "@1;mapa.shared::cluster.u32 %r3, %tid, 1;\n", 32, SG_R_BOUNDS, 1);
}

static void registers_are_counted(void **state) {
    (void)state;
    hopper_right("", "setmaxnreg.dec.sync.aligned.u32 40;\nsetmaxnreg.inc.sync.aligned.u32 232;\n",
                 128, 0, NULL);
    hopper_wrong("",
                 "setmaxnreg.dec.sync.aligned.u32 40;\n@1;setmaxnreg.dec.sync.aligned.u32 48;\n",
                 128, SG_R_MATRIX, 1);
    hopper_wrong("", "@1;setmaxnreg.inc.sync.aligned.u32 256;\n", 384, SG_R_DEADLOCK, 1);
    hopper_wrong("", "@1;setmaxnreg.inc.sync.aligned.u32 100;\n", 128, SG_R_UNKNOWN, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrivals_order),
        cmocka_unit_test(pipelines),
        cmocka_unit_test(misuse),
        cmocka_unit_test(used_before_init_is_ordered),
        cmocka_unit_test(deadlocks_are_named),
        cmocka_unit_test(bytes_count),
        cmocka_unit_test(copies_arrive),
        cmocka_unit_test(clusters_of_one),
        cmocka_unit_test(registers_are_counted),
    };
    sg_get_options()->expect = true;
    sg_get_options()->full = true;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
