/* Planted bugs: of every kind of report a kernel that has it, named at its line on 20 schedules,
 * and beside it the same kernel made right, clean on 20 schedules. What other tests have in pairs
 * already is in the list `elsewhere`, not here. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/softgpu/driver.h"
#include "tests/softgpu/planted_case.h"

#define SEEDS 20

static const char *const elsewhere[SG_REPORT_KINDS] = {
    [SG_R_BOUNDS] = "test_memory; copies: test_async, test_tma; rows: test_ldmatrix",
    [SG_R_FREED] = "test_memory; the host's copies: test_driver; test_async",
    [SG_R_SPACE] = "test_memory, test_async, test_ldmatrix",
    [SG_R_ALIGNMENT] = "test_memory, test_async, test_ldmatrix",
    [SG_R_UNWRITTEN] = "test_memory, test_async, test_matrix_taint, test_ldmatrix; copies to the "
                       "host: test_driver",
    [SG_R_RACE] = "test_race: barriers, warp syncs, fences and atomics; test_async_pipeline, "
                  "test_ldmatrix, test_tma",
    [SG_R_ASYNC_EARLY] = "test_async, test_async_pipeline, test_tma, test_wgmma",
    [SG_R_PROXY] = "test_tma, test_wgmma",
    [SG_R_BARRIER] = "test_instructions_warp, test_mbarrier",
    [SG_R_DEADLOCK] = "test_instructions_warp, test_mbarrier, test_tma",
    [SG_R_STEPS] = "test_instructions_warp",
    [SG_R_WARP_SYNC] = "test_instructions_warp, test_ldmatrix, test_matrix_taint",
    [SG_R_MATRIX] = "test_tma, test_wgmma",
    [SG_R_LAUNCH] = "test_program, test_driver",
    [SG_R_UNKNOWN] = "test_memory, test_ptx, test_program, test_matrix, test_ldmatrix, test_async",
    [SG_R_TRAP] = "test_instructions_warp",
    [SG_R_HANDLE] = "test_driver",
    [SG_R_LEAK] = "here: leak",
};

typedef struct planted {
    sg_report_kind kind;
    const char *name, *wrong, *right;
    uint32_t blocks, threads;
    unsigned lines;  /* where reports may be, as bits */
    uint32_t shared; /* dynamic */
    bool free_a;     /* %a is freed before the wrong one runs */
    const char *words;
} planted;

#define AT(n) (1u << (n))

static const planted cases[] = {
    {SG_R_BOUNDS, "a row too many", LAST_ROW("65"), LAST_ROW("64"), 1, 96, AT(1), 0, 0,
     "lane 0 reads 16 bytes"},
    {SG_R_BOUNDS, "a halo without a guard", HALO(""), HALO("@%p1 "), 2, 64, AT(1), 0, 0,
     "4 bytes before the start"},
    {SG_R_BOUNDS, "past a variable", VARIABLE("252"), VARIABLE("256"), 1, 64, AT(1), 0, 0,
     "lane 31 writes"},
    {SG_R_BOUNDS, "past dynamic shared memory", DYNAMIC("4"), DYNAMIC("0"), 1, 64, AT(1), 256, 0,
     "the 256 bytes of shared memory"},
    {SG_R_BOUNDS, "an atomic past the end", COUNT_AT("3844"), COUNT_AT("3840"), 1, 64, AT(1), 0, 0,
     "lane 31 changes"},
    {SG_R_BOUNDS, "past a table of branches", TABLE("5"), TABLE("6"), 1, 128, AT(1), 0, 0,
     "entry 3 of a table of 3"},
    {SG_R_FREED, "reads what was freed", LOAD_A, LOAD_A, 2, 64, AT(1), 0, 1,
     "a freed block of 4,096 bytes"},
    {SG_R_FREED, "writes what was freed", STORE_A, STORE_A, 2, 64, AT(1), 0, 1,
     "a freed block of 4,096 bytes"},
    {SG_R_SPACE, "a generic address as shared", WINDOW(".shared"), WINDOW(""), 1, 64, AT(1), 0, 0,
     "not converted"},
    {SG_R_ALIGNMENT, "four words at eight bytes", FOURS("8"), FOURS("16"), 1, 64, AT(1), 0, 0,
     "no multiple of 16"},
    {SG_R_ALIGNMENT, "a wide atomic at four bytes", WIDE_AT("4"), WIDE_AT("8"), 1, 64, AT(1), 0, 0,
     "no multiple of 8"},

    {SG_R_UNWRITTEN, "a tile not filled to its end", FILLED("60", ""), FILLED("64", ""), 2, 64,
     AT(1), 0, 0, NULL},
    {SG_R_UNWRITTEN, "its end not skipped", FILLED("60", ""), FILLED("60", "@!%p1 bra done;\n"), 2,
     64, AT(1), 0, 0, NULL},
    {SG_R_UNWRITTEN, "local memory", LOCAL(""), LOCAL("st.local.u32 [own+4], %tid;\n"), 1, 64,
     AT(1), 0, 0, NULL},
    {SG_R_UNWRITTEN, "a jump through a table", BY_TABLE(""), BY_TABLE(FILL), 1, 64, AT(1), 0, 0,
     NULL},
    {SG_R_UNWRITTEN, "a vote", VOTE(""), VOTE(FILL), 1, 64, AT(1), 0, 0, NULL},
    {SG_R_UNWRITTEN, "a vote of the block", BLOCK_VOTE(""), BLOCK_VOTE(FILL), 1, 64, AT(1), 0, 0,
     NULL},
    {SG_R_UNWRITTEN, "a shuffle's lane", SHUFFLE(""), SHUFFLE(FILL), 1, 64, AT(1), 0, 0, NULL},
    {SG_R_UNWRITTEN, "who ends", LEAVE(""), LEAVE(FILL), 1, 64, AT(1), 0, 0, NULL},
    {SG_R_UNWRITTEN, "a counter not set to zero", SHARED_COUNT(""),
     SHARED_COUNT("@%p1 st.shared.u32 [%r0], 0;\n"), 2, 64, AT(1), 0, 0, "memory changed"},

    {SG_R_RACE, "blocks that overlap", BLOCKS("63"), BLOCKS("64"), 4, 64, AT(1), 0, 0, "of block"},
    {SG_R_RACE, "shared memory by its generic address", ALIAS(""), ALIAS("bar.sync 0;\n"), 1, 64,
     AT(1) | AT(2), 0, 0, "shared offset"},
    {SG_R_RACE, "a sum before it is zero", SHARED_SUM("", "bar.sync 0;\n"),
     SHARED_SUM("bar.sync 0;\n", "bar.sync 0;\n"), 2, 64, AT(1) | AT(2), 0, 0, "atomic"},
    {SG_R_RACE, "a sum read too soon", SHARED_SUM("bar.sync 0;\n", ""),
     SHARED_SUM("bar.sync 0;\n", "bar.sync 0;\n"), 2, 64, AT(2) | AT(3), 0, 0, NULL},
    {SG_R_RACE, "a shared flag that does not release", SHARED_FLAG("", "membar.cta;\n"),
     SHARED_FLAG("membar.cta;\n", "membar.cta;\n"), 1, 64, AT(1) | AT(2), 0, 0, NULL},
    {SG_R_RACE, "a shared flag that does not acquire", SHARED_FLAG("membar.cta;\n", ""),
     SHARED_FLAG("membar.cta;\n", "membar.cta;\n"), 1, 64, AT(1) | AT(2), 0, 0, NULL},
    {SG_R_RACE, "a release of too small a scope", SCOPE("cta"), SCOPE("gpu"), 2, 32,
     AT(1) | AT(2) | AT(3) | AT(4), 0, 0, NULL},
    {SG_R_RACE, "both sides of a branch write", BOTH_SIDES("0"), BOTH_SIDES("4"), 1, 32,
     AT(1) | AT(2), 0, 0, NULL},
    {SG_R_RACE, "a vote orders no memory", ORDERED_BY("vote.sync.all.pred %p1, %p2, -1;\n"),
     ORDERED_BY("bar.warp.sync -1;\n"), 1, 32, AT(1) | AT(2), 0, 0, NULL},
    {SG_R_RACE, "a fence waits for nobody", ORDERED_BY("membar.gl;\n"), ORDERED_BY("bar.sync 0;\n"),
     1, 64, AT(1) | AT(2), 0, 0, NULL},
    {SG_R_RACE, "in functions that were inlined", INLINED(""), INLINED("bar.sync 0;\n"), 1, 64,
     AT(1) | AT(2), 0, 0, "(inlined at case.cu:50)"},

    {SG_R_BARRIER, "a barrier in a branch", DIVIDED("bar.sync 0;\n", "bar.sync 0;\n"),
     DIVIDED("", "bar.sync 0;\n"), 1, 64, AT(1) | AT(2), 0, 0, NULL},
    {SG_R_BARRIER, "two counts", COUNTS("96"), COUNTS("64"), 1, 64, AT(1), 0, 0, NULL},
    {SG_R_BARRIER, "a barrier that is not there", NUMBER("16"), NUMBER("15"), 1, 64, AT(1), 0, 0,
     NULL},
    {SG_R_DEADLOCK, "a round more", ROUNDS("4"), ROUNDS("3"), 1, 64, AT(1), 0, 0, "for ever"},
    {SG_R_STEPS, "a signal in the wrong place", SIGNAL("4"), SIGNAL("0"), 2, 32, AT(1), 0, 0, NULL},
    {SG_R_WARP_SYNC, "a shuffle in a loop that lanes leave", TRIPS("%lane"), TRIPS("9"), 1, 64,
     AT(1), 0, 0, NULL},
    {SG_R_WARP_SYNC, "a vote of half a warp", HALF_VOTE("0xff"), HALF_VOTE("0xffff"), 1, 64, AT(1),
     0, 0, NULL},
    {SG_R_UNKNOWN, "a modifier", ONE("xor.sat.b32 %r1, %r2, %r3;"), ONE("xor.b32 %r1, %r2, %r3;"),
     1, 32, AT(1), 0, 0, "xor.sat"},
    {SG_R_UNKNOWN, "an instruction", ONE("vadd.u32.u32.u32 %r1, %r2, %r3;"),
     ONE("add.u32 %r1, %r2, %r3;"), 1, 32, AT(1), 0, 0, "vadd"},
    {SG_R_TRAP, "stops itself", STOP_AT("63"), STOP_AT("64"), 1, 64, AT(1), 0, 0, NULL},
};

static void run_once(const planted *p, bool wrong, uint64_t seed) {
    sg_case one = sg_case_three(p->blocks, p->threads);
    one.dynamic_shared = p->shared;
    if (wrong && p->free_a) {
        assert_true(sg_memory_give_back(one.a));
    }
    const uint64_t steps = sg_get_options()->steps;
    if (wrong && p->kind == SG_R_STEPS) sg_get_options()->steps = 50000;
    sg_get_options()->seed = seed;
    sg_report_clear();
    const bool fine = sg_case_run(wrong ? p->wrong : p->right, &one, NULL);
    sg_get_options()->steps = steps;
    int named = 0, said = !p->words;
    for (int i = 0; i < sg_report_count(); i++) {
        const sg_reported *r = sg_report_get(i);
        named += r->kind == p->kind && r->line >= 0 && p->lines >> r->line & 1;
        said |= p->words && strstr(r->sentence, p->words) != NULL;
    }
    if (wrong ? fine || !named || named != sg_report_count() || !said : !fine) {
        sg_case_print();
        fail_msg("%s, the %s one, seed %d: %d reports", p->name, wrong ? "wrong" : "right",
                 (int)seed, sg_report_count());
    }
    if (!(wrong && p->free_a)) assert_true(sg_memory_give_back(one.a));
    assert_true(sg_memory_give_back(one.b));
    assert_true(sg_memory_give_back(one.c));
}

static void check_case(void **state) {
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run_once(*state, true, seed);
        run_once(*state, false, seed);
    }
    sg_get_options()->seed = 1;
    sg_report_clear();
}

static void every_kind(void **state) {
    (void)state;
    for (int kind = 0; kind < SG_REPORT_KINDS; kind++)
        if (!elsewhere[kind]) fail_msg("nothing proves reports of kind %d", kind);
}

/* ---- What no kernel does: memory that is not given back when the process ends. */

static int end_of_child(bool give_back, char *said, size_t room) {
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        CUcontext context;
        CUdeviceptr address;
        dup2(ends[1], 2);
        sg_get_options()->expect = false;
        if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
            cuMemAlloc(&address, 64))
            _exit(1);
        if (give_back && cuMemFree(address)) _exit(1);
        exit(7);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t n; (n = read(ends[0], said + length, room - 1 - length)) > 0;)
        length += (size_t)n;
    said[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void leak(void **state) {
    (void)state;
    char said[4096];
    assert_int_equal(end_of_child(false, said, sizeof said), 86);
    assert_non_null(strstr(said, "device memory not given back: 1 block of memory"));
    assert_int_equal(end_of_child(true, said, sizeof said), 7);
    assert_string_equal(said, "");
}

int main(void) {
    enum { COUNT = sizeof cases / sizeof *cases };
    struct CMUnitTest tests[COUNT + 2] = {cmocka_unit_test(leak), cmocka_unit_test(every_kind)};
    sg_get_options()->expect = true;
    sg_get_options()->full = true;
    for (int i = 0; i < COUNT; i++)
        tests[i + 2] = (struct CMUnitTest){.name = cases[i].name,
                                           .test_func = check_case,
                                           .initial_state = (void *)(uintptr_t)&cases[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
