/* Training on a back-end whose memory the host cannot touch and whose ops run late: the CPU's
 * losses, gradients, weights and files, bit for bit (both with motet's own products). */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/safetensors.h"
#include "tests/harness_walled.h"
#include "tests/train/harness_run.h"
#include "train/evaluate.h"
#include "train/run_directory.h"
#include "train/train_loop.h"

static void need(motet_status status) {
    if (status != MOTET_OK) fail_msg("%s (%s)", motet_error(), motet_error_where());
}

/* walled NULL: the CPU with the products that walled has. */
static void open_run(motet_training *t, const motet_settings *s, const motet_backend *walled) {
    need(motet_training_open(t, s, walled ? walled : motet_backend_cpu()));
    t->backend.matmul = walled ? walled->matmul : motet_cpu_matmul;
}

static void assert_walls_empty(void) {
    assert_true(motet_walled_bytes(MOTET_ON_DEVICE) == 0);
    assert_true(motet_walled_bytes(MOTET_SHARED) == 0);
}

/* All gradients, malloc'd. */
static unsigned char *fetch_gradients(motet_training *t, size_t *bytes) {
    const motet_arena *arena = &t->optimizer->gradient_memory;
    *bytes = arena->used;
    unsigned char *host = malloc(arena->used);
    assert_non_null(host);
    need(t->backend.memory->copy(host, arena->base, arena->used));
    return host;
}

static void assert_same_steps(const char *dtype, const char *part, int eager) {
    motet_settings s = run_settings(&run_group_place, "steps", dtype);
    snprintf(s.train_part, sizeof s.train_part, "%s", part);
    s.train_accumulate = 2;
    motet_training cpu, walled;
    open_run(&cpu, &s, NULL);
    open_run(&walled, &s, motet_walled_backend(eager));
    int64_t right = 0;
    for (int step = 0; step < 10; step++) {
        motet_step_report reports[2];
        need(motet_training_step(&reports[0], &cpu));
        motet_walled_count();
        need(motet_training_step(&reports[1], &walled));
        /* One wait a micro-batch for its losses, one for the norm. */
        assert_int_equal(motet_walled_count().waits, s.train_accumulate + 1);
        assert_memory_equal(&reports[0], &reports[1], sizeof reports[0]);
        assert_false(reports[0].skipped);
        for (int a = 0; a < MOTET_ATTRIBUTES; a++)
            right += reports[0].losses.attribute_right[a];
        size_t bytes[2];
        unsigned char *gradients[] = {fetch_gradients(&cpu, &bytes[0]),
                                      fetch_gradients(&walled, &bytes[1])};
        assert_int_equal(bytes[0], bytes[1]);
        assert_memory_equal(gradients[0], gradients[1], bytes[0]);
        free(gradients[0]);
        free(gradients[1]);
    }
    assert_true(right > 0);
    motet_losses losses[2];
    need(motet_evaluate(&losses[0], &cpu));
    need(motet_evaluate(&losses[1], &walled));
    assert_memory_equal(&losses[0], &losses[1], sizeof losses[0]);
    motet_training_close(&cpu);
    motet_training_close(&walled);
    assert_walls_empty();
}

static void ten_steps(void **state) {
    (void)state;
    assert_same_steps("f32", "all", 0);
    assert_same_steps("bf16", "all", 0);
    assert_same_steps("bf16", "all", 1);
    assert_same_steps("f32", "attributes", 0);
}

/* A run of its own to the end, or on to more steps from where `from` stopped. */
static void run(motet_settings *s, const motet_backend *walled, const char *from) {
    motet_training t;
    open_run(&t, s, walled);
    motet_loop_options options = {.resume = from};
    need(motet_train_loop(NULL, &t, &options));
    motet_training_close(&t);
}

/* The models for generation beside two states: the same tensors, int8 and its scales included. */
static void assert_same_models(const motet_settings *a, const motet_settings *b) {
    const motet_settings *both[] = {a, b};
    motet_safetensors *files[2];
    for (int i = 0; i < 2; i++) {
        char path[PATH_MAX];
        run_latest_file(path, sizeof path, both[i], "model.safetensors");
        need(motet_safetensors_open(&files[i], path));
    }
    int count = motet_safetensors_count(files[0]);
    assert_int_equal(motet_safetensors_count(files[1]), count);
    for (int i = 0; i < count; i++) {
        const char *name = motet_safetensors_name(files[0], i);
        motet_tensor t[2];
        need(motet_safetensors_get(&t[0], files[0], name));
        need(motet_safetensors_get(&t[1], files[1], name));
        assert_int_equal(t[0].dtype, t[1].dtype);
        size_t bytes = (size_t)motet_tensor_count(t[0]) * motet_dtype_bytes(t[0].dtype);
        if (memcmp(t[0].data, t[1].data, bytes)) fail_msg("%s differs", name);
    }
    motet_safetensors_close(files[0]);
    motet_safetensors_close(files[1]);
}

/* Checkpoints written there are read here, and the other way round. */
static void checkpoints(void **state) {
    (void)state;
    const motet_backend *walled = motet_walled_backend(0);
    motet_settings here = run_settings(&run_group_place, "here", "bf16");
    motet_settings there = run_settings(&run_group_place, "there", "bf16");
    run(&here, NULL, NULL);
    run(&there, walled, NULL);
    run_assert_same(&here, &there);
    assert_same_models(&here, &there);

    char latest[2][PATH_MAX];
    need(motet_run_directory_latest(latest[0], here.run_dir));
    need(motet_run_directory_latest(latest[1], there.run_dir));
    motet_settings on_here = run_settings(&run_group_place, "on-here", "bf16");
    motet_settings on_there = run_settings(&run_group_place, "on-there", "bf16");
    on_here.train_steps = on_there.train_steps = 16;
    run(&on_here, NULL, latest[1]);
    run(&on_there, walled, latest[0]);
    run_assert_same(&on_here, &on_there);
    assert_walls_empty();
}

typedef struct comparison {
    const motet_tensor *other[2048];
    int count, compared;
} comparison;

static motet_status collect(void *user, const motet_parameter *parameter, motet_tensor *slot) {
    comparison *c = user;
    (void)parameter;
    assert_true(c->count < 2048);
    c->other[c->count++] = slot;
    return MOTET_OK;
}

static motet_status compare(void *user, const motet_parameter *parameter, motet_tensor *slot) {
    comparison *c = user;
    const motet_tensor *other = c->other[c->count++];
    assert_int_equal(motet_tensor_count(*slot), motet_tensor_count(*other));
    if (memcmp(slot->data, other->data, (size_t)motet_tensor_count(*slot) * sizeof(float)))
        fail_msg("%s differs", parameter->name);
    c->compared++;
    return MOTET_OK;
}

/* A frozen encoder that lives in a file's mapping is copied, and its master comes back whole. */
static void pretrained_encoder(void **state) {
    (void)state;
    motet_settings s = run_settings(&run_group_place, "encoder", "bf16");
    s.model_text_vocab = 50;
    const motet_backend *walled = motet_walled_backend(0);
    motet_optimizer *cpu, *placed;
    need(motet_optimizer_make(&cpu, &s, NULL, &motet_host_memory));
    motet_settings other = s; /* other draws, but the same encoder */
    need(motet_optimizer_make(&placed, &other, &cpu->master->text, walled->memory));
    need(motet_optimizer_refresh(placed, walled, 1));
    motet_weights *table = calloc(1, sizeof *table);
    assert_non_null(table);
    motet_arena arena = {0};
    const motet_weights *fetched;
    need(motet_optimizer_host_master(&fetched, table, &arena, placed, &other));
    assert_ptr_equal(fetched, table);
    static comparison c;
    need(motet_weights_visit(cpu->master, &s, collect, &c));
    c.count = 0;
    need(motet_weights_visit(table, &s, compare, &c));
    assert_true(c.compared > 100);
    motet_arena_free(&arena);
    free(table);
    motet_optimizer_free(cpu);
    motet_optimizer_free(placed);
    assert_walls_empty();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_steps),
        cmocka_unit_test(checkpoints),
        cmocka_unit_test(pretrained_encoder),
    };
    return cmocka_run_group_tests_name("walled_training", tests, run_group_setup,
                                       run_group_teardown);
}
