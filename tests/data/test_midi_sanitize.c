/* What people's files have wrong, one fault a test, and then random faults in whole files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "data/file.h"
#include "data/midi_sanitize.h"
#include "kernels/core/rng.h"
#include "tests/data/harness_midi.h"

/* Reads the file (and frees it); expects so many notes; leaves the report. */
static motet_midi_report report;
static motet_score read_notes(motet_chunk_buffer *file, int notes) {
    motet_score score;
    if (motet_midi_read(&score, &report, file->bytes, file->size, "test.mid") != MOTET_OK)
        fail_msg("%s", motet_error());
    assert_int_equal(score.note_count, notes);
    free(file->bytes);
    return score;
}

static void expect_error(motet_chunk_buffer *file, motet_status status, const char *part) {
    motet_score score;
    assert_int_equal(motet_midi_read(&score, NULL, file->bytes, file->size, "test.mid"), status);
    if (!strstr(motet_error(), "test.mid") || !strstr(motet_error(), part))
        fail_msg("\"%s\" does not say \"%s\"", motet_error(), part);
    assert_null(score.notes);
    free(file->bytes);
}

static void test_clean_file_is_not_repaired(void **state) {
    (void)state;
    motet_chunk_buffer file;
    size_t start;
    midi_begin(&file, 0, 1, 96);
    midi_track(&file, &start);
    midi_note(&file, 0, 96, 0, 60, 80);
    midi_end(&file, start, 0);
    motet_score score = read_notes(&file, 1);
    assert_string_equal(report.first_repair, "");
    assert_int_equal(report.tracks, 1);
    assert_int_equal(report.tracks_repaired + report.bytes_skipped + report.notes_hanging, 0);
    motet_score_free(&score);
}

static void test_junk_around_chunks(void **state) {
    (void)state;
    motet_chunk_buffer inner, file = {0};
    size_t start;
    midi_begin(&inner, 1, 77, 96); /* the number of tracks lies */
    MIDI_RAW(&inner, "XFIH\0\0\0\4abcd");
    midi_track(&inner, &start);
    midi_note(&inner, 0, 96, 0, 60, 80);
    midi_end(&inner, start, 0);
    MIDI_RAW(&inner, "\0\0\0tail");
    MIDI_RAW(&file, "mail header\r\n");
    midi_raw(&file, (const char *)inner.bytes, inner.size);
    free(inner.bytes);
    motet_score score = read_notes(&file, 1);
    assert_int_equal(report.bytes_skipped, 13 + 12 + 7);
    assert_string_equal(report.first_repair, "other material before MThd at byte 0");
    motet_score_free(&score);
}

static void test_riff(void **state) {
    (void)state;
    motet_chunk_buffer inner, file = {0};
    size_t start;
    midi_begin(&inner, 0, 1, 96);
    midi_track(&inner, &start);
    midi_note(&inner, 0, 96, 0, 60, 80);
    midi_end(&inner, start, 0);
    MIDI_RAW(&file, "RIFF\x50\0\0\0RMIDdata\x40\0\0\0");
    midi_raw(&file, (const char *)inner.bytes, inner.size);
    free(inner.bytes);
    motet_score score = read_notes(&file, 1);
    assert_string_equal(report.first_repair, "");
    motet_score_free(&score);
}

/* Two tracks of a note each; the first one's stated length is off by error. */
static void check_length(int error, const char *repair) {
    motet_chunk_buffer file;
    size_t start, first;
    midi_begin(&file, 1, 2, 96);
    midi_track(&file, &first);
    midi_note(&file, 0, 96, 0, 60, 80);
    midi_end(&file, first, 0);
    midi_track(&file, &start);
    midi_note(&file, 0, 96, 1, 64, 80);
    midi_end(&file, start, 0);
    uint32_t length = (uint32_t)((int)file.bytes[first + 7] + error);
    for (int i = 0; i < 4; i++)
        file.bytes[first + 4 + (size_t)i] = (uint8_t)(length >> (24 - 8 * i));
    motet_score score = read_notes(&file, 2);
    assert_string_equal(report.first_repair, repair);
    assert_int_equal(report.tracks, 2);
    motet_score_free(&score);
}

static void test_lying_lengths(void **state) {
    (void)state;
    check_length(1, "track 1: a wrong chunk length at byte 18");
    check_length(-1, "track 1: a wrong chunk length at byte 18");
    check_length(-12, "track 1: a wrong chunk length at byte 18");
    check_length(1000000, "track 1: a chunk longer than the file at byte 18");
    check_length(-13, "track 1: a chunk longer than the file at byte 18"); /* 0xffff.... */
}

static void test_no_end_of_track(void **state) {
    (void)state;
    motet_chunk_buffer file;
    size_t start;
    midi_begin(&file, 1, 2, 96);
    midi_track(&file, &start);
    midi_note(&file, 0, 96, 0, 60, 80);
    midi_end(&file, start, 0);
    file.size -= 4; /* the length is right again, and End Of Track gone */
    file.bytes[start + 7] -= 4;
    midi_track(&file, &start);
    midi_note(&file, 0, 96, 0, 64, 80);
    midi_end(&file, start, 0);
    motet_score score = read_notes(&file, 2);
    assert_string_equal(report.first_repair, "track 1: no End Of Track at byte 30");
    assert_int_equal(report.tracks_repaired, 1);
    motet_score_free(&score);
}

static void test_events_that_break_readers(void **state) {
    (void)state;
    char meta[3 + 2 + 300] = "\xff\x01\x82\x2c"; /* 300 bytes of text */
    memset(meta + 4, 'x', 300);
    motet_chunk_buffer file;
    size_t start;
    midi_begin(&file, 1, 1, 96);
    midi_track(&file, &start);
    MIDI_EVENT(&file, 0, "\xf7\x02\xf3\x01");             /* escape */
    MIDI_EVENT(&file, 0, "\xf0\x05\x7e\x7f\x09\x01\xf7"); /* GM on */
    midi_event(&file, 0, meta, 304);
    MIDI_EVENT(&file, 0, "\x90\x3c\x50");
    MIDI_EVENT(&file, 96, "\x3c\x00"); /* running status */
    MIDI_EVENT(&file, 0, "\xff\x06\x01m");
    MIDI_EVENT(&file, 0, "\x3e\x50"); /* and across a meta event */
    MIDI_EVENT(&file, 96, "\x3e\x00");
    MIDI_EVENT(&file, 0, "\xf8"); /* real-time, not allowed */
    MIDI_EVENT(&file, 0, "\x90\x40\x50");
    MIDI_RAW(&file, "\x80\x80\x80\x80\x60\x40\x00"); /* a delta of five bytes: 96 */
    MIDI_EVENT(&file, 0, "\xe0\x00\x40");
    MIDI_EVENT(&file, 0, "\x90\xfd\x50"); /* pitch -3 */
    MIDI_EVENT(&file, 0, "\x90\x41\x50");
    MIDI_EVENT(&file, 96, "\x80\x41\x00");
    midi_end(&file, start, 0);
    motet_score score = read_notes(&file, 4);
    const int pitches[] = {60, 62, 64, 65};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(score.notes[i].pitch, pitches[i]);
        assert_int_equal(score.notes[i].start_ticks, 24 * i);
        assert_int_equal(score.notes[i].duration_ticks, 24);
    }
    assert_int_equal(report.tracks_repaired, 1);
    assert_int_equal(report.bytes_skipped, 1 + 3);
    motet_score_free(&score);
}

static void test_system_exclusive_without_length(void **state) {
    (void)state;
    motet_chunk_buffer file;
    size_t start;
    midi_begin(&file, 1, 1, 96);
    midi_track(&file, &start);
    MIDI_EVENT(&file, 0, "\xf0\x7e\x7f\x09\x01\xf7");
    midi_note(&file, 0, 96, 0, 60, 80);
    midi_end(&file, start, 0);
    motet_score score = read_notes(&file, 1);
    assert_string_equal(report.first_repair,
                        "track 1: a system exclusive event with a wrong length at byte 24");
    motet_score_free(&score);
}

static void test_data_without_status(void **state) {
    (void)state;
    motet_chunk_buffer file;
    size_t start;
    midi_begin(&file, 1, 1, 0); /* and a division of 0 */
    midi_track(&file, &start);
    MIDI_EVENT(&file, 0, "\x40");
    midi_note(&file, 0, 480, 0, 60, 80);
    midi_end(&file, start, 0);
    motet_score score = read_notes(&file, 1);
    assert_int_equal(score.notes[0].duration_ticks, 24);
    assert_string_equal(report.first_repair, "a division of 0 at byte 12");
    assert_int_equal(report.bytes_skipped, 1);
    motet_score_free(&score);
}

static void test_what_cannot_be_saved(void **state) {
    (void)state;
    motet_chunk_buffer file = {0};
    size_t start;
    expect_error(&file, MOTET_E_DATA, "no MIDI header");
    file = (motet_chunk_buffer){0};
    MIDI_RAW(&file, "MThd\0\0\0\6\0\1");
    expect_error(&file, MOTET_E_DATA, "byte 10");
    midi_begin(&file, 2, 1, 96);
    expect_error(&file, MOTET_E_DATA, "format 2");
    midi_begin(&file, 1, 1, 0xe728);
    expect_error(&file, MOTET_E_DATA, "SMPTE");
    midi_begin(&file, 1, 1, 96);
    expect_error(&file, MOTET_E_DATA, "no track");
    midi_begin(&file, 1, 1, 96);
    midi_track(&file, &start);
    midi_end(&file, start, 0);
    expect_error(&file, MOTET_E_DATA, "no notes");
    midi_begin(&file, 1, 1, 1);
    midi_track(&file, &start);
    midi_note(&file, 0x0fffffff, 1, 0, 60, 80);
    midi_end(&file, start, 0);
    expect_error(&file, MOTET_E_DATA, "byte 26");
    midi_begin(&file, 1, 1, 1);
    midi_track(&file, &start);
    midi_note(&file, 0, 1, 0, 60, 80);
    midi_note(&file, 60000, 1, 0, 60, 80);
    midi_end(&file, start, 0);
    expect_error(&file, MOTET_E_DATA, "10000 bars");
    midi_begin(&file, 1, 2000, 96);
    for (int i = 0; i < 2000; i++) {
        midi_track(&file, &start);
        midi_note(&file, 0, 96, i % 9, 60, 80);
        midi_end(&file, start, 0);
    }
    expect_error(&file, MOTET_E_DATA, "more than 1024 tracks");
}

/* Hostile sizes must cost time linear in the bytes. */
static void test_many_changes(void **state) {
    (void)state;
    motet_chunk_buffer file;
    size_t start;
    clock_t begin = clock();
    midi_begin(&file, 1, 60000, 960);
    midi_track(&file, &start);
    for (int i = 0; i < 300000; i++)
        midi_event(&file, 1, (char[]){(char)0xff, 0x51, 3, 7, (char)(i >> 8), (char)i}, 6);
    midi_end(&file, start, 0);
    midi_track(&file, &start);
    for (int i = 0; i < 2000; i++)
        midi_note(&file, 40, 40, 0, 60, 80);
    midi_end(&file, start, 0);
    for (int i = 0; i < 60000; i++) {
        midi_track(&file, &start);
        midi_end(&file, start, 0);
    }
    motet_score score = read_notes(&file, 2000);
    assert_true(score.tempo_count > 100 && score.tempo_count < 20001);
    assert_non_null(strstr(report.first_repair, "thinned"));
    motet_score_free(&score);
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 60);
}

static void test_delta_of_hours(void **state) {
    (void)state;
    unsigned char *clean;
    size_t size, start;
    motet_chunk_buffer file;
    midi_begin(&file, 1, 1, 32767);
    midi_track(&file, &start);
    midi_note(&file, 0, 1, 0, 60, 80);
    MIDI_EVENT(&file, 0x0fffffff, "\xff\x01\x01x");
    midi_note(&file, 0x0fffffff, 32767, 0, 62, 80);
    midi_end(&file, start, 0);
    memset(&report, 0, sizeof report);
    assert_int_equal(motet_midi_sanitize(&clean, &size, &report, file.bytes, file.size, "test.mid"),
                     MOTET_OK);
    free(clean);
    motet_score score = read_notes(&file, 2);
    assert_int_equal(score.notes[1].start_ticks, (int)(2.0 * 0x0fffffff * 24 / 32767 + 0.5));
    motet_score_free(&score);
}

/* Cuts, changes, drops and doubles bytes of a whole file: it is read or refused, never a crash; the
 * sanitiser's own output is taken by itself without a repair. */
static void mutate(const unsigned char *bytes, size_t size, uint64_t seed, int *read,
                   int *refused) {
    motet_rng rng = motet_rng_make(seed, 77);
    unsigned char *copy = malloc(size + 64), *clean;
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    uint32_t faults = 1 + motet_rng_below(&rng, 6);
    for (uint32_t i = 0; i < faults && size > 20; i++) {
        size_t at = motet_rng_below(&rng, (uint32_t)size), n = 1 + motet_rng_below(&rng, 5);
        switch (motet_rng_below(&rng, 5)) {
        case 0:
            size = at;
            break;
        case 1:
            copy[at] = (unsigned char)motet_rng_u32(&rng);
            break;
        case 2:
            copy[at] ^= (unsigned char)(1u << motet_rng_below(&rng, 8));
            break;
        case 3:
            if (at + n >= size) break;
            memmove(copy + at, copy + at + n, size - at - n);
            size -= n;
            break;
        case 4:
            memset(copy + at, 0xff, n < size - at ? n : size - at);
            break;
        }
    }
    motet_score score;
    memset(&report, 0, sizeof report);
    if (motet_midi_read(&score, &report, copy, size, "mutant") == MOTET_OK) {
        ++*read;
        assert_true(score.note_count > 0 && score.bar_count > 0);
        motet_score_free(&score);
    } else {
        ++*refused;
        assert_non_null(strstr(motet_error(), "mutant"));
    }
    size_t clean_size;
    motet_midi_report first = {0}, second = {0};
    if (motet_midi_sanitize(&clean, &clean_size, &first, copy, size, "mutant") == MOTET_OK) {
        unsigned char *again;
        size_t again_size;
        assert_int_equal(
            motet_midi_sanitize(&again, &again_size, &second, clean, clean_size, "clean"),
            MOTET_OK);
        assert_string_equal(second.first_repair, "");
        assert_int_equal(second.bytes_skipped, 0);
        free(again);
        free(clean);
    }
    free(copy);
}

static void test_mutants_of_own_file(void **state) {
    (void)state;
    motet_chunk_buffer file;
    size_t start;
    int read = 0, refused = 0;
    midi_begin(&file, 1, 3, 480);
    for (int track = 0; track < 3; track++) {
        midi_track(&file, &start);
        MIDI_EVENT(&file, 0, "\xff\x03\x05Track");
        MIDI_EVENT(&file, 0, "\xff\x58\x04\x03\x02\x18\x08");
        MIDI_EVENT(&file, 0, "\xff\x51\x03\x07\xa1\x20");
        MIDI_EVENT(&file, 0, "\xf0\x05\x7e\x7f\x09\x01\xf7");
        midi_event(&file, 0, (char[]){(char)(0xc0 | track), (char)(track * 20)}, 2);
        for (int i = 0; i < 40; i++) {
            midi_event(&file, 0, (char[]){(char)(0xb0 | track), 64, i & 1 ? 127 : 0}, 3);
            midi_note(&file, 0, 240, track, 60 + i % 12, 80);
        }
        midi_end(&file, start, 0);
    }
    for (uint64_t seed = 0; seed < 3000; seed++)
        mutate(file.bytes, file.size, seed, &read, &refused);
    free(file.bytes);
    assert_true(read > 1000 && refused > 20);
}

static void test_mutants_of_real_files(void **state) {
    (void)state;
    glob_t found;
    if (glob("/usr/share/games/openttd/baseset/openmsx/*.mid", 0, NULL, &found)) {
        print_message("no openttd-openmsx here: its files are not mutated\n");
        skip();
    }
    int read = 0, refused = 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        unsigned char *bytes;
        size_t size;
        assert_int_equal(motet_file_read(&bytes, &size, found.gl_pathv[i], 1 << 20), MOTET_OK);
        for (uint64_t seed = 0; seed < 6; seed++)
            mutate(bytes, size, i * 1000 + seed, &read, &refused);
        free(bytes);
    }
    globfree(&found);
    assert_true(read > refused);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean_file_is_not_repaired),
        cmocka_unit_test(test_junk_around_chunks),
        cmocka_unit_test(test_riff),
        cmocka_unit_test(test_lying_lengths),
        cmocka_unit_test(test_no_end_of_track),
        cmocka_unit_test(test_events_that_break_readers),
        cmocka_unit_test(test_system_exclusive_without_length),
        cmocka_unit_test(test_data_without_status),
        cmocka_unit_test(test_what_cannot_be_saved),
        cmocka_unit_test(test_many_changes),
        cmocka_unit_test(test_delta_of_hours),
        cmocka_unit_test(test_mutants_of_own_file),
        cmocka_unit_test(test_mutants_of_real_files),
    };
    return cmocka_run_group_tests_name("midi_sanitize", tests, NULL, NULL);
}
