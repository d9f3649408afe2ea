/* bench_generate: events/s of writing pieces, opening the model not counted.
 *
 *     bench_generate MODEL.safetensors PIECES GUIDANCE [THREADS [f32|bf16|i8]]
 *
 * On the device that MOTET_BENCH_DEVICE names, as motet --device does; the CPU without it.
 *
 * Prints the median over pieces of 16 bars as JSON. With a dtype the score and field decoders are
 * converted to it first (a copy in TMPDIR, removed at once). Not a test: no figure fails. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <omp.h>

#include "infer/generate.h"
#include "kernels/device.h"

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static const motet_backend *backend;

static void need(motet_status status) {
    if (status == MOTET_OK) return;
    fprintf(stderr, "bench_generate: %s\n", motet_error());
    exit(motet_exit_code(status));
}

/* Opens the model, or a copy of it whose decoders are of this dtype. */
static void open_as(motet_engine *engine, const char *model, const char *dtype) {
    need(motet_engine_open(engine, model, backend));
    if (!dtype) return;
    static const motet_dtype dtypes[] = {MOTET_F32, MOTET_BF16, MOTET_I8};
    int wanted = 0;
    while (wanted < 3 && strcmp(dtype, motet_dtype_name(dtypes[wanted])) != 0)
        wanted++;
    if (wanted == 3) {
        fprintf(stderr, "bench_generate: dtype \"%s\" is none of f32, bf16, i8\n", dtype);
        exit(2);
    }
    const char *folder = getenv("TMPDIR");
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/motet-bench-XXXXXX", folder ? folder : "/tmp");
    int file = length < (int)sizeof path ? mkstemp(path) : -1;
    if (file < 0) {
        fprintf(stderr, "bench_generate: no file could be made in %s\n", folder ? folder : "/tmp");
        exit(5);
    }
    close(file);
    const motet_checkpoint *from = &engine->checkpoint;
    motet_status status = motet_checkpoint_write(path, &from->weights, &from->settings,
                                                 motet_checkpoint_note(from, "motet.vocab"),
                                                 dtypes[wanted], MOTET_I8, NULL, 0);
    motet_engine_close(engine);
    if (status == MOTET_OK) status = motet_engine_open(engine, path, backend);
    unlink(path); /* the mapping lives on */
    need(status);
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: bench_generate MODEL PIECES GUIDANCE [THREADS [f32|bf16|i8]]\n");
        return 2;
    }
    int pieces = (int)strtol(argv[2], NULL, 10);
    if (argc > 4) omp_set_num_threads((int)strtol(argv[4], NULL, 10));
    const char *device = getenv("MOTET_BENCH_DEVICE");
    need(motet_device_open(&backend, device ? device : "cpu"));
    motet_engine engine;
    motet_session *session;
    open_as(&engine, argv[1], argc > 5 ? argv[5] : NULL);
    need(motet_session_make(&session, &engine));
    const char *dtype = motet_dtype_name(engine.checkpoint.weights.layers[0].qkv.dtype);
    double *rates = calloc((size_t)pieces + 1, sizeof *rates);
    if (!rates) return 5;
    for (int i = 0; i < pieces; i++) {
        motet_request request = {.prompt = "a lively dance in G major for flute, guitar and bass",
                                 .seed = (uint64_t)i,
                                 .facts = motet_facts_none(),
                                 .sampling = motet_sampling_default()};
        request.facts.bars = 16;
        request.sampling.guidance = strtof(argv[3], NULL);
        motet_event *events;
        int64_t count;
        motet_plan plan;
        motet_generation_stats stats;
        need(motet_generate(&events, &count, &plan, &stats, session, &request, NULL, NULL));
        rates[i] = (double)stats.events / stats.generate_seconds;
        free(events);
    }
    qsort(rates, (size_t)pieces, sizeof *rates, by_value);
    printf("{\"what\": \"generate\", \"guidance\": %s, \"dtype\": \"%s\", \"device\": \"%s\", "
           "\"threads\": %d, \"events_per_s\": %.0f, \"best\": %.0f}\n",
           argv[3], dtype, backend->name, omp_get_max_threads(), rates[pieces / 2],
           rates[pieces - 1]);
    free(rates);
    motet_session_free(session);
    motet_engine_close(&engine);
    return 0;
}
