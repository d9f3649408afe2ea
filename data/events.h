/* events: the spelling of a score that the model reads and writes. A piece is a sequence of events:
 * a BAR event opens each bar, its NOTE events follow sorted by (position, program, pitch), END
 * closes the piece. Every score on the grid has exactly one spelling.
 *
 *   BAR   metre, tempo, chord, section, echo, density       (what the bar is going to be)
 *   NOTE  position, program, pitch, duration, velocity
 *   END   -
 *
 * Fields are stored as absolute, key-independent values (pitch 0..127, chord root 0..11 from C).
 * The model reads them relative to the key (infer/field_codec.h): that is not this file's concern.
 */
#ifndef MOTET_DATA_EVENTS_H
#define MOTET_DATA_EVENTS_H

#include "data/score.h"

typedef enum motet_event_type {
    MOTET_EVENT_BAR = 0,
    MOTET_EVENT_NOTE = 1,
    MOTET_EVENT_END = 2,
    MOTET_EVENT_SPAN_START = 3, /* infilling: reserved */
    MOTET_EVENT_SPAN_END = 4,
    MOTET_EVENT_TYPES = 5,
} motet_event_type;

/* One row of the corpus: eight bytes. */
typedef struct motet_event {
    uint8_t type;
    uint8_t field[6]; /* BAR and NOTE fields in the order of the enums below; the rest 0 */
    uint8_t reserved; /* 0 */
} motet_event;

enum {
    MOTET_BAR_METRE,
    MOTET_BAR_TEMPO,
    MOTET_BAR_CHORD,
    MOTET_BAR_SECTION,
    MOTET_BAR_ECHO,
    MOTET_BAR_DENSITY,
    MOTET_BAR_FIELDS
};
enum {
    MOTET_NOTE_POSITION,
    MOTET_NOTE_PROGRAM,
    MOTET_NOTE_PITCH,
    MOTET_NOTE_DURATION,
    MOTET_NOTE_VELOCITY,
    MOTET_NOTE_FIELDS
};

/* How many values each field has. */
#define MOTET_METRES 26
#define MOTET_TEMPOS 49
#define MOTET_CHORD_QUALITIES 10
/* A chord is quality * 12 + root; the last one is "none". */
#define MOTET_CHORDS (12 * MOTET_CHORD_QUALITIES + 1)
#define MOTET_CHORD_NONE (MOTET_CHORDS - 1)
#define MOTET_SECTIONS 9 /* A..H, none */
#define MOTET_SECTION_NONE 8
#define MOTET_ECHOES 11 /* 0: none; 1..8: bars back; 9: 12 back; 10: 16 back */
#define MOTET_DENSITIES 16
#define MOTET_POSITIONS MOTET_MAX_BAR_TICKS
#define MOTET_PROGRAMS 129
#define MOTET_PITCHES 128
#define MOTET_DURATIONS 64
#define MOTET_VELOCITIES 32

/* Metres: index -> numerator, denominator. The order is part of the format; each bar is at most
 * MOTET_MAX_BAR_TICKS long and a whole number of ticks. 0 is 4/4; 1/8 and 1/16 are there so that
 * every bar of whole sixteenths can be split into listed ones. Index of a metre, or -1 if it is not
 * listed (the MIDI reader splits such bars into listed ones). */
void motet_metre_at(int index, int *numerator, int *denominator);
int motet_metre_index(int numerator, int denominator);

/* Tempos: bin k is 16 * 2^(k/12) bpm, k = 0..48 (16..256). The nearest bin, clamped. */
double motet_tempo_bpm(int bin);
int motet_tempo_bin(double bpm);

/* Durations in ticks: 1..24 by 1, to 48 by 2, to 96 by 4, to 192 by 8, then 240, 288, 336, 384.
 * The index of the nearest entry (ties to the shorter), clamped. */
int motet_duration_ticks(int index);
int motet_duration_index(int ticks);

/* Velocity bin v covers 4v..4v+3 and is written as 4v+2. */
static inline int motet_velocity_bin(int velocity) {
    return velocity >> 2;
}
static inline int motet_velocity_value(int bin) {
    return 4 * bin + 2;
}

/* Notes in a bar -> density level: 0, 1, 2, 3, 4, 5-6, 7-8, 9-11, 12-15, 16-20, 21-27, 28-36,
 * 37-48, 49-64, 65-88, more. Lowest and highest number of notes of a level (highest is INT32_MAX
 * for 15). */
int motet_density_level(int notes);
int motet_density_notes_min(int level);
int motet_density_notes_max(int level);

/* Echo value -> bars back (0 for none). */
int motet_echo_bars(int echo);

/* "F#m7" and the like; root relative to nothing: absolute. Qualities in order: maj min 7 maj7 m7
 * dim m7b5 dim7 aug sus4. buffer gets at most size bytes, NUL-terminated. */
void motet_chord_name(int chord, char *buffer, int size);

/* Rounds a score to what events can say: durations, velocities and bars' tempos to their tables,
 * the tempo map to one entry where a bar's tempo differs from the last one's. Onsets, bars and
 * silent bars stay. It is the identity on a score that came from events. */
void motet_score_quantise(motet_score *score);

/* Spells a score. Chord, section and echo come from the analysis (data/analysis.h). *events is
 * malloc'd, *count rows, BAR first and END last. MOTET_E_USAGE on a bar whose metre is not listed,
 * on bars with gaps and on notes outside the bars or out of order. Durations, velocities and tempos
 * are rounded as motet_score_quantise does it. */
motet_status motet_events_from_score(motet_event **events, int64_t *count,
                                     const motet_score *score);

/* Reads events back: bars, notes and one tempo a bar where it changes. MOTET_E_DATA, with the
 * number of the event, if they break the grammar: not BAR first, field out of range, position
 * beyond the bar, notes out of order, events after END. A missing END is accepted. */
motet_status motet_score_from_events(motet_score *score, const motet_event *events, int64_t count);

#endif
