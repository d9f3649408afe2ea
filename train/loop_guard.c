/* Updates that are left out, and the way back after too many of them. */
#include <inttypes.h>
#include <stdio.h>

#include "kernels/core/log.h"
#include "train/loop_parts.h"
#include "train/recovery.h"

enum { MOST_SKIPS = 3 };

/* Where to go back to: into found, "" if there is no checkpoint. */
static motet_status find_root(motet_loop *l) {
    motet_training *t = l->training;
    motet_state_context context = motet_training_context(t);
    *l->found = 0;
    if (!l->worker) return MOTET_OK;
    MOTET_TRY(motet_loop_report_saves(l, 1));
    return motet_recovery_find(l->found, &l->run, &context, l->options->other_corpus);
}

static motet_status go_back(motet_loop *l, const char *reason) {
    motet_training *t = l->training;
    motet_counters before = t->counters, *c = &t->counters;
    MOTET_TRY(motet_loop_load(l));
    /* The next data are those that would have come now. */
    c->shifted = before.step + before.shifted - c->step;
    c->rollbacks = before.rollbacks + 1;
    c->seconds = before.seconds;
    c->skipped_in_a_row = 0;
    l->saved = l->evaluated = c->step;
    l->logged_seconds = 0, l->logged_events = 0;
    if (l->root) {
        json_t *line = motet_log_jsonl_object("rollback", before.step);
        json_object_set_new(line, "to", json_integer(c->step));
        json_object_set_new(line, "shifted", json_integer(c->shifted));
        json_object_set_new(line, "reason", json_string(reason));
        MOTET_TRY(motet_loop_log(l, line));
        motet_log(MOTET_LOG_WARN,
                  "three updates in a row up to step %" PRId64 " were left out (%s): back to step "
                  "%" PRId64 ", with the data that follow (roll-back %" PRId64 " of %d)",
                  before.step, reason, c->step, c->rollbacks, t->settings.train_rollbacks);
    }
    return MOTET_OK;
}

static motet_status note(motet_loop *l, const motet_step_report *report) {
    int64_t step = l->training->counters.step;
    double loss = motet_losses_per_event(&report->losses);
    motet_progress_say(&l->progress,
                       "step %" PRId64 "  update left out: %s (loss %g, gradient norm %g)", step,
                       report->reason, loss, report->norm);
    if (!l->root) return MOTET_OK;
    json_t *line = motet_log_jsonl_object("skip", step);
    json_object_set_new(line, "reason", json_string(report->reason));
    motet_log_jsonl_real(line, "loss", loss);
    motet_log_jsonl_real(line, "grad_norm", report->norm);
    return motet_loop_log(l, line);
}

motet_status motet_loop_skip(motet_loop *l, const motet_step_report *report) {
    motet_training *t = l->training;
    const motet_counters *c = &t->counters;
    MOTET_TRY(note(l, report));
    if (c->skipped_in_a_row < MOST_SKIPS) return MOTET_OK;
    if (c->rollbacks < t->settings.train_rollbacks) {
        MOTET_TRY(motet_loop_find(l, find_root));
        if (*l->found) return go_back(l, report->reason);
    }
    /* Known to all ranks: each comes to the same. */
    t->communicator->agreed = 1;
    if (c->rollbacks)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "three updates in a row up to step %" PRId64 " were left out (%s), after "
                          "%" PRId64 " roll-backs: lower train.muon_lr or train.adamw_lr and "
                          "--resume; nothing was saved since",
                          c->step, report->reason, c->rollbacks);
    return MOTET_FAIL(MOTET_E_USAGE,
                      "three updates in a row up to step %" PRId64 " were left out (%s) and there "
                      "is no checkpoint to go back to: lower train.muon_lr or train.adamw_lr",
                      c->step, report->reason);
}
