/* gelu: exact, by the complement of Phi, so that the tail keeps its relative accuracy. */
#include "kernels/cuda/flat.cuh"
#include "kernels/cuda/gelu.cuh"

ROW_INLINE float backward_one(float dy, float x) {
    float density;
    const float cumulative = gelu_phi(x, &density);
    return dy * (cumulative + x * density);
}

template <int OUT, int X> ROW_INLINE void forward(const motet_flat_job &j) {
    flat_map<OUT, X>(j, gelu);
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
