#include "kernels/gather.h"

#include "kernels/row.h"
#include "kernels/row_check.h"

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

/* Every index is below the rows of `indexed`. */
static motet_status check_indices(const char *op, motet_tensor indexed, motet_tensor rows) {
    const int32_t *index = rows.data;
    for (int64_t i = 0; i < rows.dims[0]; i++)
        if (index[i] >= indexed.dims[0])
            return MOTET_FAIL(MOTET_E_USAGE, "%s: index %d at %lld, the tensor has %lld rows", op,
                              (int)index[i], (long long)i, (long long)indexed.dims[0]);
    return MOTET_OK;
}

motet_status motet_cpu_gather(motet_tensor out, motet_tensor x, motet_tensor rows) {
    MOTET_TRY(motet_gather_check(out, x, rows));
    MOTET_TRY(check_indices("gather", x, rows));
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
    MOTET_TRY(motet_scatter_add_check(out, x, rows));
    MOTET_TRY(check_indices("scatter_add", out, rows));
    int64_t count = rows.dims[0], width = out.dims[1];
    const int32_t *index = rows.data;
#pragma omp parallel for schedule(static) if (count * width > ROW_PARALLEL)
    for (int64_t i = 0; i < count; i++)
        if (index[i] >= 0) add_range(out, index[i] * width, x, i * width, width);
    return MOTET_OK;
}

motet_status motet_cpu_add(motet_tensor out, motet_tensor x) {
    MOTET_TRY(motet_add_check(out, x));
    int64_t count = motet_tensor_count(x), chunks = (count + ROW_CHUNK - 1) / ROW_CHUNK;
#pragma omp parallel for schedule(static) if (count > ROW_PARALLEL)
    for (int64_t c = 0; c < chunks; c++)
        add_range(out, c * ROW_CHUNK, x, c * ROW_CHUNK, row_min(ROW_CHUNK, count - c * ROW_CHUNK));
    return MOTET_OK;
}
