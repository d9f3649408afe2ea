/* attention backward on the device (kernels/attention.h), without atomics: one kernel over queries
 * for dq, then one over keys for dk and dv, each computing the weights anew from lse. The first
 * also leaves delta = rowsum(dout * out) for the second. Scores are in base 2, as in the forward
 * pass. */
#include "kernels/cuda/attention_tile.cuh"

/* Element i of dq, dk or dv, which may be of another type than the inputs. */
template <int W>
static __device__ __forceinline__ void store_gradient(void *to, int64_t i, const tile_sums<W> &sum,
                                                      int rows, int64_t pitch, float factor,
                                                      int bf16) {
    float factors[TILE_OWN];
#pragma unroll
    for (int r = 0; r < TILE_OWN; r++)
        factors[r] = factor;
    if (bf16)
        sum.store((uint16_t *)to + i, rows, pitch, factors);
    else
        sum.store((float *)to + i, rows, pitch, factors);
}

/* delta [rows of q, heads]. bf16: of dq. */
template <int W, typename T>
static __device__ __forceinline__ void queries(void *dq, float *delta, const T *dout, const T *out,
                                               const float *lse, const T *q, const T *k, const T *v,
                                               const attention_spec &spec, float scale, int bf16) {
    extern __shared__ float4 memory[];
    float *const query = (float *)memory, *const change = query + TILE_FLOATS(W);
    float *const key = change + TILE_FLOATS(W), *const value = key + TILE_FLOATS(W);
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    float *const slopes = value + TILE_FLOATS(W) + warp * TILE_OWN * TILE_WEIGHTS;
    const attention_place at = attention_place_of(spec);
    const int first = (int)(gridDim.y - 1 - blockIdx.y) * TILE_ROWS;
    if (first >= at.queries) return;
    const int own = first + warp * TILE_OWN, column = at.head * W, left = at.queries - first;
    q += (at.q0 + first) * spec.q_pitch + column;
    dout += (at.q0 + first) * spec.out_pitch + column;
    out += (at.q0 + first) * spec.out_pitch + column;
    k += at.k0 * spec.k_pitch + column;
    v += at.k0 * spec.v_pitch + column;

    tile_load<W>(query, q, left, spec.q_pitch, scale);
    tile_load<W>(change, dout, left, spec.out_pitch, 1.0f);
    tile_load<W>(key, out, left, spec.out_pitch, 1.0f); /* before the first keys come */
    __syncthreads();
    float log_sum[TILE_OWN], mean[TILE_OWN];
#pragma unroll
    for (int r = 0; r < TILE_OWN; r++) {
        const int row = (warp * TILE_OWN + r) * (W + TILE_PAD);
        float product = 0.0f;
#pragma unroll
        for (int c = lane; c < W; c += 32)
            product = fmaf(change[row + c], key[row + c], product);
        mean[r] = row_warp_sum(product);
        log_sum[r] = 0.0f;
        if (own + r < at.queries) {
            const int64_t i = (at.q0 + own + r) * spec.heads + at.head;
            log_sum[r] = lse[i] * LOG2_E;
            if (lane == 0) delta[i] = mean[r];
        }
    }
    tile_sums<W> sum;
    sum.clear();
    const int end = attention_seen(spec, at, min(first + TILE_ROWS, at.queries) - 1);
    for (int j = 0; j < end; j += TILE_ROWS) {
        __syncthreads();
        tile_load<W>(key, k + j * spec.k_pitch, at.keys - j, spec.k_pitch, 1.0f);
        tile_load<W>(value, v + j * spec.v_pitch, at.keys - j, spec.v_pitch, 1.0f);
        __syncthreads();
        float score[TILE_OWN], slope[TILE_OWN];
        tile_products<W>(score, query + warp * TILE_OWN * (W + TILE_PAD), key);
        tile_products<W>(slope, change + warp * TILE_OWN * (W + TILE_PAD), value);
#pragma unroll
        for (int r = 0; r < TILE_OWN; r++) {
            /* Rows behind the last query are computed, and not stored. */
            const bool seen = j + lane < attention_seen(spec, at, own + r);
            const float p = attention_exp2(score[r] - log_sum[r]);
            slopes[r * TILE_WEIGHTS + lane] = seen ? p * (slope[r] - mean[r]) : 0.0f;
        }
        __syncwarp();
        sum.accumulate(slopes, key);
    }
    store_gradient<W>(dq, (at.q0 + own) * spec.q_pitch + column, sum, at.queries - own,
                      spec.q_pitch, scale * LN_2, bf16);
}

template <int W, typename T>
static __device__ __forceinline__ void keys(void *dk, void *dv, const float *delta, const T *dout,
                                            const float *lse, const T *q, const T *k, const T *v,
                                            const attention_spec &spec, float scale, int bf16) {
    extern __shared__ float4 memory[];
    float *const key = (float *)memory, *const value = key + TILE_FLOATS(W);
    float *const query = value + TILE_FLOATS(W), *const change = query + TILE_FLOATS(W);
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    float *const weights = change + TILE_FLOATS(W) + warp * TILE_OWN * TILE_WEIGHTS;
    float *const slopes = weights + TILE_WEIGHT_FLOATS;
    const attention_place at = attention_place_of(spec);
    const int first = (int)blockIdx.y * TILE_ROWS; /* these keys are seen by most queries */
    if (first >= at.keys) return;
    const int own = first + warp * TILE_OWN, column = at.head * W;
    q += at.q0 * spec.q_pitch + column;
    dout += at.q0 * spec.out_pitch + column;
    lse += at.q0 * spec.heads + at.head;
    delta += at.q0 * spec.heads + at.head;
    tile_load<W>(key, k + (at.k0 + first) * spec.k_pitch + column, at.keys - first, spec.k_pitch,
                 1.0f);
    tile_load<W>(value, v + (at.k0 + first) * spec.v_pitch + column, at.keys - first, spec.v_pitch,
                 1.0f);
    tile_sums<W> dkey, dvalue;
    dkey.clear();
    dvalue.clear();
    /* The first query that sees any of these keys, down to a tile's edge. */
    const int from = spec.causal ? max(0, first - (at.keys - at.queries)) : 0;
    for (int i = from / TILE_ROWS * TILE_ROWS; i < at.queries; i += TILE_ROWS) {
        __syncthreads();
        tile_load<W>(query, q + i * spec.q_pitch, at.queries - i, spec.q_pitch, scale);
        tile_load<W>(change, dout + i * spec.out_pitch, at.queries - i, spec.out_pitch, 1.0f);
        const bool there = i + lane < at.queries;
        const int seen = there ? attention_seen(spec, at, i + lane) : 0;
        const float log_sum = there ? lse[(int64_t)(i + lane) * spec.heads] * LOG2_E : 0.0f;
        const float mean = there ? delta[(int64_t)(i + lane) * spec.heads] : 0.0f;
        __syncthreads();
        float score[TILE_OWN], slope[TILE_OWN];
        tile_products<W>(score, key + warp * TILE_OWN * (W + TILE_PAD), query);
        tile_products<W>(slope, value + warp * TILE_OWN * (W + TILE_PAD), change);
#pragma unroll
        for (int r = 0; r < TILE_OWN; r++) {
            const float p = own + r < seen ? attention_exp2(score[r] - log_sum) : 0.0f;
            weights[r * TILE_WEIGHTS + lane] = p;
            slopes[r * TILE_WEIGHTS + lane] = own + r < seen ? p * (slope[r] - mean) : 0.0f;
        }
        __syncwarp();
        dvalue.accumulate(weights, change);
        dkey.accumulate(slopes, query);
    }
    const int rows = at.keys - own;
    store_gradient<W>(dk, (at.k0 + own) * spec.k_pitch + column, dkey, rows, spec.k_pitch, LN_2,
                      bf16);
    store_gradient<W>(dv, (at.k0 + own) * spec.v_pitch + column, dvalue, rows, spec.v_pitch, 1.0f,
                      bf16);
}

#define BACKWARD_ENTRIES(width, name, type, blocks)                                        \
    extern "C" __global__ void __launch_bounds__(TILE_THREADS, blocks)                     \
        motet_attention_backward_queries_##width##_##name(                                 \
            void *dq, float *delta, const type *dout, const type *out, const float *lse,   \
            const type *q, const type *k, const type *v, attention_spec spec, float scale, \
            int bf16) {                                                                    \
        queries<width>(dq, delta, dout, out, lse, q, k, v, spec, scale, bf16);             \
    }                                                                                      \
    extern "C" __global__ void __launch_bounds__(TILE_THREADS, blocks)                     \
        motet_attention_backward_keys_##width##_##name(                                    \
            void *dk, void *dv, const float *delta, const type *dout, const float *lse,    \
            const type *q, const type *k, const type *v, attention_spec spec, float scale, \
            int bf16) {                                                                    \
        keys<width>(dk, dv, delta, dout, lse, q, k, v, spec, scale, bf16);                 \
    }

BACKWARD_ENTRIES(16, f32, float, 3)
BACKWARD_ENTRIES(32, f32, float, 3)
BACKWARD_ENTRIES(64, f32, float, 3)
BACKWARD_ENTRIES(128, f32, float, 2)
BACKWARD_ENTRIES(16, bf16, uint16_t, 3)
BACKWARD_ENTRIES(32, bf16, uint16_t, 3)
BACKWARD_ENTRIES(64, bf16, uint16_t, 3)
BACKWARD_ENTRIES(128, bf16, uint16_t, 2)
