#include "infer/score_decoder.h"

static const motet_matmul_spec linear = {.transpose_b = true};
static const motet_matmul_spec linear_add = {.transpose_b = true, .accumulate = true};
static const motet_tensor none = {0};

void motet_score_acts_layout(motet_score_acts *acts, motet_arena *arena,
                             const motet_settings *settings, int32_t rows, int32_t memory_rows,
                             int32_t text_rows, motet_dtype dtype, int keep) {
    int64_t n = rows, m = memory_rows, d = settings->model_width, f = settings->model_ffn,
            h = settings->model_heads;
    int64_t width = d / h;
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
    for (int i = 0; i < settings->model_layers; i++) {
        motet_score_layer_acts *layer = &acts->layers[i];
        if (!keep && i > 0) {
            *layer = acts->layers[0];
            continue;
        }
        layer->x_attn = keep ? MATRIX(MOTET_F32, n, d) : acts->x;
        layer->x_cross = keep ? MATRIX(MOTET_F32, n, d) : acts->x;
        layer->x_ffn = keep ? MATRIX(MOTET_F32, n, d) : acts->x;
        layer->attn_rstd = VECTOR(MOTET_F32, n);
        layer->cross_rstd = VECTOR(MOTET_F32, n);
        layer->ffn_rstd = VECTOR(MOTET_F32, n);
        layer->attn_in = MATRIX(dtype, n, d);
        layer->cross_in = keep ? MATRIX(dtype, n, d) : layer->attn_in;
        layer->ffn_in = keep ? MATRIX(dtype, n, d) : layer->attn_in;
        layer->qkv = MATRIX(dtype, n, 3 * d);
        layer->attn = MATRIX(dtype, n, d);
        layer->attn_lse = MATRIX(MOTET_F32, n, h);
        layer->cross_q = MATRIX(dtype, n, d);
        layer->cross_kv = MATRIX(dtype, m, 2 * d);
        layer->cross = MATRIX(dtype, n, d);
        layer->cross_lse = MATRIX(MOTET_F32, n, h);
        layer->gate_up = MATRIX(dtype, n, 2 * f);
        layer->hidden = MATRIX(dtype, n, f);
    }
#undef MATRIX
#undef VECTOR
}

static void write_rows(motet_score_cache *cache) {
    for (int32_t i = 0; i < cache->sequences + 2; i++)
        cache->row_offsets[i] = i <= cache->sequences ? i : cache->sequences;
    for (int32_t i = 0; i < cache->sequences * cache->capacity; i++) {
        cache->q_rows[i] = 3 * i;
        cache->k_rows[i] = 3 * i + 1;
        cache->v_rows[i] = 3 * i + 2;
    }
}

void motet_score_cache_layout(motet_score_cache *cache, motet_arenas *arenas,
                              const motet_settings *settings, int32_t sequences, int32_t capacity,
                              int32_t memory_rows, motet_dtype dtype) {
    motet_arena *arena = &arenas->device, *shared = &arenas->shared;
    int64_t rows[3] = {sequences, capacity, settings->model_width};
    int64_t memory[2] = {memory_rows, 2 * (int64_t)settings->model_width};
    cache->sequences = sequences;
    cache->capacity = capacity;
    for (int i = 0; i < settings->model_layers; i++) {
        cache->k[i] = motet_arena_tensor(arena, dtype, 3, rows);
        cache->v[i] = motet_arena_tensor(arena, dtype, 3, rows);
        cache->cross_kv[i] = motet_arena_tensor(arena, dtype, 2, memory);
    }
#define INTS(count) motet_arena_take(shared, count, sizeof(int32_t))
    cache->lengths = INTS(sequences);
    cache->row_offsets = INTS((int64_t)sequences + 2);
    cache->q_rows = INTS((int64_t)sequences * capacity);
    cache->k_rows = INTS((int64_t)sequences * capacity);
    cache->v_rows = INTS((int64_t)sequences * capacity);
#undef INTS
    if (cache->v_rows) write_rows(cache);
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
        MOTET_TRY(backend->add(in, gathered));
    }
    return backend->rmsnorm_forward(motet_tensor_rows(acts->memory, 0, m),
                                    motet_tensor_rows(acts->memory_rstd, 0, m), in,
                                    weights->memory_norm, MOTET_RMS_EPS);
}

/* x_next = x + the residual branch: a copy unless both are one buffer. */
static motet_status carry(const motet_backend *backend, motet_tensor next, motet_tensor x) {
    return next.data == x.data ? MOTET_OK : backend->convert(next, x);
}

static motet_status embed_rows(motet_score_acts *acts, const motet_backend *backend,
                               const motet_weights *weights, const motet_settings *settings,
                               const motet_score_input *input) {
    int64_t n = input->rows;
    motet_tensor x =
        motet_tensor_rows(settings->model_layers ? acts->layers[0].x_attn : acts->x, 0, n);
    motet_tensor context = motet_tensor_rows(acts->embedded, 0, n);
    MOTET_TRY(backend->embed_forward(
        x, weights->events, motet_matrix(input->events, MOTET_I32, n, MOTET_EVENT_FEATURES)));
    MOTET_TRY(
        backend->embed_forward(context, weights->context,
                               motet_matrix(input->context, MOTET_I32, n, MOTET_CONTEXT_FEATURES)));
    MOTET_TRY(backend->add(x, context));
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

/* Stores rows of packed [q k v] as keys and values of one sequence from position `at` on. */
static motet_status store_rows(motet_score_cache *cache, int layer, int32_t sequence, int32_t at,
                               const motet_backend *backend, motet_tensor qkv, int32_t first,
                               int32_t rows, int64_t d) {
    int64_t place = ((int64_t)sequence * cache->capacity + at) * d;
    motet_tensor k = columns(cache->k[layer], place), v = columns(cache->v[layer], place);
    MOTET_TRY(unpack(backend, motet_matrix(k.data, k.dtype, rows, d), qkv, cache->k_rows + first));
    return unpack(backend, motet_matrix(v.data, v.dtype, rows, d), qkv, cache->v_rows + first);
}

static motet_status self_attention(motet_score_layer_acts *acts, motet_tensor angles, int layer,
                                   motet_score_cache *cache, int step, const motet_backend *backend,
                                   const motet_score_layer_weights *weights,
                                   const motet_settings *settings, const motet_score_input *input) {
    int64_t n = input->rows, d = settings->model_width;
    int heads = settings->model_heads, width = settings->model_width / heads;
    motet_tensor x = motet_tensor_rows(acts->x_attn, 0, n);
    motet_tensor in = motet_tensor_rows(acts->attn_in, 0, n);
    motet_tensor qkv = motet_tensor_rows(acts->qkv, 0, n);
    motet_tensor attn = motet_tensor_rows(acts->attn, 0, n);
    MOTET_TRY(backend->rmsnorm_forward(in, motet_tensor_rows(acts->attn_rstd, 0, n), x,
                                       weights->attn_norm, MOTET_RMS_EPS));
    MOTET_TRY(backend->matmul(qkv, in, weights->qkv, none, linear));
    MOTET_TRY(backend->rope(qkv, motet_tensor_rows(angles, 0, n), 2 * heads, false));
    if (cache)
        for (int32_t s = 0; s < cache->sequences; s++)
            MOTET_TRY(store_rows(cache, layer, s, step ? cache->lengths[s] - 1 : 0, backend, qkv,
                                 step ? s : input->offsets[s],
                                 step ? 1 : input->offsets[s + 1] - input->offsets[s], d));
    if (step) {
        motet_tensor q = motet_tensor_rows(acts->cross_q, 0, n); /* free until then */
        MOTET_TRY(unpack(backend, q, qkv, cache->q_rows));
        MOTET_TRY(backend->attention_decode(attn, q, cache->k[layer], cache->v[layer],
                                            cache->lengths, heads));
    } else {
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
        MOTET_TRY(backend->attention_forward(attn, motet_tensor_rows(acts->attn_lse, 0, n), qkv,
                                             columns(qkv, d), columns(qkv, 2 * d), &spec));
    }
    motet_tensor next = motet_tensor_rows(acts->x_cross, 0, n);
    MOTET_TRY(carry(backend, next, x));
    return backend->matmul(next, attn, weights->attn_out, none, linear_add);
}

static motet_status cross_attention(motet_score_layer_acts *acts, motet_tensor cross_kv,
                                    const int32_t *offsets, const motet_backend *backend,
                                    const motet_score_layer_weights *weights,
                                    const motet_settings *settings,
                                    const motet_score_input *input) {
    int64_t n = input->rows, d = settings->model_width;
    motet_tensor x = motet_tensor_rows(acts->x_cross, 0, n);
    motet_tensor in = motet_tensor_rows(acts->cross_in, 0, n);
    motet_tensor q = motet_tensor_rows(acts->cross_q, 0, n);
    motet_tensor cross = motet_tensor_rows(acts->cross, 0, n);
    MOTET_TRY(backend->rmsnorm_forward(in, motet_tensor_rows(acts->cross_rstd, 0, n), x,
                                       weights->cross_norm, MOTET_RMS_EPS));
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
    MOTET_TRY(backend->attention_forward(cross, motet_tensor_rows(acts->cross_lse, 0, n), q,
                                         cross_kv, columns(cross_kv, d), &spec));
    motet_tensor next = motet_tensor_rows(acts->x_ffn, 0, n);
    MOTET_TRY(carry(backend, next, x));
    return backend->matmul(next, cross, weights->cross_out, none, linear_add);
}

static motet_status feed_forward(motet_score_layer_acts *acts, motet_tensor next,
                                 const motet_backend *backend,
                                 const motet_score_layer_weights *weights, int64_t n) {
    motet_tensor x = motet_tensor_rows(acts->x_ffn, 0, n);
    motet_tensor in = motet_tensor_rows(acts->ffn_in, 0, n);
    motet_tensor gate_up = motet_tensor_rows(acts->gate_up, 0, n);
    motet_tensor hidden = motet_tensor_rows(acts->hidden, 0, n);
    MOTET_TRY(backend->rmsnorm_forward(in, motet_tensor_rows(acts->ffn_rstd, 0, n), x,
                                       weights->ffn_norm, MOTET_RMS_EPS));
    MOTET_TRY(backend->matmul(gate_up, in, weights->gate_up, none, linear));
    MOTET_TRY(backend->swiglu_forward(hidden, gate_up));
    MOTET_TRY(carry(backend, next, x));
    return backend->matmul(next, hidden, weights->down, none, linear_add);
}

static motet_status run_layers(motet_score_acts *acts, motet_score_cache *cache, int step,
                               const motet_backend *backend, const motet_weights *weights,
                               const motet_settings *settings, const motet_score_input *input) {
    int64_t n = input->rows;
    const int32_t *cross_offsets = step ? cache->row_offsets : input->offsets;
    MOTET_TRY(embed_rows(acts, backend, weights, settings, input));
    for (int i = 0; i < settings->model_layers; i++) {
        motet_score_layer_acts *layer = &acts->layers[i];
        motet_tensor next = i + 1 < settings->model_layers ? acts->layers[i + 1].x_attn : acts->x;
        motet_tensor cross_kv =
            motet_tensor_rows(cache ? cache->cross_kv[i] : layer->cross_kv, 0, input->memory_rows);
        MOTET_TRY(self_attention(layer, acts->angles, i, cache, step, backend, &weights->layers[i],
                                 settings, input));
        if (!step)
            MOTET_TRY(backend->matmul(cross_kv,
                                      motet_tensor_rows(acts->memory, 0, input->memory_rows),
                                      weights->layers[i].cross_kv, none, linear));
        MOTET_TRY(cross_attention(layer, cross_kv, cross_offsets, backend, &weights->layers[i],
                                  settings, input));
        MOTET_TRY(
            feed_forward(layer, motet_tensor_rows(next, 0, n), backend, &weights->layers[i], n));
    }
    return backend->rmsnorm_forward(
        motet_tensor_rows(acts->states, 0, n), motet_tensor_rows(acts->rstd, 0, n),
        motet_tensor_rows(acts->x, 0, n), weights->state_norm, MOTET_RMS_EPS);
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

motet_status motet_score_step(motet_score_acts *acts, motet_score_cache *cache,
                              const motet_backend *backend, const motet_weights *weights,
                              const motet_settings *settings, const motet_score_input *input) {
    if (input->rows != cache->sequences)
        return MOTET_FAIL(MOTET_E_USAGE, "a step takes one row for each of %d sequences, not %d",
                          cache->sequences, input->rows);
    for (int32_t s = 0; s < cache->sequences; s++) {
        if (cache->lengths[s] >= cache->capacity)
            return MOTET_FAIL(MOTET_E_USAGE, "the cache of %d events is full", cache->capacity);
        cache->lengths[s]++;
    }
    return run_layers(acts, cache, 1, backend, weights, settings, input);
}
