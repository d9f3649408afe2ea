#include "train/train_loop.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/file.h"
#include "train/evaluate.h"
#include "train/log_jsonl.h"
#include "train/progress.h"
#include "train/run_directory.h"

enum { MOST_SKIPS = 3 };
static const double save_timeout_s = 900; /* the others wait while rank 0 writes */

typedef struct loop {
    motet_training *training;
    const motet_loop_options *options;
    int root; /* rank 0: the one that writes, and speaks */
    motet_run_directory run;
    motet_log_jsonl log;
    motet_progress progress;
    double logged_seconds; /* of the steps since the last log line, evaluations left out */
    int64_t logged_events;
    int64_t saved, evaluated; /* steps of the last ones; -1 before */
} loop;

static motet_status write_text(const loop *l, const char *name, const char *text) {
    char path[PATH_MAX];
    if (!text) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %s", name);
    snprintf(path, sizeof path, "%s/%s", l->run.path, name);
    return motet_file_replace(path, text, strlen(text));
}

/* What rank 0 does alone while the others wait; a failure is everybody's. */
typedef motet_status root_fn(loop *l);

static motet_status at_root(loop *l, root_fn *work) {
    motet_communicator *c = l->training->communicator;
    motet_status status = l->root ? work(l) : MOTET_OK;
    double timeout_s = c->timeout_s;
    if (timeout_s > 0 && timeout_s < save_timeout_s) c->timeout_s = save_timeout_s;
    status = motet_communicator_agree(c, status);
    c->timeout_s = timeout_s;
    return status;
}

static motet_status write_state(loop *l) {
    motet_training *t = l->training;
    int64_t step = t->counters.step;
    char path[PATH_MAX];
    motet_state_context context = motet_training_context(t);
    motet_status status = motet_run_directory_begin(path, &l->run, step);
    if (status == MOTET_OK)
        status = motet_train_state_write(path, t->optimizer, &t->counters, &context);
    if (status == MOTET_OK)
        status = motet_run_directory_commit(&l->run, step, t->settings.run_keep);
    if (status != MOTET_OK) {
        motet_run_directory_abandon(&l->run, step);
        return motet_fail_prefix(status, "no checkpoint at step %" PRId64, step);
    }
    json_t *line = motet_log_jsonl_object("save", step);
    snprintf(path, sizeof path, "%s/step-%" PRId64, l->run.path, step);
    json_object_set_new(line, "path", json_string(path));
    return motet_log_jsonl_write(&l->log, line);
}

static motet_status save(loop *l) {
    MOTET_TRY(motet_training_collect(l->training));
    motet_status status = at_root(l, write_state);
    motet_training_release(l->training);
    l->saved = l->training->counters.step;
    return status;
}

static motet_status export_best(loop *l) {
    motet_training *t = l->training;
    char path[PATH_MAX];
    motet_state_context context = motet_training_context(t);
    MOTET_TRY(motet_run_directory_best(path, &l->run));
    return motet_train_state_export(path, t->optimizer, &t->counters, &context, MOTET_BF16,
                                    MOTET_I8);
}

static motet_status evaluate(loop *l) {
    motet_training *t = l->training;
    motet_counters *c = &t->counters;
    motet_losses losses;
    double started = motet_clock_seconds();
    MOTET_TRY(motet_evaluate(&losses, t));
    c->seconds += motet_clock_seconds() - started;
    l->evaluated = c->step;
    double loss = motet_losses_per_event(&losses);
    if (l->root) {
        json_t *line = motet_log_jsonl_object("eval", c->step);
        motet_log_jsonl_real(line, "seconds", c->seconds);
        motet_log_jsonl_losses(line, &losses);
        MOTET_TRY(motet_log_jsonl_write(&l->log, line));
    }
    int best = loss < c->best_loss;
    motet_progress_say(&l->progress, "step %" PRId64 "  validation %.4f nats an event%s", c->step,
                       loss, best ? ", the best so far" : "");
    if (!best) return MOTET_OK;
    c->best_loss = loss;
    c->best_step = c->step;
    MOTET_TRY(motet_zero_gather_masters(t->optimizer));
    return at_root(l, export_best);
}

static motet_status log_train(loop *l, float lr_factor) {
    motet_counters *c = &l->training->counters;
    json_t *line = l->root ? motet_log_jsonl_object("train", c->step) : NULL;
    if (line) {
        motet_log_jsonl_real(line, "seconds", c->seconds);
        motet_log_jsonl_losses(line, &c->logged);
        motet_log_jsonl_real(line, "lr", (double)(lr_factor * l->training->settings.train_muon_lr));
        motet_log_jsonl_real(line, "grad_norm", c->logged_norm / (double)c->logged_steps);
        motet_log_jsonl_real(line, "events_per_s", (double)l->logged_events / l->logged_seconds);
    }
    c->logged_steps = 0, c->logged_norm = 0;
    memset(&c->logged, 0, sizeof c->logged);
    l->logged_seconds = 0, l->logged_events = 0;
    return l->root ? motet_log_jsonl_write(&l->log, line) : MOTET_OK;
}

static motet_status note_skip(loop *l, const motet_step_report *report) {
    int64_t step = l->training->counters.step;
    if (l->root) {
        json_t *line = motet_log_jsonl_object("skip", step);
        json_object_set_new(line, "reason", json_string("loss or gradient norm is not finite"));
        motet_log_jsonl_real(line, "loss", motet_losses_per_event(&report->losses));
        motet_log_jsonl_real(line, "grad_norm", report->norm);
        MOTET_TRY(motet_log_jsonl_write(&l->log, line));
    }
    motet_progress_say(&l->progress, "step %" PRId64 "  update left out: loss %g, gradient norm %g",
                       step, motet_losses_per_event(&report->losses), report->norm);
    if (l->training->counters.skipped_in_a_row < MOST_SKIPS) return MOTET_OK;
    motet_status status =
        MOTET_FAIL(MOTET_E_USAGE,
                   "three updates in a row up to step %" PRId64 " were not finite: lower "
                   "train.muon_lr or train.adamw_lr and --resume; nothing was saved",
                   step);
    return motet_communicator_agree(l->training->communicator, status);
}

static motet_status one_step(loop *l) {
    motet_training *t = l->training;
    motet_counters *c = &t->counters;
    motet_step_report report;
    double started = motet_clock_seconds();
    MOTET_TRY(motet_training_step(&report, t));
    double seconds = motet_clock_seconds() - started;
    c->seconds += seconds;
    if (report.skipped) return note_skip(l, &report);
    l->logged_seconds += seconds;
    l->logged_events += report.losses.events;
    motet_losses_add(&c->logged, &report.losses);
    c->logged_norm += report.norm;
    c->logged_steps++;
    double loss = motet_losses_per_event(&c->logged);
    double speed = (double)l->logged_events / l->logged_seconds;
    int due = c->step % t->settings.train_log_every == 0 || c->step == t->settings.train_steps;
    if (due) MOTET_TRY(log_train(l, report.lr_factor));
    motet_progress_step(&l->progress, c->step, loss, speed, due);
    return MOTET_OK;
}

static int due(int64_t step, int64_t every) {
    return every > 0 && step % every == 0;
}

static motet_status steps(loop *l, int *stopped, const volatile sig_atomic_t *stop) {
    motet_training *t = l->training;
    const motet_settings *s = &t->settings;
    while (t->counters.step < s->train_steps) {
        MOTET_TRY(one_step(l));
        int64_t step = t->counters.step;
        /* What was not finite is neither evaluated nor saved. */
        int sound = t->counters.skipped_in_a_row == 0;
        int halt = stop && *stop;
        MOTET_TRY(motet_communicator_any(t->communicator, &halt));
        if (halt) {
            *stopped = step < s->train_steps;
            if (*stopped) break;
        }
        if (sound && t->valid && due(step, s->train_eval_every)) MOTET_TRY(evaluate(l));
        if (sound && due(step, s->train_save_every)) MOTET_TRY(save(l));
    }
    if (!*stopped && t->valid && l->evaluated != t->counters.step) MOTET_TRY(evaluate(l));
    if (l->saved != t->counters.step) MOTET_TRY(save(l));
    return MOTET_OK;
}

static motet_status begin_root(loop *l) {
    motet_training *t = l->training;
    const motet_loop_options *options = l->options;
    char latest[PATH_MAX];
    MOTET_TRY(motet_run_directory_open(&l->run, t->settings.run_dir));
    if (!options->resume && motet_run_directory_latest(latest, l->run.path) == MOTET_OK)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "%s already holds a run: go on with --resume or give another --run.dir",
                          l->run.path);
    return MOTET_OK;
}

static motet_status begin_files(loop *l) {
    motet_training *t = l->training;
    char *text = motet_settings_text(&t->settings, 0);
    motet_status status = write_text(l, "settings.ini", text);
    free(text);
    MOTET_TRY(status);
    MOTET_TRY(write_text(l, "vocab.txt", t->encoder.vocab));
    MOTET_TRY(motet_log_jsonl_open(&l->log, l->run.path));
    json_t *line =
        motet_log_jsonl_object(l->options->resume ? "resume" : "start", t->counters.step);
    json_object_set_new(line, "rows", json_integer(t->settings.train_rows));
    json_object_set_new(line, "dtype", json_string(t->settings.train_dtype));
    if (t->communicator->ranks > 1)
        json_object_set_new(line, "ranks", json_integer(t->communicator->ranks));
    return motet_log_jsonl_write(&l->log, line);
}

static motet_status begin(loop *l) {
    motet_training *t = l->training;
    const motet_loop_options *options = l->options;
    MOTET_TRY(at_root(l, begin_root));
    if (options->resume) {
        MOTET_TRY(motet_training_load(t, options->resume, options->other_corpus));
        l->saved = l->evaluated = t->counters.step;
    }
    MOTET_TRY(at_root(l, begin_files));
    l->progress = motet_progress_start(l->root ? options->out : NULL, t->counters.step,
                                       t->settings.train_steps);
    if (!t->valid)
        motet_progress_say(&l->progress, "no piece is held out: there will be no evaluations");
    return MOTET_OK;
}

static motet_status end(loop *l, int stopped) {
    if (!l->root) return MOTET_OK;
    const motet_counters *c = &l->training->counters;
    json_t *line = motet_log_jsonl_object("end", c->step);
    json_object_set_new(line, "stopped", json_boolean(stopped));
    MOTET_TRY(motet_log_jsonl_write(&l->log, line));
    char spent[32];
    motet_duration_text(spent, c->seconds);
    motet_progress_say(&l->progress,
                       "%s at step %" PRId64 " of %" PRId64 " after %s: %s/step-%" PRId64,
                       stopped ? "stopped" : "done", c->step, l->training->settings.train_steps,
                       spent, l->run.path, c->step);
    return MOTET_OK;
}

motet_status motet_train_loop(int *stopped, motet_training *training,
                              const motet_loop_options *options) {
    loop l = {.training = training,
              .options = options,
              .root = training->communicator->rank == 0,
              .run = {.lock = -1},
              .log = {.file = -1},
              .saved = -1,
              .evaluated = -1};
    int early = 0;
    motet_status status = begin(&l);
    if (status == MOTET_OK) status = steps(&l, &early, options->stop);
    if (status == MOTET_OK) status = end(&l, early);
    if (stopped) *stopped = early;
    motet_log_jsonl_close(&l.log);
    motet_run_directory_close(&l.run);
    return status;
}
