/* Ten thousand single bits that flip at rest, one at a time, in a training checkpoint, in models
 * that were exported as bf16 and int8, and in a corpus: each is noticed before anything is used,
 * by the same calls that open these files for work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "infer/checkpoint.h"
#include "kernels/core/rng.h"
#include "tests/train/harness_corpus.h"
#include "tests/train/harness_run.h"
#include "train/run_directory.h"
#include "train/state_manifest.h"
#include "train/state_snapshot.h"

static motet_training training;
static motet_settings settings;
static char folder[PATH_MAX]; /* of the checkpoint */
static int flips;

static int setup(void **state) {
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 1);
    run_group_setup(state);
    settings = run_settings(&run_group_place, "flips", "f32");
    settings.model_width = settings.model_ffn = settings.model_field_ffn = 32;
    settings.model_layers = settings.model_text_layers = 1;
    settings.model_heads = settings.model_text_heads = 1;
    settings.model_text_width = settings.model_text_ffn = 64; /* large enough for int8 */
    settings.train_rows = 64;
    settings.train_steps = 2;
    if (run_train(&settings, 0, NULL) != MOTET_OK ||
        motet_run_directory_latest(folder, settings.run_dir) != MOTET_OK ||
        motet_training_open(&training, &settings, motet_backend_cpu()) != MOTET_OK)
        fail_msg("%s", motet_error());
    return 0;
}

static int teardown(void **state) {
    motet_training_close(&training);
    return run_group_teardown(state);
}

/* Opens a file for work; what was opened is closed again. */
typedef motet_status open_fn(const char *path);

static motet_status open_state(const char *path) {
    (void)path;
    return motet_training_load(&training, folder, 0);
}

static motet_dtype text_dtype;

static motet_status open_model(const char *path) {
    motet_checkpoint checkpoint;
    MOTET_TRY(motet_checkpoint_open(&checkpoint, path));
    text_dtype = checkpoint.weights.text.layers[0].q.dtype;
    motet_checkpoint_close(&checkpoint);
    return MOTET_OK;
}

static motet_status open_corpus(const char *path) {
    motet_corpus *corpus;
    MOTET_TRY(motet_corpus_open(&corpus, path, 1));
    motet_corpus_close(corpus);
    return MOTET_OK;
}

static void flip_one(unsigned char *bytes, size_t at, int bit, const char *path, open_fn *try_it) {
    bytes[at] ^= (unsigned char)(1 << bit);
    motet_status status = try_it(path);
    bytes[at] ^= (unsigned char)(1 << bit);
    flips++;
    if (status == MOTET_OK)
        fail_msg("bit %d of byte %zu of %s: nothing was noticed", bit, at, path);
    if (status != MOTET_E_DATA && status != MOTET_E_UNSUPPORTED && status != MOTET_E_IO)
        fail_msg("bit %d of byte %zu of %s: status %d, %s", bit, at, path, (int)status,
                 motet_error());
    if (!strstr(motet_error(), path) && !strstr(motet_error(), strrchr(path, '/') + 1))
        fail_msg("%s is not named: %s", path, motet_error());
}

/* Half of the bits in the first 4 KiB, where the structure is, the others anywhere. The file is
 * mapped and shared, so what is opened is really another file each time. */
static void flip(const char *path, int count, open_fn *try_it) {
    struct stat info;
    int fd = open(path, O_RDWR);
    if (fd < 0 || fstat(fd, &info)) fail_msg("%s: %m", path);
    size_t size = (size_t)info.st_size, head = size < 4096 ? size : 4096;
    unsigned char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    assert_true(bytes != MAP_FAILED);
    if (try_it(path) != MOTET_OK) fail_msg("%s", motet_error());
    motet_rng rng = motet_rng_make(2026, (uint64_t)size);
    for (int i = 0; i < count; i++) {
        size_t at = motet_rng_below(&rng, (uint32_t)(i % 2 ? size : head));
        flip_one(bytes, at, (int)motet_rng_below(&rng, 8), path, try_it);
    }
    if (try_it(path) != MOTET_OK) fail_msg("%s", motet_error());
    munmap(bytes, size);
    print_message("%s: %zu bytes, %d bits\n", strrchr(path, '/') + 1, size, count);
}

static void test_state(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int count;
    } files[] = {{"state.safetensors", 900}, {"model.safetensors", 300}, {"manifest.json", 1600}};
    for (int i = 0; i < 3; i++) {
        char path[PATH_MAX + 32];
        snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
        flip(path, files[i].count, open_state);
    }
}

/* Every bit of every byte of the manifest's own hash and of the format, too. */
static void test_whole_manifest(void **state) {
    (void)state;
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/manifest.json", folder);
    int fd = open(path, O_RDWR);
    struct stat info;
    assert_true(fd >= 0 && fstat(fd, &info) == 0);
    size_t size = (size_t)info.st_size;
    unsigned char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    for (size_t at = 0; at < size; at++)
        if (at < 40 || at >= size - 100) flip_one(bytes, at, (int)(at % 8), path, open_state);
    munmap(bytes, size);
}

static void test_models(void **state) {
    (void)state;
    static const motet_dtype precisions[] = {MOTET_BF16, MOTET_I8, MOTET_F32};
    static const int counts[] = {2200, 2200, 200};
    motet_state_snapshot snapshot = {0};
    motet_state_context context = motet_training_context(&training);
    assert_int_equal(
        motet_state_snapshot_take(&snapshot, training.optimizer, &training.counters, &settings, 0),
        MOTET_OK);
    for (int i = 0; i < 3; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/model-%d.safetensors", run_group_place.folder, i);
        if (motet_train_state_export(path, &snapshot, &context, precisions[i], precisions[i]))
            fail_msg("%s", motet_error());
        flip(path, counts[i], open_model);
        assert_int_equal(text_dtype, precisions[i]);
    }
    motet_state_snapshot_free(&snapshot);
}

static void test_corpus(void **state) {
    (void)state;
    char path[300];
    flip(run_group_place.corpus, 2000, open_corpus);
    snprintf(path, sizeof path, "%s.sha256", run_group_place.corpus);
    /* Behind the digits stands the name, which nothing depends on. */
    int fd = open(path, O_RDWR);
    unsigned char *bytes = mmap(NULL, 64, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    assert_true(bytes != MAP_FAILED);
    for (size_t at = 0; at < 64; at++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] ^= (unsigned char)(1 << bit);
            assert_int_equal(open_corpus(run_group_place.corpus), MOTET_E_DATA);
            bytes[at] ^= (unsigned char)(1 << bit);
            flips++;
        }
    munmap(bytes, 64);
    print_message("%d bits in all\n", flips);
    assert_true(flips >= 10000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state),
        cmocka_unit_test(test_whole_manifest),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_corpus),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
