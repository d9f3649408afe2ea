#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/analysis.h"
#include "data/command.h"
#include "data/corpus.h"
#include "data/instrument.h"

/* Histograms over the pieces; the last slot of a key's is "no key". */
typedef struct census {
    int64_t events, bars, notes, captions, split[2];
    int64_t metres[MOTET_METRES], keys[25], tempos[MOTET_TEMPOS], programs[MOTET_PROGRAMS];
    int64_t *source_pieces, *source_events, *source_valid;
} census;

static motet_status take_census(census *c, const motet_corpus *corpus) {
    size_t sources = (size_t)motet_corpus_source_count(corpus);
    *c = (census){0};
    c->source_pieces = calloc(3 * sources, sizeof *c->source_pieces);
    if (!c->source_pieces) return MOTET_FAIL(MOTET_E_MEMORY, "no memory to count");
    c->source_events = c->source_pieces + sources;
    c->source_valid = c->source_events + sources;
    for (int64_t i = 0; i < motet_corpus_count(corpus); i++) {
        const motet_piece *p = motet_corpus_piece(corpus, i);
        int64_t events = motet_corpus_event_count(corpus, i);
        c->events += events, c->bars += p->bars, c->notes += p->notes;
        c->captions += motet_corpus_caption_count(corpus, i);
        c->split[p->split]++;
        c->metres[p->metre]++;
        c->keys[p->key == MOTET_NO_KEY ? 24 : p->key]++;
        c->tempos[motet_tempo_bin((double)p->tempo_bpm)]++;
        c->source_pieces[p->source]++;
        c->source_events[p->source] += events;
        c->source_valid[p->source] += p->split == MOTET_SPLIT_VALID;
        for (int k = 0; k < MOTET_PROGRAMS; k++)
            c->programs[k] += motet_piece_has_program(p, k);
    }
    return MOTET_OK;
}

static void name_value(char name[64], int table, int i) {
    int numerator, denominator;
    switch (table) {
    case 0:
        motet_metre_at(i, &numerator, &denominator);
        snprintf(name, 64, "%d/%d", numerator, denominator);
        break;
    case 1:
        snprintf(name, 64, "%s", motet_key_name(i == 24 ? MOTET_NO_KEY : i));
        break;
    case 2:
        snprintf(name, 64, "%.0f", motet_tempo_bpm(i));
        break;
    default:
        snprintf(name, 64, "%s", motet_program_name(i));
        break;
    }
}

static const char *const TABLES[] = {"metres", "keys", "tempos", "programs"};

static const int64_t *table_of(const census *c, int table, int *size) {
    static const int SIZES[] = {MOTET_METRES, 25, MOTET_TEMPOS, MOTET_PROGRAMS};
    *size = SIZES[table];
    return table == 0 ? c->metres : table == 1 ? c->keys : table == 2 ? c->tempos : c->programs;
}

/* The values that occur, most frequent first, except that tempos keep their order. */
static void print_table(const census *c, int table, int64_t pieces) {
    int size;
    const int64_t *counts = table_of(c, table, &size);
    unsigned char done[MOTET_PROGRAMS] = {0};
    printf("\n%s (pieces, %% of them)\n", TABLES[table]);
    for (;;) {
        int best = -1;
        char name[64];
        for (int i = 0; i < size; i++)
            if (counts[i] && !done[i] && (best < 0 || (table != 2 && counts[i] > counts[best])))
                best = i;
        if (best < 0) break;
        done[best] = 1;
        name_value(name, table, best);
        printf("  %-24s %7lld  %5.1f\n", name, (long long)counts[best],
               100.0 * (double)counts[best] / (double)pieces);
    }
}

static void print_text(const char *path, const motet_corpus *corpus, const census *c) {
    int64_t pieces = motet_corpus_count(corpus);
    printf("%s\n  sha256    %s\n", path, motet_corpus_sha256(corpus));
    printf("  pieces    %lld (%lld for training, %lld for validation)\n", (long long)pieces,
           (long long)c->split[MOTET_SPLIT_TRAIN], (long long)c->split[MOTET_SPLIT_VALID]);
    printf("  events    %lld: %lld bars, %lld notes\n", (long long)c->events, (long long)c->bars,
           (long long)c->notes);
    printf("  captions  %lld\n\nsources (pieces, of them for validation, events)\n",
           (long long)c->captions);
    for (int s = 0; s < motet_corpus_source_count(corpus); s++)
        printf("  %-24s %7lld  %6lld  %10lld\n", motet_corpus_source(corpus, s),
               (long long)c->source_pieces[s], (long long)c->source_valid[s],
               (long long)c->source_events[s]);
    for (int table = 0; table < 4; table++)
        print_table(c, table, pieces);
}

static motet_status print_json(const char *path, const motet_corpus *corpus, const census *c) {
    json_t *object = json_pack(
        "{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "file", path, "sha256",
        motet_corpus_sha256(corpus), "pieces", (json_int_t)motet_corpus_count(corpus), "train",
        (json_int_t)c->split[MOTET_SPLIT_TRAIN], "valid", (json_int_t)c->split[MOTET_SPLIT_VALID],
        "events", (json_int_t)c->events, "bars", (json_int_t)c->bars, "notes", (json_int_t)c->notes,
        "captions", (json_int_t)c->captions);
    json_t *sources = json_array();
    for (int s = 0; s < motet_corpus_source_count(corpus); s++)
        json_array_append_new(sources,
                              json_pack("{s:s,s:I,s:I,s:I}", "name", motet_corpus_source(corpus, s),
                                        "pieces", (json_int_t)c->source_pieces[s], "valid",
                                        (json_int_t)c->source_valid[s], "events",
                                        (json_int_t)c->source_events[s]));
    json_object_set_new(object, "sources", sources);
    for (int table = 0; table < 4; table++) {
        int size;
        const int64_t *counts = table_of(c, table, &size);
        json_t *values = json_object();
        for (int i = 0; i < size; i++) {
            char name[64];
            name_value(name, table, i);
            if (counts[i]) json_object_set_new(values, name, json_integer(counts[i]));
        }
        json_object_set_new(object, TABLES[table], values);
    }
    if (!object) return MOTET_FAIL(MOTET_E_DATA, "%s: its name or a source is not UTF-8", path);
    int unwritten = json_dumpf(object, stdout, JSON_INDENT(2));
    json_decref(object);
    if (unwritten) return MOTET_FAIL(MOTET_E_IO, "cannot write to standard output");
    putchar('\n');
    return MOTET_OK;
}

motet_status motet_inspect_corpus(const char *path, int json) {
    motet_corpus *corpus;
    census c;
    MOTET_TRY(motet_corpus_open(&corpus, path, 1));
    motet_status status = take_census(&c, corpus);
    if (status == MOTET_OK && json) status = print_json(path, corpus, &c);
    if (status == MOTET_OK && !json) print_text(path, corpus, &c);
    free(c.source_pieces);
    motet_corpus_close(corpus);
    return status;
}
