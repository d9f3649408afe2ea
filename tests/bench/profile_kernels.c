/* profile_kernels: one case of kernel_cases.h, for scripts/profile_kernels.py, which runs it on
 * softgpu and reads what was counted.
 *
 *     profile_kernels            the names of all cases
 *     profile_kernels NAME       runs one; prints its least bytes and its FLOPs as JSON
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/device.h"
#include "tests/bench/kernel_cases.h"

static void need(motet_status status) {
    if (status == MOTET_OK) return;
    fprintf(stderr, "profile_kernels: %s\n", motet_error());
    exit(motet_exit_code(status));
}

int main(int argc, char **argv) {
    int number = 0;
    for (; bench_case_name(number); number++) {
        if (argc < 2) puts(bench_case_name(number));
        if (argc > 1 && !strcmp(bench_case_name(number), argv[1])) break;
    }
    if (argc < 2) return 0;
    if (!bench_case_name(number)) {
        fprintf(stderr, "profile_kernels: there is no case '%s'\n", argv[1]);
        return 2;
    }
    const motet_backend *ops;
    bench_work work;
    need(motet_device_open(&ops, "cuda"));
    bench_case_run(&work, ops, number);
    need(ops->memory->synchronize());
    printf("{\"case\": \"%s\", \"least_bytes\": %.0f, \"flops\": %.0f, \"parts\": [", argv[1],
           work.least, work.flops);
    for (int p = 0; p < work.part_count; p++)
        printf("%s{\"kernel\": \"%s\", \"least_bytes\": %.0f}", p ? ", " : "", work.parts[p].kernel,
               work.parts[p].least);
    puts("]}");
    return 0;
}
