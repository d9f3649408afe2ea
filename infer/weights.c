#include "infer/weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/attributes.h"
#include "infer/controls.h"
#include "infer/score_input.h"
#include "kernels/core/rng.h"

/* What a visit carries from one parameter to the next. */
typedef struct visit {
    motet_weights_visitor *visitor;
    void *user;
    motet_status status; /* the first failure: nothing is visited after it */
} visit;

static void visit_parameter(visit *v, motet_tensor *slot, const char *name, int64_t rows,
                            int64_t columns, float mean, float std, motet_update update) {
    if (v->status != MOTET_OK) return;
    motet_parameter parameter = {.rank = columns ? 2 : 1,
                                 .dims = {rows, columns},
                                 .init_mean = mean,
                                 .init_std = std,
                                 .update = update,
                                 .quantise = columns >= 64 && rows >= 64};
    snprintf(parameter.name, sizeof parameter.name, "%s", name);
    v->status = v->visitor(v->user, &parameter, slot);
}

/* A linear layer's matrix [out, in] that Muon updates; gain scales the usual 1 / sqrt(in). */
static void visit_hidden(visit *v, motet_tensor *slot, const char *prefix, const char *name,
                         int64_t out, int64_t in, double gain) {
    char full[96];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    visit_parameter(v, slot, full, out, in, 0, (float)(gain / sqrt((double)in)), MOTET_UPDATE_MUON);
}

static void visit_norm(visit *v, motet_tensor *slot, const char *prefix, const char *name,
                       int64_t width) {
    char full[96];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    visit_parameter(v, slot, full, width, 0, 1, 0, MOTET_UPDATE_ADAMW);
}

/* One of BERT's parameters, with BERT's own initialisation. */
static void visit_text(visit *v, motet_tensor *slot, const char *prefix, const char *name,
                       int64_t rows, int64_t columns) {
    char full[96];
    snprintf(full, sizeof full, "text.%s%s", prefix, name);
    int scale = strstr(name, "LayerNorm.weight") != NULL;
    visit_parameter(v, slot, full, rows, columns, (float)scale, columns ? 0.02f : 0,
                    MOTET_UPDATE_TEXT);
}

static void visit_text_encoder(visit *v, motet_text_weights *text, const motet_settings *s) {
    int64_t width = s->model_text_width, ffn = s->model_text_ffn;
    const char *e = "embeddings.";
    visit_text(v, &text->words, e, "word_embeddings.weight", s->model_text_vocab, width);
    visit_text(v, &text->positions, e, "position_embeddings.weight", s->model_text_positions,
               width);
    visit_text(v, &text->types, e, "token_type_embeddings.weight", 2, width);
    visit_text(v, &text->norm, e, "LayerNorm.weight", width, 0);
    visit_text(v, &text->norm_bias, e, "LayerNorm.bias", width, 0);
    for (int i = 0; i < s->model_text_layers; i++) {
        motet_text_layer_weights *layer = &text->layers[i];
        char p[48];
        snprintf(p, sizeof p, "encoder.layer.%d.", i);
        visit_text(v, &layer->q, p, "attention.self.query.weight", width, width);
        visit_text(v, &layer->q_bias, p, "attention.self.query.bias", width, 0);
        visit_text(v, &layer->k, p, "attention.self.key.weight", width, width);
        visit_text(v, &layer->k_bias, p, "attention.self.key.bias", width, 0);
        visit_text(v, &layer->v, p, "attention.self.value.weight", width, width);
        visit_text(v, &layer->v_bias, p, "attention.self.value.bias", width, 0);
        visit_text(v, &layer->out, p, "attention.output.dense.weight", width, width);
        visit_text(v, &layer->out_bias, p, "attention.output.dense.bias", width, 0);
        visit_text(v, &layer->attn_norm, p, "attention.output.LayerNorm.weight", width, 0);
        visit_text(v, &layer->attn_norm_bias, p, "attention.output.LayerNorm.bias", width, 0);
        visit_text(v, &layer->up, p, "intermediate.dense.weight", ffn, width);
        visit_text(v, &layer->up_bias, p, "intermediate.dense.bias", ffn, 0);
        visit_text(v, &layer->down, p, "output.dense.weight", width, ffn);
        visit_text(v, &layer->down_bias, p, "output.dense.bias", width, 0);
        visit_text(v, &layer->ffn_norm, p, "output.LayerNorm.weight", width, 0);
        visit_text(v, &layer->ffn_norm_bias, p, "output.LayerNorm.bias", width, 0);
    }
}

static void visit_score_layer(visit *v, motet_score_layer_weights *layer, const motet_settings *s,
                              int index) {
    int64_t width = s->model_width, ffn = s->model_ffn;
    double into_residual = 1 / sqrt(3.0 * s->model_layers);
    char p[32];
    snprintf(p, sizeof p, "score.%d.", index);
    visit_norm(v, &layer->attn_norm, p, "attn_norm", width);
    visit_hidden(v, &layer->qkv, p, "qkv", 3 * width, width, 1);
    visit_hidden(v, &layer->attn_out, p, "attn_out", width, width, into_residual);
    visit_norm(v, &layer->cross_norm, p, "cross_norm", width);
    visit_hidden(v, &layer->cross_q, p, "cross_q", width, width, 1);
    visit_hidden(v, &layer->cross_kv, p, "cross_kv", 2 * width, width, 1);
    visit_hidden(v, &layer->cross_out, p, "cross_out", width, width, into_residual);
    visit_norm(v, &layer->ffn_norm, p, "ffn_norm", width);
    visit_hidden(v, &layer->gate_up, p, "gate_up", 2 * ffn, width, 1);
    visit_hidden(v, &layer->down, p, "down", width, ffn, into_residual);
}

static void visit_field(visit *v, motet_field_weights *field, const motet_settings *s, int index) {
    int64_t width = s->model_width, ffn = s->model_field_ffn, size = motet_field_size(index);
    char p[48], name[64];
    snprintf(p, sizeof p, "fields.%s.", motet_field_name(index));
    visit_norm(v, &field->norm, p, "norm", width);
    visit_hidden(v, &field->gate_up, p, "gate_up", 2 * ffn, width, 1);
    visit_hidden(v, &field->down, p, "down", width, ffn, 0.7);
    visit_norm(v, &field->out_norm, p, "out_norm", width);
    snprintf(name, sizeof name, "%sout", p);
    visit_parameter(v, &field->out, name, size, width, 0, (float)(0.3 / sqrt((double)width)),
                    MOTET_UPDATE_ADAMW);
    snprintf(name, sizeof name, "%sbias", p);
    visit_parameter(v, &field->bias, name, size, 0, 0, 0, MOTET_UPDATE_ADAMW);
}

motet_status motet_weights_visit(motet_weights *weights, const motet_settings *s,
                                 motet_weights_visitor *visitor, void *user) {
    if (s->model_layers > MOTET_MAX_LAYERS || s->model_text_layers > MOTET_MAX_LAYERS)
        return MOTET_FAIL(MOTET_E_USAGE, "at most %d layers are supported", MOTET_MAX_LAYERS);
    visit v = {.visitor = visitor, .user = user};
    int64_t width = s->model_width, text_width = s->model_text_width;
    visit_text_encoder(&v, &weights->text, s);
    visit_parameter(&v, &weights->attributes.queries, "attributes.queries", MOTET_ATTRIBUTES,
                    text_width, 0, 0.1f, MOTET_UPDATE_ADAMW);
    visit_parameter(&v, &weights->attributes.out, "attributes.out", motet_attribute_total(),
                    text_width, 0, 0.02f, MOTET_UPDATE_ADAMW);
    visit_parameter(&v, &weights->attributes.bias, "attributes.bias", motet_attribute_total(), 0, 0,
                    0, MOTET_UPDATE_ADAMW);
    visit_hidden(&v, &weights->text_proj, "memory.", "text_proj", width, text_width, 1);
    visit_parameter(&v, &weights->controls, "memory.controls", MOTET_CONTROL_SYMBOLS, width, 0, 1,
                    MOTET_UPDATE_ADAMW);
    visit_norm(&v, &weights->memory_norm, "memory.", "norm", width);
    visit_parameter(&v, &weights->events, "score.events", motet_event_feature_total(), width, 0,
                    0.4f, MOTET_UPDATE_ADAMW);
    visit_parameter(&v, &weights->context, "score.context", motet_context_feature_total(), width, 0,
                    0, MOTET_UPDATE_ADAMW); /* zero: extra inputs must not drown the event itself */
    for (int i = 0; i < s->model_layers; i++)
        visit_score_layer(&v, &weights->layers[i], s, i);
    visit_norm(&v, &weights->state_norm, "score.", "state_norm", width);
    visit_parameter(&v, &weights->field_values, "fields.values", motet_field_total(), width, 0,
                    0.4f, MOTET_UPDATE_ADAMW);
    for (int f = 0; f < MOTET_FIELDS; f++)
        visit_field(&v, &weights->fields[f], s, f);
    return v.status;
}

struct layout {
    motet_arena *arena;
    motet_dtype dtype;
    int with_text;
};

static motet_status layout_parameter(void *user, const motet_parameter *parameter,
                                     motet_tensor *slot) {
    const struct layout *layout = user;
    if (parameter->update == MOTET_UPDATE_TEXT && !layout->with_text)
        *slot = (motet_tensor){0};
    else
        *slot = motet_arena_tensor(layout->arena, layout->dtype, parameter->rank, parameter->dims);
    return MOTET_OK;
}

motet_status motet_weights_layout(motet_weights *weights, motet_arena *arena,
                                  const motet_settings *settings, motet_dtype dtype,
                                  int with_text) {
    struct layout layout = {arena, dtype, with_text};
    return motet_weights_visit(weights, settings, layout_parameter, &layout);
}

/* Twice over the table: once to lay out the copies, once to fill them. */
struct copying {
    motet_arena *arena;
    const motet_memory *memory; /* NULL: lay out */
    const motet_weights *from, *to;
};

static motet_status copy_parameter(void *user, const motet_parameter *parameter,
                                   motet_tensor *slot) {
    const struct copying *c = user;
    (void)parameter;
    size_t place = (size_t)((const unsigned char *)slot - (const unsigned char *)c->to);
    motet_tensor from = *(const motet_tensor *)((const unsigned char *)c->from + place);
    if (c->memory) {
        size_t bytes = (size_t)motet_tensor_count(from) * motet_dtype_bytes(from.dtype);
        if (!from.data) return MOTET_OK;
        MOTET_TRY(c->memory->copy(slot->data, from.data, bytes));
        if (!from.scale) return MOTET_OK;
        return c->memory->copy((float *)slot->scale, from.scale,
                               (size_t)from.dims[0] * sizeof(float));
    }
    *slot = (motet_tensor){0};
    if (!from.data) return MOTET_OK;
    *slot = motet_arena_tensor(c->arena, from.dtype, from.rank, from.dims);
    if (from.scale) slot->scale = motet_arena_take(c->arena, from.dims[0], sizeof(float));
    return MOTET_OK;
}

motet_status motet_weights_copy(motet_weights *copy, motet_arena *arena,
                                const motet_weights *weights, const motet_settings *settings,
                                const motet_memory *memory) {
    struct copying c = {.arena = arena, .from = weights, .to = copy};
    MOTET_TRY(motet_weights_visit(copy, settings, copy_parameter, &c));
    MOTET_TRY(motet_arena_bind(arena));
    MOTET_TRY(motet_weights_visit(copy, settings, copy_parameter, &c));
    c.memory = memory;
    return motet_weights_visit(copy, settings, copy_parameter, &c);
}

struct init {
    uint64_t seed, index;
};

static motet_status init_parameter(void *user, const motet_parameter *parameter,
                                   motet_tensor *slot) {
    struct init *init = user;
    motet_rng rng = motet_rng_make(init->seed, init->index++);
    if (!slot->data) return MOTET_OK;
    float *values = slot->data;
    int64_t count = motet_tensor_count(*slot);
    for (int64_t i = 0; i < count; i++)
        values[i] = parameter->init_std > 0
                        ? parameter->init_mean + parameter->init_std * motet_rng_normal(&rng)
                        : parameter->init_mean;
    return MOTET_OK;
}

motet_status motet_weights_init(motet_weights *weights, const motet_settings *settings,
                                uint64_t seed) {
    struct init init = {.seed = seed};
    return motet_weights_visit(weights, settings, init_parameter, &init);
}
