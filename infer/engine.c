#include "infer/engine.h"

#include <stdlib.h>

static motet_status place_weights(motet_engine *engine) {
    const motet_memory *memory = engine->backend->memory;
    engine->weights = &engine->checkpoint.weights;
    if (memory == &motet_host_memory) return MOTET_OK; /* views into the mapped file */
    engine->placed = calloc(1, sizeof *engine->placed);
    if (!engine->placed) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the weights' table");
    engine->weights = engine->placed;
    engine->memory = motet_arenas_on(memory).device;
    return motet_weights_copy(engine->placed, &engine->memory, &engine->checkpoint.weights,
                              &engine->checkpoint.settings, memory);
}

motet_status motet_engine_open(motet_engine *engine, const char *model_path,
                               const motet_backend *backend) {
    *engine = (motet_engine){.backend = backend};
    MOTET_TRY(motet_checkpoint_open(&engine->checkpoint, model_path));
    motet_status status = place_weights(engine);
    if (status != MOTET_OK) motet_engine_close(engine);
    return status;
}

void motet_engine_close(motet_engine *engine) {
    motet_arena_free(&engine->memory);
    free(engine->placed);
    motet_checkpoint_close(&engine->checkpoint);
    *engine = (motet_engine){0};
}
