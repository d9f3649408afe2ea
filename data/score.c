#include "data/score.h"

#include <stdlib.h>
#include <string.h>

int32_t motet_score_ticks(const motet_score *score) {
    if (score->bar_count < 1) return 0;
    const motet_bar *last = &score->bars[score->bar_count - 1];
    return last->start_ticks + motet_metre_ticks(last->numerator, last->denominator);
}

int32_t motet_score_bar_at(const motet_score *score, int32_t tick) {
    int32_t low = 0, high = score->bar_count - 1; /* the last bar that starts at or before tick */
    while (low < high) {
        int32_t middle = low + (high - low + 1) / 2;
        if (score->bars[middle].start_ticks <= tick)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

double motet_score_seconds(const motet_score *score, int32_t tick) {
    double seconds = 0, bpm = 120; /* what a MIDI file without a tempo means */
    int32_t from = 0;
    for (int32_t i = 0; i < score->tempo_count && score->tempos[i].start_ticks < tick; i++) {
        int32_t to = score->tempos[i].start_ticks;
        seconds += (to - from) * 60.0 / (MOTET_TICKS_PER_QUARTER * bpm);
        from = to;
        bpm = score->tempos[i].bpm;
    }
    return seconds + (tick - from) * 60.0 / (MOTET_TICKS_PER_QUARTER * bpm);
}

static int by_position(const void *left, const void *right) {
    const motet_note *a = left, *b = right;
    if (a->start_ticks != b->start_ticks) return a->start_ticks < b->start_ticks ? -1 : 1;
    if (a->program != b->program) return a->program - b->program;
    return a->pitch - b->pitch;
}

void motet_score_sort(motet_score *score) {
    if (score->note_count < 2) return;
    qsort(score->notes, (size_t)score->note_count, sizeof *score->notes, by_position);
    int32_t kept = 0;
    for (int32_t i = 1; i < score->note_count; i++) {
        motet_note *last = &score->notes[kept], *note = &score->notes[i];
        if (by_position(last, note) != 0) {
            score->notes[++kept] = *note;
            continue;
        }
        if (note->duration_ticks > last->duration_ticks)
            last->duration_ticks = note->duration_ticks;
        if (note->velocity > last->velocity) last->velocity = note->velocity;
    }
    score->note_count = kept + 1;
}

void motet_score_free(motet_score *score) {
    if (!score) return;
    free(score->notes);
    free(score->bars);
    free(score->tempos);
    memset(score, 0, sizeof *score);
}
