#include "kernels/gather.h"

#include "kernels/row.h"

/* to[i] += from[i] over n elements, any mix of f32 and bf16. */
ROW_CLONES static void add_range(motet_tensor to, int64_t to_at, motet_tensor from, int64_t from_at,
                                 int64_t n) {
    ROW_SCRATCH(to_scratch);
    ROW_SCRATCH(from_scratch);
    for (int64_t d = 0; d < n; d += ROW_CHUNK) {
        int64_t m = row_min(ROW_CHUNK, n - d);
        const float *x = row_read(from, from_at + d, m, from_scratch);
        float *y = row_read(to, to_at + d, m, to_scratch);
#pragma omp simd
        for (int64_t i = 0; i < m; i++)
            y[i] += x[i];
        row_store(to, to_at + d, m, y);
    }
}

ROW_CLONES static void copy_range(motet_tensor to, int64_t to_at, motet_tensor from,
                                  int64_t from_at, int64_t n) {
    ROW_SCRATCH(scratch);
    for (int64_t d = 0; d < n; d += ROW_CHUNK) {
        int64_t m = row_min(ROW_CHUNK, n - d);
        row_store(to, to_at + d, m, row_read(from, from_at + d, m, scratch));
    }
}

/* Shapes of either op: `picked` has a row for each index, `indexed` is where indices point. */
static motet_status check(const char *op, motet_tensor picked, motet_tensor indexed,
                          motet_tensor rows) {
    if (picked.rank != 2 || indexed.rank != 2 || !row_is(rows, MOTET_I32, 1) ||
        picked.dims[0] != rows.dims[0] || picked.dims[1] != indexed.dims[1] ||
        !row_is_float(picked) || !row_is_float(indexed) || !row_has_data(picked) ||
        !row_has_data(indexed) || !row_has_data(rows))
        return motet_row_fail(op, "one row for each of the i32 indices, equal widths",
                              "picked indexed rows", 3, (motet_tensor[]){picked, indexed, rows});
    const int32_t *index = rows.data;
    for (int64_t i = 0; i < rows.dims[0]; i++)
        if (index[i] >= indexed.dims[0])
            return MOTET_FAIL(MOTET_E_USAGE, "%s: index %d at %lld, the tensor has %lld rows", op,
                              (int)index[i], (long long)i, (long long)indexed.dims[0]);
    return MOTET_OK;
}

motet_status motet_cpu_gather(motet_tensor out, motet_tensor x, motet_tensor rows) {
    MOTET_TRY(check("gather", out, x, rows));
    int64_t count = rows.dims[0], width = out.dims[1];
    const int32_t *index = rows.data;
#pragma omp parallel for schedule(static) if (count * width > ROW_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        if (index[i] >= 0)
            copy_range(out, i * width, x, index[i] * width, width);
        else
            memset((char *)out.data + (size_t)(i * width) * motet_dtype_bytes(out.dtype), 0,
                   (size_t)width * motet_dtype_bytes(out.dtype));
    }
    return MOTET_OK;
}

motet_status motet_cpu_scatter_add(motet_tensor out, motet_tensor x, motet_tensor rows) {
    MOTET_TRY(check("scatter_add", x, out, rows));
    int64_t count = rows.dims[0], width = out.dims[1];
    const int32_t *index = rows.data;
#pragma omp parallel for schedule(static) if (count * width > ROW_PARALLEL)
    for (int64_t i = 0; i < count; i++)
        if (index[i] >= 0) add_range(out, index[i] * width, x, i * width, width);
    return MOTET_OK;
}

motet_status motet_cpu_add(motet_tensor out, motet_tensor x) {
    if (!row_same_shape(out, x) || !row_is_float(out) || !row_is_float(x) || !row_has_data(out) ||
        !row_has_data(x))
        return motet_row_fail("add", "out and x have one shape", "out x", 2,
                              (motet_tensor[]){out, x});
    int64_t count = motet_tensor_count(x), chunks = (count + ROW_CHUNK - 1) / ROW_CHUNK;
#pragma omp parallel for schedule(static) if (count > ROW_PARALLEL)
    for (int64_t c = 0; c < chunks; c++)
        add_range(out, c * ROW_CHUNK, x, c * ROW_CHUNK, row_min(ROW_CHUNK, count - c * ROW_CHUNK));
    return MOTET_OK;
}
