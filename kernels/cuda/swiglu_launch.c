#include "kernels/cuda/check.h"
#include "kernels/cuda/ops.h"

MOTET_CUDA_MODULE(swiglu);
static motet_cuda_kernel forward = {.module = &swiglu_module, .name = "motet_swiglu_forward"};
static motet_cuda_kernel backward = {.module = &swiglu_module, .name = "motet_swiglu_backward"};

static bool shapes_agree(motet_tensor narrow, motet_tensor packed) {
    return narrow.rank == 2 && packed.rank == 2 && narrow.dims[0] == packed.dims[0] &&
           packed.dims[1] % 2 == 0 && narrow.dims[1] == packed.dims[1] / 2 &&
           row_is_float(narrow) && row_is_float(packed) && row_has_data(narrow) &&
           row_has_data(packed);
}

motet_status motet_cuda_swiglu_forward(motet_tensor out, motet_tensor gu) {
    if (!shapes_agree(out, gu))
        return motet_row_fail("swiglu_forward", "out is [N,F], gu [N,2F]", "out gu", 2,
                              (motet_tensor[]){out, gu});
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
    if (!shapes_agree(dout, gu) || !shapes_agree(dout, dgu))
        return motet_row_fail("swiglu_backward", "dout is [N,F], gu and dgu [N,2F]", "dgu dout gu",
                              3, (motet_tensor[]){dgu, dout, gu});
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
