#include "kernels/cuda/check.h"
#include "kernels/cuda/ops.h"
#include "kernels/row_check.h"

MOTET_CUDA_MODULE(embed);
MOTET_CUDA_MODULE(embed_backward);
static motet_cuda_kernel bags = {.module = &embed_module, .name = "motet_embed_bags"};
static motet_cuda_kernel count_ids = {.module = &embed_backward_module,
                                      .name = "motet_embed_count"};
static motet_cuda_kernel offsets = {.module = &embed_backward_module,
                                    .name = "motet_embed_offsets"};
static motet_cuda_kernel starts = {.module = &embed_backward_module, .name = "motet_embed_starts"};
static motet_cuda_kernel place = {.module = &embed_backward_module, .name = "motet_embed_place"};
static motet_cuda_kernel sum_tiles = {.module = &embed_backward_module, .name = "motet_embed_sum"};
static motet_cuda_kernel spread = {.module = &embed_backward_module, .name = "motet_embed_spread"};

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

/* Divides the workspace for so many rows; the bytes that takes. */
static size_t layout(motet_sort_job *j, int64_t rows) {
    j->count = rows * j->bag;
    j->chunks = motet_cuda_blocks(j->count, SORT_CHUNK);
    size_t used = 0, tiles = (size_t)motet_cuda_blocks(j->count, SORT_TILE);
    unsigned char *base = motet_cuda_workspace();
    const struct {
        void *field;
        size_t bytes;
    } parts[] = {{&j->partial, tiles * 2 * (size_t)j->width * sizeof(float)},
                 {&j->counts, (size_t)(j->chunks * j->limit) * sizeof(int32_t)},
                 {&j->starts, (size_t)(j->limit + 1) * sizeof(int32_t)},
                 {&j->sorted_row, (size_t)j->count * sizeof(int32_t)},
                 {&j->sorted_id, (size_t)j->count * sizeof(int32_t)}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        void *at = base + used;
        memcpy(parts[i].field, &at, sizeof at);
        used += (parts[i].bytes + 255) / 256 * 256;
    }
    return used;
}

static motet_status backward_slab(motet_sort_job *j) {
    motet_cuda_grid by_chunk = {motet_cuda_blocks(j->chunks, ROW_WARPS), 1, 1};
    motet_cuda_grid by_id = {motet_cuda_blocks(j->limit, ROW_THREADS), 1, 1};
    int64_t tiles = motet_cuda_blocks(j->count, SORT_TILE);
    motet_cuda_grid by_tile = {motet_cuda_blocks(tiles, ROW_WARPS),
                               motet_cuda_blocks(j->width, ROW_SPAN), 1};
    motet_cuda_grid by_warp = {motet_cuda_blocks(j->limit, ROW_WARPS),
                               row_min(motet_cuda_blocks(j->width, 32), 32), 1};
    void **job = MOTET_CUDA_ARGS(j);
    MOTET_TRY(motet_cuda_launch(&count_ids, by_chunk, ROW_THREADS, 0, job));
    MOTET_TRY(motet_cuda_launch(&offsets, by_id, ROW_THREADS, 0, job));
    MOTET_TRY(motet_cuda_launch(&starts, (motet_cuda_grid){1, 1, 1}, ROW_THREADS, 0, job));
    MOTET_TRY(motet_cuda_launch(&place, by_chunk, ROW_THREADS, 0, job));
    MOTET_TRY(motet_cuda_launch(&sum_tiles, by_tile, ROW_THREADS, 0, job));
    return motet_cuda_launch(&spread, by_warp, ROW_THREADS, 0, job);
}

motet_status motet_cuda_embed_backward(motet_tensor dtable, motet_tensor dout, motet_tensor ids) {
    MOTET_TRY(motet_embed_backward_check(dtable, dout, ids));
    MOTET_TRY(check_size("embed_backward", dtable));
    int64_t rows = ids.dims[0], width = dout.dims[1], chunk = motet_cuda_chunk(dout, dout);
    motet_sort_job j = {.dtable = dtable.data,
                        .complaints = motet_cuda_complaints(),
                        .bag = ids.dims[1],
                        .width = width,
                        .limit = dtable.dims[0],
                        .vector = width % chunk == 0 && motet_cuda_aligned(dtable, 4) &&
                                  motet_cuda_aligned(dout, chunk)};
    if (motet_tensor_count(ids) == 0 || width == 0) return MOTET_OK;
    /* As many rows at once as the workspace has room for, the same number on every device. */
    int64_t slab = rows;
    while (slab > 1 && layout(&j, slab) > MOTET_CUDA_WORKSPACE)
        slab = (slab + 1) / 2;
    if (layout(&j, slab) > MOTET_CUDA_WORKSPACE || j.count > INT32_MAX)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED,
                          "embed_backward: a table [%lld,%lld] and bags of %lld are too large for "
                          "the workspace",
                          (long long)j.limit, (long long)width, (long long)j.bag);
    for (int64_t row = 0; row < rows; row += slab) {
        int64_t here = row_min(slab, rows - row);
        (void)layout(&j, here);
        j.first_row = row;
        j.ids = (const int32_t *)ids.data + row * j.bag;
        j.dout = motet_cuda_array(motet_tensor_rows(dout, row, here));
        MOTET_TRY(backward_slab(&j));
    }
    return MOTET_OK;
}
