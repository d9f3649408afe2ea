/* run_directory: the folder of one training run.
 *
 *   settings.ini   the resolved settings          step-N/   checkpoints (train_state.h)
 *   vocab.txt      of the tokenizer               best/     model.safetensors of the lowest loss
 *   log.jsonl      one object a line              latest    name of the newest checkpoint
 *
 * A checkpoint is written as step-N.tmp/, synced, renamed, the folder synced, and only then named
 * in `latest`: whatever happens in between, `latest` names a complete one. (One that replaces
 * another of the same step is exchanged with it in one call; where a file system cannot do that
 * there is a moment in which step-N is away, and the next open puts it back.) A lock keeps a
 * second trainer out.
 */
#ifndef MOTET_RUN_DIRECTORY_H
#define MOTET_RUN_DIRECTORY_H

#include <limits.h>
#include <stdint.h>

#include "kernels/core/status.h"

typedef struct motet_run_directory {
    char path[PATH_MAX - 64]; /* room for names in it */
    int lock;                 /* file descriptor */
} motet_run_directory;

/* Makes the folder (and those above), locks it, and removes what a killed trainer left half
 * written. MOTET_E_USAGE if another trainer has it. */
motet_status motet_run_directory_open(motet_run_directory *run, const char *path);
void motet_run_directory_close(motet_run_directory *run);

/* Path of the checkpoint that `latest` names; MOTET_E_USAGE if there is none. */
motet_status motet_run_directory_latest(char path[PATH_MAX], const char *run_path);

/* The steps of all checkpoints that are there, the newest first; *steps is malloc'd. None in a
 * folder that is not there. */
motet_status motet_run_directory_steps(int64_t **steps, int *count, const char *run_path);

/* Path of the checkpoint of a step, whether it is there or not. */
void motet_run_directory_step(char path[PATH_MAX], const char *run_path, int64_t step);

/* Renames step-N to step-N.damaged: out of the way, not lost. */
motet_status motet_run_directory_set_aside(const motet_run_directory *run, int64_t step);

/* Makes an empty step-N.tmp/ and says its path. */
motet_status motet_run_directory_begin(char path[PATH_MAX], const motet_run_directory *run,
                                       int64_t step);
/* Turns it into step-N/, moves `latest` on and removes the oldest of the checkpoints up to this
 * step but `keep`. */
motet_status motet_run_directory_commit(const motet_run_directory *run, int64_t step, int keep);
/* Removes step-N.tmp/ after a failure. */
void motet_run_directory_abandon(const motet_run_directory *run, int64_t step);

/* Makes the folder best/ and says the path of its model. */
motet_status motet_run_directory_best(char path[PATH_MAX], const motet_run_directory *run);

#endif
