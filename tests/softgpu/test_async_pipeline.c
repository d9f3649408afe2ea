/* Pipelines of cp.async: right ones are clean on 20 schedules; each mistake is named with its line.
 * Two warps add up nine tiles; each thread reads what another warp's thread has asked for. */
#include "tests/softgpu/case.h"

#define SEEDS 20
#define TILES 9
#define THREADS 64
#define STAGE 1024 /* bytes: 16 a thread */

/* The parts of the loop. Lines: 1 the wait, 2 the barrier, 3 the read, 4 the copy. */
#define BARRIER "bar.sync 0;\n"
#define COMMIT "cp.async.commit_group;\n"
#define OTHERS "xor.b32 %r3, %tid, 32;\n" /* whose bytes are read */
#define OWN "mov.u32 %r3, %tid;\n"

typedef struct pipeline {
    const char *name;
    int stages;
    const char *wait, *barrier, *commit, *whose;
    bool barrier_first; /* then the wait */
    bool copy_first;    /* before the barrier */
    /* What is reported: any of these kinds (as bits) at any of these lines (as bits); 0: clean. */
    unsigned kinds, lines;
} pipeline;

#define GROUP(n) "cp.async.wait_group " #n ";\n"
#define EARLY (1u << SG_R_ASYNC_EARLY)
#define RACE (1u << SG_R_RACE)
#define READ (1u << 3)
#define COPY (1u << 4)

static const pipeline cases[] = {
    {"two stages", 2, GROUP(0), BARRIER, COMMIT, OTHERS, 0, 0, 0, 0},
    {"three stages", 3, GROUP(1), BARRIER, COMMIT, OTHERS, 0, 0, 0, 0},
    {"four stages", 4, GROUP(2), BARRIER, COMMIT, OTHERS, 0, 0, 0, 0},
    {"three stages, waits for all", 3, "cp.async.wait_all;\n", BARRIER, COMMIT, OTHERS, 0, 0, 0, 0},
    {"three stages, no groups, waits for all", 3, "cp.async.wait_all;\n", BARRIER, "", OTHERS, 0, 0,
     0, 0},
    {"own bytes, a warp's sync", 3, GROUP(1), "bar.warp.sync -1;\n", COMMIT, OWN, 0, 0, 0, 0},
    {"own bytes, no sync", 4, GROUP(2), "", COMMIT, OWN, 0, 0, 0, 0},
    {"own bytes, copied first", 4, GROUP(3), "", COMMIT, OWN, 0, 1, 0, 0},

    {"two stages, no wait", 2, "", BARRIER, COMMIT, OTHERS, 0, 0, EARLY, READ},
    {"three stages, no wait", 3, "", BARRIER, COMMIT, OTHERS, 0, 0, EARLY, READ},
    {"two stages, one group too many", 2, GROUP(1), BARRIER, COMMIT, OTHERS, 0, 0, EARLY, READ},
    {"three stages, one group too many", 3, GROUP(2), BARRIER, COMMIT, OTHERS, 0, 0, EARLY, READ},
    {"four stages, one group too many", 4, GROUP(3), BARRIER, COMMIT, OTHERS, 0, 0, EARLY, READ},
    {"own bytes, one group too many", 4, GROUP(3), "", COMMIT, OWN, 0, 0, EARLY, READ},
    {"no groups", 3, GROUP(0), BARRIER, "", OTHERS, 0, 0, EARLY, READ},
    {"no groups at the end", 3, GROUP(1), BARRIER, "@%p2 " COMMIT, OTHERS, 0, 0, EARLY, READ},
    {"no barrier", 3, GROUP(1), "", COMMIT, OTHERS, 0, 0, EARLY | RACE, READ | COPY},
    {"a warp's sync for a barrier", 3, GROUP(1), "bar.warp.sync -1;\n", COMMIT, OTHERS, 0, 0,
     EARLY | RACE, READ | COPY},
    {"the barrier before the wait", 3, GROUP(1), BARRIER, COMMIT, OTHERS, 1, 0, EARLY | RACE, READ},
    {"the barrier before a wait for all", 3, "cp.async.wait_all;\n", BARRIER, COMMIT, OTHERS, 1, 0,
     EARLY | RACE, READ},
    {"overwritten while it is read, two stages", 2, GROUP(1), BARRIER, COMMIT, OTHERS, 0, 1,
     EARLY | RACE, READ | COPY},
    {"overwritten while it is read, three stages", 3, GROUP(2), BARRIER, COMMIT, OTHERS, 0, 1,
     EARLY | RACE, READ | COPY},
};

static const char *text_of(const pipeline *p) {
    static char body[4000];
    char prologue[1200] = "", copy[600], wait[200], barrier[100];
    for (int s = 0; s < p->stages - 1; s++) {
        const size_t used = strlen(prologue);
        snprintf(
            prologue + used, sizeof prologue - used,
            "setp.eq.u32 %%p2, 0, 0;\n%scp.async.cg.shared.global [%%r1+%d], [%%d2+%d], 16;\n%s",
            SG_LINE(4), s * STAGE, s * STAGE, p->commit);
    }
    snprintf(copy, sizeof copy,
             "add.s32 %%r6, %%r5, %d;\nsetp.lt.u32 %%p2, %%r6, %d;\nrem.u32 %%r7, %%r6, %d;\n"
             "shl.b32 %%r7, %%r7, 10;\nadd.s32 %%r7, %%r7, %%r1;\nmul.wide.u32 %%d3, %%r6, %d;\n"
             "add.s64 %%d3, %%d3, %%d2;\n%s@%%p2 cp.async.cg.shared.global [%%r7], [%%d3], 16;\n%s",
             p->stages - 1, TILES, p->stages, STAGE, SG_LINE(4), p->commit);
    snprintf(wait, sizeof wait, "%s%s", SG_LINE(1), p->wait);
    snprintf(barrier, sizeof barrier, "%s%s", SG_LINE(2), p->barrier);
    snprintf(body, sizeof body,
             "mov.u32 %%r0, tile;\nshl.b32 %%r1, %%tid, 4;\ncvt.u64.u32 %%d2, %%r1;\n"
             "add.s64 %%d2, %%d2, %%a;\nadd.s32 %%r1, %%r1, %%r0;\n%sshl.b32 %%r2, %%r3, 4;\n"
             "add.s32 %%r2, %%r2, %%r0;\n%smov.u32 %%r5, 0;\nmov.u32 %%r20, 0;\n"
             "again:\n%s%s%s"
             "rem.u32 %%r8, %%r5, %d;\nshl.b32 %%r8, %%r8, 10;\nadd.s32 %%r8, %%r8, %%r2;\n"
             "%sld.shared.v4.u32 {%%r10, %%r11, %%r12, %%r13}, [%%r8];\n"
             "add.s32 %%r10, %%r10, %%r11;\nadd.s32 %%r12, %%r12, %%r13;\n"
             "add.s32 %%r20, %%r20, %%r10;\nadd.s32 %%r20, %%r20, %%r12;\n%s"
             "add.s32 %%r5, %%r5, 1;\nsetp.lt.u32 %%p1, %%r5, %d;\n@%%p1 bra again;\n"
             "st.global.u32 [%%bt], %%r20;\n",
             p->whose, prologue, p->copy_first ? copy : "", p->barrier_first ? barrier : wait,
             p->barrier_first ? wait : barrier, p->stages, SG_LINE(3), p->copy_first ? "" : copy,
             TILES);
    return sg_case_text(".shared .align 16 .b8 tile[4096];", body);
}

static void check_sums(const pipeline *p, const sg_case *one) {
    const uint32_t *a = (const void *)sg_memory_host(one->a, TILES * STAGE, false);
    const uint32_t *b = (const void *)sg_memory_host(one->b, 4 * THREADS, false);
    for (uint32_t t = 0; t < THREADS; t++) {
        const uint32_t whose = strcmp(p->whose, OWN) ? t ^ 32 : t;
        uint32_t sum = 0;
        for (uint32_t n = 0; n < TILES; n++)
            for (uint32_t i = 0; i < 4; i++)
                sum += a[n * STAGE / 4 + whose * 4 + i];
        assert_int_equal(b[t], sum);
    }
}

static void check_case(void **state) {
    const pipeline *p = *state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        sg_case one = {.blocks = 1, .threads = THREADS};
        one.a = sg_case_memory(TILES * STAGE, true);
        one.b = sg_case_memory(4096, true);
        one.c = sg_case_memory(16, true);
        uint32_t *a = (void *)sg_memory_host(one.a, TILES * STAGE, true);
        for (uint32_t i = 0; i < TILES * STAGE / 4; i++)
            a[i] = i * 2654435761u;
        sg_get_options()->seed = seed;
        sg_report_clear();
        const bool fine = sg_case_run(text_of(p), &one, NULL);
        int right = 0;
        for (int i = 0; i < sg_report_count(); i++)
            right +=
                p->kinds >> sg_report_get(i)->kind & 1 && p->lines >> sg_report_get(i)->line & 1;
        if (p->kinds ? !right || right != sg_report_count() : !fine) {
            sg_case_print();
            fail_msg("%s, seed %d: %d reports, %d of the right kind and line", p->name, (int)seed,
                     sg_report_count(), right);
        }
        if (!p->kinds) check_sums(p, &one);
        sg_case_give_back(&one);
    }
    sg_get_options()->seed = 1;
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
