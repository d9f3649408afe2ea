#include <math.h>

#include "kernels/attention_check.h"
#include "kernels/cuda/complaint.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ops.h"

#define THREADS 256 /* as in attention_decode.cu */
#define LOG2_E 1.44269504088896341f

MOTET_CUDA_MODULE(attention_decode);
static motet_cuda_kernel decode[2][4] = {
    {{&attention_decode_module, "motet_attention_decode_16_f32", NULL, 0},
     {&attention_decode_module, "motet_attention_decode_32_f32", NULL, 0},
     {&attention_decode_module, "motet_attention_decode_64_f32", NULL, 0},
     {&attention_decode_module, "motet_attention_decode_128_f32", NULL, 0}},
    {{&attention_decode_module, "motet_attention_decode_16_bf16", NULL, 0},
     {&attention_decode_module, "motet_attention_decode_32_bf16", NULL, 0},
     {&attention_decode_module, "motet_attention_decode_64_bf16", NULL, 0},
     {&attention_decode_module, "motet_attention_decode_128_bf16", NULL, 0}},
};

/* Lengths are not read here: those of a captured launch may change before it runs. */
motet_status motet_cuda_attention_decode(motet_tensor out, motet_tensor q, motet_tensor k_cache,
                                         motet_tensor v_cache, const int32_t *lengths, int heads) {
    MOTET_TRY(motet_attention_decode_check(out, q, k_cache, v_cache, heads));
    /* Rows are multiples of 32 bytes, so this holds for every row if it holds for the first. */
    if (((uintptr_t)q.data | (uintptr_t)k_cache.data | (uintptr_t)v_cache.data) % 16 != 0)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "decode attention on CUDA wants q and caches aligned to 16 bytes");
    const int width = (int)(q.dims[1] / heads);
    const int index = width == 16 ? 0 : width == 32 ? 1 : width == 64 ? 2 : 3;
    int64_t most = k_cache.dims[1];
    float scale = LOG2_E / sqrtf((float)width);
    motet_complaint *complaints = motet_cuda_complaints();
    return motet_cuda_launch(&decode[q.dtype == MOTET_BF16][index],
                             (motet_cuda_grid){q.dims[0] * heads, 1, 1}, THREADS, 0,
                             MOTET_CUDA_ARGS(&out.data, &q.data, &k_cache.data, &v_cache.data,
                                             &lengths, &complaints, &most, &heads, &scale));
}
