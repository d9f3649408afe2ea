/* bench_generate: events/s of writing pieces, start included apart.
 *
 *     bench_generate MODEL.safetensors PIECES GUIDANCE [THREADS]
 *
 * Prints the median over pieces of 16 bars as JSON. Not a test: no figure fails. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <omp.h>

#include "infer/generate.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void need(motet_status status) {
    if (status == MOTET_OK) return;
    fprintf(stderr, "bench_generate: %s\n", motet_error());
    exit(motet_exit_code(status));
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: bench_generate MODEL PIECES GUIDANCE [THREADS]\n");
        return 2;
    }
    int pieces = (int)strtol(argv[2], NULL, 10);
    if (argc > 4) omp_set_num_threads((int)strtol(argv[4], NULL, 10));
    double start = now();
    motet_engine engine;
    motet_session *session;
    need(motet_engine_open(&engine, argv[1]));
    need(motet_session_make(&session, &engine));
    double opened = now() - start;
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
    printf("{\"what\": \"generate\", \"guidance\": %s, \"threads\": %d, \"events_per_s\": %.0f, "
           "\"best\": %.0f, \"open_ms\": %.1f}\n",
           argv[3], omp_get_max_threads(), rates[pieces / 2], rates[pieces - 1], 1e3 * opened);
    free(rates);
    motet_session_free(session);
    motet_engine_close(&engine);
    return 0;
}
