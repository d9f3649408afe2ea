#include <math.h>

#include "kernels/attention_check.h"
#include "kernels/cuda/attention_single.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ops.h"

#define LOG2_E 1.44269504088896341f
/* Blocks that keep every device busy; a head of a sequence has no more than its share of them. */
#define ENOUGH_BLOCKS 2048

MOTET_CUDA_MODULE(attention_decode);
/* [cache is f32, bf16, int8 beside f32, beside bf16][width] */
#define KERNEL(width, after) \
    { .module = &attention_decode_module, .name = "motet_attention_decode_" #width after }
#define KERNELS(after) \
    { KERNEL(16, after), KERNEL(32, after), KERNEL(64, after), KERNEL(128, after) }
static motet_cuda_kernel decode[4][4] = {KERNELS("_f32"), KERNELS("_bf16"), KERNELS("_i8_f32"),
                                         KERNELS("_i8_bf16")};

/* batch sequences with at most `most` keys each; args lack scale, splits and workspace. */
static motet_status launch(motet_decode_args args, int64_t batch, int64_t most, int width,
                           motet_dtype cache, motet_dtype query) {
    const int64_t pairs = batch * args.heads;
    const int kind = cache == MOTET_I8 ? 2 + (query == MOTET_BF16) : cache == MOTET_BF16;
    const int index = width == 16 ? 0 : width == 32 ? 1 : width == 64 ? 2 : 3;
    int64_t splits = pairs > 0 && pairs <= DECODE_TICKETS ? ENOUGH_BLOCKS / pairs : 1;
    splits = row_min(splits, DECODE_MOST_SPLITS);
    args.splits = (int32_t)splits;
    args.sums = motet_cuda_workspace();
    args.stats = args.sums + pairs * splits * width; /* 2 MiB at most, before them 1 MiB */
    args.scale = LOG2_E / sqrtf((float)width);
    const int64_t steps = motet_cuda_blocks(most, DECODE_STEP(width, motet_dtype_bytes(cache)));
    /* One block at least, which writes the zeros of a length of 0. */
    const int64_t grid = steps < 1 ? 1 : row_min(splits, steps);
    return motet_cuda_launch(&decode[kind][index], (motet_cuda_grid){pairs, grid, 1},
                             DECODE_THREADS, 0, MOTET_CUDA_ARGS(&args));
}

/* Lengths are not read here: those of a captured launch may change before it runs. */
motet_status motet_cuda_attention_decode(motet_tensor out, motet_tensor q, motet_tensor k_cache,
                                         motet_tensor v_cache, const int32_t *lengths, int heads) {
    MOTET_TRY(motet_attention_decode_check(out, q, k_cache, v_cache, heads));
    /* Rows are multiples of 16 bytes, so this holds for every row if it holds for the first. */
    if (((uintptr_t)q.data | (uintptr_t)k_cache.data | (uintptr_t)v_cache.data) % 16 != 0)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "decode attention on CUDA wants q and caches aligned to 16 bytes");
    const int64_t row = q.dims[1];
    return launch((motet_decode_args){.out = out.data,
                                      .q = q.data,
                                      .k = k_cache.data,
                                      .v = v_cache.data,
                                      .k_scale = k_cache.scale,
                                      .v_scale = v_cache.scale,
                                      .lengths = lengths,
                                      .complaints = motet_cuda_complaints(),
                                      .most = k_cache.dims[1],
                                      .q_pitch = row,
                                      .k_pitch = row,
                                      .v_pitch = row,
                                      .out_pitch = row,
                                      .heads = heads},
                  q.dims[0], k_cache.dims[1], (int)(row / heads), k_cache.dtype, q.dtype);
}

static bool are_chunks(motet_tensor t, int64_t pitch) {
    return (uintptr_t)t.data % 16 == 0 && pitch * (int64_t)motet_dtype_bytes(t.dtype) % 16 == 0;
}

bool motet_cuda_attention_single_fits(motet_tensor q, motet_tensor k, motet_tensor v,
                                      const motet_attention_spec *spec, int64_t queries) {
    return queries == 1 && are_chunks(q, spec->q_pitch) && are_chunks(k, spec->k_pitch) &&
           are_chunks(v, spec->v_pitch);
}

motet_status motet_cuda_attention_single(motet_tensor out, motet_tensor lse, motet_tensor q,
                                         motet_tensor k, motet_tensor v,
                                         const motet_attention_spec *spec, int64_t keys) {
    return launch((motet_decode_args){.out = out.data,
                                      .lse = lse.data,
                                      .q = q.data,
                                      .k = k.data,
                                      .v = v.data,
                                      .q_offsets = spec->q_offsets,
                                      .k_offsets = spec->k_offsets,
                                      .q_pitch = spec->q_pitch,
                                      .k_pitch = spec->k_pitch,
                                      .v_pitch = spec->v_pitch,
                                      .out_pitch = spec->out_pitch,
                                      .heads = spec->heads},
                  spec->sequences, keys, spec->width, k.dtype, q.dtype);
}
