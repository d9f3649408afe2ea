#include "tests/train/harness_run.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "data/safetensors.h"
#include "tests/train/harness_corpus.h"
#include "train/run_directory.h"
#include "train/train_loop.h"

void run_place_make(run_place *place) {
    corpus_folder_make(place->folder, sizeof place->folder);
    snprintf(place->corpus, sizeof place->corpus, "%s/corpus.h5", place->folder);
    corpus_make(place->corpus, 40, 20);
}

void run_place_remove(const run_place *place) {
    corpus_folder_remove(place->folder);
}

run_place run_group_place;

int run_group_setup(void **state) {
    (void)state;
    run_place_make(&run_group_place);
    return 0;
}

int run_group_teardown(void **state) {
    (void)state;
    run_place_remove(&run_group_place);
    return 0;
}

motet_settings run_settings(const run_place *place, const char *name, const char *dtype) {
    motet_settings s;
    motet_settings_default(&s);
    if (motet_settings_read_file(&s, "configs/tiny.ini") != MOTET_OK) fail_msg("%s", motet_error());
    snprintf(s.data_corpus, sizeof s.data_corpus, "%s", place->corpus);
    snprintf(s.run_dir, sizeof s.run_dir, "%s/%s", place->folder, name);
    snprintf(s.train_dtype, sizeof s.train_dtype, "%s", dtype);
    s.train_steps = 12;
    s.train_eval_every = s.train_save_every = 0;
    s.train_eval_batches = 1;
    return s;
}

motet_status run_train(const motet_settings *settings, int resume,
                       const volatile sig_atomic_t *stop) {
    char latest[PATH_MAX];
    if (resume) MOTET_TRY(motet_run_directory_latest(latest, settings->run_dir));
    motet_training training;
    MOTET_TRY(motet_training_open(&training, settings, motet_backend_cpu()));
    motet_loop_options options = {.resume = resume ? latest : NULL, .stop = stop};
    motet_status status = motet_train_loop(NULL, &training, &options);
    motet_training_close(&training);
    return status;
}

void run_latest_file(char *path, size_t size, const motet_settings *settings, const char *file) {
    char latest[PATH_MAX];
    if (motet_run_directory_latest(latest, settings->run_dir) != MOTET_OK)
        fail_msg("%s", motet_error());
    int length = snprintf(path, size, "%s/%s", latest, file);
    assert_true(length > 0 && (size_t)length < size);
}

void run_assert_same(const motet_settings *a, const motet_settings *b) {
    char path[PATH_MAX];
    motet_safetensors *files[2];
    const motet_settings *both[] = {a, b};
    for (int i = 0; i < 2; i++) {
        run_latest_file(path, sizeof path, both[i], "state.safetensors");
        if (motet_safetensors_open(&files[i], path) != MOTET_OK) fail_msg("%s", motet_error());
    }
    int count = motet_safetensors_count(files[0]);
    assert_true(count > 100);
    assert_int_equal(motet_safetensors_count(files[1]), count);
    for (int i = 0; i < count; i++) {
        motet_tensor tensors[2];
        const char *name = motet_safetensors_name(files[0], i);
        for (int k = 0; k < 2; k++)
            assert_int_equal(motet_safetensors_get(&tensors[k], files[k], name), MOTET_OK);
        size_t bytes = (size_t)motet_tensor_count(tensors[0]) * sizeof(float);
        if (memcmp(tensors[0].data, tensors[1].data, bytes)) fail_msg("%s differs", name);
    }
    motet_safetensors_close(files[0]);
    motet_safetensors_close(files[1]);
}
