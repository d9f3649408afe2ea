/* adamw: four parameters a thread; everything is read and written once. */
#include "kernels/cuda/row.cuh"

ROW_INLINE void step_one(float &w, float &m, float &v, float grad, const motet_adamw_job &j) {
    const float g = grad * j.scale;
    m = j.beta1 * m + (1.0f - j.beta1) * g;
    v = j.beta2 * v + (1.0f - j.beta2) * (g * g);
    w = w * j.decay - j.size * m / (sqrtf(v) * j.correction + j.eps);
}

ROW_KERNEL motet_adamw_step(const motet_adamw_job j) {
    const int64_t first = ((int64_t)blockIdx.x * ROW_THREADS + threadIdx.x) * 4;
    if (j.vector && first + 4 <= j.count) {
        float w[4], m[4], v[4], grad[4];
        row_load<ROW_F32>(w, j.w, first);
        row_load<ROW_F32>(m, j.m, first);
        row_load<ROW_F32>(v, j.v, first);
        row_load<ROW_F32>(grad, j.grad, first);
#pragma unroll
        for (int i = 0; i < 4; i++)
            step_one(w[i], m[i], v[i], grad[i], j);
        row_store<ROW_F32>(j.w, first, w);
        row_store<ROW_F32>(j.m, first, m);
        row_store<ROW_F32>(j.v, first, v);
        return;
    }
#pragma unroll 1
    for (int64_t i = first; i < min(first + 4, j.count); i++)
        step_one(j.w[i], j.m[i], j.v[i], j.grad[i], j);
}
