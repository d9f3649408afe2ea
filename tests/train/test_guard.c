/* What is left out, and the way back: one NaN in one gradient costs one update; three in a row cost
 * the way back to a checkpoint, and the data that caused them are not met again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/file.h"
#include "kernels/core/log.h"
#include "tests/train/harness_ranks.h"
#include "tests/train/harness_run.h"
#include "train/run_directory.h"
#include "train/train_loop.h"

static void test_judge(void **state) {
    (void)state;
    motet_settings s;
    motet_guard guard = {0};
    motet_settings_default(&s);
    assert_null(motet_guard_judge(&guard, &s, 1, 1));
    assert_non_null(motet_guard_judge(&guard, &s, NAN, 1));
    assert_non_null(motet_guard_judge(&guard, &s, 1, INFINITY));
    for (int i = 0; i < MOTET_GUARD_LEAST; i++) {
        assert_null(motet_guard_judge(&guard, &s, 1e9, 1e9)); /* too early to tell */
        motet_guard_accept(&guard, 5 + i % 3, 1);             /* median 6 */
    }
    assert_null(motet_guard_judge(&guard, &s, 12, 10));
    assert_non_null(strstr(motet_guard_judge(&guard, &s, 12.01, 1), "train.spike_loss"));
    assert_non_null(strstr(motet_guard_judge(&guard, &s, 6, 10.01), "train.spike_norm"));
    assert_null(motet_guard_judge(&guard, &s, 0, 0));
    s.train_spike_loss = s.train_spike_norm = 0; /* off, but for what is not finite */
    assert_null(motet_guard_judge(&guard, &s, 1e9, 1e9));
    assert_non_null(motet_guard_judge(&guard, &s, -INFINITY, 1));
    motet_settings_default(&s);
    motet_guard_accept(&guard, 1e6, 1e6); /* one outlier moves the median little */
    assert_non_null(motet_guard_judge(&guard, &s, 14.01, 1));
    for (int i = 0; i < MOTET_GUARD_WINDOW; i++) /* and the window forgets */
        motet_guard_accept(&guard, 1, 1);
    assert_non_null(motet_guard_judge(&guard, &s, 2.01, 1));
    assert_null(motet_guard_judge(&guard, &s, 2, 1));
}

/* ---- Runs in which gradients go wrong at certain data. */

static motet_training training;
static int64_t bad_from, bad_to; /* steps' worth of data: step + shifted */
static float planted;            /* NAN, or what the first gradient is multiplied by */
static motet_sum_squares_fn *real_sum_squares;
static char log_text[4096];

static motet_status planting(double *sum, motet_tensor gradient) {
    int64_t at = training.counters.step + training.counters.shifted;
    float *values = gradient.data;
    if (values == training.optimizer->pieces[0].gradient.data && at >= bad_from && at <= bad_to)
        values[0] = isnan(planted) ? planted : values[0] + planted;
    return real_sum_squares(sum, gradient);
}

static void keep_log(void *user, motet_log_level level, const char *line) {
    (void)user, (void)level;
    snprintf(log_text + strlen(log_text), sizeof log_text - strlen(log_text), "%s\n", line);
}

static motet_status run(const motet_settings *s, int resume, motet_counters *counters) {
    MOTET_TRY(motet_training_open(&training, s, motet_backend_cpu()));
    real_sum_squares = training.backend.sum_squares;
    training.backend.sum_squares = planting;
    motet_loop_options options = {.automatic = resume};
    *log_text = 0;
    motet_log_to(keep_log, NULL);
    motet_status status = motet_train_loop(NULL, &training, &options);
    *counters = training.counters;
    motet_training_close(&training);
    return status;
}

static motet_settings small(const char *name) {
    motet_settings s = run_settings(&run_group_place, name, "f32");
    s.train_rows = 64;
    s.train_threads = 1;
    s.model_width = s.model_ffn = s.model_field_ffn = s.model_text_width = s.model_text_ffn = 32;
    s.model_layers = s.model_heads = s.model_text_layers = s.model_text_heads = 1;
    return s;
}

static int log_lines(const motet_settings *s, const char *words) {
    char path[PATH_MAX];
    unsigned char *text;
    size_t size;
    int count = 0;
    snprintf(path, sizeof path, "%s/log.jsonl", s->run_dir);
    assert_int_equal(motet_file_read(&text, &size, path, 1 << 20), MOTET_OK);
    for (char *p = (char *)text; (p = strstr(p, words)); p++)
        count++;
    free(text);
    return count;
}

static void test_one_nan(void **state) {
    (void)state;
    motet_settings s = small("one");
    motet_counters c;
    bad_from = bad_to = 5, planted = NAN;
    assert_int_equal(run(&s, 0, &c), MOTET_OK);
    assert_int_equal(c.step, 12);
    assert_int_equal(c.updates, 11);
    assert_int_equal(log_lines(&s, "\"kind\":\"skip\",\"step\":6,"), 1);
    assert_int_equal(log_lines(&s, "\"skip\""), 1);
    assert_int_equal(log_lines(&s, "not finite"), 1);
}

static void test_spike(void **state) {
    (void)state;
    motet_settings s = small("spike");
    motet_counters c;
    s.train_steps = 22;
    bad_from = bad_to = 19, planted = 1000;
    assert_int_equal(run(&s, 0, &c), MOTET_OK);
    assert_int_equal(c.updates, 21);
    assert_int_equal(log_lines(&s, "train.spike_norm"), 1);
    s = small("spike-allowed");
    s.train_steps = 22, s.train_spike_norm = 0;
    assert_int_equal(run(&s, 0, &c), MOTET_OK);
    assert_int_equal(c.updates, 22);
}

/* Bad are the data of steps 7, 8 and 9; the checkpoint is that of step 5. */
static void test_goes_back(void **state) {
    (void)state;
    motet_settings whole = small("back");
    motet_counters c;
    whole.train_save_every = 5;
    bad_from = 7, bad_to = 9, planted = NAN;
    assert_int_equal(run(&whole, 0, &c), MOTET_OK);
    assert_int_equal(c.step, 12);
    assert_int_equal(c.updates, 12);
    assert_int_equal(c.shifted, 5); /* step 5 has the data that step 10 would have had */
    assert_int_equal(c.rollbacks, 1);
    assert_int_equal(log_lines(&whole, "\"skip\""), 3);
    assert_int_equal(log_lines(&whole, "\"kind\":\"rollback\",\"step\":10,\"to\":5,\"shifted\":5"),
                     1);
    assert_non_null(strstr(log_text, "back to step 5"));
}

/* Resumed behind it, a run goes on with the data that it had come to, and the same bits. */
static void test_resumes_behind_it(void **state) {
    (void)state;
    motet_settings s = small("behind");
    motet_counters c;
    char path[PATH_MAX];
    s.train_save_every = 2, s.run_keep = 10;
    bad_from = 5, bad_to = 7, planted = NAN;
    assert_int_equal(run(&s, 0, &c), MOTET_OK); /* 4, back from 8, 6, 8, 10, 12 */
    motet_settings copy = s;
    snprintf(copy.run_dir, sizeof copy.run_dir, "%s/whole", run_group_place.folder);
    assert_int_equal(rename(s.run_dir, copy.run_dir), 0);
    /* Again, but only what stood there after step 6 is left. */
    assert_int_equal(run(&s, 0, &c), MOTET_OK);
    snprintf(path, sizeof path, "%s/latest", s.run_dir);
    assert_int_equal(motet_file_replace(path, "step-6\n", 7), MOTET_OK);
    assert_int_equal(run(&s, 1, &c), MOTET_OK);
    assert_int_equal(c.rollbacks, 1);
    assert_int_equal(c.shifted, 4);
    run_assert_same(&copy, &s);
}

static motet_bias_backward_fn *real_bias_backward;

static motet_status planting_backward(motet_tensor dbias, motet_tensor dout) {
    int64_t at = training.counters.step + training.counters.shifted;
    MOTET_TRY(real_bias_backward(dbias, dout));
    if (at >= bad_from && at <= bad_to) *(float *)dbias.data = NAN;
    return MOTET_OK;
}

/* The gradient of one of two ranks goes wrong: both leave the same updates out, and go back to the
 * same checkpoint, which rank 0 chooses. */
static int one_of_two(motet_communicator *communicator, void *user) {
    const motet_settings *s = user;
    RANK_CHECK(motet_training_open_rank(&training, s, motet_backend_cpu(), communicator, NULL) ==
               MOTET_OK);
    if (communicator->rank == 1) { /* in its own sums, before the ranks' are added */
        real_bias_backward = training.backend.bias_backward;
        training.backend.bias_backward = planting_backward;
    }
    motet_loop_options options = {0};
    motet_status status = motet_train_loop(NULL, &training, &options);
    motet_counters c = training.counters;
    motet_training_close(&training);
    RANK_CHECK(status == MOTET_OK);
    RANK_CHECK(c.step == 12 && c.updates == 12);
    RANK_CHECK(c.shifted == 5 && c.rollbacks == 1);
    return 1;
}

static void test_two_ranks(void **state) {
    (void)state;
    for (int shard = 0; shard < 2; shard++) {
        char name[32];
        snprintf(name, sizeof name, "two-ranks-%d", shard);
        motet_settings s = small(name);
        s.train_save_every = 5, s.train_accumulate = 2, s.train_shard = shard;
        bad_from = 7, bad_to = 9, planted = NAN;
        ranks_run(2, motet_backend_cpu(), 0, 60, one_of_two, &s);
        assert_int_equal(log_lines(&s, "\"skip\""), 3);
        assert_int_equal(log_lines(&s, "\"to\":5,\"shifted\":5"), 1);
    }
}

static void test_gives_up(void **state) {
    (void)state;
    motet_settings s = small("gives-up");
    motet_counters c;
    char path[PATH_MAX];
    s.train_save_every = 3, s.train_rollbacks = 2;
    bad_from = 4, bad_to = INT64_MAX, planted = NAN;
    assert_int_equal(run(&s, 0, &c), MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "after 2 roll-backs"));
    assert_int_equal(log_lines(&s, "\"rollback\""), 2);
    assert_int_equal(motet_run_directory_latest(path, s.run_dir), MOTET_OK);
    assert_string_equal(strrchr(path, '/'), "/step-3");
    s = small("nowhere");
    bad_from = 0;
    assert_int_equal(run(&s, 0, &c), MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "no checkpoint to go back to"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_ranks), /* forks: first */
        cmocka_unit_test(test_judge),
        cmocka_unit_test(test_one_nan),
        cmocka_unit_test(test_spike),
        cmocka_unit_test(test_goes_back),
        cmocka_unit_test(test_resumes_behind_it),
        cmocka_unit_test(test_gives_up),
    };
    return cmocka_run_group_tests(tests, run_group_setup, run_group_teardown);
}
