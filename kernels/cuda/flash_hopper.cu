/* flash_hopper: attention forward for sm_90a (kernels/attention.h; Shah et al. 2024), bf16, W = 32,
 * 64, 128, rows at multiples of 16 bytes; flash_hopper.cuh says who does what. The scores of a tile
 * and, behind them, the values of the tile before are on the tensor cores together; while these add
 * up the values, the warpgroup is at the exponentials of the scores. Weights stay in registers.
 */
#include "kernels/cuda/flash_hopper.cuh"
#include "kernels/cuda/flash_rows.cuh"

#define KEYS FLASH_HOPPER_KEYS
#define HALF (KEYS / 2)

template <int W> using forward_ring = flash_ring<W, KEYS, FLASH_HOPPER_STAGES(W)>;

/* A warpgroup that computes, and its 64 queries. */
template <int W> struct forward_group {
    forward_ring<W> key, value;
    flash_rows<W, 1> rows;
    flash_turns turns;
    uint32_t queries; /* address */
    int all, seen[2]; /* keys that all queries see; that the lane's see, from its first column on */
    float scale;

    /* Weights of the first 8 N keys of the tile at j; meanwhile the values of the one before, if
     * this is not the first. */
    template <int N, bool FIRST>
    __device__ __forceinline__ void tile(uint32_t (&weights)[N / 2][4],
                                         uint32_t (&before)[KEYS / 16][4], int j) {
        float s[1][N][4], factor[1][2];
        key.wait();
        turns.take();
        wgmma_hold(rows.sum[0]);
        if (!FIRST) wgmma_hold(before);
        wgmma_start();
        flash_hopper_dots<W, KEYS>(s[0], queries, key.tile());
        wgmma_commit();
        if (!FIRST) {
            value.wait();
            wgmma_start();
            flash_hopper_mix<W, KEYS>(rows.sum[0], before, value.tile());
            wgmma_commit();
        }
        turns.pass();
        wgmma_wait<!FIRST>();
        wgmma_hold(s[0]);
        key.leave();
        key.step();
        if (j + 8 * N > all) {
#pragma unroll
            for (int n = 0; n < N; n++)
#pragma unroll
                for (int x = 0; x < 4; x++)
                    if (8 * n + x % 2 >= seen[x / 2] - j) s[0][n][x] = -INFINITY;
        }
        const bool grown = rows.raise(s, factor, scale);
        rows.weigh(s, scale);
        if (!FIRST) {
            wgmma_wait<0>();
            wgmma_hold(rows.sum[0]);
            wgmma_hold(before);
            value.leave();
            value.step();
            if (grown) rows.rescale(factor);
        }
        flash_hopper_pack(weights, s[0]);
    }

    template <int K> __device__ __forceinline__ void values(uint32_t (&weights)[K][4]) {
        value.wait();
        wgmma_hold(rows.sum[0]);
        wgmma_hold(weights);
        wgmma_start();
        flash_hopper_mix<W, KEYS>(rows.sum[0], weights, value.tile());
        wgmma_commit();
        wgmma_wait<0>();
        wgmma_hold(rows.sum[0]);
    }

    /* end: keys that any of the queries sees, > 0. Of the last tile half will do, if it is so. */
    __device__ __forceinline__ void run(int end) {
        constexpr int N = KEYS / 8;
        uint32_t weights[KEYS / 16][4], last[HALF / 16][4];
        if (end <= HALF) {
            tile<N / 2, true>(last, weights, 0);
            values(last);
            return;
        }
        tile<N, true>(weights, weights, 0);
        int j = KEYS;
#pragma unroll 1
        for (; end - j > HALF; j += KEYS)
            tile<N, false>(weights, weights, j);
        if (j >= end) {
            values(weights);
        } else {
            tile<N / 2, false>(last, weights, j);
            values(last);
        }
    }
};

template <int W> struct forward_block {
    flash_hopper_block<W, 1> own;
    int end; /* keys that any query of the block sees */
    forward_ring<W> key, value;

    __device__ __forceinline__ void start(const attention_place &at, int first) {
        static_assert(own.barrier_bytes + 2 * key.barrier_bytes <= FLASH_HOPPER_BARRIER_BYTES,
                      "room for barriers");
        const uint32_t tiles = own.start(at, first, at.queries);
        own.barriers = tiles + 2 * key.all_bytes;
        key.start(tiles, own.barriers + own.barrier_bytes);
        value.start(tiles + key.all_bytes, key.barriers + key.barrier_bytes);
        if (threadIdx.x == 0) {
            own.start_barriers();
            key.start_barriers(1, 4 * own.groups);
            value.start_barriers(1, 4 * own.groups);
            tma_barriers_started();
        }
    }

    __device__ __forceinline__ void load(const tma_map &q, const tma_map &k, const tma_map &v) {
        const int k0 = (int)own.at.k0;
        own.load(q, q, own.at.q0);
        if (end > 0) key.fill(k, own.column, k0, end);
#pragma unroll 1
        for (int j = 0; j < end; j += KEYS) {
            if (j + KEYS < end) key.fill(k, own.column, k0 + j + KEYS, end - j - KEYS);
            value.fill_clean(v, own.column, k0 + j, end - j, own.at.keys - j, own.landed(0));
        }
    }

    __device__ __forceinline__ void compute(uint16_t *out, float *lse, const attention_spec &spec,
                                            float scale, int group) const {
        const int warp = flash_warp() & 3, t = row_lane() & 3, g = row_lane() >> 2;
        const int mine = own.first + group * FLASH_HOPPER_OWN;
        forward_group<W> me = {key, value};
        me.queries = own.rows(0, group);
        me.all = attention_seen(spec, own.at, mine);
        me.scale = scale;
#pragma unroll
        for (int h = 0; h < 2; h++)
            me.seen[h] = attention_seen(spec, own.at, mine + 16 * warp + 8 * h + g) - 2 * t;
        me.turns.start(group, (own.seen(spec, 1 - group) + KEYS - 1) / KEYS);
        me.rows.start();
        own.wait(group);
        const int mine_end = own.seen(spec, group);
        if (mine_end > 0) me.run(mine_end);

        float factor[1][2];
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int i = mine + 16 * warp + 8 * h + g;
            const float total = flash_row_sum(me.rows.total[0][h]);
            const bool any = attention_seen(spec, own.at, i) > 0;
            factor[0][h] = any ? 1.0f / total : 0.0f;
            if (lse && t == 0 && i < own.at.queries)
                lse[(own.at.q0 + i) * spec.heads + own.at.head] =
                    any ? (me.rows.top[0][h] + log2f(total)) * LN_2 : -INFINITY;
        }
        tma_meet(FLASH_HOPPER_MEET + group, 128); /* queries were read where the sums go */
        own.leave(out + own.at.q0 * spec.out_pitch, spec.out_pitch, own.at.queries, me.rows.sum,
                  factor, 0, group);
    }
};

template <int W>
ROW_INLINE void flash_hopper_forward(uint16_t *out, float *lse, const tma_map &q, const tma_map &k,
                                     const tma_map &v, const attention_spec &spec, float scale) {
    forward_block<W> block;
    const attention_place at = attention_place_of(spec);
    /* Last queries first: under a causal mask they take the longest. */
    const int first = (int)(gridDim.y - 1 - blockIdx.y) * FLASH_HOPPER_ROWS;
    if (first >= at.queries) return;
    block.start(at, first);
    block.end = attention_seen(spec, at, min(first + FLASH_HOPPER_ROWS, at.queries) - 1);
    __syncthreads();
    const int group = flash_warp() / 4 - 1;
    if (group < 0) {
        tma_give_registers<FLASH_HOPPER_LOAD_REGISTERS>();
        if (flash_warp() == 0) block.load(q, k, v);
    } else {
        tma_take_registers<FLASH_HOPPER_COMPUTE_REGISTERS>();
        if (group < block.own.groups) block.compute(out, lse, spec, scale, group);
    }
}

#define FLASH_HOPPER_ENTRY(width)                                                 \
    extern "C" __global__ void __launch_bounds__(FLASH_HOPPER_THREADS, 1)         \
        motet_flash_hopper_forward_##width(                                       \
            uint16_t *out, float *lse, const __grid_constant__ tma_map q,         \
            const __grid_constant__ tma_map k, const __grid_constant__ tma_map v, \
            const __grid_constant__ attention_spec spec, float scale) {           \
        flash_hopper_forward<width>(out, lse, q, k, v, spec, scale);              \
    }

FLASH_HOPPER_ENTRY(32)
FLASH_HOPPER_ENTRY(64)
FLASH_HOPPER_ENTRY(128)
