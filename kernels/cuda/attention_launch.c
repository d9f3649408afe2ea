/* attention, forward and backward, on the device: checks as the CPU twin's, then one launch, or
 * two. Offsets are in shared memory: read here for the grid, and again by the kernels.
 *
 * One query a sequence goes to decode attention's kernels. bf16 of W >= 32 in rows at multiples of
 * 16 bytes goes to tensor cores (attention_short where all see at most 256 keys, flash_hopper on
 * compute capability 9.0, flash on others), all else to the plain kernels. */
#include <math.h>

#include "kernels/attention_check.h"
#include "kernels/cuda/attention_short_launch.h"
#include "kernels/cuda/attention_single.h"
#include "kernels/cuda/attention_spec.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/flash.h"
#include "kernels/cuda/flash_hopper_launch.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ops.h"

#define ROWS 32 /* as in attention_tile.cuh */
#define THREADS 128
#define PAD 4
#define LOG2_E 1.44269504088896341f

MOTET_CUDA_MODULE(attention);
MOTET_CUDA_MODULE(attention_backward);
MOTET_CUDA_MODULE(flash);
MOTET_CUDA_MODULE(flash_backward);

/* [dtype is bf16][width]: 16, 32, 64, 128 */
#define KERNELS(module, name)                                                         \
    {                                                                                 \
        {{&module, name "_16_f32", NULL, 0},                                          \
         {&module, name "_32_f32", NULL, 0},                                          \
         {&module, name "_64_f32", NULL, 0},                                          \
         {&module, name "_128_f32", NULL, 0}},                                        \
        {                                                                             \
            {&module, name "_16_bf16", NULL, 0}, {&module, name "_32_bf16", NULL, 0}, \
                {&module, name "_64_bf16", NULL, 0}, {                                \
                &module, name "_128_bf16", NULL, 0                                    \
            }                                                                         \
        }                                                                             \
    }
static motet_cuda_kernel forward[2][4] = KERNELS(attention_module, "motet_attention_forward");
static motet_cuda_kernel backward_queries[2][4] =
    KERNELS(attention_backward_module, "motet_attention_backward_queries");
static motet_cuda_kernel backward_keys[2][4] =
    KERNELS(attention_backward_module, "motet_attention_backward_keys");

/* [width]: 32, 64, 128 */
#define FLASH_KERNELS(module, before, after)                                              \
    {                                                                                     \
        {&module, before "_32" after, NULL, 0}, {&module, before "_64" after, NULL, 0}, { \
            &module, before "_128" after, NULL, 0                                         \
        }                                                                                 \
    }
static motet_cuda_kernel flash_few[3] = FLASH_KERNELS(flash_module, "motet_flash_forward", "_64");
static motet_cuda_kernel flash_many[3] = FLASH_KERNELS(flash_module, "motet_flash_forward", "_128");
static motet_cuda_kernel flash_queries[3] =
    FLASH_KERNELS(flash_backward_module, "motet_flash_queries", "");
static motet_cuda_kernel flash_keys[3] =
    FLASH_KERNELS(flash_backward_module, "motet_flash_keys", "");

static attention_spec spec_for_device(const motet_attention_spec *spec) {
    return (attention_spec){.q_offsets = spec->q_offsets,
                            .k_offsets = spec->k_offsets,
                            .q_pitch = spec->q_pitch,
                            .k_pitch = spec->k_pitch,
                            .v_pitch = spec->v_pitch,
                            .out_pitch = spec->out_pitch,
                            .heads = spec->heads,
                            .causal = spec->causal};
}

static int width_index(int width) {
    return width == 16 ? 0 : width == 32 ? 1 : width == 64 ? 2 : 3;
}

/* Tiles of rows, and 8 rows of weights for each of 4 warps. */
static size_t shared_bytes(int tiles, int weights, int width) {
    return (size_t)(tiles * ROWS * (width + PAD) + weights * ROWS * (ROWS + 4)) * sizeof(float);
}

static motet_cuda_grid grid_over(int64_t longest, int rows, const motet_attention_spec *spec) {
    return (motet_cuda_grid){(int64_t)spec->sequences * spec->heads, (longest + rows - 1) / rows,
                             1};
}

/* Rows of tensors that cp.async can take, 16 bytes at a time. */
static bool is_aligned(int64_t pitch, motet_tensor a, motet_tensor b) {
    return pitch % 8 == 0 && pitch <= INT32_MAX && (uintptr_t)a.data % 16 == 0 &&
           (uintptr_t)b.data % 16 == 0;
}

static motet_status forward_flash(motet_tensor out, motet_tensor lse, motet_tensor q,
                                  motet_tensor k, motet_tensor v, const motet_attention_spec *spec,
                                  attention_spec at, int64_t queries, float scale) {
    const int width = width_index(spec->width) - 1;
    /* The larger blocks load half as much a product, if there are enough to go round. */
    motet_cuda_grid grid = grid_over(queries, FLASH_MANY, spec);
    const bool many =
        queries > FLASH_FEW && grid.x * grid.y >= motet_cuda_get_limits().multiprocessors;
    const int rows = many ? FLASH_MANY : FLASH_FEW;
    if (!many) grid = grid_over(queries, FLASH_FEW, spec);
    return motet_cuda_launch(
        many ? &flash_many[width] : &flash_few[width], grid, FLASH_THREADS,
        FLASH_FORWARD_BYTES(spec->width, rows),
        MOTET_CUDA_ARGS(&out.data, &lse.data, &q.data, &k.data, &v.data, &at, &scale));
}

motet_status motet_cuda_attention_forward(motet_tensor out, motet_tensor lse, motet_tensor q,
                                          motet_tensor k, motet_tensor v,
                                          const motet_attention_spec *spec) {
    MOTET_TRY(motet_attention_check(out, lse, q, k, v, spec));
    bool done;
    MOTET_TRY(motet_cudnn_attention_forward(&done, out, lse, q, k, v, spec));
    if (done) return MOTET_OK;
    int64_t queries, keys;
    motet_attention_longest(&queries, &keys, spec);
    attention_spec at = spec_for_device(spec);
    float scale = LOG2_E / sqrtf((float)spec->width);
    if (motet_cuda_attention_single_fits(q, k, v, spec, queries))
        return motet_cuda_attention_single(out, lse, q, k, v, spec, keys);
    if (q.dtype == MOTET_BF16 && spec->width >= 32 && is_aligned(spec->q_pitch, q, q) &&
        is_aligned(spec->k_pitch, k, k) && is_aligned(spec->v_pitch, v, v) &&
        is_aligned(spec->out_pitch, out, out)) {
        if (motet_cuda_attention_short_fits(spec, keys))
            return motet_cuda_attention_short(out, lse, q, k, v, spec, at, queries, keys, scale);
        if (motet_cuda_flash_hopper_can(spec))
            return motet_cuda_flash_hopper_forward(out, lse, q, k, v, spec, at, queries, scale);
        return forward_flash(out, lse, q, k, v, spec, at, queries, scale);
    }
    return motet_cuda_launch(
        &forward[q.dtype == MOTET_BF16][width_index(spec->width)], grid_over(queries, ROWS, spec),
        THREADS, shared_bytes(3, 1, spec->width),
        MOTET_CUDA_ARGS(&out.data, &lse.data, &q.data, &k.data, &v.data, &at, &scale));
}

motet_status motet_cuda_attention_backward(motet_tensor dq, motet_tensor dk, motet_tensor dv,
                                           motet_tensor dout, motet_tensor out, motet_tensor lse,
                                           motet_tensor q, motet_tensor k, motet_tensor v,
                                           const motet_attention_spec *spec) {
    MOTET_TRY(motet_attention_backward_check(dq, dk, dv, dout, out, lse, q, k, v, spec));
    bool done;
    MOTET_TRY(motet_cudnn_attention_backward(&done, dq, dk, dv, dout, out, lse, q, k, v, spec));
    if (done) return MOTET_OK;
    int64_t queries, keys;
    motet_attention_longest(&queries, &keys, spec);
    /* One float for each query and head, flash two, stay in the workspace between the launches. */
    int64_t rows = spec->q_offsets[spec->sequences];
    const int64_t most = (int64_t)(MOTET_CUDA_WORKSPACE / sizeof(float));
    if (rows * spec->heads > most)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED,
                          "attention backward on CUDA takes at most %lld queries times heads in a "
                          "call, not %lld: make the batch smaller",
                          (long long)most, (long long)(rows * spec->heads));
    void *delta = motet_cuda_workspace();
    attention_spec at = spec_for_device(spec);
    const int type = q.dtype == MOTET_BF16, width = width_index(spec->width), w = spec->width;
    float scale = LOG2_E / sqrtf((float)w);
    int bf16 = dq.dtype == MOTET_BF16;
    if (type && bf16 && w >= 32 && rows * spec->heads <= most / 2 &&
        is_aligned(spec->q_pitch, q, dq) && is_aligned(spec->k_pitch, k, dk) &&
        is_aligned(spec->v_pitch, v, dv) && is_aligned(spec->out_pitch, out, dout)) {
        if (motet_cuda_flash_hopper_can(spec))
            return motet_cuda_flash_hopper_backward(dq, dk, dv, dout, out, lse, q, k, v, spec, at,
                                                    queries, keys, delta, scale);
        MOTET_TRY(motet_cuda_launch(
            &flash_queries[width - 1], grid_over(queries, FLASH_QUERY_ROWS(w), spec), FLASH_THREADS,
            FLASH_QUERIES_BYTES(w),
            MOTET_CUDA_ARGS(&dq.data, &delta, &dout.data, &out.data, &lse.data, &q.data, &k.data,
                            &v.data, &at, &rows, &scale)));
        return motet_cuda_launch(&flash_keys[width - 1], grid_over(keys, FLASH_KEY_ROWS(w), spec),
                                 FLASH_THREADS, FLASH_KEYS_BYTES(w),
                                 MOTET_CUDA_ARGS(&dk.data, &dv.data, &delta, &dout.data, &q.data,
                                                 &k.data, &v.data, &at, &rows, &scale));
    }
    MOTET_TRY(motet_cuda_launch(&backward_queries[type][width], grid_over(queries, ROWS, spec),
                                THREADS, shared_bytes(4, 1, w),
                                MOTET_CUDA_ARGS(&dq.data, &delta, &dout.data, &out.data, &lse.data,
                                                &q.data, &k.data, &v.data, &at, &scale, &bf16)));
    return motet_cuda_launch(&backward_keys[type][width], grid_over(keys, ROWS, spec), THREADS,
                             shared_bytes(4, 2, w),
                             MOTET_CUDA_ARGS(&dk.data, &dv.data, &delta, &dout.data, &lse.data,
                                             &q.data, &k.data, &v.data, &at, &scale, &bf16));
}
