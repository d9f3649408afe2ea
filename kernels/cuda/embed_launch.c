#include "kernels/cuda/check.h"
#include "kernels/cuda/ops.h"
#include "kernels/row_check.h"

MOTET_CUDA_MODULE(embed);
MOTET_CUDA_MODULE(embed_backward);
static motet_cuda_kernel bags = {.module = &embed_module, .name = "motet_embed_bags"};
static motet_cuda_kernel backward_f32 = {.module = &embed_backward_module,
                                         .name = "motet_embed_backward_f32"};
static motet_cuda_kernel backward_bf16 = {.module = &embed_backward_module,
                                          .name = "motet_embed_backward_bf16"};

/* Ids are i32: rows beyond their reach are a mistake. */
static motet_status check_size(const char *op, motet_tensor table) {
    if (table.dims[0] > INT32_MAX)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "%s: a table of %lld rows", op,
                          (long long)table.dims[0]);
    return MOTET_OK;
}

motet_status motet_cuda_embed_forward(motet_tensor out, motet_tensor table, motet_tensor ids) {
    MOTET_TRY(motet_embed_forward_check(out, table, ids));
    MOTET_TRY(check_size("embed_forward", table));
    int64_t width = out.dims[1], chunk = motet_cuda_chunk(out, table);
    motet_index_job j = {.out = motet_cuda_array(out),
                         .x = motet_cuda_array(table),
                         .scale = table.scale,
                         .index = ids.data,
                         .complaints = motet_cuda_complaints(),
                         .rows = ids.dims[0],
                         .bag = ids.dims[1],
                         .width = width,
                         .limit = table.dims[0],
                         .vector = width % chunk == 0 && motet_cuda_aligned(out, chunk) &&
                                   motet_cuda_aligned(table, chunk)};
    return motet_cuda_launch(&bags,
                             (motet_cuda_grid){motet_cuda_blocks(j.rows, ROW_WARPS),
                                               motet_cuda_blocks(width, ROW_SPAN), 1},
                             ROW_THREADS, 0, MOTET_CUDA_ARGS(&j));
}

motet_status motet_cuda_embed_backward(motet_tensor dtable, motet_tensor dout, motet_tensor ids) {
    MOTET_TRY(motet_embed_backward_check(dtable, dout, ids));
    MOTET_TRY(check_size("embed_backward", dtable));
    int64_t count = motet_tensor_count(ids), width = dout.dims[1], limit = dtable.dims[0];
    if (count == 0 || width == 0) return MOTET_OK;
    if (count > EMBED_MOST)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED,
                          "embed_backward: %lld ids, on CUDA there may be %d at once",
                          (long long)count, EMBED_MOST);
    motet_embed_job j = {.dtable = dtable.data,
                         .dout = motet_cuda_array(dout),
                         .ids = ids.data,
                         .complaints = motet_cuda_complaints(),
                         .count = count,
                         .bag = ids.dims[1],
                         .width = width,
                         .limit = limit,
                         .share = motet_cuda_blocks(count, ROW_THREADS) * 32};
    /* A block at least, which complains of ids beyond a table of no rows. */
    return motet_cuda_launch(dout.dtype == MOTET_BF16 ? &backward_bf16 : &backward_f32,
                             (motet_cuda_grid){motet_cuda_blocks(limit ? limit : 1, EMBED_OWNED),
                                               motet_cuda_blocks(width, EMBED_COLUMNS), 1},
                             ROW_THREADS, EMBED_SHARED, MOTET_CUDA_ARGS(&j));
}
