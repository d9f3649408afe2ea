/* save_worker: checkpoints are written by a thread while training goes on. Training waits only for
 * a copy of the state (state_snapshot.h); there are two of them, so that a second save may be asked
 * for while the first is still being written. Written in the order in which they were asked for.
 */
#ifndef MOTET_SAVE_WORKER_H
#define MOTET_SAVE_WORKER_H

#include "train/run_directory.h"
#include "train/state_snapshot.h"

typedef enum motet_save_kind {
    MOTET_SAVE_STATE, /* a checkpoint, step-N */
    MOTET_SAVE_BEST,  /* best/model.safetensors */
} motet_save_kind;

/* What has become of one. */
typedef struct motet_save_result {
    motet_save_kind kind;
    int64_t step;
    double best_loss; /* of the counters at that moment */
    motet_status status;
    char sentence[512];   /* of a failure */
    double stall_seconds; /* that training waited */
    double trained;       /* counters.seconds at that moment */
    double seconds;       /* from then until it was on the disk */
} motet_save_result;

typedef struct motet_save_worker motet_save_worker;

/* Starts the thread. Run directory, context and what it points to are the caller's and stay as they
 * are until motet_save_worker_free. keep: checkpoints that stay. */
motet_status motet_save_worker_start(motet_save_worker **worker, const motet_run_directory *run,
                                     const motet_state_context *context, int keep);

/* Copies the state and returns. While both copies are in use it waits, at most patience_s (0: for
 * as long as it takes). started: when training began to wait (motet_clock_seconds). Nothing is
 * saved after MOTET_E_MEMORY, no room for a copy, or MOTET_E_IO, out of patience. */
motet_status motet_save_worker_submit(motet_save_worker *worker, motet_save_kind kind,
                                      const motet_optimizer *optimizer,
                                      const motet_counters *counters, double started,
                                      double patience_s);

/* Takes the oldest result that has not been taken: 1, or 0 if there is none. wait: after all that
 * was asked for is written. At most 8 results are kept: ask after each save. */
int motet_save_worker_result(motet_save_result *result, motet_save_worker *worker, int wait);

/* Waits until all is written. NULL is fine. */
void motet_save_worker_free(motet_save_worker *worker);

#endif
