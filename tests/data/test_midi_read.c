/* What a score must be for files of known content. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "data/midi_read.h"
#include "tests/data/harness_midi.h"

static motet_midi_report report;
static motet_score score;
static motet_chunk_buffer file;
static size_t track;

static void begin(int format, int tracks, int division) {
    midi_begin(&file, format, tracks, division);
    midi_track(&file, &track);
}

static void next_track(void) {
    midi_end(&file, track, 0);
    midi_track(&file, &track);
}

static void finish(void) {
    midi_end(&file, track, 0);
    if (motet_midi_read(&score, &report, file.bytes, file.size, "test") != MOTET_OK)
        fail_msg("%s", motet_error());
    assert_string_equal(report.first_repair, "");
    free(file.bytes);
}

#define EVENT(delta, bytes) MIDI_EVENT(&file, delta, bytes)

static void metre(int delta, int numerator, int power) {
    midi_event(&file, delta, (char[]){(char)0xff, 0x58, 4, (char)numerator, (char)power, 24, 8}, 7);
}

static void expect_note(int i, int start, int duration, int program, int pitch, int velocity) {
    const motet_note *note = &score.notes[i];
    if (i >= score.note_count) fail_msg("no note %d", i);
    if (note->start_ticks != start || note->duration_ticks != duration ||
        note->program != program || note->pitch != pitch || note->velocity != velocity)
        fail_msg("note %d: %d+%d program %d pitch %d velocity %d", i, note->start_ticks,
                 note->duration_ticks, note->program, note->pitch, note->velocity);
}

static void expect_bar(int i, int start, int numerator, int denominator) {
    const motet_bar *bar = &score.bars[i];
    if (i >= score.bar_count) fail_msg("no bar %d", i);
    if (bar->start_ticks != start || bar->numerator != numerator || bar->denominator != denominator)
        fail_msg("bar %d: %d/%d at %d", i, bar->numerator, bar->denominator, bar->start_ticks);
}

static void test_grid(void **state) {
    (void)state;
    begin(0, 1, 480);                      /* 20 of the file's ticks a grid tick */
    midi_note(&file, 0, 470, 0, 60, 80);   /* 23.5: up */
    midi_note(&file, 10, 1, 0, 62, 80);    /* at 480; never shorter than a tick */
    midi_note(&file, 488, 460, 0, 64, 80); /* 969 -> 48.45 */
    finish();
    assert_int_equal(score.note_count, 3);
    expect_note(0, 0, 24, 0, 60, 80);
    expect_note(1, 24, 1, 0, 62, 80);
    expect_note(2, 48, 23, 0, 64, 80);
    motet_score_free(&score);
}

static void test_programs_and_drums(void **state) {
    (void)state;
    begin(1, 3, 24);
    EVENT(0, "\xc0\x28");
    EVENT(0, "\xb0\x20\x05"); /* bank select means nothing here */
    midi_note(&file, 0, 24, 0, 60, 80);
    EVENT(0, "\xc0\x49");
    midi_note(&file, 0, 24, 0, 60, 80);
    midi_note(&file, 0, 24, 9, 36, 80);
    next_track(); /* no program of its own: the channel's at that time */
    midi_note(&file, 12, 12, 0, 50, 80);
    midi_note(&file, 0, 24, 0, 50, 80);
    next_track(); /* its own on the same channel */
    EVENT(0, "\xc0\x10");
    midi_note(&file, 0, 24, 0, 40, 80);
    midi_note(&file, 0, 24, 0, 40, 80);
    finish();
    assert_int_equal(score.note_count, 7);
    expect_note(0, 0, 24, 16, 40, 80);
    expect_note(1, 0, 24, 40, 60, 80);
    expect_note(2, 12, 12, 16, 50, 80); /* the one that came last */
    expect_note(3, 24, 24, 16, 40, 80);
    expect_note(4, 24, 24, 73, 50, 80);
    expect_note(5, 24, 24, 73, 60, 80);
    expect_note(6, 48, 24, 128, 36, 80);
    motet_score_free(&score);
}

static void test_pedal(void **state) {
    (void)state;
    begin(0, 1, 24);
    EVENT(0, "\xb0\x40\x7f");
    midi_note(&file, 0, 12, 0, 60, 80);  /* until struck again */
    midi_note(&file, 12, 12, 0, 60, 80); /* until the pedal goes up at 48 */
    EVENT(12, "\xb0\x40\x3f");
    midi_note(&file, 0, 12, 0, 62, 80);
    EVENT(0, "\xb0\x40\x40");
    EVENT(0, "\xb9\x40\x7f"); /* drums have no pedal */
    midi_note(&file, 0, 12, 9, 36, 80);
    midi_note(&file, 0, 12, 0, 64, 80);   /* held to its sixteenth quarter at most */
    midi_note(&file, 500, 12, 0, 65, 80); /* to the end of the piece */
    EVENT(36, "\xb0\x40\x00");
    finish();
    assert_int_equal(score.note_count, 6);
    expect_note(0, 0, 24, 0, 60, 80);
    expect_note(1, 24, 24, 0, 60, 80);
    expect_note(2, 48, 12, 0, 62, 80);
    expect_note(3, 60, 12, 128, 36, 80);
    expect_note(4, 72, 16 * 24, 0, 64, 80);
    expect_note(5, 584, 48, 0, 65, 80);
    assert_int_equal(report.notes_pedalled, 4);
    motet_score_free(&score);
}

static void test_overlaps_and_duplicates(void **state) {
    (void)state;
    begin(0, 1, 24);
    EVENT(0, "\x90\x3c\x50");
    EVENT(24, "\x90\x3c\x51"); /* cuts the first; the first off is the first note's */
    EVENT(2, "\x80\x3c\x00");
    EVENT(22, "\x80\x3c\x00");
    EVENT(0, "\x90\x40\x50"); /* two channels, one program: one note */
    EVENT(0, "\x91\x40\x60");
    EVENT(12, "\x81\x40\x00");
    EVENT(12, "\x80\x40\x00");
    EVENT(0, "\x90\x41\x50"); /* never ends */
    EVENT(48, "\x90\x42\x50");
    EVENT(24, "\x80\x42\x00");
    finish();
    assert_int_equal(score.note_count, 5);
    expect_note(0, 0, 24, 0, 60, 80);
    expect_note(1, 24, 24, 0, 60, 81);
    expect_note(2, 48, 24, 0, 64, 96);
    expect_note(3, 72, 72, 0, 65, 80);
    expect_note(4, 120, 24, 0, 66, 80);
    assert_int_equal(report.notes_overlapping, 1);
    assert_int_equal(report.notes_merged, 1);
    assert_int_equal(report.notes_hanging, 1);
    motet_score_free(&score);
}

static void test_tempo_key_title(void **state) {
    (void)state;
    begin(1, 2, 96);
    EVENT(0, "\xff\x03\x0e  Caf\xe9 \x01 waltz"); /* Latin-1 and a control character */
    EVENT(0, "\xff\x59\x02\xfd\x01");             /* C minor */
    EVENT(0, "\xff\x51\x03\x0f\x42\x40");
    EVENT(96, "\xff\x51\x03\x07\xa1\x20");
    EVENT(0, "\xff\x51\x03\x06\x1a\x80");    /* at the same time: this one */
    EVENT(9600, "\xff\x51\x03\x0f\x42\x40"); /* after the end */
    next_track();
    EVENT(0, "\xff\x03\x05Piano");
    for (int i = 0; i < 8; i++)
        midi_note(&file, 0, 96, 0, 60, 80);
    finish();
    assert_string_equal(score.title, "Café waltz");
    assert_int_equal(score.key, 12);
    assert_int_equal(score.tempo_count, 2);
    assert_true(score.tempos[0].bpm == 60 && score.tempos[0].start_ticks == 0);
    assert_true(score.tempos[1].bpm == 150 && score.tempos[1].start_ticks == 24);
    assert_int_equal(score.bar_count, 2);
    assert_true(score.bars[0].tempo_bpm == 60 && score.bars[1].tempo_bpm == 150);
    motet_score_free(&score);
}

static void test_names_that_are_no_titles(void **state) {
    (void)state;
    static const char *const names[] = {"Piano",         "untitled", "Track 1", "Violin 2",
                                        "control track", "12",       "Drums"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char meta[40] = "\xff\x03";
        size_t length = strlen(names[i]);
        meta[2] = (char)length;
        memcpy(meta + 3, names[i], length);
        begin(0, 1, 96);
        midi_event(&file, 0, meta, length + 3);
        midi_note(&file, 0, 96, 0, 60, 80);
        finish();
        assert_string_equal(score.title, "");
        motet_score_free(&score);
    }
}

static void test_bars(void **state) {
    (void)state;
    begin(1, 2, 24);
    metre(0, 3, 2);
    metre(72, 11, 3); /* not listed: 6/8 + 5/8 */
    metre(132, 4, 2);
    next_track();
    midi_note(&file, 0, 24, 0, 60, 80);
    midi_note(&file, 252, 24, 0, 60, 80);
    finish();
    assert_int_equal(score.bar_count, 4);
    expect_bar(0, 0, 3, 4);
    expect_bar(1, 72, 6, 8);
    expect_bar(2, 144, 5, 8);
    expect_bar(3, 204, 4, 4);
    assert_int_equal(report.metres_split, 1);
    motet_score_free(&score);

    begin(1, 2, 24); /* a metre that comes early cuts its bar; empty bars around go */
    metre(0, 4, 2);
    metre(96 * 3 + 48, 3, 2);
    next_track();
    midi_note(&file, 96 * 2, 24, 0, 60, 80);
    midi_note(&file, 96 + 24, 72 + 6, 0, 60, 80);
    EVENT(4000, "\xb0\x40\x00");
    finish();
    assert_int_equal(score.bar_count, 3);
    expect_bar(0, 0, 4, 4);
    expect_bar(1, 96, 2, 4);
    expect_bar(2, 144, 3, 4);
    expect_note(1, 144, 78, 0, 60, 80); /* six ticks past the bar make no bar */
    motet_score_free(&score);

    begin(1, 2, 24); /* the end of a repeat and the pickup of the next part are one bar */
    metre(0, 6, 3);
    metre(72, 5, 3);
    metre(60, 1, 3);
    metre(12, 6, 3);
    midi_note(&file, 0, 72, 0, 60, 80);
    next_track();
    for (int i = 0; i < 9; i++)
        midi_note(&file, 0, 24, 0, 62, 80);
    finish();
    assert_int_equal(score.bar_count, 3);
    for (int i = 0; i < 3; i++)
        expect_bar(i, 72 * i, 6, 8);
    motet_score_free(&score);

    begin(1, 2, 24); /* but a part in half the metre is just that */
    metre(0, 4, 2);
    metre(192, 2, 2);
    next_track();
    for (int i = 0; i < 20; i++)
        midi_note(&file, 0, 24, 0, 62 + i % 3, 80);
    finish();
    assert_int_equal(score.bar_count, 8);
    expect_bar(1, 96, 4, 4);
    expect_bar(2, 192, 2, 4);
    expect_bar(7, 432, 2, 4);
    motet_score_free(&score);
}

static void test_stated_pickup(void **state) {
    (void)state;
    begin(0, 1, 24);
    metre(0, 1, 2);
    midi_note(&file, 0, 24, 0, 67, 80);
    metre(0, 3, 2);
    EVENT(0, "\xff\x51\x03\x0f\x42\x40");
    for (int i = 0; i < 9; i++)
        midi_note(&file, 0, 24, 0, 60 + i, 80);
    finish();
    assert_int_equal(report.pickup_ticks, 48);
    assert_int_equal(score.bar_count, 4);
    for (int i = 0; i < 4; i++)
        expect_bar(i, 72 * i, 3, 4);
    expect_note(0, 48, 24, 0, 67, 80);
    expect_note(1, 72, 24, 0, 60, 80);
    assert_int_equal(score.tempos[1].start_ticks, 72);
    motet_score_free(&score);
}

/* A tune whose time starts with its pickup: eight bars of 3/4, a melody of quarters and halves over
 * a bass note and chords, as flat in velocity as notation programs make it. */
static void tune(int pickup, int accent) {
    begin(1, 2, 24);
    metre(0, 3, 2);
    if (pickup) midi_note(&file, 0, pickup, 0, 67, 80);
    for (int bar = 0; bar < 8; bar++) {
        int length = bar == 7 ? 72 - pickup : 48;
        midi_note(&file, 0, length, 0, 72 + bar % 3, accent);
        if (bar < 7) midi_note(&file, 0, 24, 0, 71 - bar % 2, 80);
    }
    next_track();
    for (int bar = 0; bar < 7; bar++) {
        int root = bar % 2 ? 43 : 48;
        midi_note(&file, bar ? 0 : pickup, 24, 1, root, 80);
        for (int beat = 0; beat < 2; beat++) {
            midi_event(&file, 0, (char[]){(char)0x91, (char)(root + 16), 80}, 3);
            midi_event(&file, 0, (char[]){(char)0x91, (char)(root + 19), 80}, 3);
            midi_event(&file, 24, (char[]){(char)0x81, (char)(root + 16), 0}, 3);
            midi_event(&file, 0, (char[]){(char)0x81, (char)(root + 19), 0}, 3);
        }
    }
    midi_note(&file, 0, 72 - pickup, 1, 36, 80);
    finish();
}

static void test_pickup_by_evidence(void **state) {
    (void)state;
    tune(0, 80);
    assert_int_equal(report.pickup_ticks, 0);
    assert_int_equal(score.notes[0].start_ticks, 0);
    motet_score_free(&score);
    tune(24, 80);
    assert_int_equal(report.pickup_ticks, 48);
    assert_int_equal(score.notes[0].start_ticks, 48);
    assert_int_equal(score.bar_count, 9);
    motet_score_free(&score);
    tune(12, 105); /* accents say it */
    assert_int_equal(report.pickup_ticks, 60);
    assert_int_equal(score.notes[0].start_ticks, 60);
    motet_score_free(&score);
    begin(0, 1, 24); /* nothing speaks for any place: stay */
    metre(0, 3, 2);
    for (int i = 0; i < 40; i++)
        midi_note(&file, 0, 24, 0, 60, 80);
    finish();
    assert_int_equal(report.pickup_ticks, 0);
    motet_score_free(&score);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grid),
        cmocka_unit_test(test_programs_and_drums),
        cmocka_unit_test(test_pedal),
        cmocka_unit_test(test_overlaps_and_duplicates),
        cmocka_unit_test(test_tempo_key_title),
        cmocka_unit_test(test_names_that_are_no_titles),
        cmocka_unit_test(test_bars),
        cmocka_unit_test(test_stated_pickup),
        cmocka_unit_test(test_pickup_by_evidence),
    };
    return cmocka_run_group_tests_name("midi_read", tests, NULL, NULL);
}
