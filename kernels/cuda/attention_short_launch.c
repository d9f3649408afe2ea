#include "kernels/cuda/attention_short_launch.h"

#include "kernels/cuda/attention_short.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/launch.h"

MOTET_CUDA_MODULE(attention_short);
#define KERNEL(width, rows) \
    { .module = &attention_short_module, .name = "motet_attention_short_" #width "_" #rows }
/* [32, 64, 128][rows of a warp: 16, 32] */
static motet_cuda_kernel forward[3][2] = {{KERNEL(32, 16), KERNEL(32, 32)},
                                          {KERNEL(64, 16), KERNEL(64, 32)},
                                          {KERNEL(128, 16), KERNEL(128, 16)}};

bool motet_cuda_attention_short_fits(const motet_attention_spec *spec, int64_t keys) {
    return !spec->causal && keys <= SHORT_MOST_KEYS && spec->width >= 32 &&
           (size_t)SHORT_BYTES(spec->width, 16, keys) <= motet_cuda_get_limits().shared_bytes;
}

motet_status motet_cuda_attention_short(motet_tensor out, motet_tensor lse, motet_tensor q,
                                        motet_tensor k, motet_tensor v,
                                        const motet_attention_spec *spec, attention_spec at,
                                        int64_t queries, int64_t keys, float scale) {
    const motet_cuda_limits limits = motet_cuda_get_limits();
    const int width = spec->width, index = width == 32 ? 0 : width == 64 ? 1 : 2;
    const int64_t pairs = (int64_t)spec->sequences * spec->heads;
    const int64_t wanted = 2 * (int64_t)limits.multiprocessors;
    /* 32 queries at a time read keys and values half as often, if that leaves enough blocks. */
    const bool many = width < 128 &&
                      pairs * motet_cuda_blocks(queries, 32 * SHORT_WARPS) >= wanted &&
                      (size_t)SHORT_BYTES(width, 32, keys) <= limits.shared_bytes;
    const int rows = many ? 32 : 16;
    /* A pair's blocks load its keys each: no more of them than keep the device busy. */
    const int64_t rounds = motet_cuda_blocks(queries, rows * SHORT_WARPS);
    const int64_t most = pairs > 0 ? motet_cuda_blocks(wanted, pairs) : 1;
    const int64_t blocks = rounds > most ? motet_cuda_blocks(rounds, rounds / most) : rounds;
    return motet_cuda_launch(
        &forward[index][many], (motet_cuda_grid){pairs, blocks, 1}, SHORT_THREADS,
        (size_t)SHORT_BYTES(width, rows, keys),
        MOTET_CUDA_ARGS(&out.data, &lse.data, &q.data, &k.data, &v.data, &at, &scale));
}
