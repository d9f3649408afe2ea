/* flash: attention forward on tensor cores (kernels/attention.h; Dao 2023), bf16, W = 32, 64, 128,
 * rows at multiples of 16 bytes. A block has 64 or 128 queries of a head, a warp 16 or 32 of them;
 * tiles of 64 keys (or 32) and values come by cp.async, one ahead. The weights stay in registers,
 * where they are the next product's operand.
 *
 * lse errs by the rounding of f32 sums; out by that of weights (2^-9 each) and of itself.
 */
#include "kernels/cuda/flash_rows.cuh"
#include "kernels/cuda/flash_tile.cuh"

template <int W, int M>
ROW_INLINE void flash_forward(uint16_t *out, float *lse, const uint16_t *q, const uint16_t *k,
                              const uint16_t *v, const attention_spec &spec, float scale) {
    constexpr int ROWS = 64 * M, OWN = 16 * M, KEYS = FLASH_KEYS(W, ROWS), N = KEYS / 8;
    constexpr int QUERY_BYTES = ROWS * 2 * W, TILE_BYTES = KEYS * 2 * W;
    constexpr bool STAYS = W * M <= 128; /* queries, in registers */
    const int warp = flash_warp(), t = row_lane() & 3, g = row_lane() >> 2;
    const attention_place at = attention_place_of(spec);
    /* Last queries first: under a causal mask they take the longest. */
    const int first = (int)(gridDim.y - 1 - blockIdx.y) * ROWS;
    if (first >= at.queries) return;
    const int own = first + warp * OWN, column = at.head * W;
    const uint32_t base = mma_address(flash_memory), ring = base + QUERY_BYTES;
    const uint32_t queries = base + warp * OWN * 2 * W;
    const int end = attention_seen(spec, at, min(first + ROWS, at.queries) - 1);
    /* Of the warp: keys that any of its queries sees, keys that all of them see. */
    const int own_end =
        own < at.queries ? attention_seen(spec, at, min(own + OWN, at.queries) - 1) : 0;
    const int own_all = attention_seen(spec, at, own);

    flash_source<W, ROWS> query;
    flash_source<W, KEYS> key, value;
    query.start(q + (at.q0 + first) * spec.q_pitch + column, spec.q_pitch);
    key.start(k + at.k0 * spec.k_pitch + column, spec.k_pitch);
    value.start(v + at.k0 * spec.v_pitch + column, spec.v_pitch);
    query.load(base, at.queries - first);
    mma_commit();
    if (end > 0) {
        key.load(ring, at.keys);
        value.load(ring + TILE_BYTES, at.keys);
    }
    mma_commit();
    if (STAYS || end <= 0) { /* else the first tile's turn will do */
        mma_wait<1>();
        __syncthreads();
    }
    uint32_t query_a[STAYS ? W / 16 : 1][M][4];
    if (STAYS) {
#pragma unroll
        for (int i = 0; i < W / 16; i++)
            flash_own<W>(query_a[STAYS ? i : 0], queries, i);
    }

    flash_rows<W, M> rows;
    rows.start();
    uint32_t use = ring, fill = ring + 2 * TILE_BYTES;
#pragma unroll 1
    for (int j = 0; j < end; j += KEYS) {
        mma_wait<0>();
        __syncthreads(); /* the tile is there for all, and all have left the one filled next */
        if (j + KEYS < end) {
            key.load(fill, at.keys - j - KEYS);
            value.load(fill + TILE_BYTES, at.keys - j - KEYS);
        }
        mma_commit();
        if (j < own_end) {
            float s[M][N][4];
            flash_clear(s);
#pragma unroll
            for (int i = 0; i < W / 16; i++) {
                if (!STAYS) flash_own<W>(query_a[0], queries, i);
                flash_dots<W>(s, query_a[STAYS ? i : 0], use, i);
            }
            if (j + KEYS > own_all) {
#pragma unroll
                for (int m = 0; m < M; m++)
#pragma unroll
                    for (int h = 0; h < 2; h++) {
                        const int seen =
                            attention_seen(spec, at, own + 16 * m + 8 * h + g) - j - 2 * t;
#pragma unroll
                        for (int n = 0; n < N; n++) {
                            if (8 * n >= seen) s[m][n][2 * h] = -INFINITY;
                            if (8 * n + 1 >= seen) s[m][n][2 * h + 1] = -INFINITY;
                        }
                    }
            }
            float factor[M][2];
            const bool grown = rows.raise(s, factor, scale);
            if (grown) rows.rescale(factor);
            rows.weigh(s, scale);
            flash_mix<W>(rows.sum, s, use + TILE_BYTES);
        }
        const uint32_t used = use;
        use = fill;
        fill = used;
    }

    float factor[M][2];
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int i = own + 16 * m + 8 * h + g;
            const float all = flash_row_sum(rows.total[m][h]);
            const bool any = attention_seen(spec, at, i) > 0;
            factor[m][h] = any ? 1.0f / all : 0.0f;
            if (lse && t == 0 && i < at.queries)
                lse[(at.q0 + i) * spec.heads + at.head] =
                    any ? (rows.top[m][h] + log2f(all)) * LN_2 : -INFINITY;
        }
    __syncwarp(); /* queries were read where the sums go */
    if (own < at.queries)
        flash_leave<W>(out + (at.q0 + own) * spec.out_pitch + column, rows.sum, factor,
                       flash_memory + warp * OWN * 2 * W, at.queries - own, spec.out_pitch);
}

#define FLASH_ENTRY(width, rows, blocks)                                                        \
    extern "C" __global__ void __launch_bounds__(FLASH_THREADS, blocks)                         \
        motet_flash_forward_##width##_##rows(                                                   \
            uint16_t *out, float *lse, const uint16_t *q, const uint16_t *k, const uint16_t *v, \
            const __grid_constant__ attention_spec spec, float scale) {                         \
        flash_forward<width, rows / 64>(out, lse, q, k, v, spec, scale);                        \
    }

FLASH_ENTRY(32, 64, 3)
FLASH_ENTRY(64, 64, 3)
FLASH_ENTRY(128, 64, 2)
FLASH_ENTRY(32, 128, 2)
FLASH_ENTRY(64, 128, 2)
FLASH_ENTRY(128, 128, 2)
