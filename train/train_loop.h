/* train_loop: a run from its present step to its last: steps, log, evaluations, checkpoints. */
#ifndef MOTET_TRAIN_LOOP_H
#define MOTET_TRAIN_LOOP_H

#include <signal.h>
#include <stdio.h>

#include "train/training.h"

typedef struct motet_loop_options {
    FILE *out;                         /* progress; NULL: silent */
    const volatile sig_atomic_t *stop; /* not 0: finish the step, save, return; may be NULL */
    const char *resume; /* folder of the checkpoint to go on from; NULL: a fresh run */
    int other_corpus;   /* resume even if the corpora have changed */
} motet_loop_options;

/* Trains in settings.run_dir. A fresh run refuses a folder that already holds a checkpoint. After a
 * failure the checkpoints written so far stay as they are. MOTET_E_USAGE after three updates in a
 * row that were not finite; nothing is saved then. *stopped (may be NULL): stop ended it early. */
motet_status motet_train_loop(int *stopped, motet_training *training,
                              const motet_loop_options *options);

#endif
