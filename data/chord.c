/* chord: the one chord that names a bar best, by template matching. */
#include <stdlib.h>

#include "data/analysis_parts.h"

/* What sounds in one bar. */
typedef struct bar_sound {
    int32_t ticks[12]; /* that each pitch class sounds */
    uint8_t bass;      /* lowest pitch that sounds in the first beat; 255: none */
    uint8_t lowest;    /* lowest pitch of the bar; 255: none */
} bar_sound;

/* Chord tones above the root, by quality as in events.h; -1 fills up. The cost keeps rich chords
 * from winning by having more tones: a seventh must sound longer than that share of the bar. */
static const struct {
    int8_t tones[4];
    float cost;
    int strict; /* every tone must sound */
} qualities[MOTET_CHORD_QUALITIES] = {
    {{0, 4, 7, -1}, 0.00f, 0}, {{0, 3, 7, -1}, 0.01f, 0}, {{0, 4, 7, 10}, 0.10f, 0},
    {{0, 4, 7, 11}, 0.14f, 1}, {{0, 3, 7, 10}, 0.13f, 1}, {{0, 3, 6, -1}, 0.06f, 1},
    {{0, 3, 6, 10}, 0.12f, 1}, {{0, 3, 6, 9}, 0.10f, 1},  {{0, 4, 8, -1}, 0.08f, 1},
    {{0, 5, 7, -1}, 0.10f, 1},
};

static int name_chord(const bar_sound *sound) {
    int64_t sum = 0;
    int classes = 0;
    for (int i = 0; i < 12; i++) {
        sum += sound->ticks[i];
        classes += sound->ticks[i] > 0;
    }
    if (classes < 2) return MOTET_CHORD_NONE; /* silence or a lone note could be anything */
    int bass = (sound->bass != 255 ? sound->bass : sound->lowest) % 12;
    float best = 0.62f; /* below that, too much of the bar lies outside any chord */
    int chord = MOTET_CHORD_NONE;
    for (int quality = 0; quality < MOTET_CHORD_QUALITIES; quality++) {
        for (int turn = 0; turn < 12; turn++) {
            int root = (bass + turn) % 12; /* so that ties transpose with the music */
            float fit = -qualities[quality].cost;
            int64_t inside = 0; /* whole ticks: turns of one chord must tie exactly */
            int bass_inside = 0, missing = 0;
            for (int t = 0; t < 4 && qualities[quality].tones[t] >= 0; t++) {
                int pitch_class = (root + qualities[quality].tones[t]) % 12;
                inside += sound->ticks[pitch_class];
                bass_inside |= pitch_class == bass;
                if (sound->ticks[pitch_class] * INT64_C(32) > sum) continue;
                missing = 1;
                /* A chord without its root or third is a guess; the fifth is dispensable. */
                fit -= t == 0 ? 0.20f : t == 1 ? 0.12f : t == 2 ? 0.04f : 0.20f;
            }
            if (missing && qualities[quality].strict) continue;
            fit += (float)inside / (float)sum + (bass == root  ? 0.12f
                                                 : bass_inside ? 0.02f
                                                               : -0.04f);
            if (fit > best) {
                best = fit;
                chord = quality * 12 + root;
            }
        }
    }
    return chord;
}

motet_status motet_chords_find(motet_bar_analysis *bars, const motet_score *score) {
    bar_sound *sounds = calloc((size_t)score->bar_count + 1, sizeof *sounds);
    if (!sounds) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %d bars", (int)score->bar_count);
    for (int32_t b = 0; b < score->bar_count; b++)
        sounds[b].bass = sounds[b].lowest = 255;
    int32_t bar = 0;
    for (int32_t i = 0; i < score->note_count; i++) {
        const motet_note *note = &score->notes[i];
        while (bar + 1 < score->bar_count && score->bars[bar + 1].start_ticks <= note->start_ticks)
            bar++;
        if (note->program == MOTET_PROGRAM_DRUMS) continue;
        int32_t end = motet_heard_end(note);
        for (int32_t b = bar; b < score->bar_count && score->bars[b].start_ticks < end; b++) {
            int32_t from = score->bars[b].start_ticks, to = from;
            to += motet_metre_ticks(score->bars[b].numerator, score->bars[b].denominator);
            int32_t begin = note->start_ticks > from ? note->start_ticks : from;
            bar_sound *sound = &sounds[b];
            sound->ticks[note->pitch % 12] += (end < to ? end : to) - begin;
            if (note->pitch < sound->lowest) sound->lowest = note->pitch;
            if (begin < from + MOTET_TICKS_PER_QUARTER && note->pitch < sound->bass)
                sound->bass = note->pitch;
        }
    }
    for (int32_t b = 0; b < score->bar_count; b++)
        bars[b].chord = (uint8_t)name_chord(&sounds[b]);
    free(sounds);
    return MOTET_OK;
}
