/* Races: right kernels are clean whatever the schedule, planted bugs are named with their line. */
#include "tests/softgpu/case.h"

#define SEEDS 20

typedef struct race_case {
    const char *name, *ptx;
    uint32_t blocks, threads;
    int line, other; /* of the race, either may be reported first; 0: clean */
} race_case;

/* clang-format off: one instruction a line */
#define SHARED ".shared .align 16 .b8 tile[4096];"

/* %r1: address of tile[tid], %r2: of tile[threads - 1 - tid] */
#define TILE                    \
    "mov.u32 %r0, tile;\n"      \
    "add.s32 %r1, %r0, %t4;\n"  \
    "mov.u32 %r3, %ntid.x;\n"   \
    "sub.s32 %r3, %r3, %tid;\n" \
    "sub.s32 %r3, %r3, 1;\n"    \
    "shl.b32 %r3, %r3, 2;\n"    \
    "add.s32 %r2, %r0, %r3;\n"
#define TURN(barrier)                                                         \
    SG_CASE(SHARED, TILE SG_LINE(1) "st.shared.u32 [%r1], %tid;\n" SG_LINE(2) \
                        barrier SG_LINE(3) "ld.shared.u32 %r4, [%r2];\n"      \
                                           "st.global.u32 [%at], %r4;\n")
#define LOOP(second)                                                                             \
    SG_CASE(SHARED,                                                                              \
            TILE "mov.u32 %r5, 4;\n"                                                             \
                 "mov.u32 %r6, 0;\n"                                                             \
                 "again:\n" SG_LINE(1) "st.shared.u32 [%r1], %r5;\n"                             \
                                       "bar.sync 0;\n" SG_LINE(                                  \
                                           2) "ld.shared.u32 %r4, [%r2];\n"                      \
                                              "add.s32 %r6, %r6, %r4;\n" SG_LINE(3)              \
                                                  second SG_LINE(4) "sub.s32 %r5, %r5, 1;\n"     \
                                                                    "setp.ne.s32 %p1, %r5, 0;\n" \
                                                                    "@%p1 bra again;\n"          \
                                                                    "st.global.u32 [%at], %r6;\n")

/* Each lane reads its neighbour's value, within the warp only. */
#define NEIGHBOUR(sync)                                                       \
    SG_CASE(SHARED, TILE SG_LINE(1) "st.shared.u32 [%r1], %tid;\n" SG_LINE(2) \
                        sync SG_LINE(3) "xor.b32 %r5, %t4, 4;\n"              \
                                        "add.s32 %r6, %r0, %r5;\n"            \
                                        "ld.shared.u32 %r4, [%r6];\n"         \
                                        "st.global.u32 [%at], %r4;\n")
#define THROUGH_GLOBAL(barrier)                                                                \
    SG_CASE("", "mov.u32 %r3, %ntid.x;\n"                                                      \
                "sub.s32 %r3, %r3, %tid;\n"                                                    \
                "sub.s32 %r3, %r3, 1;\n"                                                       \
                "mul.wide.u32 %d1, %r3, 4;\n"                                                  \
                "add.s64 %d2, %a, %d1;\n" SG_LINE(1) "st.global.u32 [%at], %tid;\n" SG_LINE(2) \
                    barrier SG_LINE(3) "ld.global.u32 %r4, [%d2];\n"                           \
                                       "st.global.u32 [%bt], %r4;\n")

/* Thread 0 of each block writes a[block] and reads a[block ^ 1]. */
#define BLOCK_TO_BLOCK                                                                         \
    SG_CASE("", "setp.ne.s32 %p1, %tid, 0;\n"                                                  \
                "@%p1 bra done;\n"                                                             \
                "mul.wide.u32 %d1, %block, 4;\n"                                               \
                "add.s64 %d2, %a, %d1;\n" SG_LINE(1) "st.global.u32 [%d2], %block;\n" SG_LINE( \
                    2) "xor.b32 %r1, %block, 1;\n"                                             \
                       "mul.wide.u32 %d1, %r1, 4;\n"                                           \
                       "add.s64 %d3, %a, %d1;\n"                                               \
                       "ld.global.u32 %r2, [%d3];\n"                                           \
                       "add.s64 %d4, %b, %d1;\n"                                               \
                       "st.global.u32 [%d4], %r2;\n"                                           \
                       "done:\n")

/* The last block adds up what all have written. */
#define LAST_BLOCK(before, order, after, barrier)                                                 \
    SG_CASE(".shared .align 4 .b8 last[4];",                                                      \
            "mov.u32 %r9, %nctaid.x;\n"                                                           \
            "setp.ne.s32 %p1, %tid, 0;\n"                                                         \
            "mul.wide.u32 %d1, %block, 4;\n"                                                      \
            "@!%p1 st.shared.u32 [last], 99;\n"                                                   \
            "bar.sync 0;\n"                                                                       \
            "add.s64 %d2, %a, %d1;\n"                                                             \
            "@%p1 bra join;\n" SG_LINE(1) "st.global.u32 [%d2], %block;\n" SG_LINE(2)             \
                before SG_LINE(3) "atom" order ".global.add.u32 %r1, [%b], 1;\n" SG_LINE(4) after \
            "st.shared.u32 [last], %r1;\n"                                                        \
            "join:\n" SG_LINE(5)                                                                  \
                barrier SG_LINE(6) "ld.shared.u32 %r2, [last];\n"                                 \
                                   "add.s32 %r2, %r2, 1;\n"                                       \
                                   "setp.ne.s32 %p2, %r2, %r9;\n"                                 \
                                   "@%p2 bra done;\n"                                             \
                                   "setp.ge.u32 %p3, %tid, %r9;\n"                                \
                                   "@%p3 bra done;\n" SG_LINE(7) "add.s64 %d5, %a, %t8;\n"        \
                                                                 "ld.global.u32 %r3, [%d5];\n"    \
                                                                 "st.global.u32 [%ct], %r3;\n"    \
                                                                 "done:\n")

/* Everybody counts; thread 0 looks without an atomic. */
#define COUNTER(barrier)                                              \
    SG_CASE("", SG_LINE(1) "red.global.add.u32 [%a], 1;\n" SG_LINE(2) \
                    barrier SG_LINE(3) "setp.ne.s32 %p1, %tid, 0;\n"  \
                                       "@%p1 bra done;\n"             \
                                       "ld.global.u32 %r1, [%a];\n"   \
                                       "st.global.u32 [%b], %r1;\n"   \
                                       "done:\n")
#define ONE_PLACE(value) SG_CASE("", SG_LINE(1) "st.global.u32 [%a], " value ";\n")

/* Neighbours of 2 bytes that belong to different warps (shift 5), or are the same (6).
 */
#define HALVES(shift)                             \
    SG_CASE("", "shr.u32 %r1, %tid, " shift ";\n" \
                "shl.b32 %r2, %lane, 1;\n"        \
                "add.s32 %r1, %r1, %r2;\n"        \
                "mul.wide.u32 %d1, %r1, 2;\n"     \
                "add.s64 %d2, %a, %d1;\n"         \
                "cvt.u16.u32 %h0, %tid;\n" SG_LINE(1) "st.global.b16 [%d2], %h0;\n")

/* Warps 0 and 1 talk through barrier 1, the others go on. */
#define PAIR(barrier)                                                                           \
    SG_CASE(SHARED, TILE "xor.b32 %r5, %t4, 128;\n"                                             \
                         "add.s32 %r6, %r0, %r5;\n" SG_LINE(                                    \
                             1) "st.shared.u32 [%r1], %tid;\n"                                  \
                                "setp.ge.u32 %p1, %tid, 64;\n"                                  \
                                "@%p1 bra done;\n" SG_LINE(2)                                   \
                                    barrier SG_LINE(3) "ld.shared.u32 %r4, [%r6];\n" SG_LINE(4) \
                                        barrier SG_LINE(5) "st.shared.u32 [%r1], %r4;\n"        \
                                                           "done:\n"                            \
                                                           "bar.sync 0;\n"                      \
                                                           "ld.shared.u32 %r7, [%r2];\n"        \
                                                           "st.global.u32 [%at], %r7;\n")

/* Block 0 hands a value to block 1. */
#define HAND_OVER(release, acquire)                                                               \
    SG_CASE("",                                                                                   \
            "setp.ne.s32 %p1, %tid, 0;\n"                                                         \
            "@%p1 bra done;\n"                                                                    \
            "setp.ne.s32 %p2, %block, 0;\n"                                                       \
            "@%p2 bra taker;\n" SG_LINE(1) "st.global.u32 [%a], 7;\n" SG_LINE(2) release SG_LINE( \
                3) "st.volatile.global.u32 [%b], 1;\n"                                            \
                   "bra done;\n"                                                                  \
                   "taker:\n" SG_LINE(4) "ld.volatile.global.u32 %r1, [%b];\n"                    \
                                         "setp.eq.s32 %p3, %r1, 0;\n"                             \
                                         "@%p3 bra taker;\n" SG_LINE(5)                           \
                                             acquire SG_LINE(6) "ld.global.u32 %r2, [%a];\n"      \
                                                                "st.global.u32 [%c], %r2;\n"      \
                                                                "done:\n")

/* One thread of each block adds to a plain counter under a lock. */
#define LOCK(acquire, release)                                                                \
    SG_CASE("", "setp.ne.s32 %p1, %tid, 0;\n"                                                 \
                "@%p1 bra done;\n"                                                            \
                "spin:\n" SG_LINE(1) "atom.global.cas.b32 %r1, [%b], 0, 1;\n"                 \
                                     "setp.ne.s32 %p2, %r1, 0;\n"                             \
                                     "@%p2 bra spin;\n" SG_LINE(2) acquire SG_LINE(           \
                                         3) "ld.global.u32 %r2, [%a];\n"                      \
                                            "add.s32 %r2, %r2, 1;\n" SG_LINE(                 \
                                                4) "st.global.u32 [%a], %r2;\n" SG_LINE(5)    \
                                                release SG_LINE(                              \
                                                    6) "atom.global.exch.b32 %r3, [%b], 0;\n" \
                                                       "done:\n")

/* Written as f32, read as rows of four by another thread. */
#define ROWS(barrier)                                                                         \
    SG_CASE(SHARED, TILE SG_LINE(1) "st.shared.u32 [%r1], %tid;\n" SG_LINE(2)                 \
                        barrier SG_LINE(3) "setp.ge.u32 %p1, %tid, 32;\n"                     \
                                           "@%p1 bra done;\n"                                 \
                                           "shl.b32 %r5, %tid, 4;\n"                          \
                                           "add.s32 %r6, %r0, %r5;\n"                         \
                                           "ld.shared.v4.u32 {%r7, %r8, %r9, %r10}, [%r6];\n" \
                                           "add.s32 %r7, %r7, %r10;\n"                        \
                                           "st.global.u32 [%at], %r7;\n"                      \
                                           "done:\n")

/* All warps read one place, then one thread overwrites it. */
#define BROADCAST(barrier)                                                                 \
    SG_CASE("", SG_LINE(1) "ld.global.u32 %r1, [%a];\n"                                    \
                           "st.global.u32 [%bt], %r1;\n" SG_LINE(2) barrier SG_LINE(       \
                               3) "setp.ne.s32 %p1, %tid, 0;\n"                            \
                                  "@%p1 bra done;\n" SG_LINE(4) "st.global.u32 [%a], 5;\n" \
                                                                "done:\n")

/* The lower half of the warp syncs among itself, the upper among itself. */
#define HALF_WARPS(mask)                                                                       \
    SG_CASE(SHARED,                                                                            \
            TILE "setp.ge.u32 %p1, %lane, 16;\n"                                               \
                 "selp.b32 %r8, 0xffff0000, 0xffff, %p1;\n"                                    \
                 "xor.b32 %r5, %t4, " mask ";\n"                                               \
                 "add.s32 %r6, %r0, %r5;\n" SG_LINE(1) "st.shared.u32 [%r1], %tid;\n" SG_LINE( \
                     2) "bar.warp.sync %r8;\n" SG_LINE(3) "ld.shared.u32 %r4, [%r6];\n"        \
                                                          "st.global.u32 [%at], %r4;\n")

/* Lane 0 of each warp writes for the others. */
#define DIVERGED(sync)                                                                           \
    SG_CASE(SHARED,                                                                              \
            TILE "and.b32 %r5, %t4, 0xffffff80;\n"                                               \
                 "add.s32 %r6, %r0, %r5;\n"                                                      \
                 "setp.ne.s32 %p1, %lane, 0;\n"                                                  \
                 "@%p1 bra join;\n" SG_LINE(1) "st.shared.u32 [%r6], %tid;\n"                    \
                                               "join:\n" SG_LINE(2)                              \
                                                   sync SG_LINE(3) "ld.shared.u32 %r4, [%r6];\n" \
                                                                   "st.global.u32 [%at], %r4;\n")

/* Written in fours, read in halves of a word. */
#define SPLIT(barrier)                                                                       \
    SG_CASE(SHARED, "mov.u32 %r0, tile;\n"                                                   \
                    "shl.b32 %r1, %tid, 4;\n"                                                \
                    "add.s32 %r1, %r0, %r1;\n" SG_LINE(                                      \
                        1) "st.shared.v4.u32 [%r1], {%tid, %tid, %tid, %tid};\n" SG_LINE(2)  \
                        barrier SG_LINE(3) "shl.b32 %r2, %tid, 1;\n"                         \
                                           "add.s32 %r2, %r0, %r2;\n"                        \
                                           "ld.shared.u16 %h1, [%r2];\n"                     \
                                           "mul.wide.u32 %d1, %grid, 2;\n"                   \
                                           "add.s64 %d2, %a, %d1;\n"                         \
                                           "st.global.u16 [%d2], %h1;\n"                     \
                                           "bar.sync 0;\n"                                   \
                                           "st.shared.u16 [%r2], %h1;\n"                     \
                                           "bar.sync 0;\n"                                   \
                                           "ld.shared.v4.u32 {%r3, %r4, %r5, %r6}, [%r1];\n" \
                                           "st.global.u32 [%bt], %r6;\n")

/* Lanes above 20 leave; the others meet without them. */
#define LEAVERS(sync)                                                                            \
    SG_CASE(SHARED, TILE "setp.gt.u32 %p1, %lane, 20;\n"                                         \
                         "@%p1 bra done;\n" SG_LINE(1) "st.shared.u32 [%r1], %tid;\n" SG_LINE(2) \
                             sync SG_LINE(3) "mov.u32 %r5, 20;\n"                                \
                                             "sub.s32 %r5, %r5, %lane;\n"                        \
                                             "shl.b32 %r5, %r5, 2;\n"                            \
                                             "add.s32 %r6, %r0, %r5;\n"                          \
                                             "ld.shared.u32 %r4, [%r6];\n"                       \
                                             "st.global.u32 [%at], %r4;\n"                       \
                                             "done:\n")

#define COUNT(scope) SG_CASE("", SG_LINE(1) "red" scope ".global.add.u32 [%a], 1;\n")

#define SYNC "bar.sync 0;"
#define FENCE "membar.gl;"
/* clang-format on */

static const race_case cases[] = {
    {"a barrier between write and read", TURN(SYNC), 3, 128, 0, 0},
    {"no barrier between write and read", TURN(""), 3, 128, 3, 1},
    {"a warp's sync is no barrier", TURN("bar.warp.sync -1;"), 3, 128, 3, 1},
    {"two barriers in a loop", LOOP(SYNC), 2, 128, 0, 0},
    {"one barrier in a loop", LOOP(""), 2, 128, 1, 2},
    {"neighbours in a warp with a sync", NEIGHBOUR("bar.warp.sync -1;"), 2, 96, 0, 0},
    {"neighbours in a warp without", NEIGHBOUR(""), 2, 96, 3, 1},
    {"shfl.sync orders no memory", NEIGHBOUR("shfl.sync.idx.b32 %r9, %tid, 0, 31, -1;"), 1, 32, 3,
     1},
    {"one lane writes for its warp", DIVERGED("bar.warp.sync -1;"), 1, 96, 0, 0},
    {"one lane writes for its warp, no sync", DIVERGED(""), 1, 96, 3, 1},
    {"fours and halves", SPLIT(SYNC), 2, 128, 0, 0},
    {"fours and halves without a barrier", SPLIT(""), 2, 128, 3, 1},
    {"lanes leave before a warp's sync", LEAVERS("bar.warp.sync 0x1fffff;"), 1, 32, 0, 0},
    {"lanes leave before a barrier", LEAVERS(SYNC), 1, 32, 0, 0},
    {"lanes leave, no sync", LEAVERS(""), 1, 32, 3, 1},
    {"counting for the grid", COUNT(""), 4, 64, 0, 0},
    {"counting within one block", COUNT(".relaxed.cta"), 1, 64, 0, 0},
    {"counting for the block, by several", COUNT(".relaxed.cta"), 4, 64, 1, 1},
    {"half warps, each with its sync", HALF_WARPS("4"), 2, 64, 0, 0},
    {"half warps that look across", HALF_WARPS("64"), 2, 64, 3, 1},
    {"through global memory with a barrier", THROUGH_GLOBAL(SYNC), 1, 128, 0, 0},
    {"through global memory without", THROUGH_GLOBAL(""), 1, 128, 3, 1},
    {"block to block", BLOCK_TO_BLOCK, 4, 32, 2, 1},
    {"the last block", LAST_BLOCK(FENCE, "", FENCE, SYNC), 8, 64, 0, 0},
    {"the last block, acq_rel", LAST_BLOCK("", ".acq_rel.gpu", "", SYNC), 8, 64, 0, 0},
    {"the last block, acquire alone", LAST_BLOCK("", ".acquire.gpu", "", SYNC), 8, 64, 7, 1},
    {"the last block, release alone", LAST_BLOCK("", ".release.gpu", "", SYNC), 8, 64, 7, 1},
    {"the last block without the first fence", LAST_BLOCK("", "", FENCE, SYNC), 8, 64, 7, 1},
    {"the last block with a fence for the block", LAST_BLOCK("membar.cta;", "", FENCE, SYNC), 8, 64,
     7, 1},
    {"the last block without the second fence", LAST_BLOCK(FENCE, "", "", SYNC), 8, 64, 7, 1},
    {"the last block without the barrier", LAST_BLOCK(FENCE, "", FENCE, ""), 8, 64, 6, 4},
    {"a counter read after a barrier", COUNTER(SYNC), 1, 128, 0, 0},
    {"a counter read beside atomics", COUNTER(""), 1, 128, 3, 1},
    {"one place, one value", ONE_PLACE("3"), 1, 32, 0, 0},
    {"one place, many values", ONE_PLACE("%tid"), 1, 32, 1, 1},
    {"one place, one value, many warps", ONE_PLACE("3"), 1, 64, 1, 1},
    {"neighbours of 2 bytes", HALVES("5"), 1, 64, 0, 0},
    {"the same 2 bytes", HALVES("6"), 1, 64, 1, 1},
    {"a pair with its own barrier", PAIR("bar.sync 1, 64;"), 2, 128, 0, 0},
    {"a pair without", PAIR(""), 2, 128, 3, 1},
    {"a value handed over", HAND_OVER(FENCE, FENCE), 2, 32, 0, 0},
    {"a value handed over without release", HAND_OVER("", FENCE), 2, 32, 6, 1},
    {"a value handed over without acquire", HAND_OVER(FENCE, ""), 2, 32, 6, 1},
    {"a lock", LOCK(FENCE, FENCE), 6, 32, 0, 0},
    {"a lock that does not release", LOCK(FENCE, ""), 6, 32, 3, 4},
    {"a lock that does not acquire", LOCK("", FENCE), 6, 32, 3, 4},
    {"rows after a barrier", ROWS(SYNC), 2, 128, 0, 0},
    {"rows without", ROWS(""), 2, 128, 3, 1},
    {"overwritten after a barrier", BROADCAST(SYNC), 1, 256, 0, 0},
    {"overwritten at once", BROADCAST(""), 1, 256, 4, 1},
    {"overwritten, another block reads", BROADCAST(SYNC), 2, 64, 4, 1},
};

static void check_case(void **state) {
    const race_case *c = *state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        sg_get_options()->seed = seed;
        sg_report_clear();
        sg_case one = {.blocks = c->blocks, .threads = c->threads};
        one.a = sg_case_memory(4096, true);
        one.b = sg_case_memory(4096, true);
        one.c = sg_case_memory(4096, true);
        sg_case_run(c->ptx, &one, NULL);
        bool right =
            c->line ? sg_case_reports(SG_R_RACE, c->line) + sg_case_reports(SG_R_RACE, c->other) > 0
                    : sg_report_count() == 0;
        if (!right) {
            sg_case_print();
            fail_msg("%s, seed %d: %d reports", c->name, (int)seed, sg_report_count());
        }
        sg_memory_give_back(one.a);
        sg_memory_give_back(one.b);
        sg_memory_give_back(one.c);
    }
    sg_report_clear();
}

int main(void) {
    enum { COUNT = sizeof cases / sizeof *cases };
    struct CMUnitTest tests[COUNT];
    sg_get_options()->expect = true;
    sg_get_options()->full = true;
    for (int i = 0; i < COUNT; i++)
        tests[i] = (struct CMUnitTest){.name = cases[i].name,
                                       .test_func = check_case,
                                       .initial_state = (void *)(uintptr_t)&cases[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
