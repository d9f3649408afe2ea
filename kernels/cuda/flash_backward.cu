/* flash_backward: attention backward on tensor cores (kernels/attention.h; Dao 2023), bf16, W = 32,
 * 64, 128, rows at multiples of 16 bytes; without atomics. One kernel over queries makes dq, then
 * one over keys dk and dv; each computes the weights p = exp(s - lse) anew and from them the
 * slopes ds = p (dp - delta), delta = rowsum(dout * out). Both have their own rows as rows of the
 * scores (the second kernel's are transposed), so weights and slopes stay in registers, where they
 * are the next product's operand, rounded to bf16.
 *
 * The first kernel leaves {lse, delta} of each query, heads apart, for the second. lse is in base 2
 * as the scores are, and +infinity for a query that sees nothing: its weights are 0.
 */
#include "kernels/cuda/flash_tile.cuh"

#define CHUNK 32 /* of the other side's rows at a time */

/* dp[row of dout][key], s[query][key] of CHUNK keys: slopes into s. seen: keys of each row, from
 * the lane's first. */
template <bool MASKED, int M, int N>
ROW_INLINE void slopes_of_queries(float (&s)[M][N][4], const float (&dp)[M][N][4],
                                  const float (&log_sum)[M][2], const float (&delta)[M][2],
                                  const int (&seen)[M][2], float scale) {
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int x = 0; x < 4; x++) {
                const int h = x / 2;
                const float p = attention_exp2(fmaf(s[m][n][x], scale, -log_sum[m][h]));
                s[m][n][x] =
                    MASKED && 8 * n + x % 2 >= seen[m][h] ? 0.0f : p * (dp[m][n][x] - delta[m][h]);
            }
}

template <int W>
ROW_INLINE void flash_queries(uint16_t *dq, float2 *stats, const uint16_t *dout,
                              const uint16_t *out, const float *lse, const uint16_t *q,
                              const uint16_t *k, const uint16_t *v, const attention_spec &spec,
                              int64_t all_queries, float scale) {
    constexpr int ROWS = FLASH_QUERY_ROWS(W), M = ROWS / 64, OWN = 16 * M, N = CHUNK / 8;
    constexpr int TILE = FLASH_TILE(W), OWN_BYTES = ROWS * 2 * W, TILE_BYTES = TILE * 2 * W;
    static_assert(OWN_BYTES <= 2 * TILE_BYTES, "out comes by way of the second stage");
    const int warp = flash_warp(), t = row_lane() & 3, g = row_lane() >> 2;
    const attention_place at = attention_place_of(spec);
    const int first = (int)(gridDim.y - 1 - blockIdx.y) * ROWS;
    if (first >= at.queries) return;
    const int own = first + warp * OWN, column = at.head * W, left = at.queries - first;
    const uint32_t base = mma_address(flash_memory), ring = base + 2 * OWN_BYTES;
    const uint32_t warp_at = warp * OWN * 2 * W;
    const int end = attention_seen(spec, at, min(first + ROWS, at.queries) - 1);
    const int own_end =
        own < at.queries ? attention_seen(spec, at, min(own + OWN, at.queries) - 1) : 0;
    const int own_all = attention_seen(spec, at, own);

    uint32_t use = ring, fill = ring + 2 * TILE_BYTES;
    flash_source<W, ROWS> rows;
    flash_source<W, TILE> key, value;
    rows.start(q + (at.q0 + first) * spec.q_pitch + column, spec.q_pitch);
    rows.load(base, left);
    rows.start(dout + (at.q0 + first) * spec.out_pitch + column, spec.out_pitch);
    rows.load(base + OWN_BYTES, left);
    rows.start(out + (at.q0 + first) * spec.out_pitch + column, spec.out_pitch);
    rows.load(fill, left);
    mma_commit();
    key.start(k + at.k0 * spec.k_pitch + column, spec.k_pitch);
    value.start(v + at.k0 * spec.v_pitch + column, spec.v_pitch);
    if (end > 0) {
        key.load(use, at.keys);
        value.load(use + TILE_BYTES, at.keys);
    }
    mma_commit();
    mma_wait<1>();
    __syncthreads();

    uint32_t query_a[W / 16][M][4], change_a[W / 16][M][4];
    float log_sum[M][2], delta[M][2];
#pragma unroll
    for (int m = 0; m < M; m++)
        delta[m][0] = delta[m][1] = 0.0f;
#pragma unroll
    for (int i = 0; i < W / 16; i++) {
        uint32_t out_a[M][4];
        flash_own<W>(query_a[i], base + warp_at, i);
        flash_own<W>(change_a[i], base + OWN_BYTES + warp_at, i);
        flash_own<W>(out_a, fill + warp_at, i);
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int x = 0; x < 4; x++) {
                const uint32_t a = change_a[i][m][x], b = out_a[m][x];
                delta[m][x % 2] = fmaf(row_low(a), row_low(b), delta[m][x % 2]);
                delta[m][x % 2] = fmaf(row_high(a), row_high(b), delta[m][x % 2]);
            }
    }
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int i = own + 16 * m + 8 * h + g;
            delta[m][h] = flash_row_sum(delta[m][h]);
            log_sum[m][h] = 0.0f;
            if (i < at.queries) {
                const float kept = lse[(at.q0 + i) * spec.heads + at.head];
                log_sum[m][h] = kept == -INFINITY ? INFINITY : kept * LOG2_E;
                if (t == 0)
                    stats[at.head * all_queries + at.q0 + i] =
                        make_float2(log_sum[m][h], delta[m][h]);
            }
        }

    float sum[M][W / 8][4];
    flash_clear(sum);
#pragma unroll 1
    for (int j = 0; j < end; j += TILE) {
        mma_wait<0>();
        __syncthreads(); /* the tile is there for all, and all have left the one filled next */
        if (j + TILE < end) {
            key.load(fill, at.keys - j - TILE);
            value.load(fill + TILE_BYTES, at.keys - j - TILE);
        }
        mma_commit();
#pragma unroll 1
        for (int c = 0; c < TILE && j + c < own_end; c += CHUNK) {
            const uint32_t keys = use + c * 2 * W;
            float s[M][N][4], dp[M][N][4];
            int seen[M][2];
            flash_clear(s);
            flash_clear(dp);
#pragma unroll
            for (int i = 0; i < W / 16; i++) {
                flash_dots<W>(s, query_a[i], keys, i);
                flash_dots<W>(dp, change_a[i], keys + TILE_BYTES, i);
            }
#pragma unroll
            for (int m = 0; m < M; m++)
#pragma unroll
                for (int h = 0; h < 2; h++)
                    seen[m][h] = attention_seen(spec, at, own + 16 * m + 8 * h + g) - j - c - 2 * t;
            if (j + c + CHUNK > own_all)
                slopes_of_queries<true>(s, dp, log_sum, delta, seen, scale);
            else
                slopes_of_queries<false>(s, dp, log_sum, delta, seen, scale);
            flash_mix<W>(sum, s, keys);
        }
        const uint32_t used = use;
        use = fill;
        fill = used;
    }
    float factor[M][2];
#pragma unroll
    for (int m = 0; m < M; m++)
        factor[m][0] = factor[m][1] = scale * LN_2;
    __syncwarp(); /* queries were read where the sums go */
    if (own < at.queries)
        flash_leave<W>(dq + (at.q0 + own) * spec.q_pitch + column, sum, factor,
                       flash_memory + warp_at, at.queries - own, spec.q_pitch);
}

/* s[key][query], dp[key][query] of CHUNK queries: weights into s, slopes into dp. stats: of the
 * lane's first query. first: the query, counted from it, that first sees row 0 of the lane. */
template <bool MASKED, int M, int N>
ROW_INLINE void slopes_of_keys(float (&s)[M][N][4], float (&dp)[M][N][4], const float4 *stats,
                               int first, float scale) {
#pragma unroll
    for (int n = 0; n < N; n++) {
        const float4 two = stats[4 * n]; /* of two queries */
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int x = 0; x < 4; x++) {
                const float log_sum = x % 2 ? two.z : two.x, delta = x % 2 ? two.w : two.y;
                float p = attention_exp2(fmaf(s[m][n][x], scale, -log_sum));
                float slope = p * (dp[m][n][x] - delta);
                if (MASKED && 8 * n + x % 2 < first + 16 * m + x / 2 * 8) p = slope = 0.0f;
                s[m][n][x] = p;
                dp[m][n][x] = slope;
            }
    }
}

template <int W>
ROW_INLINE void flash_keys(uint16_t *dk, uint16_t *dv, const float2 *stats, const uint16_t *dout,
                           const uint16_t *q, const uint16_t *k, const uint16_t *v,
                           const attention_spec &spec, int64_t all_queries, float scale) {
    constexpr int ROWS = FLASH_KEY_ROWS(W), M = ROWS / 64, OWN = 16 * M, N = CHUNK / 8;
    constexpr int TILE = FLASH_TILE(W), OWN_BYTES = ROWS * 2 * W, TILE_BYTES = TILE * 2 * W;
    constexpr int STAGE = 2 * TILE_BYTES + TILE * 8;
    const int warp = flash_warp(), t = row_lane() & 3, g = row_lane() >> 2;
    const attention_place at = attention_place_of(spec);
    const int first = (int)blockIdx.y * ROWS; /* these keys are seen by most queries */
    if (first >= at.keys) return;
    const int own = first + warp * OWN, column = at.head * W;
    const int shift = at.keys - at.queries; /* query i sees keys up to i + shift, if causal */
    const uint32_t base = mma_address(flash_memory), warp_at = warp * OWN * 2 * W;
    const uint32_t own_keys = base + warp_at, own_values = own_keys + OWN_BYTES;
    /* The first query that sees any of these keys, down to a tile's edge. */
    const int from = spec.causal ? max(0, first - shift) / TILE * TILE : 0;

    flash_source<W, ROWS> rows;
    flash_source<W, TILE> query, change;
    rows.start(k + (at.k0 + first) * spec.k_pitch + column, spec.k_pitch);
    rows.load(base, at.keys - first);
    rows.start(v + (at.k0 + first) * spec.v_pitch + column, spec.v_pitch);
    rows.load(base + OWN_BYTES, at.keys - first);
    query.start(q + (at.q0 + from) * spec.q_pitch + column, spec.q_pitch);
    change.start(dout + (at.q0 + from) * spec.out_pitch + column, spec.out_pitch);
    stats += at.head * all_queries + at.q0;
    int use = 2 * OWN_BYTES, fill = use + STAGE; /* from base */
    if (from < at.queries) {
        query.load(base + use, at.queries - from);
        change.load(base + use + TILE_BYTES, at.queries - from);
        if ((int)threadIdx.x < TILE)
            mma_copy_half(base + use + 2 * TILE_BYTES + threadIdx.x * 8, stats + from + threadIdx.x,
                          from + (int)threadIdx.x < at.queries);
    }
    mma_commit();

    float dkey[M][W / 8][4], dvalue[M][W / 8][4];
    flash_clear(dkey);
    flash_clear(dvalue);
#pragma unroll 1
    for (int j = from; j < at.queries; j += TILE) {
        mma_wait<0>();
        __syncthreads(); /* the tile is there for all, and all have left the one filled next */
        const int next = j + TILE + threadIdx.x;
        if (j + TILE < at.queries) {
            query.load(base + fill, at.queries - j - TILE);
            change.load(base + fill + TILE_BYTES, at.queries - j - TILE);
            if ((int)threadIdx.x < TILE)
                mma_copy_half(base + fill + 2 * TILE_BYTES + threadIdx.x * 8, stats + next,
                              next < at.queries);
        }
        mma_commit();
#pragma unroll 1
        for (int c = 0; c < TILE && j + c < at.queries; c += CHUNK) {
            if (own >= at.keys || (spec.causal && j + c + CHUNK - 1 + shift < own)) continue;
            const uint32_t queries = base + use + c * 2 * W, changes = queries + TILE_BYTES;
            const float4 *const pairs =
                (const float4 *)(flash_memory + use + 2 * TILE_BYTES + c * 8) + t;
            float s[M][N][4], dp[M][N][4];
            flash_clear(s);
            flash_clear(dp);
#pragma unroll
            for (int i = 0; i < W / 16; i++) {
                uint32_t a[M][4];
                flash_own<W>(a, own_keys, i);
                flash_dots<W>(s, a, queries, i);
                flash_own<W>(a, own_values, i);
                flash_dots<W>(dp, a, changes, i);
            }
            const int sees = own + g - shift - (j + c) - 2 * t;
            if (spec.causal && j + c + shift < own + OWN - 1)
                slopes_of_keys<true>(s, dp, pairs, sees, scale);
            else
                slopes_of_keys<false>(s, dp, pairs, sees, scale);
            flash_mix<W>(dvalue, s, changes);
            flash_mix<W>(dkey, dp, queries);
        }
        const int used = use;
        use = fill;
        fill = used;
    }
    if (from >= at.queries) { /* no tile was waited for */
        mma_wait<0>();
        __syncthreads();
    }
    __syncwarp(); /* keys and values were read where the sums go */
    if (own >= at.keys) return;
    float factor[M][2];
#pragma unroll
    for (int m = 0; m < M; m++)
        factor[m][0] = factor[m][1] = scale * LN_2;
    flash_leave<W>(dk + (at.k0 + own) * spec.k_pitch + column, dkey, factor, flash_memory + warp_at,
                   at.keys - own, spec.k_pitch);
#pragma unroll
    for (int m = 0; m < M; m++)
        factor[m][0] = factor[m][1] = 1.0f;
    flash_leave<W>(dv + (at.k0 + own) * spec.v_pitch + column, dvalue, factor,
                   flash_memory + OWN_BYTES + warp_at, at.keys - own, spec.v_pitch);
}

#define FLASH_ENTRIES(width)                                                                      \
    extern "C" __global__ void __launch_bounds__(FLASH_THREADS, 2) motet_flash_queries_##width(   \
        uint16_t *dq, float2 *stats, const uint16_t *dout, const uint16_t *out, const float *lse, \
        const uint16_t *q, const uint16_t *k, const uint16_t *v,                                  \
        const __grid_constant__ attention_spec spec, int64_t all_queries, float scale) {          \
        flash_queries<width>(dq, stats, dout, out, lse, q, k, v, spec, all_queries, scale);       \
    }                                                                                             \
    extern "C" __global__ void __launch_bounds__(FLASH_THREADS, 2) motet_flash_keys_##width(      \
        uint16_t *dk, uint16_t *dv, const float2 *stats, const uint16_t *dout, const uint16_t *q, \
        const uint16_t *k, const uint16_t *v, const __grid_constant__ attention_spec spec,        \
        int64_t all_queries, float scale) {                                                       \
        flash_keys<width>(dk, dv, stats, dout, q, k, v, spec, all_queries, scale);                \
    }

FLASH_ENTRIES(32)
FLASH_ENTRIES(64)
FLASH_ENTRIES(128)
