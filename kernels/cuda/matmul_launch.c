#include <limits.h>

#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/matmul_job.h"
#include "kernels/cuda/ops.h"

static bool is_float(motet_dtype dtype) {
    return dtype == MOTET_F32 || dtype == MOTET_BF16;
}

static bool is_missing(motet_tensor t) {
    return !t.data && motet_tensor_count(t) > 0;
}

/* As the CPU twin checks. An empty job has m or n 0. */
static motet_status check(motet_cuda_matmul_job *job, motet_tensor c, motet_tensor a,
                          motet_tensor b, motet_tensor bias, motet_matmul_spec spec) {
    if (a.rank != 2 || b.rank != 2 || c.rank != 2)
        return MOTET_FAIL(MOTET_E_USAGE, "matmul takes matrices, not tensors of rank %d, %d, %d",
                          c.rank, a.rank, b.rank);
    if (!is_float(a.dtype) || !is_float(c.dtype) || (!is_float(b.dtype) && b.dtype != MOTET_I8))
        return MOTET_FAIL(MOTET_E_USAGE, "matmul does not make %s from %s and %s",
                          motet_dtype_name(c.dtype), motet_dtype_name(a.dtype),
                          motet_dtype_name(b.dtype));
    if (b.dtype == MOTET_I8 && (!spec.transpose_b || !b.scale))
        return MOTET_FAIL(MOTET_E_USAGE, "an int8 B of matmul must be [N,K] with row scales");
    const int64_t m = a.dims[spec.transpose_a ? 1 : 0], k = a.dims[spec.transpose_a ? 0 : 1];
    const int64_t n = b.dims[spec.transpose_b ? 0 : 1], depth = b.dims[spec.transpose_b ? 1 : 0];
    if (m < 0 || n < 0 || k < 0 || depth != k || c.dims[0] != m || c.dims[1] != n)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "matmul shapes disagree: C [%lld,%lld] from A' [%lld,%lld], B' "
                          "[%lld,%lld]",
                          (long long)c.dims[0], (long long)c.dims[1], (long long)m, (long long)k,
                          (long long)depth, (long long)n);
    if (bias.data && (bias.rank != 1 || bias.dims[0] != n || !is_float(bias.dtype)))
        return MOTET_FAIL(MOTET_E_USAGE, "the bias of matmul must hold %lld floats", (long long)n);
    if (spec.activation != MOTET_ACT_NONE && spec.accumulate)
        return MOTET_FAIL(MOTET_E_USAGE, "matmul cannot accumulate behind an activation");
    if (is_missing(c) || is_missing(a) || is_missing(b))
        return MOTET_FAIL(MOTET_E_USAGE, "matmul was given a matrix without memory");
    /* Kernels count in int, up to a tile beyond the end. */
    const int64_t most = INT_MAX - 1024;
    if (m > most || n > most || k > most)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED,
                          "matmul of %lld x %lld x %lld: on CUDA no side may be above %lld",
                          (long long)m, (long long)n, (long long)k, (long long)most);
    if (b.dtype != MOTET_I8) b.scale = NULL;
    *job = (motet_cuda_matmul_job){
        .c = c, .a = a, .b = b, .bias = bias, .spec = spec, .m = (int)m, .n = (int)n, .k = (int)k};
    return MOTET_OK;
}

bool motet_cuda_is_aligned(motet_tensor t, int64_t pitch, int elements) {
    return pitch % elements == 0 &&
           (uintptr_t)t.data % ((size_t)elements * motet_dtype_bytes(t.dtype)) == 0;
}

motet_gemm_args motet_cuda_gemm_args(const motet_cuda_matmul_job *job) {
    return (motet_gemm_args){.c = job->c.data,
                             .a = job->a.data,
                             .b = job->b.data,
                             .bias = job->bias.data,
                             .scale = job->b.scale,
                             .m = job->m,
                             .n = job->n,
                             .k = job->k,
                             .splits = 1,
                             .a_type = (unsigned char)job->a.dtype,
                             .b_type = (unsigned char)job->b.dtype,
                             .c_type = (unsigned char)job->c.dtype,
                             .bias_type = (unsigned char)job->bias.dtype,
                             .c_vector = motet_cuda_is_aligned(job->c, job->n, 4),
                             .accumulate = job->spec.accumulate,
                             .gelu = job->spec.activation == MOTET_ACT_GELU};
}

static motet_status own(const motet_cuda_matmul_job *job) {
    if (job->m <= GEMV_ROWS && job->spec.transpose_b && !job->spec.transpose_a)
        return motet_cuda_gemv(job);
    return motet_cuda_gemm(job);
}

motet_status motet_cuda_matmul_own(motet_tensor c, motet_tensor a, motet_tensor b,
                                   motet_tensor bias, motet_matmul_spec spec) {
    motet_cuda_matmul_job job;
    MOTET_TRY(check(&job, c, a, b, bias, spec));
    return job.m == 0 || job.n == 0 ? MOTET_OK : own(&job);
}

motet_status motet_cuda_matmul(motet_tensor c, motet_tensor a, motet_tensor b, motet_tensor bias,
                               motet_matmul_spec spec) {
    motet_cuda_matmul_job job;
    MOTET_TRY(check(&job, c, a, b, bias, spec));
    if (job.m == 0 || job.n == 0) return MOTET_OK;
    bool done = false;
    MOTET_TRY(motet_cublaslt_matmul(&done, &job));
    return done ? MOTET_OK : own(&job);
}
