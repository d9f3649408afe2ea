/* simd_table: the kernels that exist once for each instruction set, and which of them run here.
 *
 * Internal to kernels/. The ops (matmul.c, attention_*.c, sample.c) check their arguments, cut the
 * work into tasks and hand each task to a function of this table; no task depends on another, so
 * the result does not depend on the number of threads.
 */
#ifndef MOTET_SIMD_TABLE_H
#define MOTET_SIMD_TABLE_H

#include "kernels/attention.h"
#include "kernels/matmul.h"

/* One checked matmul: C [m,n], K = k. */
typedef struct motet_matmul_job {
    motet_tensor c, a, b, bias;
    motet_matmul_spec spec;
    int64_t m, n, k;
} motet_matmul_job;

/* Computes rows m0..m1-1, columns n0..n1-1 of C. scratch is 64-byte aligned. */
typedef void motet_matmul_task_fn(const motet_matmul_job *job, float *scratch, int64_t m0,
                                  int64_t m1, int64_t n0, int64_t n1);

#define MOTET_DOT_ROWS 6 /* rows of A that one pass over B serves */
#define MOTET_PACK_M 120 /* largest task of the packed kernel, and its slice of K */
#define MOTET_PACK_N 256
#define MOTET_PACK_K 256

/* Bytes of scratch for a task of each kind. */
static inline size_t motet_dot_scratch(int64_t k) {
    return (size_t)MOTET_DOT_ROWS * ((size_t)k + 16) * sizeof(float);
}
static inline size_t motet_pack_scratch(void) {
    return (MOTET_PACK_M * MOTET_PACK_K + MOTET_PACK_K * MOTET_PACK_N +
            MOTET_PACK_M * MOTET_PACK_N) *
           sizeof(float);
}

/* One sequence, one head: pointers at its first row and column. */
typedef struct motet_attention_head {
    const void *q, *k, *v;
    void *out;
    float *lse; /* pitch = heads; NULL if unwanted */
    motet_dtype dtype;
    int heads, width;
    int64_t queries, keys; /* rows */
    int64_t q_pitch, k_pitch, v_pitch, out_pitch;
    bool causal;
} motet_attention_head;

/* Query rows first..last-1 of one head. */
typedef void motet_attention_forward_task_fn(const motet_attention_head *head, float *scratch,
                                             int64_t first, int64_t last);

/* Gradients of one head; head->out and head->lse are inputs. dq, dk, dv f32 or bf16. */
typedef struct motet_attention_grads {
    void *dq, *dk, *dv;
    motet_dtype dtype;
    const void *dout;
} motet_attention_grads;
typedef void motet_attention_backward_task_fn(const motet_attention_head *head,
                                              const motet_attention_grads *grads, float *scratch);

/* One query row, `heads` heads that lie side by side: out and q [heads * width] of dtype, length
 * rows of the caches, pitch elements apart, of cache_dtype; int8 ones with a scale a row of a head,
 * at k_scale[h * scale_pitch + t]. */
typedef struct motet_decode_job {
    void *out;
    const void *q, *k, *v;
    const float *k_scale, *v_scale; /* NULL unless int8 */
    motet_dtype dtype, cache_dtype;
    int heads, width;
    int64_t length, pitch, scale_pitch;
} motet_decode_job;
typedef void motet_attention_decode_task_fn(const motet_decode_job *job, float *scratch);
static inline size_t motet_decode_scratch(int64_t heads, int64_t width, int64_t length) {
    return (size_t)heads * (size_t)(2 * width + (length + 15) / 16 * 16) * sizeof(float);
}

/* out[i] = exp(x[i] - shift); out may be x. */
typedef void motet_exp_row_fn(float *out, const float *x, float shift, int64_t n);

typedef struct motet_simd {
    const char *name;
    motet_matmul_task_fn *matmul_dot;    /* transpose_b */
    motet_matmul_task_fn *matmul_packed; /* B [K,N] */
    size_t (*attention_forward_scratch)(int64_t keys, int width);
    motet_attention_forward_task_fn *attention_forward;
    size_t (*attention_backward_scratch)(int64_t queries, int64_t keys, int width);
    motet_attention_backward_task_fn *attention_backward;
    motet_attention_decode_task_fn *attention_decode;
    motet_exp_row_fn *exp_row;
} motet_simd;

typedef enum motet_simd_level {
    MOTET_SIMD_PORTABLE,
    MOTET_SIMD_AVX2,
    MOTET_SIMD_AVX512,
} motet_simd_level;

/* The best table that this processor runs and that motet_simd_limit allows. */
const motet_simd *motet_simd_table(void);

/* Uses no level above `highest` from now on, so that tests and benches reach every table; returns
 * the level that is used. */
motet_simd_level motet_simd_limit(motet_simd_level highest);

extern const motet_simd motet_simd_portable, motet_simd_avx2, motet_simd_avx512;

/* This thread's scratch: at least `bytes`, 64-byte aligned, contents undefined; the same block at
 * every call, grown when it is too small, freed when the thread ends. NULL if memory is out. One
 * user at a time: ops take it at their start and call no other op while they hold it. */
void *motet_scratch(size_t bytes);

#endif
