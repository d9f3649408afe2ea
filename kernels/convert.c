#include "kernels/optimizer.h"
#include "kernels/row.h"

ROW_CLONES static void convert_range(motet_tensor dst, motet_tensor src, int64_t at, int64_t n) {
    ROW_SCRATCH(scratch);
    if (dst.dtype == src.dtype) {
        size_t bytes = motet_dtype_bytes(dst.dtype);
        memmove((char *)dst.data + (size_t)at * bytes, (const char *)src.data + (size_t)at * bytes,
                (size_t)n * bytes);
        return;
    }
    if (dst.dtype == MOTET_F32)
        row_load((float *)dst.data + at, src, at, n);
    else
        row_store(dst, at, n, row_read(src, at, n, scratch));
}

motet_status motet_cpu_convert(motet_tensor dst, motet_tensor src) {
    int64_t count = motet_tensor_count(src), chunks = (count + ROW_CHUNK - 1) / ROW_CHUNK;
    if (motet_tensor_count(dst) != count || !row_is_float(dst) || !row_is_float(src) ||
        !row_has_data(dst) || !row_has_data(src))
        return motet_row_fail("convert", "dst and src hold as many f32 or bf16 elements", "dst src",
                              2, (motet_tensor[]){dst, src});
#pragma omp parallel for schedule(static) if (count > ROW_PARALLEL)
    for (int64_t c = 0; c < chunks; c++)
        convert_range(dst, src, c * ROW_CHUNK, row_min(ROW_CHUNK, count - c * ROW_CHUNK));
    return MOTET_OK;
}
