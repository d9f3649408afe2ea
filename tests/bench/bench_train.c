/* bench_train: steps of training, as motet-train takes them: batch, forward, backward, update.
 *
 *     bench_train CONFIG.ini STEPS [DUMP.safetensors] [section.key=value ...]
 *
 * Prints the median events/s as JSON. With a dump, weights and the last batch are written first, so
 * that scripts/bench_torch.py runs the same model on the same data. Not a test: no figure fails. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <omp.h>

#include "data/safetensors.h"
#include "infer/field_decoder.h"
#include "kernels/device.h"
#include "train/training.h"

enum { MOST = 1024 };

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
    fprintf(stderr, "bench_train: %s\n", motet_error());
    exit(motet_exit_code(status));
}

static const motet_backend *backend;
static motet_named_tensor all[MOST];
static char names[MOST][96];
static int count;

static void put(const char *name, motet_tensor tensor) {
    const size_t bytes = (size_t)motet_tensor_count(tensor) * motet_dtype_bytes(tensor.dtype);
    void *host = malloc(bytes + 1); /* kept: the program ends after the dump */
    if (!host) exit(5);
    need(backend->memory->copy(host, tensor.data, bytes));
    tensor.data = host;
    snprintf(names[count], sizeof names[0], "%s", name);
    all[count] = (motet_named_tensor){names[count], tensor};
    count++;
}

static motet_status put_weight(void *user, const motet_parameter *parameter, motet_tensor *slot) {
    (void)user;
    put(parameter->name, *slot);
    return MOTET_OK;
}

static void dump(const char *path, motet_training *t) {
    const motet_model_input *in = &t->input;
    int64_t n = in->score.rows, m = in->score.memory_rows, s = in->score.sequences;
    int width = t->settings.model_width / t->settings.model_heads;
    need(motet_weights_visit(t->optimizer->master, &t->settings, put_weight, NULL));
    put("input.offsets", motet_vector(in->score.offsets, MOTET_I32, s + 1));
    put("input.memory_offsets", motet_vector(in->score.memory_offsets, MOTET_I32, s + 1));
    put("input.memory_text", motet_vector(in->score.memory_text, MOTET_I32, m));
    put("input.memory_controls", motet_vector(in->score.memory_controls, MOTET_I32, m));
    put("input.events", motet_matrix(in->score.events, MOTET_I32, n, MOTET_EVENT_FEATURES));
    put("input.context", motet_matrix(in->score.context, MOTET_I32, n, MOTET_CONTEXT_FEATURES));
    put("input.angles", motet_matrix(in->score.angles, MOTET_F32, n, width));
    put("input.text_ids", motet_vector(in->text_ids, MOTET_I32, in->text_rows));
    put("input.text_offsets", motet_vector(in->text_offsets, MOTET_I32, in->texts + 1));
    put("input.attribute_targets",
        motet_matrix(in->attribute_targets, MOTET_I32, s, MOTET_ATTRIBUTES - 1));
    put("input.program_targets", motet_matrix(in->program_targets, MOTET_I32, s, MOTET_PROGRAMS));
    for (int i = 0; i < MOTET_FIELDS; i++) {
        char name[64];
        int64_t rows = in->field_counts[i];
        snprintf(name, sizeof name, "input.field_rows.%d", i);
        put(name, motet_vector(in->field_rows[i], MOTET_I32, rows));
        snprintf(name, sizeof name, "input.field_targets.%d", i);
        put(name, motet_vector(in->field_targets[i], MOTET_I32, rows));
        snprintf(name, sizeof name, "input.field_values.%d", i);
        put(name, motet_matrix(in->field_values[i], MOTET_I32, rows, motet_field_earlier(i)));
    }
    need(motet_safetensors_write(path, all, count, NULL, 0));
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: bench_train CONFIG.ini STEPS [DUMP] [section.key=value ...]\n");
        return 2;
    }
    motet_settings settings;
    motet_training training;
    const char *path = NULL;
    int steps = (int)strtol(argv[2], NULL, 10);
    motet_settings_default(&settings);
    need(motet_settings_read_file(&settings, argv[1]));
    for (int i = 3; i < argc; i++) {
        if (strchr(argv[i], '='))
            need(motet_settings_override(&settings, argv[i]));
        else
            path = argv[i];
    }
    if (settings.train_threads > 0) omp_set_num_threads(settings.train_threads);
    need(motet_device_open(&backend, settings.train_device));
    need(motet_training_open(&training, &settings, backend));
    double *rates = calloc((size_t)steps + 1, sizeof *rates);
    if (!rates) return 5;
    for (int i = -2; i < steps; i++) { /* two to warm up */
        motet_step_report report;
        double start = now();
        need(motet_training_step(&report, &training));
        if (i >= 0) rates[i] = (double)report.losses.events / (now() - start);
    }
    if (path) dump(path, &training);
    qsort(rates, (size_t)steps, sizeof *rates, by_value);
    printf("{\"what\": \"train\", \"dtype\": \"%s\", \"device\": \"%s\", \"threads\": %d, "
           "\"events_per_s\": %.0f, \"best\": %.0f}\n",
           settings.train_dtype, backend->name, omp_get_max_threads(), rates[steps / 2],
           rates[steps - 1]);
    free(rates);
    motet_training_close(&training);
    return 0;
}
