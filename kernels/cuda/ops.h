/* ops: the CUDA twin of every op, declared with the CPU twins' function types, and the table of
 * them. Tensors are in the device's memory or shared (core/memory.h); host arrays that ops read
 * (offsets, lengths, params, results) are in shared memory. What the host can check it checks
 * before the launch; wrong indices are reported by the next synchronize (complaint.h).
 */
#ifndef MOTET_CUDA_OPS_H
#define MOTET_CUDA_OPS_H

#include "kernels/backend.h"

motet_embed_forward_fn motet_cuda_embed_forward;
motet_embed_backward_fn motet_cuda_embed_backward;
motet_rmsnorm_forward_fn motet_cuda_rmsnorm_forward;
motet_rmsnorm_backward_fn motet_cuda_rmsnorm_backward;
motet_rmsnorm_add_forward_fn motet_cuda_rmsnorm_add_forward;
motet_rmsnorm_add_backward_fn motet_cuda_rmsnorm_add_backward;
motet_layernorm_forward_fn motet_cuda_layernorm_forward;
motet_layernorm_backward_fn motet_cuda_layernorm_backward;
motet_matmul_fn motet_cuda_matmul;
motet_bias_backward_fn motet_cuda_bias_backward;
motet_rope_fn motet_cuda_rope;
motet_attention_forward_fn motet_cuda_attention_forward;
motet_attention_backward_fn motet_cuda_attention_backward;
motet_attention_decode_fn motet_cuda_attention_decode;
motet_attention_append_fn motet_cuda_attention_append;
motet_swiglu_forward_fn motet_cuda_swiglu_forward;
motet_swiglu_backward_fn motet_cuda_swiglu_backward;
motet_gelu_forward_fn motet_cuda_gelu_forward;
motet_gelu_backward_fn motet_cuda_gelu_backward;
motet_gather_fn motet_cuda_gather;
motet_scatter_add_fn motet_cuda_scatter_add;
motet_add_fn motet_cuda_add;
motet_cross_entropy_fn motet_cuda_cross_entropy;
motet_sample_fn motet_cuda_sample;
motet_field_draw_fn motet_cuda_field_draw;
motet_convert_fn motet_cuda_convert;
motet_convert_stochastic_fn motet_cuda_convert_stochastic;
motet_adamw_fn motet_cuda_adamw;
motet_muon_fn motet_cuda_muon;
motet_sum_squares_fn motet_cuda_sum_squares;

/* The GEMM of our own, whatever matmul chooses: cuBLASLt's fall-back and its check. */
motet_matmul_fn motet_cuda_matmul_own;

#endif
