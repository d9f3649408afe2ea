#include "train/training.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/baseline.h"
#include "train/matmul_onednn.h"
#include "train/schedule.h"

static motet_status check(const motet_settings *s) {
    MOTET_TRY(motet_settings_check(s));
    if (s->model_window > s->train_rows)
        return MOTET_FAIL(MOTET_E_USAGE, "model.window = %d events do not fit into train.rows = %d",
                          s->model_window, s->train_rows);
    if (!*s->data_corpus)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "no corpus: give --data.corpus=FILE.h5 (motet-data build makes one)");
    return MOTET_OK;
}

static motet_status open_corpora(motet_training *t) {
    const char *list = t->settings.data_corpus;
    int most = 1;
    for (const char *c = list; *c; c++)
        most += *c == ',';
    t->corpora = calloc((size_t)most, sizeof *t->corpora);
    if (!t->corpora) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the list of corpora");
    while (*list) {
        char path[MOTET_SETTING_TEXT];
        size_t length = strcspn(list, ",");
        snprintf(path, sizeof path, "%.*s", (int)length, list);
        list += length + (list[length] == ',');
        if (!length) continue;
        MOTET_TRY(motet_corpus_open(&t->corpora[t->corpus_count], path, 1));
        t->corpus_count++;
    }
    return MOTET_OK;
}

static int has_split(const motet_training *t, int split) {
    for (int c = 0; c < t->corpus_count; c++)
        for (int64_t i = 0; i < motet_corpus_count(t->corpora[c]); i++)
            if (motet_corpus_piece(t->corpora[c], i)->split == split) return 1;
    return 0;
}

static motet_status open_loaders(motet_training *t) {
    const motet_settings *s = &t->settings;
    motet_loader_options options = {.split = MOTET_SPLIT_TRAIN,
                                    .rows = s->train_rows,
                                    .window = s->model_window,
                                    .seed = (uint64_t)s->train_seed,
                                    .weights = *s->data_weights ? s->data_weights : NULL};
    MOTET_TRY(motet_loader_make(&t->train, t->corpora, t->corpus_count, &options));
    if (!has_split(t, MOTET_SPLIT_VALID)) return MOTET_OK;
    options.split = MOTET_SPLIT_VALID;
    options.seed = MOTET_EVAL_SEED;
    return motet_loader_make(&t->valid, t->corpora, t->corpus_count, &options);
}

static motet_status open_model(motet_training *t) {
    const motet_settings *s = &t->settings;
    t->input_memory = motet_arenas_on(t->backend.memory).shared;
    motet_model_input_layout(&t->input, &t->input_memory, s);
    MOTET_TRY(motet_arena_bind(&t->input_memory));
    motet_model_input_layout(&t->input, &t->input_memory, s);
    MOTET_TRY(motet_optimizer_make(&t->optimizer, s, t->encoder.weights, t->backend.memory));
    return motet_gradient_make(&t->gradient, s, t->optimizer->dtype, t->backend.memory);
}

static motet_status start_weights(motet_training *t) {
    int64_t *counts = calloc((size_t)motet_field_total(), sizeof *counts);
    if (!counts) return MOTET_FAIL(MOTET_E_MEMORY, "no memory to count symbols");
    motet_status status = motet_unigram_counts(counts, t->corpora, t->corpus_count);
    if (status == MOTET_OK) status = motet_optimizer_output_bias(t->optimizer, counts);
    free(counts);
    if (status != MOTET_OK) return status;
    t->counters = motet_counters_start();
    return motet_optimizer_refresh(t->optimizer, &t->backend, 1);
}

motet_status motet_training_open(motet_training *t, const motet_settings *settings,
                                 const motet_backend *backend) {
    memset(t, 0, sizeof *t);
    t->settings = *settings;
    t->backend = *backend;
    if (backend == motet_backend_cpu()) t->backend.matmul = motet_onednn_matmul;
    if (settings->train_threads > 0) omp_set_num_threads(settings->train_threads);
    motet_status status = check(settings);
    if (status == MOTET_OK) status = open_corpora(t);
    if (status == MOTET_OK)
        status = motet_encoder_open(&t->encoder, &t->settings, t->corpora, t->corpus_count);
    if (status == MOTET_OK) status = open_loaders(t);
    if (status == MOTET_OK) status = open_model(t);
    if (status == MOTET_OK) status = start_weights(t);
    if (status != MOTET_OK) motet_training_close(t);
    return status;
}

void motet_training_close(motet_training *t) {
    motet_gradient_free(t->gradient);
    motet_optimizer_free(t->optimizer);
    motet_arena_free(&t->input_memory);
    motet_batch_free(&t->batch);
    motet_loader_free(t->train);
    motet_loader_free(t->valid);
    motet_encoder_close(&t->encoder);
    for (int i = 0; i < t->corpus_count; i++)
        motet_corpus_close(t->corpora[i]);
    free(t->corpora);
#pragma omp parallel
    motet_onednn_release();
    memset(t, 0, sizeof *t);
}

motet_state_context motet_training_context(const motet_training *t) {
    return (motet_state_context){.settings = &t->settings,
                                 .corpora = t->corpora,
                                 .corpus_count = t->corpus_count,
                                 .encoder = &t->encoder};
}

motet_status motet_training_load(motet_training *t, const char *folder, int other_corpus) {
    motet_state_context context = motet_training_context(t);
    MOTET_TRY(motet_train_state_read(t->optimizer, &t->counters, folder, &context, other_corpus));
    return motet_optimizer_refresh(t->optimizer, &t->backend, 0);
}

/* Gradients of the mean over the fields of a micro-batch, averaged over the micro-batches. */
static motet_status accumulate(motet_losses *losses, motet_training *t) {
    const motet_settings *s = &t->settings;
    int64_t parts = s->train_accumulate;
    for (int64_t part = 0; part < parts; part++) {
        int64_t index = t->counters.step * parts + part;
        MOTET_TRY(motet_loader_batch(&t->batch, t->train, index, 0));
        MOTET_TRY(
            motet_model_input_build(&t->input, &t->batch, t->encoder.tokenizer, s, index, 0, 0));
        double scale = 1.0 / ((double)t->input.targets * (double)parts);
        MOTET_TRY(motet_gradient_run(losses, t->optimizer->gradients, t->gradient, &t->backend,
                                     t->optimizer->compute, s, &t->input, (float)scale));
    }
    return MOTET_OK;
}

motet_status motet_training_step(motet_step_report *report, motet_training *t) {
    memset(report, 0, sizeof *report);
    MOTET_TRY(motet_optimizer_zero(t->optimizer));
    MOTET_TRY(accumulate(&report->losses, t));
    MOTET_TRY(motet_optimizer_norm(&report->norm, t->optimizer, &t->backend));
    report->lr_factor = motet_schedule_factor(&t->settings, t->counters.step);
    report->skipped = !isfinite(report->norm) || !isfinite(motet_losses_per_event(&report->losses));
    if (!report->skipped)
        MOTET_TRY(motet_optimizer_step(t->optimizer, &t->backend, &t->settings,
                                       t->counters.updates + 1, report->lr_factor, report->norm));
    t->counters.step++;
    t->counters.events += report->losses.events;
    t->counters.updates += !report->skipped;
    t->counters.skipped_in_a_row = report->skipped ? t->counters.skipped_in_a_row + 1 : 0;
    return MOTET_OK;
}
