/* training: everything that a step of training touches, opened once: corpora, encoder, loaders,
 * weights, activations. One step is a pure function of the state before it.
 */
#ifndef MOTET_TRAINING_H
#define MOTET_TRAINING_H

#include "data/loader.h"
#include "train/train_state.h"

#define MOTET_EVAL_SEED 20240229u /* of the validation windows: the same for every run */

typedef struct motet_training {
    motet_settings settings;
    motet_corpus **corpora;
    int corpus_count;
    motet_encoder encoder;
    motet_loader *train, *valid; /* valid: NULL if nothing is held out */
    motet_batch batch;
    motet_arena input_memory;
    motet_model_input input;
    motet_gradient *gradient;
    motet_backend backend; /* as given; the CPU's with oneDNN's matmul */
    motet_optimizer *optimizer;
    motet_counters counters;
} motet_training;

/* Opens all on a back-end (kernels/device.h) and draws the initial weights (output biases: log
 * frequencies of the training split). The settings are copied; model.text_vocab may change
 * (train/encoder.h). After a failure nothing is open. */
motet_status motet_training_open(motet_training *training, const motet_settings *settings,
                                 const motet_backend *backend);
void motet_training_close(motet_training *training);

motet_state_context motet_training_context(const motet_training *training);

/* Goes on from a checkpoint folder instead. */
motet_status motet_training_load(motet_training *training, const char *folder, int other_corpus);

/* What one step did. */
typedef struct motet_step_report {
    motet_losses losses;
    double norm;
    float lr_factor;
    int skipped; /* the loss or the norm was not finite: no weight has changed */
} motet_step_report;

/* One step: train.accumulate micro-batches, one update. Advances the counters' step, updates,
 * events, skipped_in_a_row. */
motet_status motet_training_step(motet_step_report *report, motet_training *training);

#endif
