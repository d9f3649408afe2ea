#include "kernels/cuda/launch.h"
#include "kernels/cuda/matmul_job.h"

MOTET_CUDA_MODULE(gemv);

#define BY_ROWS(type)                                                  \
    {                                                                  \
        {.module = &gemv_module, .name = "motet_gemv_" type "_1"},     \
            {.module = &gemv_module, .name = "motet_gemv_" type "_2"}, \
            {.module = &gemv_module, .name = "motet_gemv_" type "_4"}, \
            {.module = &gemv_module, .name = "motet_gemv_" type "_8"}, \
    }
static motet_cuda_kernel kernels[3][4] = {BY_ROWS("f32"), BY_ROWS("bf16"), BY_ROWS("i8")};

motet_status motet_cuda_gemv(const motet_cuda_matmul_job *job) {
    /* Rows of B that a warp has, as gemv.cu says. */
    static const int rows_of_b[3][4] = {{2, 2, 4, 4}, {2, 2, 4, 4}, {2, 2, 4, 2}};
    motet_gemm_args p = motet_cuda_gemm_args(job);
    const int size = p.m == 1 ? 0 : p.m == 2 ? 1 : p.m <= 4 ? 2 : 3;
    const int rows = rows_of_b[p.b_type][size];
    const int chunk = 16 / (int)motet_dtype_bytes(job->b.dtype);
    p.b_vector = motet_cuda_is_aligned(job->a, p.k, chunk < 8 ? chunk : 8) &&
                 motet_cuda_is_aligned(job->b, p.k, chunk);
    /* Warps share rows while the machine is not full and each has two chunks a lane. */
    const int64_t groups = (p.n + rows - 1) / rows;
    const int64_t room = (int64_t)motet_cuda_get_limits().multiprocessors * 16;
    const int64_t chunks = p.b_vector ? p.k / chunk : p.k;
    p.tiles = 1;
    while (p.tiles < GEMV_THREADS / 32 && groups * p.tiles < room && chunks >= 64 * p.tiles)
        p.tiles *= 2;
    const int at_once = GEMV_THREADS / 32 / p.tiles;
    return motet_cuda_launch(&kernels[p.b_type][size],
                             (motet_cuda_grid){(groups + at_once - 1) / at_once, 1, 1},
                             GEMV_THREADS, 0, MOTET_CUDA_ARGS(&p));
}
