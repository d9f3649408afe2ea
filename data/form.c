/* form: which bars repeat earlier ones, and the letters of phrases. */
#include <stdlib.h>

#include "data/analysis_parts.h"

/* The notes of one bar as sorted keys: position << 16 | program << 8 | pitch. Scores are sorted by
 * exactly that, so nothing is sorted here. */
typedef struct bar_notes {
    const uint32_t *keys;
    int32_t count, ticks;
} bar_notes;

/* Jaccard similarity of two bars of one length; 0 for silent bars and for different lengths, and
 * as soon as the counts alone rule out at_least. */
static double similarity(const bar_notes *a, const bar_notes *b, double at_least) {
    if (a->count == 0 || b->count == 0 || a->ticks != b->ticks) return 0;
    int32_t fewer = a->count < b->count ? a->count : b->count;
    int32_t more = a->count < b->count ? b->count : a->count;
    if (fewer < at_least * more) return 0;
    int32_t shared = 0;
    for (int32_t i = 0, j = 0; i < a->count && j < b->count;) {
        if (a->keys[i] == b->keys[j])
            shared++, i++, j++;
        else if (a->keys[i] < b->keys[j])
            i++;
        else
            j++;
    }
    return (double)shared / (a->count + b->count - shared);
}

static void find_echoes(motet_bar_analysis *bars, const bar_notes *notes, int32_t count) {
    for (int32_t b = 0; b < count; b++) {
        bars[b].echo = 0;
        for (int echo = 1; echo < MOTET_ECHOES; echo++) {
            int32_t earlier = b - motet_echo_bars(echo);
            if (earlier < 0) break;
            if (similarity(&notes[b], &notes[earlier], 0.8) >= 0.8) {
                bars[b].echo = (uint8_t)echo;
                break;
            }
        }
    }
}

#define PHRASE_BARS 4
#define PHRASE_ALIKE 0.5

/* Phrases are units of four bars. The first one also holds a pickup bar: a first bar that is
 * silent in its first half. A phrase takes the letter of the first lettered phrase that it
 * resembles (mean similarity of its bars >= 0.5; bars that are silent in both agree), else the next
 * new letter; after H, and when silent throughout, none. */
static void find_sections(motet_bar_analysis *bars, const bar_notes *notes, int32_t count) {
    int32_t pickup = 0;
    if (count > 1 && notes[0].count > 0)
        pickup = (int32_t)(notes[0].keys[0] >> 16) * 2 >= notes[0].ticks;
    int32_t letter_start[MOTET_SECTION_NONE];
    int letters = 0;
    for (int32_t start = pickup; start < count; start += PHRASE_BARS) {
        int32_t length = count - start < PHRASE_BARS ? count - start : PHRASE_BARS;
        int32_t sounding = 0;
        for (int32_t i = 0; i < length; i++)
            sounding += notes[start + i].count > 0;
        int section = MOTET_SECTION_NONE;
        for (int k = 0; sounding && k < letters && section == MOTET_SECTION_NONE; k++) {
            double sum = 0;
            int32_t compared = 0;
            for (int32_t i = 0; i < length; i++) {
                const bar_notes *a = &notes[letter_start[k] + i], *b = &notes[start + i];
                if (a->count == 0 && b->count == 0) continue;
                compared++;
                sum += similarity(a, b, 0);
            }
            if (compared && sum / compared >= PHRASE_ALIKE) section = k;
        }
        if (sounding && section == MOTET_SECTION_NONE && letters < MOTET_SECTION_NONE) {
            section = letters;
            letter_start[letters++] = start;
        }
        for (int32_t i = 0; i < length; i++)
            bars[start + i].section = (uint8_t)section;
    }
    if (pickup) bars[0].section = bars[1].section;
}

motet_status motet_form_find(motet_bar_analysis *bars, const motet_score *score) {
    uint32_t *keys = malloc(((size_t)score->note_count + 1) * sizeof *keys);
    bar_notes *notes = calloc((size_t)score->bar_count + 1, sizeof *notes);
    if (!keys || !notes) {
        free(keys);
        free(notes);
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %d notes", (int)score->note_count);
    }
    int32_t next = 0;
    for (int32_t b = 0; b < score->bar_count; b++) {
        int32_t start = score->bars[b].start_ticks;
        int32_t ticks = motet_metre_ticks(score->bars[b].numerator, score->bars[b].denominator);
        notes[b].keys = keys + next;
        notes[b].ticks = ticks;
        for (; next < score->note_count && score->notes[next].start_ticks < start + ticks; next++) {
            const motet_note *note = &score->notes[next];
            keys[next] = (uint32_t)(note->start_ticks - start) << 16 |
                         (uint32_t)note->program << 8 | note->pitch;
            notes[b].count++;
        }
    }
    find_echoes(bars, notes, score->bar_count);
    find_sections(bars, notes, score->bar_count);
    free(keys);
    free(notes);
    return MOTET_OK;
}
