/* attention_decode on the device (kernels/attention.h), and the forward pass where each sequence
 * has one query: split KV (Flash-Decoding: Dao et al. 2023), joined in the same launch.
 *
 * A block has one head of one sequence and a range of its keys; the grid has a column of `splits`
 * blocks for each, whatever the lengths are, and blocks without keys leave at once. A group of
 * lanes takes a key, 16 bytes of its row each; a warp's request covers whole rows of a head. Each
 * group has an online softmax of its own. Groups are joined by exchanging halves, warps in shared
 * memory, blocks in the workspace by the one that comes last, all in a fixed order: results depend
 * on the length and on B * H, not on the schedule, nor on the capacity of the cache.
 */
#include "kernels/cuda/attention_decode.h"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/complaint.h"
#include "kernels/cuda/gemm.cuh"

/* How many of a head's blocks have come; the last one sets it to 0 for the next launch. */
static __device__ unsigned int decode_tickets[DECODE_TICKETS];

template <int W, int CACHE> struct decode_shape {
    static constexpr int BYTES = CACHE == ROW_F32 ? 4 : CACHE == ROW_BF16 ? 2 : 1;
    static constexpr int SHARE = 16 / BYTES;          /* columns of a lane */
    static constexpr int LANES = W / SHARE;           /* of a group */
    static constexpr int GROUPS = 32 / LANES;         /* of a warp: keys at a time */
    static constexpr int DEPTH = DECODE_DEPTH(BYTES); /* keys of a group at a time */
    static constexpr int ROUND = DECODE_WARPS * GROUPS, STEP = DECODE_STEP(W, BYTES);
    /* Columns that a lane keeps when groups are joined, and lanes that then keep the same. */
    static constexpr int KEPT = GROUPS < SHARE ? SHARE / GROUPS : 1;
    static constexpr int SAME = GROUPS < SHARE ? 1 : GROUPS / SHARE;
};

/* Columns from, from + 1, ... of a 16-byte chunk. */
template <int CACHE, int SHARE> ROW_INLINE void decode_expand(float (&x)[SHARE], uint4 chunk) {
    const uint32_t words[4] = {chunk.x, chunk.y, chunk.z, chunk.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if constexpr (CACHE == ROW_F32) {
            x[i] = __uint_as_float(words[i]);
        } else if constexpr (CACHE == ROW_BF16) {
            x[2 * i] = row_low(words[i]);
            x[2 * i + 1] = row_high(words[i]);
        } else {
            const uint32_t codes = words[i] ^ 0x80808080u;
            x[4 * i] = float_code<0>(codes);
            x[4 * i + 1] = float_code<1>(codes);
            x[4 * i + 2] = float_code<2>(codes);
            x[4 * i + 3] = float_code<3>(codes);
        }
    }
}

template <int QUERY, int SHARE>
ROW_INLINE void decode_query(float (&x)[SHARE], const void *q, size_t at, float scale) {
    constexpr int C = QUERY == ROW_BF16 ? 8 : 4;
#pragma unroll
    for (int i = 0; i < SHARE; i += C) {
        float some[C];
        row_load<QUERY>(some, q, at + i);
#pragma unroll
        for (int c = 0; c < C; c++)
            x[i + c] = scale * some[c];
    }
}

/* 2^(top - next), where `top` may be that of no keys. */
ROW_INLINE float decode_factor(float top, float next) {
    return top == -INFINITY ? 0.0f : attention_exp2(top - next);
}

/* Lanes that differ in `offset` or a higher bit of those of the groups hold the same columns; they
 * exchange halves, so that each keeps the sum of one half, the upper lane the upper one. Where one
 * column is left both keep it. */
template <int offset, int until, int count, int SHARE>
ROW_INLINE void decode_join(float (&sum)[SHARE]) {
    if constexpr (offset >= until) {
        constexpr int half = count / 2;
        if constexpr (count > 1) {
            const bool upper = threadIdx.x & offset;
#pragma unroll
            for (int i = 0; i < half; i++) {
                const float send = upper ? sum[i] : sum[i + half];
                const float keep = upper ? sum[i + half] : sum[i];
                sum[i] = keep + __shfl_xor_sync(TILE_LANES, send, offset);
            }
        } else {
            sum[0] += __shfl_xor_sync(TILE_LANES, sum[0], offset);
        }
        decode_join<offset / 2, until, (count > 1 ? half : 1)>(sum);
    }
}

/* Where column `slot` of what lanes kept, in the order of lanes, belongs. */
template <class S> ROW_INLINE int decode_column(int slot) {
    const int lane = slot / S::KEPT;
    return lane % S::LANES * S::SHARE + lane / S::LANES * S::KEPT + slot % S::KEPT;
}

/* What is known of the block's sequence. */
struct decode_place {
    int64_t query, key; /* rows */
    int length;         /* -1: there is nothing to do */
};
ROW_INLINE decode_place decode_place_of(const motet_decode_args &p, int b, bool speaks) {
    decode_place at;
    if (p.lengths) {
        at.query = b;
        at.key = b * p.most;
        at.length = p.lengths[b];
        if (at.length < 0 || at.length > p.most) {
            if (speaks) motet_complain(p.complaints, MOTET_COMPLAINT_DECODE_LENGTH, b, at.length);
            at.length = -1;
        }
    } else {
        at.query = p.q_offsets[b];
        at.key = p.k_offsets[b];
        at.length = p.q_offsets[b + 1] > at.query ? (int)(p.k_offsets[b + 1] - at.key) : -1;
    }
    return at;
}

/* Column `slot` of what all keys give; any: there are keys. */
template <class S, int QUERY>
ROW_INLINE void decode_store(const motet_decode_args &p, const decode_place &at, int head,
                             float top, float total, float sum, bool any) {
    const int slot = threadIdx.x;
    const int64_t to = at.query * p.out_pitch + head * (S::LANES * S::SHARE);
    const float value = any ? sum / total : 0.0f;
    if (QUERY == ROW_F32)
        attention_store((float *)p.out + to + decode_column<S>(slot), value);
    else
        attention_store((uint16_t *)p.out + to + decode_column<S>(slot), value);
    if (p.lse && slot == 0)
        p.lse[at.query * p.heads + head] = any ? (top + log2f(total)) * LN_2 : -INFINITY;
}

template <int W, int CACHE, int QUERY> ROW_INLINE void decode(const motet_decode_args &p) {
    typedef decode_shape<W, CACHE> S;
    __shared__ __align__(16) float sums[DECODE_WARPS][W];
    __shared__ float tops[DECODE_WARPS], totals[DECODE_WARPS];
    __shared__ bool is_last;
    const int pair = (int)blockIdx.x, split = (int)blockIdx.y;
    const int b = pair / p.heads, head = pair % p.heads;
    const int warp = row_warp(), lane = row_lane();
    const decode_place at = decode_place_of(p, b, threadIdx.x == 0 && head == 0 && split == 0);
    const int range = max(1, (at.length + S::STEP * p.splits - 1) / (S::STEP * p.splits)) * S::STEP;
    const int begin = split * range, parts = (at.length + range - 1) / range;
    if (at.length < 0 || (split > 0 && split >= parts)) return;
    const int end = min(at.length, begin + range);

    const int column = head * W + lane % S::LANES * S::SHARE;
    const unsigned char *k = (const unsigned char *)p.k + (at.key * p.k_pitch + column) * S::BYTES;
    const unsigned char *v = (const unsigned char *)p.v + (at.key * p.v_pitch + column) * S::BYTES;
    const float *k_scale = p.k_scale + pair * p.most, *v_scale = p.v_scale + pair * p.most;
    float query[S::SHARE], sum[S::SHARE], top = -INFINITY, total = 0.0f;
    decode_query<QUERY>(query, p.q, at.query * p.q_pitch + column, p.scale);
#pragma unroll
    for (int c = 0; c < S::SHARE; c++)
        sum[c] = 0.0f;
        /* All groups of a warp go round together: the shuffles need every lane. */
#pragma unroll 1
    for (int j = begin + warp * S::GROUPS; j < end; j += S::STEP) {
        uint4 key[S::DEPTH], value[S::DEPTH];
        float score[S::DEPTH], weight[S::DEPTH];
#pragma unroll
        for (int d = 0; d < S::DEPTH; d++) {
            const int i = j + d * S::ROUND + lane / S::LANES;
            key[d] = value[d] = make_uint4(0, 0, 0, 0);
            weight[d] = score[d] = 1.0f;
            if (i < end) {
                key[d] = *(const uint4 *)(k + i * p.k_pitch * S::BYTES);
                value[d] = *(const uint4 *)(v + i * p.v_pitch * S::BYTES);
                if (CACHE == ROW_I8) score[d] = k_scale[i], weight[d] = v_scale[i];
            }
        }
        float peak = -INFINITY;
#pragma unroll
        for (int d = 0; d < S::DEPTH; d++) {
            float x[S::SHARE], dot = 0.0f;
            decode_expand<CACHE>(x, key[d]);
#pragma unroll
            for (int c = 0; c < S::SHARE; c++)
                dot = fmaf(query[c], x[c], dot);
#pragma unroll
            for (int step = S::LANES / 2; step > 0; step /= 2)
                dot += __shfl_xor_sync(TILE_LANES, dot, step);
            if (CACHE == ROW_I8) dot *= score[d];
            score[d] = j + d * S::ROUND + lane / S::LANES < end ? dot : -INFINITY;
            peak = fmaxf(peak, score[d]);
        }
        if (peak > top) {
            const float factor = decode_factor(top, peak);
            top = peak;
            total *= factor;
#pragma unroll
            for (int c = 0; c < S::SHARE; c++)
                sum[c] *= factor;
        }
#pragma unroll
        for (int d = 0; d < S::DEPTH; d++) {
            float x[S::SHARE];
            decode_expand<CACHE>(x, value[d]);
            /* NaN shows; while all scores are -infinity, nothing has weight. */
            float part = score[d] == -INFINITY ? 0.0f : attention_exp2(score[d] - top);
            total += part;
            if (CACHE == ROW_I8) part *= weight[d];
#pragma unroll
            for (int c = 0; c < S::SHARE; c++)
                sum[c] = fmaf(part, x[c], sum[c]);
        }
    }

    float next = top;
#pragma unroll
    for (int step = 16; step >= S::LANES; step /= 2)
        next = fmaxf(next, __shfl_xor_sync(TILE_LANES, next, step));
    const float factor = decode_factor(top, next);
    total *= factor;
#pragma unroll
    for (int c = 0; c < S::SHARE; c++)
        sum[c] *= factor;
#pragma unroll
    for (int step = 16; step >= S::LANES; step /= 2)
        total += __shfl_xor_sync(TILE_LANES, total, step);
    decode_join<16, S::LANES, S::SHARE>(sum);
    if (lane / S::LANES % S::SAME == 0) {
        float *to =
            sums[warp] + (lane / (S::LANES * S::SAME) * S::LANES + lane % S::LANES) * S::KEPT;
        if (S::KEPT == 4)
            store_shared4(to, sum[0], sum[S::KEPT > 1], sum[S::KEPT / 2], sum[S::KEPT - 1]);
        else if (S::KEPT == 2)
            store_shared2(to, sum[0], sum[S::KEPT - 1]);
        else
            *to = sum[0];
    }
    if (lane == 0) tops[warp] = next, totals[warp] = total;
    __syncthreads();

    const int slot = threadIdx.x;
    float all_top = tops[0], all = 0.0f, out = 0.0f;
#pragma unroll
    for (int w = 1; w < DECODE_WARPS; w++)
        all_top = fmaxf(all_top, tops[w]);
    if (slot < W) {
#pragma unroll
        for (int w = 0; w < DECODE_WARPS; w++) {
            const float part = decode_factor(tops[w], all_top);
            all = fmaf(totals[w], part, all);
            out = fmaf(sums[w][slot], part, out);
        }
    }
    if (parts <= 1) {
        if (slot < W) decode_store<S, QUERY>(p, at, head, all_top, all, out, at.length > 0);
        return;
    }

    /* Leave it for the last one, which may be this block. */
    const int64_t first = (int64_t)pair * p.splits;
    if (slot < W) p.sums[(first + split) * W + slot] = out;
    if (slot == 0) {
        p.stats[2 * (first + split)] = all_top;
        p.stats[2 * (first + split) + 1] = all;
    }
    __syncthreads();
    if (slot == 0) {
        __threadfence();
        is_last = atomicAdd(&decode_tickets[pair], 1u) == (unsigned int)parts - 1;
        __threadfence();
    }
    __syncthreads();
    if (!is_last) return;
    if (slot == 0) decode_tickets[pair] = 0;
    top = -INFINITY, total = 0.0f;
    if (lane < parts) {
        top = p.stats[2 * (first + lane)];
        total = p.stats[2 * (first + lane) + 1];
    }
    all_top = top;
#pragma unroll
    for (int step = 16; step > 0; step /= 2)
        all_top = fmaxf(all_top, __shfl_xor_sync(TILE_LANES, all_top, step));
    const float share = decode_factor(top, all_top);
    all = row_warp_sum(total * share);
    out = 0.0f;
    const float *from = p.sums + first * W + min(slot, W - 1);
#pragma unroll 4
    for (int i = 0; i < parts; i++)
        out = fmaf(from[i * W], __shfl_sync(TILE_LANES, share, i), out);
    if (slot < W) decode_store<S, QUERY>(p, at, head, all_top, all, out, true);
}

#define DECODE_ENTRY(width, name, cache, query)                                                \
    extern "C" __global__ void __launch_bounds__(DECODE_THREADS, 6)                            \
        motet_attention_decode_##width##_##name(const __grid_constant__ motet_decode_args p) { \
        decode<width, cache, query>(p);                                                        \
    }
#define DECODE_ENTRIES(width)                     \
    DECODE_ENTRY(width, f32, ROW_F32, ROW_F32)    \
    DECODE_ENTRY(width, bf16, ROW_BF16, ROW_BF16) \
    DECODE_ENTRY(width, i8_f32, ROW_I8, ROW_F32)  \
    DECODE_ENTRY(width, i8_bf16, ROW_I8, ROW_BF16)

DECODE_ENTRIES(16)
DECODE_ENTRIES(32)
DECODE_ENTRIES(64)
DECODE_ENTRIES(128)
