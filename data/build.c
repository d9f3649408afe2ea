#include "data/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "data/build_parts.h"

/* Notes seen so far: a set by open addressing. */
typedef struct hash_set {
    uint64_t *slots; /* 0: empty */
    uint64_t mask, used;
} hash_set;

typedef struct build {
    const motet_build_options *options;
    const motet_build_list *list;
    motet_build_report *report;
    motet_corpus_writer *writer;
    hash_set seen;
    double start;
} build;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int insert(hash_set *set, uint64_t hash) {
    if (!hash) hash = 1;
    uint64_t at = hash & set->mask;
    for (; set->slots[at]; at = (at + 1) & set->mask)
        if (set->slots[at] == hash) return 0;
    set->slots[at] = hash;
    set->used++;
    return 1;
}

static motet_status make_set(hash_set *set, int64_t most) {
    uint64_t slots = 64;
    while (slots < 2 * (uint64_t)most)
        slots *= 2;
    set->slots = calloc(slots, sizeof *set->slots);
    set->mask = slots - 1;
    return set->slots ? MOTET_OK : MOTET_FAIL(MOTET_E_MEMORY, "no memory to find copies");
}

static void count_reason(motet_build_report *report, const char *text, const char *example) {
    int i = 0;
    while (i < report->reason_count && strcmp(report->reasons[i].text, text) != 0)
        i++;
    if (i == report->reason_count) {
        if (i == MOTET_BUILD_REASONS - 1) text = "other reasons";
        if (i == MOTET_BUILD_REASONS) {
            i = MOTET_BUILD_REASONS - 1;
        } else {
            motet_build_reason *reason = &report->reasons[report->reason_count++];
            snprintf(reason->text, sizeof reason->text, "%s", text);
            snprintf(reason->example, sizeof reason->example, "%s", example);
        }
    }
    report->reasons[i].files++;
}

static motet_status append(build *b, const motet_build_piece *piece) {
    const char *captions[MOTET_BUILD_MAX_VARIANTS];
    const char *text = piece->captions;
    for (int k = 0; k < piece->head.caption_count; k++, text += strlen(text) + 1)
        captions[k] = text;
    MOTET_TRY(motet_corpus_append(b->writer, &piece->head.piece, piece->events,
                                  piece->head.event_count, captions, piece->head.caption_count));
    b->report->pieces++;
    b->report->valid_pieces += piece->head.piece.split == MOTET_SPLIT_VALID;
    b->report->events += piece->head.event_count;
    b->report->captions += piece->head.caption_count;
    b->report->repaired += piece->head.repaired != 0;
    b->report->cut += piece->head.cut != 0;
    return MOTET_OK;
}

static motet_status take(void *user, const motet_build_piece *piece) {
    build *b = user;
    const char *path = b->list->files[piece->head.file].path;
    b->report->done++;
    if (!piece->head.kept)
        count_reason(b->report, piece->head.reason, path);
    else if (!insert(&b->seen, piece->head.piece.note_hash))
        count_reason(b->report, "the same notes as an earlier file", path);
    else
        MOTET_TRY(append(b, piece));
    b->report->seconds = now() - b->start;
    if (b->options->progress) b->options->progress(b->options->user, b->report);
    return MOTET_OK;
}

static int by_files(const void *a, const void *b) {
    const motet_build_reason *x = a, *y = b;
    if (x->files != y->files) return x->files > y->files ? -1 : 1;
    return strcmp(x->text, y->text);
}

static motet_status build_list(build *b) {
    motet_build_report *report = b->report;
    report->files = b->list->count;
    report->captions_unmatched = b->list->captions_unmatched;
    for (int64_t i = 0; i < b->list->count; i++)
        report->labelled += b->list->files[i].labelled;
    MOTET_TRY(make_set(&b->seen, b->list->count));
    MOTET_TRY(motet_corpus_writer_open(&b->writer, b->options->output,
                                       (const char *const *)b->list->sources, b->list->source_count,
                                       b->options->archive));
    motet_status status = motet_build_pool_run(b->list, b->options, take, b);
    if (status == MOTET_OK && !report->pieces)
        status = MOTET_FAIL(MOTET_E_USAGE, "none of %lld files could be used (%s)",
                            (long long)report->files, report->reasons[0].text);
    report->interrupted = b->options->stop && *b->options->stop;
    if (status == MOTET_OK)
        status = motet_corpus_writer_close(b->writer);
    else
        motet_corpus_writer_abandon(b->writer);
    report->seconds = now() - b->start;
    qsort(report->reasons, (size_t)report->reason_count, sizeof *report->reasons, by_files);
    return status;
}

motet_status motet_build(motet_build_report *report, const motet_build_options *options) {
    *report = (motet_build_report){0};
    if (options->jobs < 1 || options->jobs > 256)
        return MOTET_FAIL(MOTET_E_USAGE, "%d jobs; it has to be 1 to 256", options->jobs);
    if (options->variants < 1 || options->variants > MOTET_BUILD_MAX_VARIANTS)
        return MOTET_FAIL(MOTET_E_USAGE, "%d captions a piece; it has to be 1 to %d",
                          options->variants, MOTET_BUILD_MAX_VARIANTS);
    if (options->valid_percent < 0 || options->valid_percent > 100)
        return MOTET_FAIL(MOTET_E_USAGE, "%d %% for validation; it has to be 0 to 100",
                          options->valid_percent);
    motet_build_list list;
    build b = {.options = options, .list = &list, .report = report, .start = now()};
    MOTET_TRY(motet_build_list_make(&list, options));
    motet_status status = build_list(&b);
    free(b.seen.slots);
    motet_build_list_free(&list);
    return status;
}
