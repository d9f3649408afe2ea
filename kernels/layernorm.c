#include "kernels/layernorm.h"

#include <math.h>

#include "kernels/row.h"
#include "kernels/row_check.h"

typedef struct job {
    motet_tensor out, mean, rstd, x, residual, weight, bias; /* forward; x is s in backward */
    motet_tensor ds, dout;                                   /* backward */
    float eps;
    int64_t width;
} job;

/* Rows are split into this many ranges whatever the number of threads is; each range has its own
 * partial sums of dweight and dbias, and these are added in order. */
#define RANGES 32

/* s <- x + residual, n elements at `at`. */
ROW_INLINE void load_sum(float *s, float *scratch, const job *j, int64_t at, int64_t n) {
    row_load(s, j->x, at, n);
    if (!j->residual.data) return;
    const float *r = row_read(j->residual, at, n, scratch);
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        s[i] += r[i];
}

ROW_CLONES static void forward_rows(const job *j, int64_t first, int64_t end) {
    ROW_SCRATCH(s);
    ROW_SCRATCH(scratch); /* of the residual, then of the output */
    ROW_SCRATCH(w_scratch);
    ROW_SCRATCH(b_scratch);
    int64_t width = j->width;
    bool whole = width <= ROW_CHUNK; /* s, w and b are loaded once */
    const float *w = whole ? row_read(j->weight, 0, width, w_scratch) : NULL;
    const float *b = whole ? row_read(j->bias, 0, width, b_scratch) : NULL;
    for (int64_t row = first; row < end; row++) {
        float sum = 0, squares = 0;
        for (int64_t d = 0; d < width; d += ROW_CHUNK) {
            int64_t n = row_min(ROW_CHUNK, width - d);
            load_sum(s, scratch, j, row * width + d, n);
#pragma omp simd reduction(+ : sum)
            for (int64_t i = 0; i < n; i++)
                sum += s[i];
        }
        float mean = sum / (float)width;
        for (int64_t d = 0; d < width; d += ROW_CHUNK) {
            int64_t n = row_min(ROW_CHUNK, width - d);
            if (!whole) load_sum(s, scratch, j, row * width + d, n);
#pragma omp simd reduction(+ : squares)
            for (int64_t i = 0; i < n; i++)
                squares += (s[i] - mean) * (s[i] - mean);
        }
        float rstd = 1.0f / sqrtf(squares / (float)width + j->eps);
        for (int64_t d = 0; d < width; d += ROW_CHUNK) {
            int64_t n = row_min(ROW_CHUNK, width - d);
            if (!whole) {
                load_sum(s, scratch, j, row * width + d, n);
                w = row_read(j->weight, d, n, w_scratch);
                b = row_read(j->bias, d, n, b_scratch);
            }
            float *y = row_write(j->out, row * width + d, scratch);
#pragma omp simd
            for (int64_t i = 0; i < n; i++)
                y[i] = (s[i] - mean) * rstd * w[i] + b[i];
            row_store(j->out, row * width + d, n, y);
        }
        if (j->mean.data) ((float *)j->mean.data)[row] = mean;
        if (j->rstd.data) ((float *)j->rstd.data)[row] = rstd;
    }
}

motet_status motet_cpu_layernorm_forward(motet_tensor out, motet_tensor mean, motet_tensor rstd,
                                         motet_tensor x, motet_tensor residual, motet_tensor weight,
                                         motet_tensor bias, float eps) {
    int64_t rows = x.dims[0], width = x.dims[1];
    MOTET_TRY(motet_layernorm_forward_check(out, mean, rstd, x, residual, weight, bias));
    job j = {.out = out,
             .mean = mean,
             .rstd = rstd,
             .x = x,
             .residual = residual,
             .weight = weight,
             .bias = bias,
             .eps = eps,
             .width = width};
    int64_t block = 32, blocks = (rows + block - 1) / block;
#pragma omp parallel for schedule(static) if (rows * width > ROW_PARALLEL)
    for (int64_t b = 0; b < blocks; b++)
        forward_rows(&j, b * block, row_min(rows, (b + 1) * block));
    return MOTET_OK;
}

/* ds of rows first..end-1; with dw, db [width] also their share of dweight, dbias. */
ROW_CLONES static void backward_rows(const job *j, float *dw, float *db, int64_t first,
                                     int64_t end) {
    ROW_SCRATCH(xhat);
    ROW_SCRATCH(dy);
    ROW_SCRATCH(w_scratch);
    int64_t width = j->width;
    bool whole = width <= ROW_CHUNK;
    const float *w = whole ? row_read(j->weight, 0, width, w_scratch) : NULL;
    for (int64_t row = first; row < end; row++) {
        float mean = ((const float *)j->mean.data)[row];
        float rstd = ((const float *)j->rstd.data)[row];
        float sum = 0, dot = 0;
        for (int64_t d = 0; d < width; d += ROW_CHUNK) {
            int64_t n = row_min(ROW_CHUNK, width - d);
            row_load(xhat, j->x, row * width + d, n);
            row_load(dy, j->dout, row * width + d, n);
            if (!whole) w = row_read(j->weight, d, n, w_scratch);
#pragma omp simd reduction(+ : sum, dot)
            for (int64_t i = 0; i < n; i++) {
                xhat[i] = (xhat[i] - mean) * rstd;
                sum += dy[i] * w[i];
                dot += dy[i] * w[i] * xhat[i];
            }
        }
        sum /= (float)width;
        dot /= (float)width;
        for (int64_t d = 0; d < width; d += ROW_CHUNK) {
            int64_t n = row_min(ROW_CHUNK, width - d);
            if (!whole) {
                row_load(xhat, j->x, row * width + d, n);
                row_load(dy, j->dout, row * width + d, n);
                w = row_read(j->weight, d, n, w_scratch);
#pragma omp simd
                for (int64_t i = 0; i < n; i++)
                    xhat[i] = (xhat[i] - mean) * rstd;
            }
            float *ds = (float *)j->ds.data + row * width + d;
#pragma omp simd
            for (int64_t i = 0; i < n; i++)
                ds[i] = rstd * (dy[i] * w[i] - sum - xhat[i] * dot);
            if (!dw) continue;
#pragma omp simd
            for (int64_t i = 0; i < n; i++) {
                dw[i] += dy[i] * xhat[i];
                db[i] += dy[i];
            }
        }
    }
}

/* dweight, dbias of columns d..d+n-1, rows in order: for rows too wide for partial sums on the
 * stack. */
ROW_CLONES static void backward_columns(const job *j, float *dw, float *db, int64_t d, int64_t n) {
    ROW_SCRATCH(s_scratch);
    ROW_SCRATCH(dy_scratch);
    for (int64_t row = 0; row < j->x.dims[0]; row++) {
        float mean = ((const float *)j->mean.data)[row];
        float rstd = ((const float *)j->rstd.data)[row];
        const float *s = row_read(j->x, row * j->width + d, n, s_scratch);
        const float *dy = row_read(j->dout, row * j->width + d, n, dy_scratch);
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            dw[d + i] += dy[i] * ((s[i] - mean) * rstd);
            db[d + i] += dy[i];
        }
    }
}

motet_status motet_cpu_layernorm_backward(motet_tensor ds, motet_tensor dweight, motet_tensor dbias,
                                          motet_tensor dout, motet_tensor s, motet_tensor weight,
                                          motet_tensor mean, motet_tensor rstd) {
    int64_t rows = s.dims[0], width = s.dims[1];
    MOTET_TRY(motet_layernorm_backward_check(ds, dweight, dbias, dout, s, weight, mean, rstd));
    job j = {.ds = ds,
             .dout = dout,
             .x = s,
             .weight = weight,
             .mean = mean,
             .rstd = rstd,
             .width = width};
    int64_t range = (rows + RANGES - 1) / RANGES;
    bool many = rows * width > ROW_PARALLEL, fused = width <= ROW_CHUNK;
    alignas(64) float partial[RANGES][2][ROW_CHUNK];
#pragma omp parallel for schedule(static) if (many)
    for (int64_t r = 0; r < RANGES; r++) {
        if (fused) {
            memset(partial[r][0], 0, (size_t)width * sizeof(float));
            memset(partial[r][1], 0, (size_t)width * sizeof(float));
        }
        backward_rows(&j, fused ? partial[r][0] : NULL, partial[r][1], row_min(rows, r * range),
                      row_min(rows, (r + 1) * range));
    }
    float *dw = dweight.data, *db = dbias.data;
    if (fused) {
        for (int r = 0; r < RANGES; r++)
            for (int64_t d = 0; d < width; d++) {
                dw[d] += partial[r][0][d];
                db[d] += partial[r][1][d];
            }
        return MOTET_OK;
    }
    int64_t slices = (width + 63) / 64;
#pragma omp parallel for schedule(static) if (many)
    for (int64_t c = 0; c < slices; c++)
        backward_columns(&j, dw, db, c * 64, row_min(64, width - c * 64));
    return MOTET_OK;
}
