/* Rows of a window: what they say of the place, and which note of the echoed bar comes next. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "infer/score_input.h"

static motet_event bar(int chord, int echo) {
    return (motet_event){
        .type = MOTET_EVENT_BAR,
        .field = {(uint8_t)motet_metre_index(3, 4), 30, (uint8_t)chord, 0, (uint8_t)echo, 3}};
}

static motet_event note(int position, int program, int pitch) {
    return (motet_event){.type = MOTET_EVENT_NOTE,
                         .field = {(uint8_t)position, (uint8_t)program, (uint8_t)pitch, 11, 16}};
}

/* Bars 0, 1, 2; bar 2 echoes bar 0. */
static const int bar_two = 7;
static motet_event window[11];

static void fill_window(void) {
    motet_event events[] = {bar(0, 0),      note(0, 0, 60),  note(24, 0, 64), note(48, 40, 67),
                            bar(5, 0),      note(0, 0, 65),  note(24, 0, 69), bar(0, 2),
                            note(0, 0, 60), note(24, 0, 72), note(48, 40, 67)};
    for (int i = 0; i < 11; i++)
        window[i] = events[i];
}

static motet_row row_after(int events, motet_score_cursor *cursor) {
    motet_row row;
    motet_cursor_start(cursor, &row, 0, 3, MOTET_NO_KEY);
    for (int i = 0; i < events; i++)
        motet_cursor_advance(cursor, &row, window);
    return row;
}

static void test_the_model_is_the_echoed_bar(void **state) {
    (void)state;
    static const struct {
        int events, model; /* index of the note expected next, 4 or 7: a BAR: no more notes */
    } cases[] = {{1, -1}, {3, -1}, {5, 1}, {6, 2}, {7, 3}, {8, 1}, {9, 2}, {10, 3}, {11, 4}};
    fill_window();
    for (int i = 0; i < 9; i++) {
        motet_score_cursor cursor;
        motet_row row = row_after(cases[i].events, &cursor);
        assert_int_equal(cursor.model, cases[i].model);
        const int32_t *model = row.context + MOTET_CONTEXT_FEATURES - MOTET_NOTE_FIELDS;
        int note_there = cases[i].model >= 0 && window[cases[i].model].type == MOTET_EVENT_NOTE;
        assert_int_equal(model[0] >= 0, cases[i].model >= 0);
        assert_int_equal(model[1] >= 0, note_there);
    }
}

/* Notes written between those of the model only move it on. */
static void test_the_model_follows_what_is_written(void **state) {
    (void)state;
    fill_window();
    window[bar_two + 1] = note(30, 0, 50);
    motet_score_cursor cursor;
    row_after(bar_two + 2, &cursor);
    assert_int_equal(cursor.model, 3);
}

static void test_place_in_time(void **state) {
    (void)state;
    fill_window();
    motet_score_cursor cursor;
    row_after(7, &cursor);
    assert_int_equal(cursor.bar, 1);
    assert_int_equal(cursor.notes, 2);
    assert_int_equal(cursor.index, 7);
    assert_true(fabsf(cursor.time_bars - (1 + 24.0f / 72)) < 1e-6f);
    float angles[64];
    motet_cursor_angles(angles, &cursor, 64);
    for (int i = 0; i < 32; i++)
        assert_true(fabsf(angles[i] * angles[i] + angles[32 + i] * angles[32 + i] - 1) < 1e-5f);
}

/* The same music in another key gives the same rows. */
static void test_rows_are_relative_to_the_key(void **state) {
    (void)state;
    fill_window();
    motet_score_cursor cursor;
    motet_row in_c, in_d;
    motet_cursor_start(&cursor, &in_c, 0, 3, 0);
    for (int i = 0; i < 9; i++)
        motet_cursor_advance(&cursor, &in_c, window);
    for (int i = 0; i < 11; i++)
        if (window[i].type == MOTET_EVENT_NOTE)
            window[i].field[MOTET_NOTE_PITCH] += 2;
        else
            window[i].field[MOTET_BAR_CHORD] =
                (uint8_t)(window[i].field[MOTET_BAR_CHORD] / 12 * 12 +
                          (window[i].field[MOTET_BAR_CHORD] + 2) % 12);
    motet_cursor_start(&cursor, &in_d, 0, 3, 2);
    for (int i = 0; i < 9; i++)
        motet_cursor_advance(&cursor, &in_d, window);
    assert_memory_equal(&in_c, &in_d, sizeof in_c);
}

static void test_every_row_is_in_its_table(void **state) {
    (void)state;
    fill_window();
    motet_score_cursor cursor;
    for (int events = 0; events <= 11; events++) {
        motet_row row = row_after(events, &cursor);
        for (int i = 0; i < MOTET_EVENT_FEATURES; i++)
            assert_true(row.event[i] >= -1 && row.event[i] < motet_event_feature_total());
        for (int i = 0; i < MOTET_CONTEXT_FEATURES; i++)
            assert_true(row.context[i] >= -1 && row.context[i] < motet_context_feature_total());
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_model_is_the_echoed_bar),
        cmocka_unit_test(test_the_model_follows_what_is_written),
        cmocka_unit_test(test_place_in_time),
        cmocka_unit_test(test_rows_are_relative_to_the_key),
        cmocka_unit_test(test_every_row_is_in_its_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
