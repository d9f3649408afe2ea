/* Checkpoints of a run: asked for by the loop, written by a thread, reported when they are there.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "kernels/core/log.h"
#include "train/loop_parts.h"

motet_status motet_loop_log(motet_loop *l, json_t *line) {
    if (!l->root) {
        json_decref(line);
        return MOTET_OK;
    }
    if (l->lost_lines) {
        json_t *lost = motet_log_jsonl_object("lost", l->training->counters.step);
        json_object_set_new(lost, "lines", json_integer(l->lost_lines));
        if (motet_run_log_write(&l->log, lost) == MOTET_OK) l->lost_lines = 0;
    }
    if (motet_run_log_write(&l->log, line) == MOTET_OK) return MOTET_OK;
    if (!l->lost_lines++)
        motet_log(MOTET_LOG_WARN, "%s; training goes on without its log", motet_error());
    return MOTET_OK;
}

static motet_status report_failure(motet_loop *l, const motet_save_result *r) {
    motet_counters *c = &l->training->counters;
    motet_log(MOTET_LOG_WARN, "%s; training goes on", r->sentence);
    if (r->kind == MOTET_SAVE_BEST) /* so that the next good one is kept */
        c->best_loss = l->kept_loss, c->best_step = l->kept_step;
    json_t *line = motet_log_jsonl_object("save_failed", r->step);
    json_object_set_new(line, "reason", json_string(r->sentence));
    return motet_loop_log(l, line);
}

/* The root's part of a save: only the copy is waited for, and not as long as it takes the other
 * ranks to lose patience. A copy that cannot be made is a save that has failed, not a run. */
static motet_status submit(motet_loop *l, motet_save_kind kind, double started) {
    const motet_training *t = l->training;
    if (!l->root) return MOTET_OK;
    motet_status status =
        motet_save_worker_submit(l->worker, kind, t->optimizer, &t->counters, started,
                                 t->communicator->ranks > 1 ? t->communicator->timeout_s / 2 : 0);
    if (status == MOTET_OK) return status;
    motet_save_result r = {.kind = kind, .step = t->counters.step, .status = status};
    snprintf(r.sentence, sizeof r.sentence, "step %" PRId64 " is not saved: %s", r.step,
             motet_error());
    if (kind == MOTET_SAVE_STATE) l->last_state = r;
    return report_failure(l, &r);
}

motet_status motet_loop_save(motet_loop *l) {
    double started = motet_clock_seconds();
    MOTET_TRY(motet_training_collect(l->training));
    motet_status status = submit(l, MOTET_SAVE_STATE, started);
    motet_training_release(l->training);
    l->saved = l->training->counters.step;
    return status;
}

motet_status motet_loop_save_best(motet_loop *l) {
    double started = motet_clock_seconds();
    MOTET_TRY(motet_zero_gather_masters(l->training->optimizer));
    return submit(l, MOTET_SAVE_BEST, started);
}

static motet_status report_state(motet_loop *l, const motet_save_result *r) {
    char path[PATH_MAX];
    json_t *line = motet_log_jsonl_object("save", r->step);
    motet_run_directory_step(path, l->run.path, r->step);
    json_object_set_new(line, "path", json_string(path));
    motet_log_jsonl_real(line, "seconds", r->seconds);
    motet_log_jsonl_real(line, "save_stall_seconds", r->stall_seconds);
    motet_log_jsonl_real(line, "save_stall_share", r->stall_seconds / (r->trained - l->trained));
    l->trained = r->trained;
    return motet_loop_log(l, line);
}

motet_status motet_loop_report_saves(motet_loop *l, int wait) {
    motet_save_result r;
    while (l->root && l->worker && motet_save_worker_result(&r, l->worker, wait)) {
        if (r.kind == MOTET_SAVE_STATE) l->last_state = r;
        if (r.status != MOTET_OK)
            MOTET_TRY(report_failure(l, &r));
        else if (r.kind == MOTET_SAVE_STATE)
            MOTET_TRY(report_state(l, &r));
        else
            l->kept_loss = r.best_loss, l->kept_step = r.step;
    }
    return MOTET_OK;
}

static motet_status wait_for_saves(motet_loop *l) {
    MOTET_TRY(motet_loop_report_saves(l, 1));
    const motet_save_result *last = &l->last_state;
    if (last->status == MOTET_OK) return MOTET_OK;
    return MOTET_FAIL(last->status, "%s", last->sentence);
}

motet_status motet_loop_finish_saves(motet_loop *l) {
    if (l->saved != l->training->counters.step) MOTET_TRY(motet_loop_save(l));
    motet_status status = motet_loop_at_root(l, wait_for_saves);
    if (status == MOTET_OK || status == MOTET_E_USAGE) return status;
    l->training->communicator->agreed = 0;
    MOTET_TRY(motet_loop_save(l)); /* what failed once may not fail twice */
    return motet_loop_at_root(l, wait_for_saves);
}
