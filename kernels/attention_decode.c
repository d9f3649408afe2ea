#include <omp.h>

#include "kernels/attention_check.h"

static bool is_cache(motet_tensor cache, motet_tensor q) {
    return cache.rank == 3 && cache.dtype == q.dtype && cache.dims[0] == q.dims[0] &&
           cache.dims[1] >= 0 && cache.dims[2] == q.dims[1];
}

motet_status motet_cpu_attention_decode(motet_tensor out, motet_tensor q, motet_tensor k_cache,
                                        motet_tensor v_cache, const int32_t *lengths, int heads) {
    if (q.rank != 2 || out.rank != 2 || out.dims[0] != q.dims[0] || out.dims[1] != q.dims[1] ||
        (q.dtype != MOTET_F32 && q.dtype != MOTET_BF16) || out.dtype != q.dtype)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "decode attention wants q and out of one shape [B,H*W], f32 or bf16");
    if (!is_cache(k_cache, q) || !is_cache(v_cache, q) || k_cache.dims[1] != v_cache.dims[1])
        return MOTET_FAIL(MOTET_E_USAGE,
                          "decode attention wants caches [B,T,H*W] of q's dtype, B and width");
    const int64_t batch = q.dims[0], row = q.dims[1], most = k_cache.dims[1];
    const int64_t width = heads > 0 && row % heads == 0 ? row / heads : 0;
    if (width != 16 && width != 32 && width != 64 && width != 128)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "%d heads cannot share %lld columns at width 16, 32, 64 "
                          "or 128",
                          heads, (long long)row);
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
            if (scratch)
                simd->attention_decode(motet_attention_at(out, b * row + column),
                                       motet_attention_at(q, b * row + column),
                                       motet_attention_at(k_cache, cache),
                                       motet_attention_at(v_cache, cache), q.dtype, (int)count,
                                       (int)width, lengths[b], row, scratch);
        }
    }
    if (starved)
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %zu bytes of attention scratch", bytes);
    return MOTET_OK;
}
