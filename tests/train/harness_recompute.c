#include "tests/train/harness_recompute.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "train/training.h"

enum { LEVELS = 3 };
static const char *const levels[LEVELS] = {"none", "selective", "full"};

static void need(motet_status status) {
    if (status != MOTET_OK) fail_msg("%s (%s)", motet_error(), motet_error_where());
}

typedef struct step {
    motet_step_report report;
    unsigned char *gradients;
    size_t bytes;
} step;

static void take_step(step *s, motet_training *t) {
    need(motet_training_step(&s->report, t));
    const motet_arena *arena = &t->optimizer->gradient_memory;
    s->bytes = arena->used;
    s->gradients = malloc(arena->used);
    assert_non_null(s->gradients);
    need(t->backend.memory->copy(s->gradients, arena->base, arena->used));
}

void recompute_same_bits(const motet_settings *settings, const motet_backend *backend, int steps) {
    motet_settings s = *settings;
    motet_training runs[LEVELS];
    int64_t bytes[LEVELS];
    for (int i = 0; i < LEVELS; i++) {
        snprintf(s.train_recompute, sizeof s.train_recompute, "%s", levels[i]);
        need(motet_training_open(&runs[i], &s, backend));
        bytes[i] = motet_gradient_bytes(runs[i].gradient);
        /* Arenas add what aligns their start. */
        int64_t counted = motet_gradient_count(&s, runs[i].optimizer->dtype);
        assert_in_range(bytes[i] - counted, 0, 4096);
        if (i > 0) assert_true(bytes[i] < bytes[i - 1]);
    }
    print_message("activations: none %lld, selective %lld, full %lld bytes\n", (long long)bytes[0],
                  (long long)bytes[1], (long long)bytes[2]);
    for (int k = 0; k < steps; k++) {
        step taken[LEVELS];
        for (int i = 0; i < LEVELS; i++) {
            take_step(&taken[i], &runs[i]);
            assert_false(taken[i].report.skipped);
            assert_true(taken[i].report.norm > 0);
            assert_int_equal(taken[i].bytes, taken[0].bytes);
            assert_memory_equal(&taken[i].report.losses, &taken[0].report.losses,
                                sizeof taken[0].report.losses);
            assert_true(taken[i].report.norm == taken[0].report.norm);
            if (memcmp(taken[i].gradients, taken[0].gradients, taken[0].bytes))
                fail_msg("step %d: other gradients with train.recompute = %s", k, levels[i]);
        }
        for (int i = 0; i < LEVELS; i++)
            free(taken[i].gradients);
    }
    for (int i = 0; i < LEVELS; i++)
        motet_training_close(&runs[i]);
}
