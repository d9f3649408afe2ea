#include "kernels/gelu.h"

#include "kernels/row.h"
#include "kernels/row_check.h"

/* Phi(x), and its density phi(x) with one exponential between them.
 *
 * With z = |x|/sqrt(2): Phi(-|x|) = erfc(z)/2 = e^(-z^2) erfcx(z)/2, and (1 + 2z) erfcx(z) lies
 * within 1..1.27, so a polynomial of degree 9 in y = (z - 2.5)/(z + 2.5) has it to 2e-8 of its
 * value (minimax fit by reweighted least squares; the substitution is Shepherd & Laframboise's,
 * 1981). Relative accuracy holds in the tail, where 1 + erf would cancel. */
ROW_INLINE float phi_both(float x, float *density) {
    float z = row_select(x < 0, -x, x) * 0x1.6a09e6p-1f;
    z = row_select(z > 15.0f, 15.0f,
                   z); /* e^-225 is 0 already; keeps infinity out of the quotient */
    float e = row_exp(-z * z);
    float inverse = 1.0f / ((1.0f + 2.0f * z) * (z + 2.5f));
    float y = (z - 2.5f) * (1.0f + 2.0f * z) * inverse;
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
    float tail = 0.5f * e * p * ((z + 2.5f) * inverse);
    *density = e * 0.3989422804f;
    return row_select(x < 0, tail, 1.0f - tail);
}

ROW_CLONES static void forward_range(motet_tensor out, motet_tensor x, int64_t first, int64_t n) {
    ROW_SCRATCH(x_scratch);
    ROW_SCRATCH(y_scratch);
    const float *from = row_read(x, first, n, x_scratch);
    float *to = row_write(out, first, y_scratch);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float density;
        to[i] = from[i] * phi_both(from[i], &density);
    }
    row_store(out, first, n, to);
}

ROW_CLONES static void backward_range(motet_tensor dx, motet_tensor dout, motet_tensor x,
                                      int64_t first, int64_t n) {
    ROW_SCRATCH(x_scratch);
    ROW_SCRATCH(dy_scratch);
    ROW_SCRATCH(dx_scratch);
    const float *from = row_read(x, first, n, x_scratch);
    const float *dy = row_read(dout, first, n, dy_scratch);
    float *to = row_write(dx, first, dx_scratch);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float density, cumulative = phi_both(from[i], &density);
        to[i] = dy[i] * (cumulative + from[i] * density);
    }
    row_store(dx, first, n, to);
}

motet_status motet_cpu_gelu_forward(motet_tensor out, motet_tensor x) {
    MOTET_TRY(motet_gelu_forward_check(out, x));
    int64_t count = motet_tensor_count(x), chunks = (count + ROW_CHUNK - 1) / ROW_CHUNK;
#pragma omp parallel for schedule(static) if (count > ROW_PARALLEL / 4)
    for (int64_t c = 0; c < chunks; c++)
        forward_range(out, x, c * ROW_CHUNK, row_min(ROW_CHUNK, count - c * ROW_CHUNK));
    return MOTET_OK;
}

motet_status motet_cpu_gelu_backward(motet_tensor dx, motet_tensor dout, motet_tensor x) {
    MOTET_TRY(motet_gelu_backward_check(dx, dout, x));
    int64_t count = motet_tensor_count(x), chunks = (count + ROW_CHUNK - 1) / ROW_CHUNK;
#pragma omp parallel for schedule(static) if (count > ROW_PARALLEL / 4)
    for (int64_t c = 0; c < chunks; c++)
        backward_range(dx, dout, x, c * ROW_CHUNK, row_min(ROW_CHUNK, count - c * ROW_CHUNK));
    return MOTET_OK;
}
