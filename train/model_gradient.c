#include "train/model_gradient.h"

#include <stdlib.h>
#include <string.h>

#include "infer/score_decoder.h"
#include "infer/text_encoder.h"
#include "train/attribute_backward.h"
#include "train/field_backward.h"
#include "train/score_backward.h"

struct motet_gradient {
    motet_arenas arenas;
    motet_text_acts text;
    motet_attribute_acts attributes;
    motet_attribute_grads attribute_grads;
    motet_score_acts score;
    motet_score_grads score_grads;
    motet_field_acts field;
    motet_field_grads field_grads;
    motet_tensor dstates;              /* [N,D] f32 */
    motet_tensor losses[MOTET_FIELDS]; /* [R] f32, shared memory */
    void (*meanwhile)(void *user);
    void *meanwhile_user;
};

double motet_losses_per_event(const motet_losses *losses) {
    double sum = 0;
    for (int f = 0; f < MOTET_FIELDS; f++)
        sum += losses->field[f];
    return losses->events ? sum / (double)losses->events : 0;
}

void motet_losses_add(motet_losses *sum, const motet_losses *losses) {
    for (int f = 0; f < MOTET_FIELDS; f++) {
        sum->field[f] += losses->field[f];
        sum->field_count[f] += losses->field_count[f];
    }
    for (int a = 0; a < MOTET_ATTRIBUTES; a++) {
        sum->attribute[a] += losses->attribute[a];
        sum->attribute_count[a] += losses->attribute_count[a];
        sum->attribute_right[a] += losses->attribute_right[a];
    }
    sum->events += losses->events;
}

static motet_score_keep keep_for(const motet_settings *settings) {
    return !strcmp(settings->train_recompute, "full")        ? MOTET_KEEP_INPUTS
           : !strcmp(settings->train_recompute, "selective") ? MOTET_KEEP_COSTLY
                                                             : MOTET_KEEP_ALL;
}

static void layout(motet_gradient *gradient, const motet_settings *settings, motet_dtype dtype) {
    motet_input_limits limits = motet_input_limits_for(settings);
    motet_arenas *arenas = &gradient->arenas;
    motet_arena *arena = &arenas->device;
    int64_t rows = (limits.rows + MOTET_ROW_STEP - 1) / MOTET_ROW_STEP * MOTET_ROW_STEP;
    motet_text_layout(&gradient->text, arenas, settings, limits.text_rows, dtype);
    motet_attributes_layout(&gradient->attributes, arenas, settings, limits.sequences, dtype);
    motet_attribute_grads_layout(&gradient->attribute_grads, arenas, settings, limits.sequences,
                                 limits.text_rows, dtype);
    motet_score_acts_layout(&gradient->score, arena, settings, limits.rows, limits.memory_rows,
                            limits.text_rows, dtype, keep_for(settings));
    motet_score_grads_layout(&gradient->score_grads, arena, settings, limits.rows,
                             limits.memory_rows, limits.text_rows, dtype);
    motet_field_acts_layout(&gradient->field, arena, settings, rows, dtype);
    motet_field_grads_layout(&gradient->field_grads, arena, settings, rows, dtype);
    gradient->dstates = motet_arena_tensor(arena, MOTET_F32, 2,
                                           (const int64_t[]){limits.rows, settings->model_width});
    for (int f = 0; f < MOTET_FIELDS; f++)
        gradient->losses[f] = motet_arena_tensor(&arenas->shared, MOTET_F32, 1, &rows);
}

motet_status motet_gradient_make(motet_gradient **result, const motet_settings *settings,
                                 motet_dtype dtype, const motet_memory *memory) {
    motet_gradient *gradient = calloc(1, sizeof *gradient);
    if (!gradient) return MOTET_FAIL(MOTET_E_MEMORY, "cannot allocate the gradient");
    gradient->arenas = motet_arenas_on(memory);
    layout(gradient, settings, dtype);
    motet_status status = motet_arenas_bind(&gradient->arenas);
    if (status != MOTET_OK) {
        free(gradient);
        return status;
    }
    layout(gradient, settings, dtype);
    *result = gradient;
    return MOTET_OK;
}

int64_t motet_gradient_count(const motet_settings *settings, motet_dtype dtype) {
    motet_gradient *gradient = calloc(1, sizeof *gradient);
    if (!gradient) return -1;
    layout(gradient, settings, dtype);
    int64_t bytes = (int64_t)(gradient->arenas.device.used + gradient->arenas.shared.used);
    free(gradient);
    return bytes;
}

void motet_gradient_free(motet_gradient *gradient) {
    if (!gradient) return;
    motet_arenas_free(&gradient->arenas);
    free(gradient);
}

void motet_gradient_tell(motet_gradient *gradient, const motet_gradient_hook *hook) {
    gradient->score_grads.hook = hook ? *hook : (motet_gradient_hook){0};
}

void motet_gradient_meanwhile(motet_gradient *gradient, void (*work)(void *user), void *user) {
    gradient->meanwhile = work;
    gradient->meanwhile_user = user;
}

int64_t motet_gradient_bytes(const motet_gradient *gradient) {
    return (int64_t)(gradient->arenas.device.size + gradient->arenas.shared.size);
}

/* Forward, loss and backward of one field; the states' gradient grows field by field. */
static motet_status run_field(motet_weights *grads, motet_gradient *gradient,
                              const motet_backend *backend, const motet_weights *weights,
                              const motet_model_input *input, int field, float loss_scale) {
    int64_t count = input->field_counts[field];
    if (count == 0) return MOTET_OK;
    motet_tensor states = motet_tensor_rows(gradient->score.states, 0, input->score.rows);
    motet_tensor rows = motet_vector(input->field_rows[field], MOTET_I32, count);
    motet_tensor values =
        motet_matrix(input->field_values[field], MOTET_I32, count, motet_field_earlier(field));
    motet_tensor targets = motet_vector(input->field_targets[field], MOTET_I32, count);
    motet_tensor loss = motet_tensor_rows(gradient->losses[field], 0, count), logits;
    MOTET_TRY(motet_field_forward(&logits, &gradient->field, backend, weights, field, states, rows,
                                  values));
    MOTET_TRY(
        backend->cross_entropy(loss, logits, targets, (motet_tensor){0}, grads ? loss_scale : 0));
    if (!grads) return MOTET_OK;
    return motet_field_backward(grads, motet_tensor_rows(gradient->dstates, 0, input->score.rows),
                                &gradient->field_grads, &gradient->field, backend, weights, field,
                                logits, rows, values);
}

/* What all ops left in shared memory; losses of a run that ended after the attributes have no
 * fields. */
static motet_status read_losses(motet_losses *losses, const motet_gradient *gradient,
                                const motet_backend *backend, const motet_model_input *input,
                                int fields) {
    if (gradient->meanwhile) gradient->meanwhile(gradient->meanwhile_user);
    MOTET_TRY(backend->memory->synchronize());
    motet_attribute_losses(losses, &gradient->attributes, &gradient->attribute_grads, input);
    for (int f = 0; f < fields; f++) {
        const float *loss = gradient->losses[f].data;
        for (int64_t i = 0; i < input->field_counts[f]; i++) {
            losses->field[f] += loss[i];
            losses->field_count[f] += input->field_targets[f][i] >= 0;
        }
    }
    losses->events += input->events;
    return MOTET_OK;
}

motet_status motet_gradient_run(motet_losses *losses, motet_weights *grads,
                                motet_gradient *gradient, const motet_backend *backend,
                                const motet_weights *weights, const motet_settings *settings,
                                const motet_model_input *input, float loss_scale) {
    motet_tensor text_states, dstates = motet_tensor_rows(gradient->dstates, 0, input->score.rows);
    MOTET_TRY(motet_text_forward(&text_states, &gradient->text, backend, &weights->text, settings,
                                 input->text_ids, input->text_offsets, input->texts));
    MOTET_TRY(motet_attribute_gradient(grads ? &grads->attributes : NULL, &gradient->attributes,
                                       &gradient->attribute_grads, backend, weights, settings,
                                       input, text_states,
                                       loss_scale * settings->train_attribute_weight));
    const motet_gradient_hook *hook = &gradient->score_grads.hook;
    if (grads) MOTET_TRY(MOTET_IS_FINAL(hook, &grads->attributes));
    if (grads && motet_settings_attributes_only(settings))
        return read_losses(losses, gradient, backend, input, 0);
    MOTET_TRY(motet_score_memory(&gradient->score, backend, weights, &input->score, text_states));
    MOTET_TRY(
        motet_score_forward(&gradient->score, NULL, backend, weights, settings, &input->score));
    if (grads) MOTET_TRY(motet_tensor_zero(backend->memory, dstates));
    for (int f = 0; f < MOTET_FIELDS; f++) {
        MOTET_TRY(run_field(grads, gradient, backend, weights, input, f, loss_scale));
        if (grads) MOTET_TRY(MOTET_IS_FINAL(hook, &grads->fields[f]));
    }
    if (grads) MOTET_TRY(MOTET_IS_FINAL(hook, &grads->field_values));
    if (grads)
        MOTET_TRY(motet_score_backward(grads, &gradient->score_grads, &gradient->score, backend,
                                       weights, settings, &input->score, text_states, dstates));
    return read_losses(losses, gradient, backend, input, MOTET_FIELDS);
}
