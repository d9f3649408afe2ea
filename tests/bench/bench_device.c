/* bench_device: how long the ops of kernel_cases.h take on a CUDA device.
 *
 *     bench_device [--json FILE] [--once] [CASE...]
 *
 * A case is recorded twenty times into a graph, so that launches are no part of it; the median over
 * graphs is told beside the device's own rates of the same run: a large copy (bytes read and
 * written) and a large bf16 product. The working sets are the mini model's and mostly fit into L2,
 * as they do between two ops of a step. --once: each case once, for a trial on softgpu, where time
 * means nothing. Prints a Markdown table; FILE gets one JSON object a line, which
 * scripts/bench_torch_kernels.py reads. Not a test: no figure fails. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/device.h"
#include "tests/bench/kernel_cases.h"

enum { REPEATS = 20, MOST_TIMES = 1001 };
static const double budget_seconds = 0.2;

static const motet_backend *ops;

static void need(motet_status status) {
    if (status == MOTET_OK) return;
    fprintf(stderr, "bench_device: %s\n", motet_error());
    exit(motet_exit_code(status));
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef void work_fn(void *context);

/* Median seconds of one piece of work. */
static double measure(work_fn *work, void *context, bool once) {
    static double seconds[MOST_TIMES];
    const int repeats = once ? 1 : REPEATS;
    work(context);
    need(ops->memory->synchronize());
    motet_graph *graph = NULL;
    need(ops->graphs->begin());
    for (int i = 0; i < repeats; i++)
        work(context);
    need(ops->graphs->end(&graph));
    int count = 0;
    const double start = now();
    do {
        const double before = now();
        need(ops->graphs->launch(graph));
        need(ops->memory->synchronize());
        seconds[count++] = (now() - before) / repeats;
    } while (!once && count < MOST_TIMES && (count < 5 || now() - start < budget_seconds));
    ops->graphs->free(graph);
    qsort(seconds, (size_t)count, sizeof *seconds, by_value);
    return seconds[count / 2];
}

typedef struct copied {
    void *to, *from;
    size_t bytes;
} copied;

static void copy(void *context) {
    const copied *c = context;
    need(ops->memory->copy(c->to, c->from, c->bytes));
}

/* Bytes read and written a second. */
static double copy_rate(bool once) {
    copied c = {.bytes = once ? 1 << 16 : 1 << 29};
    need(ops->memory->take(&c.to, c.bytes, MOTET_ON_DEVICE));
    need(ops->memory->take(&c.from, c.bytes, MOTET_ON_DEVICE));
    static uint32_t block[1 << 14]; /* bytes that are not all alike */
    for (size_t i = 0; i < sizeof block / sizeof *block; i++)
        block[i] = (uint32_t)i * 2654435761u;
    for (size_t at = 0; at < c.bytes; at += sizeof block)
        need(ops->memory->copy((char *)c.from + at, block, sizeof block));
    const double rate = 2 * (double)c.bytes / measure(copy, &c, once);
    ops->memory->give_back(c.to, MOTET_ON_DEVICE);
    ops->memory->give_back(c.from, MOTET_ON_DEVICE);
    return rate;
}

typedef struct product {
    motet_tensor c, a, b;
} product;

static void multiply(void *context) {
    const product *p = context;
    need(
        ops->matmul(p->c, p->a, p->b, (motet_tensor){0}, (motet_matmul_spec){.transpose_b = true}));
}

/* FLOPs a second of a large bf16 product, on data that are not all alike. */
static double product_rate(bool once) {
    const int64_t n = once ? 128 : 8192;
    product p;
    motet_tensor *all[] = {&p.c, &p.a, &p.b};
    const size_t bytes = (size_t)(n * n) * 2;
    uint16_t *host = malloc(bytes);
    if (!host) exit(1);
    for (int64_t i = 0; i < n * n; i++)
        host[i] = motet_bf16_from_f32((float)((i * 2654435761u >> 7) % 2048) / 1024 - 1);
    for (int i = 0; i < 3; i++) {
        void *data;
        need(ops->memory->take(&data, bytes, MOTET_ON_DEVICE));
        need(ops->memory->copy(data, host, bytes));
        *all[i] = motet_matrix(data, MOTET_BF16, n, n);
    }
    const double rate = 2.0 * (double)n * (double)n * (double)n / measure(multiply, &p, once);
    for (int i = 0; i < 3; i++)
        ops->memory->give_back(all[i]->data, MOTET_ON_DEVICE);
    free(host);
    return rate;
}

typedef struct numbered {
    bench_work work;
    int number;
} numbered;

static void run_case(void *context) {
    numbered *c = context;
    bench_case_run(&c->work, ops, c->number);
}

static bool wanted(const char *name, char **names, int count) {
    for (int i = 0; i < count; i++)
        if (!strcmp(names[i], name)) return true;
    return count == 0;
}

int main(int argc, char **argv) {
    FILE *json = NULL;
    bool once = false;
    int first = 1;
    for (; first < argc && !strncmp(argv[first], "--", 2); first++) {
        if (!strcmp(argv[first], "--once")) {
            once = true;
        } else if (!strcmp(argv[first], "--json") && first + 1 < argc) {
            json = fopen(argv[++first], "w");
            if (!json) return perror(argv[first]), 4;
        } else {
            fprintf(stderr, "usage: bench_device [--json FILE] [--once] [CASE...]\n");
            return 2;
        }
    }
    need(motet_device_open(&ops, "cuda"));
    const double copies = copy_rate(once), products = product_rate(once);
    printf("copy %.0f GB/s, product %.0f TFLOP/s%s\n\n", copies / 1e9, products / 1e12,
           once ? " (each once: no figure of this table means anything)" : "");
    if (json)
        fprintf(json, "{\"copy_bytes_per_s\": %.4g, \"product_flops_per_s\": %.4g}\n", copies,
                products);
    printf("| case | us | GB/s | of the copy | TFLOP/s | of the product "
           "|\n|---|---|---|---|---|---|\n");
    for (int i = 0; bench_case_name(i); i++) {
        const char *name = bench_case_name(i);
        if (!wanted(name, argv + first, argc - first)) continue;
        numbered c = {.number = i};
        const double seconds = measure(run_case, &c, once);
        const double bytes = c.work.least / seconds, flops = c.work.flops / seconds;
        printf("| %s | %.2f | %.0f | %.0f %% | %.1f | %.0f %% |\n", name, seconds * 1e6,
               bytes / 1e9, 100 * bytes / copies, flops / 1e12, 100 * flops / products);
        fflush(stdout);
        if (json)
            fprintf(json,
                    "{\"case\": \"%s\", \"us\": %.4f, \"least_bytes\": %.0f, \"flops\": %.0f}\n",
                    name, seconds * 1e6, c.work.least, c.work.flops);
    }
    return json && fclose(json) ? 4 : 0;
}
