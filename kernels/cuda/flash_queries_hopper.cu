/* flash_queries_hopper: attention backward for sm_90a, dq: flash_backward.cu says what is computed,
 * flash_hopper.cuh by whom. Leaves {lse, delta} of each query, heads apart, for flash_keys_hopper.
 * Scores and slopes of a tile and, behind them, the sum over the tile before are on the tensor
 * cores together. Slopes stay in registers.
 */
#include "kernels/cuda/flash_hopper.cuh"

/* Scores to weights, for rows with this lse. */
template <int N>
ROW_INLINE void weights_of_queries(float (&s)[N][4], const float (&log_sum)[2], float scale) {
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int x = 0; x < 4; x++)
            s[n][x] = attention_exp2(fmaf(s[n][x], scale, -log_sum[x / 2]));
}

/* Weights to slopes; 0 for keys from seen on, counted from the lane's first column. */
template <bool MASKED, int N>
ROW_INLINE void slopes_of_queries(float (&s)[N][4], const float (&dp)[N][4],
                                  const float (&delta)[2], const int (&seen)[2], int j) {
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int x = 0; x < 4; x++) {
            const int h = x / 2;
            s[n][x] =
                MASKED && 8 * n + x % 2 >= seen[h] - j ? 0.0f : s[n][x] * (dp[n][x] - delta[h]);
        }
}

template <int W>
using key_ring = flash_ring<W, FLASH_HOPPER_KEY_TILE(W), FLASH_HOPPER_STAGES_TWICE>;
template <int W>
using value_ring = flash_ring<W, FLASH_HOPPER_KEY_TILE(W), FLASH_HOPPER_STAGES_ONCE>;

/* A warpgroup that computes, and its 64 queries. */
template <int W> struct queries_group {
    static constexpr int TILE = FLASH_HOPPER_KEY_TILE(W);
    static constexpr int HALF = TILE == 128 ? 64 : 0; /* keys that a product can do with */
    key_ring<W> key, kept;                            /* kept: a tile behind */
    value_ring<W> value;
    flash_turns turns;
    uint32_t queries, changes; /* addresses of q and dout */
    int all, seen[2]; /* keys that all queries see; that the lane's see, from its first column on */
    float log_sum[2], delta[2], scale;
    float sum[1][W / 8][4];

    /* Slopes of the first 8 N keys of the tile at j; meanwhile what those of the tile before make
     * of its keys, if this is not the first. */
    template <int N, bool FIRST>
    __device__ __forceinline__ void tile(uint32_t (&slopes)[N / 2][4],
                                         uint32_t (&before)[TILE / 16][4], int j) {
        float s[N][4], dp[N][4];
        key.wait();
        value.wait();
        turns.take();
        wgmma_hold(sum[0]);
        if (!FIRST) wgmma_hold(before);
        wgmma_start();
        flash_hopper_dots<W, TILE>(s, queries, key.tile());
        wgmma_commit();
        flash_hopper_dots<W, TILE>(dp, changes, value.tile());
        wgmma_commit();
        if (!FIRST) {
            flash_hopper_mix<W, TILE>(sum[0], before, kept.tile());
            wgmma_commit();
        }
        turns.pass();
        wgmma_wait<FIRST ? 1 : 2>();
        wgmma_hold(s);
        weights_of_queries(s, log_sum, scale);
        wgmma_wait<FIRST ? 0 : 1>();
        wgmma_hold(dp);
        value.leave();
        value.step();
        key.step();
        if (j + 8 * N > all)
            slopes_of_queries<true>(s, dp, delta, seen, j);
        else
            slopes_of_queries<false>(s, dp, delta, seen, j);
        if (!FIRST) {
            wgmma_wait<0>();
            wgmma_hold(sum[0]);
            wgmma_hold(before);
            kept.leave();
            kept.step();
        }
        flash_hopper_pack(slopes, s);
    }

    template <int K> __device__ __forceinline__ void keys(uint32_t (&slopes)[K][4]) {
        wgmma_hold(sum[0]);
        wgmma_hold(slopes);
        wgmma_start();
        flash_hopper_mix<W, TILE>(sum[0], slopes, kept.tile());
        wgmma_commit();
        wgmma_wait<0>();
        wgmma_hold(sum[0]);
    }

    /* end: keys that any of the queries sees, > 0. Of the last tile half will do, if it is so. */
    __device__ __forceinline__ void run(int end) {
        constexpr int N = TILE / 8;
        uint32_t slopes[N / 2][4], last[N / 4][4];
        if constexpr (HALF > 0) {
            if (end <= HALF) {
                tile<N / 2, true>(last, slopes, 0);
                keys(last);
                return;
            }
        }
        tile<N, true>(slopes, slopes, 0);
        int j = TILE;
#pragma unroll 1
        for (; end - j > HALF; j += TILE)
            tile<N, false>(slopes, slopes, j);
        if constexpr (HALF > 0) {
            if (j < end) {
                tile<N / 2, false>(last, slopes, j);
                keys(last);
                return;
            }
        }
        keys(slopes);
    }
};

template <int W> struct queries_block {
    static constexpr int TILE = FLASH_HOPPER_KEY_TILE(W);
    flash_hopper_block<W, 2> own; /* q, dout */
    int end;                      /* keys that any query of the block sees */
    key_ring<W> key;
    value_ring<W> value;

    __device__ __forceinline__ void start(const attention_place &at, int first) {
        static_assert(own.barrier_bytes + key.barrier_bytes + value.barrier_bytes <=
                          FLASH_HOPPER_BARRIER_BYTES,
                      "room for barriers");
        const uint32_t tiles = own.start(at, first, at.queries);
        own.barriers = tiles + key.all_bytes + value.all_bytes;
        key.start(tiles, own.barriers + own.barrier_bytes);
        value.start(tiles + key.all_bytes, key.barriers + key.barrier_bytes);
        if (threadIdx.x == 0) {
            own.start_barriers();
            key.start_barriers(1, 4 * own.groups);
            value.start_barriers(1, 4 * own.groups);
            tma_barriers_started();
        }
    }

    __device__ __forceinline__ void load(const tma_map &q, const tma_map &dout, const tma_map &k,
                                         const tma_map &v) {
        const int k0 = (int)own.at.k0;
        own.load(q, dout, own.at.q0);
#pragma unroll 1
        for (int j = 0; j < end; j += TILE) {
            key.fill_clean(k, own.column, k0 + j, end - j, own.at.keys - j, own.landed(0));
            value.fill(v, own.column, k0 + j, end - j);
        }
    }

    /* The lane's part of rowsum(dout * out) of one of its rows. */
    static __device__ __forceinline__ float delta_part(const uint16_t *out, uint32_t dout,
                                                       int row) {
        constexpr int columns = flash_hopper<W>::columns, in_panel = columns / 8;
        const int t = row_lane() & 3;
        float sum = 0.0f;
#pragma unroll
        for (int i = 0; i < W / 32; i++) {
            /* Of two rows side by side, lanes read other banks. */
            const int chunk = W == 32 ? t : t + ((i ^ row) & 1) * 4 + i / 2 * 8;
            const uint4 a = *(const uint4 *)(out + chunk * 8);
            const uint4 b =
                mma_read(dout + chunk / in_panel * FLASH_HOPPER_OWN * flash_hopper<W>::row_bytes +
                         flash_place<columns>(row, chunk % in_panel));
            const uint32_t left[4] = {a.x, a.y, a.z, a.w}, right[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
            for (int x = 0; x < 4; x++) {
                sum = fmaf(row_low(left[x]), row_low(right[x]), sum);
                sum = fmaf(row_high(left[x]), row_high(right[x]), sum);
            }
        }
        return sum;
    }

    __device__ __forceinline__ void compute(uint16_t *dq, float2 *stats, const uint16_t *out,
                                            const float *lse, const attention_spec &spec,
                                            int64_t all_queries, float scale, int group) const {
        const int warp = flash_warp() & 3, t = row_lane() & 3, g = row_lane() >> 2;
        const int mine = own.first + group * FLASH_HOPPER_OWN;
        queries_group<W> me = {key, key, value};
        me.queries = own.rows(0, group);
        me.changes = own.rows(1, group);
        me.all = attention_seen(spec, own.at, mine);
        me.scale = scale;
        me.turns.start(group, (own.seen(spec, 1 - group) + TILE - 1) / TILE);
        flash_clear(me.sum);
        own.wait(group);
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int row = 16 * warp + 8 * h + g, i = mine + row;
            const int64_t q = own.at.q0 + i;
            me.seen[h] = attention_seen(spec, own.at, i) - 2 * t;
            float delta = 0.0f;
            if (i < own.at.queries)
                delta = delta_part(out + q * spec.out_pitch + own.column, me.changes, row);
            me.delta[h] = flash_row_sum(delta);
            me.log_sum[h] = 0.0f;
            if (i < own.at.queries) {
                const float kept = lse[q * spec.heads + own.at.head];
                me.log_sum[h] = kept == -INFINITY ? INFINITY : kept * LOG2_E;
                if (t == 0)
                    stats[own.at.head * all_queries + q] = make_float2(me.log_sum[h], me.delta[h]);
            }
        }
        const int mine_end = own.seen(spec, group);
        if (mine_end > 0) me.run(mine_end);
        tma_meet(FLASH_HOPPER_MEET + group, 128); /* queries were read where the sums go */
        const float factor[1][2] = {{scale * LN_2, scale * LN_2}};
        own.leave(dq + own.at.q0 * spec.q_pitch, spec.q_pitch, own.at.queries, me.sum, factor, 0,
                  group);
    }
};

template <int W>
ROW_INLINE void flash_hopper_queries(uint16_t *dq, float2 *stats, const tma_map &dout,
                                     const uint16_t *out, const float *lse, const tma_map &q,
                                     const tma_map &k, const tma_map &v, const attention_spec &spec,
                                     int64_t all_queries, float scale) {
    queries_block<W> block;
    const attention_place at = attention_place_of(spec);
    const int first = (int)(gridDim.y - 1 - blockIdx.y) * FLASH_HOPPER_ROWS;
    if (first >= at.queries) return;
    block.end = attention_seen(spec, at, min(first + FLASH_HOPPER_ROWS, at.queries) - 1);
    block.start(at, first);
    __syncthreads();
    const int group = flash_warp() / 4 - 1;
    if (group < 0) {
        tma_give_registers<FLASH_HOPPER_LOAD_REGISTERS>();
        if (flash_warp() == 0) block.load(q, dout, k, v);
    } else {
        tma_take_registers<FLASH_HOPPER_COMPUTE_REGISTERS>();
        if (group < block.own.groups)
            block.compute(dq, stats, out, lse, spec, all_queries, scale, group);
    }
}

#define FLASH_HOPPER_ENTRY(width)                                                                  \
    extern "C" __global__ void __launch_bounds__(FLASH_HOPPER_THREADS, 1)                          \
        motet_flash_hopper_queries_##width(                                                        \
            uint16_t *dq, float2 *stats, const __grid_constant__ tma_map dout,                     \
            const uint16_t *out, const float *lse, const __grid_constant__ tma_map q,              \
            const __grid_constant__ tma_map k, const __grid_constant__ tma_map v,                  \
            const __grid_constant__ attention_spec spec, int64_t all_queries, float scale) {       \
        flash_hopper_queries<width>(dq, stats, dout, out, lse, q, k, v, spec, all_queries, scale); \
    }

FLASH_HOPPER_ENTRY(32)
FLASH_HOPPER_ENTRY(64)
FLASH_HOPPER_ENTRY(128)
