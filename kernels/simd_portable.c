#define MOTET_SIMD 128
#include "kernels/simd.h"
#include "kernels/simd_table.h"

#include "kernels/simd_tile.inc"

#include "kernels/matmul.inc"

#include "kernels/attention.inc"

#include "kernels/attention_decode.inc"

#include "kernels/sample.inc"

const motet_simd motet_simd_portable = {
    .name = "portable",
    .matmul_dot = matmul_dot,
    .matmul_packed = matmul_packed,
    .attention_forward_scratch = attention_forward_scratch,
    .attention_forward = attention_forward,
    .attention_backward_scratch = attention_backward_scratch,
    .attention_backward = attention_backward,
    .attention_decode = attention_decode,
    .exp_row = exp_row,
};
