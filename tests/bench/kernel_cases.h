/* kernel_cases: every op at the mini model's real shapes, for those who count (profile_kernels.c)
 * and those who time (bench_device.c). Failures end the program with a sentence.
 */
#ifndef MOTET_BENCH_KERNEL_CASES_H
#define MOTET_BENCH_KERNEL_CASES_H

#include "kernels/backend.h"

enum { BENCH_PARTS = 16 };

typedef struct bench_work {
    double least; /* bytes: every input read once, every output written once; in-place is both */
    double flops; /* of products, a multiply-add counted as two */
    /* Of the op's kernels, in the order in which they first run, where an op is several that hand
     * matrices on: each of them has its own least, over all its launches. */
    struct {
        const char *kernel;
        double least;
    } parts[BENCH_PARTS];
    int part_count;
} bench_work;

/* NULL behind the last one. */
const char *bench_case_name(int number);

/* Asks the back-end for the op and says what that is. The first time tensors are made and filled;
 * later calls with the same number use them again, and do nothing but ask for the op. One case a
 * time: another number frees the last one's tensors. */
void bench_case_run(bench_work *work, const motet_backend *backend, int number);

#endif
