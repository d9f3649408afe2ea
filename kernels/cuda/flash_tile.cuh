/* flash_tile: how the tensor-core attention kernels hold tiles of rows. Internal.
 *
 * A tile is [rows][W] of bf16 in shared memory, chunks of 16 bytes permuted within a line so that
 * the eight rows that ldmatrix reads together, and eight threads that copy a row, meet no bank
 * twice: chunk c of row r is at c ^ (r % 8); at W = 32, where two rows share a line of banks, at
 * c ^ (r / 2 % 4). Rows 8 apart are permuted alike, and chunk pairs differ by one exclusive or: a
 * lane needs W/16 addresses for all of a tile.
 *
 * Accumulators are [16-row tiles of the warp][8-column tiles][4]: see mma.cuh for who has what.
 */
#ifndef MOTET_CUDA_FLASH_TILE_CUH
#define MOTET_CUDA_FLASH_TILE_CUH

#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/flash.h"
#include "kernels/cuda/mma.cuh"

extern __shared__ __align__(1024) unsigned char flash_memory[];

/* The warp's number, which the compiler then knows to be one for all its lanes. */
ROW_INLINE int flash_warp() {
    return __shfl_sync(0xffffffffu, row_warp(), 0);
}

/* Byte offset of a chunk in a tile. */
template <int W> ROW_INLINE int flash_place(int row, int chunk) {
    return row * (2 * W) + ((chunk ^ (W == 32 ? (row >> 1) & 3 : row & 7)) << 4);
}

/* What a lane adds to a tile's address for its part of ldmatrix. Lines: matrices of rows 0-7, rows
 * 8-15, then the next 8 columns (A; B transposed). Columns: matrices of columns 0-7, 8-15, then the
 * next 8 rows (B). For columns 16 k.. exclusive-or k * 32, for rows 16 n.. add flash_down<W>(n). */
template <int W> ROW_INLINE uint32_t flash_lines() {
    return flash_place<W>(row_lane() & 15, row_lane() >> 4);
}
template <int W> ROW_INLINE uint32_t flash_columns() {
    return flash_place<W>((row_lane() & 7) + (row_lane() >> 4 << 3), row_lane() >> 3 & 1);
}
template <int W> ROW_INLINE constexpr uint32_t flash_down(int n) {
    return n * 16 * 2 * W;
}

/* A side's way into shared memory: ROWS rows at a time, zeros behind the last one. */
template <int W, int ROWS> struct flash_source {
    static constexpr int per_row = W / 8, stride = FLASH_THREADS / per_row, count = ROWS / stride;
    const uint16_t *from;
    int pitch, row, offset;

    /* data: the head's columns of the first row. */
    __device__ __forceinline__ void start(const uint16_t *data, int64_t pitch_elements) {
        const int chunk = threadIdx.x % per_row;
        row = threadIdx.x / per_row;
        pitch = (int)pitch_elements; /* the host saw that it fits */
        from = data + row * pitch_elements + chunk * 8;
        offset = flash_place<W>(row, chunk);
    }
    /* The next tile; `left` rows are there from its first on. */
    __device__ __forceinline__ void load(uint32_t tile, int left) {
        if (left >= ROWS) {
#pragma unroll
            for (int i = 0; i < count; i++)
                mma_copy(tile + offset + i * stride * 2 * W, from + (int64_t)pitch * (i * stride));
        } else {
#pragma unroll
            for (int i = 0; i < count; i++)
                mma_copy(tile + offset + i * stride * 2 * W, from + (int64_t)pitch * (i * stride),
                         row + i * stride < left);
        }
        from += (int64_t)pitch * ROWS;
    }
};

template <int M, int N> ROW_INLINE void flash_clear(float (&sum)[M][N][4]) {
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int x = 0; x < 4; x++)
                sum[m][n][x] = 0.0f;
}

/* The warp's own rows as A. */
template <int W, int M> ROW_INLINE void flash_own(uint32_t (&a)[M][4], uint32_t tile, int k) {
#pragma unroll
    for (int m = 0; m < M; m++)
        mma_load(a[m], tile + (flash_lines<W>() ^ k << 5) + flash_down<W>(m));
}

/* sum += A B' over 16 columns: rows 8 n.. of `tile` are the columns 8 n.. of sum. */
template <int W, int M, int N>
ROW_INLINE void flash_dots(float (&sum)[M][N][4], const uint32_t (&a)[M][4], uint32_t tile, int k) {
#pragma unroll
    for (int n = 0; n < N / 2; n++) {
        uint32_t b[4];
        mma_load(b, tile + (flash_columns<W>() ^ k << 5) + flash_down<W>(n));
#pragma unroll
        for (int m = 0; m < M; m++) {
            mma_add(sum[m][2 * n], a[m], b[0], b[1]);
            mma_add(sum[m][2 * n + 1], a[m], b[2], b[3]);
        }
    }
}

/* sum += weights times `tile`, 8 N rows of it; weights are rounded to bf16. */
template <int W, int M, int N>
ROW_INLINE void flash_mix(float (&sum)[M][W / 8][4], const float (&weights)[M][N][4],
                          uint32_t tile) {
#pragma unroll
    for (int k = 0; k < N / 2; k++) {
        uint32_t a[M][4];
#pragma unroll
        for (int m = 0; m < M; m++) {
            const float(&low)[4] = weights[m][2 * k], (&high)[4] = weights[m][2 * k + 1];
            a[m][0] = row_pack(low[0], low[1]);
            a[m][1] = row_pack(low[2], low[3]);
            a[m][2] = row_pack(high[0], high[1]);
            a[m][3] = row_pack(high[2], high[3]);
        }
#pragma unroll
        for (int n = 0; n < W / 16; n++) {
            uint32_t b[4];
            mma_load_transposed(b, tile + (flash_lines<W>() ^ n << 5) + flash_down<W>(k));
#pragma unroll
            for (int m = 0; m < M; m++) {
                mma_add(sum[m][2 * n], a[m], b[0], b[1]);
                mma_add(sum[m][2 * n + 1], a[m], b[2], b[3]);
            }
        }
    }
}

/* The warp's rows leave: factor[m][h] times row 16 m + 8 h + lane / 4, by the warp's own rows of a
 * tile that all lanes have left, in whole sectors; `rows` of them are there. */
template <int W, int M>
ROW_INLINE void flash_leave(uint16_t *to, const float (&sum)[M][W / 8][4],
                            const float (&factor)[M][2], unsigned char *tile, int rows,
                            int64_t pitch) {
    const int lane = row_lane(), g = lane >> 2, t = lane & 3;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < W / 8; n++)
#pragma unroll
            for (int h = 0; h < 2; h++)
                *(uint32_t *)(tile + flash_place<W>(16 * m + 8 * h + g, n) + 4 * t) =
                    row_pack(sum[m][n][2 * h] * factor[m][h], sum[m][n][2 * h + 1] * factor[m][h]);
    __syncwarp();
    const int row = lane / (W / 8), chunk = lane % (W / 8), step = 32 / (W / 8);
#pragma unroll
    for (int i = 0; i < 16 * M / step; i++) {
        if (row + i * step >= rows) break;
        const uint4 words = *(const uint4 *)(tile + flash_place<W>(row + i * step, chunk));
        row_store_words(to + (row + i * step) * pitch + chunk * 8, words.x, words.y, words.z,
                        words.w);
    }
}

/* The sum over the four lanes that share a row, in each the same bits. */
ROW_INLINE float flash_row_sum(float x) {
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

#endif
