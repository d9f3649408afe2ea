/* command: what the commands of motet-data share. A command declares its flags in a table; parsing,
 * --help and the message for a misspelt flag follow from it. Only this program's files include it.
 */
#ifndef MOTET_DATA_COMMAND_H
#define MOTET_DATA_COMMAND_H

#include <stdint.h>

#include "kernels/core/status.h"

typedef enum motet_flag_kind {
    MOTET_FLAG_SWITCH, /* int: 1 when given */
    MOTET_FLAG_INT,    /* int64_t within lowest..highest */
    MOTET_FLAG_TEXT,   /* const char * */
} motet_flag_kind;

typedef struct motet_flag {
    const char *name; /* "--jobs"; "-o" for the only short one */
    motet_flag_kind kind;
    void *target;
    int64_t lowest, highest;
    const char *value, *help; /* "N", "worker processes (default: one a processor)" */
} motet_flag;

typedef struct motet_command {
    const char *name, *arguments, *summary; /* "build", "PATH...", "one sentence" */
    const motet_flag *flags;
    int flag_count;
    int least, most; /* positional arguments */
} motet_command;

/* Parses argv[1..] of a command. Positional arguments are moved to the front of argv + 1 and
 * counted. *help is set when --help was given: the text has been printed, nothing is left to do.
 * MOTET_E_USAGE with one sentence and the nearest flag otherwise. */
motet_status motet_command_parse(int *positionals, int *help, const motet_command *command,
                                 int argc, char **argv);

/* Each returns the exit code of the program. */
int motet_command_build(int argc, char **argv);
int motet_command_inspect(int argc, char **argv);
int motet_command_stats(int argc, char **argv);
int motet_command_vocab(int argc, char **argv);
int motet_command_render(int argc, char **argv);
int motet_command_pieces(int argc, char **argv);

/* Prints "motet-data: SENTENCE" on standard error and returns the status's exit code. */
int motet_command_fail(motet_status status);

/* inspect of a corpus and of a MIDI file. */
motet_status motet_inspect_corpus(const char *path, int json);
motet_status motet_inspect_midi(const char *path, int json);

#endif
