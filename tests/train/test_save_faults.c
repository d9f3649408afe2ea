/* Every system call of a save fails in turn, or is the last one before the power goes: afterwards
 * there is always a checkpoint that loads, and it is the one it says it is. The calls are those of
 * the thread that writes; the functions below stand before the C library's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "data/safetensors.h"
#include "kernels/core/log.h"
#include "tests/train/harness_corpus.h"
#include "tests/train/harness_run.h"
#include "train/recovery.h"
#include "train/save_worker.h"
#include "train/state_manifest.h"
#include "train/train_loop.h"

/* ---- The interposed calls. */

enum { NEVER = INT_MAX, EXIT_CODE = 9 };
static pthread_t training_thread;
static int armed, fail_from = NEVER, fail_to, fail_errno, crash_at = NEVER;
static int only_writes;               /* these alone count and fail, and a first one is cut short */
static const char *const *full_paths; /* folders that cannot be made, up to a NULL */
static atomic_int calls, hold;        /* hold: the disk does not answer */
static char log_text[4096];           /* what was warned of */

/* Whether this call fails; it may be the process's last. */
static int fault_of(int is_write) {
    if (!armed || pthread_equal(pthread_self(), training_thread)) return 0;
    if (only_writes && !is_write) return 0;
    int number = atomic_fetch_add(&calls, 1);
    if (number == crash_at) _exit(EXIT_CODE);
    if (number < fail_from || number > fail_to) return 0;
    errno = fail_errno;
    return 1;
}

static int fault(void) {
    return fault_of(0);
}

#define REAL(name)                                                \
    static __typeof__(name) *real;                                \
    if (!real) *(void **)(void *)&real = dlsym(RTLD_NEXT, #name); \
    if (!real) abort()

int open(const char *path, int flags, ...) {
    REAL(open);
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return fault() ? -1 : real(path, flags, mode);
}
ssize_t write(int fd, const void *bytes, size_t size) {
    REAL(write);
    if (!fault_of(1)) return real(fd, bytes, size);
    if (!only_writes || size < 2 || atomic_load(&calls) - 1 != fail_from) return -1;
    return real(fd, bytes, size / 2); /* full in the middle; the next one fails */
}
int fsync(int fd) {
    REAL(fsync);
    while (atomic_load(&hold) && !pthread_equal(pthread_self(), training_thread))
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    return fault() ? -1 : real(fd);
}
int close(int fd) {
    REAL(close);
    int failed = fault(), error = errno, result = real(fd);
    if (!failed) return result;
    errno = error;
    return -1;
}
int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    for (int i = 0; armed && full_paths && full_paths[i]; i++)
        if (strstr(path, full_paths[i])) {
            errno = ENOSPC;
            return -1;
        }
    return fault() ? -1 : real(path, mode);
}
int rename(const char *from, const char *to) {
    REAL(rename);
    return fault() ? -1 : real(from, to);
}
int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    REAL(renameat2);
    return fault() ? -1 : real(from_folder, from, to_folder, to, flags);
}
int unlinkat(int folder, const char *path, int flags) {
    REAL(unlinkat);
    return fault() ? -1 : real(folder, path, flags);
}
int rmdir(const char *path) {
    REAL(rmdir);
    return fault() ? -1 : real(path);
}

/* ---- A state whose weights say which step they are of. */

static motet_training training;
static float *mark; /* a master weight */

static void keep_log(void *user, motet_log_level level, const char *line) {
    (void)user, (void)level;
    snprintf(log_text + strlen(log_text), sizeof log_text - strlen(log_text), "%s\n", line);
}

static int setup(void **state) {
    omp_set_num_threads(1); /* before the first fork */
    training_thread = pthread_self();
    motet_log_to(keep_log, NULL);
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 1); /* ten thousand fsyncs */
    run_group_setup(state);
    motet_settings s = run_settings(&run_group_place, "direct", "f32");
    s.train_threads = 1;
    s.model_width = s.model_ffn = s.model_field_ffn = 16;
    s.model_text_width = s.model_text_ffn = 32;
    s.model_layers = s.model_heads = s.model_text_layers = s.model_text_heads = 1;
    if (motet_training_open(&training, &s, motet_backend_cpu()) != MOTET_OK)
        fail_msg("%s", motet_error());
    mark = training.optimizer->master->layers[0].qkv.data;
    return 0;
}

static int teardown(void **state) {
    motet_training_close(&training);
    return run_group_teardown(state);
}

/* Saves steps first .. last in a run; the number of saves that said they had failed. */
static int save_steps(const char *run_path, int first, int last) {
    motet_run_directory run;
    motet_save_worker *worker;
    motet_save_result r;
    motet_state_context context = motet_training_context(&training);
    int failed = 0;
    if (motet_run_directory_open(&run, run_path) != MOTET_OK ||
        motet_save_worker_start(&worker, &run, &context, 2) != MOTET_OK)
        fail_msg("%s", motet_error());
    armed = 1;
    for (int step = first; step <= last; step++) {
        training.counters.step = step;
        *mark = (float)step;
        if (motet_save_worker_submit(worker, MOTET_SAVE_STATE, training.optimizer,
                                     &training.counters, 0, 0) != MOTET_OK)
            fail_msg("%s", motet_error());
        while (motet_save_worker_result(&r, worker, 1)) {
            failed += r.status != MOTET_OK;
            if (r.status != MOTET_OK &&
                (!strstr(r.sentence, "no checkpoint at step") || r.status != MOTET_E_IO))
                fail_msg("status %d, \"%s\"", (int)r.status, r.sentence);
        }
    }
    motet_save_worker_free(worker);
    armed = 0;
    motet_run_directory_close(&run);
    return failed;
}

/* The step of the checkpoint that --resume finds, which is whole and has the weights of that step;
 * --resume auto finds the same. */
static int check_latest(const char *run_path) {
    char path[PATH_MAX], file[PATH_MAX + 32], found[PATH_MAX];
    motet_state_context context = motet_training_context(&training);
    motet_run_directory run;
    if (motet_run_directory_open(&run, run_path) != MOTET_OK ||
        motet_run_directory_latest(path, run_path) != MOTET_OK ||
        motet_state_manifest_check(path, &context, 0) != MOTET_OK ||
        motet_recovery_find(found, &run, &context, 0) != MOTET_OK)
        fail_msg("after call %d: %s", atomic_load(&calls), motet_error());
    assert_string_equal(path, found);
    motet_run_directory_close(&run);
    if (motet_training_load(&training, path, 0) != MOTET_OK) fail_msg("%s", motet_error());
    int step = (int)training.counters.step;
    snprintf(file, sizeof file, "%s/step-%d", run_path, step);
    assert_string_equal(path, file);
    assert_true(*mark == (float)step);
    return step;
}

static int count_entries(const char *run_path) {
    DIR *folder = opendir(run_path);
    int count = 0;
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count - 2; /* . and .. */
}

static int calls_of_two_saves(const char *name) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", run_group_place.folder, name);
    atomic_store(&calls, 0);
    assert_int_equal(save_steps(path, 1, 2), 0);
    assert_int_equal(check_latest(path), 2);
    return atomic_load(&calls);
}

static void remove_run(const char *path) {
    corpus_folder_remove(path);
}

/* Step 1 is safe; of the saves of steps 2 and 3 call n fails, and `further` ones behind it. */
static void fail_each(const char *name, int error, int further) {
    char path[300];
    int most = calls_of_two_saves(name), failures = 0;
    assert_true(most > 4);
    for (int n = 0; n < most; n++) {
        snprintf(path, sizeof path, "%s/%s-%d", run_group_place.folder, name, n);
        assert_int_equal(save_steps(path, 1, 1), 0);
        atomic_store(&calls, 0);
        fail_from = n, fail_to = n + further, fail_errno = error;
        int failed = save_steps(path, 2, 3), step;
        fail_from = NEVER;
        step = check_latest(path);
        failures += failed;
        if (failed > 1 + further || step + failed < 3)
            fail_msg("call %d: %d failed, step %d", n, failed, step);
        /* With room again the next save is as any other, and leaves nothing behind. */
        assert_int_equal(save_steps(path, 4, 4), 0);
        assert_int_equal(check_latest(path), 4);
        assert_int_equal(count_entries(path), 4); /* two checkpoints, latest, lock */
        remove_run(path);
    }
    assert_true(failures > most / 2);
    print_message("%d calls, %d failed saves\n", most, failures);
}

static void test_each_call_fails(void **state) {
    (void)state;
    fail_each("eio", EIO, 0);
}

static void test_each_write_is_cut(void **state) {
    (void)state;
    only_writes = 1;
    fail_each("full", ENOSPC, 1);
    only_writes = 0;
}

/* The process ends before call n. */
static void test_crash_before_each_call(void **state) {
    (void)state;
    char path[300];
    int most = calls_of_two_saves("crash"), seen[4] = {0};
    for (int n = 0; n < most; n++) {
        snprintf(path, sizeof path, "%s/crash-%d", run_group_place.folder, n);
        assert_int_equal(save_steps(path, 1, 1), 0);
        atomic_store(&calls, 0);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            crash_at = n;
            save_steps(path, 2, 3);
            _exit(0); /* fewer calls than when nothing had to be removed */
        }
        int status = -1;
        waitpid(child, &status, 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_CODE);
        seen[check_latest(path)]++;
        assert_int_equal(save_steps(path, 4, 4), 0);
        assert_int_equal(check_latest(path), 4);
        assert_int_equal(count_entries(path), 4);
        remove_run(path);
    }
    print_message("%d calls; back at steps 1, 2, 3: %d, %d, %d times\n", most, seen[1], seen[2],
                  seen[3]);
    assert_true(seen[1] > 0 && seen[2] > 0 && seen[3] > 0);
}

/* The same step saved again, as after a return to an older checkpoint, is replaced at once. */
static void test_crash_while_replacing(void **state) {
    (void)state;
    char path[300];
    int most = calls_of_two_saves("twice");
    for (int n = 0; n < most; n++) {
        snprintf(path, sizeof path, "%s/twice-%d", run_group_place.folder, n);
        assert_int_equal(save_steps(path, 1, 2), 0);
        atomic_store(&calls, 0);
        pid_t child = fork();
        if (child == 0) {
            crash_at = n;
            save_steps(path, 2, 2);
            _exit(0);
        }
        int status = -1;
        waitpid(child, &status, 0);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 0) return;
        assert_int_equal(check_latest(path), 2);
        remove_run(path);
    }
    fail_msg("%d calls were not enough", most);
}

/* A whole run whose disk is full for two of its five saves: it is said, the run goes on, and the
 * weights are those of an undisturbed run. */
static void test_run_outlives_a_full_disk(void **state) {
    (void)state;
    static const char *const full_twice[] = {"step-4.tmp", "step-6.tmp", NULL};
    motet_settings whole = run_settings(&run_group_place, "undisturbed", "f32");
    motet_settings full = run_settings(&run_group_place, "outlives", "f32");
    whole.train_rows = full.train_rows = 64;
    whole.train_steps = full.train_steps = 10;
    whole.train_save_every = full.train_save_every = 2;
    if (run_train(&whole, 0, NULL) != MOTET_OK) fail_msg("%s", motet_error());
    armed = 1, full_paths = full_twice;
    *log_text = 0;
    motet_status status = run_train(&full, 0, NULL);
    armed = 0, full_paths = NULL;
    if (status != MOTET_OK) fail_msg("%s", motet_error());
    if (!strstr(log_text, "no checkpoint at step 4") || !strstr(log_text, "step 6") ||
        strstr(log_text, "step 8") || !strstr(log_text, "No space left"))
        fail_msg("it said: %s", log_text);
    run_assert_same(&whole, &full);
}

/* A disk that takes too long: training waits for a second copy only as long as it was told to. */
static void test_slow_disk(void **state) {
    (void)state;
    char path[300];
    motet_run_directory run;
    motet_save_worker *worker;
    motet_save_result r;
    motet_state_context context = motet_training_context(&training);
    snprintf(path, sizeof path, "%s/slow", run_group_place.folder);
    assert_int_equal(motet_run_directory_open(&run, path), MOTET_OK);
    assert_int_equal(motet_save_worker_start(&worker, &run, &context, 5), MOTET_OK);
    atomic_store(&hold, 1);
    for (int step = 1; step <= 3; step++) {
        training.counters.step = step;
        *mark = (float)step;
        motet_status status = motet_save_worker_submit(worker, MOTET_SAVE_STATE, training.optimizer,
                                                       &training.counters, 0, 0.1);
        assert_int_equal(status, step < 3 ? MOTET_OK : MOTET_E_IO);
    }
    assert_non_null(strstr(motet_error(), "two earlier saves are still being written"));
    assert_int_equal(motet_save_worker_result(&r, worker, 0), 0);
    atomic_store(&hold, 0);
    for (int step = 1; step <= 2; step++) {
        assert_int_equal(motet_save_worker_result(&r, worker, 1), 1);
        assert_int_equal(r.step, step);
        assert_int_equal(r.status, MOTET_OK);
    }
    motet_save_worker_free(worker);
    motet_run_directory_close(&run);
    assert_int_equal(check_latest(path), 2);
}

/* Full for good: the run ends with a sentence, and what was there before loads. */
static void test_full_for_good(void **state) {
    (void)state;
    motet_settings s = run_settings(&run_group_place, "for-good", "f32");
    s.train_rows = 64, s.train_steps = 4;
    if (run_train(&s, 0, NULL) != MOTET_OK) fail_msg("%s", motet_error());
    s.train_steps = 6;
    armed = 1, atomic_store(&calls, 0);
    fail_from = 3, fail_to = NEVER - 1, fail_errno = ENOSPC;
    motet_status status = run_train(&s, 1, NULL);
    armed = 0, fail_from = NEVER;
    assert_int_equal(status, MOTET_E_IO);
    assert_non_null(strstr(motet_error(), "no checkpoint at step 6"));
    assert_non_null(strstr(motet_error(), "No space left"));
    char path[PATH_MAX];
    assert_int_equal(motet_run_directory_latest(path, s.run_dir), MOTET_OK);
    assert_string_equal(strrchr(path, '/'), "/step-4");
    if (run_train(&s, 1, NULL) != MOTET_OK) fail_msg("%s", motet_error());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_call_fails),
        cmocka_unit_test(test_each_write_is_cut),
        cmocka_unit_test(test_crash_before_each_call),
        cmocka_unit_test(test_crash_while_replacing),
        cmocka_unit_test(test_run_outlives_a_full_disk),
        cmocka_unit_test(test_full_for_good),
        cmocka_unit_test(test_slow_disk),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
