#include <math.h>

#include "kernels/optimizer_check.h"
#include "kernels/row.h"

size_t motet_muon_scratch(int64_t rows, int64_t cols) {
    return motet_muon_layout_of(rows, cols).end;
}

/* buffer <- momentum * buffer + scale * grad; x <- scale * grad + momentum * buffer. */
ROW_CLONES static void momentum_range(float *restrict x, float *restrict buffer,
                                      const float *restrict grad, int64_t n, float scale,
                                      float momentum) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = grad[i] * scale;
        buffer[i] = momentum * buffer[i] + g;
        x[i] = g + momentum * buffer[i];
    }
}

ROW_CLONES static void combine_range(float *y, const float *x, int64_t n, float a, float b) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = a * y[i] + b * x[i];
}

ROW_CLONES static void scale_range(float *y, int64_t n, float a) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] *= a;
}

#define BLOCK 4096

/* y <- a * y + b * x */
static void combine(float *y, const float *x, int64_t count, float a, float b) {
#pragma omp parallel for schedule(static) if (count > ROW_PARALLEL)
    for (int64_t at = 0; at < count; at += BLOCK)
        combine_range(y + at, x + at, row_min(BLOCK, count - at), a, b);
}

/* y <- a * y */
static void scale(float *y, int64_t count, float a) {
#pragma omp parallel for schedule(static) if (count > ROW_PARALLEL)
    for (int64_t at = 0; at < count; at += BLOCK)
        scale_range(y + at, row_min(BLOCK, count - at), a);
}

/* Brings X near the nearest orthogonal matrix. Each step maps every singular value s (at most 1 at
 * the start) to a s + b s^3 + c s^5: X <- a X + (b A + c A A) X with the Gram matrix A = X X^T, or
 * from the right with A = X^T X where that is the smaller one. X stays f32; products take copies in
 * the dtype that is fast. */
static motet_status orthogonalise(motet_tensor x, unsigned char *scratch, motet_muon_layout l,
                                  int steps, motet_matmul_fn *matmul, motet_dtype dtype) {
    const float a = 3.4445f, b = -4.7750f, c = 2.0315f;
    int64_t rows = x.dims[0], cols = x.dims[1], side = row_min(rows, cols);
    bool tall = rows > cols;
    motet_tensor none = {0};
    motet_tensor copy = motet_matrix(scratch + l.copy, dtype, rows, cols);
    motet_tensor gram = motet_matrix(scratch + l.gram, MOTET_F32, side, side);
    motet_tensor square = motet_matrix(scratch + l.square, MOTET_F32, side, side);
    motet_tensor factor = motet_matrix(scratch + l.factor, dtype, side, side);
    for (int i = 0; i < steps; i++) {
        MOTET_TRY(motet_cpu_convert(copy, x));
        MOTET_TRY(matmul(gram, copy, copy, none,
                         (motet_matmul_spec){.transpose_a = tall, .transpose_b = !tall}));
        MOTET_TRY(motet_cpu_convert(factor, gram));
        MOTET_TRY(matmul(square, factor, factor, none, (motet_matmul_spec){0}));
        combine(square.data, gram.data, side * side, c, b);
        MOTET_TRY(motet_cpu_convert(factor, square));
        scale(x.data, rows * cols, a);
        MOTET_TRY(matmul(x, tall ? copy : factor, tall ? factor : copy, none,
                         (motet_matmul_spec){.accumulate = true}));
    }
    return MOTET_OK;
}

motet_status motet_cpu_muon(motet_tensor w, motet_tensor momentum, motet_tensor grad,
                            const motet_muon_params *params, void *scratch, motet_matmul_fn *matmul,
                            motet_dtype dtype) {
    MOTET_TRY(motet_muon_check(w, momentum, grad, params, scratch, matmul, dtype));
    int64_t rows = w.dims[0], cols = w.dims[1], count = rows * cols;
    if (count == 0) return MOTET_OK;
    motet_muon_layout l = motet_muon_layout_of(rows, cols);
    motet_tensor x = motet_matrix((unsigned char *)scratch + l.x, MOTET_F32, rows, cols);
    float *update = x.data, *weight = w.data, *buffer = momentum.data;
    const float *gradient = grad.data;
#pragma omp parallel for schedule(static) if (count > ROW_PARALLEL)
    for (int64_t at = 0; at < count; at += BLOCK)
        momentum_range(update + at, buffer + at, gradient + at, row_min(BLOCK, count - at),
                       params->grad_scale, params->momentum);
    double squares;
    MOTET_TRY(motet_cpu_sum_squares(&squares, x));
    float inverse = squares == 0 ? 0 : (float)(1 / sqrt(squares)); /* NaN stays NaN */
    scale(update, count, inverse);
    MOTET_TRY(orthogonalise(x, scratch, l, params->steps, matmul, dtype));
    double shape = rows > cols ? sqrt((double)rows / (double)cols) : 1;
    float decay = (float)(1 - (double)params->lr * (double)params->weight_decay);
    float size = (float)((double)params->lr * shape);
    combine(weight, update, count, decay, -size);
    return MOTET_OK;
}
