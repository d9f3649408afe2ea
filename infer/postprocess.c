#include "infer/postprocess.h"

#include <stdlib.h>
#include <string.h>

/* Cuts a note where the same pitch of the same program begins again, and at the end of the piece:
 * what sounds is what is written, and no note hangs. Notes are sorted by start. */
static void cut_overlaps(motet_score *score) {
    int32_t end = motet_score_ticks(score);
    int32_t last[MOTET_PROGRAMS][MOTET_PITCHES];
    for (int p = 0; p < MOTET_PROGRAMS; p++)
        for (int i = 0; i < MOTET_PITCHES; i++)
            last[p][i] = -1;
    for (int32_t i = 0; i < score->note_count; i++) {
        motet_note *note = &score->notes[i];
        int32_t *before = &last[note->program][note->pitch];
        if (*before >= 0) {
            motet_note *earlier = &score->notes[*before];
            if (earlier->start_ticks + earlier->duration_ticks > note->start_ticks)
                earlier->duration_ticks = note->start_ticks - earlier->start_ticks;
        }
        if (note->start_ticks + note->duration_ticks > end)
            note->duration_ticks = end - note->start_ticks;
        *before = i;
    }
}

static motet_status set_tempo(motet_score *score, double bpm) {
    motet_tempo *tempo = malloc(sizeof *tempo);
    if (!tempo) return MOTET_FAIL(MOTET_E_MEMORY, "cannot allocate a tempo");
    *tempo = (motet_tempo){.start_ticks = 0, .bpm = bpm};
    free(score->tempos);
    score->tempos = tempo;
    score->tempo_count = 1;
    for (int32_t i = 0; i < score->bar_count; i++)
        score->bars[i].tempo_bpm = (float)bpm;
    return MOTET_OK;
}

/* Copies at most size - 1 bytes, whole characters. */
static void copy_title(char *to, size_t size, const char *from) {
    size_t length = strlen(from);
    if (length >= size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)from[length] & 0xC0) == 0x80)
            length--;
    }
    memcpy(to, from, length);
    to[length] = 0;
}

motet_status motet_postprocess(motet_score *score, const motet_event *events, int64_t count,
                               const motet_plan *plan, const char *title) {
    MOTET_TRY(motet_score_from_events(score, events, count));
    motet_status status = plan->tempo_bpm > 0 ? set_tempo(score, plan->tempo_bpm) : MOTET_OK;
    if (status != MOTET_OK) {
        motet_score_free(score);
        return status;
    }
    cut_overlaps(score);
    score->key = (uint8_t)plan->key;
    copy_title(score->title, sizeof score->title, title);
    return MOTET_OK;
}
