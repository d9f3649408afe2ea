#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "data/score.h"

static motet_bar bars[] = {{0, 3, 4, 120}, {72, 3, 4, 120}, {144, 6, 8, 90}};
static motet_tempo tempos[] = {{0, 120}, {72, 60}};

static void test_ticks_and_bars(void **state) {
    (void)state;
    motet_score score = {.bars = bars, .bar_count = 3};
    assert_int_equal(motet_score_ticks(&score), 216);
    const int ticks[] = {-1, 0, 71, 72, 143, 144, 215, 216, 100000};
    const int expected[] = {0, 0, 0, 1, 1, 2, 2, 2, 2};
    for (int i = 0; i < 9; i++)
        assert_int_equal(motet_score_bar_at(&score, ticks[i]), expected[i]);
    score.bar_count = 0;
    assert_int_equal(motet_score_ticks(&score), 0);
}

static void test_seconds(void **state) {
    (void)state;
    motet_score score = {.tempos = tempos, .tempo_count = 2};
    assert_true(motet_score_seconds(&score, 0) == 0.0);
    assert_true(motet_score_seconds(&score, 24) == 0.5);
    assert_true(motet_score_seconds(&score, 72) == 1.5);
    assert_true(motet_score_seconds(&score, 96) == 2.5);
    score.tempo_count = 0;
    assert_true(motet_score_seconds(&score, 48) == 1.0); /* 120 bpm is MIDI's default */
}

static void test_sort(void **state) {
    (void)state;
    const motet_note notes[] = {
        {24, 5, 1, 60, 10}, {0, 9, 2, 60, 20}, {0, 5, 2, 60, 90},
        {0, 4, 1, 61, 30},  {0, 4, 1, 60, 40}, {24, 6, 1, 60, 5},
    };
    const motet_note expected[] = {
        {0, 4, 1, 60, 40}, {0, 4, 1, 61, 30}, {0, 9, 2, 60, 90}, {24, 6, 1, 60, 10}};
    motet_score score = {.note_count = 6, .notes = malloc(sizeof notes)};
    assert_non_null(score.notes);
    memcpy(score.notes, notes, sizeof notes);
    motet_score_sort(&score);
    assert_int_equal(score.note_count, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(score.notes[i].start_ticks, expected[i].start_ticks);
        assert_int_equal(score.notes[i].duration_ticks, expected[i].duration_ticks);
        assert_int_equal(score.notes[i].program, expected[i].program);
        assert_int_equal(score.notes[i].pitch, expected[i].pitch);
        assert_int_equal(score.notes[i].velocity, expected[i].velocity);
    }
    motet_score_free(&score);
    assert_null(score.notes);
    assert_int_equal(score.note_count, 0);
    motet_score_free(&score);
    motet_score_free(NULL);
    motet_score_sort(&score);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ticks_and_bars),
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_sort),
    };
    return cmocka_run_group_tests_name("score", tests, NULL, NULL);
}
