/* flash_hopper: what the attention kernels for sm_90a share (Shah et al. 2024). Internal.
 *
 * A block has 128 rows of one head. Its first warpgroup gives its registers away and has one warp
 * that loads tiles by TMA, the other two compute, 64 rows each, and take turns: while one is at its
 * exponentials, the tensor cores are the other's. Tiles of the other side pass through rings; each
 * stage has a barrier that says full (bytes have landed) and one that says empty (all warps that
 * compute have left it).
 *
 * Tiles are in panels as wgmma.cuh says: [panel][rows][64 columns], or 32 at W = 32; a box of TMA
 * is 64 rows of a panel. A tile at the end of a sequence brings rows of the next one; where rows
 * are the inner dimension of a product they are cleared, for 0 * NaN is NaN.
 */
#ifndef MOTET_CUDA_FLASH_HOPPER_CUH
#define MOTET_CUDA_FLASH_HOPPER_CUH

#include "kernels/cuda/flash_hopper.h"
#include "kernels/cuda/flash_tile.cuh"
#include "kernels/cuda/tma.cuh"
#include "kernels/cuda/wgmma.cuh"

#define FLASH_HOPPER_LOAD_REGISTERS 24
#define FLASH_HOPPER_COMPUTE_REGISTERS 240
/* Named barriers, of the two warpgroups that compute: turns, and each one's own. */
#define FLASH_HOPPER_TURN 1
#define FLASH_HOPPER_MEET 3

template <int W> struct flash_hopper {
    static constexpr int columns = W < 64 ? W : 64; /* of a panel */
    static constexpr int panels = W / columns, row_bytes = wgmma_row_bytes(W);
    static constexpr int own_bytes = FLASH_HOPPER_OWN * 2 * W; /* of a warpgroup's rows */
};

/* One side's tiles, ROWS rows each, as one of the warps sees them. */
template <int W, int ROWS, int STAGES> struct flash_ring {
    static constexpr int bytes = ROWS * 2 * W, all_bytes = STAGES * bytes;
    static constexpr int panel_bytes = ROWS * flash_hopper<W>::row_bytes;
    static constexpr int barrier_bytes = 16 * STAGES;
    uint32_t tiles, barriers; /* addresses */
    uint32_t stage, phase;

    __device__ __forceinline__ void start(uint32_t tiles_at, uint32_t barriers_at) {
        tiles = tiles_at;
        barriers = barriers_at;
        stage = phase = 0;
    }
    /* By one thread: how many arrivals make a stage full, how many empty. */
    __device__ __forceinline__ void start_barriers(int fills, int leaves) const {
#pragma unroll
        for (int i = 0; i < STAGES; i++) {
            tma_barrier_start(barriers + 8 * i, fills);
            tma_barrier_start(barriers + 8 * (STAGES + i), leaves);
        }
    }
    __device__ __forceinline__ uint32_t tile() const {
        return tiles + stage * bytes;
    }
    __device__ __forceinline__ uint32_t full() const {
        return barriers + 8 * stage;
    }
    __device__ __forceinline__ uint32_t empty() const {
        return full() + 8 * STAGES;
    }
    __device__ __forceinline__ void step() {
        if (++stage == STAGES) {
            stage = 0;
            phase ^= 1;
        }
    }

    __device__ __forceinline__ void wait() const {
        tma_wait(full(), phase);
    }
    /* The warp has left the stage. */
    __device__ __forceinline__ void leave() const {
        if (row_lane() == 0) tma_arrive(empty());
    }

    /* By the warp that loads: of the first `wanted` rows of a tile all boxes, from rows row.. of
     * the map and columns column.. Returns how many rows that makes. */
    __device__ __forceinline__ int load(const tma_map &map, int column, int row, int wanted,
                                        uint32_t barrier) const {
        const int rows = wanted > ROWS - FLASH_HOPPER_OWN ? ROWS : FLASH_HOPPER_OWN;
        static_assert(ROWS <= 2 * FLASH_HOPPER_OWN, "one box or two");
        if (row_lane() != 0) return rows;
        tma_arrive_expecting(barrier, rows * 2 * W);
#pragma unroll
        for (int r = 0; r < ROWS; r += FLASH_HOPPER_OWN) {
            if (r >= rows) break;
#pragma unroll
            for (int p = 0; p < flash_hopper<W>::panels; p++)
                tma_load(tile() + p * panel_bytes + r * flash_hopper<W>::row_bytes, map,
                         column + p * flash_hopper<W>::columns, row + r, barrier);
        }
        return rows;
    }
    /* Fills the next stage. */
    __device__ __forceinline__ void fill(const tma_map &map, int column, int row, int wanted) {
        tma_wait(empty(), phase ^ 1);
        load(map, column, row, wanted, full());
        step();
    }
    /* The same; only `left` rows belong to the sequence. `landed`: a barrier for the last tile, for
     * one arrival. */
    __device__ __forceinline__ void fill_clean(const tma_map &map, int column, int row, int wanted,
                                               int left, uint32_t landed) {
        if (left >= ROWS) {
            fill(map, column, row, wanted);
            return;
        }
        tma_wait(empty(), phase ^ 1);
        const int end = load(map, column, row, wanted, landed) * flash_hopper<W>::row_bytes;
        tma_wait(landed, 0);
        for (int p = 0; p < flash_hopper<W>::panels; p++)
            for (int at = left * flash_hopper<W>::row_bytes + row_lane() * 16; at < end;
                 at += 32 * 16)
                mma_write_zeros(tile() + p * panel_bytes + at);
        tma_publish();
        __syncwarp();
        if (row_lane() == 0) tma_arrive(full());
        step();
    }
};

/* The block, and the rows that are its own, of one tensor or two (SIDES), in shared memory. */
template <int W, int SIDES> struct flash_hopper_block {
    static constexpr int barrier_bytes = 32;
    attention_place at;
    int first, groups; /* first row; warpgroups that have any */
    int column;
    uint32_t base, barriers; /* addresses */

    /* Rows first.. of `rows`. Returns where own rows end. */
    __device__ __forceinline__ uint32_t start(const attention_place &place, int first_row,
                                              int rows) {
        at = place;
        first = first_row;
        groups = rows - first_row > FLASH_HOPPER_OWN ? 2 : 1;
        column = place.head * W;
        base = mma_address(flash_memory);
        return base + SIDES * FLASH_HOPPER_ROWS * 2 * W;
    }
    /* By one thread. */
    __device__ __forceinline__ void start_barriers() const {
        for (int i = 0; i < 4; i++)
            tma_barrier_start(barriers + 8 * i, 1);
    }
    __device__ __forceinline__ uint32_t landed(int i) const {
        return barriers + 16 + 8 * i;
    }

    __device__ __forceinline__ int offset(int side, int group) const {
        return (2 * side + group) * flash_hopper<W>::own_bytes;
    }
    __device__ __forceinline__ uint32_t rows(int side, int group) const {
        return base + offset(side, group);
    }
    /* row: where the sequence starts. `two` is for SIDES == 2. */
    __device__ __forceinline__ void load(const tma_map &one, const tma_map &two,
                                         int64_t row) const {
        if (row_lane() != 0) return;
        for (int i = 0; i < groups; i++) {
            tma_arrive_expecting(barriers + 8 * i, SIDES * flash_hopper<W>::own_bytes);
#pragma unroll
            for (int side = 0; side < SIDES; side++)
#pragma unroll
                for (int p = 0; p < flash_hopper<W>::panels; p++)
                    tma_load(rows(side, i) + p * FLASH_HOPPER_OWN * flash_hopper<W>::row_bytes,
                             side ? two : one, column + p * flash_hopper<W>::columns,
                             (int)row + first + i * FLASH_HOPPER_OWN, barriers + 8 * i);
        }
    }
    __device__ __forceinline__ void wait(int group) const {
        tma_wait(barriers + 8 * group, 0);
    }

    /* Own rows are queries: keys that any of a warpgroup's sees; none if it has no queries. */
    __device__ __forceinline__ int seen(const attention_spec &spec, int group) const {
        const int mine = first + group * FLASH_HOPPER_OWN;
        if (mine >= at.queries) return 0;
        return attention_seen(spec, at, min(mine + FLASH_HOPPER_OWN, at.queries) - 1);
    }

    /* A warpgroup's sums leave, factor[h] times, by where its rows of `side` were, for which all
     * its warps have no more use. `to`: the sequence's first row. */
    __device__ __forceinline__ void leave(uint16_t *to, int64_t pitch, int count,
                                          const float (&sum)[1][W / 8][4],
                                          const float (&factor)[1][2], int side, int group) const {
        const int own = flash_warp() % 4 * 16, row = first + group * FLASH_HOPPER_OWN + own;
        if (row < count)
            flash_leave<W>(to + row * pitch + column, sum, factor,
                           flash_memory + offset(side, group) + own * 2 * W, count - row, pitch);
    }
};

/* s = own rows times the first 8 N rows of a tile of ROWS. */
template <int W, int ROWS, int N>
ROW_INLINE void flash_hopper_dots(float (&s)[N][4], uint32_t own, uint32_t tile) {
    constexpr int row = flash_hopper<W>::row_bytes, in_panel = flash_hopper<W>::columns / 16;
    const uint64_t a = wgmma_matrix<W>(own, 0), b = wgmma_matrix<W>(tile, 0);
#pragma unroll
    for (int i = 0; i < W / 16; i++) {
        const int panel = i / in_panel, within = i % in_panel * 32;
        wgmma_dots(s, wgmma_further(a, panel * FLASH_HOPPER_OWN * row + within),
                   wgmma_further(b, panel * ROWS * row + within), i > 0);
    }
}

/* sum += weights times the first 16 K rows of a tile of ROWS. */
template <int W, int ROWS, int K>
ROW_INLINE void flash_hopper_mix(float (&sum)[W / 8][4], const uint32_t (&weights)[K][4],
                                 uint32_t tile) {
    constexpr int row = flash_hopper<W>::row_bytes;
    const uint64_t b = wgmma_matrix<W>(tile, ROWS * row);
#pragma unroll
    for (int k = 0; k < K; k++)
        wgmma_mix(sum, weights[k], wgmma_further(b, k * 16 * row));
}

/* Sums of one product, rounded, as A of the next. */
template <int N>
ROW_INLINE void flash_hopper_pack(uint32_t (&a)[N / 2][4], const float (&s)[N][4]) {
#pragma unroll
    for (int k = 0; k < N / 2; k++)
#pragma unroll
        for (int x = 0; x < 4; x++)
            a[k][x] = row_pack(s[2 * k + x / 2][x % 2 * 2], s[2 * k + x / 2][x % 2 * 2 + 1]);
}

/* The two warpgroups take turns at the tensor cores, the first one first, until the other one has
 * no more: it has `other` turns. */
struct flash_turns {
    int group, other, turn;

    __device__ __forceinline__ void start(int which, int turns_of_other) {
        group = which;
        other = turns_of_other;
        turn = 0;
    }
    __device__ __forceinline__ void take() const {
        if (group ? turn < other : turn > 0 && turn <= other)
            tma_meet(FLASH_HOPPER_TURN + group, 256);
    }
    __device__ __forceinline__ void pass() {
        turn++;
        if (group ? turn < other : turn <= other) tma_pass(FLASH_HOPPER_TURN + 1 - group, 256);
    }
};

#endif
