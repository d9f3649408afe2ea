/* harness_model: a tiny model with random weights, written as a checkpoint and opened as an engine.
 */
#ifndef MOTET_HARNESS_MODEL_H
#define MOTET_HARNESS_MODEL_H

#include "infer/engine.h"

/* Width 64, 2 layers, 2 heads, windows of `window` events; f32 weights. Fails the running test on
 * error. The file is removed at once: the engine keeps it mapped. */
void motet_test_engine_open(motet_engine *engine, int window, uint64_t seed);

/* The same on a back-end, stored in a dtype (f32, bf16 or i8). */
void motet_test_engine_open_on(motet_engine *engine, int window, uint64_t seed,
                               const motet_backend *backend, motet_dtype precision);

#endif
