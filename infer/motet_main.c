/* motet: a prompt to a MIDI file. */
#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <omp.h>

#include "data/file.h"
#include "infer/options.h"
#include "infer/piano_roll.h"
#include "infer/summary.h"
#include "infer/wav.h"
#include "kernels/core/log.h"
#include "kernels/device.h"

#ifndef MOTET_MODEL_DIR
#define MOTET_MODEL_DIR "/usr/local/share/motet"
#endif
#define MODEL_NAME "motet-mini.safetensors"

static int say(motet_status status) {
    fprintf(stderr, "motet: %s\n", motet_error());
    return motet_exit_code(status);
}

/* The model: --model, $MOTET_MODEL, the source tree that this binary was built in, where `make
 * install` put it. */
static motet_status find_model(char path[4096], const char *option) {
    const char *named = option ? option : getenv("MOTET_MODEL");
    if (named) {
        snprintf(path, 4096, "%s", named);
        return MOTET_OK;
    }
    static const char *const beside[] = {"../../infer/pretrained/" MODEL_NAME,
                                         "../../../infer/pretrained/" MODEL_NAME,
                                         "../share/motet/" MODEL_NAME};
    char self[2048];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    if (size > 0) {
        self[size] = 0;
        char *slash = strrchr(self, '/');
        if (slash) *slash = 0;
        for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
            snprintf(path, 4096, "%s/%s", self, beside[i]);
            if (access(path, R_OK) == 0) return MOTET_OK;
        }
    }
    snprintf(path, 4096, "%s/%s", MOTET_MODEL_DIR, MODEL_NAME);
    if (access(path, R_OK) == 0) return MOTET_OK;
    return MOTET_FAIL(MOTET_E_IO,
                      "there is no model: %s was found neither beside the program nor in "
                      "%s; name one with --model",
                      MODEL_NAME, MOTET_MODEL_DIR);
}

/* "a-cheerful-jig.mid", with -2, -3, ... if that is taken. */
static void name_output(char path[128], const char *prompt) {
    char stem[64];
    size_t used = 0;
    for (const char *p = prompt; *p && used < sizeof stem - 4; p++) {
        if (isalnum((unsigned char)*p))
            stem[used++] = (char)tolower((unsigned char)*p);
        else if (*p == '#')
            stem[used++] = 's';
        else if (used > 0 && stem[used - 1] != '-')
            stem[used++] = '-';
    }
    while (used > 0 && stem[used - 1] == '-')
        used--;
    stem[used] = 0;
    const char *name = used ? stem : "motet";
    snprintf(path, 128, "%s.mid", name);
    for (int i = 2; access(path, F_OK) == 0 && i < 10000; i++)
        snprintf(path, 128, "%s-%d.mid", name, i);
}

static int show_progress(void *user, int bar, int bars) {
    (void)user;
    fprintf(stderr, "\rbar %d of %d ", bar, bars);
    if (bar == bars) fputs("\r                    \r", stderr);
    return 0;
}

/* Lines of the libraries wait until the model is open: beside an error they would be noise. */
static char log_line[1024];

static void keep_log(void *user, motet_log_level level, const char *line) {
    const motet_options *options = user;
    if (options->quiet && level == MOTET_LOG_INFO) return;
    snprintf(log_line, sizeof log_line, "motet: %s%s\n", level == MOTET_LOG_WARN ? "warning: " : "",
             line);
}

static motet_status write_stdout(const unsigned char *bytes, size_t size) {
    if (fwrite(bytes, 1, size, stdout) != size || fflush(stdout) != 0)
        return MOTET_FAIL(MOTET_E_IO, "cannot write to standard output: %s", strerror(errno));
    return MOTET_OK;
}

static motet_status write_svg(const char *path, const motet_take *take) {
    char *svg;
    MOTET_TRY(motet_piano_roll_svg(&svg, &take->score, &take->analysis));
    motet_status status = motet_file_replace(path, svg, strlen(svg));
    free(svg);
    return status;
}

/* The piece first: what else is asked for must not cost it. */
static motet_status write_files(const motet_options *options, const char *output,
                                const motet_take *take) {
    unsigned char *midi;
    size_t size;
    MOTET_TRY(motet_take_midi(&midi, &size, take));
    motet_status status =
        output ? motet_file_replace(output, midi, size) : write_stdout(midi, size);
    if (status == MOTET_OK && options->svg) status = write_svg(options->svg, take);
    if (status == MOTET_OK && options->wav)
        status = motet_wav_write(options->wav, midi, size, options->soundfont);
    free(midi);
    return status;
}

static motet_status run(const motet_options *options) {
    char model[4096], named[128];
    const char *output = options->output;
    if (!output) {
        name_output(named, options->request.prompt);
        output = named;
    } else if (!strcmp(output, "-")) {
        output = NULL;
    }
    FILE *words = output ? stdout : stderr; /* standard output may be the piece itself */
    motet_engine engine;
    const motet_backend *backend;
    MOTET_TRY(find_model(model, options->model));
    MOTET_TRY(motet_device_open(&backend, options->device));
    MOTET_TRY(motet_engine_open(&engine, model, backend));
    fputs(log_line, stderr);
    motet_take take;
    int live = isatty(2) && !options->quiet && !options->json;
    motet_status status =
        motet_take_make(&take, &engine, &options->request, live ? show_progress : NULL, NULL);
    if (status == MOTET_OK) {
        status = write_files(options, output, &take);
        int written = status == MOTET_OK || status == MOTET_E_UNSUPPORTED; /* but no sound */
        if (written && options->json)
            motet_summary_json(words, &take, output);
        else if (written && !options->quiet)
            motet_summary_print(words, &take, output);
        motet_take_free(&take);
    }
    motet_engine_close(&engine);
    return status;
}

static uint64_t random_seed(void) {
    uint32_t seed = 0;
    if (getentropy(&seed, sizeof seed) != 0) seed = (uint32_t)getpid();
    return seed; /* 32 bits: short enough to be typed again */
}

int main(int argc, char **argv) {
    static motet_options options;
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE,
           SIG_IGN); /* a closed pipe and a file-size limit are failed writes, with a sentence */
    signal(SIGXFSZ, SIG_IGN);
    motet_status status = motet_options_read(&options, argc, argv);
    if (status != MOTET_OK) return say(status);
    if (options.help) {
        fputs(motet_options_help, stdout);
        return 0;
    }
    if (options.version) {
        puts("motet 0.1.0");
        return 0;
    }
    motet_log_to(keep_log, &options);
    if (!options.seed_given) options.request.seed = random_seed();
    if (options.threads > 0) omp_set_num_threads(options.threads);
    status = run(&options);
    return status == MOTET_OK ? 0 : say(status);
}
