#include <math.h>

#include "kernels/optimizer_check.h"
#include "kernels/row.h"

typedef struct step {
    float scale, beta1, beta2, eps;
    float size;       /* lr / (1 - beta1^t) */
    float correction; /* 1 / sqrt(1 - beta2^t) */
    float decay;      /* 1 - lr * weight_decay */
} step;

ROW_CLONES static void adamw_range(float *restrict w, float *restrict m, float *restrict v,
                                   const float *restrict grad, int64_t n, const step *s) {
    float scale = s->scale, beta1 = s->beta1, beta2 = s->beta2, eps = s->eps;
    float size = s->size, correction = s->correction, decay = s->decay;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = grad[i] * scale;
        m[i] = beta1 * m[i] + (1.0f - beta1) * g;
        v[i] = beta2 * v[i] + (1.0f - beta2) * (g * g);
        w[i] = w[i] * decay - size * m[i] / (sqrtf(v[i]) * correction + eps);
    }
}

motet_status motet_cpu_adamw(motet_tensor w, motet_tensor m, motet_tensor v, motet_tensor grad,
                             const motet_adamw_params *params) {
    MOTET_TRY(motet_adamw_check(w, m, v, grad, params));
    double lr = params->lr, steps = (double)params->step;
    step s = {.scale = params->grad_scale,
              .beta1 = params->beta1,
              .beta2 = params->beta2,
              .eps = params->eps,
              .size = (float)(lr / (1 - pow(params->beta1, steps))),
              .correction = (float)(1 / sqrt(1 - pow(params->beta2, steps))),
              .decay = (float)(1 - lr * (double)params->weight_decay)};
    int64_t count = motet_tensor_count(w), block = 4096, blocks = (count + block - 1) / block;
#pragma omp parallel for schedule(static) if (count > ROW_PARALLEL)
    for (int64_t b = 0; b < blocks; b++) {
        int64_t at = b * block;
        adamw_range((float *)w.data + at, (float *)m.data + at, (float *)v.data + at,
                    (const float *)grad.data + at, row_min(block, count - at), &s);
    }
    return MOTET_OK;
}

#define RANGES 64 /* partial sums, whatever the number of threads is */

ROW_CLONES static double squares_range(motet_tensor grad, int64_t first, int64_t end) {
    ROW_SCRATCH(x);
    double total = 0;
    for (int64_t at = first; at < end; at += ROW_CHUNK) {
        int64_t n = row_min(ROW_CHUNK, end - at);
        row_load(x, grad, at, n);
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++)
            sum += (double)x[i] * (double)x[i];
        total += sum;
    }
    return total;
}

motet_status motet_cpu_sum_squares(double *sum, motet_tensor grad) {
    MOTET_TRY(motet_sum_squares_check(grad));
    int64_t count = motet_tensor_count(grad), chunks = (count + ROW_CHUNK - 1) / ROW_CHUNK;
    int64_t range = (chunks + RANGES - 1) / RANGES * ROW_CHUNK;
    double partial[RANGES];
#pragma omp parallel for schedule(static) if (count > ROW_PARALLEL)
    for (int64_t r = 0; r < RANGES; r++)
        partial[r] =
            squares_range(grad, row_min(count, r * range), row_min(count, (r + 1) * range));
    *sum = 0;
    for (int r = 0; r < RANGES; r++)
        *sum += partial[r];
    return MOTET_OK;
}
