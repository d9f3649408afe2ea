#include "kernels/cuda/check.h"
#include "kernels/cuda/ops.h"

MOTET_CUDA_MODULE(gather);
static motet_cuda_kernel gather_rows = {.module = &gather_module, .name = "motet_gather_rows"};
static motet_cuda_kernel scatter_rows = {.module = &gather_module,
                                         .name = "motet_scatter_add_rows"};
static motet_cuda_kernel add_flat = {.module = &gather_module, .name = "motet_add_flat"};

/* Either way: `picked` has a row for each index, `indexed` is where indices point. */
static motet_status by_rows(motet_cuda_kernel *kernel, const char *op, motet_tensor out,
                            motet_tensor x, motet_tensor picked, motet_tensor indexed,
                            motet_tensor rows) {
    if (picked.rank != 2 || indexed.rank != 2 || !row_is(rows, MOTET_I32, 1) ||
        picked.dims[0] != rows.dims[0] || picked.dims[1] != indexed.dims[1] ||
        !row_is_float(picked) || !row_is_float(indexed) || !row_has_data(picked) ||
        !row_has_data(indexed) || !row_has_data(rows))
        return motet_row_fail(op, "one row for each of the i32 indices, equal widths",
                              "picked indexed rows", 3, (motet_tensor[]){picked, indexed, rows});
    int64_t chunk = motet_cuda_chunk(out, x);
    motet_index_job j = {.out = motet_cuda_array(out),
                         .x = motet_cuda_array(x),
                         .index = rows.data,
                         .complaints = motet_cuda_complaints(),
                         .rows = rows.dims[0],
                         .bag = 1,
                         .width = picked.dims[1],
                         .limit = indexed.dims[0],
                         .vector = picked.dims[1] % chunk == 0 && motet_cuda_aligned(out, chunk) &&
                                   motet_cuda_aligned(x, chunk)};
    return motet_cuda_launch(kernel, (motet_cuda_grid){motet_cuda_blocks(j.rows, ROW_WARPS), 1, 1},
                             ROW_THREADS, 0, MOTET_CUDA_ARGS(&j));
}

motet_status motet_cuda_gather(motet_tensor out, motet_tensor x, motet_tensor rows) {
    return by_rows(&gather_rows, "gather", out, x, out, x, rows);
}

motet_status motet_cuda_scatter_add(motet_tensor out, motet_tensor x, motet_tensor rows) {
    return by_rows(&scatter_rows, "scatter_add", out, x, x, out, rows);
}

motet_status motet_cuda_add(motet_tensor out, motet_tensor x) {
    if (!motet_cuda_is_rows(out, x) || !motet_cuda_is_rows(x, x))
        return motet_row_fail("add", "out and x have one shape", "out x", 2,
                              (motet_tensor[]){out, x});
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
