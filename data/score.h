/* score: a piece as bars and notes on the grid of 24 ticks a quarter, the form that everything
 * musical works on. MIDI in and out, analysis, events and post-processing all meet here.
 *
 * Time is in ticks of 1/24 quarter from the start of bar 0. Bars are contiguous: bar i+1 starts
 * where bar i ends, and every bar's length is that of its metre, so a pickup is a full first bar
 * with silence in front. Notes are sorted by (start, program, pitch) and unique in that triple;
 * no note starts before tick 0 or after the last bar. Notes may ring past the last bar.
 */
#ifndef MOTET_DATA_SCORE_H
#define MOTET_DATA_SCORE_H

#include <stdint.h>

#include "kernels/core/status.h"

#define MOTET_TICKS_PER_QUARTER 24
#define MOTET_PROGRAM_DRUMS 128 /* programs 0..127 are General MIDI; 128 is the drum kit */
#define MOTET_MAX_BAR_TICKS 192
#define MOTET_NO_KEY 255

typedef struct motet_note {
    int32_t start_ticks;
    int32_t duration_ticks; /* >= 1 */
    uint8_t program;        /* 0..128 */
    uint8_t pitch;          /* 0..127 */
    uint8_t velocity;       /* 1..127 */
} motet_note;

typedef struct motet_bar {
    int32_t start_ticks;
    uint8_t numerator;   /* of the metre as it is written, 1..24 */
    uint8_t denominator; /* 1, 2, 4, 8, 16 */
    float tempo_bpm;     /* quarters a minute in force at the bar's start, 4..1000 */
} motet_bar;

/* A tempo change, kept exactly beside the bars' rounded view of it. Sorted; the first is at 0. */
typedef struct motet_tempo {
    int32_t start_ticks;
    double bpm;
} motet_tempo;

typedef struct motet_score {
    motet_note *notes;
    motet_bar *bars;
    motet_tempo *tempos;
    int32_t note_count, bar_count, tempo_count;
    uint8_t key; /* as the file or the analysis says: 0..11 major on C..B, 12..23 minor on C..B; or
                    MOTET_NO_KEY */
    char title[128]; /* UTF-8, "" if none */
} motet_score;

/* Bar length in ticks of a metre: 96 * numerator / denominator. */
static inline int32_t motet_metre_ticks(int numerator, int denominator) {
    return 4 * MOTET_TICKS_PER_QUARTER * numerator / denominator;
}

/* Ticks from tick 0 to the end of the last bar. */
int32_t motet_score_ticks(const motet_score *score);

/* The bar that holds a tick; the last bar for every tick after it. */
int32_t motet_score_bar_at(const motet_score *score, int32_t tick);

/* Seconds from tick 0 to a tick by the tempo map. */
double motet_score_seconds(const motet_score *score, int32_t tick);

/* Sorts notes, merges duplicates (same start, program, pitch: longest duration, loudest velocity).
 * Afterwards the order in the contract above holds. */
void motet_score_sort(motet_score *score);

/* Frees the three arrays and zeroes the struct. Scores own their arrays (malloc). NULL is fine. */
void motet_score_free(motet_score *score);

#endif
