/* flash_keys_hopper: attention backward for sm_90a, dk and dv: flash_backward.cu says what is
 * computed, flash_hopper.cuh by whom. Scores are transposed: own rows are keys. Weights and slopes
 * stay in registers.
 */
#include "kernels/cuda/flash_hopper.cuh"

/* s[key][query]: scores to weights, and with dp to slopes. stats: of the lane's first query. */
template <int N> ROW_INLINE void weights_of_keys(float (&s)[N][4], uint32_t stats, float scale) {
#pragma unroll
    for (int n = 0; n < N; n++) {
        const uint4 two = mma_read(stats + 64 * n); /* of two queries */
#pragma unroll
        for (int x = 0; x < 4; x++)
            s[n][x] = attention_exp2(fmaf(s[n][x], scale, -__uint_as_float(x % 2 ? two.z : two.x)));
    }
}
template <int N>
ROW_INLINE void slopes_of_keys(float (&dp)[N][4], const float (&s)[N][4], uint32_t stats) {
#pragma unroll
    for (int n = 0; n < N; n++) {
        const uint4 two = mma_read(stats + 64 * n);
#pragma unroll
        for (int x = 0; x < 4; x++)
            dp[n][x] = s[n][x] * (dp[n][x] - __uint_as_float(x % 2 ? two.w : two.y));
    }
}

template <int W>
using query_ring = flash_ring<W, FLASH_HOPPER_QUERY_TILE, FLASH_HOPPER_STAGES_TWICE>;

/* A warpgroup that computes, and its 64 keys. */
template <int W> struct keys_group {
    static constexpr int TILE = FLASH_HOPPER_QUERY_TILE, N = TILE / 8;
    /* What a tile adds to dk waits for the next tile's scores, where registers allow. */
    static constexpr bool AHEAD = W < 128;
    query_ring<W> query, kept, change; /* kept: a tile behind, if AHEAD */
    flash_turns turns;
    uint32_t keys, values, stats; /* addresses; stats: of the lane's first query, stage 0 */
    float dkey[1][W / 8][4], dvalue[1][W / 8][4];

    __device__ __forceinline__ void leave(query_ring<W> &ring) {
        __syncwarp(); /* all lanes have read their stats */
        ring.leave();
        ring.step();
    }

    __device__ __forceinline__ void add_to_dkey(uint32_t (&slopes)[N / 2][4], uint32_t tile) {
        wgmma_hold(slopes);
        wgmma_hold(dkey[0]);
        wgmma_start();
        flash_hopper_mix<W, TILE>(dkey[0], slopes, tile);
        wgmma_commit();
    }
    __device__ __forceinline__ void finish_dkey(uint32_t (&slopes)[N / 2][4]) {
        add_to_dkey(slopes, AHEAD ? kept.tile() : query.tile());
        wgmma_wait<0>();
        wgmma_hold(dkey[0]);
        wgmma_hold(slopes);
    }

    /* slopes: of the tile before, if not FIRST and AHEAD; on return of this one. hidden: queries of
     * the tile, from the lane's first column on, that do not see its first row; clear: all rows are
     * seen by all. */
    template <bool FIRST>
    __device__ __forceinline__ void tile(uint32_t (&slopes)[N / 2][4], int hidden, bool clear,
                                         float scale) {
        constexpr bool BEHIND = AHEAD && !FIRST;
        float s[N][4], dp[N][4];
        uint32_t weights[N / 2][4];
        const uint32_t stats_here = stats + query.stage * (TILE * 8);
        query.wait();
        change.wait();
        turns.take();
        wgmma_start();
        flash_hopper_dots<W, TILE>(s, keys, query.tile());
        wgmma_commit();
        flash_hopper_dots<W, TILE>(dp, values, change.tile());
        wgmma_commit();
        if (BEHIND) add_to_dkey(slopes, kept.tile());
        turns.pass();
        wgmma_wait<BEHIND ? 2 : 1>();
        wgmma_hold(s);
        weights_of_keys(s, stats_here, scale);
        if (!clear) {
#pragma unroll
            for (int n = 0; n < N; n++)
#pragma unroll
                for (int x = 0; x < 4; x++)
                    if (8 * n + x % 2 < hidden + x / 2 * 8) s[n][x] = 0.0f;
        }
        flash_hopper_pack(weights, s);
        wgmma_hold(weights);
        wgmma_hold(dvalue[0]);
        wgmma_start();
        flash_hopper_mix<W, TILE>(dvalue[0], weights, change.tile());
        wgmma_commit();
        wgmma_wait<1>();
        wgmma_hold(dp);
        if (BEHIND) {
            wgmma_hold(dkey[0]);
            wgmma_hold(slopes);
            leave(kept);
        }
        slopes_of_keys(dp, s, stats_here);
        flash_hopper_pack(slopes, dp);
        if (!AHEAD) finish_dkey(slopes);
        wgmma_wait<0>();
        wgmma_hold(dvalue[0]);
        wgmma_hold(weights);
        leave(change);
        if (AHEAD)
            query.step();
        else
            leave(query);
    }
};

template <int W> struct keys_block {
    static constexpr int TILE = FLASH_HOPPER_QUERY_TILE, STATS_BYTES = TILE * 8;
    flash_hopper_block<W, 2> own; /* k, v */
    int from; /* the first query that sees any of the keys, down to a tile's edge */
    uint32_t stats_at;
    query_ring<W> query, change;

    __device__ __forceinline__ void start(const attention_place &at, int first) {
        static_assert(own.barrier_bytes + 2 * query.barrier_bytes <= FLASH_HOPPER_BARRIER_BYTES,
                      "room for barriers");
        const uint32_t tiles = own.start(at, first, at.keys);
        stats_at = tiles + 2 * query.all_bytes;
        own.barriers = stats_at + FLASH_HOPPER_STAGES_TWICE * STATS_BYTES;
        query.start(tiles, own.barriers + own.barrier_bytes);
        change.start(tiles + query.all_bytes, query.barriers + query.barrier_bytes);
        if (threadIdx.x == 0) {
            own.start_barriers();
            /* Full: TMA's bytes, and each lane's copies of stats. */
            query.start_barriers(1 + 32, 4 * own.groups);
            change.start_barriers(1, 4 * own.groups);
            tma_barriers_started();
        }
    }

    /* The first query that sees any of a warpgroup's keys, down to a tile's edge. */
    __device__ __forceinline__ int from_of(const attention_spec &spec, int group) const {
        const int shift = own.at.keys - own.at.queries;
        const int mine = own.first + group * FLASH_HOPPER_OWN;
        return spec.causal ? max(0, mine - shift) / TILE * TILE : 0;
    }
    __device__ __forceinline__ int tiles(const attention_spec &spec, int group) const {
        const int left = own.at.queries - from_of(spec, group);
        return group < own.groups ? (max(left, 0) + TILE - 1) / TILE : 0;
    }

    /* stats: of the sequence's first query. */
    __device__ __forceinline__ void load(const tma_map &k, const tma_map &v, const tma_map &q,
                                         const tma_map &dout, const float2 *stats) {
        const int q0 = (int)own.at.q0;
        own.load(k, v, own.at.k0);
#pragma unroll 1
        for (int j = from; j < own.at.queries; j += TILE) {
            const int left = own.at.queries - j;
            const uint32_t full = query.full(), at = stats_at + query.stage * STATS_BYTES;
            query.fill_clean(q, own.column, q0 + j, TILE, left, own.landed(0));
#pragma unroll
            for (int i = row_lane(); i < TILE; i += 32)
                mma_copy_half(at + 8 * i, stats + j + i, i < left);
            tma_arrive_with_copies(full);
            change.fill_clean(dout, own.column, q0 + j, TILE, left, own.landed(1));
        }
    }

    __device__ __forceinline__ void compute(uint16_t *dk, uint16_t *dv, const attention_spec &spec,
                                            float scale, int group) const {
        const int warp = flash_warp() & 3, t = row_lane() & 3, g = row_lane() >> 2;
        const int mine = own.first + group * FLASH_HOPPER_OWN;
        const int shift =
            own.at.keys - own.at.queries; /* query i sees keys to i + shift, if causal */
        keys_group<W> me = {query, query, change};
        me.keys = own.rows(0, group);
        me.values = own.rows(1, group);
        me.stats = stats_at + 16 * t;
        me.turns.start(group, tiles(spec, 1 - group));
        flash_clear(me.dkey);
        flash_clear(me.dvalue);
        own.wait(group);
        const int mine_from = from_of(spec, group);
        for (int j = from; j < mine_from; j += TILE) {
            me.leave(me.kept);
            me.leave(me.change);
            me.query.step();
        }
        if (mine_from < own.at.queries) {
            uint32_t slopes[TILE / 16][4];
            const int hidden = mine + 16 * warp + g - shift - 2 * t; /* of the sequence's queries */
            const int clear =
                spec.causal ? mine + FLASH_HOPPER_OWN - 1 - shift : 0; /* from here on */
            me.template tile<true>(slopes, hidden - mine_from, mine_from >= clear, scale);
#pragma unroll 1
            for (int j = mine_from + TILE; j < own.at.queries; j += TILE)
                me.template tile<false>(slopes, hidden - j, j >= clear, scale);
            if (me.AHEAD) me.finish_dkey(slopes);
        }
        tma_meet(FLASH_HOPPER_MEET + group, 128); /* keys and values were read where the sums go */
        const float factor[1][2] = {{scale * LN_2, scale * LN_2}}, one[1][2] = {{1.0f, 1.0f}};
        own.leave(dk + own.at.k0 * spec.k_pitch, spec.k_pitch, own.at.keys, me.dkey, factor, 0,
                  group);
        own.leave(dv + own.at.k0 * spec.v_pitch, spec.v_pitch, own.at.keys, me.dvalue, one, 1,
                  group);
    }
};

template <int W>
ROW_INLINE void flash_hopper_keys(uint16_t *dk, uint16_t *dv, const float2 *stats,
                                  const tma_map &dout, const tma_map &q, const tma_map &k,
                                  const tma_map &v, const attention_spec &spec, int64_t all_queries,
                                  float scale) {
    keys_block<W> block;
    const attention_place at = attention_place_of(spec);
    const int first = (int)blockIdx.y * FLASH_HOPPER_ROWS; /* these keys are seen by most queries */
    if (first >= at.keys) return;
    block.start(at, first);
    block.from = block.from_of(spec, 0);
    __syncthreads();
    const int group = flash_warp() / 4 - 1;
    if (group < 0) {
        tma_give_registers<FLASH_HOPPER_LOAD_REGISTERS>();
        if (flash_warp() == 0) block.load(k, v, q, dout, stats + at.head * all_queries + at.q0);
    } else {
        tma_take_registers<FLASH_HOPPER_COMPUTE_REGISTERS>();
        if (group < block.own.groups) block.compute(dk, dv, spec, scale, group);
    }
}

#define FLASH_HOPPER_ENTRY(width)                                                                  \
    extern "C" __global__ void __launch_bounds__(FLASH_HOPPER_THREADS, 1)                          \
        motet_flash_hopper_keys_##width(                                                           \
            uint16_t *dk, uint16_t *dv, const float2 *stats, const __grid_constant__ tma_map dout, \
            const __grid_constant__ tma_map q, const __grid_constant__ tma_map k,                  \
            const __grid_constant__ tma_map v, const __grid_constant__ attention_spec spec,        \
            int64_t all_queries, float scale) {                                                    \
        flash_hopper_keys<width>(dk, dv, stats, dout, q, k, v, spec, all_queries, scale);          \
    }

FLASH_HOPPER_ENTRY(32)
FLASH_HOPPER_ENTRY(64)
FLASH_HOPPER_ENTRY(128)
