/* midi_bars: time signatures and notes -> bars that events can say, with the music on them. */
#include <stdlib.h>
#include <string.h>

#include "data/events.h"
#include "data/midi_take.h"

#define MAX_BARS 10000
#define STEP 6        /* every listed metre is a multiple of a sixteenth */
#define TAIL_TICKS 12 /* a note ringing less than this into a bar does not make it one */

typedef struct bar_list {
    motet_bar *bars;
    int32_t count, room;
    int32_t end; /* where the next bar starts */
} bar_list;

static int32_t bar_ticks(const motet_bar *bar) {
    return motet_metre_ticks(bar->numerator, bar->denominator);
}

static int same_metre(const motet_bar *a, const motet_bar *b) {
    return a->numerator == b->numerator && a->denominator == b->denominator;
}

static motet_status add_bar(bar_list *list, int numerator, int denominator, const char *name) {
    if (list->count == MAX_BARS)
        return MOTET_FAIL(MOTET_E_DATA, "%s: longer than %d bars", name, MAX_BARS);
    if (list->count == list->room) {
        int32_t room = list->room ? 2 * list->room : 256;
        motet_bar *grown = realloc(list->bars, (size_t)room * sizeof *grown);
        if (!grown) return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for its bars", name);
        list->bars = grown;
        list->room = room;
    }
    motet_bar *bar = &list->bars[list->count++];
    *bar = (motet_bar){list->end, (uint8_t)numerator, (uint8_t)denominator, 120};
    list->end += bar_ticks(bar);
    return MOTET_OK;
}

/* The listed metre of a length, in the denominator asked for if there is one, else in the usual
 * ones. 0 if none is listed. */
static int find_metre(int *numerator, int *denominator, int32_t ticks, int preferred) {
    const int tried[] = {preferred, 4, 8, 16, 2};
    for (int i = 0; i < 5; i++) {
        int32_t scaled = ticks * tried[i];
        if (tried[i] > 16 || scaled % 96 || motet_metre_index(scaled / 96, tried[i]) < 0) continue;
        *numerator = scaled / 96;
        *denominator = tried[i];
        return 1;
    }
    return 0;
}

/* Writes a bar of any multiple of STEP as listed ones, as few and as even as can be, the longest
 * first: so no split bar looks like a pickup when it is read again. */
static motet_status add_ticks(bar_list *list, int32_t ticks, int numerator, int denominator,
                              const char *name) {
    int n, d, compound = denominator >= 8 && numerator % 3 == 0 && numerator > 3;
    while (ticks > 2 * MOTET_MAX_BAR_TICKS) {
        int32_t piece = denominator >= 8 && compound ? 144 : MOTET_MAX_BAR_TICKS;
        if (!find_metre(&n, &d, piece, denominator)) n = 8, d = 4;
        MOTET_TRY(add_bar(list, n, d, name));
        ticks -= motet_metre_ticks(n, d);
    }
    if (ticks <= MOTET_MAX_BAR_TICKS && find_metre(&n, &d, ticks, denominator))
        return add_bar(list, n, d, name);
    for (int pass = !compound; pass < 2; pass++)
        for (int32_t piece = (ticks / 2 + STEP - 1) / STEP * STEP;
             piece <= MOTET_MAX_BAR_TICKS && piece < ticks; piece += STEP) {
            int n2, d2;
            if (pass == 0 && (piece % (288 / denominator) || ticks % (288 / denominator)))
                continue; /* groups of three stay whole */
            if (!find_metre(&n, &d, piece, denominator) ||
                !find_metre(&n2, &d2, ticks - piece, denominator))
                continue;
            MOTET_TRY(add_bar(list, n, d, name));
            return add_bar(list, n2, d2, name);
        }
    for (int32_t piece = MOTET_MAX_BAR_TICKS; ticks > 0;) {
        if (piece > ticks || !find_metre(&n, &d, piece, denominator)) {
            piece -= STEP;
            continue;
        }
        MOTET_TRY(add_bar(list, n, d, name));
        ticks -= piece;
    }
    return MOTET_OK;
}

static int32_t round_to_step(int64_t ticks) {
    return (int32_t)((ticks + STEP / 2) / STEP * STEP);
}

/* Bars for the metres, up to the first bar line at or after end. A bar that a new metre cuts short
 * is written in its real length, to a sixteenth, and the metre's start moved to its bar line. */
static motet_status build_bars(bar_list *list, motet_midi_report *report,
                               motet_metre_change *metres, int32_t count, int32_t end,
                               const char *name) {
    list->count = list->end = 0;
    for (int32_t i = 0; i < count && list->end < end; i++) {
        int n = metres[i].numerator, d = metres[i].denominator;
        metres[i].start_ticks = list->end;
        int32_t stop = i + 1 < count && metres[i + 1].start_ticks < end ? metres[i + 1].start_ticks
                                                                        : INT32_MAX;
        int listed = d <= 16 && motet_metre_index(n, d) >= 0;
        int32_t ticks = round_to_step(96 * (int64_t)n / d);
        if (ticks < STEP) ticks = STEP;
        while (list->end < end && list->end < stop) {
            int32_t left = stop == INT32_MAX ? ticks : round_to_step(stop - list->end);
            if (left < STEP) break;
            int32_t before = list->count;
            if (left < ticks)
                MOTET_TRY(add_ticks(list, left, 0, d, name));
            else if (listed)
                MOTET_TRY(add_bar(list, n, d, name));
            else
                MOTET_TRY(add_ticks(list, ticks, n, d, name));
            if (!listed && list->count - before > 1) report->metres_split++;
        }
    }
    /* Of a split bar, too, no part stays behind the end. */
    while (list->count > 1 && list->bars[list->count - 1].start_ticks >= end)
        list->end = list->bars[--list->count].start_ticks;
    return MOTET_OK;
}

/* The tick at which the last sound ends, as far as it makes bars. */
static int32_t end_of_notes(const motet_score *score) {
    int64_t end = 1;
    for (int32_t i = 0; i < score->note_count; i++) {
        const motet_note *note = &score->notes[i];
        int64_t tail = (int64_t)note->start_ticks + note->duration_ticks - TAIL_TICKS;
        if (tail < note->start_ticks + 1) tail = note->start_ticks + 1;
        if (tail > end) end = tail;
    }
    return (int32_t)(end < INT32_MAX / 2 ? end : INT32_MAX / 2);
}

/* Moves everything by ticks; what a negative shift takes before 0 has its last value from 0 on. */
static void shift_all(motet_score *score, motet_metre_change *metres, int32_t *metre_count,
                      int32_t ticks) {
    for (int32_t i = 0; i < score->note_count; i++)
        score->notes[i].start_ticks += ticks;
    int32_t first = 0;
    for (int32_t i = 0; i < score->tempo_count; i++) {
        int32_t moved = score->tempos[i].start_ticks + ticks;
        score->tempos[i].start_ticks = moved < 0 ? 0 : moved;
        if (moved <= 0) first = i;
    }
    score->tempo_count -= first;
    memmove(score->tempos, score->tempos + first,
            (size_t)score->tempo_count * sizeof *score->tempos);
    score->tempos[0].start_ticks = 0;
    first = 0;
    for (int32_t i = 0; i < *metre_count; i++) {
        int32_t moved = metres[i].start_ticks + ticks;
        metres[i].start_ticks = moved < 0 ? 0 : moved;
        if (moved <= 0) first = i;
    }
    *metre_count -= first;
    memmove(metres, metres + first, (size_t)*metre_count * sizeof *metres);
    metres[0].start_ticks = 0;
}

/* Two bars that are parts of one (a bar that ends a repeat and the pickup that begins the next) are
 * joined, if together they are as long as the bars before and after them. */
static void join_parts(bar_list *list) {
    int32_t kept = list->count ? 1 : 0;
    for (int32_t i = 1; i < list->count; i++) {
        motet_bar bar = list->bars[i], before = list->bars[kept - 1];
        int32_t whole = bar_ticks(&before);
        if (i + 2 < list->count && bar_ticks(&bar) != whole &&
            bar_ticks(&bar) + bar_ticks(&list->bars[i + 1]) == whole &&
            bar_ticks(&list->bars[i + 2]) == whole) {
            bar.numerator = before.numerator;
            bar.denominator = before.denominator;
            i++;
        }
        list->bars[kept++] = bar;
    }
    list->count = kept;
}

static void set_tempos(motet_score *score) {
    int32_t tempo = 0;
    for (int32_t i = 0; i < score->bar_count; i++) {
        while (tempo + 1 < score->tempo_count &&
               score->tempos[tempo + 1].start_ticks <= score->bars[i].start_ticks)
            tempo++;
        score->bars[i].tempo_bpm = (float)score->tempos[tempo].bpm;
    }
    int32_t end = motet_score_ticks(score);
    while (score->tempo_count > 1 && score->tempos[score->tempo_count - 1].start_ticks >= end)
        score->tempo_count--;
}

/* Drops metres that another one replaces at the same place. */
static int32_t drop_hidden(motet_metre_change *metres, int32_t count) {
    int32_t kept = 0;
    for (int32_t i = 0; i < count; i++)
        if (i + 1 == count || metres[i + 1].start_ticks > metres[i].start_ticks)
            metres[kept++] = metres[i];
    return kept;
}

/* How far to move the music, so that the first downbeat is at a bar line and the first bar is not
 * empty. *stated: the first bar is to have the metre of the second. */
static int32_t find_pickup(int *stated, const motet_score *score, const bar_list *list) {
    const motet_bar *bars = list->bars;
    int32_t first = bar_ticks(&bars[0]), other = 1;
    *stated = list->count > 2 && first < bar_ticks(&bars[1]) && same_metre(&bars[1], &bars[2]);
    if (*stated) return bar_ticks(&bars[1]) - first;
    /* Where time starts with the pickup all bars are askew, and the bar before the next metre is as
     * short as the pickup. */
    while (other < list->count && same_metre(&bars[other], &bars[0]))
        other++;
    int32_t end = other < list->count ? bars[other].start_ticks : list->end, hint = 0;
    if (other + 1 < list->count && bar_ticks(&bars[other]) < first) hint = bar_ticks(&bars[other]);
    int32_t pickup = motet_midi_pickup(score->notes, score->note_count, first, end, hint);
    return pickup == 0 ? 0 : score->notes[0].start_ticks < pickup ? first - pickup : -pickup;
}

static motet_status make_bars(motet_score *score, bar_list *list, motet_midi_report *report,
                              motet_metre_change *metres, int32_t metre_count, const char *name) {
    int32_t end = end_of_notes(score), before = report->metres_split;
    MOTET_TRY(build_bars(list, report, metres, metre_count, end, name));
    int32_t empty = 0, first_note = score->notes[0].start_ticks;
    while (empty + 1 < list->count && list->bars[empty + 1].start_ticks <= first_note)
        empty++;
    if (empty) {
        int32_t silence = list->bars[empty].start_ticks;
        shift_all(score, metres, &metre_count, -silence);
        end -= silence;
        report->metres_split = before;
        MOTET_TRY(build_bars(list, report, metres, metre_count, end, name));
    }
    join_parts(list);
    metre_count = drop_hidden(metres, metre_count);

    /* What is stated may leave something to the evidence; so would reading our own file again. */
    for (int pass = 0; pass < 4; pass++) {
        int stated;
        int32_t shift = find_pickup(&stated, score, list);
        if (!shift) break;
        if (stated) {
            metres[0].numerator = list->bars[1].numerator;
            metres[0].denominator = list->bars[1].denominator;
        }
        shift_all(score, metres, &metre_count, shift);
        end += shift;
        report->pickup_ticks = shift > 0 ? score->notes[0].start_ticks : 0;
        report->metres_split = before;
        MOTET_TRY(build_bars(list, report, metres, metre_count, end, name));
        join_parts(list);
        metre_count = drop_hidden(metres, metre_count);
    }
    return MOTET_OK;
}

motet_status motet_midi_bars(motet_score *score, motet_midi_report *report,
                             const motet_midi_take *take, const char *name) {
    bar_list list = {0};
    motet_metre_change *metres = malloc((size_t)take->metre_count * sizeof *metres);
    if (!metres) return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for its metres", name);
    memcpy(metres, take->metres, (size_t)take->metre_count * sizeof *metres);
    motet_status status = make_bars(score, &list, report, metres, take->metre_count, name);
    free(metres);
    if (status != MOTET_OK) {
        free(list.bars);
        return status;
    }
    score->bars = list.bars;
    score->bar_count = list.count;
    set_tempos(score);
    return MOTET_OK;
}
