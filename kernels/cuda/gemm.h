/* gemm: what the matrix kernels (gemm, gemm_f32, gemv) are told, by value as their one parameter.
 * Included by C and by CUDA C.
 *
 * Edges: every kernel takes any M, N, K >= 0 and reads and writes nothing beyond its matrices.
 * `_vector` says that rows start at multiples of a vector (16 bytes of A and B for gemm and gemv,
 * four elements for gemm_f32 and for C), so that whole vectors are inside or outside a row.
 */
#ifndef MOTET_CUDA_GEMM_H
#define MOTET_CUDA_GEMM_H

#include "kernels/cuda/row_job.h"

#define GEMM_BK 32      /* of K that gemm has in shared memory at once */
#define GEMM_F32_BK 16  /* gemm_f32 */
#define GEMM_TURNS 1024 /* tiles at most where K is split */
#define GEMV_ROWS 8     /* the largest M of gemv */
#define GEMV_THREADS 128

typedef struct motet_gemm_args {
    void *c;
    const void *a, *b, *bias; /* bias NULL: none */
    const float *scale;       /* [N] of an int8 B, else NULL */
    float *sums;              /* [M,N] where splits of K add up, C itself if that is f32 */
    int m, n, k;
    int tiles;  /* steps of BK in one split; gemv: warps that share a row of B */
    int splits; /* of K; 1: all of it in one block */
    unsigned char a_type, b_type, c_type, bias_type; /* ROW_F32, ROW_BF16, ROW_I8 */
    unsigned char a_vector, b_vector, c_vector;
    unsigned char accumulate, gelu;
} motet_gemm_args;

#endif
