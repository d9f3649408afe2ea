/* Activation recomputation: less memory, the same bits. On the CUDA back-end: test_training_cuda.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/score_decoder.h"
#include "tests/harness_walled.h"
#include "tests/train/harness_recompute.h"
#include "tests/train/harness_run.h"
#include "train/run_plan.h"

static motet_settings deep(const char *dtype) {
    motet_settings s = run_settings(&run_group_place, "recompute", dtype);
    s.model_layers = 4;
    s.train_accumulate = 2;
    return s;
}

static void same_bits_in_f32(void **state) {
    (void)state;
    motet_settings s = deep("f32");
    recompute_same_bits(&s, motet_backend_cpu(), 3);
}

static void same_bits_in_bf16(void **state) {
    (void)state;
    motet_settings s = deep("bf16");
    recompute_same_bits(&s, motet_backend_cpu(), 3);
}

/* Ops that run late, in memory that the host cannot touch. */
static void same_bits_behind_walls(void **state) {
    (void)state;
    motet_settings s = deep("bf16");
    s.model_layers = 3;
    recompute_same_bits(&s, motet_walled_backend(0), 2);
}

/* Bytes that one more layer costs, from the plan of 3 and of 4 layers. */
static void layer_bytes(int64_t bytes[MOTET_RECOMPUTE_LEVELS], const char *dtype) {
    motet_settings s = deep(dtype);
    motet_run_plan plans[2];
    for (int i = 0; i < 2; i++) {
        s.model_layers = 3 + i;
        assert_int_equal(motet_run_plan_make(&plans[i], &s), MOTET_OK);
        assert_true(plans[i].activations == plans[i].activations_at[0]);
    }
    for (int l = 0; l < MOTET_RECOMPUTE_LEVELS; l++)
        bytes[l] = plans[1].activations_at[l] - plans[0].activations_at[l];
}

/* What a layer keeps, counted by hand: N x D f32 at full; without three N x D and one N x F at
 * selective. */
static void plan_counts_levels(void **state) {
    (void)state;
    for (int half = 0; half < 2; half++) {
        motet_settings s = deep(half ? "bf16" : "f32");
        int64_t bytes[MOTET_RECOMPUTE_LEVELS], size = half ? 2 : 4;
        int64_t n = s.train_rows, d = s.model_width, f = s.model_ffn;
        layer_bytes(bytes, half ? "bf16" : "f32");
        assert_int_equal(bytes[2], 4 * n * d);
        assert_int_equal(bytes[0] - bytes[1], size * n * (3 * d + f));
    }
}

static void plan_says_levels(void **state) {
    (void)state;
    motet_settings s = deep("bf16");
    motet_run_plan plan;
    snprintf(s.train_recompute, sizeof s.train_recompute, "full");
    assert_int_equal(motet_run_plan_make(&plan, &s), MOTET_OK);
    assert_true(plan.activations == plan.activations_at[2]);
    char *text = motet_run_plan_text(&plan, &s);
    assert_non_null(text);
    assert_non_null(strstr(text, "MB with train.recompute = full (none "));
    free(text);
}

static void wrong_level_is_named(void **state) {
    (void)state;
    motet_settings s = deep("f32");
    snprintf(s.train_recompute, sizeof s.train_recompute, "layers");
    assert_int_equal(motet_settings_check(&s), MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "train.recompute = layers"));
}

/* Acts that were laid out for generation have nothing to start from. */
static void nothing_kept_is_refused(void **state) {
    (void)state;
    static motet_score_acts acts;
    static motet_weights weights;
    motet_arena arena = {0};
    motet_settings s = deep("f32");
    motet_score_input input = {.rows = 1};
    motet_score_acts_layout(&acts, &arena, &s, 1, 1, 1, MOTET_F32, MOTET_KEEP_NOTHING);
    assert_int_equal(motet_score_again(&acts, 1, motet_backend_cpu(), &weights, &s, &input),
                     MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "layer 1 has kept nothing"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_in_f32),       cmocka_unit_test(same_bits_in_bf16),
        cmocka_unit_test(same_bits_behind_walls), cmocka_unit_test(plan_counts_levels),
        cmocka_unit_test(plan_says_levels),       cmocka_unit_test(wrong_level_is_named),
        cmocka_unit_test(nothing_kept_is_refused)};
    return cmocka_run_group_tests_name("recompute", tests, run_group_setup, run_group_teardown);
}
