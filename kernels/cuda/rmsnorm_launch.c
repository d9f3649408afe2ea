#include "kernels/cuda/check.h"
#include "kernels/cuda/ops.h"
#include "kernels/row_check.h"

MOTET_CUDA_MODULE(rmsnorm);
static motet_cuda_kernel forward_256 = {.module = &rmsnorm_module,
                                        .name = "motet_rmsnorm_forward_256"};
static motet_cuda_kernel forward_1024 = {.module = &rmsnorm_module,
                                         .name = "motet_rmsnorm_forward_1024"};
static motet_cuda_kernel forward_wide = {.module = &rmsnorm_module,
                                         .name = "motet_rmsnorm_forward_wide"};
static motet_cuda_kernel backward_256 = {.module = &rmsnorm_module,
                                         .name = "motet_rmsnorm_backward_256"};
static motet_cuda_kernel backward_1024 = {.module = &rmsnorm_module,
                                          .name = "motet_rmsnorm_backward_1024"};
static motet_cuda_kernel backward_wide = {.module = &rmsnorm_module,
                                          .name = "motet_rmsnorm_backward_wide"};
static motet_cuda_kernel fold = {.module = &rmsnorm_module, .name = "motet_rmsnorm_fold"};
static motet_cuda_kernel add_forward_256 = {.module = &rmsnorm_module,
                                            .name = "motet_rmsnorm_add_forward_256"};
static motet_cuda_kernel add_forward_1024 = {.module = &rmsnorm_module,
                                             .name = "motet_rmsnorm_add_forward_1024"};
static motet_cuda_kernel add_backward_256 = {.module = &rmsnorm_module,
                                             .name = "motet_rmsnorm_add_backward_256"};
static motet_cuda_kernel add_backward_1024 = {.module = &rmsnorm_module,
                                              .name = "motet_rmsnorm_add_backward_1024"};

/* branch and sum without data: the norm of x alone. */
static motet_status forward(motet_tensor out, motet_tensor sum, motet_tensor rstd, motet_tensor x,
                            motet_tensor branch, motet_tensor weight, float eps) {
    int64_t rows = x.dims[0], width = x.dims[1], chunk = motet_cuda_chunk(x, out);
    motet_norm_job j = {.out = motet_cuda_array(out),
                        .x = motet_cuda_array(x),
                        .residual = motet_cuda_array(branch),
                        .weight = motet_cuda_array(weight),
                        .rstd = rstd.data,
                        .sum = sum.data,
                        .rows = rows,
                        .width = width,
                        .range = 2 * ROW_WARPS,
                        .eps = eps};
    if (width == 0) return MOTET_OK;
    bool held = width <= ROW_HELD && width % chunk == 0 && motet_cuda_aligned(x, chunk) &&
                motet_cuda_aligned(out, chunk) && motet_cuda_aligned(weight, 4) &&
                motet_cuda_aligned(sum, chunk) && motet_cuda_aligned(branch, chunk);
    if (!held)
        return motet_cuda_launch(&forward_wide, (motet_cuda_grid){rows, 1, 1}, ROW_THREADS, 0,
                                 MOTET_CUDA_ARGS(&j));
    motet_cuda_kernel *kernel = sum.data       ? width <= 256 ? &add_forward_256 : &add_forward_1024
                                : width <= 256 ? &forward_256
                                               : &forward_1024;
    return motet_cuda_launch(kernel, (motet_cuda_grid){motet_cuda_blocks(rows, j.range), 1, 1},
                             ROW_THREADS, 0, MOTET_CUDA_ARGS(&j));
}

motet_status motet_cuda_rmsnorm_forward(motet_tensor out, motet_tensor rstd, motet_tensor x,
                                        motet_tensor weight, float eps) {
    const motet_tensor none = {0};
    MOTET_TRY(motet_rmsnorm_forward_check(out, rstd, x, weight));
    return forward(out, none, rstd, x, none, weight, eps);
}

motet_status motet_cuda_rmsnorm_add_forward(motet_tensor out, motet_tensor sum, motet_tensor rstd,
                                            motet_tensor x, motet_tensor branch,
                                            motet_tensor weight, float eps) {
    MOTET_TRY(motet_rmsnorm_add_forward_check(out, sum, rstd, x, branch, weight));
    return forward(out, sum, rstd, x, branch, weight, eps);
}

static motet_status backward(motet_tensor dx, motet_tensor dbranch, motet_tensor dweight,
                             motet_tensor dout, motet_tensor x, motet_tensor weight,
                             motet_tensor rstd) {
    int64_t rows = x.dims[0], width = x.dims[1];
    if (rows == 0 || width == 0) return MOTET_OK;
    int64_t ranges = motet_cuda_ranges(rows, width * (int64_t)sizeof(float));
    if (ranges == 0)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED,
                          "rmsnorm_backward: rows of %lld are too wide for the workspace",
                          (long long)width);
    motet_norm_job j = {.out = motet_cuda_array(dbranch),
                        .x = motet_cuda_array(x),
                        .weight = motet_cuda_array(weight),
                        .dout = motet_cuda_array(dout),
                        .rstd = rstd.data,
                        .dx = dx.data,
                        .partial = motet_cuda_workspace(),
                        .rows = rows,
                        .width = width,
                        .range = motet_cuda_blocks(rows, ranges),
                        .part = 1.0f / (float)width};
    ranges = motet_cuda_blocks(rows, j.range); /* none of them empty */
    bool held = width <= ROW_HELD && width % 4 == 0 && motet_cuda_aligned(x, 4) &&
                motet_cuda_aligned(dout, 4) && motet_cuda_aligned(dx, 4) &&
                motet_cuda_aligned(weight, 4) && motet_cuda_aligned(dbranch, 4);
    motet_cuda_kernel *kernel = !held ? &backward_wide
                                : dbranch.data
                                    ? width <= 256 ? &add_backward_256 : &add_backward_1024
                                : width <= 256 ? &backward_256
                                               : &backward_1024;
    MOTET_TRY(motet_cuda_launch(kernel, (motet_cuda_grid){ranges, 1, 1}, ROW_THREADS, 0,
                                MOTET_CUDA_ARGS(&j)));
    return motet_cuda_launch(&fold, (motet_cuda_grid){motet_cuda_blocks(width, 32), 1, 1},
                             ROW_THREADS, 0,
                             MOTET_CUDA_ARGS(&dweight.data, &j.partial, &ranges, &width));
}

motet_status motet_cuda_rmsnorm_backward(motet_tensor dx, motet_tensor dweight, motet_tensor dout,
                                         motet_tensor x, motet_tensor weight, motet_tensor rstd) {
    MOTET_TRY(motet_rmsnorm_backward_check(dx, dweight, dout, x, weight, rstd));
    return backward(dx, (motet_tensor){0}, dweight, dout, x, weight, rstd);
}

motet_status motet_cuda_rmsnorm_add_backward(motet_tensor dx, motet_tensor dbranch,
                                             motet_tensor dweight, motet_tensor dout,
                                             motet_tensor sum, motet_tensor weight,
                                             motet_tensor rstd) {
    MOTET_TRY(motet_rmsnorm_add_backward_check(dx, dbranch, dweight, dout, sum, weight, rstd));
    return backward(dx, dbranch, dweight, dout, sum, weight, rstd);
}
