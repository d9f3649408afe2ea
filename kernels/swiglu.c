#include "kernels/swiglu.h"

#include "kernels/row.h"
#include "kernels/row_check.h"

ROW_CLONES static void forward_rows(motet_tensor out, motet_tensor gu, int64_t first, int64_t end) {
    ROW_SCRATCH(g_scratch);
    ROW_SCRATCH(u_scratch);
    ROW_SCRATCH(y_scratch);
    int64_t width = out.dims[1];
    for (int64_t row = first; row < end; row++)
        for (int64_t f = 0; f < width; f += ROW_CHUNK) {
            int64_t n = row_min(ROW_CHUNK, width - f), at = row * 2 * width + f;
            const float *g = row_read(gu, at, n, g_scratch);
            const float *u = row_read(gu, at + width, n, u_scratch);
            float *y = row_write(out, row * width + f, y_scratch);
#pragma omp simd
            for (int64_t i = 0; i < n; i++)
                y[i] = g[i] / (1.0f + row_exp(-g[i])) * u[i];
            row_store(out, row * width + f, n, y);
        }
}

ROW_CLONES static void backward_rows(motet_tensor dgu, motet_tensor dout, motet_tensor gu,
                                     int64_t first, int64_t end) {
    ROW_SCRATCH(g_scratch);
    ROW_SCRATCH(u_scratch);
    ROW_SCRATCH(dy_scratch);
    ROW_SCRATCH(dg_scratch);
    ROW_SCRATCH(du_scratch);
    int64_t width = dout.dims[1];
    for (int64_t row = first; row < end; row++)
        for (int64_t f = 0; f < width; f += ROW_CHUNK) {
            int64_t n = row_min(ROW_CHUNK, width - f), at = row * 2 * width + f;
            const float *g = row_read(gu, at, n, g_scratch);
            const float *u = row_read(gu, at + width, n, u_scratch);
            const float *dy = row_read(dout, row * width + f, n, dy_scratch);
            float *dg = row_write(dgu, at, dg_scratch);
            float *du = row_write(dgu, at + width, du_scratch);
#pragma omp simd
            for (int64_t i = 0; i < n; i++) {
                float z = g[i], gate = row_sigmoid(z), up = u[i], d = dy[i];
                du[i] = d * (z * gate);
                dg[i] = d * up * (gate * (1.0f + z * (1.0f - gate)));
            }
            row_store(dgu, at, n, dg);
            row_store(dgu, at + width, n, du);
        }
}

motet_status motet_cpu_swiglu_forward(motet_tensor out, motet_tensor gu) {
    MOTET_TRY(motet_swiglu_forward_check(out, gu));
    int64_t rows = out.dims[0], block = 8, blocks = (rows + block - 1) / block;
#pragma omp parallel for schedule(static) if (rows * out.dims[1] > ROW_PARALLEL / 4)
    for (int64_t b = 0; b < blocks; b++)
        forward_rows(out, gu, b * block, row_min(rows, (b + 1) * block));
    return MOTET_OK;
}

motet_status motet_cpu_swiglu_backward(motet_tensor dgu, motet_tensor dout, motet_tensor gu) {
    MOTET_TRY(motet_swiglu_backward_check(dgu, dout, gu));
    int64_t rows = dout.dims[0], block = 8, blocks = (rows + block - 1) / block;
#pragma omp parallel for schedule(static) if (rows * dout.dims[1] > ROW_PARALLEL / 4)
    for (int64_t b = 0; b < blocks; b++)
        backward_rows(dgu, dout, gu, b * block, row_min(rows, (b + 1) * block));
    return MOTET_OK;
}
