#include "kernels/cuda/check.h"
#include "kernels/cuda/ops.h"
#include "kernels/optimizer_check.h"

MOTET_CUDA_MODULE(sum_squares);
static motet_cuda_kernel ranges_kernel = {.module = &sum_squares_module,
                                          .name = "motet_sum_squares_ranges"};
static motet_cuda_kernel fold = {.module = &sum_squares_module, .name = "motet_sum_squares_fold"};

#define STEP (8 * ROW_THREADS) /* elements that a block takes at once; whole chunks of any type */

motet_status motet_cuda_sum_squares(double *sum, motet_tensor grad) {
    MOTET_TRY(motet_sum_squares_check(grad));
    int64_t count = motet_tensor_count(grad), steps = motet_cuda_blocks(count, STEP);
    int64_t range = row_min(4, steps); /* steps of a block, more where blocks would be too many */
    if (steps > 1024 * range) range = motet_cuda_blocks(steps, 1024);
    int64_t ranges = range ? motet_cuda_blocks(steps, range) : 0;
    motet_flat_job j = {.a = motet_cuda_array(grad),
                        .count = count,
                        .width = range * STEP,
                        .vector = motet_cuda_aligned(grad, motet_cuda_chunk(grad, grad))};
    void *partial = motet_cuda_workspace();
    MOTET_TRY(motet_cuda_launch(&ranges_kernel, (motet_cuda_grid){ranges, 1, 1}, ROW_THREADS, 0,
                                MOTET_CUDA_ARGS(&partial, &j)));
    return motet_cuda_launch(&fold, (motet_cuda_grid){1, 1, 1}, ROW_THREADS, 0,
                             MOTET_CUDA_ARGS(&sum, &partial, &ranges));
}
