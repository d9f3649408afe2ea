#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "data/build.h"
#include "data/command.h"

static volatile sig_atomic_t stop;

static void on_signal(int number) {
    (void)number;
    stop = 1;
}

/* A line that rewrites itself on a terminal, at most ten times a second. */
static void show_progress(void *user, const motet_build_report *r) {
    double *shown = user;
    if (r->seconds - *shown < 0.1 && r->done < r->files) return;
    *shown = r->seconds;
    double left = r->seconds / (double)r->done * (double)(r->files - r->done);
    fprintf(stderr, "\r%lld of %lld files, %lld pieces, %.0f files/s, %.0f s left \033[K",
            (long long)r->done, (long long)r->files, (long long)r->pieces,
            (double)r->done / (r->seconds > 0 ? r->seconds : 1), left);
    if (r->done == r->files) fprintf(stderr, "\r\033[K");
}

static void print_report(const motet_build_report *r, const char *output) {
    printf("%s: %lld pieces (%lld for validation), %lld events, %lld captions\n", output,
           (long long)r->pieces, (long long)r->valid_pieces, (long long)r->events,
           (long long)r->captions);
    printf("%lld files in %.1f s; %lld with labels; %lld were repaired, %lld cut to %d events\n",
           (long long)r->files, r->seconds, (long long)r->labelled, (long long)r->repaired,
           (long long)r->cut, MOTET_BUILD_MAX_EVENTS);
    if (r->captions_unmatched)
        printf("%lld rows of the caption list name no file of this corpus\n",
               (long long)r->captions_unmatched);
    if (!r->reason_count) return;
    printf("\nleft out  reason\n");
    for (int i = 0; i < r->reason_count; i++)
        printf("%8lld  %s, e.g. %s\n", (long long)r->reasons[i].files, r->reasons[i].text,
               r->reasons[i].example);
}

int motet_command_build(int argc, char **argv) {
    const char *captions = NULL, *output = NULL;
    int64_t processors = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t jobs = processors < 1 ? 1 : processors > 256 ? 256 : processors;
    int64_t variants = 6, valid_percent = 5, seed = 0;
    int archive = 0, positionals, help;
    const motet_flag flags[] = {
        {"-o", MOTET_FLAG_TEXT, &output, 0, 0, "FILE.h5", "the corpus to write (needed)"},
        {"--captions", MOTET_FLAG_TEXT, &captions, 0, 0, "FILE.tsv",
         "columns: file, and any of caption title composer kind genre mood group source"},
        {"--jobs", MOTET_FLAG_INT, &jobs, 1, 256, "N", "workers (default: one a processor)"},
        {"--variants", MOTET_FLAG_INT, &variants, 1, MOTET_BUILD_MAX_VARIANTS, "N",
         "captions a piece (default 6)"},
        {"--valid-percent", MOTET_FLAG_INT, &valid_percent, 0, 100, "N",
         "share of the groups that is held out (default 5)"},
        {"--seed", MOTET_FLAG_INT, &seed, 0, INT64_MAX, "N", "of the captions (default 0)"},
        {"--archive", MOTET_FLAG_SWITCH, &archive, 0, 0, NULL,
         "compress: small, but slow to draw from"},
    };
    const motet_command command = {"build",
                                   "-o FILE.h5 PATH...",
                                   "Reads MIDI files and folders (with their MANIFEST.tsv) into a "
                                   "corpus for motet-train.",
                                   flags,
                                   sizeof flags / sizeof *flags,
                                   1,
                                   1 << 20};
    motet_status status = motet_command_parse(&positionals, &help, &command, argc, argv);
    if (help) return 0;
    if (status == MOTET_OK && !output)
        status = MOTET_FAIL(MOTET_E_USAGE, "build needs -o FILE.h5, the corpus to write");
    if (status != MOTET_OK) return motet_command_fail(status);

    double shown = -1;
    motet_build_report report;
    const motet_build_options options = {.paths = (const char *const *)(argv + 1),
                                         .path_count = positionals,
                                         .captions = captions,
                                         .output = output,
                                         .jobs = (int)jobs,
                                         .variants = (int)variants,
                                         .valid_percent = (int)valid_percent,
                                         .archive = archive,
                                         .seed = (uint64_t)seed,
                                         .stop = &stop,
                                         .progress = isatty(STDERR_FILENO) ? show_progress : NULL,
                                         .user = &shown};
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    status = motet_build(&report, &options);
    if (status == MOTET_OK) {
        print_report(&report, output);
        return 0;
    }
    if (options.progress && report.done) fprintf(stderr, "\n");
    int code = motet_command_fail(status);
    return report.interrupted ? 130 : code;
}
