#include "kernels/cuda/check.h"
#include "kernels/cuda/ops.h"
#include "kernels/optimizer_check.h"

MOTET_CUDA_MODULE(convert);
static motet_cuda_kernel nearest = {.module = &convert_module, .name = "motet_convert_nearest"};
static motet_cuda_kernel at_random = {.module = &convert_module, .name = "motet_convert_random"};

motet_status motet_cuda_convert(motet_tensor dst, motet_tensor src) {
    int64_t count = motet_tensor_count(src);
    MOTET_TRY(motet_convert_check(dst, src));
    motet_flat_job j = {.out = motet_cuda_array(dst),
                        .a = motet_cuda_array(src),
                        .count = count,
                        .vector = motet_cuda_aligned(dst, 4) && motet_cuda_aligned(src, 4)};
    return motet_cuda_launch(&nearest,
                             (motet_cuda_grid){motet_cuda_blocks(count, ROW_THREADS * 4), 1, 1},
                             ROW_THREADS, 0, MOTET_CUDA_ARGS(&j));
}

motet_status motet_cuda_convert_stochastic(motet_tensor dst, motet_tensor src, uint64_t seed,
                                           uint64_t stream) {
    int64_t count = motet_tensor_count(src);
    MOTET_TRY(motet_convert_stochastic_check(dst, src));
    motet_flat_job j = {.out = motet_cuda_array(dst),
                        .a = motet_cuda_array(src),
                        .count = count,
                        .vector = motet_cuda_aligned(dst, 4) && motet_cuda_aligned(src, 4)};
    return motet_cuda_launch(&at_random,
                             (motet_cuda_grid){motet_cuda_blocks(count, ROW_THREADS * 4), 1, 1},
                             ROW_THREADS, 0, MOTET_CUDA_ARGS(&j, &seed, &stream));
}
