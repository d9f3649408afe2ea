/* motet-train: trains a model on a corpus. Reads flags, prints, exits; all else is in libraries. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/sha256.h"
#include "kernels/core/log.h"
#include "kernels/core/nearest.h"
#include "kernels/device.h"
#include "train/baseline.h"
#include "train/cluster_plan.h"
#include "train/communicator_open.h"
#include "train/evaluate.h"
#include "train/run_directory.h"
#include "train/run_plan.h"
#include "train/state_snapshot.h"
#include "train/train_loop.h"

static const char usage[] =
    "usage: motet-train [--config FILE] [--section.key=value ...]   train\n"
    "       motet-train --resume [--run.dir=DIR]                    go on with a run\n"
    "       motet-train --resume auto --config FILE ...             start, or go on after any end\n"
    "       mpirun -n 4 motet-train ...                             on several ranks\n"
    "\n"
    "  --config FILE        settings to start from, such as configs/mini.ini\n"
    "  --resume             go on from the newest checkpoint of run.dir, with its settings.ini;\n"
    "                       only settings given as flags are changed\n"
    "  --resume auto        the same from the newest checkpoint that is whole, and a fresh run if\n"
    "                       there is none: one command for every start of a job\n"
    "  --other-corpus       resume although the corpus has changed\n"
    "  --dry-run            print parameters, memory and FLOPs of a step, then stop\n"
    "  --plan NODESxRANKS   predict memory, traffic and speed on that many GPUs (--machine h100,\n"
    "                       or cpu), and on fewer; --json for programs\n"
    "  --evaluate           losses of a run's checkpoint on the validation split, beside "
    "baselines\n"
    "  --baselines          only the baselines: unigram and bigram of every field\n"
    "  --export FILE        write a run's checkpoint as a model that motet reads\n"
    "  --precision P        of the exported decoders: f32, bf16 (default) or int8\n"
    "  --text-precision P   of the exported text encoder: f32, bf16 or int8 (default)\n"
    "  --checkpoint DIR     for --evaluate, --export: this one instead of the newest\n"
    "  --rank R --ranks N   this process among the ranks of a run; torchrun, mpirun and srun say\n"
    "                       so themselves. --local-rank L (on this host), --master HOST:PORT\n"
    "                       (where rank 0 listens)\n"
    "  --quiet              no progress on standard error\n"
    "  --help               this text\n"
    "\n"
    "Ctrl-C (or SIGTERM) finishes the step, saves and ends with 0; a second one ends at once "
    "(130).\n"
    "SIGUSR1 finishes the step, saves and goes on.\n"
    "Exit codes: 0 done, 2 usage, 3 bad data, 4 file system, 5 memory, 6 not supported.\n"
    "\n"
    "settings, with their defaults:\n";

typedef enum mode { TRAIN, DRY_RUN, PLAN, EVALUATE, BASELINES, EXPORT, HELP } mode;

typedef struct command {
    mode mode;
    int resume, automatic, other_corpus, quiet, json;
    const char *config, *export_path, *checkpoint, *plan, *machine;
    motet_rank_flags flags;
    motet_communicator *communicator;
    motet_dtype precision, text_precision;
    const char **overrides; /* as in argv */
    int override_count;
} command;

static volatile sig_atomic_t stop, save;

static void on_signal(int number) {
    if (number == SIGUSR1) {
        save = 1;
        return;
    }
    if (stop) _exit(128 + number);
    stop = 1;
}

/* The last words of a process that cannot go on: prepared, since a handler may not format. */
static char late_sentence[256];
static const char bus_sentence[] =
    "motet-train: a mapped file (a corpus or the text encoder) was cut short, or its disk has "
    "failed: restore it, then --resume auto\n";

static void on_fatal(int number) {
    const char *sentence = number == SIGALRM ? late_sentence : bus_sentence;
    (void)!write(STDERR_FILENO, sentence, strlen(sentence));
    _exit(motet_exit_code(MOTET_E_IO));
}

static void on(int number, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(number, &action, NULL);
}

static void print_log(void *user, motet_log_level level, const char *line) {
    (void)user;
    fprintf(stderr, "motet-train: %s%s\n", level == MOTET_LOG_WARN ? "warning: " : "", line);
}

/* What every rank knows is said once; what one knows ends all others, too. */
static int fail(motet_status status, motet_communicator *c) {
    int code = motet_exit_code(status);
    if (c->rank == 0 || !c->agreed) fprintf(stderr, "motet-train: %s\n", motet_error());
    if (c->ranks > 1 && !c->agreed) motet_communicator_abort(c, code);
    return code;
}

enum flag {
    FLAG_CONFIG,
    FLAG_EXPORT,
    FLAG_PRECISION,
    FLAG_TEXT_PRECISION,
    FLAG_CHECKPOINT,
    FLAG_RANK,
    FLAG_RANKS,
    FLAG_LOCAL_RANK,
    FLAG_MASTER,
    FLAG_PLAN,
    FLAG_MACHINE,
    FLAG_RESUME, /* from here on without a value */
    FLAG_OTHER_CORPUS,
    FLAG_DRY_RUN,
    FLAG_EVALUATE,
    FLAG_BASELINES,
    FLAG_QUIET,
    FLAG_JSON,
    FLAG_HELP,
    FLAGS
};
static const char *const flag_names[FLAGS] = {
    "--config",       "--export",     "--precision", "--text-precision", "--checkpoint", "--rank",
    "--ranks",        "--local-rank", "--master",    "--plan",           "--machine",    "--resume",
    "--other-corpus", "--dry-run",    "--evaluate",  "--baselines",      "--quiet",      "--json",
    "--help"};

static motet_status read_precision(motet_dtype *precision, const char *flag, const char *value) {
    static const char *const names[] = {"f32", "bf16", "int8"};
    static const motet_dtype dtypes[] = {MOTET_F32, MOTET_BF16, MOTET_I8};
    for (int i = 0; i < 3; i++)
        if (!strcmp(value, names[i])) {
            *precision = dtypes[i];
            return MOTET_OK;
        }
    return MOTET_FAIL(MOTET_E_USAGE, "%s: \"%.40s\" is none of f32, bf16, int8", flag, value);
}

static motet_status apply_flag(command *c, int flag, const char *value) {
    switch (flag) {
    case FLAG_CONFIG:
        c->config = value;
        break;
    case FLAG_EXPORT:
        c->export_path = value, c->mode = EXPORT;
        break;
    case FLAG_PRECISION:
        return read_precision(&c->precision, "--precision", value);
    case FLAG_TEXT_PRECISION:
        return read_precision(&c->text_precision, "--text-precision", value);
    case FLAG_CHECKPOINT:
        c->checkpoint = value;
        break;
    case FLAG_RANK:
        c->flags.rank = value;
        break;
    case FLAG_RANKS:
        c->flags.ranks = value;
        break;
    case FLAG_LOCAL_RANK:
        c->flags.local_rank = value;
        break;
    case FLAG_MASTER:
        c->flags.master = value;
        break;
    case FLAG_RESUME:
        c->resume = 1;
        c->automatic = value != NULL;
        break;
    case FLAG_OTHER_CORPUS:
        c->other_corpus = 1;
        break;
    case FLAG_PLAN:
        c->plan = value, c->mode = PLAN;
        break;
    case FLAG_MACHINE:
        c->machine = value;
        break;
    case FLAG_JSON:
        c->json = 1;
        break;
    case FLAG_DRY_RUN:
        c->mode = DRY_RUN;
        break;
    case FLAG_EVALUATE:
        c->mode = EVALUATE;
        break;
    case FLAG_BASELINES:
        c->mode = BASELINES;
        break;
    case FLAG_QUIET:
        c->quiet = 1;
        break;
    default:
        c->mode = HELP;
        break;
    }
    return MOTET_OK;
}

static motet_status read_argument(command *c, int *i, int argc, char **argv) {
    const char *argument = argv[*i];
    size_t length = strcspn(argument, "=");
    if (!strcmp(argument, "-h")) return apply_flag(c, FLAG_HELP, NULL);
    for (int f = 0; f < FLAGS; f++) {
        if (strlen(flag_names[f]) != length || strncmp(argument, flag_names[f], length)) continue;
        if (f == FLAG_RESUME &&
            (!strcmp(argument + length, "=auto") ||
             (!argument[length] && *i + 1 < argc && !strcmp(argv[*i + 1], "auto")))) {
            *i += !argument[length];
            return apply_flag(c, f, "auto");
        }
        if (f >= FLAG_RESUME) {
            if (argument[length])
                return MOTET_FAIL(MOTET_E_USAGE, "%s takes no value%s", flag_names[f],
                                  f == FLAG_RESUME ? " but auto" : "");
            return apply_flag(c, f, NULL);
        }
        if (argument[length]) return apply_flag(c, f, argument + length + 1);
        if (*i + 1 >= argc) return MOTET_FAIL(MOTET_E_USAGE, "%s needs a value", flag_names[f]);
        return apply_flag(c, f, argv[++*i]);
    }
    if (!strncmp(argument, "--", 2) && memchr(argument, '.', length)) {
        c->overrides[c->override_count++] = argument;
        return MOTET_OK;
    }
    const char *near = motet_nearest(argument, flag_names, FLAGS);
    if (near)
        return MOTET_FAIL(MOTET_E_USAGE, "unknown flag %.60s, did you mean %s?", argument, near);
    return MOTET_FAIL(MOTET_E_USAGE, "unknown argument %.60s; --help lists all", argument);
}

static motet_status apply_overrides(motet_settings *settings, const command *c) {
    for (int i = 0; i < c->override_count; i++)
        MOTET_TRY(motet_settings_override(settings, c->overrides[i]));
    return MOTET_OK;
}

/* Whether there is a run whose settings count. */
static motet_status find_run(int *found, const char *folder, const command *c) {
    char path[PATH_MAX];
    int64_t *steps;
    *found = c->mode == EVALUATE || c->mode == EXPORT || c->resume;
    if (!*found) return MOTET_OK;
    if (!c->automatic) return motet_run_directory_latest(path, folder);
    MOTET_TRY(motet_run_directory_steps(&steps, found, folder));
    free(steps);
    return MOTET_OK;
}

/* A run that exists brings its own settings; the config then only says where the run is. */
static motet_status resolve_settings(motet_settings *settings, const command *c) {
    int found;
    motet_settings_default(settings);
    if (c->config) MOTET_TRY(motet_settings_read_file(settings, c->config));
    MOTET_TRY(apply_overrides(settings, c));
    char path[PATH_MAX], folder[MOTET_SETTING_TEXT];
    memcpy(folder, settings->run_dir, sizeof folder);
    MOTET_TRY(find_run(&found, folder, c));
    if (!found) return MOTET_OK;
    snprintf(path, sizeof path, "%s/settings.ini", folder);
    motet_settings_default(settings);
    MOTET_TRY(motet_settings_read_file(settings, path));
    MOTET_TRY(apply_overrides(settings, c));
    memcpy(settings->run_dir, folder, sizeof folder);
    return MOTET_OK;
}

static motet_status train(motet_training *t, const command *c) {
    char latest[PATH_MAX];
    int named = c->resume && !c->automatic;
    if (named) MOTET_TRY(motet_run_directory_latest(latest, t->settings.run_dir));
    motet_loop_options options = {.out = c->quiet ? NULL : stderr, /* rank 0's */
                                  .stop = &stop,
                                  .save = &save,
                                  .resume = named ? latest : NULL,
                                  .automatic = c->automatic,
                                  .other_corpus = c->other_corpus};
    return motet_train_loop(NULL, t, &options);
}

static double mean(double sum, int64_t count) {
    return count > 0 ? sum / (double)count : 0;
}

static motet_status print_losses(motet_training *t, int with_model) {
    motet_losses unigram, bigram, model;
    MOTET_TRY(motet_baselines(&unigram, &bigram, t));
    if (with_model) MOTET_TRY(motet_evaluate(&model, t));
    printf("%-12s %9s %9s%s\n", "nats", "unigram", "bigram", with_model ? "     model" : "");
    for (int f = 0; f <= MOTET_FIELDS; f++) {
        int last = f == MOTET_FIELDS;
        printf("%-12s %9.4f %9.4f", last ? "an event" : motet_field_name(f),
               last ? motet_losses_per_event(&unigram)
                    : mean(unigram.field[f], unigram.field_count[f]),
               last ? motet_losses_per_event(&bigram)
                    : mean(bigram.field[f], bigram.field_count[f]));
        if (with_model)
            printf(" %9.4f", last ? motet_losses_per_event(&model)
                                  : mean(model.field[f], model.field_count[f]));
        printf("\n");
    }
    return MOTET_OK;
}

static motet_status use_checkpoint(motet_training *t, const command *c) {
    char path[PATH_MAX];
    if (c->mode == BASELINES) return print_losses(t, 0);
    if (c->checkpoint)
        snprintf(path, sizeof path, "%s", c->checkpoint);
    else
        MOTET_TRY(motet_run_directory_latest(path, t->settings.run_dir));
    MOTET_TRY(motet_training_load(t, path, c->other_corpus));
    if (c->mode == EVALUATE) {
        printf("%s, %lld validation events\n", path,
               (long long)t->settings.train_eval_batches * t->settings.train_rows);
        return print_losses(t, 1);
    }
    motet_state_context context = motet_training_context(t);
    motet_state_snapshot snapshot = {0};
    motet_status status =
        motet_state_snapshot_take(&snapshot, t->optimizer, &t->counters, &t->settings, 0);
    if (status == MOTET_OK)
        status = motet_train_state_export(c->export_path, &snapshot, &context, c->precision,
                                          c->text_precision);
    motet_state_snapshot_free(&snapshot);
    return status;
}

static motet_status dry_run(const motet_settings *settings) {
    motet_run_plan plan;
    MOTET_TRY(motet_run_plan_make(&plan, settings));
    char *text = motet_run_plan_text(&plan, settings);
    if (!text) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the plan");
    fputs(text, stdout);
    free(text);
    return MOTET_OK;
}

static motet_status print_plan(const motet_settings *settings, const command *c) {
    char *text;
    MOTET_TRY(motet_cluster_plan_print(&text, settings, c->plan, c->machine, c->json));
    fputs(text, stdout);
    free(text);
    return MOTET_OK;
}

static motet_status help(void) {
    char *text = motet_settings_help();
    if (!text) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the help");
    printf("%s%s", usage, text);
    free(text);
    return MOTET_OK;
}

static const char *variable(const char *name) {
    return getenv(name);
}

/* Ranks that do not come would keep this one in MPI_Init for ever. */
static motet_status meet(command *c, const motet_settings *settings, const motet_ranks *ranks,
                         const motet_backend *backend) {
    if (ranks->ranks > 1) {
        snprintf(late_sentence, sizeof late_sentence,
                 "motet-train: rank %d of %d (%.80s): not all ranks have come within %d seconds "
                 "(train.start_timeout): look at the hosts of the others\n",
                 ranks->rank, ranks->ranks, ranks->source, settings->train_start_timeout);
        on(SIGALRM, on_fatal);
        alarm((unsigned)settings->train_start_timeout + 2); /* after what can name them */
    }
    motet_status status = motet_communicator_open(&c->communicator, settings, ranks, backend);
    alarm(0);
    return status;
}

static motet_status run(command *c) {
    if (c->mode == HELP) return help();
    motet_settings settings;
    motet_ranks ranks;
    if (c->mode == TRAIN) { /* before anything else: a job may be told to end while it starts */
        on(SIGINT, on_signal);
        on(SIGTERM, on_signal);
        on(SIGUSR1, on_signal);
        on(SIGBUS, on_fatal);
    }
    MOTET_TRY(resolve_settings(&settings, c));
    MOTET_TRY(motet_ranks_find(&ranks, &c->flags, variable));
    if (c->mode == DRY_RUN) return dry_run(&settings);
    if (c->mode == PLAN) return print_plan(&settings, c);
    if (c->mode != TRAIN && ranks.ranks > 1)
        return MOTET_FAIL(MOTET_E_USAGE, "only training runs on several ranks (%s: %d)",
                          ranks.source, ranks.ranks);
    const motet_backend *backend;
    char device[64], program[MOTET_SHA256_HEX] = "";
    motet_ranks_device(device, settings.train_device, &ranks, variable("CUDA_VISIBLE_DEVICES"));
    MOTET_TRY(motet_device_open(&backend, device));
    MOTET_TRY(meet(c, &settings, &ranks, backend));
    if (ranks.ranks > 1) MOTET_TRY(motet_sha256_file(program, "/proc/self/exe"));
    motet_training training;
    MOTET_TRY(motet_training_open_rank(&training, &settings, backend, c->communicator, program));
    motet_status status = c->mode == TRAIN ? train(&training, c) : use_checkpoint(&training, c);
    motet_training_close(&training);
    return status;
}

/* Threads that spin while they wait (libgomp's default) make a busy machine crawl: five times
 * slower beside one other compute job. libgomp reads this before main, hence the second start. */
static void wait_passively(char **argv) {
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    if (setenv("OMP_WAIT_POLICY", "passive", 1) == 0) execv("/proc/self/exe", argv);
}

int main(int argc, char **argv) {
    wait_passively(argv);
    motet_log_to(print_log, NULL);
    command c = {.precision = MOTET_BF16,
                 .text_precision = MOTET_I8,
                 .communicator = motet_communicator_single()};
    c.overrides = calloc((size_t)argc + 1, sizeof *c.overrides);
    motet_status status = c.overrides ? MOTET_OK : MOTET_FAIL(MOTET_E_MEMORY, "no memory");
    for (int i = 1; i < argc && status == MOTET_OK; i++)
        status = read_argument(&c, &i, argc, argv);
    if (status == MOTET_OK) status = run(&c);
    free(c.overrides);
    if (status == MOTET_OK && fflush(stdout) != 0)
        status = MOTET_FAIL(MOTET_E_IO, "standard output: %m");
    int code = status == MOTET_OK ? 0 : fail(status, c.communicator);
    motet_communicator_close(c.communicator);
    return code;
}
