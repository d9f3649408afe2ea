/* gelu: the function, for the op's kernels and for the epilogue of a matrix product. */
#ifndef MOTET_CUDA_GELU_CUH
#define MOTET_CUDA_GELU_CUH

#include "kernels/cuda/row.cuh"

/* Phi(x), and its density phi(x) with one exponential between them: kernels/gelu.c says how. The
 * exponential is off by 2^-22 and, as an f32 square must be, by 1e-7 x^2 of its value. */
ROW_INLINE float gelu_phi(float x, float *density) {
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

ROW_INLINE float gelu(float x) {
    float density;
    return x * gelu_phi(x, &density);
}

#endif
