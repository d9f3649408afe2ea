/* Going on by itself: from the newest checkpoint that is whole, with the bits of a run that nothing
 * happened to; fresh where there is none; never past what belongs to another run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/file.h"
#include "kernels/core/log.h"
#include "tests/train/harness_corpus.h"
#include "tests/train/harness_run.h"
#include "train/log_jsonl.h"
#include "train/run_directory.h"
#include "train/train_loop.h"

static char log_text[4096];

static void keep_log(void *user, motet_log_level level, const char *line) {
    (void)user, (void)level;
    snprintf(log_text + strlen(log_text), sizeof log_text - strlen(log_text), "%s\n", line);
}

static motet_settings small(const char *name) {
    motet_settings s = run_settings(&run_group_place, name, "f32");
    s.train_rows = 64;
    s.train_steps = 8;
    s.train_save_every = 2;
    s.run_keep = 4;
    s.train_threads = 1;
    s.model_width = s.model_ffn = s.model_field_ffn = s.model_text_width = s.model_text_ffn = 32;
    s.model_layers = s.model_heads = s.model_text_layers = s.model_text_heads = 1;
    return s;
}

static motet_status automatic(const motet_settings *s, volatile sig_atomic_t *save) {
    motet_training training;
    MOTET_TRY(motet_training_open(&training, s, motet_backend_cpu()));
    motet_loop_options options = {.automatic = 1, .save = save};
    *log_text = 0;
    motet_log_to(keep_log, NULL);
    motet_status status = motet_train_loop(NULL, &training, &options);
    motet_training_close(&training);
    return status;
}

static void go(const motet_settings *s) {
    if (automatic(s, NULL) != MOTET_OK) fail_msg("%s", motet_error());
}

static const char *in(const motet_settings *s, const char *name) {
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", s->run_dir, name);
    return path;
}

static void put(const motet_settings *s, const char *name, const char *text) {
    FILE *file = fopen(in(s, name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int there(const motet_settings *s, const char *name) {
    return access(in(s, name), F_OK) == 0;
}

static void flip(const motet_settings *s, const char *name) {
    int fd = open(in(s, name), O_RDWR);
    unsigned char byte;
    assert_true(pread(fd, &byte, 1, 900) == 1);
    byte ^= 32;
    assert_true(pwrite(fd, &byte, 1, 900) == 1);
    close(fd);
}

static void assert_latest(const motet_settings *s, const char *name) {
    char path[PATH_MAX];
    assert_int_equal(motet_run_directory_latest(path, s->run_dir), MOTET_OK);
    assert_string_equal(strrchr(path, '/') + 1, name);
}

static motet_settings whole;

static void test_fresh_and_again(void **state) {
    (void)state;
    whole = small("whole");
    whole.train_steps = 10;
    go(&whole); /* there is none: fresh */
    assert_latest(&whole, "step-10");
    motet_settings s = small("again");
    go(&s);
    s.train_steps = 10;
    go(&s); /* the same schedule from step 8 on as a run of 8: not the whole's bits */
    assert_latest(&s, "step-10");
    /* A run that ended before its first checkpoint is begun anew. */
    s = small("early");
    assert_int_equal(mkdir(s.run_dir, 0777), 0);
    put(&s, "settings.ini", "[train]\nsteps = 3\n");
    put(&s, "log.jsonl", "{\"kind\":\"start\",\"step\":0}\n{\"kind\":\"tra");
    s.train_steps = 1;
    go(&s);
    unsigned char *text;
    size_t size;
    assert_int_equal(motet_file_read(&text, &size, in(&s, "log.jsonl"), 1 << 20), MOTET_OK);
    assert_null(strstr((char *)text, "\"tra{")); /* half a line is gone, whole ones are not */
    assert_memory_equal(text, "{\"kind\":\"start\",\"step\":0}\n{\"kind\":\"start\"", 41);
    free(text);
}

/* As if the run of ten steps had been interrupted at the newest of these, and that was damaged. */
static motet_settings interrupted(const char *name) {
    motet_settings s = small(name);
    s.train_steps = 10;
    go(&s);
    char command[PATH_MAX * 2];
    snprintf(command, sizeof command, "rm -rf '%s/step-10'", s.run_dir);
    assert_int_equal(system(command), 0);
    put(&s, "latest", "step-8\n");
    return s;
}

static void test_falls_back(void **state) {
    (void)state;
    static const char *const files[] = {"state.safetensors", "model.safetensors", "manifest.json"};
    char name[64];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "back-%d", i);
        motet_settings s = interrupted(name);
        snprintf(name, sizeof name, "step-8/%s", files[i]);
        flip(&s, name);
        go(&s);
        if (!strstr(log_text, "checkpoint of step 8 cannot be used") ||
            !strstr(log_text, files[i]) || !strstr(log_text, "going on from"))
            fail_msg("it said: %s", log_text);
        assert_true(there(&s, "step-8.damaged"));
        run_assert_same(&whole, &s);
    }
    /* Two of them; and files that are not there at all. */
    motet_settings s = interrupted("back-two");
    assert_int_equal(unlink(in(&s, "step-8/state.safetensors")), 0);
    assert_int_equal(truncate(in(&s, "step-6/manifest.json"), 100), 0);
    put(&s, "step-4/state.safetensors", "");
    assert_int_equal(automatic(&s, NULL), MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), "none of its 3 checkpoints is whole"));
    assert_true(there(&s, "step-4.damaged"));
}

static void test_without_latest(void **state) {
    (void)state;
    static const char *const texts[] = {NULL, "", "step-", "../step-8\n", "step-77\n", "step-6"};
    char name[64];
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "latest-%d", i);
        motet_settings s = interrupted(name);
        if (texts[i])
            put(&s, "latest", texts[i]);
        else
            unlink(in(&s, "latest"));
        go(&s);
        run_assert_same(&whole, &s);
        assert_string_equal(log_text, "");
        assert_latest(&s, "step-10");
    }
}

/* Somebody went back by hand: later checkpoints are neither used nor removed. */
static void test_later_ones_stay(void **state) {
    (void)state;
    motet_settings s = interrupted("later");
    put(&s, "latest", "step-6\n");
    s.run_keep = 1, s.train_steps = 7;
    go(&s);
    assert_latest(&s, "step-7");
    assert_true(there(&s, "step-8"));
    assert_false(there(&s, "step-6"));
}

static void test_tidies(void **state) {
    (void)state;
    motet_settings s = interrupted("tidies");
    assert_int_equal(mkdir(in(&s, "step-9.tmp"), 0777), 0);
    put(&s, "step-9.tmp/state.safetensors", "half");
    char old[PATH_MAX];
    snprintf(old, sizeof old, "%s", in(&s, "step-8.old"));
    assert_int_equal(rename(in(&s, "step-8"), old), 0); /* between two renames */
    put(&s, "latest.77-0.tmp", "step-9\n");
    put(&s, "best/model.safetensors.tmp77", "half");
    put(&s, "notes.tmp", "mine");
    go(&s);
    assert_string_equal(log_text, "");
    run_assert_same(&whole, &s);
    assert_false(there(&s, "step-9.tmp"));
    assert_false(there(&s, "step-8.old"));
    assert_false(there(&s, "latest.77-0.tmp"));
    assert_false(there(&s, "best/model.safetensors.tmp77"));
    assert_true(there(&s, "notes.tmp"));
}

/* What is whole but of another run is no reason to go further back. */
static void test_refuses_others(void **state) {
    (void)state;
    motet_settings s = interrupted("others");
    motet_settings other = s;
    other.model_ffn = 64;
    assert_int_equal(automatic(&other, NULL), MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "other [model] settings"));
    other = s;
    snprintf(other.data_corpus, sizeof other.data_corpus, "%s/o.h5", run_group_place.folder);
    corpus_make(other.data_corpus, 40, 21);
    assert_int_equal(automatic(&other, NULL), MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "another corpus"));
    assert_true(there(&s, "step-8"));
}

/* Asked to save, it does, and goes on. */
static void test_saves_when_asked(void **state) {
    (void)state;
    motet_settings s = small("asked");
    volatile sig_atomic_t save = 1;
    s.train_save_every = 0, s.train_steps = 10;
    assert_int_equal(automatic(&s, &save), MOTET_OK);
    assert_int_equal(save, 0);
    assert_true(there(&s, "step-1"));
    assert_latest(&s, "step-10");
    run_assert_same(&whole, &s);
    unsigned char *text;
    size_t size;
    assert_int_equal(motet_file_read(&text, &size, in(&s, "log.jsonl"), 1 << 20), MOTET_OK);
    const char *line = strstr((char *)text, "\"kind\":\"save\",\"step\":1,");
    assert_non_null(line);
    assert_non_null(strstr(line, "save_stall_seconds"));
    assert_non_null(strstr(line, "save_stall_share"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fresh_and_again),  cmocka_unit_test(test_falls_back),
        cmocka_unit_test(test_without_latest),   cmocka_unit_test(test_later_ones_stay),
        cmocka_unit_test(test_tidies),           cmocka_unit_test(test_refuses_others),
        cmocka_unit_test(test_saves_when_asked),
    };
    return cmocka_run_group_tests(tests, run_group_setup, run_group_teardown);
}
