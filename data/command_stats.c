#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/analysis.h"
#include "data/command.h"
#include "data/corpus.h"

/* Fields as one list: the type, six of a BAR, five of a NOTE. A bigram is a value given the value
 * of the same field in the last event of its type (for the type: in the last event). */
#define FIELDS (1 + MOTET_BAR_FIELDS + MOTET_NOTE_FIELDS)
#define VALUES 192
static const char *const NAMES[FIELDS] = {"type",    "metre", "tempo",    "chord",
                                          "section", "echo",  "density",  "position",
                                          "program", "pitch", "duration", "velocity"};

typedef struct field_counts {
    int64_t one[VALUES], two[VALUES][VALUES];
    int last; /* -1 at a piece's start */
} field_counts;

#define BAR_NOTES 1024 /* the last slot: so many or more */

typedef struct statistics {
    field_counts fields[FIELDS];
    int64_t types[MOTET_EVENT_TYPES];
    int64_t bar_notes[BAR_NOTES + 1];
    int64_t bars, silent, echoes, pieces;
    double notes_time, outside_time;
} statistics;

static void count_value(field_counts *f, int value) {
    f->one[value]++;
    if (f->last >= 0) f->two[f->last][value]++;
    f->last = value;
}

/* Whether a pitch is outside the scale: minor counts both sixths and sevenths as inside. */
static int is_outside(int pitch, int key) {
    static const char MAJOR[] = "101011010101", MINOR[] = "101101011111";
    return (key < 12 ? MAJOR : MINOR)[(pitch + 12 - key % 12) % 12] == '0';
}

static void count_note(statistics *s, const motet_event *e, int key) {
    if (e->field[MOTET_NOTE_PROGRAM] == MOTET_PROGRAM_DRUMS || key > 23) return;
    double time = motet_duration_ticks(e->field[MOTET_NOTE_DURATION]);
    s->notes_time += time;
    if (is_outside(e->field[MOTET_NOTE_PITCH], key)) s->outside_time += time;
}

static void close_bar(statistics *s, int notes) {
    s->bars++;
    s->silent += notes == 0;
    s->bar_notes[notes < BAR_NOTES ? notes : BAR_NOTES]++;
}

static void count_piece(statistics *s, const motet_event *events, int64_t count, int key) {
    int notes = -1; /* before the first bar */
    s->pieces++;
    for (int i = 0; i < FIELDS; i++)
        s->fields[i].last = -1;
    for (int64_t i = 0; i < count; i++) {
        const motet_event *e = &events[i];
        int first = e->type == MOTET_EVENT_BAR ? 1 : 1 + MOTET_BAR_FIELDS;
        int fields = e->type == MOTET_EVENT_BAR    ? MOTET_BAR_FIELDS
                     : e->type == MOTET_EVENT_NOTE ? MOTET_NOTE_FIELDS
                                                   : 0;
        s->types[e->type]++;
        count_value(&s->fields[0], e->type);
        for (int k = 0; k < fields; k++)
            count_value(&s->fields[first + k], e->field[k]);
        if (e->type == MOTET_EVENT_BAR) {
            if (notes >= 0) close_bar(s, notes);
            notes = 0;
            s->echoes += e->field[MOTET_BAR_ECHO] != 0;
        }
        if (e->type == MOTET_EVENT_NOTE) {
            notes++;
            count_note(s, e, key);
        }
    }
    if (notes >= 0) close_bar(s, notes);
}

/* Entropies in nats: of a value, and of a value when the one before is known. */
static void entropies(double *one, double *two, const field_counts *f) {
    double total = 0, sum = 0, joint_total = 0, joint = 0;
    for (int i = 0; i < VALUES; i++) {
        double row_total = 0, row = 0;
        if (f->one[i])
            total += (double)f->one[i], sum += (double)f->one[i] * log((double)f->one[i]);
        for (int k = 0; k < VALUES; k++) {
            double n = (double)f->two[i][k];
            if (n > 0) row_total += n, row += n * log(n);
        }
        if (row_total > 0) joint += row_total * log(row_total) - row, joint_total += row_total;
    }
    *one = total > 0 ? log(total) - sum / total : 0;
    *two = joint_total > 0 ? joint / joint_total : 0;
}

static int quantile(const statistics *s, double share) {
    int64_t upto = 0;
    for (int i = 0; i <= BAR_NOTES; i++) {
        upto += s->bar_notes[i];
        if ((double)upto >= share * (double)s->bars) return i;
    }
    return BAR_NOTES;
}

static void print_statistics(const statistics *s) {
    static const char *const TYPES[] = {"bars", "notes", "ends", "span starts", "span ends"};
    int64_t events = 0;
    double event_one = 0, event_two = 0;
    for (int i = 0; i < MOTET_EVENT_TYPES; i++)
        events += s->types[i];
    printf("%lld pieces, %lld events:", (long long)s->pieces, (long long)events);
    for (int i = 0; i < MOTET_EVENT_TYPES; i++)
        if (s->types[i]) printf(" %lld %s", (long long)s->types[i], TYPES[i]);
    printf("\n\nfield      unigram   bigram   nats, and nats an event with all its fields\n");
    for (int i = 0; i < FIELDS; i++) {
        double one, two;
        entropies(&one, &two, &s->fields[i]);
        double share = i == 0                  ? 1
                       : i <= MOTET_BAR_FIELDS ? (double)s->types[0] / (double)events
                                               : (double)s->types[1] / (double)events;
        event_one += share * one, event_two += share * two;
        printf("%-10s %7.3f  %7.3f\n", NAMES[i], one, two);
    }
    printf("%-10s %7.3f  %7.3f\n\n", "an event", event_one, event_two);
    printf("notes a bar: 5 %% %d, 25 %% %d, 50 %% %d, 75 %% %d, 95 %% %d, 99 %% %d\n",
           quantile(s, .05), quantile(s, .25), quantile(s, .5), quantile(s, .75), quantile(s, .95),
           quantile(s, .99));
    printf("silent bars %.3f, bars that echo an earlier one %.3f, time outside the key %.3f\n",
           (double)s->silent / (double)s->bars, (double)s->echoes / (double)s->bars,
           s->notes_time > 0 ? s->outside_time / s->notes_time : 0.0);
}

static motet_status count_corpus(statistics *s, motet_corpus *corpus, int split) {
    motet_status status = MOTET_OK;
    for (int64_t i = 0; status == MOTET_OK && i < motet_corpus_count(corpus); i++) {
        const motet_piece *piece = motet_corpus_piece(corpus, i);
        int64_t count = motet_corpus_event_count(corpus, i);
        if (split >= 0 && piece->split != split) continue;
        motet_event *events = malloc((size_t)count * sizeof *events + 1);
        if (!events) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a piece");
        status = motet_corpus_read(events, corpus, i, 0, count);
        if (status == MOTET_OK) count_piece(s, events, count, piece->key);
        free(events);
    }
    if (status == MOTET_OK && !s->bars)
        status = MOTET_FAIL(MOTET_E_USAGE, "there is no piece to count");
    return status;
}

int motet_command_stats(int argc, char **argv) {
    const char *split = "all";
    int positionals, help;
    const motet_flag flags[] = {
        {"--split", MOTET_FLAG_TEXT, &split, 0, 0, "NAME", "train, valid or all (default all)"},
    };
    const motet_command command = {"stats",
                                   "CORPUS.h5",
                                   "Prints how a corpus's events are distributed: what a model has "
                                   "to beat, and what its music should look like.",
                                   flags,
                                   sizeof flags / sizeof *flags,
                                   1,
                                   1};
    motet_corpus *corpus = NULL;
    statistics *s = NULL;
    motet_status status = motet_command_parse(&positionals, &help, &command, argc, argv);
    if (help) return 0;
    int which = !strcmp(split, "train")   ? MOTET_SPLIT_TRAIN
                : !strcmp(split, "valid") ? MOTET_SPLIT_VALID
                : !strcmp(split, "all")   ? -1
                                          : -2;
    if (status == MOTET_OK && which == -2)
        status = MOTET_FAIL(MOTET_E_USAGE, "--split is train, valid or all, not '%.60s'", split);
    if (status == MOTET_OK) status = motet_corpus_open(&corpus, argv[1], 1);
    if (status == MOTET_OK && !(s = calloc(1, sizeof *s)))
        status = MOTET_FAIL(MOTET_E_MEMORY, "no memory to count");
    if (status == MOTET_OK) status = count_corpus(s, corpus, which);
    if (status == MOTET_OK) print_statistics(s);
    free(s);
    motet_corpus_close(corpus);
    return status == MOTET_OK ? 0 : motet_command_fail(status);
}
