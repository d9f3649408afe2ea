#include "kernels/rmsnorm.h"

#include <math.h>

#include "kernels/row.h"
#include "kernels/row_check.h"

typedef struct job {
    motet_tensor out, rstd, x, weight; /* forward */
    motet_tensor branch, sum;          /* of add_forward, which makes x of them */
    motet_tensor dx, dout;             /* backward */
    motet_tensor dbranch;              /* of add_backward */
    float eps;
    int64_t width;
} job;

/* Rows are split into this many ranges whatever the number of threads is; each range has its own
 * partial sum of dweight, and these are added in order. */
#define RANGES 32

/* sum = x + branch; x in scratch becomes the sum. */
ROW_INLINE void add_branch(const job *j, float *restrict x, int64_t at, int64_t n,
                           float *restrict scratch) {
    row_load(scratch, j->branch, at, n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        x[i] += scratch[i];
    row_store(j->sum, at, n, x);
}

ROW_CLONES static void forward_rows(const job *j, int64_t first, int64_t end) {
    ROW_SCRATCH(x);
    ROW_SCRATCH(w_scratch);
    ROW_SCRATCH(y_scratch);
    int64_t width = j->width;
    const float *w = width <= ROW_CHUNK ? row_read(j->weight, 0, width, w_scratch) : NULL;
    for (int64_t row = first; row < end; row++) {
        float sum = 0;
        for (int64_t d = 0; d < width; d += ROW_CHUNK) {
            int64_t n = row_min(ROW_CHUNK, width - d);
            row_load(x, j->x, row * width + d, n);
            if (j->branch.data) add_branch(j, x, row * width + d, n, y_scratch);
#pragma omp simd reduction(+ : sum)
            for (int64_t i = 0; i < n; i++)
                sum += x[i] * x[i];
        }
        float rstd = 1.0f / sqrtf(sum / (float)width + j->eps);
        for (int64_t d = 0; d < width; d += ROW_CHUNK) {
            int64_t n = row_min(ROW_CHUNK, width - d);
            if (width > ROW_CHUNK) {
                row_load(x, j->branch.data ? j->sum : j->x, row * width + d, n);
                w = row_read(j->weight, d, n, w_scratch);
            }
            float *y = row_write(j->out, row * width + d, y_scratch);
#pragma omp simd
            for (int64_t i = 0; i < n; i++)
                y[i] = x[i] * rstd * w[i];
            row_store(j->out, row * width + d, n, y);
        }
        if (j->rstd.data) ((float *)j->rstd.data)[row] = rstd;
    }
}

static motet_status forward(const job *j) {
    int64_t rows = j->x.dims[0], block = 32, blocks = (rows + block - 1) / block;
#pragma omp parallel for schedule(static) if (rows * j->width > ROW_PARALLEL)
    for (int64_t b = 0; b < blocks; b++)
        forward_rows(j, b * block, row_min(rows, (b + 1) * block));
    return MOTET_OK;
}

motet_status motet_cpu_rmsnorm_forward(motet_tensor out, motet_tensor rstd, motet_tensor x,
                                       motet_tensor weight, float eps) {
    MOTET_TRY(motet_rmsnorm_forward_check(out, rstd, x, weight));
    return forward(
        &(job){.out = out, .rstd = rstd, .x = x, .weight = weight, .eps = eps, .width = x.dims[1]});
}

motet_status motet_cpu_rmsnorm_add_forward(motet_tensor out, motet_tensor sum, motet_tensor rstd,
                                           motet_tensor x, motet_tensor branch, motet_tensor weight,
                                           float eps) {
    MOTET_TRY(motet_rmsnorm_add_forward_check(out, sum, rstd, x, branch, weight));
    return forward(&(job){.out = out,
                          .rstd = rstd,
                          .x = x,
                          .branch = branch,
                          .sum = sum,
                          .weight = weight,
                          .eps = eps,
                          .width = x.dims[1]});
}

/* dx of rows first..end-1; with `partial` [width], also their share of dweight. */
ROW_CLONES static void backward_rows(const job *j, float *partial, int64_t first, int64_t end) {
    ROW_SCRATCH(x);
    ROW_SCRATCH(dy);
    ROW_SCRATCH(w_scratch);
    int64_t width = j->width;
    const float *w = width <= ROW_CHUNK ? row_read(j->weight, 0, width, w_scratch) : NULL;
    for (int64_t row = first; row < end; row++) {
        float rstd = ((const float *)j->rstd.data)[row], dot = 0;
        for (int64_t d = 0; d < width; d += ROW_CHUNK) {
            int64_t n = row_min(ROW_CHUNK, width - d);
            row_load(x, j->x, row * width + d, n);
            row_load(dy, j->dout, row * width + d, n);
            if (width > ROW_CHUNK) w = row_read(j->weight, d, n, w_scratch);
#pragma omp simd reduction(+ : dot)
            for (int64_t i = 0; i < n; i++)
                dot += dy[i] * w[i] * x[i];
        }
        float pull = dot * rstd * rstd / (float)width;
        for (int64_t d = 0; d < width; d += ROW_CHUNK) {
            int64_t n = row_min(ROW_CHUNK, width - d);
            if (width > ROW_CHUNK) {
                row_load(x, j->x, row * width + d, n);
                row_load(dy, j->dout, row * width + d, n);
                w = row_read(j->weight, d, n, w_scratch);
            }
            float *dx = (float *)j->dx.data + row * width + d;
#pragma omp simd
            for (int64_t i = 0; i < n; i++)
                dx[i] += rstd * (dy[i] * w[i] - x[i] * pull);
            if (j->dbranch.data) row_store(j->dbranch, row * width + d, n, dx);
            if (!partial) continue;
#pragma omp simd
            for (int64_t i = 0; i < n; i++)
                partial[i] += dy[i] * (x[i] * rstd);
        }
    }
}

/* dweight of columns d..d+n-1, rows in order: for rows too wide for partial sums on the stack. */
ROW_CLONES static void backward_columns(const job *j, float *dweight, int64_t d, int64_t n) {
    ROW_SCRATCH(x_scratch);
    ROW_SCRATCH(dy_scratch);
    for (int64_t row = 0; row < j->x.dims[0]; row++) {
        float rstd = ((const float *)j->rstd.data)[row];
        const float *x = row_read(j->x, row * j->width + d, n, x_scratch);
        const float *dy = row_read(j->dout, row * j->width + d, n, dy_scratch);
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dweight[d + i] += dy[i] * (x[i] * rstd);
    }
}

static motet_status backward(const job *j, motet_tensor dweight) {
    int64_t rows = j->x.dims[0], width = j->width;
    int64_t range = (rows + RANGES - 1) / RANGES;
    bool many = rows * width > ROW_PARALLEL, fused = width <= ROW_CHUNK;
    alignas(64) float partial[RANGES][ROW_CHUNK];
#pragma omp parallel for schedule(static) if (many)
    for (int64_t r = 0; r < RANGES; r++) {
        if (fused) memset(partial[r], 0, (size_t)width * sizeof(float));
        backward_rows(j, fused ? partial[r] : NULL, row_min(rows, r * range),
                      row_min(rows, (r + 1) * range));
    }
    float *sums = dweight.data;
    if (fused) {
        for (int r = 0; r < RANGES; r++)
            for (int64_t d = 0; d < width; d++)
                sums[d] += partial[r][d];
        return MOTET_OK;
    }
    int64_t slices = (width + 63) / 64;
#pragma omp parallel for schedule(static) if (many)
    for (int64_t s = 0; s < slices; s++)
        backward_columns(j, sums, s * 64, row_min(64, width - s * 64));
    return MOTET_OK;
}

motet_status motet_cpu_rmsnorm_backward(motet_tensor dx, motet_tensor dweight, motet_tensor dout,
                                        motet_tensor x, motet_tensor weight, motet_tensor rstd) {
    MOTET_TRY(motet_rmsnorm_backward_check(dx, dweight, dout, x, weight, rstd));
    const job j = {
        .dx = dx, .dout = dout, .x = x, .weight = weight, .rstd = rstd, .width = x.dims[1]};
    return backward(&j, dweight);
}

motet_status motet_cpu_rmsnorm_add_backward(motet_tensor dx, motet_tensor dbranch,
                                            motet_tensor dweight, motet_tensor dout,
                                            motet_tensor sum, motet_tensor weight,
                                            motet_tensor rstd) {
    MOTET_TRY(motet_rmsnorm_add_backward_check(dx, dbranch, dweight, dout, sum, weight, rstd));
    const job j = {.dx = dx,
                   .dbranch = dbranch,
                   .dout = dout,
                   .x = sum,
                   .weight = weight,
                   .rstd = rstd,
                   .width = sum.dims[1]};
    return backward(&j, dweight);
}
