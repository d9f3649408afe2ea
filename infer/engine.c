#include "infer/engine.h"

motet_status motet_engine_open(motet_engine *engine, const char *model_path) {
    *engine = (motet_engine){.backend = motet_backend_cpu()};
    return motet_checkpoint_open(&engine->checkpoint, model_path);
}

void motet_engine_close(motet_engine *engine) {
    motet_checkpoint_close(&engine->checkpoint);
    *engine = (motet_engine){0};
}
