/* flash_rows: attention forward's online softmax (Milakov & Gimelshein 2018), for rows that a warp
 * holds as the tensor cores give them. Internal.
 *
 * Scores are in base 2, the scale folded into the exponential. The sums' base, `top`, follows a
 * row's largest score only when that has grown by more than 2^8: weights are then below 2^9, no sum
 * overflows, and the sums are hardly ever rescaled.
 */
#ifndef MOTET_CUDA_FLASH_ROWS_CUH
#define MOTET_CUDA_FLASH_ROWS_CUH

#include "kernels/cuda/attention_tile.cuh"

#define FLASH_SLACK 8.0f

/* Rows of a warp, 16 M of them, over the keys so far. h: the upper or lower half of 16 rows. */
template <int W, int M> struct flash_rows {
    float sum[M][W / 8][4];
    float top[M][2], total[M][2]; /* total: of this lane's keys */

    __device__ __forceinline__ void start() {
#pragma unroll
        for (int m = 0; m < M; m++) {
#pragma unroll
            for (int n = 0; n < W / 8; n++)
#pragma unroll
                for (int x = 0; x < 4; x++)
                    sum[m][n][x] = 0.0f;
#pragma unroll
            for (int h = 0; h < 2; h++) {
                top[m][h] = -INFINITY;
                total[m][h] = 0.0f;
            }
        }
    }

    /* Takes note of the largest scores. True, in all lanes, if the sums need these factors. */
    template <int N>
    __device__ __forceinline__ bool raise(const float (&s)[M][N][4], float (&factor)[M][2],
                                          float scale) {
        bool grown = false;
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int h = 0; h < 2; h++) {
                float peak = fmaxf(s[m][0][2 * h], s[m][0][2 * h + 1]);
#pragma unroll
                for (int n = 1; n < N; n++)
                    peak = fmaxf(peak, fmaxf(s[m][n][2 * h], s[m][n][2 * h + 1]));
                peak = fmaxf(peak, __shfl_xor_sync(0xffffffffu, peak, 1));
                peak = fmaxf(peak, __shfl_xor_sync(0xffffffffu, peak, 2)) * scale;
                const bool higher = peak - top[m][h] > FLASH_SLACK; /* not if both are -infinity */
                const float next = higher ? peak : top[m][h];
                factor[m][h] = higher ? attention_exp2(top[m][h] - next) : 1.0f;
                top[m][h] = next;
                total[m][h] *= factor[m][h];
                grown |= higher;
            }
        return __any_sync(0xffffffffu, grown);
    }

    __device__ __forceinline__ void rescale(const float (&factor)[M][2]) {
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int n = 0; n < W / 8; n++)
#pragma unroll
                for (int x = 0; x < 4; x++)
                    sum[m][n][x] *= factor[m][x / 2];
    }

    /* Scores to weights. */
    template <int N> __device__ __forceinline__ void weigh(float (&s)[M][N][4], float scale) {
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int h = 0; h < 2; h++) {
                /* A row that has seen nothing has no top. */
                const float base = top[m][h] == -INFINITY ? 0.0f : top[m][h];
#pragma unroll
                for (int n = 0; n < N; n++)
#pragma unroll
                    for (int x = 2 * h; x < 2 * h + 2; x++) {
                        s[m][n][x] = attention_exp2(fmaf(s[m][n][x], scale, -base));
                        total[m][h] += s[m][n][x];
                    }
            }
    }
};

#endif
