/* planted_case: the kernels of test_planted.c. Each takes the part in which the wrong and the right
 * one differ. One instruction a line. */
#ifndef SOFTGPU_PLANTED_CASE_H
#define SOFTGPU_PLANTED_CASE_H

#include "tests/softgpu/case.h"

/* clang-format off */
#define L1 SG_LINE(1)
#define L2 SG_LINE(2)
#define L3 SG_LINE(3)
#define L4 SG_LINE(4)

#define TILE ".shared .align 16 .b8 tile[1024];"
/* The address of this thread's word in the tile: %r1. */
#define OWN                    \
    "mov.u32 %r0, tile;\n"     \
    "add.s32 %r1, %r0, %t4;\n"
/* With variables of the module. */
#define MODULE(variables, body)                                                           \
    ".version 8.0\n.target sm_80\n.address_size 64\n"                                     \
    variables ".visible .entry k(.param .u64 k_a, .param .u64 k_b, .param .u64 k_c)\n{\n" \
    ".reg .pred %p<16>;\n.reg .b32 %r<32>;\n.reg .b64 %d<32>;\n"                          \
    ".reg .b64 %a, %b, %c, %at, %bt, %ct, %t8, %g8;\n"                                    \
    ".reg .b32 %tid, %block, %lane, %t4, %grid;\n"                                        \
    SG_CASE_MIDDLE body SG_CASE_TAIL

/* ---- Bounds. */
#define LAST_ROW(rows)                                             \
    SG_CASE("",                                                    \
        "setp.ge.u32 %p1, %tid, " rows ";\n"                       \
        "@%p1 bra done;\n"                                         \
        "mul.wide.u32 %d1, %tid, 64;\n"                            \
        "add.s64 %d2, %a, %d1;\n"                                  \
        L1 "ld.global.v4.u32 {%r1, %r2, %r3, %r4}, " "[%d2+48];\n" \
        L2 "st.global.u32 [%bt], %r4;\n"                           \
        "done:\n")
#define HALO(guard)                               \
    SG_CASE("",                                   \
        "mov.u32 %r1, 0;\n"                       \
        "setp.ne.u32 %p1, %grid, 0;\n"            \
        L1 guard "ld.global.u32 %r1, [%at+-4];\n" \
        L2 "st.global.u32 [%bt], %r1;\n")
#define VARIABLE(bytes)                                \
    MODULE(".global .align 4 .b8 table[" bytes "];\n", \
        "mov.u64 %d1, table;\n"                        \
        "add.s64 %d1, %d1, %t8;\n"                     \
        L1 "st.global.u32 [%d1], %tid;\n")
#define DYNAMIC(offset)                                  \
    MODULE(".extern .shared .align 16 .b8 dynamic[];\n", \
        "mov.u32 %r1, dynamic;\n"                        \
        "add.s32 %r1, %r1, %t4;\n"                       \
        L1 "st.shared.u32 [%r1+" offset "], %tid;\n")
#define COUNT_AT(offset) \
    SG_CASE("",          \
        L1 "red.global.add.u32 [%at+" offset "], 1;\n")
#define TABLE(shift)                       \
    SG_CASE("",                            \
        "shr.u32 %r1, %tid, " shift ";\n"  \
        "T: .branchtargets A, B, C;\n"     \
        L1 "brx.idx %r1, T;\n"             \
        L2 "A:\nst.global.u32 [%bt], 1;\n" \
        "B:\nst.global.u32 [%bt], 2;\n"    \
        "C:\n")

/* ---- Freed, space, alignment. */
#define LOAD_A                           \
    SG_CASE("",                          \
        L1 "ld.global.u32 %r1, [%at];\n" \
        L2 "st.global.u32 [%bt], %r1;\n")
#define STORE_A SG_CASE("", L1 "st.global.u32 [%at], %tid;\n")
#define WINDOW(space)                 \
    SG_CASE(TILE,                     \
        "mov.u64 %d1, tile;\n"        \
        "add.s64 %d1, %d1, %t8;\n"    \
        "cvta.shared.u64 %d2, %d1;\n" \
        L1 "st" space ".u32 [%d2], %tid;\n")
#define FOURS(offset)                   \
    SG_CASE("",                         \
        "mul.wide.u32 %d1, %tid, 16;\n" \
        "add.s64 %d2, %a, %d1;\n"       \
        L1 "ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%d2+" offset "];\n")
#define WIDE_AT(offset) \
    SG_CASE("",         \
        L1 "red.global.add.u64 [%a+" offset "], 1;\n")

/* ---- Bytes that nobody wrote. */
#define DECIDE                     \
    "setp.gt.u32 %p3, %r3, 7;\n"   \
    L1 "@%p3 bra done;\n"          \
    L2 "st.global.u32 [%bt], 1;\n" \
    "done:\n"
#define FILLED(threads, skip)                       \
    SG_CASE(TILE,                                   \
        OWN "setp.lt.u32 %p1, %tid, " threads ";\n" \
        "@%p1 st.shared.u32 [%r1], %tid;\n"         \
        skip "ld.shared.u32 %r3, [%r1];\n"          \
        DECIDE)
#define LOCAL(store)                         \
    SG_CASE(".local .align 4 .b8 own[16];",  \
        store "ld.local.u32 %r3, [own+4];\n" \
        DECIDE)
#define BY_TABLE(store)                         \
    SG_CASE(TILE,                               \
        OWN store "ld.shared.u32 %r3, [%r1];\n" \
        "and.b32 %r3, %r3, 1;\n"                \
        "T: .branchtargets A, B;\n"             \
        L1 "brx.idx %r3, T;\n"                  \
        L2 "A:\nst.global.u32 [%bt], 1;\n"      \
        "B:\n")
#define VOTE(store)                             \
    SG_CASE(TILE,                               \
        OWN store "ld.shared.u32 %r3, [%r1];\n" \
        "setp.gt.u32 %p1, %r3, 7;\n"            \
        "vote.sync.any.pred %p2, %p1, -1;\n"    \
        "selp.b32 %r3, 1, 0, %p2;\n"            \
        DECIDE)
#define BLOCK_VOTE(store)                       \
    SG_CASE(TILE,                               \
        OWN store "ld.shared.u32 %r3, [%r1];\n" \
        "setp.gt.u32 %p1, %r3, 7;\n"            \
        L1 "bar.red.popc.u32 %r3, 0, %p1;\n"    \
        DECIDE)
#define SHUFFLE(store)                                \
    SG_CASE(TILE,                                     \
        OWN store "ld.shared.u32 %r3, [%r1];\n"       \
        "shfl.sync.idx.b32 %r3, %tid, %r3, 31, -1;\n" \
        DECIDE)
#define LEAVE(store)                            \
    SG_CASE(TILE,                               \
        OWN store "ld.shared.u32 %r3, [%r1];\n" \
        "setp.gt.u32 %p1, %r3, 7;\n"            \
        L1 "@%p1 exit;\n")
#define SHARED_COUNT(store)               \
    SG_CASE(TILE,                         \
        OWN "setp.eq.u32 %p1, %tid, 0;\n" \
        store "bar.sync 0;\n"             \
        L1 "red.shared.add.u32 [%r0], 1;\n")
#define FILL "st.shared.u32 [%r1], %tid;\n"

/* ---- Races. */
#define BLOCKS(stride)                          \
    SG_CASE("",                                 \
        "mul.lo.s32 %r1, %block, " stride ";\n" \
        "add.s32 %r1, %r1, %tid;\n"             \
        "mul.wide.u32 %d1, %r1, 4;\n"           \
        "add.s64 %d2, %a, %d1;\n"               \
        L1 "st.global.u32 [%d2], %block;\n")
#define ALIAS(barrier)                                \
    SG_CASE(TILE,                                     \
        OWN L1 FILL L3 barrier "mov.u64 %d1, tile;\n" \
        "cvta.shared.u64 %d2, %d1;\n"                 \
        "xor.b32 %r2, %t4, 128;\n"                    \
        "cvt.u64.u32 %d3, %r2;\n"                     \
        "add.s64 %d2, %d2, %d3;\n"                    \
        L2 "ld.u32 %r3, [%d2];\n")
#define SHARED_SUM(before, after)                     \
    SG_CASE(TILE,                                     \
        OWN "st.shared.u32 [%r1], 1;\n"               \
        "bar.sync 0;\n"                               \
        "setp.ne.u32 %p1, %tid, 0;\n"                 \
        L1 "@!%p1 st.shared.u32 [%r0], 0;\n"          \
        L4 before L2 "red.shared.add.u32 [%r0], 1;\n" \
        L4 after L3 "@!%p1 ld.shared.u32 %r3, [%r0];\n")
#define SHARED_FLAG(release, acquire)                    \
    SG_CASE(TILE,                                        \
        OWN "st.shared.u32 [%r1], 0;\n"                  \
        "bar.sync 0;\n"                                  \
        "setp.ne.u32 %p1, %lane, 0;\n"                   \
        "@%p1 bra done;\n"                               \
        "setp.ne.u32 %p2, %tid, 0;\n"                    \
        "@%p2 bra taker;\n"                              \
        L1 "st.shared.u32 [tile+4], 7;\n"                \
        L3 release "st.volatile.shared.u32 [tile], 1;\n" \
        "bra done;\n"                                    \
        "taker:\n"                                       \
        "ld.volatile.shared.u32 %r3, [tile];\n"          \
        "setp.eq.u32 %p3, %r3, 0;\n"                     \
        "@%p3 bra taker;\n"                              \
        acquire L2 "ld.shared.u32 %r4, [tile+4];\n"      \
        "done:\n")
#define SCOPE(scope)                                    \
    SG_CASE("",                                         \
        "setp.ne.u32 %p1, %tid, 0;\n"                   \
        "@%p1 bra done;\n"                              \
        "setp.ne.u32 %p2, %block, 0;\n"                 \
        "@%p2 bra taker;\n"                             \
        L1 "st.global.u32 [%a], 7;\n"                   \
        L3 "st.release." scope ".global.u32 [%b], 1;\n" \
        "bra done;\n"                                   \
        "taker:\n"                                      \
        L4 "ld.acquire.gpu.global.u32 %r3, [%b];\n"     \
        "setp.eq.u32 %p3, %r3, 0;\n"                    \
        "@%p3 bra taker;\n"                             \
        L2 "ld.global.u32 %r4, [%a];\n"                 \
        "done:\n")
#define BOTH_SIDES(offset)                         \
    SG_CASE(TILE,                                  \
        OWN "setp.lt.u32 %p1, %lane, 16;\n"        \
        "@%p1 bra other;\n"                        \
        L1 "st.shared.u32 [tile], 1;\n"            \
        "bra done;\n"                              \
        "other:\n"                                 \
        L2 "st.shared.u32 [tile+" offset "], 2;\n" \
        "done:\n")
#define ORDERED_BY(what)                             \
    SG_CASE(TILE,                                    \
        OWN L1 FILL L3 what "xor.b32 %r2, %t4, 4;\n" \
        "add.s32 %r2, %r2, %r0;\n"                   \
        L2 "ld.shared.u32 %r3, [%r2];\n")
/* Both accesses are in functions that were inlined. */
#define INLINED(sync)                                           \
    SG_CASE(TILE,                                               \
        OWN ".loc 1 1 0, function_name $L, inlined_at 1 50 0\n" \
        FILL L3 sync "xor.b32 %r2, %t4, 4;\n"                   \
        "add.s32 %r2, %r2, %r0;\n"                              \
        ".loc 1 2 0, function_name $L, inlined_at 1 50 0\n"     \
        "ld.shared.u32 %r3, [%r2];\n")

/* ---- Barriers, warps. */
#define DIVIDED(inside, outside)            \
    SG_CASE(TILE,                           \
        OWN "setp.ge.u32 %p1, %lane, 16;\n" \
        "@%p1 bra join;\n"                  \
        FILL L1 inside L2 "join:\n"         \
        outside "mov.u32 %r5, 0;\n")
#define COUNTS(other)                         \
    SG_CASE("",                               \
        "setp.lt.u32 %p1, %tid, 32;\n"        \
        "selp.b32 %r1, " other ", 64, %p1;\n" \
        L1 "bar.sync 1, %r1;\n")
#define NUMBER(n) SG_CASE("", L1 "bar.sync " n ";\n")
#define ROUNDS(more)                        \
    SG_CASE("",                             \
        "setp.lt.u32 %p1, %tid, 32;\n"      \
        "selp.b32 %r1, " more ", 3, %p1;\n" \
        "again:\n"                          \
        L1 "bar.sync 1, 64;\n"              \
        L2 "sub.s32 %r1, %r1, 1;\n"         \
        "setp.ne.u32 %p2, %r1, 0;\n"        \
        "@%p2 bra again;\n")
#define SIGNAL(at)                                    \
    SG_CASE("",                                       \
        "setp.ne.u32 %p1, %tid, 0;\n"                 \
        "@%p1 bra done;\n"                            \
        "setp.ne.u32 %p2, %block, 0;\n"               \
        "@%p2 bra taker;\n"                           \
        "st.release.gpu.global.u32 [%b+" at "], 1;\n" \
        "bra done;\n"                                 \
        "taker:\n"                                    \
        L1 "ld.acquire.gpu.global.u32 %r3, [%b];\n"   \
        "setp.eq.u32 %p3, %r3, 0;\n"                  \
        "@%p3 bra taker;\n"                           \
        L2 "done:\n")
#define TRIPS(trips)                                   \
    SG_CASE("",                                        \
        "mov.u32 %r1, 0;\n"                            \
        "again:\n"                                     \
        "add.s32 %r1, %r1, 1;\n"                       \
        L1 "shfl.sync.bfly.b32 %r3, %r1, 1, 31, -1;\n" \
        L2 "setp.lt.u32 %p1, %r1, " trips ";\n"        \
        "@%p1 bra again;\n")
#define HALF_VOTE(mask)                               \
    SG_CASE("",                                       \
        "setp.ge.u32 %p1, %lane, 16;\n"               \
        "@%p1 bra done;\n"                            \
        L1 "vote.sync.any.pred %p2, %p1, " mask ";\n" \
        L2 "done:\n")
#define STOP_AT(thread)                        \
    SG_CASE("",                                \
        "setp.eq.u32 %p1, %tid, " thread ";\n" \
        L1 "@%p1 trap;\n")
#define ONE(instruction) SG_CASE("", L1 instruction "\n")
/* clang-format on */

#endif
