/* baseline: what counting alone predicts, for comparison with the model. Unigram: each field by its
 * frequency in the training split. Bigram: each field given the same field of the previous event of
 * that type in the piece (the type: given the previous event's type). Both with one added to every
 * count (bigram: added in proportion to the unigram, so that unseen contexts fall back to it).
 */
#ifndef MOTET_BASELINE_H
#define MOTET_BASELINE_H

#include "train/training.h"

/* Adds the training split's symbols to counts [motet_field_total()]. */
motet_status motet_unigram_counts(int64_t *counts, motet_corpus *const *corpora, int corpus_count);

/* Counts the training split and evaluates on the windows of motet_evaluate; only the fields and
 * events of the losses are filled in. */
motet_status motet_baselines(motet_losses *unigram, motet_losses *bigram, motet_training *training);

#endif
