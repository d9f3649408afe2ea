#include <math.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/ops.h"

MOTET_CUDA_MODULE(adamw);
static motet_cuda_kernel step = {.module = &adamw_module, .name = "motet_adamw_step"};

motet_status motet_cuda_adamw(motet_tensor w, motet_tensor m, motet_tensor v, motet_tensor grad,
                              const motet_adamw_params *params) {
    if (!row_same_shape(m, w) || !row_same_shape(v, w) || !row_same_shape(grad, w) ||
        w.dtype != MOTET_F32 || m.dtype != MOTET_F32 || v.dtype != MOTET_F32 ||
        grad.dtype != MOTET_F32 || !row_has_data(w) || !row_has_data(m) || !row_has_data(v) ||
        !row_has_data(grad))
        return motet_row_fail("adamw", "w, m, v, grad are f32 of one shape", "w m v grad", 4,
                              (motet_tensor[]){w, m, v, grad});
    if (params->step < 1 || !(params->beta1 >= 0 && params->beta1 < 1) ||
        !(params->beta2 >= 0 && params->beta2 < 1))
        return MOTET_FAIL(MOTET_E_USAGE,
                          "adamw: step %lld, beta1 %g, beta2 %g; step counts from 1, betas are in "
                          "0..1",
                          (long long)params->step, (double)params->beta1, (double)params->beta2);
    double lr = params->lr, steps = (double)params->step;
    motet_adamw_job j = {.w = w.data,
                         .m = m.data,
                         .v = v.data,
                         .grad = grad.data,
                         .count = motet_tensor_count(w),
                         .vector = motet_cuda_aligned(w, 4) && motet_cuda_aligned(m, 4) &&
                                   motet_cuda_aligned(v, 4) && motet_cuda_aligned(grad, 4),
                         .scale = params->grad_scale,
                         .beta1 = params->beta1,
                         .beta2 = params->beta2,
                         .eps = params->eps,
                         .size = (float)(lr / (1 - pow(params->beta1, steps))),
                         .correction = (float)(1 / sqrt(1 - pow(params->beta2, steps))),
                         .decay = (float)(1 - lr * (double)params->weight_decay)};
    return motet_cuda_launch(&step,
                             (motet_cuda_grid){motet_cuda_blocks(j.count, ROW_THREADS * 4), 1, 1},
                             ROW_THREADS, 0, MOTET_CUDA_ARGS(&j));
}
