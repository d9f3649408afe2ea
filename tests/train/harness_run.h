/* harness_run: a folder with a synthetic corpus, and tiny training runs in it. */
#ifndef MOTET_TESTS_HARNESS_RUN_H
#define MOTET_TESTS_HARNESS_RUN_H

#include <signal.h>

#include "train/training.h"

typedef struct run_place {
    char folder[200];
    char corpus[256];
} run_place;

void run_place_make(run_place *place);
void run_place_remove(const run_place *place);

/* The place of a group of tests, and its set-up and tear-down for cmocka_run_group_tests. */
extern run_place run_group_place;
int run_group_setup(void **state);
int run_group_teardown(void **state);

/* configs/tiny.ini on the place's corpus, a run in folder/NAME, 12 steps, no evaluations or saves
 * in between. */
motet_settings run_settings(const run_place *place, const char *name, const char *dtype);

/* Trains to the end; resume: from the newest checkpoint. stop as in train_loop.h, may be NULL. */
motet_status run_train(const motet_settings *settings, int resume,
                       const volatile sig_atomic_t *stop);

/* Asserts that the newest checkpoints of two runs hold the same tensors, bit for bit. */
void run_assert_same(const motet_settings *a, const motet_settings *b);

/* PATH of a file in the newest checkpoint of a run. */
void run_latest_file(char *path, size_t size, const motet_settings *settings, const char *file);

#endif
