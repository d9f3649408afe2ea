#include <math.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/ops.h"
#include "kernels/optimizer_check.h"

MOTET_CUDA_MODULE(adamw);
static motet_cuda_kernel step = {.module = &adamw_module, .name = "motet_adamw_step"};

motet_status motet_cuda_adamw(motet_tensor w, motet_tensor m, motet_tensor v, motet_tensor grad,
                              const motet_adamw_params *params) {
    MOTET_TRY(motet_adamw_check(w, m, v, grad, params));
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
