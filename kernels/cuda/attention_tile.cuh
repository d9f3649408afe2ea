/* attention_tile: how the attention kernels hold and multiply their tiles. Internal.
 *
 * A block has 4 warps and 32 rows of its own (queries, or keys in the backward pass of keys), 8 a
 * warp; it walks over tiles of 32 rows of the other side. Tiles are f32 in shared memory,
 * [32][W+4]: a lane that reads its own row four columns at a time, and 32 lanes that read one row
 * side by side, both meet no bank twice. (At W = 16 two rows stand side by side in a request, and
 * four of their lanes meet.)
 *
 *   products     lane l of a warp: its 8 rows times row l of the tile     -> [8] in registers
 *   accumulate   8 rows of weights [8][32] times the tile                 -> columns l, l+32, ...
 */
#ifndef MOTET_CUDA_ATTENTION_TILE_CUH
#define MOTET_CUDA_ATTENTION_TILE_CUH

#include "kernels/cuda/attention_spec.h"
#include "kernels/cuda/row.cuh"

#define TILE_ROWS 32
#define TILE_OWN 8 /* rows of a warp */
#define TILE_THREADS 128
#define TILE_PAD 4                   /* floats after each row */
#define TILE_WEIGHTS (TILE_ROWS + 4) /* floats of a row of weights */
#define TILE_FLOATS(w) (TILE_ROWS * ((w) + TILE_PAD))
#define TILE_WEIGHT_FLOATS (TILE_ROWS * TILE_WEIGHTS)
#define TILE_LANES 0xffffffffu
#define LOG2_E 1.44269504088896341f
#define LN_2 0.69314718055994531f

/* The block's sequence and head: blockIdx.x = sequence * heads + head. */
struct attention_place {
    int64_t q0, k0;
    int queries, keys, head;
};
static __device__ __forceinline__ attention_place attention_place_of(const attention_spec &spec) {
    const int s = (int)blockIdx.x / spec.heads;
    attention_place p;
    p.head = (int)blockIdx.x % spec.heads;
    p.q0 = spec.q_offsets[s];
    p.k0 = spec.k_offsets[s];
    p.queries = (int)(spec.q_offsets[s + 1] - p.q0);
    p.keys = (int)(spec.k_offsets[s + 1] - p.k0);
    return p;
}

/* Keys that query i sees: the first so many. */
static __device__ __forceinline__ int attention_seen(const attention_spec &spec,
                                                     const attention_place &p, int i) {
    return spec.causal ? max(0, min(p.keys, i + 1 + p.keys - p.queries)) : p.keys;
}

/* bf16 is a uint16_t here. */
static __device__ __forceinline__ float attention_load(const float *from) {
    return *from;
}
static __device__ __forceinline__ float attention_load(const uint16_t *from) {
    return row_low(*from);
}
static __device__ __forceinline__ void attention_store(float *to, float x) {
    *to = x;
}
static __device__ __forceinline__ void attention_store(uint16_t *to, float x) {
    *to = (uint16_t)row_pack(x, 0.0f);
}

/* 2^x, relative error 2^-22; 0 for -infinity, NaN for NaN. */
static __device__ __forceinline__ float attention_exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

static __device__ __forceinline__ float attention_lanes_max(float x) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2)
        x = fmaxf(x, __shfl_xor_sync(TILE_LANES, x, step));
    return x;
}

/* tile <- scale * `rows` rows from `from`, zeros after them. By all threads of the block. */
template <int W, typename T>
static __device__ __forceinline__ void tile_load(float *tile, const T *from, int rows,
                                                 int64_t pitch, float scale) {
    const int c = (int)threadIdx.x % W, first = (int)threadIdx.x / W, step = TILE_THREADS / W;
    from += first * pitch + c;
    tile += first * (W + TILE_PAD) + c;
#pragma unroll 8
    for (int i = 0; i < TILE_ROWS / step; i++) {
        *tile = first + i * step < rows ? scale * attention_load(from) : 0.0f;
        from += step * pitch;
        tile += step * (W + TILE_PAD);
    }
}

/* dot[r] = row r of the warp's own rows times the lane's row of the tile. */
template <int W>
static __device__ __forceinline__ void tile_products(float (&dot)[TILE_OWN], const float *own,
                                                     const float *tile) {
    const float *row = tile + threadIdx.x % 32 * (W + TILE_PAD);
#pragma unroll
    for (int r = 0; r < TILE_OWN; r++)
        dot[r] = 0.0f;
#pragma unroll 4
    for (int c = 0; c < W; c += 4) {
        const float4 b = *(const float4 *)(row + c);
#pragma unroll
        for (int r = 0; r < TILE_OWN; r++) {
            const float4 a = *(const float4 *)(own + r * (W + TILE_PAD) + c);
            dot[r] = fmaf(a.x, b.x, dot[r]);
            dot[r] = fmaf(a.y, b.y, dot[r]);
            dot[r] = fmaf(a.z, b.z, dot[r]);
            dot[r] = fmaf(a.w, b.w, dot[r]);
        }
    }
}

/* What a lane sums up of the warp's 8 rows: COLUMNS of each, or at W = 16 one of 4 rows, the lower
 * half of the warp those from 0, the upper one those from 4. */
template <int W> struct tile_sums {
    static const int COLUMNS = W >= 32 ? W / 32 : 1, ROWS = W >= 32 ? TILE_OWN : TILE_OWN / 2;
    float x[ROWS][COLUMNS];

    static __device__ __forceinline__ int first_row() {
        return W >= 32 ? 0 : (int)(threadIdx.x % 32) / 16 * 4;
    }
    static __device__ __forceinline__ int column(int c) {
        return (int)(threadIdx.x % (W >= 32 ? 32 : W)) + 32 * c;
    }
    /* of[r], r the row that x[r] belongs to */
    static __device__ __forceinline__ float pick(const float (&of)[TILE_OWN], int r) {
        if (W >= 32) return of[r];
        return first_row() == 0 ? of[r] : of[r + TILE_OWN - ROWS];
    }
    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
            for (int c = 0; c < COLUMNS; c++)
                x[r][c] = 0.0f;
    }
    __device__ __forceinline__ void scale(const float (&factor)[TILE_OWN]) {
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
            for (int c = 0; c < COLUMNS; c++)
                x[r][c] *= pick(factor, r);
    }
    /* x += weights [8][32] of this warp times the tile. */
    __device__ __forceinline__ void accumulate(const float *weights, const float *tile) {
        const float *w = weights + first_row() * TILE_WEIGHTS;
#pragma unroll 2
        for (int j = 0; j < TILE_ROWS; j += 4) {
            float b[4][COLUMNS];
#pragma unroll
            for (int k = 0; k < 4; k++)
#pragma unroll
                for (int c = 0; c < COLUMNS; c++)
                    b[k][c] = tile[(j + k) * (W + TILE_PAD) + column(c)];
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                const float4 a = *(const float4 *)(w + r * TILE_WEIGHTS + j);
#pragma unroll
                for (int c = 0; c < COLUMNS; c++) {
                    x[r][c] = fmaf(a.x, b[0][c], x[r][c]);
                    x[r][c] = fmaf(a.y, b[1][c], x[r][c]);
                    x[r][c] = fmaf(a.z, b[2][c], x[r][c]);
                    x[r][c] = fmaf(a.w, b[3][c], x[r][c]);
                }
            }
        }
    }
    /* The first `rows` of the warp's rows, times factor. */
    template <typename T>
    __device__ __forceinline__ void store(T *to, int rows, int64_t pitch,
                                          const float (&factor)[TILE_OWN]) const {
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
            for (int c = 0; c < COLUMNS; c++)
                if (first_row() + r < rows)
                    attention_store(to + (first_row() + r) * pitch + column(c),
                                    x[r][c] * pick(factor, r));
    }
};

#endif
