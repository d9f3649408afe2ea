/* The tiny model against PyTorch in float64: states, losses, gradients (scripts/golden_model.py).
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/safetensors.h"
#include "infer/field_decoder.h"
#include "infer/score_decoder.h"
#include "infer/text_encoder.h"
#include "kernels/core/rng.h"
#include "tests/train/harness_batch.h"
#include "train/model_gradient.h"

enum { MOST = 1024, SAMPLES = 8 };

typedef struct slots {
    motet_tensor *tensor[MOST];
    motet_parameter parameter[MOST];
    int count;
} slots;

typedef struct fixture {
    motet_test_batch test;
    motet_arena weights_arena, grads_arena;
    motet_weights weights, grads;
    slots weight_slots, grad_slots;
} fixture;

static fixture f;

static motet_status collect(void *user, const motet_parameter *parameter, motet_tensor *slot) {
    slots *all = user;
    assert_true(all->count < MOST);
    all->parameter[all->count] = *parameter;
    all->tensor[all->count++] = slot;
    return MOTET_OK;
}

static void make(void) {
    motet_test_batch_make(&f.test, 4, 33, 5);
    const motet_settings *settings = &f.test.settings;
    motet_weights_layout(&f.weights, &f.weights_arena, settings, MOTET_F32, 1);
    motet_weights_layout(&f.grads, &f.grads_arena, settings, MOTET_F32, 0);
    assert_int_equal(motet_arena_bind(&f.weights_arena), MOTET_OK);
    assert_int_equal(motet_arena_bind(&f.grads_arena), MOTET_OK);
    motet_weights_layout(&f.weights, &f.weights_arena, settings, MOTET_F32, 1);
    motet_weights_layout(&f.grads, &f.grads_arena, settings, MOTET_F32, 0);
    assert_int_equal(motet_weights_init(&f.weights, settings, 3), MOTET_OK);
    motet_weights_visit(&f.weights, settings, collect, &f.weight_slots);
    motet_weights_visit(&f.grads, settings, collect, &f.grad_slots);
    motet_rng rng = motet_rng_make(23, 0); /* zero-initialised tables would hide errors */
    for (int i = 0; i < f.weight_slots.count; i++) {
        float *w = f.weight_slots.tensor[i]->data;
        int64_t count = motet_tensor_count(*f.weight_slots.tensor[i]);
        for (int64_t k = 0; k < count; k++)
            w[k] += 0.05f * motet_rng_normal(&rng);
    }
}

/* Weights and inputs for scripts/golden_model.py. */
static int dump(const char *path) {
    static motet_named_tensor all[MOST];
    static char names[64][32];
    int count = 0, named = 0;
    const motet_model_input *in = &f.test.input;
    int64_t n = in->score.rows, m = in->score.memory_rows, s = in->score.sequences;
    for (int i = 0; i < f.weight_slots.count; i++)
        all[count++] =
            (motet_named_tensor){f.weight_slots.parameter[i].name, *f.weight_slots.tensor[i]};
#define VECTOR(name, data, size) \
    all[count++] = (motet_named_tensor){"input." name, motet_vector(data, MOTET_I32, size)}
#define MATRIX(name, data, r, c)                           \
    all[count++] = (motet_named_tensor) {                  \
        "input." name, motet_matrix(data, MOTET_I32, r, c) \
    }
    VECTOR("offsets", in->score.offsets, s + 1);
    VECTOR("memory_offsets", in->score.memory_offsets, s + 1);
    VECTOR("memory_text", in->score.memory_text, m);
    VECTOR("memory_controls", in->score.memory_controls, m);
    MATRIX("events", in->score.events, n, MOTET_EVENT_FEATURES);
    MATRIX("context", in->score.context, n, MOTET_CONTEXT_FEATURES);
    VECTOR("text_ids", in->text_ids, in->text_rows);
    VECTOR("text_offsets", in->text_offsets, in->texts + 1);
    MATRIX("attribute_targets", in->attribute_targets, s, MOTET_ATTRIBUTES - 1);
    MATRIX("program_targets", in->program_targets, s, MOTET_PROGRAMS);
    all[count++] =
        (motet_named_tensor){"input.angles", motet_matrix(in->score.angles, MOTET_F32, n, 32)};
    for (int i = 0; i < MOTET_FIELDS; i++) {
        struct {
            const char *name;
            int32_t *data;
            int64_t columns;
        } parts[] = {{"field_rows", in->field_rows[i], 0},
                     {"field_targets", in->field_targets[i], 0},
                     {"field_values", in->field_values[i], motet_field_earlier(i)}};
        for (int k = 0; k < 3; k++) {
            snprintf(names[named], sizeof names[0], "input.%s.%d", parts[k].name, i);
            motet_tensor tensor =
                k < 2
                    ? motet_vector(parts[k].data, MOTET_I32, in->field_counts[i])
                    : motet_matrix(parts[k].data, MOTET_I32, in->field_counts[i], parts[k].columns);
            all[count++] = (motet_named_tensor){names[named++], tensor};
        }
    }
    if (motet_safetensors_write(path, all, count, NULL, 0) == MOTET_OK) return 0;
    fprintf(stderr, "%s\n", motet_error());
    return 1;
}

static motet_losses losses;

static void run(void) {
    static int done;
    if (done++) return;
    motet_gradient *gradient;
    assert_int_equal(motet_gradient_make(&gradient, &f.test.settings, MOTET_F32, NULL), MOTET_OK);
    motet_status status = motet_gradient_run(&losses, &f.grads, gradient, motet_backend_cpu(),
                                             &f.weights, &f.test.settings, &f.test.input, 1);
    if (status != MOTET_OK) fail_msg("%s", motet_error());
    motet_gradient_free(gradient);
}

static motet_safetensors *golden;

static const float *golden_of(const char *name, int64_t count) {
    motet_tensor tensor;
    motet_status status = motet_safetensors_get(&tensor, golden, name);
    if (status != MOTET_OK) fail_msg("%s", motet_error());
    assert_int_equal(motet_tensor_count(tensor), count);
    return tensor.data;
}

static void test_losses(void **state) {
    (void)state;
    run();
    const float *fields = golden_of("losses.fields", MOTET_FIELDS);
    for (int i = 0; i < MOTET_FIELDS; i++)
        if (!(fabs(losses.field[i] - fields[i]) <= 1e-5 * fields[i] + 1e-6))
            fail_msg("%s: %.7f, PyTorch %.7f", motet_field_name(i), losses.field[i], fields[i]);
    const float *attributes = golden_of("losses.attributes", MOTET_ATTRIBUTES);
    for (int i = 0; i < MOTET_ATTRIBUTES; i++)
        if (!(fabs(losses.attribute[i] - attributes[i]) <= 1e-5 * attributes[i] + 1e-6))
            fail_msg("%s: %.7f, PyTorch %.7f", motet_attribute_name(i), losses.attribute[i],
                     attributes[i]);
}

static void test_states(void **state) {
    (void)state;
    const motet_settings *settings = &f.test.settings;
    const motet_model_input *in = &f.test.input;
    motet_input_limits limits = motet_input_limits_for(settings);
    motet_arenas arenas = {0};
    static motet_score_acts acts;
    static motet_text_acts text;
    for (int pass = 0; pass < 2; pass++) {
        motet_score_acts_layout(&acts, &arenas.device, settings, limits.rows, limits.memory_rows,
                                limits.text_rows, MOTET_F32, 0);
        motet_text_layout(&text, &arenas, settings, limits.text_rows, MOTET_F32);
        if (pass == 0) assert_int_equal(motet_arenas_bind(&arenas), MOTET_OK);
    }
    const motet_backend *cpu = motet_backend_cpu();
    motet_tensor text_states;
    assert_int_equal(motet_text_forward(&text_states, &text, cpu, &f.weights.text, settings,
                                        in->text_ids, in->text_offsets, in->texts),
                     MOTET_OK);
    assert_int_equal(motet_score_memory(&acts, cpu, &f.weights, &in->score, text_states), MOTET_OK);
    assert_int_equal(motet_score_forward(&acts, NULL, cpu, &f.weights, settings, &in->score),
                     MOTET_OK);
    const float *ours = acts.states.data;
    const float *theirs = golden_of("states", (int64_t)in->score.rows * settings->model_width);
    for (int64_t i = 0; i < (int64_t)in->score.rows * settings->model_width; i++)
        if (!(fabsf(ours[i] - theirs[i]) <= 1e-4f))
            fail_msg("row %lld: %.6f, PyTorch %.6f", (long long)(i / settings->model_width),
                     ours[i], theirs[i]);
    motet_arenas_free(&arenas);
}

static void test_gradients(void **state) {
    (void)state;
    run();
    int compared = 0;
    for (int i = 0; i < f.grad_slots.count; i++) {
        if (!f.grad_slots.tensor[i]->data) continue;
        char name[128];
        snprintf(name, sizeof name, "grad.%s", f.grad_slots.parameter[i].name);
        const float *theirs = golden_of(name, 1 + SAMPLES), *ours = f.grad_slots.tensor[i]->data;
        int64_t count = motet_tensor_count(*f.grad_slots.tensor[i]);
        double norm = 0;
        for (int64_t k = 0; k < count; k++)
            norm += (double)ours[k] * ours[k];
        norm = sqrt(norm);
        if (!(fabs(norm - theirs[0]) <= 1e-4 * theirs[0]))
            fail_msg("%s: norm %.6f, PyTorch %.6f", name, norm, theirs[0]);
        for (int k = 0; k < SAMPLES; k++)
            if (!(fabs(ours[count * k / SAMPLES] - theirs[1 + k]) <= 1e-3 * theirs[0]))
                fail_msg("%s: sample %d is %.6f, PyTorch %.6f", name, k, ours[count * k / SAMPLES],
                         theirs[1 + k]);
        compared++;
    }
    assert_true(compared > 100);
}

int main(void) {
    const char *path = getenv("MOTET_GOLDEN_DUMP");
    make();
    if (path) return dump(path);
    if (motet_safetensors_open(&golden, "tests/golden/model_tiny.safetensors") != MOTET_OK) {
        fprintf(stderr, "%s\n", motet_error());
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_losses),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_gradients),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    motet_safetensors_close(golden);
    motet_arena_free(&f.weights_arena);
    motet_arena_free(&f.grads_arena);
    motet_test_batch_free(&f.test);
    return failed;
}
