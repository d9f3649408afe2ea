#include "kernels/cuda/check.h"
#include "kernels/cuda/ops.h"
#include "kernels/row_check.h"

MOTET_CUDA_MODULE(rope);
static motet_cuda_kernel by_vectors = {.module = &rope_module, .name = "motet_rope_vector"};
static motet_cuda_kernel by_pairs = {.module = &rope_module, .name = "motet_rope_single"};

motet_status motet_cuda_rope(motet_tensor x, motet_tensor table, int heads, bool inverse) {
    int64_t rows = x.dims[0], width = table.dims[1];
    MOTET_TRY(motet_rope_check(x, table, heads));
    if (heads == 0) return MOTET_OK;
    motet_rope_job j = {.x = motet_cuda_array(x),
                        .table = table.data,
                        .rows = rows,
                        .pitch = x.dims[1],
                        .width = width,
                        .heads = heads,
                        .turn = inverse ? -1.0f : 1.0f};
    int64_t half = width / 2, chunk = motet_cuda_chunk(x, x);
    bool vector = half % chunk == 0 && half / chunk <= 32 && j.pitch % chunk == 0 &&
                  motet_cuda_aligned(x, chunk) && motet_cuda_aligned(table, 4);
    if (!vector)
        return motet_cuda_launch(&by_pairs, (motet_cuda_grid){rows, 1, 1}, ROW_THREADS, 0,
                                 MOTET_CUDA_ARGS(&j));
    return motet_cuda_launch(&by_vectors,
                             (motet_cuda_grid){motet_cuda_blocks(rows, ROW_WARPS), 1, 1},
                             ROW_THREADS, 0, MOTET_CUDA_ARGS(&j));
}
