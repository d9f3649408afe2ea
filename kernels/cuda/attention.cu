/* attention forward on the device (kernels/attention.h): a block for each 32 queries of a head,
 * online softmax over tiles of 32 keys. Scores are in base 2: queries are scaled by
 * log2(e) / sqrt(W). No block knows of another, and every sum has one order. */
#include "kernels/cuda/attention_tile.cuh"

template <int W, typename T>
static __device__ __forceinline__ void attention(T *out, float *lse, const T *q, const T *k,
                                                 const T *v, const attention_spec &spec,
                                                 float scale) {
    extern __shared__ float4 memory[];
    float *const query = (float *)memory, *const key = query + TILE_FLOATS(W);
    float *const value = key + TILE_FLOATS(W);
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    float *const weights = value + TILE_FLOATS(W) + warp * TILE_OWN * TILE_WEIGHTS;
    const attention_place at = attention_place_of(spec);
    /* Last queries first: under a causal mask they take the longest. */
    const int first = (int)(gridDim.y - 1 - blockIdx.y) * TILE_ROWS;
    if (first >= at.queries) return;
    const int own = first + warp * TILE_OWN, column = at.head * W;
    q += (at.q0 + first) * spec.q_pitch + column;
    k += at.k0 * spec.k_pitch + column;
    v += at.k0 * spec.v_pitch + column;

    tile_load<W>(query, q, at.queries - first, spec.q_pitch, scale);
    tile_sums<W> sum;
    sum.clear();
    float top[TILE_OWN], total[TILE_OWN], factor[TILE_OWN];
#pragma unroll
    for (int r = 0; r < TILE_OWN; r++) {
        top[r] = -INFINITY;
        total[r] = 0.0f; /* of this lane's keys */
    }
    const int end = attention_seen(spec, at, min(first + TILE_ROWS, at.queries) - 1);
    for (int j = 0; j < end; j += TILE_ROWS) {
        __syncthreads();
        tile_load<W>(key, k + j * spec.k_pitch, at.keys - j, spec.k_pitch, 1.0f);
        tile_load<W>(value, v + j * spec.v_pitch, at.keys - j, spec.v_pitch, 1.0f);
        __syncthreads();
        float dot[TILE_OWN];
        tile_products<W>(dot, query + warp * TILE_OWN * (W + TILE_PAD), key);
#pragma unroll
        for (int r = 0; r < TILE_OWN; r++) {
            const bool seen = j + lane < attention_seen(spec, at, own + r);
            const float peak = attention_lanes_max(seen ? dot[r] : -INFINITY);
            const float next = fmaxf(top[r], peak);
            const float base = next == -INFINITY ? 0.0f : next; /* nothing seen so far */
            const float p = seen ? attention_exp2(dot[r] - base) : 0.0f;
            factor[r] = attention_exp2(top[r] - base);
            total[r] = total[r] * factor[r] + p;
            top[r] = next;
            weights[r * TILE_WEIGHTS + lane] = p;
        }
        __syncwarp();
        sum.scale(factor);
        sum.accumulate(weights, value);
    }
#pragma unroll
    for (int r = 0; r < TILE_OWN; r++) {
        const float all = row_warp_sum(total[r]);
        const bool any = attention_seen(spec, at, own + r) > 0;
        factor[r] = any ? 1.0f / all : 0.0f;
        if (lse && lane == 0 && own + r < at.queries)
            lse[(at.q0 + own + r) * spec.heads + at.head] =
                any ? (top[r] + log2f(all)) * LN_2 : -INFINITY;
    }
    sum.store(out + (at.q0 + own) * spec.out_pitch + column, at.queries - own, spec.out_pitch,
              factor);
}

#define ATTENTION_ENTRY(width, name, type)                                             \
    extern "C" __global__ void __launch_bounds__(TILE_THREADS)                         \
        motet_attention_forward_##width##_##name(type *out, float *lse, const type *q, \
                                                 const type *k, const type *v,         \
                                                 attention_spec spec, float scale) {   \
        attention<width>(out, lse, q, k, v, spec, scale);                              \
    }

ATTENTION_ENTRY(16, f32, float)
ATTENTION_ENTRY(32, f32, float)
ATTENTION_ENTRY(64, f32, float)
ATTENTION_ENTRY(128, f32, float)
ATTENTION_ENTRY(16, bf16, uint16_t)
ATTENTION_ENTRY(32, bf16, uint16_t)
ATTENTION_ENTRY(64, bf16, uint16_t)
ATTENTION_ENTRY(128, bf16, uint16_t)
