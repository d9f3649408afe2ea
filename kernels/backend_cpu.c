#include "kernels/backend.h"

static const motet_backend cpu = {
    .name = "cpu",
    .memory = &motet_host_memory,
    .embed_forward = motet_cpu_embed_forward,
    .embed_backward = motet_cpu_embed_backward,
    .rmsnorm_forward = motet_cpu_rmsnorm_forward,
    .rmsnorm_backward = motet_cpu_rmsnorm_backward,
    .rmsnorm_add_forward = motet_cpu_rmsnorm_add_forward,
    .rmsnorm_add_backward = motet_cpu_rmsnorm_add_backward,
    .layernorm_forward = motet_cpu_layernorm_forward,
    .layernorm_backward = motet_cpu_layernorm_backward,
    .matmul = motet_cpu_matmul,
    .bias_backward = motet_cpu_bias_backward,
    .rope = motet_cpu_rope,
    .attention_forward = motet_cpu_attention_forward,
    .attention_backward = motet_cpu_attention_backward,
    .attention_decode = motet_cpu_attention_decode,
    .attention_append = motet_cpu_attention_append,
    .swiglu_forward = motet_cpu_swiglu_forward,
    .swiglu_backward = motet_cpu_swiglu_backward,
    .gelu_forward = motet_cpu_gelu_forward,
    .gelu_backward = motet_cpu_gelu_backward,
    .gather = motet_cpu_gather,
    .scatter_add = motet_cpu_scatter_add,
    .add = motet_cpu_add,
    .cross_entropy = motet_cpu_cross_entropy,
    .sample = motet_cpu_sample,
    .field_draw = motet_cpu_field_draw,
    .convert = motet_cpu_convert,
    .convert_stochastic = motet_cpu_convert_stochastic,
    .adamw = motet_cpu_adamw,
    .muon = motet_cpu_muon,
    .sum_squares = motet_cpu_sum_squares,
};

const motet_backend *motet_backend_cpu(void) {
    return &cpu;
}
