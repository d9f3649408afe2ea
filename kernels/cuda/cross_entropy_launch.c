#include "kernels/cuda/complaint.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ops.h"
#include "kernels/row.h"

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
    int64_t rows = logits.dims[0], words = (logits.dims[1] + 31) / 32;
    const int64_t most = sizes[sizeof sizes / sizeof *sizes - 1].symbols;
    if (logits.rank != 2 || !row_is(loss, MOTET_F32, 1) || loss.dims[0] != rows ||
        !row_is(targets, MOTET_I32, 1) || targets.dims[0] != rows || !row_is_float(logits) ||
        (legal.data &&
         (!row_is(legal, MOTET_I32, 2) || legal.dims[0] != rows || legal.dims[1] != words)) ||
        !row_has_data(loss) || !row_has_data(logits) || !row_has_data(targets) ||
        logits.dims[1] > most)
        return motet_row_fail(
            "cross_entropy",
            "loss [N] f32, logits [N,V], targets [N] i32, legal [N,ceil(V/32)] i32 or none",
            "loss logits targets legal", 4, (motet_tensor[]){loss, logits, targets, legal});
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
