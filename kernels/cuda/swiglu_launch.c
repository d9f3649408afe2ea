#include "kernels/cuda/check.h"
#include "kernels/cuda/ops.h"
#include "kernels/row_check.h"

MOTET_CUDA_MODULE(swiglu);
static motet_cuda_kernel forward = {.module = &swiglu_module, .name = "motet_swiglu_forward"};
static motet_cuda_kernel backward = {.module = &swiglu_module, .name = "motet_swiglu_backward"};

motet_status motet_cuda_swiglu_forward(motet_tensor out, motet_tensor gu) {
    MOTET_TRY(motet_swiglu_forward_check(out, gu));
    int64_t chunk = motet_cuda_chunk(out, gu);
    motet_flat_job j = {.out = motet_cuda_array(out),
                        .a = motet_cuda_array(gu),
                        .count = motet_tensor_count(out),
                        .width = out.dims[1],
                        .vector = out.dims[1] % chunk == 0 && motet_cuda_aligned(out, chunk) &&
                                  motet_cuda_aligned(gu, chunk)};
    return motet_cuda_launch(
        &forward, (motet_cuda_grid){motet_cuda_blocks(j.count, ROW_THREADS * chunk), 1, 1},
        ROW_THREADS, 0, MOTET_CUDA_ARGS(&j));
}

motet_status motet_cuda_swiglu_backward(motet_tensor dgu, motet_tensor dout, motet_tensor gu) {
    MOTET_TRY(motet_swiglu_backward_check(dgu, dout, gu));
    int64_t chunk = motet_cuda_chunk(dgu, gu);
    motet_flat_job j = {.out = motet_cuda_array(dgu),
                        .a = motet_cuda_array(gu),
                        .b = motet_cuda_array(dout),
                        .count = motet_tensor_count(dout),
                        .width = dout.dims[1],
                        .vector = dout.dims[1] % chunk == 0 && dout.dtype == dgu.dtype &&
                                  motet_cuda_aligned(dgu, chunk) &&
                                  motet_cuda_aligned(dout, chunk) && motet_cuda_aligned(gu, chunk)};
    return motet_cuda_launch(
        &backward, (motet_cuda_grid){motet_cuda_blocks(j.count, ROW_THREADS * chunk), 1, 1},
        ROW_THREADS, 0, MOTET_CUDA_ARGS(&j));
}
