#include <math.h>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/ops.h"
#include "kernels/optimizer_check.h"
#include "kernels/row.h"

MOTET_CUDA_MODULE(muon);
#define KERNEL(verb) \
    static motet_cuda_kernel kernel_##verb = {.module = &muon_module, .name = "motet_muon_" #verb}
KERNEL(momentum);
KERNEL(normalise);
KERNEL(copy);
KERNEL(factor);
KERNEL(update);

enum { THREADS = 256, MOST_RANGES = THREADS };

static motet_cuda_grid grid_of(int64_t count) {
    return (motet_cuda_grid){(count + 4 * THREADS - 1) / (4 * THREADS), 1, 1};
}

static bool is_vector(const void *data, int64_t count) {
    return count % 4 == 0 && (uintptr_t)data % 16 == 0;
}

/* X: normalised and copied already for the first step, and multiplied by a. */
static motet_status orthogonalise(unsigned char *scratch, motet_muon_layout l, int64_t rows,
                                  int64_t cols, int steps, float a, motet_matmul_fn *matmul,
                                  motet_dtype dtype) {
    float b = -4.7750f, c = 2.0315f;
    int64_t side = row_min(rows, cols), count = rows * cols, square_count = side * side;
    const bool tall = rows > cols;
    int bf16 = dtype == MOTET_BF16;
    int vector = count % 4 == 0, square_vector = square_count % 4 == 0;
    const motet_tensor none = {0};
    motet_tensor x = motet_matrix(scratch + l.x, MOTET_F32, rows, cols);
    motet_tensor copy = motet_matrix(scratch + l.copy, dtype, rows, cols);
    motet_tensor gram = motet_matrix(scratch + l.gram, MOTET_F32, side, side);
    motet_tensor square = motet_matrix(scratch + l.square, MOTET_F32, side, side);
    motet_tensor factor = motet_matrix(scratch + l.factor, dtype, side, side);
    for (int i = 0; i < steps; i++) {
        if (i > 0)
            MOTET_TRY(motet_cuda_launch(
                &kernel_copy, grid_of(count), THREADS, 0,
                MOTET_CUDA_ARGS(&x.data, &copy.data, &count, &a, &bf16, &vector)));
        MOTET_TRY(matmul(gram, copy, copy, none,
                         (motet_matmul_spec){.transpose_a = tall, .transpose_b = !tall}));
        motet_tensor rounded = gram;
        if (bf16) {
            MOTET_TRY(motet_cuda_convert(factor, gram));
            rounded = factor;
        }
        MOTET_TRY(matmul(square, rounded, rounded, none, (motet_matmul_spec){0}));
        MOTET_TRY(motet_cuda_launch(&kernel_factor, grid_of(square_count), THREADS, 0,
                                    MOTET_CUDA_ARGS(&factor.data, &square.data, &gram.data,
                                                    &square_count, &c, &b, &bf16, &square_vector)));
        MOTET_TRY(matmul(x, tall ? copy : factor, tall ? factor : copy, none,
                         (motet_matmul_spec){.accumulate = true}));
    }
    return MOTET_OK;
}

motet_status motet_cuda_muon(motet_tensor w, motet_tensor momentum, motet_tensor grad,
                             const motet_muon_params *params, void *scratch,
                             motet_matmul_fn *matmul, motet_dtype dtype) {
    MOTET_TRY(motet_muon_check(w, momentum, grad, params, scratch, matmul, dtype));
    int64_t rows = w.dims[0], cols = w.dims[1], count = rows * cols;
    if (count == 0) return MOTET_OK;
    const motet_muon_layout l = motet_muon_layout_of(rows, cols);
    void *x = (unsigned char *)scratch + l.x, *copy = (unsigned char *)scratch + l.copy;
    float a = 3.4445f, grad_scale = params->grad_scale, beta = params->momentum;
    int bf16 = dtype == MOTET_BF16;
    int vector =
        is_vector(w.data, count) && is_vector(momentum.data, count) && is_vector(grad.data, count);
    int x_vector = count % 4 == 0;
    /* The squares stay in the workspace until normalise, before the first product wants it. */
    double *squares = motet_cuda_workspace();
    int64_t range = (count + MOST_RANGES - 1) / MOST_RANGES;
    range = (range + 4 * THREADS - 1) / (4 * THREADS) * (4 * THREADS);
    int blocks = (int)((count + range - 1) / range);
    MOTET_TRY(motet_cuda_launch(&kernel_momentum, (motet_cuda_grid){blocks, 1, 1}, THREADS, 0,
                                MOTET_CUDA_ARGS(&x, &momentum.data, &grad.data, &squares, &count,
                                                &range, &grad_scale, &beta, &vector)));
    MOTET_TRY(motet_cuda_launch(
        &kernel_normalise, grid_of(count), THREADS, 0,
        MOTET_CUDA_ARGS(&x, &copy, &squares, &blocks, &count, &a, &bf16, &x_vector)));
    MOTET_TRY(orthogonalise(scratch, l, rows, cols, params->steps, a, matmul, dtype));
    double shape = rows > cols ? sqrt((double)rows / (double)cols) : 1;
    float decay = (float)(1 - (double)params->lr * (double)params->weight_decay);
    float size = (float)((double)params->lr * shape);
    return motet_cuda_launch(&kernel_update, grid_of(count), THREADS, 0,
                             MOTET_CUDA_ARGS(&w.data, &x, &count, &decay, &size, &vector));
}
