/* midi_take: the stations between libsmf's events and a score. For the MIDI reader's files alone.
 *
 * A take is what a clean file holds, in order: by time, then track, then place in the track. Times
 * of events are the file's own ticks; metres, tempos and notes are on the grid.
 */
#ifndef MOTET_DATA_MIDI_TAKE_H
#define MOTET_DATA_MIDI_TAKE_H

#include "data/midi_read.h"

typedef struct motet_midi_event {
    int32_t time; /* the file's ticks */
    uint16_t track;
    uint8_t status, data[2];
} motet_midi_event;

typedef struct motet_metre_change {
    int32_t start_ticks;
    int32_t numerator, denominator; /* any that a file can say */
} motet_metre_change;

typedef struct motet_midi_take {
    motet_midi_event *events;
    motet_metre_change *metres; /* sorted, the first at 0 */
    int32_t event_count, metre_count;
    int32_t tracks, division; /* the file's ticks a quarter */
} motet_midi_take;

/* The nearest grid tick of a file's time; ties go up. */
static inline int32_t motet_midi_grid_ticks(int64_t time, int32_t division) {
    return (int32_t)((2 * time * MOTET_TICKS_PER_QUARTER + division) / (2 * (int64_t)division));
}

/* Turns a take's events into score->notes (malloc'd, sorted, overlaps cut): channels, programs,
 * pedal, hanging notes. A track's own program changes hold for its notes; where a track has none
 * on a channel, those of the channel do. The pedal lengthens a note to at most 16 quarters. */
motet_status motet_midi_notes(motet_score *score, motet_midi_report *report,
                              const motet_midi_take *take);

/* Makes score->bars from the metres and the notes, and moves notes and tempos so that downbeats
 * are at bar lines: leading empty bars go, a short first bar becomes a full one with silence in
 * front, and so does an unstated pickup where the music shows it. MOTET_E_DATA beyond 10,000 bars.
 */
motet_status motet_midi_bars(motet_score *score, motet_midi_report *report,
                             const motet_midi_take *take, const char *name);

/* The tick 0 <= tick < bar_ticks of the first downbeat, judged by the music: accents as notation
 * programs write them; or, where notes start at tick 0 and there are no drums, long notes, bass
 * notes, chords and changes of harmony. 0 unless the evidence is clear. notes are sorted; those at
 * or after end_ticks are not looked at. short_ticks is the length of a bar that the next metre cuts
 * short, 0 if none: a strong hint. */
int32_t motet_midi_pickup(const motet_note *notes, int32_t count, int32_t bar_ticks,
                          int32_t end_ticks, int32_t short_ticks);

/* Makes a printable UTF-8 line of a file's text (UTF-8 or else Latin-1) in buffer, NUL-terminated,
 * white space folded, cut at a character to size - 1 bytes. size >= 1. */
void motet_midi_text(char *buffer, size_t size, const unsigned char *text, size_t length);

/* The bytes <= limit at which UTF-8 text can be cut without splitting a character; >= 1 unless
 * text is empty. */
size_t motet_midi_text_cut(const char *text, size_t limit);

/* Whether a first track's name can be a title: not an instrument's name, not "untitled". */
int motet_midi_text_is_title(const char *text);

#endif
