/* sample on the device: kernels/sample.h in one launch, one block a row. Nothing is sorted: top-k
 * and top-p descend through the bits of the logits with exact counts and sums (sample_row.cuh), and
 * the draw finds its warp, round and lane by sums in order of symbol. */
#include "kernels/cuda/sample_draw.cuh"

template <int WARPS, int ITEMS>
static __device__ __forceinline__ void sample(sample_result *results, const float *logits,
                                              const float *unconditional, const uint32_t *legal,
                                              const uint32_t *seen, const sample_params *params,
                                              motet_complaint *complaints, int symbols) {
    __shared__ uint64_t slots[2][SAMPLE_SLOTS][WARPS];
    const int64_t b = blockIdx.x, words = (symbols + 31) / 32;
    sample_row<WARPS, ITEMS> row;
    row.p = params[b];
    row.logits = logits + b * symbols;
    row.unconditional = unconditional ? unconditional + b * symbols : nullptr;
    row.legal = legal ? legal + b * words : nullptr;
    row.seen = seen ? seen + b * words : nullptr;
    row.symbols = symbols;
    row.begin(slots);
    sample_draw(&results[b], &row, complaints, b);
}

#define SAMPLE_ENTRY(name, warps, items)                                                      \
    extern "C" __global__ void __launch_bounds__(warps * 32, warps > 4 ? 1 : 16 / warps)      \
        name(sample_result *results, const float *logits, const float *unconditional,         \
             const uint32_t *legal, const uint32_t *seen, const sample_params *params,        \
             motet_complaint *complaints, int symbols) {                                      \
        sample<warps, items>(results, logits, unconditional, legal, seen, params, complaints, \
                             symbols);                                                        \
    }

SAMPLE_ENTRY(motet_sample_64, 1, 2)
SAMPLE_ENTRY(motet_sample_256, 1, 8)
SAMPLE_ENTRY(motet_sample_1024, 4, 8)
SAMPLE_ENTRY(motet_sample_4096, 16, 8)
SAMPLE_ENTRY(motet_sample_any, 16, 0)
