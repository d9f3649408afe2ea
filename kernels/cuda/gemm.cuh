/* gemm: what the matrix kernels share on the device: int8 codes, and the epilogue of an element. */
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

/* Which of the splits of K a block has: the first starts an element of C, the last finishes it. */
struct split_part {
    bool first, last;
};

/* C[at] <- the finished sum, or what a split makes of the sums before it; see gemm_tile.cuh. scale,
 * bias: of the column. */
ROW_INLINE void store_sum(const motet_gemm_args &p, size_t at, float sum, float scale, float bias,
                          split_part part) {
    float value = p.scale ? sum * scale : sum;
    if (part.first && p.bias) value += bias;
    if (!part.first) value += p.sums[at];
    if (part.last && p.gelu) value = gelu(value);
    if (p.c_type == ROW_F32) {
        float *const c = (float *)p.c;
        c[at] = part.first && p.accumulate ? value + c[at] : value;
    } else if (part.last) {
        uint16_t *const c = (uint16_t *)p.c;
        c[at] = (uint16_t)row_pack(p.accumulate ? value + row_low(c[at]) : value, 0);
    } else {
        p.sums[at] = value;
    }
}

ROW_INLINE float load_scale(const motet_gemm_args &p, int column) {
    return p.scale ? p.scale[column] : 1;
}
ROW_INLINE float load_bias(const motet_gemm_args &p, int column) {
    return p.bias ? load_float(p.bias, column, p.bias_type) : 0;
}

#endif
