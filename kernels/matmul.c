#include "kernels/matmul.h"

#include <omp.h>

#include "kernels/matmul_check.h"
#include "kernels/simd_table.h"

/* Below so many bytes of B, or multiplications, a second thread costs more than it saves. */
#define THREAD_BYTES (1024 * 1024)
#define THREAD_WORK (2 * 1024 * 1024)

/* Blocks of at most m_most x n_most (multiples of m_step, n_step), halved until each thread has a
 * few. The blocks do not change a bit of the result. */
static motet_status run_blocks(const motet_matmul_job *job, motet_matmul_task_fn *task,
                               size_t scratch_bytes, int64_t m_block, int64_t n_block,
                               int64_t m_step, int64_t n_step, int threads) {
    while (threads > 1) {
        const int64_t blocks =
            ((job->m + m_block - 1) / m_block) * ((job->n + n_block - 1) / n_block);
        if (blocks >= 4 * threads) break;
        if (n_block >= 2 * n_step && (n_block >= m_block || m_block < 2 * m_step))
            n_block = (n_block / 2 + n_step - 1) / n_step * n_step;
        else if (m_block >= 2 * m_step)
            m_block = (m_block / 2 + m_step - 1) / m_step * m_step;
        else
            break;
    }
    const int64_t across = (job->n + n_block - 1) / n_block;
    const int64_t blocks = across * ((job->m + m_block - 1) / m_block);
    bool starved = false;
#pragma omp parallel num_threads(threads) reduction(|| : starved)
    {
        float *scratch = motet_scratch(scratch_bytes);
        starved = !scratch;
#pragma omp for schedule(dynamic)
        for (int64_t t = 0; t < blocks; t++) {
            const int64_t m = t / across * m_block, n = t % across * n_block;
            if (scratch)
                task(job, scratch, m, m + m_block < job->m ? m + m_block : job->m, n,
                     n + n_block < job->n ? n + n_block : job->n);
        }
    }
    if (starved)
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %zu bytes of matmul scratch",
                          scratch_bytes);
    return MOTET_OK;
}

motet_status motet_cpu_matmul(motet_tensor c, motet_tensor a, motet_tensor b, motet_tensor bias,
                              motet_matmul_spec spec) {
    motet_matmul_sizes sizes;
    MOTET_TRY(motet_matmul_check(&sizes, c, a, b, bias, spec));
    if (b.dtype != MOTET_I8) b.scale = NULL;
    motet_matmul_job job = {.c = c,
                            .a = a,
                            .b = b,
                            .bias = bias,
                            .spec = spec,
                            .m = sizes.m,
                            .n = sizes.n,
                            .k = sizes.k};
    if (job.m == 0 || job.n == 0) return MOTET_OK;
    const motet_simd *simd = motet_simd_table();
    const double work = (double)job.m * (double)job.n * (double)job.k;
    const double bytes = (double)job.n * (double)job.k * (double)motet_dtype_bytes(b.dtype);
    const int threads = work < THREAD_WORK && bytes < THREAD_BYTES ? 1 : omp_get_max_threads();
    if (!spec.transpose_b)
        return run_blocks(&job, simd->matmul_packed, motet_pack_scratch(), MOTET_PACK_M,
                          MOTET_PACK_N, 12, 32, threads);
    /* Decoding: one block of columns a thread. Many rows: blocks of B that stay in the cache. */
    const size_t scratch = motet_dot_scratch(job.k);
    if (job.m <= MOTET_DOT_ROWS) {
        const int64_t share = ((job.n + threads - 1) / threads + 7) / 8 * 8;
        return run_blocks(&job, simd->matmul_dot, scratch, job.m, share, job.m, share, threads);
    }
    return run_blocks(&job, simd->matmul_dot, scratch, 96, 128, MOTET_DOT_ROWS, 16, threads);
}

motet_status motet_cpu_bias_backward(motet_tensor dbias, motet_tensor dy) {
    MOTET_TRY(motet_bias_backward_check(dbias, dy));
    const int64_t rows = dy.dims[0], n = dy.dims[1];
    float *const out = dbias.data;
    /* Threads share the columns, never a sum. */
#pragma omp parallel for schedule(static) if (rows * n > THREAD_WORK)
    for (int64_t n0 = 0; n0 < n; n0 += 64) {
        const int64_t count = n - n0 < 64 ? n - n0 : 64;
        float sums[64] = {0};
        for (int64_t m = 0; m < rows; m++) {
            if (dy.dtype == MOTET_BF16) {
                const uint16_t *row = (const uint16_t *)dy.data + m * n + n0;
                for (int64_t i = 0; i < count; i++)
                    sums[i] += motet_f32_from_bf16(row[i]);
            } else {
                const float *row = (const float *)dy.data + m * n + n0;
                for (int64_t i = 0; i < count; i++)
                    sums[i] += row[i];
            }
        }
        for (int64_t i = 0; i < count; i++)
            out[n0 + i] += sums[i];
    }
    return MOTET_OK;
}
