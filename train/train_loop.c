#include "train/train_loop.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/file.h"
#include "train/evaluate.h"
#include "train/loop_parts.h"
#include "train/recovery.h"

static const double root_timeout_s = 900; /* the others wait while rank 0 writes */

typedef motet_loop loop;

static motet_status write_text(const loop *l, const char *name, const char *text) {
    char path[PATH_MAX];
    if (!text) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %s", name);
    snprintf(path, sizeof path, "%s/%s", l->run.path, name);
    return motet_file_replace(path, text, strlen(text));
}

/* The longest wait of what depends on disks; the one before, to be set again. */
static double be_patient(motet_communicator *c) {
    double timeout_s = c->timeout_s;
    if (timeout_s > 0 && timeout_s < root_timeout_s) c->timeout_s = root_timeout_s;
    return timeout_s;
}

motet_status motet_loop_at_root(loop *l, motet_root_fn *work) {
    motet_communicator *c = l->training->communicator;
    motet_status status = l->root ? work(l) : MOTET_OK;
    double timeout_s = be_patient(c);
    status = motet_communicator_agree(c, status);
    c->timeout_s = timeout_s;
    return status;
}

motet_status motet_loop_find(loop *l, motet_root_fn *work) {
    MOTET_TRY(motet_loop_at_root(l, work));
    return motet_communicator_broadcast(l->training->communicator, l->found, sizeof l->found,
                                        MOTET_WIRE_BYTES, 0);
}

motet_status motet_loop_load(loop *l) {
    motet_communicator *c = l->training->communicator;
    double timeout_s = be_patient(c);
    motet_status status = motet_training_load(l->training, l->found, l->options->other_corpus);
    c->timeout_s = timeout_s;
    return status;
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
        MOTET_TRY(motet_loop_log(l, line));
    }
    int best = loss < c->best_loss;
    motet_progress_say(&l->progress, "step %" PRId64 "  validation %.4f nats an event%s", c->step,
                       loss, best ? ", the best so far" : "");
    if (!best) return MOTET_OK;
    c->best_loss = loss;
    c->best_step = c->step;
    return motet_loop_save_best(l);
}

static void log_traffic(json_t *line, const motet_training *t, int64_t steps) {
    double each = 1.0 / (double)steps;
    motet_log_jsonl_real(line, "comm_seconds", each * t->traffic.seconds);
    motet_log_jsonl_real(line, "exposed_comm_seconds", each * t->traffic.exposed_seconds);
    motet_log_jsonl_real(line, "sent_bytes", each * (double)t->traffic.sent_bytes);
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
        if (l->training->communicator->ranks > 1) log_traffic(line, l->training, c->logged_steps);
    }
    l->training->traffic = (motet_traffic){0};
    c->logged_steps = 0, c->logged_norm = 0;
    memset(&c->logged, 0, sizeof c->logged);
    l->logged_seconds = 0, l->logged_events = 0;
    return line ? motet_loop_log(l, line) : MOTET_OK;
}

static motet_status one_step(loop *l) {
    motet_training *t = l->training;
    motet_counters *c = &t->counters;
    motet_step_report report;
    double started = motet_clock_seconds();
    MOTET_TRY(motet_training_step(&report, t));
    double seconds = motet_clock_seconds() - started;
    c->seconds += seconds;
    if (report.skipped) return motet_loop_skip(l, &report);
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

/* A file of this name in the run directory is as good as a signal. */
static int has_file(const loop *l, const char *name, int remove) {
    char path[PATH_MAX];
    if (!l->root) return 0;
    snprintf(path, sizeof path, "%s/%s", l->run.path, name);
    return remove ? unlink(path) == 0 : access(path, F_OK) == 0;
}

/* What any rank was told, all are: one sum for both. */
static motet_status ask_signals(loop *l, int *halt, int *store) {
    const motet_loop_options *options = l->options;
    const int64_t one_save = INT64_C(1) << 32;
    int64_t asked = (options->stop && *options->stop) || has_file(l, "STOP", 0);
    if (options->save && *options->save) {
        *options->save = 0;
        asked += one_save;
    }
    if (has_file(l, "SAVE", 1)) asked += one_save;
    MOTET_TRY(motet_communicator_all_reduce(l->training->communicator, &asked, 1, MOTET_WIRE_I64));
    *halt = asked % one_save != 0;
    *store = asked >= one_save;
    return MOTET_OK;
}

static motet_status steps(loop *l, int *stopped) {
    motet_training *t = l->training;
    const motet_settings *s = &t->settings;
    while (t->counters.step < s->train_steps) {
        MOTET_TRY(one_step(l));
        int64_t step = t->counters.step;
        /* Between updates that are left out nothing is evaluated or saved. */
        int sound = t->counters.skipped_in_a_row == 0, halt, store;
        MOTET_TRY(ask_signals(l, &halt, &store));
        if (halt) {
            *stopped = step < s->train_steps;
            if (*stopped) break;
        }
        if (sound && t->valid && due(step, s->train_eval_every) && l->evaluated != step)
            MOTET_TRY(evaluate(l));
        if (l->saved != step && (store || (sound && due(step, s->train_save_every))))
            MOTET_TRY(motet_loop_save(l));
        MOTET_TRY(motet_loop_report_saves(l, 0));
    }
    if (!*stopped && t->valid && l->evaluated != t->counters.step) MOTET_TRY(evaluate(l));
    return motet_loop_finish_saves(l);
}

static motet_status begin_root(loop *l) {
    motet_training *t = l->training;
    const motet_loop_options *options = l->options;
    char latest[PATH_MAX];
    MOTET_TRY(motet_run_directory_open(&l->run, t->settings.run_dir));
    if (options->automatic) {
        motet_state_context context = motet_training_context(t);
        return motet_recovery_find(l->found, &l->run, &context, options->other_corpus);
    }
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
    MOTET_TRY(motet_run_log_open(&l->log, l->run.path, t->counters.step, t->settings.run_metrics));
    motet_state_context context = motet_training_context(t);
    MOTET_TRY(motet_save_worker_start(&l->worker, &l->run, &context, t->settings.run_keep));
    json_t *line = motet_log_jsonl_object(*l->found ? "resume" : "start", t->counters.step);
    json_object_set_new(line, "rows", json_integer(t->settings.train_rows));
    json_object_set_new(line, "dtype", json_string(t->settings.train_dtype));
    if (t->communicator->ranks > 1)
        json_object_set_new(line, "ranks", json_integer(t->communicator->ranks));
    return motet_run_log_write(&l->log, line);
}

static motet_status begin(loop *l) {
    motet_training *t = l->training;
    const motet_loop_options *options = l->options;
    if (options->resume) snprintf(l->found, sizeof l->found, "%s", options->resume);
    MOTET_TRY(motet_loop_find(l, begin_root));
    if (*l->found) {
        MOTET_TRY(motet_loop_load(l));
        l->saved = l->evaluated = t->counters.step;
    }
    l->kept_loss = t->counters.best_loss, l->kept_step = t->counters.best_step;
    l->trained = t->counters.seconds;
    MOTET_TRY(motet_loop_at_root(l, begin_files));
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
    MOTET_TRY(motet_loop_log(l, line));
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
              .log = MOTET_RUN_LOG_CLOSED,
              .saved = -1,
              .evaluated = -1};
    int early = 0;
    motet_status status = begin(&l);
    if (status == MOTET_OK) status = steps(&l, &early);
    if (status == MOTET_OK) status = end(&l, early);
    if (status != MOTET_OK) { /* what was being written is finished, and said, all the same */
        char sentence[512];
        snprintf(sentence, sizeof sentence, "%s", motet_error());
        motet_loop_report_saves(&l, 1);
        MOTET_FAIL(status, "%s", sentence);
    }
    if (stopped) *stopped = early;
    motet_save_worker_free(l.worker);
    motet_run_log_close(&l.log);
    motet_run_directory_close(&l.run);
    return status;
}
