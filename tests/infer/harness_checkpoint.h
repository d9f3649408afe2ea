/* harness_checkpoint: a small model with random weights and the path of a file for it. */
#ifndef MOTET_TESTS_HARNESS_CHECKPOINT_H
#define MOTET_TESTS_HARNESS_CHECKPOINT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infer/checkpoint.h"

#define CHECKPOINT_TOKENS 70

/* Fails the test with the sentence of a call that failed. */
#define checkpoint_ok(call) checkpoint_ok_((call), #call)
void checkpoint_ok_(motet_status status, const char *call);

typedef struct checkpoint_rig {
    motet_settings settings;
    motet_weights weights; /* f32, random */
    motet_arena arena;
    char vocab[1024];
    char path[64];
} checkpoint_rig;

/* For cmocka: the set-up and tear-down of a group of tests. */
int checkpoint_make_rig(void **state);
int checkpoint_free_rig(void **state);

/* The rig's weights, into its file. */
void checkpoint_write_rig(const checkpoint_rig *rig, motet_dtype precision,
                          motet_dtype text_precision);

/* Every parameter of a set of weights; the caller frees it. */
typedef struct checkpoint_slots {
    motet_parameter parameters[256];
    motet_tensor tensors[256];
    int count;
} checkpoint_slots;

checkpoint_slots *checkpoint_slots_of(motet_weights *weights, const motet_settings *settings);

#endif
