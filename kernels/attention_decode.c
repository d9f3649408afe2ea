#include <omp.h>

#include "kernels/attention_check.h"

motet_status motet_cpu_attention_decode(motet_tensor out, motet_tensor q, motet_tensor k_cache,
                                        motet_tensor v_cache, const int32_t *lengths, int heads) {
    MOTET_TRY(motet_attention_decode_check(out, q, k_cache, v_cache, heads));
    const int64_t batch = q.dims[0], row = q.dims[1], most = k_cache.dims[1], width = row / heads;
    int64_t valid = 0, longest = 0;
    for (int64_t b = 0; b < batch; b++) {
        if (lengths[b] < 0 || lengths[b] > most)
            return MOTET_FAIL(MOTET_E_USAGE, "row %lld has %d valid keys in a cache of %lld",
                              (long long)b, lengths[b], (long long)most);
        valid += lengths[b];
        if (lengths[b] > longest) longest = lengths[b];
    }

    const motet_simd *simd = motet_simd_table();
    const int threads =
        (double)valid * (double)row < MOTET_ATTENTION_THREAD_WORK ? 1 : omp_get_max_threads();
    /* All heads of a row together read its caches in order; fewer only to feed every thread. */
    int64_t share = heads;
    while (share > 1 && batch * ((heads + share - 1) / share) < threads)
        share = (share + 1) / 2;
    const int64_t groups = (heads + share - 1) / share, tasks = batch * groups;
    const size_t bytes = motet_decode_scratch(share, width, longest);
    bool starved = false;
#pragma omp parallel num_threads(threads) reduction(|| : starved)
    {
        float *scratch = motet_scratch(bytes);
        starved = !scratch;
#pragma omp for schedule(dynamic)
        for (int64_t t = 0; t < tasks; t++) {
            const int64_t b = t / groups, first = t % groups * share, column = first * width;
            const int64_t count = heads - first < share ? heads - first : share;
            const int64_t cache = b * most * row + column;
            if (!scratch) continue;
            const int64_t scales = (b * heads + first) * most;
            const motet_decode_job job = {
                .out = motet_attention_at(out, b * row + column),
                .q = motet_attention_at(q, b * row + column),
                .k = motet_attention_at(k_cache, cache),
                .v = motet_attention_at(v_cache, cache),
                .k_scale = k_cache.dtype == MOTET_I8 ? k_cache.scale + scales : NULL,
                .v_scale = v_cache.dtype == MOTET_I8 ? v_cache.scale + scales : NULL,
                .dtype = q.dtype,
                .cache_dtype = k_cache.dtype,
                .heads = (int)count,
                .width = (int)width,
                .length = lengths[b],
                .pitch = row,
                .scale_pitch = most,
            };
            simd->attention_decode(&job, scratch);
        }
    }
    if (starved)
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %zu bytes of attention scratch", bytes);
    return MOTET_OK;
}
