/* loop_parts: what the files of the training loop share: train_loop.c runs it, loop_save.c writes
 * checkpoints, loop_guard.c leaves updates out and goes back.
 */
#ifndef MOTET_LOOP_PARTS_H
#define MOTET_LOOP_PARTS_H

#include "train/progress.h"
#include "train/run_directory.h"
#include "train/run_log.h"
#include "train/save_worker.h"
#include "train/train_loop.h"

typedef struct motet_loop {
    motet_training *training;
    const motet_loop_options *options;
    int root;             /* rank 0: the one that writes, and speaks */
    char found[PATH_MAX]; /* the checkpoint that it goes on from; "": none */
    motet_run_directory run;
    motet_run_log log;
    int64_t lost_lines; /* of the log, since the disk is full */
    motet_progress progress;
    motet_save_worker *worker; /* the root's */
    double logged_seconds;     /* of the steps since the last log line, evaluations left out */
    int64_t logged_events;
    int64_t saved, evaluated; /* steps of the last ones; -1 before */
    double kept_loss;         /* best loss whose model is on the disk, and its step */
    int64_t kept_step;
    double trained;               /* counters.seconds at the last checkpoint that was written */
    motet_save_result last_state; /* of the newest checkpoint that was to be written */
} motet_loop;

/* What rank 0 does alone while the others wait; a failure is everybody's. */
typedef motet_status motet_root_fn(motet_loop *loop);
motet_status motet_loop_at_root(motet_loop *loop, motet_root_fn *work);

/* The same for work that finds a checkpoint: every rank gets rank 0's `found`. */
motet_status motet_loop_find(motet_loop *loop, motet_root_fn *work);

/* Loads the checkpoint that was found; disks differ, so the others are waited for longer. */
motet_status motet_loop_load(motet_loop *loop);

/* Writes a line of the log on the root, and frees it. A full disk does not end a run: it is warned
 * of once, and how many lines were lost is in the log as soon as it can be written again. */
motet_status motet_loop_log(motet_loop *loop, json_t *line);

/* Has the state of this moment saved. Collective. What becomes of it is reported later. */
motet_status motet_loop_save(motet_loop *loop);
motet_status motet_loop_save_best(motet_loop *loop);

/* Logs what has been written since, or could not be. wait: first waits for all of it. */
motet_status motet_loop_report_saves(motet_loop *loop, int wait);

/* Saves what is not saved yet, waits, and tries once more if that failed; then the failure is the
 * run's. Collective. */
motet_status motet_loop_finish_saves(motet_loop *loop);

/* After an update that was left out: says so; after three in a row goes back to the last checkpoint
 * and passes over the data that led here. Collective. MOTET_E_USAGE if there is none, or it has
 * gone back train.rollbacks times. */
motet_status motet_loop_skip(motet_loop *loop, const motet_step_report *report);

#endif
