#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/file.h"
#include "data/midi_read.h"
#include "data/midi_write.h"
#include "tests/data/harness_midi.h"

static motet_bar bars[] = {{0, 4, 4, 100}, {96, 4, 4, 100}, {192, 3, 4, 100}};
static motet_tempo tempos[] = {{0, 100}, {100, 61.5}};
static motet_note notes[] = {
    {0, 24, 0, 60, 80},  {0, 24, 40, 60, 81}, {0, 6, 128, 36, 99},
    {24, 24, 0, 60, 82}, {48, 24, 0, 62, 83}, {255, 200, 40, 61, 127},
};

static motet_score small_score(void) {
    motet_score score = {.notes = notes,
                         .bars = bars,
                         .tempos = tempos,
                         .note_count = 6,
                         .bar_count = 3,
                         .tempo_count = 2,
                         .key = 12 + 2};
    strcpy(score.title, "Étude №1");
    return score;
}

/* The place of a byte string in another, or -1. */
static long find(const unsigned char *bytes, size_t size, const char *part, size_t length) {
    const unsigned char *found = memmem(bytes, size, part, length);
    return found ? (long)(found - bytes) : -1;
}
#define FIND(text) find(bytes, size, text, sizeof(text) - 1)

static void test_bytes(void **state) {
    (void)state;
    motet_score score = small_score();
    unsigned char *bytes, *again;
    size_t size, again_size;
    assert_int_equal(motet_midi_write(&bytes, &size, &score, NULL), MOTET_OK);
    assert_memory_equal(bytes, "MThd\0\0\0\6\0\1\0\4\1\xe0MTrk", 18);
    assert_true(FIND("\0\xff\x58\4\4\2\x18\x08") > 0);
    assert_true(FIND("\xff\x58\4\3\2\x18\x08") > 0);
    assert_true(FIND("\0\xff\x51\3\x09\x27\xc0") > 0); /* 600,000 us */
    assert_true(FIND("\xff\x59\2\xff\1") > 0);         /* D minor */
    assert_true(FIND("\xff\x03\x0bÉtude №1") > 0);
    assert_true(FIND("\xff\x03\x15"
                     "Acoustic Grand Piano") < FIND("\xff\x03\x06Violin"));
    assert_true(FIND("\xff\x03\x06Violin\0\xc1\x28") > 0);
    assert_true(FIND("\xff\x03\x05"
                     "Drums\0\x99\x24\x63") > 0);
    assert_true(FIND("\0\x80\x3c\x40\0\x90\x3c\x52") < 0);
    assert_true(FIND("\x80\x3c\x40\0\x90\x3c\x52") > 0); /* off before on, both at tick 24 */
    assert_memory_equal(bytes + size - 3, "\xff\x2f\0", 3);
    assert_int_equal(motet_midi_write(&again, &again_size, &score, NULL), MOTET_OK);
    assert_int_equal(size, again_size);
    assert_memory_equal(bytes, again, size);
    free(bytes);
    free(again);
}

static void test_round_trip(void **state) {
    (void)state;
    motet_score score = small_score(), first, second;
    motet_midi_report report;
    unsigned char *bytes;
    size_t size;
    assert_int_equal(motet_midi_write(&bytes, &size, &score, NULL), MOTET_OK);
    assert_int_equal(motet_midi_read(&first, &report, bytes, size, "first"), MOTET_OK);
    assert_string_equal(report.first_repair, "");
    free(bytes);
    /* The last note rings on through three bars more. */
    assert_int_equal(first.bar_count, 6);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(first.notes[i].start_ticks, notes[i].start_ticks);
        assert_int_equal(first.notes[i].duration_ticks, notes[i].duration_ticks);
        assert_int_equal(first.notes[i].program, notes[i].program);
        assert_int_equal(first.notes[i].pitch, notes[i].pitch);
        assert_int_equal(first.notes[i].velocity, notes[i].velocity);
    }
    assert_int_equal(first.key, score.key);
    assert_string_equal(first.title, score.title);
    assert_true(first.tempos[0].bpm == 100 && first.tempos[1].start_ticks == 100);
    assert_int_equal(motet_midi_write(&bytes, &size, &first, NULL), MOTET_OK);
    assert_int_equal(motet_midi_read(&second, NULL, bytes, size, "second"), MOTET_OK);
    assert_scores_equal(&first, &second, "small score");
    free(bytes);
    motet_score_free(&first);
    motet_score_free(&second);
}

static void test_texts_are_split_at_characters(void **state) {
    (void)state;
    char line[301];
    line[0] = 'x';
    for (int i = 0; i < 149; i++)
        memcpy(line + 1 + 2 * i, "é", 2);
    line[299] = 0;
    const char *const lines[] = {"seed 7", line, ""};
    motet_midi_texts texts = {lines, 3};
    motet_score score = small_score();
    unsigned char *bytes;
    size_t size;
    assert_int_equal(motet_midi_write(&bytes, &size, &score, &texts), MOTET_OK);
    assert_true(FIND("\0\xff\x01\x06seed 7\0\xff\x01\x7fxé") > 0);
    /* 1 + 63 characters fill 127 bytes; 126 and 46 bytes of whole characters follow. */
    assert_true(FIND("é\0\xff\x01\x7e\xc3") > 0);
    assert_true(FIND("é\0\xff\x01\x2e\xc3") > 0);
    free(bytes);
}

static void test_every_program_at_its_time(void **state) {
    (void)state;
    motet_note many[40];
    motet_bar long_bars[20];
    for (int i = 0; i < 40; i++)
        many[i] = (motet_note){i * 48, 40, (uint8_t)(i * 3), 60, 70};
    for (int i = 0; i < 20; i++)
        long_bars[i] = (motet_bar){i * 96, 4, 4, 120};
    motet_score score = {
        .notes = many, .note_count = 40, .bars = long_bars, .bar_count = 20, .key = MOTET_NO_KEY};
    motet_score again;
    unsigned char *bytes;
    size_t size;
    assert_int_equal(motet_midi_write(&bytes, &size, &score, NULL), MOTET_OK);
    assert_int_equal(motet_midi_read(&again, NULL, bytes, size, "many"), MOTET_OK);
    assert_int_equal(again.note_count, 40);
    for (int i = 0; i < 40; i++)
        assert_int_equal(again.notes[i].program, i * 3);
    free(bytes);
    motet_score_free(&again);
    for (int i = 0; i < 16; i++)
        many[i].start_ticks = 0; /* sixteen at once: one too many */
    assert_int_equal(motet_midi_write(&bytes, &size, &score, NULL), MOTET_E_UNSUPPORTED);
    assert_non_null(strstr(motet_error(), "15 channels"));
}

static void test_impossible_scores(void **state) {
    (void)state;
    unsigned char *bytes;
    size_t size;
    motet_note bad = {0, 24, 129, 60, 80};
    motet_score score = small_score();
    score.notes = &bad;
    score.note_count = 1;
    assert_int_equal(motet_midi_write(&bytes, &size, &score, NULL), MOTET_E_USAGE);
    bad = (motet_note){-1, 24, 0, 60, 80};
    assert_int_equal(motet_midi_write(&bytes, &size, &score, NULL), MOTET_E_USAGE);
    bad = (motet_note){INT32_MAX, 24, 0, 60, 80};
    assert_int_equal(motet_midi_write(&bytes, &size, &score, NULL), MOTET_E_USAGE);
    bad = (motet_note){0, 24, 0, 60, 0};
    assert_int_equal(motet_midi_write(&bytes, &size, &score, NULL), MOTET_E_USAGE);
    score = small_score();
    score.bar_count = 0;
    assert_int_equal(motet_midi_write(&bytes, &size, &score, NULL), MOTET_E_USAGE);
}

static void test_files(void **state) {
    (void)state;
    char folder[] = "/tmp/motet-test-XXXXXX", path[64], other[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.mid", folder);
    motet_score score = small_score(), again;
    assert_int_equal(motet_midi_write_file(path, &score, NULL), MOTET_OK);
    assert_int_equal(motet_midi_read_file(&again, NULL, path), MOTET_OK);
    assert_int_equal(again.note_count, 6);
    motet_score_free(&again);

    /* A score that cannot be written leaves the old file alone. */
    unsigned char *before, *after;
    size_t before_size, after_size;
    assert_int_equal(motet_file_read(&before, &before_size, path, 1 << 20), MOTET_OK);
    score.bar_count = 0;
    assert_int_equal(motet_midi_write_file(path, &score, NULL), MOTET_E_USAGE);
    assert_int_equal(motet_file_read(&after, &after_size, path, 1 << 20), MOTET_OK);
    assert_int_equal(before_size, after_size);
    assert_memory_equal(before, after, before_size);
    free(before);
    free(after);

    assert_int_equal(motet_file_read(&before, &before_size, path, 10), MOTET_E_IO);
    assert_non_null(strstr(motet_error(), path));
    assert_int_equal(motet_file_read(&before, &before_size, folder, 10), MOTET_E_IO);
    snprintf(other, sizeof other, "%s/none/b.mid", folder);
    assert_int_equal(motet_midi_read_file(&again, NULL, other), MOTET_E_IO);
    assert_int_equal(motet_file_replace(other, "x", 1), MOTET_E_IO);
    assert_non_null(strstr(motet_error(), other));
    assert_int_equal(motet_file_replace(folder, "x", 1), MOTET_E_IO);
    assert_int_equal(motet_file_replace("", "x", 1), MOTET_E_IO);

    /* Replacing keeps the mode and leaves no second file. */
    struct stat info;
    glob_t found;
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(motet_file_replace(path, "new", 3), MOTET_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
    assert_int_equal(motet_file_read(&after, &after_size, path, 3), MOTET_OK);
    assert_int_equal(after_size, 3);
    assert_string_equal((char *)after, "new");
    free(after);
    snprintf(other, sizeof other, "%s/*", folder);
    assert_int_equal(glob(other, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    globfree(&found);
    /* A full disk is an error with a reason. */
    if (access("/dev/full", W_OK) == 0) {
        assert_int_equal(motet_file_replace("/dev/full", "x", 1), MOTET_E_IO);
        assert_non_null(strstr(motet_error(), "/dev/full: cannot write"));
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void check_identity(const char *pattern) {
    glob_t found;
    if (glob(pattern, 0, NULL, &found)) {
        print_message("%s: none here, so none is checked\n", pattern);
        skip();
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        motet_score first, second;
        motet_midi_report report;
        unsigned char *bytes;
        size_t size;
        if (motet_midi_read_file(&first, NULL, found.gl_pathv[i]) != MOTET_OK ||
            motet_midi_write(&bytes, &size, &first, NULL) != MOTET_OK ||
            motet_midi_read(&second, &report, bytes, size, "ours") != MOTET_OK)
            fail_msg("%s: %s", found.gl_pathv[i], motet_error());
        assert_string_equal(report.first_repair, "");
        assert_scores_equal(&first, &second, found.gl_pathv[i]);
        free(bytes);
        motet_score_free(&first);
        motet_score_free(&second);
    }
    globfree(&found);
}

static void test_identity_openmsx(void **state) {
    (void)state;
    check_identity("/usr/share/games/openttd/baseset/openmsx/*.mid");
}

static void test_identity_mma(void **state) {
    (void)state;
    check_identity("/usr/share/doc/mma/examples/*/*.mid");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_texts_are_split_at_characters),
        cmocka_unit_test(test_every_program_at_its_time),
        cmocka_unit_test(test_impossible_scores),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_identity_openmsx),
        cmocka_unit_test(test_identity_mma),
    };
    return cmocka_run_group_tests_name("midi_write", tests, NULL, NULL);
}
