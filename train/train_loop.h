/* train_loop: a run from its present step to its last: steps, log, evaluations, checkpoints. */
#ifndef MOTET_TRAIN_LOOP_H
#define MOTET_TRAIN_LOOP_H

#include <signal.h>
#include <stdio.h>

#include "train/training.h"

typedef struct motet_loop_options {
    FILE *out;                         /* progress; NULL: silent */
    const volatile sig_atomic_t *stop; /* not 0: finish the step, save, return; may be NULL */
    volatile sig_atomic_t *save; /* not 0: save after the step, and go on; set back; may be NULL */
    const char *resume;          /* folder of the checkpoint to go on from; NULL: a fresh run */
    int automatic;               /* resume from what recovery.h finds, fresh if there is nothing */
    int other_corpus;            /* resume even if the corpora have changed */
} motet_loop_options;

/* Trains in settings.run_dir. A file STOP there does what *stop does, a file SAVE what *save does
 * (and is removed). A fresh run refuses a folder that already holds a checkpoint. After a
 * failure the checkpoints written so far stay as they are. Checkpoints are written while training
 * goes on (save_worker.h); one that cannot be written is warned of and the next one tried, but the
 * last one of a run is the run's failure. MOTET_E_USAGE after three updates in a row that guard.h
 * refuses, when there is nothing to go back to or train.rollbacks were not enough; nothing is saved
 * then. *stopped (may be NULL): stop ended it early. */
motet_status motet_train_loop(int *stopped, motet_training *training,
                              const motet_loop_options *options);

#endif
