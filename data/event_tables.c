/* event_tables: the values that event fields stand for. The order of every table is part of the
 * corpus and checkpoint formats. */
#include <math.h>
#include <stdio.h>

#include "data/events.h"

/* 4/4 first, then by use in scores. 1/8 and 1/16 let a reader spell every bar that is a multiple of
 * a sixteenth as a few listed ones. */
static const uint8_t metres[MOTET_METRES][2] = {
    {4, 4}, {3, 4}, {2, 4}, {6, 8}, {2, 2},  {3, 8},  {9, 8},  {12, 8}, {3, 2},
    {6, 4}, {5, 4}, {4, 2}, {7, 8}, {5, 8},  {1, 4},  {1, 8},  {4, 8},  {2, 8},
    {7, 4}, {8, 4}, {1, 2}, {8, 8}, {9, 16}, {6, 16}, {3, 16}, {1, 16},
};

void motet_metre_at(int index, int *numerator, int *denominator) {
    if (index < 0 || index >= MOTET_METRES) index = 0;
    *numerator = metres[index][0];
    *denominator = metres[index][1];
}

int motet_metre_index(int numerator, int denominator) {
    for (int i = 0; i < MOTET_METRES; i++)
        if (metres[i][0] == numerator && metres[i][1] == denominator) return i;
    return -1;
}

double motet_tempo_bpm(int bin) {
    if (bin < 0) bin = 0;
    if (bin >= MOTET_TEMPOS) bin = MOTET_TEMPOS - 1;
    return 16.0 * exp2(bin / 12.0);
}

int motet_tempo_bin(double bpm) {
    if (!(bpm > 16.0)) return 0; /* also NaN */
    if (bpm >= 256.0) return MOTET_TEMPOS - 1;
    return (int)lround(12.0 * log2(bpm / 16.0));
}

int motet_duration_ticks(int index) {
    if (index < 0) index = 0;
    if (index >= MOTET_DURATIONS) index = MOTET_DURATIONS - 1;
    if (index < 24) return index + 1;
    if (index < 36) return 24 + 2 * (index - 23);
    if (index < 48) return 48 + 4 * (index - 35);
    if (index < 60) return 96 + 8 * (index - 47);
    return 192 + 48 * (index - 59);
}

int motet_duration_index(int ticks) {
    int low = 0, high = MOTET_DURATIONS - 1; /* the last entry <= ticks, or 0 */
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (motet_duration_ticks(middle) <= ticks)
            low = middle;
        else
            high = middle - 1;
    }
    if (low == MOTET_DURATIONS - 1) return low;
    int below = ticks - motet_duration_ticks(low), above = motet_duration_ticks(low + 1) - ticks;
    return below <= above ? low : low + 1;
}

static const uint8_t density_lowest[MOTET_DENSITIES] = {0,  1,  2,  3,  4,  5,  7,  9,
                                                        12, 16, 21, 28, 37, 49, 65, 89};

int motet_density_level(int notes) {
    int level = MOTET_DENSITIES - 1;
    while (level > 0 && notes < density_lowest[level])
        level--;
    return level;
}

int motet_density_notes_min(int level) {
    if (level < 0) level = 0;
    if (level >= MOTET_DENSITIES) level = MOTET_DENSITIES - 1;
    return density_lowest[level];
}

int motet_density_notes_max(int level) {
    if (level >= MOTET_DENSITIES - 1) return INT32_MAX;
    return motet_density_notes_min(level + 1) - 1;
}

int motet_echo_bars(int echo) {
    if (echo <= 0 || echo >= MOTET_ECHOES) return 0;
    return echo <= 8 ? echo : echo == 9 ? 12 : 16;
}

void motet_chord_name(int chord, char *buffer, int size) {
    static const char *const roots[12] = {"C",  "C#", "D",  "Eb", "E",  "F",
                                          "F#", "G",  "Ab", "A",  "Bb", "B"};
    static const char *const suffixes[MOTET_CHORD_QUALITIES] = {
        "", "m", "7", "maj7", "m7", "dim", "m7b5", "dim7", "aug", "sus4"};
    if (size <= 0) return;
    if (chord < 0 || chord >= MOTET_CHORD_NONE)
        snprintf(buffer, (size_t)size, "N.C.");
    else
        snprintf(buffer, (size_t)size, "%s%s", roots[chord % 12], suffixes[chord / 12]);
}
