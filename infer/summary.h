/* summary: what a take is, said on one screen or as JSON. */
#ifndef MOTET_SUMMARY_H
#define MOTET_SUMMARY_H

#include <stdio.h>

#include "infer/take.h"

/* file: where the piece went, NULL for standard output. */
void motet_summary_print(FILE *stream, const motet_take *take, const char *file);
void motet_summary_json(FILE *stream, const motet_take *take, const char *file);

#endif
