/* Events to symbols and back, in every key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "infer/field_codec.h"
#include "kernels/core/rng.h"

static void test_round_trip_in_every_key(void **state) {
    (void)state;
    motet_rng rng = motet_rng_make(1, 2);
    for (int i = 0; i < 20000; i++) {
        int shift = motet_key_shift((int)motet_rng_below(&rng, 24));
        motet_event event = {.type = (uint8_t)motet_rng_below(&rng, 3)}, back;
        int first, count;
        motet_type_fields(event.type, &first, &count);
        for (int k = 0; k < count; k++)
            event.field[k] =
                (uint8_t)motet_rng_below(&rng, first + k == MOTET_FIELD_NOTE + MOTET_NOTE_PITCH
                                                   ? MOTET_PITCHES
                                                   : (uint32_t)motet_field_size(first + k));
        /* Pitches that no shift takes out of range; the others fold by octaves, which loses them.
         */
        if (event.type == MOTET_EVENT_NOTE &&
            event.field[MOTET_NOTE_PROGRAM] != MOTET_PROGRAM_DRUMS)
            event.field[MOTET_NOTE_PITCH] = (uint8_t)(6 + event.field[MOTET_NOTE_PITCH] % 115);
        int32_t symbols[7];
        assert_int_equal(motet_event_symbols(symbols, &event, shift), 1 + count);
        for (int k = 0; k < count; k++)
            assert_in_range(symbols[1 + k], 0, motet_field_size(first + k) - 1);
        motet_event_from_symbols(&back, symbols, shift);
        assert_memory_equal(&event, &back, sizeof event);
    }
}

static void test_extreme_pitches_fold(void **state) {
    (void)state;
    motet_event event = {.type = MOTET_EVENT_NOTE, .field = {0, 0, 127, 0, 0}};
    int32_t symbols[7];
    motet_event_symbols(symbols, &event, -5);
    assert_int_equal(symbols[1 + MOTET_NOTE_PITCH], 120);
    event.field[MOTET_NOTE_PITCH] = 0;
    motet_event_symbols(symbols, &event, 6);
    assert_int_equal(symbols[1 + MOTET_NOTE_PITCH], 6);
}

static void test_keys(void **state) {
    (void)state;
    assert_int_equal(motet_key_shift(0), 0);      /* C major */
    assert_int_equal(motet_key_shift(12 + 9), 0); /* A minor */
    assert_int_equal(motet_key_shift(7), -5);     /* G major */
    assert_int_equal(motet_key_shift(6), 6);      /* F# major */
    assert_int_equal(motet_key_shift(12 + 2), 5); /* D minor: F major */
    assert_int_equal(motet_key_shift(MOTET_NO_KEY), 0);
}

static void test_tables_add_up(void **state) {
    (void)state;
    int total = 0;
    for (int f = 0; f < MOTET_FIELDS; f++) {
        assert_int_equal(motet_field_offset(f), total);
        assert_true(motet_field_size(f) > 0);
        total += motet_field_size(f);
    }
    assert_int_equal(motet_field_total(), total);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_in_every_key),
        cmocka_unit_test(test_extreme_pitches_fold),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_tables_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
