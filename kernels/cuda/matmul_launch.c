#include <limits.h>

#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/matmul_job.h"
#include "kernels/cuda/ops.h"
#include "kernels/matmul_check.h"

/* An empty job has m or n 0. */
static motet_status check(motet_cuda_matmul_job *job, motet_tensor c, motet_tensor a,
                          motet_tensor b, motet_tensor bias, motet_matmul_spec spec) {
    motet_matmul_sizes sizes;
    MOTET_TRY(motet_matmul_check(&sizes, c, a, b, bias, spec));
    /* Kernels count in int, up to a tile beyond the end. */
    const int64_t most = INT_MAX - 1024;
    if (sizes.m > most || sizes.n > most || sizes.k > most)
        return MOTET_FAIL(
            MOTET_E_UNSUPPORTED, "matmul of %lld x %lld x %lld: on CUDA no side may be above %lld",
            (long long)sizes.m, (long long)sizes.n, (long long)sizes.k, (long long)most);
    if (b.dtype != MOTET_I8) b.scale = NULL;
    *job = (motet_cuda_matmul_job){.c = c,
                                   .a = a,
                                   .b = b,
                                   .bias = bias,
                                   .spec = spec,
                                   .m = (int)sizes.m,
                                   .n = (int)sizes.n,
                                   .k = (int)sizes.k};
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
