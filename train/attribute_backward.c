#include "train/attribute_backward.h"

void motet_attribute_grads_layout(motet_attribute_grads *grads, motet_arenas *arenas,
                                  const motet_settings *settings, int sequences, int32_t text_rows,
                                  motet_dtype dtype) {
    motet_arena *arena = &arenas->device;
    int64_t d = settings->model_text_width, rows = (int64_t)sequences * MOTET_ATTRIBUTES;
#define MATRIX(type, r, c) motet_arena_tensor(arena, type, 2, (const int64_t[]){r, c})
    for (int a = 0; a < MOTET_ATTRIBUTES; a++) {
        int64_t decisions = a == MOTET_ATTRIBUTE_PROGRAMS ? MOTET_PROGRAMS : 1;
        int64_t losses = sequences * decisions;
        grads->dlogits[a] = MATRIX(MOTET_F32, sequences, motet_attribute_size(a));
        grads->dl[a] = MATRIX(dtype, sequences, motet_attribute_size(a));
        grads->dgathered[a] = MATRIX(dtype, sequences, d);
        grads->losses[a] = motet_arena_tensor(&arenas->shared, MOTET_F32, 1, &losses);
        if (a < MOTET_ATTRIBUTES - 1)
            grads->targets[a] = motet_arena_take(&arenas->shared, sequences, sizeof(int32_t));
    }
    grads->dpooled = MATRIX(dtype, rows, d);
    grads->dqueries = MATRIX(dtype, rows, d);
    grads->dk = MATRIX(dtype, text_rows, d);
    grads->dv = MATRIX(dtype, text_rows, d);
#undef MATRIX
}

/* Programs are pairs of logits, so their rows are [S * MOTET_PROGRAMS, 2]; the others are [S,
 * size]. */
static motet_tensor logit_rows(motet_tensor logits, int attribute, int64_t texts) {
    logits = motet_tensor_rows(logits, 0, texts);
    if (attribute != MOTET_ATTRIBUTE_PROGRAMS) return logits;
    return motet_matrix(logits.data, logits.dtype, texts * MOTET_PROGRAMS, 2);
}

static int32_t *targets_of(const motet_attribute_grads *grads, const motet_model_input *input,
                           int attribute) {
    return attribute == MOTET_ATTRIBUTE_PROGRAMS ? input->program_targets
                                                 : grads->targets[attribute];
}

static int32_t arg_max(const float *row, int64_t size) {
    int32_t best = 0;
    for (int64_t i = 1; i < size; i++)
        if (row[i] > row[best]) best = (int32_t)i;
    return best;
}

static void count_right(motet_losses *losses, int attribute, motet_tensor logits,
                        const int32_t *targets, int64_t texts) {
    int64_t decisions = logits.dims[0] / texts, size = logits.dims[1];
    const float *values = logits.data;
    for (int64_t s = 0; s < texts; s++) {
        int right = 1, known = 0;
        for (int64_t i = s * decisions; i < (s + 1) * decisions; i++) {
            if (targets[i] < 0) continue;
            known = 1;
            right &= arg_max(values + i * size, size) == targets[i];
        }
        losses->attribute_count[attribute] += known;
        losses->attribute_right[attribute] += known && right;
    }
}

void motet_attribute_losses(motet_losses *losses, const motet_attribute_acts *acts,
                            const motet_attribute_grads *grads, const motet_model_input *input) {
    int64_t texts = input->score.sequences;
    for (int a = 0; a < MOTET_ATTRIBUTES; a++) {
        motet_tensor logits = logit_rows(acts->logits[a], a, texts);
        const float *loss = grads->losses[a].data;
        count_right(losses, a, logits, targets_of(grads, input, a), texts);
        for (int64_t i = 0; i < logits.dims[0]; i++)
            losses->attribute[a] += loss[i];
    }
}

/* The logits themselves stay: they say afterwards who was right. */
static motet_status one_loss(motet_attribute_grads *grads, const motet_attribute_acts *acts,
                             const motet_backend *backend, const motet_model_input *input,
                             int attribute, float scale) {
    int64_t texts = input->score.sequences;
    motet_tensor dlogits = logit_rows(grads->dlogits[attribute], attribute, texts);
    int64_t rows = dlogits.dims[0];
    int32_t *targets = targets_of(grads, input, attribute);
    if (attribute != MOTET_ATTRIBUTE_PROGRAMS)
        for (int64_t s = 0; s < texts; s++)
            targets[s] = input->attribute_targets[s * (MOTET_ATTRIBUTES - 1) + attribute];
    MOTET_TRY(backend->convert(dlogits, logit_rows(acts->logits[attribute], attribute, texts)));
    return backend->cross_entropy(motet_tensor_rows(grads->losses[attribute], 0, rows), dlogits,
                                  motet_vector(targets, MOTET_I32, rows), (motet_tensor){0}, scale);
}

static motet_status heads_backward(motet_attribute_weights *dw, motet_attribute_acts *acts,
                                   motet_attribute_grads *grads, const motet_backend *backend,
                                   const motet_attribute_weights *w, const motet_settings *settings,
                                   const motet_model_input *input, motet_tensor states) {
    int64_t texts = input->score.sequences, rows = texts * MOTET_ATTRIBUTES;
    int width = settings->model_text_width, head_width = motet_attribute_head_width(width);
    motet_tensor dpooled = motet_tensor_rows(grads->dpooled, 0, rows);
    motet_tensor dqueries = motet_tensor_rows(grads->dqueries, 0, rows);
    const motet_tensor none = {0};
    /* Each row of pooled belongs to one attribute, so adding to zeros places it. */
    MOTET_TRY(motet_tensor_zero(backend->memory, dpooled));
    for (int a = 0; a < MOTET_ATTRIBUTES; a++) {
        int64_t offset = motet_attribute_offset(a), size = motet_attribute_size(a);
        motet_tensor dlogits = motet_tensor_rows(grads->dlogits[a], 0, texts);
        motet_tensor dl = motet_tensor_rows(grads->dl[a], 0, texts);
        motet_tensor dgathered = motet_tensor_rows(grads->dgathered[a], 0, texts);
        MOTET_TRY(backend->convert(dl, dlogits));
        MOTET_TRY(backend->bias_backward(motet_tensor_rows(dw->bias, offset, size), dlogits));
        MOTET_TRY(backend->matmul(motet_tensor_rows(dw->out, offset, size), dl,
                                  motet_tensor_rows(acts->gathered[a], 0, texts), none,
                                  (motet_matmul_spec){.transpose_a = true, .accumulate = true}));
        MOTET_TRY(backend->matmul(dgathered, dl, motet_tensor_rows(w->out, offset, size), none,
                                  (motet_matmul_spec){0}));
        MOTET_TRY(
            backend->scatter_add(dpooled, dgathered, motet_tensor_rows(acts->rows[a], 0, texts)));
    }
    motet_attention_spec spec = {.heads = width / head_width,
                                 .width = head_width,
                                 .sequences = (int)texts,
                                 .q_offsets = acts->query_offsets,
                                 .k_offsets = input->text_offsets,
                                 .q_pitch = width,
                                 .k_pitch = width,
                                 .v_pitch = width,
                                 .out_pitch = width};
    MOTET_TRY(backend->attention_backward(
        dqueries, grads->dk, grads->dv, dpooled, motet_tensor_rows(acts->pooled, 0, rows),
        motet_tensor_rows(acts->lse, 0, rows), motet_tensor_rows(acts->queries, 0, rows), states,
        states, &spec));
    return backend->embed_backward(dw->queries, dqueries,
                                   motet_tensor_rows(acts->query_ids, 0, rows));
}

motet_status motet_attribute_gradient(motet_attribute_weights *dweights, motet_attribute_acts *acts,
                                      motet_attribute_grads *grads, const motet_backend *backend,
                                      const motet_weights *weights, const motet_settings *settings,
                                      const motet_model_input *input, motet_tensor text_states,
                                      float scale) {
    MOTET_TRY(motet_attributes_forward(acts, backend, &weights->attributes, settings, text_states,
                                       input->text_offsets, input->score.sequences));
    for (int a = 0; a < MOTET_ATTRIBUTES; a++)
        MOTET_TRY(one_loss(grads, acts, backend, input, a, dweights ? scale : 0));
    if (!dweights || scale == 0) return MOTET_OK;
    return heads_backward(dweights, acts, grads, backend, &weights->attributes, settings, input,
                          text_states);
}
