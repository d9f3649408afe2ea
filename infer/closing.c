#include "infer/closing.h"

static int is_melodic(const motet_event *note) {
    return note->field[MOTET_NOTE_PROGRAM] != MOTET_PROGRAM_DRUMS;
}

static int end_of(const motet_event *note) {
    return note->field[MOTET_NOTE_POSITION] +
           motet_duration_ticks(note->field[MOTET_NOTE_DURATION]);
}

int motet_closing_is_firm(const motet_event *notes, int64_t count, int key) {
    int lowest = MOTET_PITCHES, end = 0, minor = key >= 12, tonic = key % 12;
    for (int64_t i = 0; i < count; i++) {
        if (!is_melodic(&notes[i])) continue;
        if (notes[i].field[MOTET_NOTE_PITCH] < lowest) lowest = notes[i].field[MOTET_NOTE_PITCH];
        if (end_of(&notes[i]) > end) end = end_of(&notes[i]);
    }
    int bass = tonic, start = -1;
    for (int64_t i = 0; i < count; i++) {
        int pitch = notes[i].field[MOTET_NOTE_PITCH],
            position = notes[i].field[MOTET_NOTE_POSITION];
        if (!is_melodic(&notes[i])) continue;
        int degree = (pitch - tonic + 12) % 12;
        if (end_of(&notes[i]) + 12 > end && degree != 0 && degree != 7 && degree != (minor ? 3 : 4))
            return 0;
        if (pitch < lowest + 12 && position > start) bass = pitch % 12, start = position;
    }
    return bass == tonic;
}
