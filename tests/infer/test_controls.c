#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infer/controls.h"

static void nothing_asked_is_one_symbol(void **state) {
    (void)state;
    int32_t symbols[MOTET_MAX_CONTROLS];
    const motet_controls none = motet_controls_none();
    assert_int_equal(motet_control_symbols(symbols, &none), 1);
    assert_int_equal(symbols[0], MOTET_CONTROL_ALWAYS);
}

static void bars_fall_into_the_levels_of_the_header(void **state) {
    (void)state;
    static const int first[] = {1, 2, 3, 5, 7, 9, 13, 17, 21, 25, 33, 41, 49, 65, 97, 129};
    for (int level = 0; level < MOTET_CONTROL_BARS_LEVELS; level++) {
        const int last = level < 15 ? first[level + 1] - 1 : 100000;
        assert_int_equal(motet_bars_level(first[level]), level);
        assert_int_equal(motet_bars_level(last), level);
    }
}

static void everything_asked_fills_the_table(void **state) {
    (void)state;
    motet_controls all = {.tempo = MOTET_TEMPOS - 1,
                          .metre = MOTET_METRES - 1,
                          .key = 23,
                          .bars = 1000,
                          .density = MOTET_DENSITIES - 1,
                          .program_count = 16};
    for (int i = 0; i < 16; i++)
        all.programs[i] = (uint8_t)(MOTET_PROGRAMS - 1 - i);
    int32_t symbols[MOTET_MAX_CONTROLS];
    assert_int_equal(motet_control_symbols(symbols, &all), MOTET_MAX_CONTROLS);
    static const int32_t ends[] = {
        MOTET_CONTROL_TEMPO,   MOTET_CONTROL_METRE,   MOTET_CONTROL_KEY,    MOTET_CONTROL_BARS,
        MOTET_CONTROL_DENSITY, MOTET_CONTROL_PROGRAM, MOTET_CONTROL_SYMBOLS};
    for (int i = 0; i < 7; i++) /* the last symbol of each range stands just before the next */
        assert_int_equal(symbols[i], ends[i] - 1);
    for (int i = 1; i < 16; i++)
        assert_int_equal(symbols[6 + i], MOTET_CONTROL_SYMBOLS - 1 - i);
}

static void first_values_of_each_range(void **state) {
    (void)state;
    const motet_controls low = {.bars = 1, .program_count = 1};
    int32_t symbols[MOTET_MAX_CONTROLS];
    assert_int_equal(motet_control_symbols(symbols, &low), 7);
    static const int32_t firsts[] = {
        MOTET_CONTROL_ALWAYS, MOTET_CONTROL_TEMPO,   MOTET_CONTROL_METRE,  MOTET_CONTROL_KEY,
        MOTET_CONTROL_BARS,   MOTET_CONTROL_DENSITY, MOTET_CONTROL_PROGRAM};
    for (int i = 0; i < 7; i++)
        assert_int_equal(symbols[i], firsts[i]);
}

static void values_out_of_range_are_not_asked(void **state) {
    (void)state;
    const motet_controls wild = {.tempo = MOTET_TEMPOS,
                                 .metre = MOTET_METRES,
                                 .key = 24,
                                 .bars = 0,
                                 .density = MOTET_DENSITIES,
                                 .program_count = 40,
                                 .programs = {MOTET_PROGRAMS, 255, 3}};
    int32_t symbols[MOTET_MAX_CONTROLS];
    /* ALWAYS, program 3, and the thirteen zeros behind it; never more than 16 programs. */
    assert_int_equal(motet_control_symbols(symbols, &wild), 15);
    assert_int_equal(symbols[1], MOTET_CONTROL_PROGRAM + 3);
    for (int i = 2; i < 15; i++)
        assert_int_equal(symbols[i], MOTET_CONTROL_PROGRAM);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_asked_is_one_symbol),
        cmocka_unit_test(bars_fall_into_the_levels_of_the_header),
        cmocka_unit_test(everything_asked_fills_the_table),
        cmocka_unit_test(first_values_of_each_range),
        cmocka_unit_test(values_out_of_range_are_not_asked),
    };
    return cmocka_run_group_tests_name("controls", tests, NULL, NULL);
}
