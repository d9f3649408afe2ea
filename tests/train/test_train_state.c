/* Checkpoints: resume is bit-identical, bad ones are refused by name, old ones survive failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "infer/checkpoint.h"
#include "tests/train/harness_corpus.h"
#include "tests/train/harness_run.h"
#include "train/run_directory.h"
#include "train/train_loop.h"

static void train(const motet_settings *s, int resume) {
    if (run_train(s, resume, NULL) != MOTET_OK) fail_msg("%s", motet_error());
}

static void assert_refused(motet_status status, motet_status code, const char *words) {
    if (status != code || !strstr(motet_error(), words))
        fail_msg("status %d, \"%s\", not %d, \"%s\"", (int)status, motet_error(), (int)code, words);
}

/* 5 steps, stop, 7 more: the same bits as 12 in one go. */
static void check_resume(const char *dtype) {
    char name[2][32];
    snprintf(name[0], sizeof name[0], "whole-%s", dtype);
    snprintf(name[1], sizeof name[1], "parts-%s", dtype);
    motet_settings whole = run_settings(&run_group_place, name[0], dtype);
    motet_settings parts = run_settings(&run_group_place, name[1], dtype);
    whole.train_eval_every = parts.train_eval_every = 4;
    whole.train_accumulate = parts.train_accumulate = 2;
    train(&whole, 0);
    parts.train_save_every = 5, parts.run_keep = 5;
    train(&parts, 0);
    char path[PATH_MAX], kept[PATH_MAX];
    snprintf(path, sizeof path, "%s/latest", parts.run_dir);
    FILE *latest = fopen(path, "w"); /* as if it had ended after step 5 */
    assert_non_null(latest);
    fputs("step-5\n", latest);
    fclose(latest);
    snprintf(kept, sizeof kept, "%s/step-5", parts.run_dir);
    assert_int_equal(access(kept, F_OK), 0);
    train(&parts, 1);
    run_assert_same(&whole, &parts);
}

static void test_resume_f32(void **state) {
    (void)state;
    check_resume("f32");
}

static void test_resume_bf16(void **state) {
    (void)state;
    check_resume("bf16");
}

static void test_stop_saves(void **state) {
    (void)state;
    motet_settings whole = run_settings(&run_group_place, "unstopped", "f32");
    motet_settings s = run_settings(&run_group_place, "stopped", "f32");
    volatile sig_atomic_t stop = 1; /* pressed before the first step ended */
    train(&whole, 0);
    assert_int_equal(run_train(&s, 0, &stop), MOTET_OK);
    char path[PATH_MAX];
    assert_int_equal(motet_run_directory_latest(path, s.run_dir), MOTET_OK);
    assert_string_equal(strrchr(path, '/'), "/step-1");
    train(&s, 1);
    run_assert_same(&whole, &s);
}

static void test_run_directory(void **state) {
    (void)state;
    motet_settings s = run_settings(&run_group_place, "kept", "f32");
    s.train_save_every = 2, s.run_keep = 2;
    train(&s, 0);
    char path[PATH_MAX];
    static const char *const there[] = {
        "settings.ini",          "vocab.txt", "log.jsonl", "step-12", "step-10", "latest",
        "best/model.safetensors"};
    static const char *const gone[] = {"step-8", "step-2", "step-12.tmp", "step-12.old"};
    for (int i = 0; i < 7; i++) {
        snprintf(path, sizeof path, "%s/%s", s.run_dir, there[i]);
        if (access(path, F_OK) != 0) fail_msg("%s is missing", path);
    }
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", s.run_dir, gone[i]);
        assert_int_not_equal(access(path, F_OK), 0);
    }
    motet_settings back;
    motet_settings_default(&back);
    snprintf(path, sizeof path, "%s/settings.ini", s.run_dir);
    assert_int_equal(motet_settings_read_file(&back, path), MOTET_OK);
    assert_int_equal(back.train_steps, 12);
    assert_refused(run_train(&s, 0, NULL), MOTET_E_USAGE, "already holds a run");
    motet_run_directory lock;
    assert_int_equal(motet_run_directory_open(&lock, s.run_dir), MOTET_OK);
    assert_refused(run_train(&s, 1, NULL), MOTET_E_USAGE, "in use by another trainer");
    motet_run_directory_close(&lock);
}

/* The exported model opens as what motet reads, and holds the trained weights. */
static void test_export(void **state) {
    (void)state;
    motet_settings s = run_settings(&run_group_place, "exported", "bf16");
    train(&s, 0);
    char path[PATH_MAX];
    motet_checkpoint checkpoint;
    run_latest_file(path, sizeof path, &s, "model.safetensors");
    if (motet_checkpoint_open(&checkpoint, path) != MOTET_OK) fail_msg("%s", motet_error());
    assert_int_equal(checkpoint.settings.model_width, 64);
    assert_int_equal(checkpoint.weights.layers[1].qkv.dtype, MOTET_BF16);
    assert_string_equal(motet_safetensors_meta(checkpoint.file, "train.steps"), "12");
    motet_checkpoint_close(&checkpoint);
}

static void damage(const char *path, long at, int truncate_it) {
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    if (truncate_it) {
        assert_int_equal(truncate(path, info.st_size - 1000), 0);
        return;
    }
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, at, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, at, SEEK_SET);
    fputc(byte ^ 4, file);
    fclose(file);
}

static void test_refuses_damage(void **state) {
    (void)state;
    static const char *const files[] = {"state.safetensors", "model.safetensors", "manifest.json"};
    for (int i = 0; i < 3; i++)
        for (int cut = 0; cut < 2; cut++) {
            char name[32], path[PATH_MAX];
            snprintf(name, sizeof name, "damaged-%d-%d", i, cut);
            motet_settings s = run_settings(&run_group_place, name, "f32");
            s.train_steps = 1;
            train(&s, 0);
            run_latest_file(path, sizeof path, &s, files[i]);
            damage(path, i == 2 ? 1 : 200000, cut);
            assert_refused(run_train(&s, 1, NULL), MOTET_E_DATA, files[i]);
            unlink(path);
            motet_status status = run_train(&s, 1, NULL);
            assert_true(status == MOTET_E_DATA || status == MOTET_E_IO);
            assert_non_null(strstr(motet_error(), files[i]));
        }
}

static void test_refuses_other_origin(void **state) {
    (void)state;
    motet_settings s = run_settings(&run_group_place, "origin", "f32");
    s.train_steps = 2;
    train(&s, 0);
    motet_settings other = s;
    other.model_ffn = 160;
    assert_refused(run_train(&other, 1, NULL), MOTET_E_USAGE, "other [model] settings");
    other = s;
    snprintf(other.data_corpus, sizeof other.data_corpus, "%s/other.h5", run_group_place.folder);
    corpus_make(other.data_corpus, 40, 21);
    assert_refused(run_train(&other, 1, NULL), MOTET_E_USAGE, "another corpus");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/latest", s.run_dir);
    FILE *latest = fopen(path, "w");
    fputs("../step-2\n", latest);
    fclose(latest);
    assert_refused(run_train(&s, 1, NULL), MOTET_E_DATA, "latest");
}

/* A file that cannot grow is what a full disk looks like. */
static void test_full_disk(void **state) {
    (void)state;
    motet_settings s = run_settings(&run_group_place, "full", "f32");
    s.train_steps = 2;
    train(&s, 0);
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    s.train_steps = 4;
    setrlimit(RLIMIT_FSIZE, &small);
    motet_status status = run_train(&s, 1, NULL);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(status, MOTET_E_IO);
    char path[PATH_MAX];
    assert_int_equal(motet_run_directory_latest(path, s.run_dir), MOTET_OK);
    assert_string_equal(strrchr(path, '/'), "/step-2");
    snprintf(path, sizeof path, "%s/step-4.tmp", s.run_dir);
    assert_int_not_equal(access(path, F_OK), 0);
    train(&s, 1); /* and with room it goes on */
    assert_int_equal(motet_run_directory_latest(path, s.run_dir), MOTET_OK);
    assert_string_equal(strrchr(path, '/'), "/step-4");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resume_f32),
        cmocka_unit_test(test_resume_bf16),
        cmocka_unit_test(test_stop_saves),
        cmocka_unit_test(test_run_directory),
        cmocka_unit_test(test_export),
        cmocka_unit_test(test_refuses_damage),
        cmocka_unit_test(test_refuses_other_origin),
        cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests(tests, run_group_setup, run_group_teardown);
}
