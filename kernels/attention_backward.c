#include <omp.h>

#include "kernels/attention_check.h"

motet_status motet_cpu_attention_backward(motet_tensor dq, motet_tensor dk, motet_tensor dv,
                                          motet_tensor dout, motet_tensor out, motet_tensor lse,
                                          motet_tensor q, motet_tensor k, motet_tensor v,
                                          const motet_attention_spec *spec) {
    MOTET_TRY(motet_attention_backward_check(dq, dk, dv, dout, out, lse, q, k, v, spec));
    int64_t queries, keys;
    motet_attention_longest(&queries, &keys, spec);

    /* One task a head: no sum is shared, so its order is fixed. */
    const motet_simd *simd = motet_simd_table();
    const int threads =
        motet_attention_work(spec) < MOTET_ATTENTION_THREAD_WORK ? 1 : omp_get_max_threads();
    const int64_t tasks = (int64_t)spec->sequences * spec->heads;
    const size_t bytes = simd->attention_backward_scratch(queries, keys, spec->width);
    bool starved = false;
#pragma omp parallel num_threads(threads) reduction(|| : starved)
    {
        float *scratch = motet_scratch(bytes);
        starved = !scratch;
#pragma omp for schedule(dynamic)
        for (int64_t t = 0; t < tasks; t++) {
            const int s = (int)(t / spec->heads), h = (int)(t % spec->heads);
            const int64_t column = (int64_t)h * spec->width;
            const int64_t q0 = spec->q_offsets[s], k0 = spec->k_offsets[s];
            const motet_attention_head at = motet_attention_head_at(out, lse, q, k, v, spec, s, h);
            const motet_attention_grads grads = {
                .dq = motet_attention_at(dq, q0 * spec->q_pitch + column),
                .dk = motet_attention_at(dk, k0 * spec->k_pitch + column),
                .dv = motet_attention_at(dv, k0 * spec->v_pitch + column),
                .dtype = dq.dtype,
                .dout = motet_attention_at(dout, q0 * spec->out_pitch + column),
            };
            if (scratch) simd->attention_backward(&at, &grads, scratch);
        }
    }
    if (starved)
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %zu bytes of attention scratch", bytes);
    return MOTET_OK;
}
