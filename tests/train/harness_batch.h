/* harness_batch: a small synthetic batch, settings and tokenizer for tests of the whole model. */
#ifndef MOTET_HARNESS_BATCH_H
#define MOTET_HARNESS_BATCH_H

#include "train/model_input.h"

typedef struct motet_test_batch {
    motet_settings settings;
    motet_wordpiece *tokenizer;
    motet_piece pieces[8];
    motet_batch batch;
    motet_arena arena;
    motet_model_input input;
} motet_test_batch;

/* Windows of seeded, grammatical events (bars, notes of four programs and drums, an END); settings
 * of a model of width 64, 2 layers, 2 heads, text encoder 64 wide. Fails the running test on error.
 */
void motet_test_batch_make(motet_test_batch *test, int32_t windows, int32_t window_events,
                           uint64_t seed);
void motet_test_batch_free(motet_test_batch *test);

/* Events of a seeded piece of `bars` bars; returns their number. events has room for bars * 24 + 1.
 */
int32_t motet_test_events(motet_event *events, int32_t bars, uint64_t seed);

#endif
