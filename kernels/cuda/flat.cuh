/* flat: elementwise kernels, a chunk of neighbouring elements a thread. Where the chunk is cut by
 * the end, or the arrays are not aligned to it, its elements go one by one.
 */
#ifndef MOTET_CUDA_FLAT_CUH
#define MOTET_CUDA_FLAT_CUH

#include "kernels/cuda/row.cuh"

template <int C> ROW_INLINE int64_t flat_first() {
    return ((int64_t)blockIdx.x * ROW_THREADS + threadIdx.x) * C;
}

/* out[i] <- f(a[i]). out may be a. */
template <int OUT, int A, class F> ROW_INLINE void flat_map(const motet_flat_job &j, F f) {
    constexpr int C = row_chunk(OUT, A);
    const int64_t first = flat_first<C>();
    if (j.vector && first + C <= j.count) {
        float v[C];
        row_load<A>(v, j.a.data, first);
#pragma unroll
        for (int i = 0; i < C; i++)
            v[i] = f(v[i]);
        row_store<OUT>(j.out.data, first, v);
        return;
    }
    const motet_row_array out = {j.out.data, OUT}, a = {j.a.data, A};
#pragma unroll 1
    for (int64_t i = first; i < min(first + C, j.count); i++)
        row_set(out, i, f(row_get(a, i)));
}

/* out[i] <- f(a[i], b[i]). out may be a or b; vectors only where a has the type of out. */
template <int OUT, int B, class F> ROW_INLINE void flat_zip(const motet_flat_job &j, F f) {
    constexpr int C = row_chunk(OUT, B);
    const int64_t first = flat_first<C>();
    if (j.vector && first + C <= j.count) {
        float v[C], w[C];
        row_load<OUT>(v, j.a.data, first);
        row_load<B>(w, j.b.data, first);
#pragma unroll
        for (int i = 0; i < C; i++)
            v[i] = f(v[i], w[i]);
        row_store<OUT>(j.out.data, first, v);
        return;
    }
    const motet_row_array out = {j.out.data, OUT}, b = {j.b.data, B};
#pragma unroll 1
    for (int64_t i = first; i < min(first + C, j.count); i++)
        row_set(out, i, f(row_get(j.a, i), row_get(b, i)));
}

#endif
