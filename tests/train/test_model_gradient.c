/* The whole model's gradient against central differences, parameter by parameter. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/core/rng.h"
#include "tests/train/harness_batch.h"
#include "train/model_gradient.h"

typedef struct fixture {
    motet_test_batch test;
    motet_arena weights_arena, grads_arena;
    motet_weights weights, grads;
    motet_gradient *gradient;
} fixture;

static void make(fixture *f) {
    memset(f, 0, sizeof *f);
    motet_test_batch_make(&f->test, 4, 33, 5);
    const motet_settings *settings = &f->test.settings;
    motet_weights_layout(&f->weights, &f->weights_arena, settings, MOTET_F32, 1);
    motet_weights_layout(&f->grads, &f->grads_arena, settings, MOTET_F32, 0);
    assert_int_equal(motet_arena_bind(&f->weights_arena), MOTET_OK);
    assert_int_equal(motet_arena_bind(&f->grads_arena), MOTET_OK);
    motet_weights_layout(&f->weights, &f->weights_arena, settings, MOTET_F32, 1);
    motet_weights_layout(&f->grads, &f->grads_arena, settings, MOTET_F32, 0);
    assert_int_equal(motet_weights_init(&f->weights, settings, 3), MOTET_OK);
    assert_int_equal(motet_gradient_make(&f->gradient, settings, MOTET_F32, NULL), MOTET_OK);
}

static void destroy(fixture *f) {
    motet_gradient_free(f->gradient);
    motet_arena_free(&f->weights_arena);
    motet_arena_free(&f->grads_arena);
    motet_test_batch_free(&f->test);
}

/* The value that the gradient is of, with loss_scale 1. */
static double objective(fixture *f, motet_weights *grads) {
    motet_losses losses = {0};
    motet_status status = motet_gradient_run(&losses, grads, f->gradient, motet_backend_cpu(),
                                             &f->weights, &f->test.settings, &f->test.input, 1);
    if (status != MOTET_OK) fail_msg("%s (%s)", motet_error(), motet_error_where());
    double sum = 0, attributes = 0;
    for (int i = 0; i < MOTET_FIELDS; i++)
        sum += losses.field[i];
    for (int i = 0; i < MOTET_ATTRIBUTES; i++)
        attributes += losses.attribute[i];
    return sum + f->test.settings.train_attribute_weight * attributes;
}

/* Slots of the table in order, so that weights and gradients can be walked side by side. */
typedef struct slots {
    motet_tensor *tensor[2048];
    motet_parameter parameter[2048];
    int count;
} slots;

static motet_status collect(void *user, const motet_parameter *parameter, motet_tensor *slot) {
    slots *all = user;
    assert_true(all->count < 2048);
    all->parameter[all->count] = *parameter;
    all->tensor[all->count++] = slot;
    return MOTET_OK;
}

static slots weight_slots, grad_slots;

/* Each parameter is moved along its own gradient: the objective must change at the rate |g|. */
static void test_every_parameter(void **state) {
    (void)state;
    static fixture f;
    make(&f);
    weight_slots.count = grad_slots.count = 0;
    motet_weights_visit(&f.weights, &f.test.settings, collect, &weight_slots);
    motet_weights_visit(&f.grads, &f.test.settings, collect, &grad_slots);

    /* Zero-initialised tables would hide errors: give every parameter some noise. */
    motet_rng rng = motet_rng_make(17, 0);
    for (int i = 0; i < weight_slots.count; i++) {
        float *w = weight_slots.tensor[i]->data;
        int64_t count = motet_tensor_count(*weight_slots.tensor[i]);
        for (int64_t k = 0; k < count; k++)
            w[k] += 0.05f * motet_rng_normal(&rng);
    }
    objective(&f, &f.grads);
    int checked = 0;
    for (int i = 0; i < weight_slots.count; i++) {
        if (!grad_slots.tensor[i]->data) continue;
        float *w = weight_slots.tensor[i]->data;
        const float *g = grad_slots.tensor[i]->data;
        int64_t count = motet_tensor_count(*weight_slots.tensor[i]);
        double norm = 0;
        for (int64_t k = 0; k < count; k++)
            norm += (double)g[k] * g[k];
        norm = sqrt(norm);
        if (norm == 0) fail_msg("%s has no gradient at all", weight_slots.parameter[i].name);
        /* A move that changes the objective by about half a nat: far above f32 rounding of its
         * terms, small enough for the cubic term. */
        double step = 0.25 / norm;
        if (step > 0.05) step = 0.05;
        static float saved[1 << 20];
        memcpy(saved, w, (size_t)count * sizeof *w);
        double value[2];
        for (int side = 0; side < 2; side++) {
            for (int64_t k = 0; k < count; k++)
                w[k] = saved[k] + (float)((side ? -step : step) * g[k] / norm);
            value[side] = objective(&f, NULL);
        }
        memcpy(w, saved, (size_t)count * sizeof *w);
        double slope = (value[0] - value[1]) / (2 * step);
        if (!(fabs(slope - norm) <= 0.01 * norm + 2e-3))
            fail_msg("%s: gradient norm %.6f, slope %.6f", weight_slots.parameter[i].name, norm,
                     slope);
        checked++;
    }
    assert_true(checked > 100);
    destroy(&f);
}

/* loss_scale scales gradients; running twice adds them up. */
static void test_scale_and_accumulation(void **state) {
    (void)state;
    static fixture f;
    make(&f);
    motet_losses losses = {0};
    assert_int_equal(motet_gradient_run(&losses, &f.grads, f.gradient, motet_backend_cpu(),
                                        &f.weights, &f.test.settings, &f.test.input, 0.5f),
                     MOTET_OK);
    float once = ((float *)f.grads.layers[0].qkv.data)[7];
    assert_int_equal(motet_gradient_run(&losses, &f.grads, f.gradient, motet_backend_cpu(),
                                        &f.weights, &f.test.settings, &f.test.input, 0.5f),
                     MOTET_OK);
    float twice = ((float *)f.grads.layers[0].qkv.data)[7];
    assert_true(once != 0);
    assert_true(fabsf(twice - 2 * once) <= 1e-5f * fabsf(once));
    assert_int_equal(losses.events, 2 * f.test.input.events);
    destroy(&f);
}

/* bf16 gradients point where f32 ones do. */
static void test_bf16_direction(void **state) {
    (void)state;
    static fixture f;
    make(&f);
    objective(&f, &f.grads);
    motet_arena arena = {0}, half_arena = {0};
    motet_weights grads, half;
    motet_weights_layout(&grads, &arena, &f.test.settings, MOTET_F32, 0);
    motet_weights_layout(&half, &half_arena, &f.test.settings, MOTET_BF16, 1);
    assert_int_equal(motet_arena_bind(&arena), MOTET_OK);
    assert_int_equal(motet_arena_bind(&half_arena), MOTET_OK);
    motet_weights_layout(&grads, &arena, &f.test.settings, MOTET_F32, 0);
    motet_weights_layout(&half, &half_arena, &f.test.settings, MOTET_BF16, 1);
    weight_slots.count = grad_slots.count = 0;
    static slots half_slots;
    half_slots.count = 0;
    motet_weights_visit(&f.weights, &f.test.settings, collect, &weight_slots);
    motet_weights_visit(&half, &f.test.settings, collect, &half_slots);
    for (int i = 0; i < weight_slots.count; i++)
        assert_int_equal(
            motet_backend_cpu()->convert(*half_slots.tensor[i], *weight_slots.tensor[i]), MOTET_OK);
    motet_gradient *gradient;
    assert_int_equal(motet_gradient_make(&gradient, &f.test.settings, MOTET_BF16, NULL), MOTET_OK);
    motet_losses losses = {0};
    motet_status status = motet_gradient_run(&losses, &grads, gradient, motet_backend_cpu(), &half,
                                             &f.test.settings, &f.test.input, 1);
    if (status != MOTET_OK) fail_msg("%s", motet_error());
    slots *exact = &grad_slots;
    static slots rough;
    rough.count = 0;
    motet_weights_visit(&f.grads, &f.test.settings, collect, exact);
    motet_weights_visit(&grads, &f.test.settings, collect, &rough);
    for (int i = 0; i < exact->count; i++) {
        if (!exact->tensor[i]->data) continue;
        const float *a = exact->tensor[i]->data, *b = rough.tensor[i]->data;
        double aa = 0, bb = 0, ab = 0;
        int64_t count = motet_tensor_count(*exact->tensor[i]);
        for (int64_t k = 0; k < count; k++)
            aa += (double)a[k] * a[k], bb += (double)b[k] * b[k], ab += (double)a[k] * b[k];
        if (!(ab >= 0.98 * sqrt(aa * bb)))
            fail_msg("%s: cosine %.4f", exact->parameter[i].name, ab / sqrt(aa * bb));
    }
    motet_gradient_free(gradient);
    motet_arena_free(&arena);
    motet_arena_free(&half_arena);
    destroy(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_parameter),
        cmocka_unit_test(test_scale_and_accumulation),
        cmocka_unit_test(test_bf16_direction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
