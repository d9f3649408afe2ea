/* row: what the row kernels share on the device. f32 or bf16 in memory, f32 in registers, a chunk
 * of a lane's neighbouring elements at a time; sums over a warp or block in a fixed order.
 */
#ifndef MOTET_CUDA_ROW_CUH
#define MOTET_CUDA_ROW_CUH

#include <stdint.h>

#include "kernels/cuda/row_job.h"

#define ROW_INLINE static __device__ __forceinline__
#define ROW_KERNEL extern "C" __global__ void __launch_bounds__(ROW_THREADS)

/* Elements of a lane's chunk: 16 bytes of the narrowest type, if f32 is not among them. */
constexpr __host__ __device__ int row_chunk(int type_a, int type_b) {
    return type_a == ROW_BF16 && type_b == ROW_BF16 ? 8 : 4;
}

ROW_INLINE float row_low(uint32_t pair) {
    return __uint_as_float(pair << 16);
}
ROW_INLINE float row_high(uint32_t pair) {
    return __uint_as_float(pair & 0xffff0000u);
}
/* Two floats to bf16, nearest even. */
ROW_INLINE uint32_t row_pack(float low, float high) {
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

/* Elements at.. of an array, aligned to C of them. */
template <int TYPE, int C> ROW_INLINE void row_load(float (&v)[C], const void *data, size_t at) {
    static_assert(C == 4 || (C == 8 && TYPE == ROW_BF16), "16 bytes at most");
    if constexpr (TYPE == ROW_F32) {
        const float4 four = *(const float4 *)((const float *)data + at);
        v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
    } else if constexpr (TYPE == ROW_I8) {
        const char4 four = *(const char4 *)((const int8_t *)data + at);
        v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
    } else if constexpr (C == 4) {
        const uint2 two = *(const uint2 *)((const uint16_t *)data + at);
        v[0] = row_low(two.x), v[1] = row_high(two.x);
        v[2] = row_low(two.y), v[3] = row_high(two.y);
    } else {
        const uint4 four = *(const uint4 *)((const uint16_t *)data + at);
        v[0] = row_low(four.x), v[1] = row_high(four.x);
        v[2] = row_low(four.y), v[3] = row_high(four.y);
        v[4] = row_low(four.z), v[5] = row_high(four.z);
        v[6] = row_low(four.w), v[7] = row_high(four.w);
    }
}

/* Written out, for the compiler sometimes makes four stores of one. */
ROW_INLINE void row_store_words(void *to, uint32_t a, uint32_t b) {
    asm volatile("st.global.v2.u32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(to)), "r"(a),
                 "r"(b)
                 : "memory");
}
ROW_INLINE void row_store_words(void *to, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)),
                 "r"(a), "r"(b), "r"(c), "r"(d)
                 : "memory");
}

template <int TYPE, int C> ROW_INLINE void row_store(void *data, size_t at, const float (&v)[C]) {
    static_assert(C == 4 || (C == 8 && TYPE == ROW_BF16), "16 bytes at most");
    if constexpr (TYPE == ROW_F32)
        row_store_words((float *)data + at, __float_as_uint(v[0]), __float_as_uint(v[1]),
                        __float_as_uint(v[2]), __float_as_uint(v[3]));
    else if constexpr (C == 4)
        row_store_words((uint16_t *)data + at, row_pack(v[0], v[1]), row_pack(v[2], v[3]));
    else
        row_store_words((uint16_t *)data + at, row_pack(v[0], v[1]), row_pack(v[2], v[3]),
                        row_pack(v[4], v[5]), row_pack(v[6], v[7]));
}

/* One element, type decided as it runs. */
ROW_INLINE float row_get(motet_row_array a, size_t at) {
    if (a.type == ROW_F32) return ((const float *)a.data)[at];
    return row_low(((const uint16_t *)a.data)[at]);
}
ROW_INLINE void row_set(motet_row_array a, size_t at, float value) {
    if (a.type == ROW_F32)
        ((float *)a.data)[at] = value;
    else
        ((uint16_t *)a.data)[at] = (uint16_t)row_pack(value, 0);
}

ROW_INLINE int row_lane() {
    return threadIdx.x & 31;
}
ROW_INLINE int row_warp() {
    return threadIdx.x >> 5;
}

/* Whether the lane's chunk c lies in a row. Where rows of 1,024 fit, they have more than 256
 * elements (those of fewer have a kernel of their own), so the first chunks do. */
template <int WIDTH, int C> ROW_INLINE bool row_has(int c, int width) {
    return (c + 1) * 32 * C <= WIDTH / 4 || (c * 32 + row_lane()) * C < width;
}

/* The sum over a warp, in every lane the same bits. */
ROW_INLINE float row_warp_sum(float x) {
#pragma unroll
    for (int step = 16; step > 0; step >>= 1)
        x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

/* The sum over a block of ROW_THREADS; sums [ROW_WARPS] is shared. */
ROW_INLINE float row_block_sum(float x, float *sums) {
    x = row_warp_sum(x);
    __syncthreads(); /* sums of the time before were read */
    if (row_lane() == 0) sums[row_warp()] = x;
    __syncthreads();
    float total = sums[0];
#pragma unroll
    for (int i = 1; i < ROW_WARPS; i++)
        total += sums[i];
    return total;
}

/* 1 / x within one unit in the last place. */
ROW_INLINE float row_reciprocal(float x) {
    float inverse;
    asm("rcp.approx.f32 %0, %1;" : "=f"(inverse) : "f"(x));
    return inverse;
}

/* 2^x within 2^-22 of its value; what is below the normal numbers is 0. */
ROW_INLINE float row_exp2(float x) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
}

/* A row's weights in shared memory, as f32, so that a warp reads its chunks without bank
 * conflicts: with chunks of 8, the even fours lie first, then the odd ones, half a row of banks
 * on. */
template <int C> struct row_weights {
    static constexpr int odd = ROW_HELD / 8 + 4;
    float4 fours[C == 4 ? ROW_HELD / 4 : 2 * odd - 4];

    __device__ __forceinline__ void fill(motet_row_array a, int width) {
        static_assert(ROW_HELD <= 4 * ROW_THREADS, "each thread has four");
        const int four = threadIdx.x;
        if (four >= width / 4) return;
        float v[4];
        if (a.type == ROW_F32)
            row_load<ROW_F32>(v, a.data, 4 * (size_t)four);
        else
            row_load<ROW_BF16>(v, a.data, 4 * (size_t)four);
        fours[C == 4 ? four : (four & 1) * odd + (four >> 1)] = make_float4(v[0], v[1], v[2], v[3]);
    }
    __device__ __forceinline__ void get(float (&w)[C], int chunk) const {
        const float4 low = fours[chunk];
        w[0] = low.x, w[1] = low.y, w[2] = low.z, w[3] = low.w;
        if constexpr (C == 8) {
            const float4 high = fours[odd + chunk];
            w[4] = high.x, w[5] = high.y, w[6] = high.z, w[7] = high.w;
        }
    }
};

/* Calls body<x, y>(...) for the types that two arrays turn out to have. */
#define ROW_DISPATCH(body, x_type, y_type, ...)        \
    do {                                               \
        if ((x_type) == ROW_F32) {                     \
            if ((y_type) == ROW_F32)                   \
                body<ROW_F32, ROW_F32>(__VA_ARGS__);   \
            else                                       \
                body<ROW_F32, ROW_BF16>(__VA_ARGS__);  \
        } else {                                       \
            if ((y_type) == ROW_F32)                   \
                body<ROW_BF16, ROW_F32>(__VA_ARGS__);  \
            else                                       \
                body<ROW_BF16, ROW_BF16>(__VA_ARGS__); \
        }                                              \
    } while (0)

/* partial [width] <- the sums that a block's warps hold of its columns, in the order of warps.
 * shares [ROW_WARPS * CHUNKS * 32] is shared. */
template <int CHUNKS>
ROW_INLINE void row_fold_warps(float *partial, const float (&sum)[CHUNKS][4], float4 *shares,
                               int width) {
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
        shares[(row_warp() * CHUNKS + c) * 32 + row_lane()] =
            make_float4(sum[c][0], sum[c][1], sum[c][2], sum[c][3]);
    __syncthreads();
    const int four = threadIdx.x; /* each thread has four columns */
    if (four >= width / 4) return;
    float4 total = shares[four];
#pragma unroll
    for (int warp = 1; warp < ROW_WARPS; warp++) {
        const float4 share = shares[warp * CHUNKS * 32 + four];
        total.x += share.x, total.y += share.y, total.z += share.z, total.w += share.w;
    }
    *(float4 *)(partial + 4 * four) = total;
}

/* sum[d] += the rows of partial [ranges][pitch], in order: eight of a block's warps take every
 * eighth row, 32 columns a block. */
ROW_INLINE void row_fold(float *sum, const float *partial, int64_t ranges, int64_t pitch,
                         int64_t width) {
    __shared__ float shares[ROW_WARPS][32];
    const int64_t column = (int64_t)blockIdx.x * 32 + row_lane();
    float share = 0;
    if (column < width) {
#pragma unroll 4
        for (int64_t range = row_warp(); range < ranges; range += ROW_WARPS)
            share += partial[range * pitch + column];
    }
    shares[row_warp()][row_lane()] = share;
    __syncthreads();
    if (row_warp() == 0 && column < width) {
        float total = shares[0][row_lane()];
#pragma unroll
        for (int warp = 1; warp < ROW_WARPS; warp++)
            total += shares[warp][row_lane()];
        sum[column] += total;
    }
}

#endif
