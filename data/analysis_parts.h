/* analysis_parts: the three listeners behind motet_analyse, each in a file of its own. Private to
 * data/; callers use data/analysis.h.
 *
 * All of them take a score in the order that score.h promises, ignore drums where pitch matters,
 * and hear no note longer than MOTET_HEARD_TICKS, so that hanging notes of a broken file neither
 * drown the rest nor cost time.
 */
#ifndef MOTET_DATA_ANALYSIS_PARTS_H
#define MOTET_DATA_ANALYSIS_PARTS_H

#include "data/analysis.h"

#define MOTET_HEARD_TICKS 384 /* 16 quarters: the longest duration that events know */

/* Where a note stops sounding for the analysis. */
static inline int32_t motet_heard_end(const motet_note *note) {
    int32_t length = note->duration_ticks;
    return note->start_ticks + (length < MOTET_HEARD_TICKS ? length : MOTET_HEARD_TICKS);
}

/* key.c: the key, and how far it leads the second best, 0..1. MOTET_NO_KEY if there is no pitch. */
int motet_key_find(float *clearness, const motet_score *score);
/* key.c: bit k set if pitch class k belongs to the key's scale; minor has both sixths and sevenths.
 * Every bit for MOTET_NO_KEY. */
unsigned motet_key_scale(int key);

/* chord.c: fills bars[].chord. */
motet_status motet_chords_find(motet_bar_analysis *bars, const motet_score *score);

/* form.c: fills bars[].echo, then bars[].section. Reads bars[].notes. */
motet_status motet_form_find(motet_bar_analysis *bars, const motet_score *score);

#endif
