#include "kernels/cuda/check.h"
#include "kernels/cuda/ops.h"
#include "kernels/row_check.h"

MOTET_CUDA_MODULE(gather);
static motet_cuda_kernel gather_rows = {.module = &gather_module, .name = "motet_gather_rows"};
static motet_cuda_kernel scatter_rows = {.module = &gather_module,
                                         .name = "motet_scatter_add_rows"};
static motet_cuda_kernel add_flat = {.module = &gather_module, .name = "motet_add_flat"};

/* `indexed`, out or x, is where indices point. */
static motet_status by_rows(motet_cuda_kernel *kernel, motet_tensor out, motet_tensor x,
                            motet_tensor indexed, motet_tensor rows) {
    int64_t chunk = motet_cuda_chunk(out, x);
    motet_index_job j = {.out = motet_cuda_array(out),
                         .x = motet_cuda_array(x),
                         .index = rows.data,
                         .complaints = motet_cuda_complaints(),
                         .rows = rows.dims[0],
                         .bag = 1,
                         .width = out.dims[1],
                         .limit = indexed.dims[0],
                         .vector = out.dims[1] % chunk == 0 && motet_cuda_aligned(out, chunk) &&
                                   motet_cuda_aligned(x, chunk)};
    return motet_cuda_launch(kernel, (motet_cuda_grid){motet_cuda_blocks(j.rows, ROW_WARPS), 1, 1},
                             ROW_THREADS, 0, MOTET_CUDA_ARGS(&j));
}

motet_status motet_cuda_gather(motet_tensor out, motet_tensor x, motet_tensor rows) {
    MOTET_TRY(motet_gather_check(out, x, rows));
    return by_rows(&gather_rows, out, x, x, rows);
}

motet_status motet_cuda_scatter_add(motet_tensor out, motet_tensor x, motet_tensor rows) {
    MOTET_TRY(motet_scatter_add_check(out, x, rows));
    return by_rows(&scatter_rows, out, x, out, rows);
}

motet_status motet_cuda_add(motet_tensor out, motet_tensor x) {
    MOTET_TRY(motet_add_check(out, x));
    int64_t chunk = motet_cuda_chunk(out, x);
    motet_flat_job j = {.out = motet_cuda_array(out),
                        .a = motet_cuda_array(out),
                        .b = motet_cuda_array(x),
                        .count = motet_tensor_count(x),
                        .vector = motet_cuda_aligned(out, chunk) && motet_cuda_aligned(x, chunk)};
    return motet_cuda_launch(
        &add_flat, (motet_cuda_grid){motet_cuda_blocks(j.count, ROW_THREADS * chunk), 1, 1},
        ROW_THREADS, 0, MOTET_CUDA_ARGS(&j));
}
