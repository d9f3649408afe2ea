/* take: a finished piece with everything that is said and written of it. */
#ifndef MOTET_TAKE_H
#define MOTET_TAKE_H

#include "data/analysis.h"
#include "infer/generate.h"

typedef struct motet_take {
    const motet_request *request;
    const char *model_hash;
    motet_plan plan;
    motet_score score;
    motet_analysis analysis;
    motet_generation_stats stats;
} motet_take;

/* Generates, post-processes and analyses a piece; free with motet_take_free. Errors are those of
 * motet_generate. */
motet_status motet_take_make(motet_take *take, motet_engine *engine, const motet_request *request,
                             motet_generation_progress *progress, void *user);
void motet_take_free(motet_take *take);

/* The file's bytes (malloc'd): prompt, seed, sampling, flags and model as text events, so that the
 * take can be repeated from the file alone. */
motet_status motet_take_midi(unsigned char **bytes, size_t *size, const motet_take *take);

#endif
