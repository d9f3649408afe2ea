/* harness_midi: MIDI files made by hand, for tests. Failing to build one fails the test. */
#ifndef MOTET_TESTS_HARNESS_MIDI_H
#define MOTET_TESTS_HARNESS_MIDI_H

#include "data/midi_chunk.h"
#include "data/score.h"

/* Starts a file: header and nothing else. */
void midi_begin(motet_chunk_buffer *file, int format, int tracks, int division);

/* Bytes as they are; an event with its delta time in front. */
void midi_raw(motet_chunk_buffer *file, const char *bytes, size_t count);
void midi_event(motet_chunk_buffer *file, int delta, const char *bytes, size_t count);
#define MIDI_RAW(file, text) midi_raw(file, text, sizeof(text) - 1)
#define MIDI_EVENT(file, delta, text) midi_event(file, delta, text, sizeof(text) - 1)

void midi_track(motet_chunk_buffer *file, size_t *start);
void midi_end(motet_chunk_buffer *file, size_t start, int delta);

/* Note on at delta, note off length later. */
void midi_note(motet_chunk_buffer *file, int delta, int length, int channel, int pitch,
               int velocity);

/* Fails with the first difference; bars, notes, tempos, key and title all count. */
void assert_scores_equal(const motet_score *a, const motet_score *b, const char *what);

#endif
