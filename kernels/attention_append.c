#include <math.h>

#include "kernels/attention_check.h"
#include "kernels/row.h"

/* One row of one head: `width` <= 128 floats to codes and their scale. */
ROW_CLONES static void quantise(int8_t *codes, float *scale, const float *x, int64_t width) {
    float largest = 0, sound = 0;
#pragma omp simd reduction(max : largest) reduction(+ : sound)
    for (int64_t i = 0; i < width; i++) {
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
        sound += x[i] - x[i]; /* NaN once there is one, or infinity */
    }
    const float step = largest / 127.0f;
    const bool normal = isnormal(step) && sound == 0;
    const float inverse = normal ? 127.0f / largest : 0.0f;
    *scale = sound != 0 ? NAN : normal ? step : 0.0f;
    for (int64_t i = 0; i < width; i++) {
        const float code = normal ? x[i] * inverse : 0.0f; /* a NaN has no code */
        /* To nearest even, as rintf, for |code| < 2^22; at most 127.00001 before. */
        codes[i] = (int8_t)(int32_t)((code + 0x1.8p23f) - 0x1.8p23f);
    }
}

/* Row `from` of x (elements of the tensor's data) becomes row t of sequence b. */
static void append_row(motet_tensor cache, motet_tensor x, int64_t from, int64_t b, int64_t t,
                       int heads) {
    const int64_t most = cache.dims[1], row = cache.dims[2], width = row / heads;
    const int64_t to = (b * most + t) * row;
    ROW_SCRATCH(scratch);
    if (cache.dtype == MOTET_I8) {
        float *const scale = (float *)(uintptr_t)cache.scale; /* written here, read by all else */
        for (int64_t h = 0; h < heads; h++)
            quantise((int8_t *)cache.data + to + h * width, &scale[(b * heads + h) * most + t],
                     row_read(x, from + h * width, width, scratch), width);
        return;
    }
    for (int64_t d = 0; d < row; d += ROW_CHUNK) {
        const int64_t n = row_min(ROW_CHUNK, row - d);
        row_store(cache, to + d, n, row_read(x, from + d, n, scratch));
    }
}

motet_status motet_cpu_attention_append(motet_tensor k_cache, motet_tensor v_cache, motet_tensor k,
                                        motet_tensor v, int64_t pitch, const int32_t *offsets,
                                        const int32_t *lengths, int heads) {
    MOTET_TRY(motet_attention_append_check(k_cache, v_cache, k, v, pitch, heads));
    const int64_t batch = k_cache.dims[0], most = k_cache.dims[1];
    if (offsets[0] != 0 || offsets[batch] != k.dims[0])
        return MOTET_FAIL(MOTET_E_USAGE,
                          "attention append: offsets run from %d to %d, there are %lld rows",
                          offsets[0], offsets[batch], (long long)k.dims[0]);
    for (int64_t b = 0; b < batch; b++) {
        const int32_t rows = offsets[b + 1] - offsets[b];
        if (rows < 0)
            return MOTET_FAIL(MOTET_E_USAGE, "attention append: offsets fall after sequence %lld",
                              (long long)b);
        if (lengths[b] < rows || lengths[b] > most)
            return MOTET_FAIL(MOTET_E_USAGE,
                              "attention append: sequence %lld has length %d, its %d new rows or a "
                              "cache of %lld do not fit",
                              (long long)b, lengths[b], rows, (long long)most);
    }
#pragma omp parallel for schedule(static) if (k.dims[0] * k_cache.dims[2] > ROW_PARALLEL)
    for (int64_t b = 0; b < batch; b++) {
        for (int64_t i = offsets[b]; i < offsets[b + 1]; i++) {
            const int64_t t = lengths[b] - offsets[b + 1] + i;
            append_row(k_cache, k, i * pitch, b, t, heads);
            append_row(v_cache, v, i * pitch, b, t, heads);
        }
    }
    return MOTET_OK;
}
