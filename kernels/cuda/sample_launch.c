#include "kernels/cuda/complaint.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ops.h"
#include "kernels/sample_check.h"

/* sample_row.cuh spells these out, too. */
_Static_assert(sizeof(motet_sample_params) == 48 && sizeof(motet_sample_result) == 12 &&
                   offsetof(motet_sample_params, guidance) == 4 &&
                   offsetof(motet_sample_params, repetition_penalty) == 8 &&
                   offsetof(motet_sample_params, top_p) == 12 &&
                   offsetof(motet_sample_params, min_p) == 16 &&
                   offsetof(motet_sample_params, top_k) == 20 &&
                   offsetof(motet_sample_params, seed) == 24 &&
                   offsetof(motet_sample_params, stream) == 32 &&
                   offsetof(motet_sample_params, counter) == 40 &&
                   offsetof(motet_sample_result, log_prob) == 4 &&
                   offsetof(motet_sample_result, legal_mass) == 8,
               "the sampler's kernels have another layout");

MOTET_CUDA_MODULE(sample);
/* By the number of symbols that a block holds in its registers; the last one holds none. */
static struct {
    int64_t symbols;
    int threads;
    motet_cuda_kernel kernel;
} sizes[] = {
    {64, 32, {&sample_module, "motet_sample_64", NULL, 0}},
    {256, 32, {&sample_module, "motet_sample_256", NULL, 0}},
    {1024, 128, {&sample_module, "motet_sample_1024", NULL, 0}},
    {4096, 512, {&sample_module, "motet_sample_4096", NULL, 0}},
    {MOTET_SAMPLE_MOST_SYMBOLS, 512, {&sample_module, "motet_sample_any", NULL, 0}},
};

motet_status motet_cuda_sample(motet_sample_result *results, motet_tensor logits,
                               motet_tensor unconditional, motet_tensor legal, motet_tensor seen,
                               const motet_sample_params *params) {
    MOTET_TRY(motet_sample_check(logits, unconditional, legal, seen, params));
    int symbols = (int)logits.dims[1], i = 0;
    while (symbols > sizes[i].symbols)
        i++;
    motet_complaint *complaints = motet_cuda_complaints();
    return motet_cuda_launch(
        &sizes[i].kernel, (motet_cuda_grid){logits.dims[0], 1, 1}, sizes[i].threads, 0,
        MOTET_CUDA_ARGS(&results, &logits.data, &unconditional.data, &legal.data, &seen.data,
                        &params, &complaints, &symbols));
}
