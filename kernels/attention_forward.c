#include <omp.h>

#include "kernels/attention_check.h"

/* Queries of a task: whole heads where there are enough of them for the threads, else slices. Each
 * slice packs its keys anew, so slices are not small. */
static int64_t slice_rows(const motet_attention_spec *spec, int64_t queries, int threads) {
    const int64_t heads = (int64_t)spec->sequences * spec->heads;
    if (threads <= 1 || heads >= 4 * threads) return queries;
    const int64_t slices = (4 * threads + heads - 1) / heads;
    const int64_t rows = (queries + slices - 1) / slices;
    return rows < 64 ? 64 : (rows + 7) / 8 * 8;
}

motet_status motet_cpu_attention_forward(motet_tensor out, motet_tensor lse, motet_tensor q,
                                         motet_tensor k, motet_tensor v,
                                         const motet_attention_spec *spec) {
    MOTET_TRY(motet_attention_check(out, lse, q, k, v, spec));
    int64_t queries, keys;
    motet_attention_longest(&queries, &keys, spec);
    if (queries == 0) return MOTET_OK;

    const motet_simd *simd = motet_simd_table();
    const int threads =
        motet_attention_work(spec) < MOTET_ATTENTION_THREAD_WORK ? 1 : omp_get_max_threads();
    const int64_t rows = slice_rows(spec, queries, threads), slices = (queries + rows - 1) / rows;
    const int64_t tasks = (int64_t)spec->sequences * spec->heads * slices;
    const size_t bytes = simd->attention_forward_scratch(keys, spec->width);
    bool starved = false;
#pragma omp parallel num_threads(threads) reduction(|| : starved)
    {
        float *scratch = motet_scratch(bytes);
        starved = !scratch;
#pragma omp for schedule(dynamic)
        for (int64_t t = 0; t < tasks; t++) {
            /* Last slices first: under a causal mask they are the longest. */
            const int64_t slice = slices - 1 - t % slices, head = t / slices;
            const motet_attention_head at = motet_attention_head_at(
                out, lse, q, k, v, spec, (int)(head / spec->heads), (int)(head % spec->heads));
            const int64_t first = slice * rows;
            const int64_t last = first + rows < at.queries ? first + rows : at.queries;
            if (scratch && first < last) simd->attention_forward(&at, scratch, first, last);
        }
    }
    if (starved)
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %zu bytes of attention scratch", bytes);
    return MOTET_OK;
}
