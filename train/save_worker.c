#include "train/save_worker.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "train/progress.h"

enum { COPIES = 2, RESULTS = 8 };

typedef struct job {
    motet_save_result result;
    motet_state_snapshot *snapshot;
    double submitted;
} job;

struct motet_save_worker {
    const motet_run_directory *run;
    motet_state_context context;
    int keep;
    pthread_t thread;
    pthread_mutex_t mutex; /* of all below */
    pthread_cond_t changed;
    motet_state_snapshot copies[COPIES];
    job queue[COPIES]; /* the first one is being written */
    int queued, quit;
    motet_save_result results[RESULTS]; /* [taken % RESULTS] to before [done % RESULTS] */
    int64_t done, taken;
};

static motet_status write_step(const motet_save_worker *w, const motet_state_snapshot *snapshot) {
    int64_t step = snapshot->counters.step;
    char path[PATH_MAX];
    motet_status status = motet_run_directory_begin(path, w->run, step);
    if (status == MOTET_OK) status = motet_train_state_write(path, snapshot, &w->context);
    if (status == MOTET_OK) status = motet_run_directory_commit(w->run, step, w->keep);
    if (status == MOTET_OK) return status;
    motet_run_directory_abandon(w->run, step);
    return motet_fail_prefix(status, "no checkpoint at step %" PRId64, step);
}

static motet_status write_best(const motet_save_worker *w, const motet_state_snapshot *snapshot) {
    char path[PATH_MAX];
    motet_status status = motet_run_directory_best(path, w->run);
    if (status == MOTET_OK)
        status = motet_train_state_export(path, snapshot, &w->context, MOTET_BF16, MOTET_I8);
    if (status == MOTET_OK) return status;
    return motet_fail_prefix(status, "the best model, of step %" PRId64 ", is not kept",
                             snapshot->counters.step);
}

static void *work(void *user) {
    motet_save_worker *w = user;
    pthread_mutex_lock(&w->mutex);
    for (;;) {
        while (!w->queued && !w->quit)
            pthread_cond_wait(&w->changed, &w->mutex);
        if (!w->queued) break;
        job now = w->queue[0];
        pthread_mutex_unlock(&w->mutex);
        motet_save_result *r = &now.result;
        r->status =
            r->kind == MOTET_SAVE_STATE ? write_step(w, now.snapshot) : write_best(w, now.snapshot);
        if (r->status != MOTET_OK) snprintf(r->sentence, sizeof r->sentence, "%s", motet_error());
        r->seconds = motet_clock_seconds() - now.submitted;
        pthread_mutex_lock(&w->mutex);
        w->queue[0] = w->queue[1];
        w->queued--;
        if (w->done - w->taken == RESULTS) w->taken++; /* nobody asks */
        w->results[w->done++ % RESULTS] = *r;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

motet_status motet_save_worker_start(motet_save_worker **worker, const motet_run_directory *run,
                                     const motet_state_context *context, int keep) {
    *worker = NULL;
    motet_save_worker *w = calloc(1, sizeof *w);
    if (!w) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the thread that saves");
    w->run = run;
    w->context = *context;
    w->keep = keep;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&w->changed, &clock);
    pthread_condattr_destroy(&clock);
    sigset_t all, before; /* signals are the training thread's */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&w->thread, NULL, work, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        pthread_cond_destroy(&w->changed);
        pthread_mutex_destroy(&w->mutex);
        free(w);
        return MOTET_FAIL(MOTET_E_MEMORY, "the thread that saves cannot be started: %s",
                          strerror(error));
    }
    *worker = w;
    return MOTET_OK;
}

/* A copy that the thread is not reading, NULL out of patience. The second one takes memory only
 * when it is needed. */
static motet_state_snapshot *free_copy(motet_save_worker *w, double patience_s) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)patience_s + 1;
    int late = 0;
    pthread_mutex_lock(&w->mutex);
    while (w->queued == COPIES && !late) {
        if (patience_s > 0)
            late = pthread_cond_timedwait(&w->changed, &w->mutex, &until) == ETIMEDOUT;
        else
            pthread_cond_wait(&w->changed, &w->mutex);
    }
    motet_state_snapshot *copy = w->copies;
    if (w->queued && w->queue[0].snapshot == copy) copy++;
    if (w->queued == COPIES) copy = NULL;
    pthread_mutex_unlock(&w->mutex);
    return copy;
}

motet_status motet_save_worker_submit(motet_save_worker *w, motet_save_kind kind,
                                      const motet_optimizer *optimizer,
                                      const motet_counters *counters, double started,
                                      double patience_s) {
    motet_state_snapshot *copy = free_copy(w, patience_s);
    if (!copy)
        return MOTET_FAIL(MOTET_E_IO,
                          "two earlier saves are still being written: the disk of %s is too slow "
                          "for train.save_every and train.eval_every",
                          w->run->path);
    MOTET_TRY(motet_state_snapshot_take(copy, optimizer, counters, w->context.settings,
                                        kind == MOTET_SAVE_STATE));
    double now = motet_clock_seconds();
    job next = {.snapshot = copy, .submitted = now};
    next.result.kind = kind;
    next.result.step = counters->step;
    next.result.best_loss = counters->best_loss;
    next.result.stall_seconds = now - started;
    next.result.trained = counters->seconds;
    pthread_mutex_lock(&w->mutex);
    w->queue[w->queued++] = next;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    return MOTET_OK;
}

int motet_save_worker_result(motet_save_result *result, motet_save_worker *w, int wait) {
    pthread_mutex_lock(&w->mutex);
    while (wait && w->queued)
        pthread_cond_wait(&w->changed, &w->mutex);
    int there = w->taken < w->done;
    if (there) *result = w->results[w->taken++ % RESULTS];
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    return there;
}

void motet_save_worker_free(motet_save_worker *w) {
    if (!w) return;
    pthread_mutex_lock(&w->mutex);
    w->quit = 1;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    for (int i = 0; i < COPIES; i++)
        motet_state_snapshot_free(&w->copies[i]);
    free(w);
}
