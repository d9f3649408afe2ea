#include "train/baseline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The symbol that each field had last; -1 before the first. */
typedef struct context {
    int32_t last[MOTET_FIELDS];
} context;

static context context_start(void) {
    context c;
    for (int f = 0; f < MOTET_FIELDS; f++)
        c.last[f] = -1;
    return c;
}

/* Called for each field of each event, with the symbol before it. */
typedef void field_fn(void *user, int field, int32_t before, int32_t symbol);

/* 0 if a field is out of range, which the corpus does not check. */
static int visit_event(context *c, const motet_event *event, int shift, field_fn *visit,
                       void *user) {
    int32_t symbols[7];
    int first, count;
    if (event->type >= MOTET_EVENT_TYPES) return 0;
    int total = motet_event_symbols(symbols, event, shift);
    motet_type_fields(event->type, &first, &count);
    for (int i = 0; i < total; i++) {
        int field = i == 0 ? MOTET_FIELD_TYPE : first + i - 1;
        if (symbols[i] < 0 || symbols[i] >= motet_field_size(field)) return 0;
        visit(user, field, c->last[field], symbols[i]);
        c->last[field] = symbols[i];
    }
    return 1;
}

static motet_status visit_piece(motet_corpus *corpus, int64_t index, field_fn *visit, void *user) {
    enum { BLOCK = 4096 };
    motet_event events[BLOCK];
    int64_t count = motet_corpus_event_count(corpus, index);
    int shift = motet_key_shift(motet_corpus_piece(corpus, index)->key);
    context c = context_start();
    for (int64_t first = 0; first < count; first += BLOCK) {
        int64_t block = count - first < BLOCK ? count - first : BLOCK;
        MOTET_TRY(motet_corpus_read(events, corpus, index, first, block));
        for (int64_t i = 0; i < block; i++)
            if (!visit_event(&c, &events[i], shift, visit, user))
                return MOTET_FAIL(MOTET_E_DATA, "piece %lld of the corpus: event %lld is none",
                                  (long long)index, (long long)(first + i));
    }
    return MOTET_OK;
}

static motet_status visit_training_split(motet_corpus *const *corpora, int corpus_count,
                                         field_fn *visit, void *user) {
    for (int c = 0; c < corpus_count; c++)
        for (int64_t i = 0; i < motet_corpus_count(corpora[c]); i++)
            if (motet_corpus_piece(corpora[c], i)->split == MOTET_SPLIT_TRAIN)
                MOTET_TRY(visit_piece(corpora[c], i, visit, user));
    return MOTET_OK;
}

static void count_unigram(void *user, int field, int32_t before, int32_t symbol) {
    (void)before;
    ((int64_t *)user)[motet_field_offset(field) + symbol]++;
}

motet_status motet_unigram_counts(int64_t *counts, motet_corpus *const *corpora, int corpus_count) {
    return visit_training_split(corpora, corpus_count, count_unigram, counts);
}

/* pairs[f]: [size, size] counts of (before, symbol). */
typedef struct tables {
    int64_t *singles;
    int64_t *pairs[MOTET_FIELDS];
    motet_losses *unigram, *bigram;
} count_tables;

static void count_both(void *user, int field, int32_t before, int32_t symbol) {
    count_tables *t = user;
    t->singles[motet_field_offset(field) + symbol]++;
    if (before >= 0) t->pairs[field][before * motet_field_size(field) + symbol]++;
}

static void score_both(void *user, int field, int32_t before, int32_t symbol) {
    count_tables *t = user;
    int size = motet_field_size(field);
    const int64_t *single = t->singles + motet_field_offset(field);
    double total = size;
    for (int i = 0; i < size; i++)
        total += (double)single[i];
    double unigram = ((double)single[symbol] + 1) / total, bigram = unigram;
    if (before >= 0) {
        const int64_t *row = t->pairs[field] + (int64_t)before * size;
        double row_total = 1;
        for (int i = 0; i < size; i++)
            row_total += (double)row[i];
        bigram = ((double)row[symbol] + unigram) / row_total;
    }
    t->unigram->field[field] -= log(unigram), t->unigram->field_count[field]++;
    t->bigram->field[field] -= log(bigram), t->bigram->field_count[field]++;
}

static motet_status score_windows(count_tables *tables, motet_training *t) {
    for (int i = 0; i < t->settings.train_eval_batches; i++) {
        MOTET_TRY(motet_loader_batch(&t->batch, t->valid, i, 0));
        for (int w = 0; w < t->batch.window_count; w++) {
            const motet_window *window = &t->batch.windows[w];
            context c = context_start();
            for (int e = 0; e < window->count; e++)
                visit_event(&c, &window->events[e], motet_key_shift(window->piece->key), score_both,
                            tables);
        }
        tables->unigram->events += t->batch.rows;
        tables->bigram->events += t->batch.rows;
    }
    return MOTET_OK;
}

motet_status motet_baselines(motet_losses *unigram, motet_losses *bigram, motet_training *t) {
    memset(unigram, 0, sizeof *unigram);
    memset(bigram, 0, sizeof *bigram);
    if (!t->valid)
        return MOTET_FAIL(MOTET_E_USAGE, "%.200s: no piece is held out for validation",
                          t->settings.data_corpus);
    int64_t cells = motet_field_total(); /* at most 256 symbols a field: no overflow */
    for (int f = 0; f < MOTET_FIELDS; f++)
        cells += (int64_t)motet_field_size(f) * motet_field_size(f);
    int64_t *memory = calloc((size_t)cells, sizeof *memory);
    if (!memory) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the baselines' tables");
    count_tables tables = {.singles = memory, .unigram = unigram, .bigram = bigram};
    int64_t *next = memory + motet_field_total();
    for (int f = 0; f < MOTET_FIELDS; f++) {
        tables.pairs[f] = next;
        next += (int64_t)motet_field_size(f) * motet_field_size(f);
    }
    motet_status status = visit_training_split(t->corpora, t->corpus_count, count_both, &tables);
    if (status == MOTET_OK) status = score_windows(&tables, t);
    free(memory);
    return status;
}
