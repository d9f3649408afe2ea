#include "kernels/core/rng.h"
#include "kernels/optimizer_check.h"
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
    MOTET_TRY(motet_convert_check(dst, src));
#pragma omp parallel for schedule(static) if (count > ROW_PARALLEL)
    for (int64_t c = 0; c < chunks; c++)
        convert_range(dst, src, c * ROW_CHUNK, row_min(ROW_CHUNK, count - c * ROW_CHUNK));
    return MOTET_OK;
}

static void stochastic_range(motet_tensor dst, motet_tensor src, int64_t at, int64_t n,
                             uint64_t seed, uint64_t stream) {
    const uint32_t *bits = (const uint32_t *)src.data + at;
    uint16_t *out = (uint16_t *)dst.data + at;
    uint32_t words[4];
    for (int64_t i = 0; i < n; i++) {
        if (i % 4 == 0) motet_philox(seed, stream, (uint64_t)(at + i) / 4, words);
        bool is_nan = (bits[i] & 0x7fffffffu) > 0x7f800000u;
        uint32_t nan = bits[i] >> 16 | 0x40u, rounded = (bits[i] + (words[i % 4] >> 16)) >> 16;
        out[i] = (uint16_t)(is_nan ? nan : rounded);
    }
}

motet_status motet_cpu_convert_stochastic(motet_tensor dst, motet_tensor src, uint64_t seed,
                                          uint64_t stream) {
    int64_t count = motet_tensor_count(src), chunks = (count + ROW_CHUNK - 1) / ROW_CHUNK;
    MOTET_TRY(motet_convert_stochastic_check(dst, src));
#pragma omp parallel for schedule(static) if (count > ROW_PARALLEL)
    for (int64_t c = 0; c < chunks; c++)
        stochastic_range(dst, src, c * ROW_CHUNK, row_min(ROW_CHUNK, count - c * ROW_CHUNK), seed,
                         stream);
    return MOTET_OK;
}
