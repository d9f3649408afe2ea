#include "kernels/cuda/complaint.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ops.h"
#include "kernels/row.h"
#include "kernels/row_check.h"

#define THREADS 256 /* as in cross_entropy.cu */

MOTET_CUDA_MODULE(cross_entropy);
/* By the number of symbols that fit; [dtype is bf16]. */
static struct {
    int64_t symbols;
    int rows; /* of a block */
    motet_cuda_kernel kernel[2];
} sizes[] = {
    {64,
     THREADS / 32,
     {{&cross_entropy_module, "motet_cross_entropy_64_f32", NULL, 0},
      {&cross_entropy_module, "motet_cross_entropy_64_bf16", NULL, 0}}},
    {256,
     THREADS / 32,
     {{&cross_entropy_module, "motet_cross_entropy_256_f32", NULL, 0},
      {&cross_entropy_module, "motet_cross_entropy_256_bf16", NULL, 0}}},
    {2048,
     1,
     {{&cross_entropy_module, "motet_cross_entropy_2048_f32", NULL, 0},
      {&cross_entropy_module, "motet_cross_entropy_2048_bf16", NULL, 0}}},
    {INT32_MAX - 1023,
     1,
     {{&cross_entropy_module, "motet_cross_entropy_any_f32", NULL, 0},
      {&cross_entropy_module, "motet_cross_entropy_any_bf16", NULL, 0}}},
};

/* Targets are looked at by the kernel: a row whose target is wrong stays as it is, and the next
 * synchronize complains. */
motet_status motet_cuda_cross_entropy(motet_tensor loss, motet_tensor logits, motet_tensor targets,
                                      motet_tensor legal, float scale) {
    int64_t rows = logits.dims[0];
    const int64_t most = sizes[sizeof sizes / sizeof *sizes - 1].symbols;
    MOTET_TRY(motet_cross_entropy_check(loss, logits, targets, legal));
    if (logits.dims[1] > most)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED,
                          "cross_entropy of %lld symbols: on CUDA there may be %lld",
                          (long long)logits.dims[1], (long long)most);
    int symbols = (int)logits.dims[1], i = 0;
    while (symbols > sizes[i].symbols)
        i++;
    motet_complaint *complaints = motet_cuda_complaints();
    return motet_cuda_launch(&sizes[i].kernel[logits.dtype == MOTET_BF16],
                             (motet_cuda_grid){(rows + sizes[i].rows - 1) / sizes[i].rows, 1, 1},
                             THREADS, 0,
                             MOTET_CUDA_ARGS(&loss.data, &logits.data, &targets.data, &legal.data,
                                             &complaints, &rows, &symbols, &scale));
}
