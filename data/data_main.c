/* motet-data: corpora of MIDI files: build, look into, take apart. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "data/command.h"
#include "kernels/core/nearest.h"

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} COMMANDS[] = {
    {"build", "MIDI files and labels into a corpus", motet_command_build},
    {"inspect", "what can be heard in a MIDI file, or what a corpus holds", motet_command_inspect},
    {"stats", "how a corpus's events are distributed", motet_command_stats},
    {"vocab", "learn a WordPiece vocabulary from a corpus's captions", motet_command_vocab},
    {"pieces", "the pieces of a corpus with their captions, as JSON lines", motet_command_pieces},
    {"render", "one piece of a corpus as a MIDI file", motet_command_render},
};
enum { COMMAND_COUNT = sizeof COMMANDS / sizeof *COMMANDS };

static void print_help(void) {
    printf("usage: motet-data COMMAND ...\n\n");
    for (int i = 0; i < COMMAND_COUNT; i++)
        printf("  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
    printf("\nmotet-data COMMAND --help says more. Exit codes: 0 done, 2 wrong usage, 3 bad data,\n"
           "4 the system refused (missing file, full disk), 5 out of memory, 6 not supported,\n"
           "130 interrupted.\n");
}

/* What was printed has to have arrived: a full disk shows only when the last buffer is written. */
static int finish(int code) {
    if (!fflush(stdout) && !ferror(stdout)) return code;
    if (code) return code;
    return motet_command_fail(
        MOTET_FAIL(MOTET_E_IO, "standard output: %s", errno ? strerror(errno) : "write error"));
}

int main(int argc, char **argv) {
    const char *names[COMMAND_COUNT];
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a failed write, with a sentence */
    signal(SIGXFSZ, SIG_IGN); /* so is a file-size limit */
    if (argc < 2) {
        print_help();
        return motet_exit_code(MOTET_E_USAGE);
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_help();
        return 0;
    }
    for (int i = 0; i < COMMAND_COUNT; i++) {
        names[i] = COMMANDS[i].name;
        if (!strcmp(argv[1], names[i])) return finish(COMMANDS[i].run(argc - 1, argv + 1));
    }
    const char *nearest = motet_nearest(argv[1], names, COMMAND_COUNT);
    fprintf(stderr, "motet-data: there is no command '%.60s'%s%s%s\n", argv[1],
            nearest ? "; did you mean " : "; motet-data --help lists them", nearest ? nearest : "",
            nearest ? "?" : "");
    return motet_exit_code(MOTET_E_USAGE);
}
