/* attention_decode on the device (kernels/attention.h): a block for each head of each sequence. A
 * group of W/8 lanes takes a key at a time, 16 or 32 bytes a lane; a block's groups take turns over
 * the cache. Each group has an online softmax of its own; they are joined in one fixed order, so a
 * result depends on nothing but its inputs. */
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/complaint.h"

#define DECODE_WARPS 8
#define DECODE_SHARE 8 /* columns of a lane */

/* 8 elements from an address that is a multiple of 16 bytes. */
static __device__ __forceinline__ void load_share(float (&x)[DECODE_SHARE], const float *from) {
    const float4 a = *(const float4 *)from, b = *(const float4 *)(from + 4);
    x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w;
    x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
}
static __device__ __forceinline__ void load_share(float (&x)[DECODE_SHARE], const uint16_t *from) {
    row_load<ROW_BF16>(x, from, 0);
}

/* A softmax over some of the keys: sum of 2^(score - top), and of that times their values. */
struct decode_part {
    float top, total, sum[DECODE_SHARE];

    __device__ __forceinline__ void move_top(float next) {
        const float factor = top == -INFINITY ? 0.0f : attention_exp2(top - next);
        top = next;
        total *= factor;
#pragma unroll
        for (int c = 0; c < DECODE_SHARE; c++)
            sum[c] *= factor;
    }
};

template <int W, typename T>
static __device__ __forceinline__ void
decode(T *out, const T *q, const T *k_cache, const T *v_cache, const int32_t *lengths,
       motet_complaint *complaints, int64_t most, int heads, float scale) {
    const int LANES = W / DECODE_SHARE, KEYS = 32 / LANES; /* of a group; of a warp at a time */
    const int STEP = DECODE_WARPS * KEYS;
    __shared__ float tops[DECODE_WARPS], totals[DECODE_WARPS], sums[DECODE_WARPS][W];
    const int b = (int)blockIdx.x / heads, head = (int)blockIdx.x % heads;
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    const int column = head * W + lane % LANES * DECODE_SHARE;
    const int64_t row = (int64_t)heads * W;
    const int length = lengths[b];
    if (length < 0 || length > most) {
        if (threadIdx.x == 0 && head == 0)
            motet_complain(complaints, MOTET_COMPLAINT_DECODE_LENGTH, b, length);
        return;
    }
    const T *k = k_cache + b * most * row + column, *v = v_cache + b * most * row + column;
    float query[DECODE_SHARE];
    load_share(query, q + b * row + column);
#pragma unroll
    for (int c = 0; c < DECODE_SHARE; c++)
        query[c] *= scale;

    decode_part part = {-INFINITY, 0.0f, {0, 0, 0, 0, 0, 0, 0, 0}};
    /* All groups of a warp go round together: the shuffles need every lane. */
#pragma unroll 2
    for (int j = warp * KEYS; j < length; j += STEP) {
        const int at = j + lane / LANES;
        float x[DECODE_SHARE] = {0, 0, 0, 0, 0, 0, 0, 0}, score = 0.0f;
        float value[DECODE_SHARE] = {0, 0, 0, 0, 0, 0, 0, 0};
        if (at < length) {
            load_share(x, k + at * row);
            load_share(value, v + at * row);
        }
#pragma unroll
        for (int c = 0; c < DECODE_SHARE; c++)
            score = fmaf(query[c], x[c], score);
#pragma unroll
        for (int step = LANES / 2; step > 0; step /= 2)
            score += __shfl_xor_sync(TILE_LANES, score, step);
        if (at < length) {
            if (score > part.top) part.move_top(score);
            /* NaN shows; while all scores are -infinity, nothing has weight. */
            const float p = score == -INFINITY ? 0.0f : attention_exp2(score - part.top);
            part.total += p;
#pragma unroll
            for (int c = 0; c < DECODE_SHARE; c++)
                part.sum[c] = fmaf(p, value[c], part.sum[c]);
        }
    }
    /* Both partners compute the same. */
#pragma unroll
    for (int step = LANES; step < 32; step *= 2) {
        const float other = __shfl_xor_sync(TILE_LANES, part.top, step);
        part.move_top(fmaxf(part.top, other));
        part.total += __shfl_xor_sync(TILE_LANES, part.total, step);
#pragma unroll
        for (int c = 0; c < DECODE_SHARE; c++)
            part.sum[c] += __shfl_xor_sync(TILE_LANES, part.sum[c], step);
    }
    if (lane < LANES) {
#pragma unroll
        for (int c = 0; c < DECODE_SHARE; c++)
            sums[warp][lane * DECODE_SHARE + c] = part.sum[c];
        if (lane == 0) {
            tops[warp] = part.top;
            totals[warp] = part.total;
        }
    }
    __syncthreads();
    if (threadIdx.x >= W) return;
    float top = -INFINITY, total = 0.0f, sum = 0.0f;
#pragma unroll
    for (int w = 0; w < DECODE_WARPS; w++)
        top = fmaxf(top, tops[w]);
#pragma unroll
    for (int w = 0; w < DECODE_WARPS; w++) {
        const float factor = tops[w] == -INFINITY ? 0.0f : attention_exp2(tops[w] - top);
        total = fmaf(totals[w], factor, total);
        sum = fmaf(sums[w][threadIdx.x], factor, sum);
    }
    attention_store(out + b * row + head * W + threadIdx.x, length > 0 ? sum / total : 0.0f);
}

#define DECODE_ENTRY(width, name, type)                                                        \
    extern "C" __global__ void __launch_bounds__(DECODE_WARPS * 32, 3)                         \
        motet_attention_decode_##width##_##name(type *out, const type *q, const type *k_cache, \
                                                const type *v_cache, const int32_t *lengths,   \
                                                motet_complaint *complaints, int64_t most,     \
                                                int heads, float scale) {                      \
        decode<width>(out, q, k_cache, v_cache, lengths, complaints, most, heads, scale);      \
    }

DECODE_ENTRY(16, f32, float)
DECODE_ENTRY(32, f32, float)
DECODE_ENTRY(64, f32, float)
DECODE_ENTRY(128, f32, float)
DECODE_ENTRY(16, bf16, uint16_t)
DECODE_ENTRY(32, bf16, uint16_t)
DECODE_ENTRY(64, bf16, uint16_t)
DECODE_ENTRY(128, bf16, uint16_t)
