/* attention_short: forward over memories of at most 256 keys, bidirectional (kernels/attention.h),
 * bf16, W = 32, 64, 128, rows at multiples of 16 bytes.
 *
 * A block has one head of one sequence: all its keys and values, loaded once, stay in shared memory
 * while the block's queries stream past. Each warp goes its own way, 16 or 32 queries at a time,
 * and never waits for the others: the queries after come by cp.async while these are worked on. So
 * all that moves is queries in and results out. Softmax and rounding are flash's (flash_rows), and
 * a row's bits depend neither on the number of blocks nor on which rows share its tile.
 */
#include "kernels/cuda/attention_short.h"
#include "kernels/cuda/flash_rows.cuh"
#include "kernels/cuda/flash_tile.cuh"

/* The next rows of queries of the warp, zeros behind the last of `left`. */
template <int W, int OWN>
ROW_INLINE void short_load(uint32_t tile, const uint16_t *from, int64_t pitch, int left) {
    constexpr int PER_ROW = W / 8, STEP = 32 / PER_ROW;
    const int row = row_lane() / PER_ROW, chunk = row_lane() % PER_ROW;
    from += row * pitch + chunk * 8;
#pragma unroll
    for (int i = 0; i < OWN; i += STEP)
        mma_copy(tile + flash_place<W>(row + i, chunk), from + i * pitch, row + i < left);
}

template <int W, int M>
ROW_INLINE void short_forward(uint16_t *out, float *lse, const uint16_t *q, const uint16_t *k,
                              const uint16_t *v, const attention_spec &spec, float scale) {
    constexpr int OWN = 16 * M, OWN_BYTES = OWN * 2 * W;
    constexpr int KEYS = SHORT_KEYS(W), N = KEYS / 8, TILE_BYTES = KEYS * 2 * W;
    static_assert(SHORT_THREADS == FLASH_THREADS, "flash_source's");
    const attention_place at = attention_place_of(spec);
    const int warp = flash_warp(), t = row_lane() & 3, g = row_lane() >> 2, column = at.head * W;
    /* Each block has as many rounds of its warps, but for the last ones. */
    const int tiles = (at.queries + OWN - 1) / OWN, blocks = (int)gridDim.y * SHORT_WARPS;
    const int share = (tiles + blocks - 1) / blocks * SHORT_WARPS, start = (int)blockIdx.y * share;
    const int last = min(tiles, start + share);
    if (start >= last) return;

    unsigned char *const own_memory = flash_memory + warp * 2 * OWN_BYTES;
    const uint32_t own = mma_address(own_memory);
    const uint32_t keys = mma_address(flash_memory) + SHORT_WARPS * 2 * OWN_BYTES;
    const uint32_t values = keys + SHORT_PADDED(W, at.keys) * 2 * W;
    flash_source<W, KEYS> key, value;
    key.start(k + at.k0 * spec.k_pitch + column, spec.k_pitch);
    value.start(v + at.k0 * spec.v_pitch + column, spec.v_pitch);
#pragma unroll 1
    for (int j = 0, tile = 0; j < at.keys; j += KEYS, tile += TILE_BYTES) {
        key.load(keys + tile, at.keys - j);
        value.load(values + tile, at.keys - j);
    }
    q += at.q0 * spec.q_pitch + column;
    out += at.q0 * spec.out_pitch + column;
    int first = (start + warp) * OWN, use = 0;
    short_load<W, OWN>(own, q + first * spec.q_pitch, spec.q_pitch, at.queries - first);
    mma_commit();
    mma_wait<0>();
    __syncthreads(); /* keys and values are there for all */

#pragma unroll 1
    for (int tile = start + warp; tile < last; tile += SHORT_WARPS) {
        mma_wait<0>(); /* for the queries */
        __syncwarp();  /* all lanes have theirs, and have left those of the time before */
        const int next = first + SHORT_WARPS * OWN;
        if (tile + SHORT_WARPS < last)
            short_load<W, OWN>(own + (OWN_BYTES - use), q + next * spec.q_pitch, spec.q_pitch,
                               at.queries - next);
        mma_commit();
        flash_rows<W, M> rows;
        rows.start();
#pragma unroll 1
        for (int j = 0; j < at.keys; j += KEYS) {
            float s[M][N][4];
            flash_clear(s);
#pragma unroll
            for (int i = 0; i < W / 16; i++) { /* read again for more keys: registers are dearer */
                uint32_t query[M][4];
                flash_own<W>(query, own + use, i);
                flash_dots<W>(s, query, keys + j * 2 * W, i);
            }
            const int seen = at.keys - j - 2 * t;
            if (at.keys - j < KEYS) {
#pragma unroll
                for (int m = 0; m < M; m++)
#pragma unroll
                    for (int n = 0; n < N; n++) {
                        if (8 * n >= seen) s[m][n][0] = s[m][n][2] = -INFINITY;
                        if (8 * n + 1 >= seen) s[m][n][1] = s[m][n][3] = -INFINITY;
                    }
            }
            float factor[M][2];
            if (rows.raise(s, factor, scale)) rows.rescale(factor);
            rows.weigh(s, scale);
            flash_mix<W>(rows.sum, s, values + j * 2 * W);
        }
        float factor[M][2];
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int h = 0; h < 2; h++) {
                const int i = first + 16 * m + 8 * h + g;
                const float all = flash_row_sum(rows.total[m][h]);
                factor[m][h] = at.keys > 0 ? 1.0f / all : 0.0f;
                if (lse && t == 0 && i < at.queries)
                    lse[(at.q0 + i) * spec.heads + at.head] =
                        at.keys > 0 ? (rows.top[m][h] + log2f(all)) * LN_2 : -INFINITY;
            }
        __syncwarp(); /* queries were read where the results go */
        flash_leave<W>(out + first * spec.out_pitch, rows.sum, factor, own_memory + use,
                       at.queries - first, spec.out_pitch);
        first = next;
        use = OWN_BYTES - use;
    }
}

#define SHORT_ENTRY(width, rows, blocks)                                                        \
    extern "C" __global__ void __launch_bounds__(SHORT_THREADS, blocks)                         \
        motet_attention_short_##width##_##rows(                                                 \
            uint16_t *out, float *lse, const uint16_t *q, const uint16_t *k, const uint16_t *v, \
            const __grid_constant__ attention_spec spec, float scale) {                         \
        short_forward<width, rows / 16>(out, lse, q, k, v, spec, scale);                        \
    }

SHORT_ENTRY(32, 16, 4)
SHORT_ENTRY(64, 16, 4)
SHORT_ENTRY(128, 16, 3)
SHORT_ENTRY(32, 32, 3)
SHORT_ENTRY(64, 32, 3)
