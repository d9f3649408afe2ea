/* schedule_case: how tests run a kernel on many schedules, or expect one report of it. */
#ifndef SOFTGPU_SCHEDULE_CASE_H
#define SOFTGPU_SCHEDULE_CASE_H

#include "tests/softgpu/case.h"

#define SEEDS 20

/* Runs over the seeds with %a, %b, %c three zeroed arrays of 4,096 words; fails if anything is
 * reported. check sees the words of b and c after each. */
typedef void checker(const uint32_t *b, const uint32_t *c, uint32_t threads);
static inline void run_right(const char *ptx, uint32_t blocks, uint32_t threads, checker *check) {
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const sg_case one = {sg_case_memory(16384, true),
                             sg_case_memory(16384, true),
                             sg_case_memory(16384, true),
                             blocks,
                             threads,
                             0};
        sg_get_options()->seed = seed;
        sg_report_clear();
        if (!sg_case_run(ptx, &one, NULL)) {
            sg_case_print();
            fail_msg("reports with seed %d", (int)seed);
        }
        check((const uint32_t *)(void *)sg_memory_host(one.b, 16384, false),
              (const uint32_t *)(void *)sg_memory_host(one.c, 16384, false), blocks * threads);
        sg_memory_give_back(one.a);
        sg_memory_give_back(one.b);
        sg_memory_give_back(one.c);
    }
    sg_get_options()->seed = 1;
}

/* One launch that must be reported with this kind at this line, and as nothing worse. */
static inline void run_wrong(const char *ptx, uint32_t blocks, uint32_t threads,
                             sg_report_kind kind, int line) {
    const sg_case one = {sg_case_memory(16384, true),
                         sg_case_memory(16384, true),
                         sg_case_memory(16384, false),
                         blocks,
                         threads,
                         0};
    sg_report_clear();
    assert_false(sg_case_run(ptx, &one, NULL));
    if (!sg_case_reports(kind, line)) {
        sg_case_print();
        fail_msg("no report of kind %d at line %d", (int)kind, line);
    }
    sg_memory_give_back(one.a);
    sg_memory_give_back(one.b);
    sg_memory_give_back(one.c);
}

#endif
