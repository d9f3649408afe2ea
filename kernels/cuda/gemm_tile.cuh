/* gemm_tile: which tile of C a block makes, over which range of K, and how its sums get there.
 *
 * Where C has too few tiles for the machine, K is split. The splits of a tile add up in C itself
 * (in f32 workspace of its size, if C is bf16), one after another in the order of K: so nothing
 * is moved twice, and the sums are the same bits whatever runs when. A block that waits for its
 * turn must not keep out the one it waits for, so blocks take numbers as they start, and lower
 * splits have lower numbers: whom a block waits for has started. Numbers and turns end where they
 * began, ready for the next launch.
 */
#ifndef MOTET_CUDA_GEMM_TILE_CUH
#define MOTET_CUDA_GEMM_TILE_CUH

#include "kernels/cuda/gemm.cuh"

/* Of this module, zero when it is loaded. For launches of one stream, one after another: like the
 * workspace, not for branches (device.h). */
static __device__ struct {
    uint32_t next;              /* the number that the next block takes */
    uint32_t turns[GEMM_TURNS]; /* by tile: the split that may add */
} split_state;

/* One block's work, in shared memory: it is needed when registers are few. */
struct block_work {
    int m0, n0, split, tile;
};

/* By all threads, with BM x BN tiles; a barrier. */
template <int BM, int BN> ROW_INLINE void take_work(block_work *work, const motet_gemm_args &p) {
    if (threadIdx.x == 0) {
        const uint32_t tiles = gridDim.x * gridDim.y;
        uint32_t number = blockIdx.x + gridDim.x * blockIdx.y;
        if (p.splits > 1) number = atomicInc(&split_state.next, tiles * p.splits - 1);
        const uint32_t tile = number % tiles;
        work->m0 = tile % gridDim.x * BM;
        work->n0 = tile / gridDim.x * BN;
        work->split = number / tiles;
        work->tile = tile;
    }
    __syncthreads();
}

/* Steps of BK of this block, and where in K they start. */
template <int BK>
ROW_INLINE int work_range(const motet_gemm_args &p, const block_work &w, int *k0) {
    const int all = (p.k + BK - 1) / BK, first = w.split * p.tiles;
    *k0 = first * BK;
    return max(0, min(p.tiles, all - first));
}

/* What the split before this one stored is there for all threads. */
ROW_INLINE void wait_for_turn(const block_work &w) {
    if (w.split == 0) return;
    if (threadIdx.x == 0) {
        uint32_t turn;
        do
            asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
                         : "=r"(turn)
                         : "l"(&split_state.turns[w.tile])
                         : "memory");
        while (turn != (uint32_t)w.split);
    }
    __syncthreads();
}

/* All threads' stores are there for the next split; behind the last it is the first one's turn. */
ROW_INLINE void pass_turn(const block_work &w, int splits) {
    __syncthreads();
    if (threadIdx.x == 0)
        asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(&split_state.turns[w.tile]),
                     "r"(w.split + 1 == splits ? 0 : w.split + 1)
                     : "memory");
}

/* Scale and bias of four columns, which are all inside or all outside. */
struct columns4 {
    float scale[4], bias[4];
};

ROW_INLINE columns4 load_columns4(const motet_gemm_args &p, int column) {
    columns4 c = {{1, 1, 1, 1}, {0, 0, 0, 0}};
    if (column >= p.n) return c;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        c.scale[i] = load_scale(p, column + i);
        c.bias[i] = load_bias(p, column + i);
    }
    return c;
}

/* store_sum of four columns at once, where c_vector allows it. */
ROW_INLINE void store_sum4(const motet_gemm_args &p, size_t at, float4 sum, const columns4 &c,
                           split_part part) {
    float v[4] = {sum.x, sum.y, sum.z, sum.w};
    float4 *const sums = (float4 *)(p.sums + at);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (p.scale) v[i] *= c.scale[i];
        if (part.first) v[i] += c.bias[i];
    }
    if (!part.first) {
        const float4 before = *sums;
        v[0] += before.x, v[1] += before.y, v[2] += before.z, v[3] += before.w;
    }
    if (part.last && p.gelu)
#pragma unroll
        for (int i = 0; i < 4; i++)
            v[i] = gelu(v[i]);
    if (p.c_type == ROW_F32) {
        float4 *const to = (float4 *)((float *)p.c + at);
        if (part.first && p.accumulate) {
            const float4 old = *to;
            v[0] += old.x, v[1] += old.y, v[2] += old.z, v[3] += old.w;
        }
        *to = make_float4(v[0], v[1], v[2], v[3]);
    } else if (part.last) {
        uint2 *const to = (uint2 *)((uint16_t *)p.c + at);
        if (p.accumulate) {
            const uint2 old = *to;
            v[0] += row_low(old.x), v[1] += row_high(old.x);
            v[2] += row_low(old.y), v[3] += row_high(old.y);
        }
        *to = make_uint2(row_pack(v[0], v[1]), row_pack(v[2], v[3]));
    } else {
        *sums = make_float4(v[0], v[1], v[2], v[3]);
    }
}

/* Where the sum of row r, column c lies in a tile of BN columns: groups of 8 columns are permuted
 * by the row, so that neither mma's fragments nor whole rows meet a bank twice. */
template <int BN> ROW_INLINE int stage_place(int row, int column) {
    return row * BN + (column ^ ((row & 3) << 3));
}

/* A tile of sums in shared memory to C. After a barrier. */
template <int BM, int BN, int THREADS>
ROW_INLINE void leave(const motet_gemm_args &p, const block_work &w, const float *stage) {
    const int m0 = w.m0, n0 = w.n0, rows = min(BM, p.m - m0);
    const split_part part = {w.split == 0, w.split + 1 == p.splits};
    wait_for_turn(w);
    if (p.c_vector) {
        const int column = threadIdx.x % (BN / 4) * 4;
        const columns4 columns = load_columns4(p, n0 + column);
#pragma unroll 2
        for (int row = threadIdx.x / (BN / 4); row < rows; row += THREADS / (BN / 4))
            if (n0 + column < p.n)
                store_sum4(p, (size_t)(m0 + row) * p.n + n0 + column,
                           *(const float4 *)&stage[stage_place<BN>(row, column)], columns, part);
    } else {
#pragma unroll 1
        for (int at = threadIdx.x; at < rows * BN; at += THREADS) {
            const int row = at / BN, column = n0 + at % BN;
            if (column < p.n)
                store_sum(p, (size_t)(m0 + row) * p.n + column,
                          stage[stage_place<BN>(row, at % BN)], load_scale(p, column),
                          load_bias(p, column), part);
        }
    }
    if (p.splits > 1) pass_turn(w, p.splits);
}

#endif
