#include <string.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/field_draw.h"
#include "kernels/cuda/ops.h"
#include "kernels/field_draw_check.h"

/* field_draw.cu spells this out, too; the driver takes 4 KiB of parameters. */
_Static_assert(sizeof(motet_field_params) == 56 && offsetof(motet_field_params, tries) == 48 &&
                   sizeof(motet_field_job) <= 4096,
               "the kernel of fields has another layout");

MOTET_CUDA_MODULE(field_draw);
static motet_cuda_kernel draw[2] = {{.module = &field_draw_module, .name = "motet_field_draw_1"},
                                    {.module = &field_draw_module, .name = "motet_field_draw_2"}};

static motet_field_weight weight(motet_tensor t) {
    const int64_t chunk = 16 / (int64_t)motet_dtype_bytes(t.dtype);
    const motet_row_array a = motet_cuda_array(t);
    return (motet_field_weight){.data = a.data,
                                .scale = t.dtype == MOTET_I8 ? t.scale : NULL,
                                .type = (int32_t)a.type,
                                .chunked = t.rank == 2 && t.dims[1] % chunk == 0 &&
                                           motet_cuda_aligned(t, chunk)};
}

/* The scratch: the blocks' barrier alone on its line, then what field_draw_check counts. */
static void divide(motet_field_job *j, float *scratch, const motet_field_sizes *sizes) {
    float *at = scratch + 32;
    j->barrier = (uint32_t *)(void *)scratch;
    j->params_copy = at, at += sizeof(motet_field_params) / sizeof(float);
    j->rules_copy = (int32_t *)(void *)at, at += MOTET_FIELD_MOST_WORDS;
    j->hidden = at, at += sizes->rows * sizes->inner;
    j->y = at, at += sizes->rows * sizes->width;
    j->logits = at;
}

motet_status motet_cuda_field_draw(motet_field_result *result, motet_tensor states,
                                   const motet_field_network *networks, motet_tensor values,
                                   motet_tensor rules, const motet_field_params *params,
                                   const motet_field_spec *spec, motet_tensor scratch) {
    motet_field_sizes sizes;
    MOTET_TRY(
        motet_field_draw_check(&sizes, states, networks, values, rules, params, spec, scratch));
    const int64_t wide = sizes.width > sizes.inner ? sizes.width : sizes.inner;
    if (wide > FIELD_MOST_COLUMNS)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED,
                          "field_draw on CUDA: neither width may be above %d, these are %lld and "
                          "%lld",
                          FIELD_MOST_COLUMNS, (long long)sizes.width, (long long)sizes.inner);
    motet_field_job j = {.result = result,
                         .states = states.data,
                         .rules = rules.data,
                         .params = params,
                         .complaints = motet_cuda_complaints(),
                         .values = weight(values),
                         .rows = (int32_t)sizes.rows,
                         .width = (int32_t)sizes.width,
                         .inner = (int32_t)sizes.inner,
                         .spec = *spec};
    divide(&j, scratch.data, &sizes);
    for (int f = 0; f < spec->fields; f++)
        j.networks[f] = (motet_field_weights_job){
            .norm = weight(networks[f].norm),
            .gate_up = weight(networks[f].gate_up),
            .down = weight(networks[f].down),
            .out_norm = weight(networks[f].out_norm),
            .out = weight(networks[f].out),
            .bias = weight(networks[f].bias),
        };
    /* A warp for each row of the larger matrices, while all blocks can be there at once. */
    int64_t blocks = motet_cuda_blocks(wide, FIELD_WARPS);
    const int64_t most = motet_cuda_get_limits().multiprocessors;
    if (blocks > most) blocks = most;
    const size_t shared = (size_t)(2 * sizes.rows * FIELD_STRIDE(wide)) * sizeof(float);
    return motet_cuda_launch_together(&draw[sizes.rows - 1], (motet_cuda_grid){blocks, 1, 1},
                                      FIELD_THREADS, shared, MOTET_CUDA_ARGS(&j));
}
