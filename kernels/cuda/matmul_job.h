/* matmul_job: a checked matrix product on its way to one of the kernels. Internal to matmul_launch,
 * gemm_launch, gemv_launch and cublaslt.
 */
#ifndef MOTET_CUDA_MATMUL_JOB_H
#define MOTET_CUDA_MATMUL_JOB_H

#include "kernels/cuda/gemm.h"
#include "kernels/matmul.h"

typedef struct motet_cuda_matmul_job {
    motet_tensor c, a, b, bias; /* b.scale NULL unless int8 */
    motet_matmul_spec spec;
    int m, n, k; /* m, n > 0 */
} motet_cuda_matmul_job;

/* What all kernels are told alike: pointers, sizes, types, epilogue, c_vector. */
motet_gemm_args motet_cuda_gemm_args(const motet_cuda_matmul_job *job);

/* data and all rows of `pitch` elements start at multiples of `elements` elements. */
bool motet_cuda_is_aligned(motet_tensor t, int64_t pitch, int elements);

motet_status motet_cuda_gemm(const motet_cuda_matmul_job *job);
/* m <= GEMV_ROWS, transpose_b, not transpose_a. */
motet_status motet_cuda_gemv(const motet_cuda_matmul_job *job);

#endif
