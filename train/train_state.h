/* train_state: all that a run needs to go on exactly where it stopped, at rest in one folder:
 *
 *   state.safetensors   master/NAME, first/NAME, second/NAME: trained weights and their moments,
 *                       f32; metadata: the counters below
 *   model.safetensors   the same weights as a checkpoint for generation (infer/checkpoint.h)
 *   manifest.json       format, step, settings, SHA-256 and size of the files above, of the
 *                       corpora, of the text encoder; number of ranks
 *
 * The frozen text encoder is not stored again: it is opened from run.encoder (or drawn from
 * train.seed) and its hash compared. Data order and dropouts are pure functions of seed, step and
 * `shifted`, so these are the only cursor there is.
 */
#ifndef MOTET_TRAIN_STATE_H
#define MOTET_TRAIN_STATE_H

#include "data/corpus.h"
#include "train/encoder.h"
#include "train/guard.h"
#include "train/model_gradient.h"
#include "train/optimizer_step.h"

typedef struct motet_counters {
    int64_t step;     /* steps done: the next one's index */
    int64_t updates;  /* steps that changed the weights: AdamW's bias correction */
    int64_t events;   /* trained on so far */
    double seconds;   /* spent so far, over all resumptions */
    double best_loss; /* lowest validation loss an event; infinite before the first */
    int64_t best_step;
    int64_t skipped_in_a_row;
    int64_t shifted;   /* steps that the data are ahead of `step`: passed over by roll-backs */
    int64_t rollbacks; /* so far */
    motet_guard guard;
    /* since the last log line */
    int64_t logged_steps;
    double logged_norm; /* sum of gradient norms */
    motet_losses logged;
} motet_counters;

motet_counters motet_counters_start(void);

/* What belongs to a state beside weights and counters; for the manifest. */
typedef struct motet_state_context {
    const motet_settings *settings;
    motet_corpus *const *corpora;
    int corpus_count;
    int ranks; /* that train; 0 is 1 */
    const motet_encoder *encoder;
} motet_state_context;

struct motet_state_snapshot;

/* Writes the three files into an existing folder, each complete or not there. What is written does
 * not depend on the number of ranks, but for a note in the manifest. The snapshot has moments. */
motet_status motet_train_state_write(const char *folder,
                                     const struct motet_state_snapshot *snapshot,
                                     const motet_state_context *context);

/* Exports master weights as a checkpoint for generation, with steps and loss in its metadata. */
motet_status motet_train_state_export(const char *path, const struct motet_state_snapshot *snapshot,
                                      const motet_state_context *context, motet_dtype precision,
                                      motet_dtype text_precision);

/* Reads a folder back. Everything is checked before anything is changed: the manifest, size and
 * hash of the state, name and shape of every tensor, that the [model] settings, the encoder and
 * (unless other_corpus) the corpora are the same. MOTET_E_DATA names the file that is wrong,
 * MOTET_E_USAGE what differs. Each rank reads all weights and its own moments. The caller refreshes
 * the optimizer afterwards. */
motet_status motet_train_state_read(motet_optimizer *optimizer, motet_counters *counters,
                                    const char *folder, const motet_state_context *context,
                                    int other_corpus);

#endif
