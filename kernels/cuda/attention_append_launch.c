#include "kernels/attention_check.h"
#include "kernels/cuda/attention_append.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/complaint.h"
#include "kernels/cuda/ops.h"

MOTET_CUDA_MODULE(attention_append);
#define KERNEL(width, after) \
    { .module = &attention_append_module, .name = "motet_attention_append_" #width after }
#define KERNELS(after) \
    { KERNEL(16, after), KERNEL(32, after), KERNEL(64, after), KERNEL(128, after) }
/* [cache is f32, bf16, int8][rows are bf16][width] */
static motet_cuda_kernel append[3][2][4] = {{KERNELS("_f32_f32"), KERNELS("_f32_bf16")},
                                            {KERNELS("_bf16_f32"), KERNELS("_bf16_bf16")},
                                            {KERNELS("_i8_f32"), KERNELS("_i8_bf16")}};

/* Neither offsets nor lengths are read here: those of a captured launch may change before it runs.
 */
motet_status motet_cuda_attention_append(motet_tensor k_cache, motet_tensor v_cache, motet_tensor k,
                                         motet_tensor v, int64_t pitch, const int32_t *offsets,
                                         const int32_t *lengths, int heads) {
    MOTET_TRY(motet_attention_append_check(k_cache, v_cache, k, v, pitch, heads));
    if (k_cache.dims[0] == 0 || k.dims[0] == 0) return MOTET_OK;
    const int kind = k_cache.dtype == MOTET_I8 ? 2 : k_cache.dtype == MOTET_BF16;
    const int width = (int)(k_cache.dims[2] / heads);
    const int index = width == 16 ? 0 : width == 32 ? 1 : width == 64 ? 2 : 3;
    const motet_append_args args = {
        .cache = {k_cache.data, v_cache.data},
        .scale = {(float *)(uintptr_t)k_cache.scale, (float *)(uintptr_t)v_cache.scale},
        .from = {k.data, v.data},
        .offsets = offsets,
        .lengths = lengths,
        .complaints = motet_cuda_complaints(),
        .rows = k.dims[0],
        .most = k_cache.dims[1],
        .pitch = pitch,
        .batch = (int32_t)k_cache.dims[0],
        .heads = heads,
    };
    const int64_t units = 2 * k.dims[0] * heads;
    return motet_cuda_launch(
        &append[kind][k.dtype == MOTET_BF16][index],
        (motet_cuda_grid){motet_cuda_blocks(units, APPEND_THREADS / row_min(width, 32)), 1, 1},
        APPEND_THREADS, 0, MOTET_CUDA_ARGS((void *)&args));
}
