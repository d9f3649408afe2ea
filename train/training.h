/* training: everything that a step of training touches, opened once: corpora, encoder, loaders,
 * weights, activations. One step is a pure function of the state before it.
 *
 * On several ranks every function but close is collective: all call it alike. The micro-batches of
 * a step (train.accumulate) and of an evaluation are dealt out, rank r taking r, r + ranks, ...; a
 * step does not depend on the number of ranks (bit for bit where gradient_tree.h says so).
 */
#ifndef MOTET_TRAINING_H
#define MOTET_TRAINING_H

#include "data/loader.h"
#include "train/buckets.h"
#include "train/communicator.h"
#include "train/gradient_tree.h"
#include "train/input_ahead.h"
#include "train/train_state.h"

#define MOTET_EVAL_SEED 20240229u /* of the validation windows: the same for every run */

/* What this rank told others, and heard from them. */
typedef struct motet_traffic {
    double seconds, exposed_seconds; /* in exchanges; of those, what the steps waited for */
    int64_t sent_bytes, received_bytes;
} motet_traffic;

typedef struct motet_training {
    motet_settings settings;
    motet_corpus **corpora;
    int corpus_count;
    motet_encoder encoder;
    motet_loader *train, *valid; /* valid: NULL if nothing is held out */
    motet_batch batch;
    motet_arena input_memory;
    motet_model_input input; /* of evaluations */
    motet_input_ahead *ahead;
    motet_gradient *gradient;
    motet_backend backend;            /* as given; the CPU's with oneDNN's matmul */
    motet_communicator *communicator; /* the caller's */
    motet_gradient_tree tree;
    motet_buckets *buckets;
    motet_losses *losses; /* [ranks, train.accumulate / ranks] of the step, by rank */
    motet_optimizer *optimizer;
    motet_counters counters;
    motet_traffic traffic; /* of the steps so far; anybody may set it to zero */
} motet_training;

/* Opens all on a back-end (kernels/device.h) and draws the initial weights (output biases: log
 * frequencies of the training split). The settings are copied; model.text_vocab may change
 * (train/encoder.h). After a failure nothing is open. */
motet_status motet_training_open(motet_training *training, const motet_settings *settings,
                                 const motet_backend *backend);

/* The same as one of the communicator's ranks (NULL: alone). train.accumulate must be a multiple of
 * them. What every rank must have alike is compared with rank 0: settings, hashes of corpora and
 * encoder, and `program`, a hash of the program (may be NULL). A failure of one rank is every
 * rank's. */
motet_status motet_training_open_rank(motet_training *training, const motet_settings *settings,
                                      const motet_backend *backend,
                                      motet_communicator *communicator, const char *program);
void motet_training_close(motet_training *training);

motet_state_context motet_training_context(const motet_training *training);

/* Goes on from a checkpoint folder instead. */
motet_status motet_training_load(motet_training *training, const char *folder, int other_corpus);

/* Adds up losses that ranks computed in turn, item i of `count` on rank i % ranks: slots is
 * [ranks, ceil(count / ranks)], of which this rank has filled its row; all get the same sum, added
 * in the order of the items. */
motet_status motet_training_add_losses(motet_losses *sum, motet_losses *slots,
                                       const motet_training *training, int64_t count);

/* Brings all weights and moments to rank 0, for a checkpoint; then release them. */
motet_status motet_training_collect(motet_training *training);
void motet_training_release(motet_training *training);

/* What one step did; the same on every rank. */
typedef struct motet_step_report {
    motet_losses losses;
    double norm;
    float lr_factor;
    int skipped;        /* the guard (guard.h) refused the update: no weight has changed */
    const char *reason; /* why, as part of a sentence */
} motet_step_report;

/* One step: train.accumulate micro-batches, one update. Advances the counters' step, updates,
 * events, skipped_in_a_row, guard. MOTET_E_DATA if the ranks' weights are not alike
 * (replica_hash.h; compared every train.replica_hash steps). */
motet_status motet_training_step(motet_step_report *report, motet_training *training);

#endif
