/* swiglu: a chunk of a row's gates and the same chunk of its ups a thread. */
#include "kernels/cuda/flat.cuh"

/* 1 / (1 + e^-z): e^x is within 2 units in the last place, the quotient within 1. */
ROW_INLINE float sigmoid(float z) {
    return row_reciprocal(1.0f + expf(-z));
}

/* Where the gate of narrow element i is; its up is `width` further on. */
ROW_INLINE int64_t packed(const motet_flat_job &j, int64_t i) {
    const int64_t row = j.count <= 0xffffffffll ? (uint32_t)i / (uint32_t)j.width : i / j.width;
    return i + row * j.width;
}

template <int OUT, int GU> ROW_INLINE void forward(const motet_flat_job &j) {
    constexpr int C = row_chunk(OUT, GU);
    const int64_t first = flat_first<C>();
    if (j.vector) { /* the width is a multiple of C */
        if (first >= j.count) return;
        const int64_t at = packed(j, first);
        float g[C], u[C];
        row_load<GU>(g, j.a.data, at);
        row_load<GU>(u, j.a.data, at + j.width);
#pragma unroll
        for (int i = 0; i < C; i++)
            g[i] = g[i] * sigmoid(g[i]) * u[i];
        row_store<OUT>(j.out.data, first, g);
        return;
    }
    const motet_row_array out = {j.out.data, OUT}, gu = {j.a.data, GU};
#pragma unroll 1
    for (int64_t i = first; i < min(first + C, j.count); i++) {
        const int64_t at = i + i / j.width * j.width;
        const float g = row_get(gu, at);
        row_set(out, i, g * sigmoid(g) * row_get(gu, at + j.width));
    }
}

/* *g, *u <- the gradients of gate and up. */
ROW_INLINE void backward_one(float *g, float *u, float d) {
    const float z = *g, up = *u, gate = sigmoid(z);
    *u = d * (z * gate);
    *g = d * up * (gate * (1.0f + z * (1.0f - gate)));
}

/* out: dgu, a: gu, b: dout. dgu may be gu; vectors only where dout has the type of dgu. */
template <int OUT, int GU> ROW_INLINE void backward(const motet_flat_job &j) {
    constexpr int C = row_chunk(OUT, GU);
    const int64_t first = flat_first<C>();
    if (j.vector) {
        if (first >= j.count) return;
        const int64_t at = packed(j, first);
        float g[C], u[C], d[C];
        row_load<GU>(g, j.a.data, at);
        row_load<GU>(u, j.a.data, at + j.width);
        row_load<OUT>(d, j.b.data, first);
#pragma unroll
        for (int i = 0; i < C; i++)
            backward_one(&g[i], &u[i], d[i]);
        row_store<OUT>(j.out.data, at, g);
        row_store<OUT>(j.out.data, at + j.width, u);
        return;
    }
    const motet_row_array out = {j.out.data, OUT}, gu = {j.a.data, GU};
#pragma unroll 1
    for (int64_t i = first; i < min(first + C, j.count); i++) {
        const int64_t at = i + i / j.width * j.width;
        float g = row_get(gu, at), u = row_get(gu, at + j.width);
        backward_one(&g, &u, row_get(j.b, i));
        row_set(out, at, g);
        row_set(out, at + j.width, u);
    }
}

ROW_KERNEL motet_swiglu_forward(const motet_flat_job j) {
    ROW_DISPATCH(forward, j.out.type, j.a.type, j);
}
ROW_KERNEL motet_swiglu_backward(const motet_flat_job j) {
    ROW_DISPATCH(backward, j.out.type, j.a.type, j);
}
