#include "kernels/embed.h"

#include <omp.h>

#include "kernels/row.h"
#include "kernels/row_check.h"

/* sum[0..n) += columns d.. of one row of the table. */
ROW_INLINE void add_row(float *restrict sum, motet_tensor table, int64_t row, int64_t d,
                        int64_t n) {
    int64_t at = row * table.dims[1] + d;
    if (table.dtype == MOTET_F32) {
        const float *src = (const float *)table.data + at;
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            sum[i] += src[i];
    } else if (table.dtype == MOTET_BF16) {
        const uint16_t *src = (const uint16_t *)table.data + at;
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            sum[i] += motet_f32_from_bf16(src[i]);
    } else {
        const int8_t *src = (const int8_t *)table.data + at;
        float scale = table.scale[row];
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            sum[i] += scale * (float)src[i];
    }
}

ROW_CLONES static void forward_rows(motet_tensor out, motet_tensor table, motet_tensor ids,
                                    int64_t first, int64_t end) {
    ROW_SCRATCH(sum);
    int64_t width = out.dims[1], bag = ids.dims[1];
    for (int64_t row = first; row < end; row++) {
        const int32_t *id = (const int32_t *)ids.data + row * bag;
        for (int64_t d = 0; d < width; d += ROW_CHUNK) {
            int64_t n = row_min(ROW_CHUNK, width - d);
            memset(sum, 0, (size_t)n * sizeof *sum);
            for (int64_t k = 0; k < bag; k++)
                if (id[k] >= 0) add_row(sum, table, id[k], d, n);
            row_store(out, row * width + d, n, sum);
        }
    }
}

/* Every id is below V. */
static motet_status check_ids(const char *op, motet_tensor table, motet_tensor ids) {
    const int32_t *id = ids.data;
    int64_t count = motet_tensor_count(ids), most = -1;
    for (int64_t i = 0; i < count; i++)
        most = id[i] > most ? id[i] : most;
    if (most < table.dims[0]) return MOTET_OK;
    int64_t i = 0;
    while (id[i] < table.dims[0])
        i++;
    return MOTET_FAIL(MOTET_E_USAGE, "%s: id %d in row %lld, the table has %lld rows", op,
                      (int)id[i], (long long)(i / ids.dims[1]), (long long)table.dims[0]);
}

motet_status motet_cpu_embed_forward(motet_tensor out, motet_tensor table, motet_tensor ids) {
    MOTET_TRY(motet_embed_forward_check(out, table, ids));
    MOTET_TRY(check_ids("embed_forward", table, ids));
    int64_t rows = out.dims[0], block = 32, blocks = (rows + block - 1) / block;
#pragma omp parallel for schedule(static) if (motet_tensor_count(ids) * out.dims[1] > ROW_PARALLEL)
    for (int64_t b = 0; b < blocks; b++)
        forward_rows(out, table, ids, b * block, row_min(rows, (b + 1) * block));
    return MOTET_OK;
}

/* Columns d..d+n-1 of the table, all rows of dout in order: no other thread writes them, and a
 * slice of the table stays in the thread's cache, for the ids repeat. */
ROW_CLONES static void backward_columns(motet_tensor dtable, motet_tensor dout, motet_tensor ids,
                                        int64_t d, int64_t n) {
    ROW_SCRATCH(scratch);
    int64_t width = dout.dims[1], bag = ids.dims[1];
    for (int64_t row = 0; row < dout.dims[0]; row++) {
        const int32_t *id = (const int32_t *)ids.data + row * bag;
        const float *dy = row_read(dout, row * width + d, n, scratch);
        for (int64_t k = 0; k < bag; k++) {
            if (id[k] < 0) continue;
            float *sum = (float *)dtable.data + id[k] * width + d;
#pragma omp simd
            for (int64_t i = 0; i < n; i++)
                sum[i] += dy[i];
        }
    }
}

motet_status motet_cpu_embed_backward(motet_tensor dtable, motet_tensor dout, motet_tensor ids) {
    MOTET_TRY(motet_embed_backward_check(dtable, dout, ids));
    MOTET_TRY(check_ids("embed_backward", dtable, ids));
    int64_t width = dout.dims[1];
    bool many = motet_tensor_count(ids) * width > ROW_PARALLEL;
    int64_t threads = many ? omp_get_max_threads() : 1;
    int64_t slice = ((width + threads - 1) / threads + 15) / 16 * 16;
    slice = row_min(slice, ROW_CHUNK);
    int64_t slices = slice ? (width + slice - 1) / slice : 0;
#pragma omp parallel for schedule(static) if (many)
    for (int64_t s = 0; s < slices; s++)
        backward_columns(dtable, dout, ids, s * slice, row_min(slice, width - s * slice));
    return MOTET_OK;
}
