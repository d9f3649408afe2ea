/* gelu: exact, by the complement of Phi, so that the tail keeps its relative accuracy. */
#include "kernels/cuda/flat.cuh"

/* Phi(x), and its density phi(x) with one exponential between them: kernels/gelu.c says how. The
 * exponential is off by 2^-22 and, as an f32 square must be, by 1e-7 x^2 of its value. */
ROW_INLINE float phi_both(float x, float *density) {
    const float z = fminf(fabsf(x) * 0x1.6a09e6p-1f, 15.0f); /* keeps infinity out of y */
    const float e = row_exp2(x * x * -0.72134752f);          /* log2(e) / 2 */
    const float inverse = row_reciprocal((1.0f + 2.0f * z) * (z + 2.5f));
    const float y = (z - 2.5f) * (1.0f + 2.0f * z) * inverse;
    float p = 0.000457649987f;
    p = p * y + 0.000336815586f;
    p = p * y - 0.00428215304f;
    p = p * y + 0.00102350707f;
    p = p * y + 0.0327359876f;
    p = p * y - 0.102988461f;
    p = p * y + 0.157632593f;
    p = p * y - 0.0990228207f;
    p = p * y - 0.122356856f;
    p = p * y + 1.26483816f;
    const float tail = 0.5f * e * p * ((z + 2.5f) * inverse);
    *density = e * 0.3989422804f;
    return x < 0 ? tail : 1.0f - tail;
}

ROW_INLINE float forward_one(float x) {
    float density;
    return x * phi_both(x, &density);
}

ROW_INLINE float backward_one(float dy, float x) {
    float density;
    const float cumulative = phi_both(x, &density);
    return dy * (cumulative + x * density);
}

template <int OUT, int X> ROW_INLINE void forward(const motet_flat_job &j) {
    flat_map<OUT, X>(j, forward_one);
}
template <int DX, int X> ROW_INLINE void backward(const motet_flat_job &j) {
    flat_zip<DX, X>(j, backward_one);
}

ROW_KERNEL motet_gelu_forward(const motet_flat_job j) {
    ROW_DISPATCH(forward, j.out.type, j.a.type, j);
}
/* a: dout, b: x. */
ROW_KERNEL motet_gelu_backward(const motet_flat_job j) {
    ROW_DISPATCH(backward, j.out.type, j.b.type, j);
}
