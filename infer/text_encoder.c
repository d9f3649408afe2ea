#include "infer/text_encoder.h"

#define LAYER_NORM_EPS 1e-12f /* BERT's */

void motet_text_layout(motet_text_acts *acts, motet_arenas *arenas, const motet_settings *settings,
                       int32_t rows, motet_dtype dtype) {
    motet_arena *arena = &arenas->device;
    const int64_t id_dims[] = {rows, 1};
    const int64_t dims[] = {rows, settings->model_text_width};
    const int64_t hidden_dims[] = {rows, settings->model_text_ffn};
    acts->words = motet_arena_tensor(&arenas->shared, MOTET_I32, 2, id_dims);
    acts->positions = motet_arena_tensor(&arenas->shared, MOTET_I32, 2, id_dims);
    acts->types = motet_arena_tensor(arena, MOTET_I32, 2, id_dims);
    acts->x = motet_arena_tensor(arena, dtype, 2, dims);
    acts->q = motet_arena_tensor(arena, dtype, 2, dims);
    acts->k = motet_arena_tensor(arena, dtype, 2, dims);
    acts->v = motet_arena_tensor(arena, dtype, 2, dims);
    acts->attn = motet_arena_tensor(arena, dtype, 2, dims);
    acts->delta = motet_arena_tensor(arena, dtype, 2, dims);
    acts->hidden = motet_arena_tensor(arena, dtype, 2, hidden_dims);
    acts->capacity = rows;
}

/* Checks the texts and writes the rows of the three tables that each token sums. */
static motet_status write_ids(motet_text_acts *acts, const motet_settings *settings,
                              const int32_t *ids, const int32_t *offsets, int sequences) {
    if (sequences < 0 || offsets[0] != 0)
        return MOTET_FAIL(MOTET_E_USAGE, "the offsets of the texts must begin with 0");
    int32_t *words = acts->words.data, *positions = acts->positions.data;
    for (int s = 0; s < sequences; s++) {
        const int64_t length = (int64_t)offsets[s + 1] - offsets[s];
        if (length < 0 || offsets[s + 1] > acts->capacity)
            return MOTET_FAIL(MOTET_E_USAGE,
                              "text %d ends at row %d; the text encoder was laid out for %d rows",
                              s, offsets[s + 1], acts->capacity);
        if (length > settings->model_text_positions)
            return MOTET_FAIL(MOTET_E_USAGE,
                              "text %d has %lld tokens; the text encoder reads at most %d", s,
                              (long long)length, settings->model_text_positions);
        for (int32_t i = offsets[s]; i < offsets[s + 1]; i++) {
            if (ids[i] < 0 || ids[i] >= settings->model_text_vocab)
                return MOTET_FAIL(MOTET_E_USAGE,
                                  "token id %d of text %d is outside the vocabulary of %d tokens",
                                  ids[i], s, settings->model_text_vocab);
            words[i] = ids[i];
            positions[i] = i - offsets[s];
        }
    }
    return MOTET_OK; /* types stay 0, as bound: one segment */
}

/* Views of the rows in use, made once a call. */
typedef struct text_rows {
    motet_tensor x, q, k, v, attn, delta, hidden;
} text_rows;

/* x = LayerNorm(word + position + type). */
static motet_status embed(const text_rows *r, const motet_text_acts *acts,
                          const motet_backend *backend, const motet_text_weights *weights) {
    const int64_t rows = r->x.dims[0];
    MOTET_TRY(
        backend->embed_forward(r->x, weights->words, motet_tensor_rows(acts->words, 0, rows)));
    MOTET_TRY(
        backend->embed_forward(r->q, weights->types, motet_tensor_rows(acts->types, 0, rows)));
    MOTET_TRY(backend->embed_forward(r->delta, weights->positions,
                                     motet_tensor_rows(acts->positions, 0, rows)));
    MOTET_TRY(backend->add(r->x, r->q));
    return backend->layernorm_forward(r->x, (motet_tensor){0}, (motet_tensor){0}, r->x, r->delta,
                                      weights->norm, weights->norm_bias, LAYER_NORM_EPS);
}

/* One post-norm block: x = LN(x + attention(x)), x = LN(x + ffn(x)). */
static motet_status run_layer(const text_rows *r, const motet_backend *backend,
                              const motet_text_layer_weights *w, const motet_attention_spec *spec) {
    const motet_matmul_spec linear = {.transpose_b = true};
    const motet_matmul_spec linear_gelu = {.transpose_b = true, .activation = MOTET_ACT_GELU};
    const motet_tensor none = {0};

    MOTET_TRY(backend->matmul(r->q, r->x, w->q, w->q_bias, linear));
    MOTET_TRY(backend->matmul(r->k, r->x, w->k, w->k_bias, linear));
    MOTET_TRY(backend->matmul(r->v, r->x, w->v, w->v_bias, linear));
    MOTET_TRY(backend->attention_forward(r->attn, none, r->q, r->k, r->v, spec));
    MOTET_TRY(backend->matmul(r->delta, r->attn, w->out, w->out_bias, linear));
    MOTET_TRY(backend->layernorm_forward(r->x, none, none, r->delta, r->x, w->attn_norm,
                                         w->attn_norm_bias, LAYER_NORM_EPS));

    MOTET_TRY(backend->matmul(r->hidden, r->x, w->up, w->up_bias, linear_gelu));
    MOTET_TRY(backend->matmul(r->delta, r->hidden, w->down, w->down_bias, linear));
    return backend->layernorm_forward(r->x, none, none, r->delta, r->x, w->ffn_norm,
                                      w->ffn_norm_bias, LAYER_NORM_EPS);
}

motet_status motet_text_forward(motet_tensor *states, motet_text_acts *acts,
                                const motet_backend *backend, const motet_text_weights *weights,
                                const motet_settings *settings, const int32_t *ids,
                                const int32_t *offsets, int sequences) {
    MOTET_TRY(write_ids(acts, settings, ids, offsets, sequences));
    const int32_t rows = offsets[sequences];
    const int64_t width = settings->model_text_width;
    const text_rows r = {
        .x = motet_tensor_rows(acts->x, 0, rows),
        .q = motet_tensor_rows(acts->q, 0, rows),
        .k = motet_tensor_rows(acts->k, 0, rows),
        .v = motet_tensor_rows(acts->v, 0, rows),
        .attn = motet_tensor_rows(acts->attn, 0, rows),
        .delta = motet_tensor_rows(acts->delta, 0, rows),
        .hidden = motet_tensor_rows(acts->hidden, 0, rows),
    };
    *states = r.x;
    if (rows == 0) return MOTET_OK;

    const motet_attention_spec spec = {
        .heads = settings->model_text_heads,
        .width = settings->model_text_width / settings->model_text_heads,
        .sequences = sequences,
        .q_offsets = offsets,
        .k_offsets = offsets,
        .q_pitch = width,
        .k_pitch = width,
        .v_pitch = width,
        .out_pitch = width,
    };
    MOTET_TRY(embed(&r, acts, backend, weights));
    for (int layer = 0; layer < settings->model_text_layers; layer++)
        MOTET_TRY(run_layer(&r, backend, &weights->layers[layer], &spec));
    return MOTET_OK;
}
