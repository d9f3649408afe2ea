/* gemm_f32: C = A' B' with products and sums in f32, for operands that are not both bf16; see
 * kernels/matmul.h. bf16 and int8 become f32 on their way into shared memory (exactly).
 *
 * A block makes a tile of BM x BN of C, a thread TM x TN of it. Both tiles lie in shared memory
 * with rows contiguous, BK = 16 of K at a time, two of them in turn; the next is carried in
 * registers in groups of four elements. Groups of 8 rows are permuted by k / 4, so that a matrix
 * with K contiguous is transposed without meeting a bank twice. Sums run in the order of K.
 */
#include "kernels/cuda/gemm_tile.cuh"

#define BK GEMM_F32_BK

ROW_INLINE int place(int k, int row, int rows) {
    return k * rows + (row ^ (((k >> 2) & 3) << 3));
}

/* Groups of four elements, raw: as many words as four elements have, or a word for each element. */
template <int ROWS, bool K_CONTIGUOUS, int THREADS> struct carried_operand {
    static const int per_line = (K_CONTIGUOUS ? BK : ROWS) / 4;
    static const int groups = ROWS * BK / 4 / THREADS;
    static const int stride = THREADS / per_line;
    static_assert(groups * THREADS * 4 == ROWS * BK && stride * per_line == THREADS,
                  "whole groups");
    uint4 carried[groups];

    __device__ __forceinline__ void fetch(const void *data, int type, bool vector, int row0,
                                          int rows, int k0, int k_end) {
        const size_t pitch = K_CONTIGUOUS ? k_end : rows;
        const int line = threadIdx.x / per_line, first = threadIdx.x % per_line * 4;
        const int row = row0 + (K_CONTIGUOUS ? line : first);
        const int k = k0 + (K_CONTIGUOUS ? first : line);
        const size_t from = K_CONTIGUOUS ? row * pitch + k : k * pitch + row;
        const size_t skip = stride * pitch;
        const int inside = K_CONTIGUOUS ? k_end - k : rows - row;
#pragma unroll
        for (int i = 0; i < groups; i++) {
            const bool line_there = K_CONTIGUOUS ? row + i * stride < rows : k + i * stride < k_end;
            const size_t at = from + i * skip;
            uint4 raw = make_uint4(0, 0, 0, 0);
            if (line_there && inside > 0) {
                if (!vector) {
                    raw.x = element(data, type, at);
                    if (inside > 1) raw.y = element(data, type, at + 1);
                    if (inside > 2) raw.z = element(data, type, at + 2);
                    if (inside > 3) raw.w = element(data, type, at + 3);
                } else if (type == ROW_F32) {
                    raw = *(const uint4 *)((const float *)data + at);
                } else if (type == ROW_BF16) {
                    const uint2 pairs = *(const uint2 *)((const uint16_t *)data + at);
                    raw.x = pairs.x;
                    raw.y = pairs.y;
                } else {
                    raw.x = *(const uint32_t *)((const int8_t *)data + at);
                }
            }
            carried[i] = raw;
        }
    }

    static __device__ __forceinline__ uint32_t element(const void *data, int type, size_t at) {
        if (type == ROW_F32) return ((const uint32_t *)data)[at];
        if (type == ROW_BF16) return ((const uint16_t *)data)[at];
        return (uint32_t)((const int8_t *)data)[at];
    }
    static __device__ __forceinline__ float value(uint32_t raw, int type) {
        return type == ROW_F32    ? __uint_as_float(raw)
               : type == ROW_BF16 ? row_low(raw)
                                  : (float)(int32_t)raw;
    }

    __device__ __forceinline__ void put(float *to, int type, bool vector) const {
#pragma unroll
        for (int i = 0; i < groups; i++) {
            const int line = threadIdx.x / per_line + i * stride;
            const int first = threadIdx.x % per_line * 4;
            const uint4 raw = carried[i];
            float4 v;
            if (vector && type == ROW_BF16) {
                v = make_float4(row_low(raw.x), row_high(raw.x), row_low(raw.y), row_high(raw.y));
            } else if (vector && type == ROW_I8) {
                const uint32_t codes = raw.x ^ 0x80808080u;
                v = make_float4(float_code<0>(codes), float_code<1>(codes), float_code<2>(codes),
                                float_code<3>(codes));
            } else {
                v = make_float4(value(raw.x, type), value(raw.y, type), value(raw.z, type),
                                value(raw.w, type));
            }
            if (K_CONTIGUOUS) {
                to[place(first, line, ROWS)] = v.x;
                to[place(first + 1, line, ROWS)] = v.y;
                to[place(first + 2, line, ROWS)] = v.z;
                to[place(first + 3, line, ROWS)] = v.w;
            } else {
                store_shared4(&to[place(line, first, ROWS)], v.x, v.y, v.z, v.w);
            }
        }
    }
};

template <int BM, int BN, int TM, int TN, bool TA, bool TB>
ROW_INLINE void gemm_f32(const motet_gemm_args &p) {
    static const int across = BN / TN, threads = BM / TM * across;
    typedef carried_operand<BM, !TA, threads> left;
    typedef carried_operand<BN, TB, threads> right;
    static const int pair = BK * (BM + BN); /* one tile of each */
    __shared__ __align__(16) float memory[2 * pair > BM * BN ? 2 * pair : BM * BN];
    __shared__ block_work work;
    take_work<BM, BN>(&work, p);
    const int m0 = work.m0, n0 = work.n0;
    const int tm = threadIdx.x / across * 4, tn = threadIdx.x % across * 4;
    int k;
    const int tiles = work_range<BK>(p, work, &k);
    left a;
    right b;
    /* A thread's rows are groups of four, BM / (TM / 4) apart, and so its columns. */
    float sums[TM][TN];
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++)
            sums[i][j] = 0;
    if (tiles > 0) {
        a.fetch(p.a, p.a_type, p.a_vector, m0, p.m, k, p.k);
        b.fetch(p.b, p.b_type, p.b_vector, n0, p.n, k, p.k);
    }
#pragma unroll 1
    for (int tile = 0; tile < tiles; tile++) {
        float *const a_tile = memory + tile % 2 * pair, *const b_tile = a_tile + BK * BM;
        a.put(a_tile, p.a_type, p.a_vector);
        b.put(b_tile, p.b_type, p.b_vector);
        __syncthreads(); /* the tiles are there; whoever put the next has left its last use */
        k += BK;
        if (tile + 1 < tiles) {
            a.fetch(p.a, p.a_type, p.a_vector, m0, p.m, k, p.k);
            b.fetch(p.b, p.b_type, p.b_vector, n0, p.n, k, p.k);
        }
#pragma unroll
        for (int x = 0; x < BK; x++) {
            float left_values[TM], right_values[TN];
#pragma unroll
            for (int i = 0; i < TM; i += 4)
                *(float4 *)&left_values[i] =
                    *(const float4 *)&a_tile[place(x, tm + i * (BM / TM), BM)];
#pragma unroll
            for (int j = 0; j < TN; j += 4)
                *(float4 *)&right_values[j] =
                    *(const float4 *)&b_tile[place(x, tn + j * (BN / TN), BN)];
#pragma unroll
            for (int i = 0; i < TM; i++)
#pragma unroll
                for (int j = 0; j < TN; j++)
                    sums[i][j] = fmaf(left_values[i], right_values[j], sums[i][j]);
        }
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j += 4) {
            const int row = tm + i / 4 * 4 * (BM / TM) + i % 4, column = tn + j * (BN / TN);
            store_shared4(&memory[stage_place<BN>(row, column)], sums[i][j], sums[i][j + 1],
                          sums[i][j + 2], sums[i][j + 3]);
        }
    __syncthreads();
    leave<BM, BN, threads>(p, work, memory);
}

/* Names: tile; transposes of A and B as in BLAS. */
#define GEMM_KERNELS(letters, ta, tb)                                             \
    extern "C" __global__ void __launch_bounds__(128, 3)                          \
        motet_gemm_f32_128_##letters(const __grid_constant__ motet_gemm_args p) { \
        gemm_f32<128, 64, 8, 8, ta, tb>(p);                                       \
    }                                                                             \
    extern "C" __global__ void __launch_bounds__(64, 8)                           \
        motet_gemm_f32_32_##letters(const __grid_constant__ motet_gemm_args p) {  \
        gemm_f32<32, 32, 4, 4, ta, tb>(p);                                        \
    }
GEMM_KERNELS(nn, false, false)
GEMM_KERNELS(nt, false, true)
GEMM_KERNELS(tn, true, false)
GEMM_KERNELS(tt, true, true)
