/* gemm: what the matrix kernels share on the device: int8 codes, and the epilogue. */
#ifndef MOTET_CUDA_GEMM_CUH
#define MOTET_CUDA_GEMM_CUH

#include "kernels/cuda/gelu.cuh"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/row.cuh"

/* Byte i of four int8 codes, exactly: 2^23 + code + 128 has the code in its low bits. codes must
 * have been xored with 0x80808080. */
template <int i> ROW_INLINE float float_code(uint32_t codes) {
    return __uint_as_float(__byte_perm(codes, 0x4b000000u, 0x7440 + i)) - 8388736.0f;
}

/* Stores that stay whole: the compiler splits some float2 and float4 into words, which meet banks.
 */
ROW_INLINE uint32_t shared_address(const void *pointer) {
    return (uint32_t)__cvta_generic_to_shared(pointer);
}
ROW_INLINE void store_shared2(float *to, float x, float y) {
    asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(shared_address(to)), "f"(x), "f"(y)
                 : "memory");
}
ROW_INLINE void store_shared4(float *to, float x, float y, float z, float w) {
    asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(to)), "f"(x),
                 "f"(y), "f"(z), "f"(w)
                 : "memory");
}

ROW_INLINE float load_float(const void *from, size_t at, int type) {
    if (type == ROW_F32) return ((const float *)from)[at];
    return row_low(((const uint16_t *)from)[at]);
}

/* What happens to a sum behind its last addition: scale, bias, activation. */
ROW_INLINE float finish(const motet_gemm_args &p, float sum, float scale, float bias) {
    float value = p.scale ? sum * scale : sum;
    if (p.bias) value += bias;
    return p.gelu ? gelu(value) : value;
}

/* C[row,column] <- the finished sum. */
ROW_INLINE void store_sum(const motet_gemm_args &p, int row, int column, float sum) {
    const size_t at = (size_t)row * p.n + column;
    float value = finish(p, sum, p.scale ? p.scale[column] : 1,
                         p.bias ? load_float(p.bias, column, p.bias_type) : 0);
    if (p.accumulate) value += load_float(p.c, at, p.c_type);
    if (p.c_type == ROW_F32)
        ((float *)p.c)[at] = value;
    else
        ((uint16_t *)p.c)[at] = (uint16_t)row_pack(value, 0);
}

/* Four columns at once, where c_vector allows it; scale and bias of these columns. */
struct columns4 {
    float scale[4], bias[4];
};

ROW_INLINE columns4 load_columns4(const motet_gemm_args &p, int column) {
    columns4 c = {{1, 1, 1, 1}, {0, 0, 0, 0}};
    if (column >= p.n) return c;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (p.scale) c.scale[i] = p.scale[column + i];
        if (p.bias) c.bias[i] = load_float(p.bias, column + i, p.bias_type);
    }
    return c;
}

ROW_INLINE void store_sum4(const motet_gemm_args &p, int row, int column, float4 sum,
                           const columns4 &c) {
    const size_t at = (size_t)row * p.n + column;
    float v[4] = {finish(p, sum.x, c.scale[0], c.bias[0]), finish(p, sum.y, c.scale[1], c.bias[1]),
                  finish(p, sum.z, c.scale[2], c.bias[2]), finish(p, sum.w, c.scale[3], c.bias[3])};
    if (p.c_type == ROW_F32) {
        float4 *to = (float4 *)((float *)p.c + at);
        if (p.accumulate) {
            const float4 old = *to;
            v[0] += old.x, v[1] += old.y, v[2] += old.z, v[3] += old.w;
        }
        *to = make_float4(v[0], v[1], v[2], v[3]);
    } else {
        uint2 *to = (uint2 *)((uint16_t *)p.c + at);
        if (p.accumulate) {
            const uint2 old = *to;
            v[0] += row_low(old.x), v[1] += row_high(old.x);
            v[2] += row_low(old.y), v[3] += row_high(old.y);
        }
        *to = make_uint2(row_pack(v[0], v[1]), row_pack(v[2], v[3]));
    }
}

/* Where the sum of row r, column c lies in a tile of BN columns: groups of 8 columns are permuted
 * by the row, so that neither mma's fragments nor whole rows meet a bank twice. */
template <int BN> ROW_INLINE int stage_place(int row, int column) {
    return row * BN + (column ^ ((row & 3) << 3));
}

/* A tile of sums in shared memory to C, or to this block's partial sums. After a barrier. */
template <int BM, int BN, int THREADS>
ROW_INLINE void leave(const motet_gemm_args &p, const float *stage, int m0, int n0) {
    float *const partial = p.partial + (size_t)blockIdx.z * p.m * p.n;
    const int rows = min(BM, p.m - m0);
    if (p.c_vector) {
        const int column = threadIdx.x % (BN / 4) * 4;
        if (n0 + column >= p.n) return;
        const columns4 columns = load_columns4(p, n0 + column);
#pragma unroll 2
        for (int row = threadIdx.x / (BN / 4); row < rows; row += THREADS / (BN / 4)) {
            const float4 sum = *(const float4 *)&stage[stage_place<BN>(row, column)];
            if (p.partial)
                *(float4 *)&partial[(size_t)(m0 + row) * p.n + n0 + column] = sum;
            else
                store_sum4(p, m0 + row, n0 + column, sum, columns);
        }
    } else {
#pragma unroll 1
        for (int at = threadIdx.x; at < rows * BN; at += THREADS) {
            const int row = at / BN, column = at % BN;
            if (n0 + column >= p.n) continue;
            const float sum = stage[stage_place<BN>(row, column)];
            if (p.partial)
                partial[(size_t)(m0 + row) * p.n + n0 + column] = sum;
            else
                store_sum(p, m0 + row, n0 + column, sum);
        }
    }
}

#endif
