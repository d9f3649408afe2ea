/* engine: an opened model on a back-end; shared, read-only, by any number of sessions. */
#ifndef MOTET_ENGINE_H
#define MOTET_ENGINE_H

#include "infer/checkpoint.h"
#include "kernels/backend.h"

typedef struct motet_engine {
    motet_checkpoint checkpoint;
    const motet_backend *backend;
    const motet_weights
        *weights; /* what the back-end's ops read: the checkpoint's own, or copies */
    /* private */
    motet_weights *placed; /* the copies; NULL where the back-end reads the host's memory */
    motet_arena memory;
} motet_engine;

/* The weights are copied once to a back-end that has memory of its own. Errors are those of
 * motet_checkpoint_open and of the back-end's memory. After a failure nothing is open. */
motet_status motet_engine_open(motet_engine *engine, const char *model_path,
                               const motet_backend *backend);
void motet_engine_close(motet_engine *engine);

#endif
