#include <limits.h>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/ops.h"
#include "kernels/matmul_check.h"

MOTET_CUDA_MODULE(bias);
static motet_cuda_kernel kernel_f32 = {.module = &bias_module, .name = "motet_bias_backward_f32"};
static motet_cuda_kernel kernel_bf16 = {.module = &bias_module, .name = "motet_bias_backward_bf16"};
static motet_cuda_kernel kernel_add = {.module = &bias_module, .name = "motet_bias_add"};

enum { THREADS = 256, COLUMNS = 128, LEAST_ROWS = 64, MOST_RANGES = 64 };

motet_status motet_cuda_bias_backward(motet_tensor dbias, motet_tensor dy) {
    MOTET_TRY(motet_bias_backward_check(dbias, dy));
    int64_t rows = dy.dims[0];
    if (rows == 0 || dy.dims[1] == 0) return MOTET_OK;
    if (dy.dims[1] > INT_MAX - COLUMNS || rows > (int64_t)INT_MAX * MOST_RANGES / 2)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "bias gradient of [%lld,%lld] is too large for CUDA",
                          (long long)rows, (long long)dy.dims[1]);
    int n = (int)dy.dims[1];
    /* Ranges of rows, so that two blocks come to each multiprocessor. */
    const int64_t tiles = ((int64_t)n + COLUMNS - 1) / COLUMNS;
    int64_t ranges = (2 * motet_cuda_get_limits().multiprocessors + tiles - 1) / tiles;
    if (ranges > rows / LEAST_ROWS) ranges = rows / LEAST_ROWS;
    if (ranges > MOST_RANGES) ranges = MOST_RANGES;
    if (ranges * n > (int64_t)(MOTET_CUDA_WORKSPACE / sizeof(float)) || ranges < 1) ranges = 1;
    int rows_of_block = (int)((rows + ranges - 1) / ranges);
    int count = (int)((rows + rows_of_block - 1) / rows_of_block);
    int vector = n % 4 == 0 && (uintptr_t)dy.data % (4 * motet_dtype_bytes(dy.dtype)) == 0;
    float *partial = count > 1 ? motet_cuda_workspace() : NULL;
    MOTET_TRY(motet_cuda_launch(
        dy.dtype == MOTET_F32 ? &kernel_f32 : &kernel_bf16, (motet_cuda_grid){tiles, count, 1},
        THREADS, 0,
        MOTET_CUDA_ARGS(&dbias.data, &dy.data, &partial, &rows, &n, &rows_of_block, &vector)));
    if (count == 1) return MOTET_OK;
    return motet_cuda_launch(&kernel_add, (motet_cuda_grid){(n + THREADS - 1) / THREADS, 1, 1},
                             THREADS, 0, MOTET_CUDA_ARGS(&dbias.data, &partial, &n, &count));
}
