/* Inputs made ahead are those that are made when they are wanted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/train/harness_run.h"
#include "train/input_ahead.h"

static void need(motet_status status) {
    if (status != MOTET_OK) fail_msg("%s (%s)", motet_error(), motet_error_where());
}

static void same_ints(const int32_t *a, const int32_t *b, int64_t count) {
    assert_memory_equal(a, b, (size_t)count * sizeof *a);
}

static void assert_same(const motet_model_input *a, const motet_model_input *b,
                        const motet_settings *s) {
    const motet_score_input *x = &a->score, *y = &b->score;
    assert_int_equal(a->events, b->events);
    assert_int_equal(a->targets, b->targets);
    assert_int_equal(a->text_rows, b->text_rows);
    assert_int_equal(x->rows, y->rows);
    assert_int_equal(x->sequences, y->sequences);
    assert_int_equal(x->memory_rows, y->memory_rows);
    same_ints(x->offsets, y->offsets, x->sequences + 2);
    same_ints(x->events, y->events, (int64_t)x->rows * MOTET_EVENT_FEATURES);
    same_ints(x->context, y->context, (int64_t)x->rows * MOTET_CONTEXT_FEATURES);
    same_ints(x->memory_text, y->memory_text, x->memory_rows);
    same_ints(x->memory_controls, y->memory_controls, x->memory_rows);
    same_ints(a->text_ids, b->text_ids, a->text_rows);
    int64_t angles = (int64_t)x->rows * s->model_width / s->model_heads;
    assert_memory_equal(x->angles, y->angles, (size_t)angles * sizeof(float));
    for (int f = 0; f < MOTET_FIELDS; f++) {
        assert_int_equal(a->field_counts[f], b->field_counts[f]);
        same_ints(a->field_rows[f], b->field_rows[f], a->field_counts[f]);
        same_ints(a->field_targets[f], b->field_targets[f], a->field_counts[f]);
    }
}

/* In order; announced wrongly; not prepared; the same one twice; backwards. */
static void same_inputs(void **state) {
    (void)state;
    static const struct {
        int64_t index, next;
        int prepare;
    } turns[] = {{0, 1, 1}, {1, 2, 1}, {7, 8, 1}, {8, 9, 0}, {9, 9, 1}, {9, 10, 1}, {3, 4, 1}};
    motet_settings s = run_settings(&run_group_place, "ahead", "f32");
    motet_training t;
    motet_input_ahead *ahead;
    need(motet_training_open(&t, &s, motet_backend_cpu()));
    need(motet_input_ahead_make(&ahead, t.train, t.encoder.tokenizer, &t.settings, NULL));
    motet_input_ahead_prepare(ahead); /* nothing was announced */
    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
        const motet_model_input *input;
        need(motet_input_ahead_take(&input, ahead, turns[i].index, turns[i].next));
        need(motet_loader_batch(&t.batch, t.train, turns[i].index, 0));
        need(motet_model_input_build(&t.input, &t.batch, t.encoder.tokenizer, &t.settings,
                                     turns[i].index, 0, 0));
        if (turns[i].prepare) motet_input_ahead_prepare(ahead);
        assert_same(input, &t.input, &t.settings); /* and what was made ahead left it alone */
    }
    motet_input_ahead_free(ahead);
    motet_training_close(&t);
}

/* Tokens of text and controls, padding apart. */
static int heard(const motet_model_input *input) {
    int count = 0;
    for (int32_t i = 0; i < input->score.memory_rows; i++)
        count += input->score.memory_text[i] >= 0 || input->score.memory_controls[i] >= 0;
    return count;
}

/* A step leaves the next one's input behind, made with the settings that were in force then. */
static void steps_make_the_next(void **state) {
    (void)state;
    motet_settings s = run_settings(&run_group_place, "turns", "f32");
    s.train_accumulate = 2;
    motet_training t;
    motet_step_report report;
    const motet_model_input *input;
    need(motet_training_open(&t, &s, motet_backend_cpu()));
    need(motet_training_step(&report, &t));
    need(motet_loader_batch(&t.batch, t.train, 2, 0));
    need(motet_model_input_build(&t.input, &t.batch, t.encoder.tokenizer, &s, 2, 0, 0));
    t.settings.train_unconditional = 1;
    need(motet_input_ahead_take(&input, t.ahead, 2, -1));
    assert_same(input, &t.input, &s);
    need(motet_input_ahead_take(&input, t.ahead, 2, -1)); /* made now: no caption is heard */
    assert_true(heard(input) < heard(&t.input));
    motet_training_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_inputs),
                                       cmocka_unit_test(steps_make_the_next)};
    return cmocka_run_group_tests_name("input_ahead", tests, run_group_setup, run_group_teardown);
}
