#include "data/analysis.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/analysis_parts.h"

const char *motet_tempo_word(double bpm) {
    static const struct {
        double below;
        const char *word;
    } words[] = {{40, "grave"},    {60, "largo"},    {66, "larghetto"},
                 {76, "adagio"},   {108, "andante"}, {120, "moderato"},
                 {156, "allegro"}, {176, "vivace"},  {200, "presto"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (bpm < words[i].below) return words[i].word;
    return "prestissimo";
}

/* The tempo in force for most of the time: the table's bin with the most seconds, and in it the
 * exact value with the most. A ritardando's many values so do not outvote the piece's own tempo. */
static double main_tempo(const motet_score *score) {
    if (score->tempo_count < 1) return score->bar_count > 0 ? score->bars[0].tempo_bpm : 120;
    double seconds[MOTET_TEMPOS] = {0};
    int32_t end = motet_score_ticks(score);
    int best = -1;
    for (int32_t i = 0; i < score->tempo_count; i++) {
        int32_t from = score->tempos[i].start_ticks;
        int32_t to = i + 1 < score->tempo_count ? score->tempos[i + 1].start_ticks : end;
        if (to > end) to = end;
        if (to <= from) continue;
        int bin = motet_tempo_bin(score->tempos[i].bpm);
        seconds[bin] += (to - from) / score->tempos[i].bpm;
        if (best < 0 || seconds[bin] > seconds[best]) best = bin;
    }
    if (best < 0) return score->tempos[0].bpm;
    double bpm = 0, longest = 0;
    for (int32_t i = 0; i < score->tempo_count; i++) {
        if (motet_tempo_bin(score->tempos[i].bpm) != best) continue;
        double here = 0; /* of this exact value; quadratic only in changes within one bin */
        for (int32_t j = i; j < score->tempo_count && j < i + 256; j++) {
            if (score->tempos[j].bpm != score->tempos[i].bpm) continue;
            int32_t to = j + 1 < score->tempo_count ? score->tempos[j + 1].start_ticks : end;
            if (to > end) to = end;
            if (to > score->tempos[j].start_ticks)
                here += (to - score->tempos[j].start_ticks) / score->tempos[j].bpm;
        }
        if (here > longest) longest = here, bpm = score->tempos[i].bpm;
    }
    return bpm > 0 ? bpm : motet_tempo_bpm(best);
}

/* Index of the metre of most bars; the earlier in the table wins a tie. */
static void main_metre(motet_analysis *analysis, const motet_score *score) {
    int32_t votes[25][5] = {{0}};
    int32_t best = 0;
    analysis->metre_numerator = analysis->metre_denominator = 4;
    for (int32_t b = 0; b < score->bar_count; b++) {
        int numerator = score->bars[b].numerator, denominator = score->bars[b].denominator;
        int power = 0;
        while (power < 4 && 1 << power < denominator)
            power++;
        if (numerator > 24 || 1 << power != denominator) continue;
        if (++votes[numerator][power] > best) {
            best = votes[numerator][power];
            analysis->metre_numerator = (uint8_t)numerator;
            analysis->metre_denominator = (uint8_t)denominator;
        }
    }
}

static void count_notes(motet_analysis *analysis, const motet_score *score) {
    int32_t bar = 0, sounding_end = 0;
    int64_t sounding = 0, ticks = 0, outside = 0;
    unsigned scale = motet_key_scale(analysis->key);
    for (int32_t i = 0; i < score->note_count; i++) {
        const motet_note *note = &score->notes[i];
        while (bar + 1 < score->bar_count && score->bars[bar + 1].start_ticks <= note->start_ticks)
            bar++;
        if (analysis->bars[bar].notes < UINT16_MAX) analysis->bars[bar].notes++;
        struct motet_program_use *use = &analysis->programs[note->program];
        if (use->notes++ == 0) use->lowest = use->highest = note->pitch;
        if (note->pitch < use->lowest) use->lowest = note->pitch;
        if (note->pitch > use->highest) use->highest = note->pitch;
        if (note->program == MOTET_PROGRAM_DRUMS) continue;
        int32_t end = motet_heard_end(note), start = note->start_ticks;
        ticks += end - start;
        if (!(scale >> note->pitch % 12 & 1)) outside += end - start;
        if (start < sounding_end) start = sounding_end;
        if (end > start) sounding += end - start;
        if (end > sounding_end) sounding_end = end;
    }
    analysis->out_of_key_share = ticks ? (float)outside / (float)ticks : 0;
    analysis->polyphony = sounding ? (float)ticks / (float)sounding : 0;
}

motet_status motet_analyse(motet_analysis *analysis, const motet_score *score) {
    memset(analysis, 0, sizeof *analysis);
    if (score->bar_count < 1)
        return MOTET_FAIL(MOTET_E_USAGE, "a score without bars cannot be analysed");
    for (int32_t i = 0; i < score->note_count; i++)
        if (score->notes[i].program >= MOTET_PROGRAMS || score->notes[i].start_ticks < 0 ||
            score->notes[i].duration_ticks < 1)
            return MOTET_FAIL(MOTET_E_USAGE, "note %d has program %d, start %d and duration %d",
                              (int)i, score->notes[i].program, (int)score->notes[i].start_ticks,
                              (int)score->notes[i].duration_ticks);
    analysis->bars = calloc((size_t)score->bar_count, sizeof *analysis->bars);
    if (!analysis->bars)
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %d bars", (int)score->bar_count);
    analysis->bar_count = score->bar_count;
    analysis->key = (uint8_t)motet_key_find(&analysis->key_clearness, score);
    count_notes(analysis, score);
    motet_status status = motet_chords_find(analysis->bars, score);
    if (status == MOTET_OK) status = motet_form_find(analysis->bars, score);
    if (status != MOTET_OK) {
        motet_analysis_free(analysis);
        return status;
    }
    analysis->tempo_bpm = main_tempo(score);
    analysis->tempo_word = motet_tempo_word(analysis->tempo_bpm);
    main_metre(analysis, score);
    int32_t silent = 0, echoes = 0;
    for (int32_t b = 0; b < score->bar_count; b++) {
        silent += analysis->bars[b].notes == 0;
        echoes += analysis->bars[b].echo != 0;
    }
    int32_t played = score->bar_count - silent;
    analysis->notes_per_bar = played ? (float)score->note_count / (float)played : 0;
    analysis->density = (uint8_t)motet_density_level((int)lroundf(analysis->notes_per_bar));
    analysis->silent_share = (float)silent / (float)score->bar_count;
    analysis->repeated_share = (float)echoes / (float)score->bar_count;
    analysis->seconds = motet_score_seconds(score, motet_score_ticks(score));
    return MOTET_OK;
}

void motet_analysis_free(motet_analysis *analysis) {
    if (!analysis) return;
    free(analysis->bars);
    memset(analysis, 0, sizeof *analysis);
}
