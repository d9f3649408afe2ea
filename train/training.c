#include "train/training.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/baseline.h"
#include "train/matmul_onednn.h"
#include "train/replica_hash.h"
#include "train/schedule.h"

static motet_status check(const motet_settings *s, int ranks) {
    MOTET_TRY(motet_settings_check(s));
    if (s->train_accumulate % ranks)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "train.accumulate = %d micro-batches cannot be shared equally by %d "
                          "ranks: give a multiple (a step is accumulate x rows events)",
                          s->train_accumulate, ranks);
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
    MOTET_TRY(motet_optimizer_make_rank(&t->optimizer, s, t->encoder.weights, t->backend.memory,
                                        t->communicator));
    MOTET_TRY(motet_gradient_tree_make(&t->tree, s, t->backend.memory,
                                       s->train_accumulate / t->communicator->ranks));
    MOTET_TRY(motet_buckets_make(&t->buckets, t->optimizer, &t->tree, &t->backend,
                                 (int64_t)((double)s->train_bucket_mb * 1e6), s->train_overlap));
    t->losses = calloc((size_t)s->train_accumulate, sizeof *t->losses);
    if (!t->losses) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the losses of a step");
    MOTET_TRY(motet_gradient_make(&t->gradient, s, t->optimizer->dtype, t->backend.memory));
    MOTET_TRY(
        motet_input_ahead_make(&t->ahead, t->train, t->encoder.tokenizer, s, t->backend.memory));
    motet_gradient_meanwhile(t->gradient, motet_input_ahead_prepare, t->ahead);
    return MOTET_OK;
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

/* Where things are may differ from rank to rank: what they are is compared instead. */
static int is_place(const char *line) {
    static const char *const keys[] = {"corpus = ", "encoder = ", "vocab = "};
    for (int i = 0; i < 3; i++)
        if (!strncmp(line, keys[i], strlen(keys[i]))) return 1;
    return 0;
}

/* All that ranks must have alike, as lines; malloc'd. */
static motet_status identity(char **text, const motet_training *t, const char *program) {
    char *settings = motet_settings_text(&t->settings, 0);
    size_t size = (settings ? strlen(settings) : 0) + 128 * ((size_t)t->corpus_count + 3);
    char *out = settings ? malloc(size) : NULL;
    *text = out;
    if (!out) {
        free(settings);
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the settings' text");
    }
    size_t used = 0;
    for (const char *line = settings; *line;) {
        size_t length = strcspn(line, "\n") + 1;
        if (!line[length - 1]) length--;
        if (!is_place(line)) memcpy(out + used, line, length), used += length;
        line += length;
    }
    free(settings);
    used += (size_t)snprintf(out + used, size - used, "[files]\n");
    for (int i = 0; i < t->corpus_count; i++)
        used += (size_t)snprintf(out + used, size - used, "corpus SHA-256 %.64s\n",
                                 motet_corpus_sha256(t->corpora[i]));
    used += (size_t)snprintf(out + used, size - used, "encoder SHA-256 %.64s\n", t->encoder.sha256);
    snprintf(out + used, size - used, "program SHA-256 %.64s\n", program ? program : "");
    return MOTET_OK;
}

static motet_status open_all(motet_training *t) {
    MOTET_TRY(check(&t->settings, t->communicator->ranks));
    MOTET_TRY(open_corpora(t));
    MOTET_TRY(motet_encoder_open(&t->encoder, &t->settings, t->corpora, t->corpus_count));
    MOTET_TRY(open_loaders(t));
    MOTET_TRY(open_model(t));
    return start_weights(t);
}

static motet_status compare_ranks(motet_training *t, const char *program) {
    char *text;
    if (t->communicator->ranks == 1) return MOTET_OK;
    motet_status status = motet_communicator_agree(t->communicator, identity(&text, t, program));
    if (status == MOTET_OK) status = motet_communicator_same_text(t->communicator, text);
    free(text);
    return status;
}

motet_status motet_training_open_rank(motet_training *t, const motet_settings *settings,
                                      const motet_backend *backend,
                                      motet_communicator *communicator, const char *program) {
    memset(t, 0, sizeof *t);
    t->settings = *settings;
    t->backend = *backend;
    t->communicator = communicator ? communicator : motet_communicator_single();
    if (backend == motet_backend_cpu()) t->backend.matmul = motet_onednn_matmul;
    if (settings->train_threads > 0) omp_set_num_threads(settings->train_threads);
    t->communicator->timeout_s = 0; /* disks differ */
    motet_status status = motet_communicator_agree(t->communicator, open_all(t));
    if (status == MOTET_OK) status = compare_ranks(t, program);
    t->communicator->timeout_s = settings->train_timeout;
    if (status != MOTET_OK) motet_training_close(t);
    return status;
}

motet_status motet_training_open(motet_training *t, const motet_settings *settings,
                                 const motet_backend *backend) {
    return motet_training_open_rank(t, settings, backend, NULL, NULL);
}

void motet_training_close(motet_training *t) {
    motet_buckets_free(t->buckets);
    motet_gradient_free(t->gradient);
    motet_input_ahead_free(t->ahead);
    motet_gradient_tree_free(&t->tree);
    free(t->losses);
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
                                 .ranks = t->communicator->ranks,
                                 .encoder = &t->encoder};
}

motet_status motet_training_load(motet_training *t, const char *folder, int other_corpus) {
    motet_state_context context = motet_training_context(t);
    motet_status status =
        motet_train_state_read(t->optimizer, &t->counters, folder, &context, other_corpus);
    MOTET_TRY(motet_communicator_agree(t->communicator, status));
    return motet_optimizer_refresh(t->optimizer, &t->backend, 0);
}

motet_status motet_training_add_losses(motet_losses *sum, motet_losses *slots,
                                       const motet_training *t, int64_t count) {
    int ranks = t->communicator->ranks;
    int64_t row = (count + ranks - 1) / ranks;
    motet_part *parts = calloc((size_t)ranks, sizeof *parts);
    if (!parts) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the losses of %d ranks", ranks);
    for (int r = 0; r < ranks; r++)
        parts[r] = (motet_part){slots + r * row, row * (int64_t)sizeof *slots, r};
    motet_status status =
        motet_communicator_all_gather(t->communicator, parts, ranks, MOTET_WIRE_BYTES);
    free(parts);
    for (int64_t i = 0; i < count && status == MOTET_OK; i++)
        motet_losses_add(sum, &slots[i % ranks * row + i / ranks]);
    return status;
}

motet_status motet_training_collect(motet_training *t) {
    MOTET_TRY(motet_zero_gather_masters(t->optimizer));
    return motet_zero_collect_moments(t->optimizer);
}

void motet_training_release(motet_training *t) {
    motet_zero_release_moments(t->optimizer);
}

/* Gradients of the mean over the fields of a micro-batch, averaged over the micro-batches. */
static motet_status one_leaf(void *user, motet_weights *gradients, int64_t leaf) {
    motet_training *t = user;
    const motet_settings *s = &t->settings;
    const motet_communicator *c = t->communicator;
    int64_t parts = s->train_accumulate;
    int64_t index = (t->counters.step + t->counters.shifted) * parts + leaf * c->ranks + c->rank;
    motet_losses *losses = &t->losses[c->rank * (parts / c->ranks) + leaf];
    const int last = leaf == parts / c->ranks - 1; /* what comes next is the next step's first */
    const motet_model_input *input;
    MOTET_TRY(motet_input_ahead_take(&input, t->ahead, index,
                                     last ? index - leaf * c->ranks + parts : index + c->ranks));
    double scale = 1.0 / ((double)input->targets * (double)parts);
    memset(losses, 0, sizeof *losses);
    motet_gradient_hook hook = motet_buckets_hook(t->buckets);
    motet_gradient_tell(t->gradient, leaf == t->tree.leaves - 1 ? &hook : NULL);
    return motet_gradient_run(losses, gradients, t->gradient, &t->backend, t->optimizer->compute, s,
                              input, (float)scale);
}

static motet_status sum_gradients(motet_losses *losses, motet_training *t) {
    motet_optimizer *o = t->optimizer;
    MOTET_TRY(motet_gradient_tree_run(&t->tree, o->gradients, &o->gradient_memory, &t->backend,
                                      one_leaf, t));
    MOTET_TRY(motet_buckets_finish(t->buckets));
    return motet_training_add_losses(losses, t->losses, t, t->settings.train_accumulate);
}

/* Before the update, which would overwrite what differs (replica_hash.h). */
static motet_status compare_replicas(motet_training *t) {
    int every = t->settings.train_replica_hash;
    uint64_t hash;
    if (t->communicator->ranks == 1 || !every || (t->counters.step + 1) % every) return MOTET_OK;
    motet_status status = motet_replica_hash(&hash, t->optimizer);
    MOTET_TRY(motet_communicator_agree(t->communicator, status));
    return motet_replica_compare(t->communicator, hash, t->counters.step + 1);
}

static motet_status step(motet_step_report *report, motet_training *t) {
    MOTET_TRY(sum_gradients(&report->losses, t));
    MOTET_TRY(compare_replicas(t));
    MOTET_TRY(motet_optimizer_norm(&report->norm, t->optimizer, &t->backend));
    report->lr_factor = motet_schedule_factor(&t->settings, t->counters.step);
    double loss = motet_losses_per_event(&report->losses);
    report->reason = motet_guard_judge(&t->counters.guard, &t->settings, loss, report->norm);
    report->skipped = report->reason != NULL;
    if (!report->skipped) {
        MOTET_TRY(motet_optimizer_step(t->optimizer, &t->backend, &t->settings,
                                       t->counters.updates + 1, report->lr_factor, report->norm));
        motet_guard_accept(&t->counters.guard, loss, report->norm);
    }
    t->counters.step++;
    t->counters.events += report->losses.events;
    t->counters.updates += !report->skipped;
    t->counters.skipped_in_a_row = report->skipped ? t->counters.skipped_in_a_row + 1 : 0;
    return MOTET_OK;
}

static motet_traffic traffic_so_far(const motet_training *t) {
    const motet_communicator *c = t->communicator;
    double busy, waited;
    motet_buckets_seconds(&busy, &waited, t->buckets);
    return (motet_traffic){c->seconds, c->seconds - busy + waited, c->sent_bytes,
                           c->received_bytes};
}

motet_status motet_training_step(motet_step_report *report, motet_training *t) {
    motet_traffic before = traffic_so_far(t);
    memset(report, 0, sizeof *report);
    MOTET_TRY(step(report, t));
    motet_traffic after = traffic_so_far(t);
    t->traffic.seconds += after.seconds - before.seconds;
    t->traffic.exposed_seconds += after.exposed_seconds - before.exposed_seconds;
    t->traffic.sent_bytes += after.sent_bytes - before.sent_bytes;
    t->traffic.received_bytes += after.received_bytes - before.received_bytes;
    return MOTET_OK;
}
