#include "infer/score_decoder.h"

static const motet_matmul_spec linear = {.transpose_b = true};
static const motet_matmul_spec linear_add = {.transpose_b = true, .accumulate = true};
static const motet_tensor none = {0};

/* A layer's buffers; those that it does not keep are the first layer's. */
static void layer_layout(motet_score_layer_acts *layer, const motet_score_acts *acts,
                         motet_arena *arena, const motet_settings *settings, int64_t n, int64_t m) {
    const motet_dtype dtype = acts->dtype;
    const motet_score_layer_acts *first = &acts->layers[0];
    int64_t d = settings->model_width, f = settings->model_ffn, h = settings->model_heads;
#define OWN(level, member, type, r, c)                                                  \
    layer->member =                                                                     \
        layer == first || acts->keep >= (level)                                         \
            ? motet_arena_tensor(arena, type, (c) > 0 ? 2 : 1, (const int64_t[]){r, c}) \
            : first->member
    bool in_place = acts->keep == MOTET_KEEP_NOTHING;
    if (in_place)
        layer->x_attn = layer->x_cross = layer->x_ffn = acts->x;
    else {
        OWN(MOTET_KEEP_INPUTS, x_attn, MOTET_F32, n, d);
        OWN(MOTET_KEEP_COSTLY, x_cross, MOTET_F32, n, d);
        OWN(MOTET_KEEP_COSTLY, x_ffn, MOTET_F32, n, d);
    }
    OWN(MOTET_KEEP_COSTLY, attn_rstd, MOTET_F32, n, 0);
    OWN(MOTET_KEEP_COSTLY, cross_rstd, MOTET_F32, n, 0);
    OWN(MOTET_KEEP_COSTLY, ffn_rstd, MOTET_F32, n, 0);
    OWN(MOTET_KEEP_ALL, attn_in, dtype, n, d);
    if (in_place)
        layer->cross_in = layer->ffn_in = layer->attn_in;
    else {
        OWN(MOTET_KEEP_ALL, cross_in, dtype, n, d);
        OWN(MOTET_KEEP_ALL, ffn_in, dtype, n, d);
    }
    OWN(MOTET_KEEP_COSTLY, qkv, dtype, n, 3 * d);
    OWN(MOTET_KEEP_COSTLY, attn, dtype, n, d);
    OWN(MOTET_KEEP_COSTLY, attn_lse, MOTET_F32, n, h);
    OWN(MOTET_KEEP_COSTLY, cross_q, dtype, n, d);
    OWN(MOTET_KEEP_COSTLY, cross_kv, dtype, m, 2 * d);
    OWN(MOTET_KEEP_COSTLY, cross, dtype, n, d);
    OWN(MOTET_KEEP_COSTLY, cross_lse, MOTET_F32, n, h);
    OWN(MOTET_KEEP_COSTLY, gate_up, dtype, n, 2 * f);
    OWN(MOTET_KEEP_ALL, hidden, dtype, n, f);
#undef OWN
}

void motet_score_acts_layout(motet_score_acts *acts, motet_arena *arena,
                             const motet_settings *settings, int32_t rows, int32_t memory_rows,
                             int32_t text_rows, motet_dtype dtype, motet_score_keep keep) {
    int64_t n = rows, m = memory_rows, d = settings->model_width;
    int64_t width = d / settings->model_heads;
#define MATRIX(type, r, c) motet_arena_tensor(arena, type, 2, (const int64_t[]){r, c})
#define VECTOR(type, r) motet_arena_tensor(arena, type, 1, (const int64_t[]){r})
    acts->dtype = dtype;
    acts->keep = keep;
    acts->text = MATRIX(dtype, text_rows, d);
    acts->memory_in = MATRIX(MOTET_F32, m, d);
    acts->memory_rstd = VECTOR(MOTET_F32, m);
    acts->memory = MATRIX(dtype, m, d);
    acts->embedded = MATRIX(MOTET_F32, n, d);
    acts->angles = MATRIX(MOTET_F32, n, width);
    acts->x = MATRIX(MOTET_F32, n, d);
    acts->rstd = VECTOR(MOTET_F32, n);
    acts->states = MATRIX(MOTET_F32, n, d);
#undef MATRIX
#undef VECTOR
    for (int i = 0; i < settings->model_layers; i++)
        layer_layout(&acts->layers[i], acts, arena, settings, n, m);
}

static void write_rows(motet_score_cache *cache) {
    for (int32_t i = 0; i < cache->sequences + 2; i++)
        cache->row_offsets[i] = i <= cache->sequences ? i : cache->sequences;
    for (int32_t i = 0; i < cache->sequences; i++)
        cache->q_rows[i] = 3 * i;
}

/* As attention.h has caches: int8 with a scale for each row of a head. */
static motet_tensor cache_tensor(motet_arena *arena, motet_dtype dtype, const int64_t dims[3],
                                 int64_t heads) {
    motet_tensor t = motet_arena_tensor(arena, dtype, 3, dims);
    const int64_t scales[3] = {dims[0], heads, dims[1]};
    if (dtype == MOTET_I8) t.scale = motet_arena_tensor(arena, MOTET_F32, 3, scales).data;
    return t;
}

void motet_score_cache_layout(motet_score_cache *cache, motet_arenas *arenas,
                              const motet_settings *settings, int32_t sequences, int32_t capacity,
                              int32_t memory_rows, motet_dtype dtype) {
    motet_arena *arena = &arenas->device, *shared = &arenas->shared;
    int64_t rows[3] = {sequences, capacity, settings->model_width};
    int64_t memory[2] = {memory_rows, 2 * (int64_t)settings->model_width};
    cache->sequences = sequences;
    cache->capacity = capacity;
    const motet_dtype rest = dtype == MOTET_I8 ? MOTET_F32 : dtype;
    for (int i = 0; i < settings->model_layers; i++) {
        cache->k[i] = cache_tensor(arena, dtype, rows, settings->model_heads);
        cache->v[i] = cache_tensor(arena, dtype, rows, settings->model_heads);
        cache->cross_kv[i] = motet_arena_tensor(arena, rest, 2, memory);
    }
#define INTS(count) motet_arena_take(shared, count, sizeof(int32_t))
    cache->lengths = INTS(sequences);
    cache->row_offsets = INTS((int64_t)sequences + 2);
    cache->q_rows = INTS(sequences);
#undef INTS
    if (cache->q_rows) write_rows(cache);
}

/* View of columns [first, ...) of the first row: for ops that take a pitch. */
static motet_tensor columns(motet_tensor t, int64_t first) {
    t.data = (unsigned char *)t.data + (size_t)first * motet_dtype_bytes(t.dtype);
    return t;
}

motet_status motet_score_memory(motet_score_acts *acts, const motet_backend *backend,
                                const motet_weights *weights, const motet_score_input *input,
                                motet_tensor text_states) {
    int64_t m = input->memory_rows, text_rows = text_states.dims[0];
    motet_tensor in = motet_tensor_rows(acts->memory_in, 0, m);
    motet_tensor controls = motet_matrix(input->memory_controls, MOTET_I32, m, 1);
    MOTET_TRY(backend->embed_forward(in, weights->controls, controls));
    if (text_rows > 0) {
        motet_tensor text = motet_tensor_rows(acts->text, 0, text_rows);
        motet_tensor gathered = motet_tensor_rows(acts->memory, 0, m); /* free until the norm */
        MOTET_TRY(backend->matmul(text, text_states, weights->text_proj, none, linear));
        MOTET_TRY(backend->gather(gathered, text, motet_vector(input->memory_text, MOTET_I32, m)));
        return backend->rmsnorm_add_forward(gathered, in,
                                            motet_tensor_rows(acts->memory_rstd, 0, m), in,
                                            gathered, weights->memory_norm, MOTET_RMS_EPS);
    }
    return backend->rmsnorm_forward(motet_tensor_rows(acts->memory, 0, m),
                                    motet_tensor_rows(acts->memory_rstd, 0, m), in,
                                    weights->memory_norm, MOTET_RMS_EPS);
}

/* What the residual stream x is normed to: the input of the next branch, or the states. */
typedef struct normed {
    motet_tensor out, rstd, weight;
} normed;

/* next = x + output layer of a branch, and its norm: all in one pass where next is not x. */
static motet_status join(const motet_score_acts *acts, const motet_backend *backend,
                         motet_tensor next, motet_tensor x, motet_tensor branch,
                         motet_tensor weight, const normed *norm) {
    int64_t n = branch.dims[0];
    motet_tensor sum = motet_tensor_rows(next, 0, n), out = motet_tensor_rows(norm->out, 0, n);
    motet_tensor rstd = motet_tensor_rows(norm->rstd, 0, n);
    if (next.data == x.data) {
        MOTET_TRY(backend->matmul(sum, branch, weight, none, linear_add));
        return backend->rmsnorm_forward(out, rstd, sum, norm->weight, MOTET_RMS_EPS);
    }
    motet_tensor product = motet_tensor_rows(acts->embedded, 0, n); /* free since the first norm */
    MOTET_TRY(backend->matmul(product, branch, weight, none, linear));
    return backend->rmsnorm_add_forward(out, sum, rstd, motet_tensor_rows(x, 0, n), product,
                                        norm->weight, MOTET_RMS_EPS);
}

static motet_status embed_rows(motet_score_acts *acts, const motet_backend *backend,
                               const motet_weights *weights, const motet_score_input *input) {
    int64_t n = input->rows;
    motet_tensor x = motet_tensor_rows(acts->layers[0].x_attn, 0, n);
    motet_tensor context = motet_tensor_rows(acts->embedded, 0, n);
    MOTET_TRY(backend->embed_forward(
        x, weights->events, motet_matrix(input->events, MOTET_I32, n, MOTET_EVENT_FEATURES)));
    MOTET_TRY(
        backend->embed_forward(context, weights->context,
                               motet_matrix(input->context, MOTET_I32, n, MOTET_CONTEXT_FEATURES)));
    const motet_score_layer_acts *first = &acts->layers[0];
    MOTET_TRY(backend->rmsnorm_add_forward(motet_tensor_rows(first->attn_in, 0, n), x,
                                           motet_tensor_rows(first->attn_rstd, 0, n), x, context,
                                           weights->layers[0].attn_norm, MOTET_RMS_EPS));
    int64_t width = acts->angles.dims[1];
    return backend->convert(motet_tensor_rows(acts->angles, 0, n),
                            motet_matrix(input->angles, MOTET_F32, n, width));
}

/* Rows of one of q, k, v out of packed [q k v]; out [rows, D]. */
static motet_status unpack(const motet_backend *backend, motet_tensor out, motet_tensor qkv,
                           int32_t *rows) {
    int64_t d = out.dims[1];
    motet_tensor thirds = motet_matrix(qkv.data, qkv.dtype, 3 * qkv.dims[0], d);
    return backend->gather(out, thirds, motet_vector(rows, MOTET_I32, out.dims[0]));
}

/* A layer's three branches, each from its normed input to what goes into its output layer. */
static motet_status self_attention(motet_score_layer_acts *acts, motet_tensor angles, int layer,
                                   motet_score_cache *cache, int step, const motet_backend *backend,
                                   const motet_score_layer_weights *weights,
                                   const motet_settings *settings, const motet_score_input *input) {
    int64_t n = input->rows, d = settings->model_width;
    int heads = settings->model_heads, width = settings->model_width / heads;
    motet_tensor in = motet_tensor_rows(acts->attn_in, 0, n);
    motet_tensor qkv = motet_tensor_rows(acts->qkv, 0, n);
    motet_tensor attn = motet_tensor_rows(acts->attn, 0, n);
    MOTET_TRY(backend->matmul(qkv, in, weights->qkv, none, linear));
    MOTET_TRY(backend->rope(qkv, motet_tensor_rows(angles, 0, n), 2 * heads, false));
    if (cache)
        MOTET_TRY(backend->attention_append(
            cache->k[layer], cache->v[layer], columns(qkv, d), columns(qkv, 2 * d), 3 * d,
            step ? cache->row_offsets : input->offsets, cache->lengths, heads));
    if (step) {
        motet_tensor q = motet_tensor_rows(acts->cross_q, 0, n); /* free until then */
        MOTET_TRY(unpack(backend, q, qkv, cache->q_rows));
        return backend->attention_decode(attn, q, cache->k[layer], cache->v[layer], cache->lengths,
                                         heads);
    }
    motet_attention_spec spec = {.heads = heads,
                                 .width = width,
                                 .sequences = input->sequences,
                                 .q_offsets = input->offsets,
                                 .k_offsets = input->offsets,
                                 .q_pitch = 3 * d,
                                 .k_pitch = 3 * d,
                                 .v_pitch = 3 * d,
                                 .out_pitch = d,
                                 .causal = true};
    return backend->attention_forward(attn, motet_tensor_rows(acts->attn_lse, 0, n), qkv,
                                      columns(qkv, d), columns(qkv, 2 * d), &spec);
}

static motet_status cross_attention(motet_score_layer_acts *acts, motet_tensor cross_kv,
                                    const int32_t *offsets, const motet_backend *backend,
                                    const motet_score_layer_weights *weights,
                                    const motet_settings *settings,
                                    const motet_score_input *input) {
    int64_t n = input->rows, d = settings->model_width;
    motet_tensor in = motet_tensor_rows(acts->cross_in, 0, n);
    motet_tensor q = motet_tensor_rows(acts->cross_q, 0, n);
    motet_tensor cross = motet_tensor_rows(acts->cross, 0, n);
    MOTET_TRY(backend->matmul(q, in, weights->cross_q, none, linear));
    motet_attention_spec spec = {.heads = settings->model_heads,
                                 .width = settings->model_width / settings->model_heads,
                                 .sequences = input->sequences,
                                 .q_offsets = offsets,
                                 .k_offsets = input->memory_offsets,
                                 .q_pitch = d,
                                 .k_pitch = 2 * d,
                                 .v_pitch = 2 * d,
                                 .out_pitch = d};
    return backend->attention_forward(cross, motet_tensor_rows(acts->cross_lse, 0, n), q, cross_kv,
                                      columns(cross_kv, d), &spec);
}

static motet_status feed_forward(motet_score_layer_acts *acts, const motet_backend *backend,
                                 const motet_score_layer_weights *weights, int64_t n) {
    motet_tensor gate_up = motet_tensor_rows(acts->gate_up, 0, n);
    MOTET_TRY(backend->matmul(gate_up, motet_tensor_rows(acts->ffn_in, 0, n), weights->gate_up,
                              none, linear));
    return backend->swiglu_forward(motet_tensor_rows(acts->hidden, 0, n), gate_up);
}

/* From the layer's normed input to what goes into its last product. */
static motet_status run_layer(motet_score_acts *acts, motet_score_cache *cache, int layer, int step,
                              const motet_backend *backend, const motet_weights *weights,
                              const motet_settings *settings, const motet_score_input *input) {
    int64_t n = input->rows, m = input->memory_rows;
    motet_score_layer_acts *a = &acts->layers[layer];
    const motet_score_layer_weights *w = &weights->layers[layer];
    motet_tensor cross_kv = motet_tensor_rows(cache ? cache->cross_kv[layer] : a->cross_kv, 0, m);
    const normed cross_norm = {a->cross_in, a->cross_rstd, w->cross_norm};
    const normed ffn_norm = {a->ffn_in, a->ffn_rstd, w->ffn_norm};
    MOTET_TRY(self_attention(a, acts->angles, layer, cache, step, backend, w, settings, input));
    MOTET_TRY(join(acts, backend, a->x_cross, a->x_attn, motet_tensor_rows(a->attn, 0, n),
                   w->attn_out, &cross_norm));
    if (!step)
        MOTET_TRY(backend->matmul(cross_kv, motet_tensor_rows(acts->memory, 0, m), w->cross_kv,
                                  none, linear));
    MOTET_TRY(cross_attention(a, cross_kv, step ? cache->row_offsets : input->offsets, backend, w,
                              settings, input));
    MOTET_TRY(join(acts, backend, a->x_ffn, a->x_cross, motet_tensor_rows(a->cross, 0, n),
                   w->cross_out, &ffn_norm));
    return feed_forward(a, backend, w, n);
}

static motet_status run_layers(motet_score_acts *acts, motet_score_cache *cache, int step,
                               const motet_backend *backend, const motet_weights *weights,
                               const motet_settings *settings, const motet_score_input *input) {
    int last = settings->model_layers - 1;
    MOTET_TRY(embed_rows(acts, backend, weights, input));
    for (int i = 0; i <= last; i++) {
        motet_score_layer_acts *layer = &acts->layers[i], *after = i < last ? layer + 1 : NULL;
        const normed norm =
            after ? (normed){after->attn_in, after->attn_rstd, weights->layers[i + 1].attn_norm}
                  : (normed){acts->states, acts->rstd, weights->state_norm};
        MOTET_TRY(run_layer(acts, cache, i, step, backend, weights, settings, input));
        MOTET_TRY(join(acts, backend, after ? after->x_attn : acts->x, layer->x_ffn,
                       motet_tensor_rows(layer->hidden, 0, input->rows), weights->layers[i].down,
                       &norm));
    }
    return MOTET_OK;
}

motet_status motet_score_forward(motet_score_acts *acts, motet_score_cache *cache,
                                 const motet_backend *backend, const motet_weights *weights,
                                 const motet_settings *settings, const motet_score_input *input) {
    for (int32_t s = 0; cache && s < cache->sequences; s++) {
        int32_t rows = input->offsets[s + 1] - input->offsets[s];
        if (rows > cache->capacity)
            return MOTET_FAIL(MOTET_E_USAGE, "a window of %d events does not fit a cache of %d",
                              rows, cache->capacity);
        cache->lengths[s] = rows;
    }
    return run_layers(acts, cache, 0, backend, weights, settings, input);
}

motet_status motet_score_cache_extend(motet_score_cache *cache) {
    for (int32_t s = 0; s < cache->sequences; s++)
        if (cache->lengths[s] >= cache->capacity)
            return MOTET_FAIL(MOTET_E_USAGE, "the cache of %d events is full", cache->capacity);
    for (int32_t s = 0; s < cache->sequences; s++)
        cache->lengths[s]++;
    return MOTET_OK;
}

motet_status motet_score_step(motet_score_acts *acts, motet_score_cache *cache,
                              const motet_backend *backend, const motet_weights *weights,
                              const motet_settings *settings, const motet_score_input *input) {
    if (input->rows != cache->sequences)
        return MOTET_FAIL(MOTET_E_USAGE, "a step takes one row for each of %d sequences, not %d",
                          cache->sequences, input->rows);
    MOTET_TRY(motet_score_cache_extend(cache));
    return run_layers(acts, cache, 1, backend, weights, settings, input);
}

static motet_status norm_again(const normed *to, const motet_backend *backend, motet_tensor x,
                               int64_t n) {
    return backend->rmsnorm_forward(motet_tensor_rows(to->out, 0, n),
                                    motet_tensor_rows(to->rstd, 0, n), motet_tensor_rows(x, 0, n),
                                    to->weight, MOTET_RMS_EPS);
}

motet_status motet_score_again(motet_score_acts *acts, int layer, const motet_backend *backend,
                               const motet_weights *weights, const motet_settings *settings,
                               const motet_score_input *input) {
    int64_t n = input->rows;
    motet_score_layer_acts *a = &acts->layers[layer];
    const motet_score_layer_weights *w = &weights->layers[layer];
    if (acts->keep == MOTET_KEEP_NOTHING)
        return MOTET_FAIL(MOTET_E_USAGE, "layer %d has kept nothing to run again from", layer);
    /* What the last layer shares is still its own. */
    if (acts->keep == MOTET_KEEP_ALL || layer == settings->model_layers - 1) return MOTET_OK;
    const normed attn = {a->attn_in, a->attn_rstd, w->attn_norm};
    const normed cross = {a->cross_in, a->cross_rstd, w->cross_norm};
    const normed ffn = {a->ffn_in, a->ffn_rstd, w->ffn_norm};
    MOTET_TRY(norm_again(&attn, backend, a->x_attn, n));
    if (acts->keep == MOTET_KEEP_INPUTS)
        return run_layer(acts, NULL, layer, 0, backend, weights, settings, input);
    MOTET_TRY(norm_again(&cross, backend, a->x_cross, n));
    MOTET_TRY(norm_again(&ffn, backend, a->x_ffn, n));
    return backend->swiglu_forward(motet_tensor_rows(a->hidden, 0, n),
                                   motet_tensor_rows(a->gate_up, 0, n));
}
