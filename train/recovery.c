#include "train/recovery.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/core/log.h"
#include "train/state_manifest.h"

/* The step that `latest` names; the newest of all if it names none that is there. */
static int64_t first_choice(const int64_t *steps, int count, const char *run_path) {
    char latest[PATH_MAX], path[PATH_MAX];
    if (motet_run_directory_latest(latest, run_path) == MOTET_OK)
        for (int i = 0; i < count; i++) {
            motet_run_directory_step(path, run_path, steps[i]);
            if (!strcmp(path, latest)) return steps[i];
        }
    return steps[0];
}

static motet_status choose(char path[PATH_MAX], const int64_t *steps, int count,
                           const motet_run_directory *run, const motet_state_context *context,
                           int other_corpus) {
    int64_t first = first_choice(steps, count, run->path);
    int damaged = 0;
    for (int i = 0; i < count; i++) {
        if (steps[i] > first) continue;
        motet_run_directory_step(path, run->path, steps[i]);
        motet_status status = motet_state_manifest_check(path, context, other_corpus);
        if (status == MOTET_OK && damaged)
            motet_log(MOTET_LOG_WARN, "going on from %s instead", path);
        if (status != MOTET_E_DATA && status != MOTET_E_IO) return status;
        motet_log(MOTET_LOG_WARN, "the checkpoint of step %" PRId64 " cannot be used: %s", steps[i],
                  motet_error());
        damaged++;
        MOTET_TRY(motet_run_directory_set_aside(run, steps[i]));
    }
    *path = 0;
    return MOTET_FAIL(MOTET_E_DATA,
                      "%s: none of its %d checkpoints is whole (step-N.damaged are kept); give "
                      "another run.dir to start anew",
                      run->path, damaged);
}

motet_status motet_recovery_find(char path[PATH_MAX], const motet_run_directory *run,
                                 const motet_state_context *context, int other_corpus) {
    int64_t *steps;
    int count;
    *path = 0;
    MOTET_TRY(motet_run_directory_steps(&steps, &count, run->path));
    motet_status status = MOTET_OK;
    if (count) status = choose(path, steps, count, run, context, other_corpus);
    free(steps);
    return status;
}
