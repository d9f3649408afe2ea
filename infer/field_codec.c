#include "infer/field_codec.h"

static const int field_sizes[MOTET_FIELDS] = {
    MOTET_EVENT_TYPES, MOTET_METRES,        MOTET_TEMPOS,    MOTET_CHORDS,
    MOTET_SECTIONS,    MOTET_ECHOES,        MOTET_DENSITIES, MOTET_POSITIONS,
    MOTET_PROGRAMS,    MOTET_PITCH_SYMBOLS, MOTET_DURATIONS, MOTET_VELOCITIES,
};

static const char *const field_names[MOTET_FIELDS] = {
    "type",    "metre",    "tempo",   "chord", "section",  "echo",
    "density", "position", "program", "pitch", "duration", "velocity",
};

int motet_field_size(int field) {
    return field_sizes[field];
}

int motet_field_offset(int field) {
    int offset = 0;
    for (int f = 0; f < field; f++)
        offset += field_sizes[f];
    return offset;
}

int motet_field_total(void) {
    return motet_field_offset(MOTET_FIELDS);
}

const char *motet_field_name(int field) {
    return field_names[field];
}

void motet_type_fields(int type, int *first, int *count) {
    *first = type == MOTET_EVENT_BAR    ? MOTET_FIELD_BAR
             : type == MOTET_EVENT_NOTE ? MOTET_FIELD_NOTE
                                        : 0;
    *count = type == MOTET_EVENT_BAR    ? MOTET_BAR_FIELDS
             : type == MOTET_EVENT_NOTE ? MOTET_NOTE_FIELDS
                                        : 0;
}

int motet_key_shift(int key) {
    if (key < 0 || key >= 24) return 0;
    int tonic = key < 12 ? key : (key - 12 + 3) % 12; /* of the relative major */
    return tonic <= 6 ? tonic : tonic - 12;
}

static int fold_pitch(int pitch) {
    while (pitch < 0)
        pitch += 12;
    while (pitch >= MOTET_PITCHES)
        pitch -= 12;
    return pitch;
}

static int turn_chord(int chord, int semitones) {
    if (chord >= MOTET_CHORD_NONE) return MOTET_CHORD_NONE;
    return chord / 12 * 12 + (chord % 12 + semitones + 12) % 12;
}

int motet_event_symbols(int32_t symbols[7], const motet_event *event, int shift) {
    int first, count;
    motet_type_fields(event->type, &first, &count);
    symbols[0] = event->type;
    for (int i = 0; i < count; i++)
        symbols[1 + i] = event->field[i];
    if (event->type == MOTET_EVENT_BAR) {
        symbols[1 + MOTET_BAR_CHORD] = turn_chord(event->field[MOTET_BAR_CHORD], -shift);
    } else if (event->type == MOTET_EVENT_NOTE) {
        int pitch = event->field[MOTET_NOTE_PITCH];
        symbols[1 + MOTET_NOTE_PITCH] = event->field[MOTET_NOTE_PROGRAM] == MOTET_PROGRAM_DRUMS
                                            ? MOTET_PITCHES + pitch
                                            : fold_pitch(pitch - shift);
    }
    return 1 + count;
}

void motet_event_from_symbols(motet_event *event, const int32_t symbols[7], int shift) {
    int first, count;
    motet_type_fields(symbols[0], &first, &count);
    *event = (motet_event){.type = (uint8_t)symbols[0]};
    for (int i = 0; i < count; i++)
        event->field[i] = (uint8_t)symbols[1 + i];
    if (event->type == MOTET_EVENT_BAR) {
        event->field[MOTET_BAR_CHORD] = (uint8_t)turn_chord(symbols[1 + MOTET_BAR_CHORD], shift);
    } else if (event->type == MOTET_EVENT_NOTE) {
        int pitch = symbols[1 + MOTET_NOTE_PITCH];
        event->field[MOTET_NOTE_PITCH] =
            (uint8_t)(pitch >= MOTET_PITCHES ? pitch - MOTET_PITCHES : fold_pitch(pitch + shift));
    }
}
