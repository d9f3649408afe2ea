#include "train/score_backward.h"

static const motet_tensor none = {0};

/* dX = dY W and dW += dY^T X: the two products behind every linear layer. */
static const motet_matmul_spec input_gradient = {0};
static const motet_matmul_spec weight_gradient = {.transpose_a = true, .accumulate = true};

void motet_score_grads_layout(motet_score_grads *grads, motet_arena *arena,
                              const motet_settings *settings, int32_t rows, int32_t memory_rows,
                              int32_t text_rows, motet_dtype dtype) {
    int64_t n = rows, m = memory_rows, d = settings->model_width, f = settings->model_ffn;
#define MATRIX(type, r, c) motet_arena_tensor(arena, type, 2, (const int64_t[]){r, c})
    grads->dx = MATRIX(MOTET_F32, n, d);
    grads->dout = MATRIX(dtype, n, d);
    grads->din = MATRIX(dtype, n, d);
    grads->dattn = MATRIX(dtype, n, d);
    grads->dqkv = MATRIX(dtype, n, 3 * d);
    grads->dcross_q = MATRIX(dtype, n, d);
    grads->dcross_kv = MATRIX(dtype, m, 2 * d);
    grads->dhidden = MATRIX(dtype, n, f);
    grads->dgate_up = MATRIX(dtype, n, 2 * f);
    grads->dmemory = MATRIX(MOTET_F32, m, d);
    grads->dmemory_in = MATRIX(MOTET_F32, m, d);
    grads->dtext = MATRIX(MOTET_F32, text_rows, d);
    grads->dtext_out = MATRIX(dtype, text_rows, d);
#undef MATRIX
}

static motet_tensor columns(motet_tensor t, int64_t first) {
    t.data = (unsigned char *)t.data + (size_t)first * motet_dtype_bytes(t.dtype);
    return t;
}

/* What the three branches of a layer need alike. */
typedef struct context {
    const motet_backend *backend;
    const motet_settings *settings;
    const motet_score_input *input;
    motet_score_grads *grads;
    int64_t n, d;
} context;

static motet_tensor rows_of(const context *c, motet_tensor t) {
    return motet_tensor_rows(t, 0, c->n);
}

/* The branch's output layer: dout -> gradient of what went into it. */
static motet_status output_backward(const context *c, motet_tensor dinput, motet_tensor dweight,
                                    motet_tensor input, motet_tensor weight) {
    motet_tensor dout = rows_of(c, c->grads->dout);
    MOTET_TRY(c->backend->matmul(dweight, dout, input, none, weight_gradient));
    return c->backend->matmul(dinput, dout, weight, none, input_gradient);
}

/* The branch's input layer and norm: its gradient joins dx, of which the branch before it gets a
 * copy in its own type. */
static motet_status input_backward(const context *c, motet_tensor doutput, motet_tensor dweight,
                                   motet_tensor dnorm, motet_tensor normed, motet_tensor weight,
                                   motet_tensor x, motet_tensor norm, motet_tensor rstd) {
    motet_tensor din = rows_of(c, c->grads->din);
    MOTET_TRY(c->backend->matmul(dweight, doutput, rows_of(c, normed), none, weight_gradient));
    MOTET_TRY(c->backend->matmul(din, doutput, weight, none, input_gradient));
    return c->backend->rmsnorm_add_backward(rows_of(c, c->grads->dx), rows_of(c, c->grads->dout),
                                            dnorm, din, rows_of(c, x), norm, rows_of(c, rstd));
}

static motet_status feed_forward_backward(const context *c, motet_score_layer_weights *dw,
                                          const motet_score_layer_acts *acts,
                                          const motet_score_layer_weights *w) {
    motet_tensor dhidden = rows_of(c, c->grads->dhidden), dgu = rows_of(c, c->grads->dgate_up);
    MOTET_TRY(output_backward(c, dhidden, dw->down, rows_of(c, acts->hidden), w->down));
    MOTET_TRY(c->backend->swiglu_backward(dgu, dhidden, rows_of(c, acts->gate_up)));
    return input_backward(c, dgu, dw->gate_up, dw->ffn_norm, acts->ffn_in, w->gate_up, acts->x_ffn,
                          w->ffn_norm, acts->ffn_rstd);
}

static motet_status cross_backward(const context *c, motet_score_layer_weights *dw,
                                   const motet_score_layer_acts *acts,
                                   const motet_score_layer_weights *w, motet_tensor memory) {
    int64_t d = c->d, m = c->input->memory_rows;
    motet_tensor dcross = rows_of(c, c->grads->dattn), dq = rows_of(c, c->grads->dcross_q);
    motet_tensor dkv = motet_tensor_rows(c->grads->dcross_kv, 0, m);
    motet_tensor kv = motet_tensor_rows(acts->cross_kv, 0, m);
    MOTET_TRY(output_backward(c, dcross, dw->cross_out, rows_of(c, acts->cross), w->cross_out));
    motet_attention_spec spec = {.heads = c->settings->model_heads,
                                 .width = c->settings->model_width / c->settings->model_heads,
                                 .sequences = c->input->sequences + 1, /* zeros for the padding */
                                 .q_offsets = c->input->offsets,
                                 .k_offsets = c->input->memory_offsets,
                                 .q_pitch = d,
                                 .k_pitch = 2 * d,
                                 .v_pitch = 2 * d,
                                 .out_pitch = d};
    MOTET_TRY(c->backend->attention_backward(dq, dkv, columns(dkv, d), dcross,
                                             rows_of(c, acts->cross), rows_of(c, acts->cross_lse),
                                             rows_of(c, acts->cross_q), kv, columns(kv, d), &spec));
    MOTET_TRY(c->backend->matmul(dw->cross_kv, dkv, memory, none, weight_gradient));
    MOTET_TRY(c->backend->matmul(motet_tensor_rows(c->grads->dmemory, 0, m), dkv, w->cross_kv, none,
                                 (motet_matmul_spec){.accumulate = true}));
    return input_backward(c, dq, dw->cross_q, dw->cross_norm, acts->cross_in, w->cross_q,
                          acts->x_cross, w->cross_norm, acts->cross_rstd);
}

static motet_status self_backward(const context *c, motet_score_layer_weights *dw,
                                  const motet_score_layer_acts *acts,
                                  const motet_score_layer_weights *w, motet_tensor angles) {
    int64_t d = c->d;
    int heads = c->settings->model_heads, width = c->settings->model_width / heads;
    motet_tensor dattn = rows_of(c, c->grads->dattn), dqkv = rows_of(c, c->grads->dqkv);
    motet_tensor qkv = rows_of(c, acts->qkv);
    MOTET_TRY(output_backward(c, dattn, dw->attn_out, rows_of(c, acts->attn), w->attn_out));
    motet_attention_spec spec = {.heads = heads,
                                 .width = width,
                                 .sequences = c->input->sequences,
                                 .q_offsets = c->input->offsets,
                                 .k_offsets = c->input->offsets,
                                 .q_pitch = 3 * d,
                                 .k_pitch = 3 * d,
                                 .v_pitch = 3 * d,
                                 .out_pitch = d,
                                 .causal = true};
    MOTET_TRY(c->backend->attention_backward(dqkv, columns(dqkv, d), columns(dqkv, 2 * d), dattn,
                                             rows_of(c, acts->attn), rows_of(c, acts->attn_lse),
                                             qkv, columns(qkv, d), columns(qkv, 2 * d), &spec));
    MOTET_TRY(c->backend->rope(dqkv, angles, 2 * heads, true));
    return input_backward(c, dqkv, dw->qkv, dw->attn_norm, acts->attn_in, w->qkv, acts->x_attn,
                          w->attn_norm, acts->attn_rstd);
}

/* From the gradient of the normed memory to the control table and the text projection. */
static motet_status memory_backward(const context *c, motet_weights *dw,
                                    const motet_score_acts *acts, const motet_weights *w,
                                    motet_tensor text_states) {
    int64_t m = c->input->memory_rows, text_rows = text_states.dims[0];
    motet_tensor din = motet_tensor_rows(c->grads->dmemory_in, 0, m);
    MOTET_TRY(motet_tensor_zero(c->backend->memory, din));
    MOTET_TRY(c->backend->rmsnorm_backward(din, dw->memory_norm,
                                           motet_tensor_rows(c->grads->dmemory, 0, m),
                                           motet_tensor_rows(acts->memory_in, 0, m), w->memory_norm,
                                           motet_tensor_rows(acts->memory_rstd, 0, m)));
    MOTET_TRY(c->backend->embed_backward(dw->controls, din,
                                         motet_matrix(c->input->memory_controls, MOTET_I32, m, 1)));
    if (text_rows == 0) return MOTET_OK;
    motet_tensor dtext = motet_tensor_rows(c->grads->dtext, 0, text_rows);
    motet_tensor dtext_out = motet_tensor_rows(c->grads->dtext_out, 0, text_rows);
    MOTET_TRY(motet_tensor_zero(c->backend->memory, dtext));
    MOTET_TRY(
        c->backend->scatter_add(dtext, din, motet_vector(c->input->memory_text, MOTET_I32, m)));
    MOTET_TRY(c->backend->convert(dtext_out, dtext));
    return c->backend->matmul(dw->text_proj, dtext_out, text_states, none, weight_gradient);
}

motet_status motet_score_backward(motet_weights *dweights, motet_score_grads *grads,
                                  motet_score_acts *acts, const motet_backend *backend,
                                  const motet_weights *weights, const motet_settings *settings,
                                  const motet_score_input *input, motet_tensor text_states,
                                  motet_tensor dstates) {
    context c = {backend, settings, input, grads, input->rows, settings->model_width};
    motet_tensor dx = rows_of(&c, grads->dx);
    motet_tensor memory = motet_tensor_rows(acts->memory, 0, input->memory_rows);
    MOTET_TRY(motet_tensor_zero(backend->memory, dx));
    MOTET_TRY(motet_tensor_zero(backend->memory,
                                motet_tensor_rows(grads->dmemory, 0, input->memory_rows)));
    MOTET_TRY(backend->rmsnorm_add_backward(dx, rows_of(&c, grads->dout), dweights->state_norm,
                                            dstates, rows_of(&c, acts->x), weights->state_norm,
                                            rows_of(&c, acts->rstd)));
    MOTET_TRY(MOTET_IS_FINAL(&grads->hook, &dweights->state_norm));
    for (int i = settings->model_layers - 1; i >= 0; i--) {
        motet_score_layer_weights *dw = &dweights->layers[i];
        const motet_score_layer_weights *w = &weights->layers[i];
        MOTET_TRY(motet_score_again(acts, i, backend, weights, settings, input));
        MOTET_TRY(feed_forward_backward(&c, dw, &acts->layers[i], w));
        MOTET_TRY(cross_backward(&c, dw, &acts->layers[i], w, memory));
        MOTET_TRY(self_backward(&c, dw, &acts->layers[i], w, rows_of(&c, acts->angles)));
        MOTET_TRY(MOTET_IS_FINAL(&grads->hook, dw));
    }
    MOTET_TRY(backend->embed_backward(
        dweights->events, dx,
        motet_matrix(input->events, MOTET_I32, input->rows, MOTET_EVENT_FEATURES)));
    MOTET_TRY(backend->embed_backward(
        dweights->context, dx,
        motet_matrix(input->context, MOTET_I32, input->rows, MOTET_CONTEXT_FEATURES)));
    MOTET_TRY(MOTET_IS_FINAL(&grads->hook, &dweights->events));
    MOTET_TRY(MOTET_IS_FINAL(&grads->hook, &dweights->context));
    return memory_backward(&c, dweights, acts, weights, text_states);
}
