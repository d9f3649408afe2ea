/* options: the command line of motet. */
#ifndef MOTET_OPTIONS_H
#define MOTET_OPTIONS_H

#include "infer/request.h"

typedef struct motet_options {
    motet_request request; /* prompt points into the command line, or into stdin's text */
    const char *model, *output, *svg, *wav, *soundfont; /* NULL: not given; output "-": stdout */
    const char *device;                                 /* as kernels/device.h spells it */
    int quiet, json, help, version, threads;
    int seed_given;
    char prompt_text[MOTET_MAX_PROMPT + 2]; /* of stdin, when the prompt is "-" */
} motet_options;

/* MOTET_E_USAGE in one sentence, with the nearest flag or value, on anything that is not possible.
 */
motet_status motet_options_read(motet_options *options, int argc, char **argv);

/* What --help prints. */
extern const char motet_options_help[];

#endif
