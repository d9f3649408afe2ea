#include "data/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kernels/core/rng.h"

/* The loader's streams: this mark, 16 bits of rank, 40 bits of step. */
#define STREAM_MARK ((uint64_t)0x4c << 56)

typedef struct choice {
    motet_corpus *corpus;
    int64_t index;
    const uint32_t *bars; /* [bar_count] first events of the bars a window may begin at: those up to
                             where half a window is left, so entry i is bar i */
    int32_t bar_count;
    int32_t events;
    double upto; /* sum of the weights up to and with this piece */
} choice;

struct motet_loader {
    motet_loader_options options;
    choice *choices;
    int64_t choice_count;
    uint32_t *bars;
    int64_t bar_count, bar_capacity;
    int64_t *bar_first; /* [choice_count] while bars may still move */
};

/* A name means the source of that name and every one that goes on from it after a blank: "mma"
 * means "mma groove Swing" too. */
static int means(const char *name, size_t size, const char *source) {
    return !strncasecmp(name, source, size) && (source[size] == 0 || source[size] == ' ');
}

/* The weight of a source as "name:number,..." says; -1 if the text is malformed. */
static double weight_of(const char *weights, const char *source) {
    for (const char *p = weights; p && *p;) {
        size_t item = strcspn(p, ",");
        const char *colon = memrchr(p, ':', item);
        if (!colon || colon == p) return -1;
        char *end;
        double value = strtod(colon + 1, &end);
        if (end == colon + 1 || end != p + item || !(value >= 0 && value <= 1e6)) return -1;
        if (means(p, (size_t)(colon - p), source)) return value;
        p += item + (p[item] == ',');
    }
    return 1;
}

static motet_status check_weights(const char *weights, motet_corpus *const *corpora, int count) {
    if (!weights) return MOTET_OK;
    if (weight_of(weights, "") < 0)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "source weights '%.100s' are not name:number,... with numbers >= 0",
                          weights);
    for (const char *p = weights; *p;) {
        size_t item = strcspn(p, ",");
        int size = (int)((const char *)memrchr(p, ':', item) - p), known = 0;
        char names[300] = "";
        for (int c = 0; c < count; c++)
            for (int s = 0; s < motet_corpus_source_count(corpora[c]); s++) {
                const char *name = motet_corpus_source(corpora[c], s);
                size_t used = strlen(names);
                known |= means(p, (size_t)size, name);
                snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", name);
            }
        if (!known)
            return MOTET_FAIL(MOTET_E_USAGE, "no source is called '%.*s'; there are: %s", size, p,
                              names);
        p += item + (p[item] == ',');
    }
    return MOTET_OK;
}

static motet_status add_bar(motet_loader *l, uint32_t first) {
    if (l->bar_count == l->bar_capacity) {
        l->bar_capacity = 2 * l->bar_capacity + 4096;
        uint32_t *bars = realloc(l->bars, (size_t)l->bar_capacity * sizeof *bars);
        if (!bars) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the index of bars");
        l->bars = bars;
    }
    l->bars[l->bar_count++] = first;
    return MOTET_OK;
}

/* Notes where the bars of a piece begin, as far as a window may begin there. */
static motet_status index_piece(motet_loader *l, choice *c, const motet_event *events) {
    int64_t before = l->bar_count;
    for (int32_t i = 0; i < c->events; i++) {
        int room = c->events - i >= l->options.window / 2;
        if (events[i].type == MOTET_EVENT_BAR && (i == 0 || room))
            MOTET_TRY(add_bar(l, (uint32_t)i));
    }
    c->bar_count = (int32_t)(l->bar_count - before);
    if (c->bar_count == 0 || l->bars[before] != 0)
        return MOTET_FAIL(MOTET_E_DATA, "piece %lld of the corpus does not begin with a bar",
                          (long long)c->index);
    l->bar_first[c - l->choices] = before;
    return MOTET_OK;
}

static motet_status index_corpus(motet_loader *l, motet_corpus *corpus, double *total) {
    motet_event *events = NULL;
    int64_t capacity = 0;
    motet_status status = MOTET_OK;
    for (int64_t i = 0; i < motet_corpus_count(corpus) && status == MOTET_OK; i++) {
        const motet_piece *piece = motet_corpus_piece(corpus, i);
        int64_t count = motet_corpus_event_count(corpus, i);
        double weight = weight_of(l->options.weights, motet_corpus_source(corpus, piece->source));
        if (piece->split != l->options.split || !(weight > 0)) continue;
        if (count > INT32_MAX / 2) {
            status = MOTET_FAIL(MOTET_E_DATA, "piece %lld of the corpus is too long", (long long)i);
            break;
        }
        if (count > capacity) {
            motet_event *more = realloc(events, (size_t)count * sizeof *events);
            if (!more) {
                status = MOTET_FAIL(MOTET_E_MEMORY, "no memory for a piece");
                break;
            }
            events = more, capacity = count;
        }
        status = motet_corpus_read(events, corpus, i, 0, count);
        if (status != MOTET_OK) break;
        choice *c = &l->choices[l->choice_count];
        int64_t windows = (count + l->options.window - 1) / l->options.window;
        *total += weight * (double)windows;
        *c = (choice){.corpus = corpus, .index = i, .events = (int32_t)count, .upto = *total};
        status = index_piece(l, c, events);
        l->choice_count++;
    }
    free(events);
    return status;
}

motet_status motet_loader_make(motet_loader **loader, motet_corpus *const *corpora, int count,
                               const motet_loader_options *options) {
    *loader = NULL;
    if (options->rows < 1 || options->window < 1 || options->rows > 1 << 28)
        return MOTET_FAIL(MOTET_E_USAGE, "a batch of %d events in windows of %d", options->rows,
                          options->window);
    MOTET_TRY(check_weights(options->weights, corpora, count));
    int64_t pieces = 0;
    for (int i = 0; i < count; i++)
        pieces += motet_corpus_count(corpora[i]);
    motet_loader *l = calloc(1, sizeof *l);
    if (l) {
        l->options = *options;
        l->choices = malloc(((size_t)pieces + 1) * sizeof *l->choices);
        l->bar_first = malloc(((size_t)pieces + 1) * sizeof *l->bar_first);
    }
    if (!l || !l->choices || !l->bar_first) {
        motet_loader_free(l);
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for an index of %lld pieces",
                          (long long)pieces);
    }
    double total = 0;
    motet_status status = MOTET_OK;
    for (int i = 0; i < count && status == MOTET_OK; i++)
        status = index_corpus(l, corpora[i], &total);
    if (status == MOTET_OK && !l->choice_count)
        status = MOTET_FAIL(MOTET_E_USAGE, "no piece of the %s split is left to choose from",
                            options->split == MOTET_SPLIT_VALID ? "valid" : "train");
    l->options.weights = NULL; /* the caller's text; not needed any more */
    if (status != MOTET_OK) {
        motet_loader_free(l);
        return status;
    }
    for (int64_t i = 0; i < l->choice_count; i++)
        l->choices[i].bars = l->bars + l->bar_first[i];
    *loader = l;
    return MOTET_OK;
}

void motet_loader_free(motet_loader *loader) {
    if (!loader) return;
    free(loader->choices);
    free(loader->bar_first);
    free(loader->bars);
    free(loader);
}

static const choice *draw_choice(const motet_loader *l, motet_rng *rng) {
    uint64_t high = motet_rng_u32(rng) >> 5, low = motet_rng_u32(rng) >> 6;
    double at = (double)(high << 26 | low) * 0x1p-53 * l->choices[l->choice_count - 1].upto;
    int64_t first = 0, last = l->choice_count - 1;
    while (first < last) {
        int64_t middle = first + (last - first) / 2;
        if (l->choices[middle].upto > at)
            last = middle;
        else
            first = middle + 1;
    }
    return &l->choices[first];
}

static motet_status reserve(motet_batch *batch, int32_t rows) {
    if (batch->event_capacity < rows) {
        motet_event *events = realloc(batch->events, (size_t)rows * sizeof *events);
        if (!events) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a batch of %d events", rows);
        batch->events = events, batch->event_capacity = rows;
    }
    if (batch->window_count == batch->window_capacity) {
        int32_t capacity = 2 * batch->window_capacity + 16;
        motet_window *windows = realloc(batch->windows, (size_t)capacity * sizeof *windows);
        if (!windows) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %d windows", capacity);
        batch->windows = windows, batch->window_capacity = capacity;
    }
    return MOTET_OK;
}

motet_status motet_loader_batch(motet_batch *batch, motet_loader *loader, int64_t step, int rank) {
    if (step < 0 || step >= (int64_t)1 << 40 || rank < 0 || rank > 65535)
        return MOTET_FAIL(MOTET_E_USAGE, "there is no batch for step %lld of rank %d",
                          (long long)step, rank);
    motet_rng rng =
        motet_rng_make(loader->options.seed, STREAM_MARK | (uint64_t)rank << 40 | (uint64_t)step);
    batch->window_count = batch->rows = 0;
    while (batch->rows < loader->options.rows) {
        MOTET_TRY(reserve(batch, loader->options.rows));
        const choice *c = draw_choice(loader, &rng);
        uint32_t opening = motet_rng_below(&rng, 4);
        uint32_t bar = motet_rng_below(&rng, (uint32_t)c->bar_count);
        uint32_t caption = motet_rng_u32(&rng);
        if (!opening) bar = 0;
        int32_t first = (int32_t)c->bars[bar], count = c->events - first;
        if (count > loader->options.window) count = loader->options.window;
        if (count > loader->options.rows - batch->rows) count = loader->options.rows - batch->rows;
        motet_window *w = &batch->windows[batch->window_count++];
        *w = (motet_window){.piece = motet_corpus_piece(c->corpus, c->index),
                            .piece_index = c->index,
                            .events = batch->events + batch->rows,
                            .count = count,
                            .first_bar = (int32_t)bar};
        MOTET_TRY(
            motet_corpus_read(batch->events + batch->rows, c->corpus, c->index, first, count));
        int captions = motet_corpus_caption_count(c->corpus, c->index);
        MOTET_TRY(motet_corpus_caption(w->caption, MOTET_CAPTION_BYTES, c->corpus, c->index,
                                       (int)((uint64_t)caption * (uint64_t)captions >> 32)));
        batch->rows += count;
    }
    return MOTET_OK;
}

void motet_batch_free(motet_batch *batch) {
    free(batch->windows);
    free(batch->events);
    *batch = (motet_batch){0};
}
