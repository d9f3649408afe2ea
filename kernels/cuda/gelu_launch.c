#include "kernels/cuda/check.h"
#include "kernels/cuda/ops.h"
#include "kernels/row_check.h"

MOTET_CUDA_MODULE(gelu);
static motet_cuda_kernel forward = {.module = &gelu_module, .name = "motet_gelu_forward"};
static motet_cuda_kernel backward = {.module = &gelu_module, .name = "motet_gelu_backward"};

motet_status motet_cuda_gelu_forward(motet_tensor out, motet_tensor x) {
    MOTET_TRY(motet_gelu_forward_check(out, x));
    int64_t chunk = motet_cuda_chunk(out, x);
    motet_flat_job j = {.out = motet_cuda_array(out),
                        .a = motet_cuda_array(x),
                        .count = motet_tensor_count(x),
                        .vector = motet_cuda_aligned(out, chunk) && motet_cuda_aligned(x, chunk)};
    return motet_cuda_launch(
        &forward, (motet_cuda_grid){motet_cuda_blocks(j.count, ROW_THREADS * chunk), 1, 1},
        ROW_THREADS, 0, MOTET_CUDA_ARGS(&j));
}

motet_status motet_cuda_gelu_backward(motet_tensor dx, motet_tensor dout, motet_tensor x) {
    MOTET_TRY(motet_gelu_backward_check(dx, dout, x));
    int64_t chunk = motet_cuda_chunk(dx, x);
    motet_flat_job j = {.out = motet_cuda_array(dx),
                        .a = motet_cuda_array(dout),
                        .b = motet_cuda_array(x),
                        .count = motet_tensor_count(x),
                        .vector = dout.dtype == dx.dtype && motet_cuda_aligned(dx, chunk) &&
                                  motet_cuda_aligned(dout, chunk) && motet_cuda_aligned(x, chunk)};
    return motet_cuda_launch(
        &backward, (motet_cuda_grid){motet_cuda_blocks(j.count, ROW_THREADS * chunk), 1, 1},
        ROW_THREADS, 0, MOTET_CUDA_ARGS(&j));
}
