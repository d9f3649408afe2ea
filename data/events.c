#include "data/events.h"

#include <stdlib.h>
#include <string.h>

#include "data/analysis.h"

/* Rounds durations, but never up into the next note of the same pitch, nor so far beyond the last
 * bar that a reader would take the ringing for one more. */
static void quantise_notes(motet_score *score) {
    int32_t end = motet_score_ticks(score) + MOTET_TICKS_PER_QUARTER / 2;
    int32_t next[MOTET_PROGRAMS][MOTET_PITCHES]; /* where that note starts */
    for (int p = 0; p < MOTET_PROGRAMS; p++)
        for (int i = 0; i < MOTET_PITCHES; i++)
            next[p][i] = INT32_MAX;
    for (int32_t i = score->note_count - 1; i >= 0; i--) {
        motet_note *note = &score->notes[i];
        int32_t *after = &next[note->program][note->pitch];
        int32_t room = (*after < end ? *after : end) - note->start_ticks;
        int index = motet_duration_index(note->duration_ticks);
        if (note->duration_ticks <= room && motet_duration_ticks(index) > room) index--;
        note->duration_ticks = motet_duration_ticks(index);
        note->velocity = (uint8_t)motet_velocity_value(motet_velocity_bin(note->velocity));
        *after = note->start_ticks;
    }
}

void motet_score_quantise(motet_score *score) {
    quantise_notes(score);
    /* One tempo where the bin changes from one bar to the next: all that BAR events can say. */
    int32_t changes = 0;
    for (int32_t i = 0, last = -1; i < score->bar_count; i++) {
        int bin = motet_tempo_bin(score->bars[i].tempo_bpm);
        score->bars[i].tempo_bpm = (float)motet_tempo_bpm(bin);
        changes += bin != last;
        last = bin;
    }
    if (changes > score->tempo_count) {
        motet_tempo *grown = realloc(score->tempos, (size_t)changes * sizeof *grown);
        if (grown)
            score->tempos = grown;
        else
            changes = score->tempo_count; /* the last changes stay out of the map; bars have them */
    }
    score->tempo_count = 0;
    for (int32_t i = 0, last = -1; i < score->bar_count && score->tempo_count < changes; i++) {
        int bin = motet_tempo_bin(score->bars[i].tempo_bpm);
        if (bin != last)
            score->tempos[score->tempo_count++] =
                (motet_tempo){score->bars[i].start_ticks, motet_tempo_bpm(bin)};
        last = bin;
    }
}

/* What makes a score unspeakable, found before anything is allocated. */
static motet_status check_score(const motet_score *score) {
    if (score->bar_count < 1)
        return MOTET_FAIL(MOTET_E_USAGE, "a score without bars cannot be written as events");
    int64_t end = 0;
    for (int32_t i = 0; i < score->bar_count; i++) {
        const motet_bar *bar = &score->bars[i];
        if (motet_metre_index(bar->numerator, bar->denominator) < 0)
            return MOTET_FAIL(MOTET_E_USAGE,
                              "bar %d is in %d/%d, which events cannot say; split it into listed "
                              "metres first",
                              (int)i + 1, bar->numerator, bar->denominator);
        if (bar->start_ticks != end)
            return MOTET_FAIL(MOTET_E_USAGE,
                              "bar %d starts at tick %d, the one before ends at %lld", (int)i + 1,
                              (int)bar->start_ticks, (long long)end);
        end += motet_metre_ticks(bar->numerator, bar->denominator);
    }
    for (int32_t i = 0; i < score->note_count; i++) {
        const motet_note *note = &score->notes[i];
        if (note->start_ticks < 0 || note->start_ticks >= end)
            return MOTET_FAIL(MOTET_E_USAGE, "note %d starts at tick %d, outside the bars", (int)i,
                              (int)note->start_ticks);
        if (note->program >= MOTET_PROGRAMS || note->pitch >= MOTET_PITCHES)
            return MOTET_FAIL(MOTET_E_USAGE, "note %d has program %d and pitch %d", (int)i,
                              note->program, note->pitch);
        if (i == 0) continue;
        const motet_note *last = note - 1;
        int64_t order = note->start_ticks - (int64_t)last->start_ticks;
        if (order == 0) order = note->program - last->program;
        if (order == 0) order = note->pitch - last->pitch;
        if (order <= 0)
            return MOTET_FAIL(MOTET_E_USAGE, "note %d is out of order; motet_score_sort first",
                              (int)i);
    }
    return MOTET_OK;
}

motet_status motet_events_from_score(motet_event **events, int64_t *count,
                                     const motet_score *score) {
    *events = NULL;
    *count = 0;
    MOTET_TRY(check_score(score));
    motet_analysis analysis;
    MOTET_TRY(motet_analyse(&analysis, score));
    int64_t total = (int64_t)score->bar_count + score->note_count + 1;
    motet_event *out = calloc((size_t)total, sizeof *out);
    if (!out) {
        motet_analysis_free(&analysis);
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %lld events", (long long)total);
    }
    int64_t n = 0;
    int32_t next = 0; /* the first note not yet written */
    for (int32_t b = 0; b < score->bar_count; b++) {
        const motet_bar *bar = &score->bars[b];
        const motet_bar_analysis *heard = &analysis.bars[b];
        int32_t end = bar->start_ticks + motet_metre_ticks(bar->numerator, bar->denominator);
        motet_event *opening = &out[n++];
        opening->type = MOTET_EVENT_BAR;
        opening->field[MOTET_BAR_METRE] =
            (uint8_t)motet_metre_index(bar->numerator, bar->denominator);
        opening->field[MOTET_BAR_TEMPO] = (uint8_t)motet_tempo_bin(bar->tempo_bpm);
        opening->field[MOTET_BAR_CHORD] = heard->chord;
        opening->field[MOTET_BAR_SECTION] = heard->section;
        opening->field[MOTET_BAR_ECHO] = heard->echo;
        int32_t first = next;
        for (; next < score->note_count && score->notes[next].start_ticks < end; next++) {
            const motet_note *note = &score->notes[next];
            motet_event *event = &out[n++];
            event->type = MOTET_EVENT_NOTE;
            event->field[MOTET_NOTE_POSITION] = (uint8_t)(note->start_ticks - bar->start_ticks);
            event->field[MOTET_NOTE_PROGRAM] = note->program;
            event->field[MOTET_NOTE_PITCH] = note->pitch;
            event->field[MOTET_NOTE_DURATION] = (uint8_t)motet_duration_index(note->duration_ticks);
            event->field[MOTET_NOTE_VELOCITY] = (uint8_t)motet_velocity_bin(note->velocity & 127);
        }
        opening->field[MOTET_BAR_DENSITY] = (uint8_t)motet_density_level(next - first);
    }
    out[n++].type = MOTET_EVENT_END;
    motet_analysis_free(&analysis);
    *events = out;
    *count = n;
    return MOTET_OK;
}

static const uint8_t bar_sizes[MOTET_BAR_FIELDS] = {MOTET_METRES,   MOTET_TEMPOS, MOTET_CHORDS,
                                                    MOTET_SECTIONS, MOTET_ECHOES, MOTET_DENSITIES};
static const uint8_t note_sizes[MOTET_NOTE_FIELDS] = {
    MOTET_POSITIONS, MOTET_PROGRAMS, MOTET_PITCHES, MOTET_DURATIONS, MOTET_VELOCITIES};
static const char *const bar_names[] = {"metre", "tempo", "chord", "section", "echo", "density"};
static const char *const note_names[] = {"position", "program", "pitch", "duration", "velocity"};

/* Checks the grammar and counts; everything that the second pass relies on is proved here. */
static motet_status check_events(int32_t *bars, int32_t *notes, const motet_event *events,
                                 int64_t count) {
    int64_t bar_total = 0, note_total = 0, ticks = 0;
    int bar_ticks = 0, last = -1;
    for (int64_t i = 0; i < count; i++) {
        const motet_event *event = &events[i];
        long long number = (long long)i;
        if (event->type == MOTET_EVENT_BAR) {
            for (int f = 0; f < MOTET_BAR_FIELDS; f++)
                if (event->field[f] >= bar_sizes[f])
                    return MOTET_FAIL(MOTET_E_DATA, "event %lld: %s %d of a bar is out of range",
                                      number, bar_names[f], event->field[f]);
            int numerator, denominator;
            motet_metre_at(event->field[MOTET_BAR_METRE], &numerator, &denominator);
            bar_ticks = motet_metre_ticks(numerator, denominator);
            ticks += bar_ticks;
            if (ticks > INT32_MAX / 2) /* room for durations behind the last bar */
                return MOTET_FAIL(MOTET_E_DATA, "event %lld: the piece is too long", number);
            last = -1;
            bar_total++;
        } else if (event->type == MOTET_EVENT_NOTE) {
            if (bar_total == 0)
                return MOTET_FAIL(MOTET_E_DATA, "event %lld: a note before the first bar", number);
            for (int f = 0; f < MOTET_NOTE_FIELDS; f++)
                if (event->field[f] >= note_sizes[f])
                    return MOTET_FAIL(MOTET_E_DATA, "event %lld: %s %d of a note is out of range",
                                      number, note_names[f], event->field[f]);
            if (event->field[MOTET_NOTE_POSITION] >= bar_ticks)
                return MOTET_FAIL(MOTET_E_DATA,
                                  "event %lld: a note at position %d of a bar of %d ticks", number,
                                  event->field[MOTET_NOTE_POSITION], bar_ticks);
            int place = event->field[MOTET_NOTE_POSITION] << 16 |
                        event->field[MOTET_NOTE_PROGRAM] << 8 | event->field[MOTET_NOTE_PITCH];
            if (place <= last)
                return MOTET_FAIL(MOTET_E_DATA,
                                  "event %lld: notes of a bar must ascend by position, program, "
                                  "pitch",
                                  number);
            last = place;
            note_total++;
        } else if (event->type == MOTET_EVENT_END) {
            if (bar_total == 0)
                return MOTET_FAIL(MOTET_E_DATA, "event %lld: the piece ends before its first bar",
                                  number);
            if (i + 1 != count)
                return MOTET_FAIL(MOTET_E_DATA,
                                  "event %lld: something follows the end of the piece", number + 1);
        } else {
            return MOTET_FAIL(MOTET_E_DATA, "event %lld: type %d does not belong into a piece",
                              number, event->type);
        }
    }
    if (bar_total == 0) return MOTET_FAIL(MOTET_E_DATA, "event 0: there is no bar");
    if (note_total > INT32_MAX) return MOTET_FAIL(MOTET_E_DATA, "the piece has too many notes");
    *bars = (int32_t)bar_total; /* each has ticks, and these are bounded */
    *notes = (int32_t)note_total;
    return MOTET_OK;
}

motet_status motet_score_from_events(motet_score *score, const motet_event *events, int64_t count) {
    int32_t bars = 0, notes = 0;
    memset(score, 0, sizeof *score);
    score->key = MOTET_NO_KEY;
    MOTET_TRY(check_events(&bars, &notes, events, count));
    score->bars = malloc((size_t)bars * sizeof *score->bars);
    score->notes = malloc(((size_t)notes + 1) * sizeof *score->notes);
    score->tempos = malloc((size_t)bars * sizeof *score->tempos);
    if (!score->bars || !score->notes || !score->tempos) {
        free(score->bars);
        free(score->notes);
        free(score->tempos);
        *score = (motet_score){.key = MOTET_NO_KEY};
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %d bars and %d notes", (int)bars,
                          (int)notes);
    }
    int32_t start = 0, end = 0; /* of the current bar */
    int tempo = -1;
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *field = events[i].field;
        if (events[i].type == MOTET_EVENT_BAR) {
            int numerator, denominator;
            motet_metre_at(field[MOTET_BAR_METRE], &numerator, &denominator);
            start = end;
            end += motet_metre_ticks(numerator, denominator);
            double bpm = motet_tempo_bpm(field[MOTET_BAR_TEMPO]);
            score->bars[score->bar_count++] =
                (motet_bar){start, (uint8_t)numerator, (uint8_t)denominator, (float)bpm};
            if (field[MOTET_BAR_TEMPO] != tempo)
                score->tempos[score->tempo_count++] = (motet_tempo){start, bpm};
            tempo = field[MOTET_BAR_TEMPO];
        } else if (events[i].type == MOTET_EVENT_NOTE) {
            score->notes[score->note_count++] = (motet_note){
                .start_ticks = start + field[MOTET_NOTE_POSITION],
                .duration_ticks = motet_duration_ticks(field[MOTET_NOTE_DURATION]),
                .program = field[MOTET_NOTE_PROGRAM],
                .pitch = field[MOTET_NOTE_PITCH],
                .velocity = (uint8_t)motet_velocity_value(field[MOTET_NOTE_VELOCITY]),
            };
        }
    }
    return MOTET_OK;
}
