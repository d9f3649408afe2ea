/* attention_append on the device (kernels/attention.h): rows of keys and values to the ends of
 * their caches, int8 ones quantised on the way, bit for bit as the CPU twin does it. A warp, or
 * half of it at W = 16, has one row of one head. */
#include "kernels/cuda/attention_append.h"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/complaint.h"

/* Codes of a lane's elements, and the scale of the row that `LANES` lanes hold. */
template <int LANES, int COUNT>
ROW_INLINE float append_quantise(int (&codes)[COUNT], const float (&x)[COUNT]) {
    float largest = 0.0f;
    bool sound = true;
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        largest = fmaxf(largest, fabsf(x[i]));
        sound &= fabsf(x[i]) < INFINITY;
    }
#pragma unroll
    for (int step = LANES / 2; step > 0; step /= 2)
        largest = fmaxf(largest, __shfl_xor_sync(TILE_LANES, largest, step));
    const unsigned int mine = LANES == 32 ? TILE_LANES : 0xffffu << (row_lane() & LANES);
    sound = (__ballot_sync(TILE_LANES, sound) & mine) == mine;
    const float step = __fdiv_rn(largest, 127.0f);
    const bool normal = sound && step >= 1.17549435e-38f;
    const float inverse = normal ? __fdiv_rn(127.0f, largest) : 0.0f;
#pragma unroll
    for (int i = 0; i < COUNT; i++)
        codes[i] = normal ? __float2int_rn(__fmul_rn(x[i], inverse)) : 0;
    return sound ? normal ? step : 0.0f : NAN;
}

template <int W, int CACHE, int FROM> ROW_INLINE void append(const motet_append_args &p) {
    constexpr int LANES = W < 32 ? W : 32, COUNT = W / LANES;
    /* The warp's lanes go on together, for they ask each other: those behind the end repeat
     * the last row's work, and store nothing. */
    const int64_t units = 2 * p.rows * p.heads;
    const int64_t own = ((int64_t)blockIdx.x * APPEND_THREADS + threadIdx.x) / LANES;
    const int64_t unit = min(own, units - 1);
    const int which = (int)(unit / (p.rows * p.heads)), head = (int)(unit % p.heads);
    const int row = (int)(unit / p.heads % p.rows);
    int b = 0, beyond = p.batch; /* offsets[b] <= row < offsets[beyond] */
    while (beyond - b > 1) {
        const int middle = b + (beyond - b) / 2;
        if (p.offsets[middle] <= row)
            b = middle;
        else
            beyond = middle;
    }
    const int first = p.offsets[b], last = p.offsets[b + 1], length = p.lengths[b];
    const bool fits = length >= last - first && length <= p.most && row >= first && row < last;
    if (!fits && which == 0 && head == 0 && threadIdx.x % LANES == 0)
        motet_complain(p.complaints, MOTET_COMPLAINT_APPEND_LENGTH, b, length);

    const int lane = threadIdx.x % LANES;
    const int64_t from = row * p.pitch + head * W + lane;
    const int64_t t = (int64_t)length - last + row;
    const int64_t to = ((b * p.most + t) * p.heads + head) * W + lane;
    float x[COUNT];
#pragma unroll
    for (int i = 0; i < COUNT; i++)
        x[i] = FROM == ROW_F32 ? ((const float *)p.from[which])[from + i * LANES]
                               : row_low(((const uint16_t *)p.from[which])[from + i * LANES]);
    if (CACHE == ROW_I8) {
        int codes[COUNT];
        const float scale = append_quantise<LANES>(codes, x);
        if (!fits || own >= units) return;
#pragma unroll
        for (int i = 0; i < COUNT; i++)
            ((int8_t *)p.cache[which])[to + i * LANES] = (int8_t)codes[i];
        if (lane == 0) p.scale[which][(b * p.heads + head) * p.most + t] = scale;
        return;
    }
    if (!fits || own >= units) return;
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        if (CACHE == ROW_F32)
            ((float *)p.cache[which])[to + i * LANES] = x[i];
        else
            attention_store((uint16_t *)p.cache[which] + to + i * LANES, x[i]);
    }
}

#define APPEND_ENTRY(width, name, cache, from)                                                 \
    extern "C" __global__ void __launch_bounds__(APPEND_THREADS)                               \
        motet_attention_append_##width##_##name(const __grid_constant__ motet_append_args p) { \
        append<width, cache, from>(p);                                                         \
    }
#define APPEND_ENTRIES(width)                          \
    APPEND_ENTRY(width, f32_f32, ROW_F32, ROW_F32)     \
    APPEND_ENTRY(width, f32_bf16, ROW_F32, ROW_BF16)   \
    APPEND_ENTRY(width, bf16_f32, ROW_BF16, ROW_F32)   \
    APPEND_ENTRY(width, bf16_bf16, ROW_BF16, ROW_BF16) \
    APPEND_ENTRY(width, i8_f32, ROW_I8, ROW_F32)       \
    APPEND_ENTRY(width, i8_bf16, ROW_I8, ROW_BF16)

APPEND_ENTRIES(16)
APPEND_ENTRIES(32)
APPEND_ENTRIES(64)
APPEND_ENTRIES(128)
