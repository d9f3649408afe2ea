/* backend: the table of ops that a model runs on. One const table per device; the model code knows
 * no other way to compute. Tables are never changed: a program that wants another matmul (the
 * trainer uses oneDNN's) copies the table and replaces the entry.
 */
#ifndef MOTET_BACKEND_H
#define MOTET_BACKEND_H

#include "kernels/attention.h"
#include "kernels/core/memory.h"
#include "kernels/cross_entropy.h"
#include "kernels/embed.h"
#include "kernels/field_draw.h"
#include "kernels/gather.h"
#include "kernels/gelu.h"
#include "kernels/graph.h"
#include "kernels/layernorm.h"
#include "kernels/matmul.h"
#include "kernels/optimizer.h"
#include "kernels/rmsnorm.h"
#include "kernels/rope.h"
#include "kernels/sample.h"
#include "kernels/swiglu.h"

typedef struct motet_backend {
    const char *name; /* "cpu", "cuda" */
    const motet_memory *memory;
    const motet_graphs *graphs; /* NULL: ops are asked for one by one */
    motet_embed_forward_fn *embed_forward;
    motet_embed_backward_fn *embed_backward;
    motet_rmsnorm_forward_fn *rmsnorm_forward;
    motet_rmsnorm_backward_fn *rmsnorm_backward;
    motet_rmsnorm_add_forward_fn *rmsnorm_add_forward;
    motet_rmsnorm_add_backward_fn *rmsnorm_add_backward;
    motet_layernorm_forward_fn *layernorm_forward;
    motet_layernorm_backward_fn *layernorm_backward;
    motet_matmul_fn *matmul;
    motet_bias_backward_fn *bias_backward;
    motet_rope_fn *rope;
    motet_attention_forward_fn *attention_forward;
    motet_attention_backward_fn *attention_backward;
    motet_attention_decode_fn *attention_decode;
    motet_attention_append_fn *attention_append;
    motet_swiglu_forward_fn *swiglu_forward;
    motet_swiglu_backward_fn *swiglu_backward;
    motet_gelu_forward_fn *gelu_forward;
    motet_gelu_backward_fn *gelu_backward;
    motet_gather_fn *gather;
    motet_scatter_add_fn *scatter_add;
    motet_add_fn *add;
    motet_cross_entropy_fn *cross_entropy;
    motet_sample_fn *sample;
    motet_field_draw_fn *field_draw;
    motet_convert_fn *convert;
    motet_convert_stochastic_fn *convert_stochastic;
    motet_adamw_fn *adamw;
    motet_muon_fn *muon;
    motet_sum_squares_fn *sum_squares;
} motet_backend;

const motet_backend *motet_backend_cpu(void);

#endif
