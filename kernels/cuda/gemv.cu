/* gemv: C = A B^T for up to GEMV_ROWS rows of A, weights B [N,K] in f32, bf16 or int8 with row
 * scales: decoding, where reading the weights is all the work. See kernels/matmul.h.
 *
 * A warp has NR rows of B, or a part of each where N is small: p.tiles warps of a block share
 * rows. Lanes read 16 bytes of B at a time, side by side, each byte of B once; rows of A come from
 * the caches. Sums in f32: per lane in the order of K, then over the lanes as a tree, then over the
 * warps in order.
 */
#include "kernels/cuda/gemm.cuh"

/* `count` elements of A as floats. */
template <int count>
ROW_INLINE void load_some(float (&to)[count], const void *a, size_t at, int type) {
    if (type == ROW_F32) {
#pragma unroll
        for (int i = 0; i < count; i += 4)
            *(float4 *)&to[i] = *(const float4 *)((const float *)a + at + i);
    } else if (count == 4) {
        const uint2 pairs = *(const uint2 *)((const uint16_t *)a + at);
        to[0] = row_low(pairs.x), to[1] = row_high(pairs.x);
        to[2] = row_low(pairs.y), to[3] = row_high(pairs.y);
    } else {
#pragma unroll
        for (int i = 0; i < count / 8; i++) {
            const uint4 pairs = *(const uint4 *)((const uint16_t *)a + at + i * 8);
            to[i * 8] = row_low(pairs.x), to[i * 8 + 1] = row_high(pairs.x);
            to[i * 8 + 2] = row_low(pairs.y), to[i * 8 + 3] = row_high(pairs.y);
            to[i * 8 + 4] = row_low(pairs.z), to[i * 8 + 5] = row_high(pairs.z);
            to[i * 8 + 6] = row_low(pairs.w), to[i * 8 + 7] = row_high(pairs.w);
        }
    }
}

/* Weights from, from + 1, ... of a 16-byte chunk. */
template <int TYPE, int count>
ROW_INLINE void expand(float (&to)[count], const uint4 &chunk, int from) {
    const uint32_t words[4] = {chunk.x, chunk.y, chunk.z, chunk.w};
    if (TYPE == ROW_F32) {
#pragma unroll
        for (int i = 0; i < count; i++)
            to[i] = __uint_as_float(words[i]);
    } else if (TYPE == ROW_BF16) {
#pragma unroll
        for (int i = 0; i < count; i += 2) {
            to[i] = row_low(words[(from + i) / 2]);
            to[i + 1] = row_high(words[(from + i) / 2]);
        }
    } else {
#pragma unroll
        for (int i = 0; i < count; i += 4) {
            const uint32_t codes = words[(from + i) / 4] ^ 0x80808080u;
            to[i] = float_code<0>(codes);
            to[i + 1] = float_code<1>(codes);
            to[i + 2] = float_code<2>(codes);
            to[i + 3] = float_code<3>(codes);
        }
    }
}

template <int TYPE> ROW_INLINE float load_weight(const void *b, size_t at) {
    if (TYPE == ROW_I8) return (float)((const int8_t *)b)[at];
    return load_float(b, at, TYPE);
}

/* Sums over the lanes. Lanes exchange halves of what they hold until each has one sum: that of
 * accumulator `index`, which lanes that differ in bits below the last exchanged share. */
template <int count, int offset> ROW_INLINE float sum_lanes(float *sums, int *index) {
    const bool upper = threadIdx.x & offset;
    if constexpr (count > 1) {
#pragma unroll
        for (int i = 0; i < count / 2; i++) {
            const float send = upper ? sums[i] : sums[i + count / 2];
            const float keep = upper ? sums[i + count / 2] : sums[i];
            sums[i] = keep + __shfl_xor_sync(0xffffffffu, send, offset);
        }
        *index += upper ? count / 2 : 0;
    } else {
        sums[0] += __shfl_xor_sync(0xffffffffu, sums[0], offset);
    }
    if constexpr (offset > 1)
        return sum_lanes<(count > 1 ? count / 2 : 1), offset / 2>(sums, index);
    else
        return sums[0];
}

template <int TYPE, int M, int NR> ROW_INLINE void gemv(const motet_gemm_args &p) {
    static const int per_chunk = TYPE == ROW_F32 ? 4 : TYPE == ROW_BF16 ? 8 : 16;
    static const int count = NR * M, warps = GEMV_THREADS / 32;
    static const int step = count < 16 && per_chunk > 4 ? 8 : 4; /* of A in registers at once */
    __shared__ float shares[warps][count];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int sharing = p.tiles, part = warp % sharing;
    const int first = (blockIdx.x * (warps / sharing) + warp / sharing) * NR;
    float sums[count];
#pragma unroll
    for (int i = 0; i < count; i++)
        sums[i] = 0;
    /* Rows beyond the end read the last one again. */
    size_t b_rows[NR], a_rows[M];
#pragma unroll
    for (int r = 0; r < NR; r++)
        b_rows[r] = (size_t)min(first + r, p.n - 1) * p.k;
#pragma unroll
    for (int m = 0; m < M; m++)
        a_rows[m] = (size_t)min(m, p.m - 1) * p.k;
    if (p.b_vector) {
        const int chunks = p.k / per_chunk;
        for (int c = part * 32 + lane; c < chunks; c += sharing * 32) {
            uint4 chunk[NR];
#pragma unroll
            for (int r = 0; r < NR; r++)
                chunk[r] =
                    *(const uint4 *)((const char *)p.b + (b_rows[r] + (size_t)c * per_chunk) *
                                                             (TYPE == ROW_F32    ? 4
                                                              : TYPE == ROW_BF16 ? 2
                                                                                 : 1));
#pragma unroll
            for (int from = 0; from < per_chunk; from += step) {
                /* Many rows of A: not all their loads at once, which would spill. */
                if (M == 8) asm volatile("" ::: "memory");
                float weights[NR][step];
#pragma unroll
                for (int r = 0; r < NR; r++)
                    expand<TYPE>(weights[r], chunk[r], from);
#pragma unroll
                for (int m = 0; m < M; m++) {
                    float row[step];
                    load_some(row, p.a, a_rows[m] + (size_t)c * per_chunk + from, p.a_type);
#pragma unroll
                    for (int r = 0; r < NR; r++)
#pragma unroll
                        for (int i = 0; i < step; i++)
                            sums[r * M + m] = fmaf(row[i], weights[r][i], sums[r * M + m]);
                }
            }
        }
    } else {
        for (int k = part * 32 + lane; k < p.k; k += sharing * 32) {
            float weights[NR];
#pragma unroll
            for (int r = 0; r < NR; r++)
                weights[r] = load_weight<TYPE>(p.b, b_rows[r] + k);
#pragma unroll
            for (int m = 0; m < M; m++) {
                const float x = load_float(p.a, a_rows[m] + k, p.a_type);
#pragma unroll
                for (int r = 0; r < NR; r++)
                    sums[r * M + m] = fmaf(x, weights[r], sums[r * M + m]);
            }
        }
    }
    int index = 0;
    float sum = sum_lanes<count, 16>(sums, &index);
    const bool mine = lane % (32 / count) == 0; /* lanes that hold the same sum */
    if (sharing > 1) {
        if (mine) shares[warp][index] = sum;
        __syncthreads();
        if (part != 0) return;
        sum = 0;
        for (int i = 0; i < sharing; i++)
            sum += shares[warp + i][index];
    }
    const int column = first + index / M, row = index % M;
    if (mine && column < p.n && row < p.m)
        store_sum(p, (size_t)row * p.n + column, sum, load_scale(p, column), load_bias(p, column),
                  {true, true});
}

#define GEMV_KERNELS(name, type, rows_8)                                   \
    extern "C" __global__ void __launch_bounds__(GEMV_THREADS, 8)          \
        motet_gemv_##name##_1(const __grid_constant__ motet_gemm_args p) { \
        gemv<type, 1, 2>(p);                                               \
    }                                                                      \
    extern "C" __global__ void __launch_bounds__(GEMV_THREADS, 8)          \
        motet_gemv_##name##_2(const __grid_constant__ motet_gemm_args p) { \
        gemv<type, 2, 2>(p);                                               \
    }                                                                      \
    extern "C" __global__ void __launch_bounds__(GEMV_THREADS, 4)          \
        motet_gemv_##name##_4(const __grid_constant__ motet_gemm_args p) { \
        gemv<type, 4, 4>(p);                                               \
    }                                                                      \
    extern "C" __global__ void __launch_bounds__(GEMV_THREADS, 3)          \
        motet_gemv_##name##_8(const __grid_constant__ motet_gemm_args p) { \
        gemv<type, 8, rows_8>(p);                                          \
    }
GEMV_KERNELS(f32, ROW_F32, 4)
GEMV_KERNELS(bf16, ROW_BF16, 4)
GEMV_KERNELS(i8, ROW_I8, 2)
