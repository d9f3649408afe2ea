#include "tests/data/harness_midi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void midi_raw(motet_chunk_buffer *file, const char *bytes, size_t count) {
    assert_int_equal(motet_chunk_put(file, bytes, count), MOTET_OK);
}

void midi_begin(motet_chunk_buffer *file, int format, int tracks, int division) {
    char header[14] = "MThd\0\0\0\6";
    header[9] = (char)format;
    header[10] = (char)(tracks >> 8), header[11] = (char)tracks;
    header[12] = (char)(division >> 8), header[13] = (char)division;
    *file = (motet_chunk_buffer){0};
    midi_raw(file, header, sizeof header);
}

void midi_event(motet_chunk_buffer *file, int delta, const char *bytes, size_t count) {
    assert_int_equal(motet_chunk_delta(file, delta), MOTET_OK);
    midi_raw(file, bytes, count);
}

void midi_track(motet_chunk_buffer *file, size_t *start) {
    assert_int_equal(motet_chunk_begin(file, start), MOTET_OK);
}

void midi_end(motet_chunk_buffer *file, size_t start, int delta) {
    assert_int_equal(motet_chunk_end(file, start, delta), MOTET_OK);
}

void midi_note(motet_chunk_buffer *file, int delta, int length, int channel, int pitch,
               int velocity) {
    midi_event(file, delta, (char[]){(char)(0x90 | channel), (char)pitch, (char)velocity}, 3);
    midi_event(file, length, (char[]){(char)(0x80 | channel), (char)pitch, 64}, 3);
}

void assert_scores_equal(const motet_score *a, const motet_score *b, const char *what) {
    if (a->note_count != b->note_count || a->bar_count != b->bar_count ||
        a->tempo_count != b->tempo_count)
        fail_msg("%s: %d, %d notes; %d, %d bars; %d, %d tempos", what, a->note_count, b->note_count,
                 a->bar_count, b->bar_count, a->tempo_count, b->tempo_count);
    for (int i = 0; i < a->note_count; i++) {
        const motet_note *x = &a->notes[i], *y = &b->notes[i];
        if (x->start_ticks != y->start_ticks || x->duration_ticks != y->duration_ticks ||
            x->program != y->program || x->pitch != y->pitch || x->velocity != y->velocity)
            fail_msg("%s: note %d: at %d+%d program %d pitch %d velocity %d, not at %d+%d program "
                     "%d pitch %d velocity %d",
                     what, i, x->start_ticks, x->duration_ticks, x->program, x->pitch, x->velocity,
                     y->start_ticks, y->duration_ticks, y->program, y->pitch, y->velocity);
    }
    for (int i = 0; i < a->bar_count; i++) {
        const motet_bar *x = &a->bars[i], *y = &b->bars[i];
        if (x->start_ticks != y->start_ticks || x->numerator != y->numerator ||
            x->denominator != y->denominator || x->tempo_bpm != y->tempo_bpm)
            fail_msg("%s: bar %d: %d/%d at %d, not %d/%d at %d (or its tempo)", what, i,
                     x->numerator, x->denominator, x->start_ticks, y->numerator, y->denominator,
                     y->start_ticks);
    }
    for (int i = 0; i < a->tempo_count; i++)
        if (a->tempos[i].start_ticks != b->tempos[i].start_ticks ||
            a->tempos[i].bpm != b->tempos[i].bpm)
            fail_msg("%s: tempo %d differs", what, i);
    if (a->key != b->key) fail_msg("%s: key %d, not %d", what, a->key, b->key);
    assert_string_equal(a->title, b->title);
}
