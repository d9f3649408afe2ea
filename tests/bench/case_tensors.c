#include "tests/bench/case_tensors.h"

#include <stdio.h>

#include "kernels/core/rng.h"

const motet_backend *bench_ops;
bench_work bench_asked;

/* Blocks of the case, in the order in which they were asked for. */
static struct {
    void *data;
    motet_placement placement;
} blocks[64];
static int block_count, next_block, last_number = -1;
static bool fresh;

void bench_need(motet_status status) {
    if (status == MOTET_OK) return;
    fprintf(stderr, "kernel_cases: %s\n", motet_error());
    exit(motet_exit_code(status));
}

void bench_begin(int number) {
    bench_asked = (bench_work){0};
    next_block = 0;
    fresh = number != last_number;
    last_number = number;
    if (!fresh) return;
    bench_need(bench_ops->memory->synchronize());
    while (block_count > 0) {
        block_count--;
        bench_ops->memory->give_back(blocks[block_count].data, blocks[block_count].placement);
    }
}

void bench_part(const char *kernel, int launches, double bytes) {
    if (bench_asked.part_count == BENCH_PARTS) exit(1);
    bench_asked.parts[bench_asked.part_count].kernel = kernel;
    bench_asked.parts[bench_asked.part_count++].least = launches * bytes;
}

motet_tensor bench_make(motet_dtype dtype, int64_t rows, int64_t cols, motet_placement placement) {
    motet_tensor t = motet_matrix(NULL, dtype, rows, cols);
    if (fresh) {
        if (block_count == sizeof blocks / sizeof *blocks) exit(1);
        size_t bytes = (size_t)(rows * cols) * motet_dtype_bytes(dtype);
        bench_need(bench_ops->memory->take(&blocks[block_count].data, bytes, placement));
        blocks[block_count++].placement = placement;
    }
    t.data = blocks[next_block++].data;
    return t;
}

void bench_fill(motet_tensor t, int64_t below) {
    static uint64_t stream;
    if (!fresh) return;
    size_t count = (size_t)motet_tensor_count(t);
    unsigned char *host = malloc(count * 4);
    if (!host) exit(1);
    motet_rng rng = motet_rng_make(1, stream++);
    for (size_t i = 0; i < count; i++) {
        float x = motet_rng_normal(&rng);
        if (t.dtype == MOTET_F32) ((float *)(void *)host)[i] = x;
        if (t.dtype == MOTET_BF16) ((uint16_t *)(void *)host)[i] = motet_bf16_from_f32(x);
        if (t.dtype == MOTET_I8) ((int8_t *)host)[i] = (int8_t)(x * 30);
        if (t.dtype == MOTET_I32)
            ((int32_t *)(void *)host)[i] = (int32_t)motet_rng_below(&rng, (uint32_t)below);
    }
    bench_need(bench_ops->memory->copy(t.data, host, count * motet_dtype_bytes(t.dtype)));
    free(host);
}

motet_tensor bench_in(motet_dtype dtype, int64_t rows, int64_t cols) {
    motet_tensor t = bench_make(dtype, rows, cols, MOTET_ON_DEVICE);
    bench_fill(t, SYMBOLS);
    if (dtype == MOTET_I8) {
        motet_tensor scale = bench_make(MOTET_F32, rows, 1, MOTET_ON_DEVICE);
        bench_fill(scale, 0);
        t.scale = scale.data;
    }
    bench_asked.least += (double)motet_tensor_count(t) * (double)motet_dtype_bytes(dtype);
    return t;
}
motet_tensor bench_out(motet_dtype dtype, int64_t rows, int64_t cols) {
    motet_tensor t = bench_make(dtype, rows, cols, MOTET_ON_DEVICE);
    bench_asked.least += (double)motet_tensor_count(t) * (double)motet_dtype_bytes(dtype);
    return t;
}
motet_tensor bench_in_out(motet_dtype dtype, int64_t rows, int64_t cols) {
    motet_tensor t = bench_in(dtype, rows, cols);
    bench_asked.least += (double)motet_tensor_count(t) * (double)motet_dtype_bytes(dtype);
    return t;
}
motet_tensor bench_ids(int64_t rows, int64_t cols, int64_t below) {
    motet_tensor t = bench_make(MOTET_I32, rows, cols, MOTET_ON_DEVICE);
    bench_fill(t, below);
    bench_asked.least += 4.0 * (double)(rows * cols);
    return t;
}
motet_tensor bench_vector(motet_tensor t) {
    t.dims[0] *= t.dims[1];
    t.rank = 1;
    return t;
}

motet_tensor bench_rising(int64_t count) {
    motet_tensor t = bench_make(MOTET_I32, count, 1, MOTET_SHARED);
    for (int64_t i = 0; i < count; i++)
        ((int32_t *)t.data)[i] = (int32_t)i;
    bench_asked.least += 4.0 * (double)count;
    return bench_vector(t);
}
