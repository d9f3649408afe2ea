#include "kernels/cuda/flash_hopper_launch.h"

#include "kernels/cuda/driver.h"
#include "kernels/cuda/flash_hopper.h"
#include "kernels/cuda/launch.h"

enum { COMPUTE = 90 }; /* sm_90a's code runs nowhere else */

MOTET_CUDA_MODULE(flash_hopper);
MOTET_CUDA_MODULE(flash_queries_hopper);
MOTET_CUDA_MODULE(flash_keys_hopper);

/* [width]: 32, 64, 128 */
#define KERNELS(module, name)                                             \
    {                                                                     \
        {&module, name "_32", NULL, 0}, {&module, name "_64", NULL, 0}, { \
            &module, name "_128", NULL, 0                                 \
        }                                                                 \
    }
static motet_cuda_kernel forward[3] = KERNELS(flash_hopper_module, "motet_flash_hopper_forward");
static motet_cuda_kernel of_queries[3] =
    KERNELS(flash_queries_hopper_module, "motet_flash_hopper_queries");
static motet_cuda_kernel of_keys[3] = KERNELS(flash_keys_hopper_module, "motet_flash_hopper_keys");

static int width_index(int width) {
    return width == 32 ? 0 : width == 64 ? 1 : 2;
}

bool motet_cuda_flash_hopper_can(const motet_attention_spec *spec) {
    return motet_cuda_get_limits().compute == COMPUTE && spec->q_offsets[spec->sequences] > 0 &&
           spec->k_offsets[spec->sequences] > 0;
}

/* `rows` rows of all heads, in boxes of 64 rows and a panel's columns. */
static motet_status describe(CUtensorMap *map, motet_tensor t, int64_t rows, int64_t pitch,
                             const motet_attention_spec *spec) {
    const bool narrow = spec->width < 64;
    const cuuint64_t dims[2] = {(cuuint64_t)spec->heads * (cuuint64_t)spec->width,
                                (cuuint64_t)rows};
    const cuuint64_t strides[1] = {(cuuint64_t)pitch * sizeof(uint16_t)};
    const cuuint32_t box[2] = {narrow ? 32 : 64, FLASH_HOPPER_OWN}, steps[2] = {1, 1};
    MOTET_DRIVE(cuTensorMapEncodeTiled,
                (map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, t.data, dims, strides, box, steps,
                 CU_TENSOR_MAP_INTERLEAVE_NONE,
                 narrow ? CU_TENSOR_MAP_SWIZZLE_64B : CU_TENSOR_MAP_SWIZZLE_128B,
                 CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
                "describing %lld rows of %lld elements to TMA", (long long)rows, (long long)pitch);
    return MOTET_OK;
}

static motet_cuda_grid grid_over(int64_t longest, const motet_attention_spec *spec) {
    return (motet_cuda_grid){(int64_t)spec->sequences * spec->heads,
                             (longest + FLASH_HOPPER_ROWS - 1) / FLASH_HOPPER_ROWS, 1};
}

motet_status motet_cuda_flash_hopper_forward(motet_tensor out, motet_tensor lse, motet_tensor q,
                                             motet_tensor k, motet_tensor v,
                                             const motet_attention_spec *spec, attention_spec at,
                                             int64_t queries, float scale) {
    const int64_t rows = spec->q_offsets[spec->sequences], keys = spec->k_offsets[spec->sequences];
    CUtensorMap q_map, k_map, v_map;
    MOTET_TRY(describe(&q_map, q, rows, spec->q_pitch, spec));
    MOTET_TRY(describe(&k_map, k, keys, spec->k_pitch, spec));
    MOTET_TRY(describe(&v_map, v, keys, spec->v_pitch, spec));
    return motet_cuda_launch(
        &forward[width_index(spec->width)], grid_over(queries, spec), FLASH_HOPPER_THREADS,
        FLASH_HOPPER_FORWARD_BYTES(spec->width),
        MOTET_CUDA_ARGS(&out.data, &lse.data, &q_map, &k_map, &v_map, &at, &scale));
}

motet_status motet_cuda_flash_hopper_backward(motet_tensor dq, motet_tensor dk, motet_tensor dv,
                                              motet_tensor dout, motet_tensor out, motet_tensor lse,
                                              motet_tensor q, motet_tensor k, motet_tensor v,
                                              const motet_attention_spec *spec, attention_spec at,
                                              int64_t queries, int64_t keys, void *stats,
                                              float scale) {
    int64_t rows = spec->q_offsets[spec->sequences];
    const int64_t key_rows = spec->k_offsets[spec->sequences];
    const int width = width_index(spec->width);
    CUtensorMap dout_map, q_map, k_map, v_map;
    MOTET_TRY(describe(&dout_map, dout, rows, spec->out_pitch, spec));
    MOTET_TRY(describe(&q_map, q, rows, spec->q_pitch, spec));
    MOTET_TRY(describe(&k_map, k, key_rows, spec->k_pitch, spec));
    MOTET_TRY(describe(&v_map, v, key_rows, spec->v_pitch, spec));
    MOTET_TRY(motet_cuda_launch(&of_queries[width], grid_over(queries, spec), FLASH_HOPPER_THREADS,
                                FLASH_HOPPER_QUERIES_BYTES(spec->width),
                                MOTET_CUDA_ARGS(&dq.data, &stats, &dout_map, &out.data, &lse.data,
                                                &q_map, &k_map, &v_map, &at, &rows, &scale)));
    return motet_cuda_launch(&of_keys[width], grid_over(keys, spec), FLASH_HOPPER_THREADS,
                             FLASH_HOPPER_KEYS_BYTES(spec->width),
                             MOTET_CUDA_ARGS(&dk.data, &dv.data, &stats, &dout_map, &q_map, &k_map,
                                             &v_map, &at, &rows, &scale));
}
