#include "kernels/cuda/device.h"
#include "kernels/cuda/graph.h"
#include "kernels/cuda/host_status.h"
#include "kernels/cuda/ops.h"

static const motet_backend cuda = {
    .name = "cuda",
    .memory = &motet_cuda_memory,
    .graphs = &motet_cuda_graphs,
    .embed_forward = motet_cuda_embed_forward,
    .embed_backward = motet_cuda_embed_backward,
    .rmsnorm_forward = motet_cuda_rmsnorm_forward,
    .rmsnorm_backward = motet_cuda_rmsnorm_backward,
    .rmsnorm_add_forward = motet_cuda_rmsnorm_add_forward,
    .rmsnorm_add_backward = motet_cuda_rmsnorm_add_backward,
    .layernorm_forward = motet_cuda_layernorm_forward,
    .layernorm_backward = motet_cuda_layernorm_backward,
    .matmul = motet_cuda_matmul,
    .bias_backward = motet_cuda_bias_backward,
    .rope = motet_cuda_rope,
    .attention_forward = motet_cuda_attention_forward,
    .attention_backward = motet_cuda_attention_backward,
    .attention_decode = motet_cuda_attention_decode,
    .attention_append = motet_cuda_attention_append,
    .swiglu_forward = motet_cuda_swiglu_forward,
    .swiglu_backward = motet_cuda_swiglu_backward,
    .gelu_forward = motet_cuda_gelu_forward,
    .gelu_backward = motet_cuda_gelu_backward,
    .gather = motet_cuda_gather,
    .scatter_add = motet_cuda_scatter_add,
    .add = motet_cuda_add,
    .cross_entropy = motet_cuda_cross_entropy,
    .sample = motet_cuda_sample,
    .field_draw = motet_cuda_field_draw,
    .convert = motet_cuda_convert,
    .convert_stochastic = motet_cuda_convert_stochastic,
    .adamw = motet_cuda_adamw,
    .muon = motet_cuda_muon,
    .sum_squares = motet_cuda_sum_squares,
};

/* The only symbol that the plug-in shows. */
__attribute__((visibility("default"))) motet_cuda_open_fn motet_cuda_open;

motet_status motet_cuda_open(const motet_backend **backend, int device,
                             const motet_cuda_host *host) {
    *backend = NULL;
    MOTET_TRY(motet_cuda_host_set(host));
    MOTET_TRY(motet_cuda_device_open(device, host->driver));
    *backend = &cuda;
    return MOTET_OK;
}
