/* case_tensors: what the cases of kernel_cases.c are made of. Tensors of a case are made and filled
 * the first time it runs; when it runs again, the same calls in the same order return the same
 * ones.
 */
#ifndef MOTET_BENCH_CASE_TENSORS_H
#define MOTET_BENCH_CASE_TENSORS_H

#include <stdlib.h>

#include "tests/bench/kernel_cases.h"

enum {
    N = 4096,
    D = 256,
    F = 640,
    V = 258,
    HEADS = 4,
    BAG = 14,
    SYMBOLS = 1400,
    MOMENTS = 1 << 20
};

extern const motet_backend *bench_ops;
extern bench_work bench_asked; /* of the case that runs */

/* Ends the program with the sentence of a failure. */
void bench_need(motet_status status);

/* Makes the tensors anew from here on, or, with the number of the last time, uses them again. */
void bench_begin(int number);

motet_tensor bench_make(motet_dtype dtype, int64_t rows, int64_t cols, motet_placement placement);
/* Normal values; ids in 0 .. below - 1. Only the first time. */
void bench_fill(motet_tensor t, int64_t below);

/* A device tensor with values; it counts as read once, or as written, or both. */
motet_tensor bench_in(motet_dtype dtype, int64_t rows, int64_t cols);
motet_tensor bench_out(motet_dtype dtype, int64_t rows, int64_t cols);
motet_tensor bench_in_out(motet_dtype dtype, int64_t rows, int64_t cols);
motet_tensor bench_ids(int64_t rows, int64_t cols, int64_t below);
motet_tensor bench_vector(motet_tensor t); /* the same, of rank 1 */
motet_tensor bench_rising(int64_t count);  /* 0, 1, 2, ... in shared memory */
void bench_part(const char *kernel, int launches, double bytes);

typedef void bench_case_fn(void);
/* kernel_cases_attention.c */
bench_case_fn bench_attention_self, bench_attention_self_both, bench_attention_self_both_hopper,
    bench_attention_cross, bench_attention_decode, bench_attention_decode_i8,
    bench_attention_decode_many, bench_attention_decode_many_i8, bench_attention_append,
    bench_attention_append_i8, bench_sample_one, bench_sample_many, bench_field_draw_bf16,
    bench_field_draw_i8;

#endif
