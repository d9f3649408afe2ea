/* engine: an opened model on a back-end; shared, read-only, by any number of sessions. */
#ifndef MOTET_ENGINE_H
#define MOTET_ENGINE_H

#include "infer/checkpoint.h"
#include "kernels/backend.h"

typedef struct motet_engine {
    motet_checkpoint checkpoint;
    const motet_backend *backend;
} motet_engine;

/* Errors are those of motet_checkpoint_open. */
motet_status motet_engine_open(motet_engine *engine, const char *model_path);
void motet_engine_close(motet_engine *engine);

#endif
