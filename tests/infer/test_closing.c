/* Which last bars sound like an end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "data/instrument.h"
#include "infer/closing.h"

enum { C_MAJOR = 0, A_MINOR = 12 + 9, PIANO = 0, DRUMS = MOTET_PROGRAM_DRUMS };

static motet_event note(int position, int program, int pitch, int ticks) {
    motet_event event = {.type = MOTET_EVENT_NOTE};
    event.field[MOTET_NOTE_POSITION] = (uint8_t)position;
    event.field[MOTET_NOTE_PROGRAM] = (uint8_t)program;
    event.field[MOTET_NOTE_PITCH] = (uint8_t)pitch;
    event.field[MOTET_NOTE_DURATION] = (uint8_t)motet_duration_index(ticks);
    return event;
}

static void test_triads(void **state) {
    (void)state;
    motet_event chord[] = {note(0, PIANO, 48, 96), note(0, PIANO, 64, 96), note(0, PIANO, 67, 96)};
    assert_true(motet_closing_is_firm(chord, 3, C_MAJOR));
    assert_false(motet_closing_is_firm(chord, 3, A_MINOR));
    chord[1] = note(0, PIANO, 65, 96); /* a fourth that hangs on */
    assert_false(motet_closing_is_firm(chord, 3, C_MAJOR));
    chord[1] = note(0, PIANO, 65, 24); /* one that is left in time */
    assert_true(motet_closing_is_firm(chord, 3, C_MAJOR));
    motet_event minor[] = {note(0, PIANO, 45, 96), note(0, PIANO, 60, 96)};
    assert_true(motet_closing_is_firm(minor, 2, A_MINOR));
    assert_false(motet_closing_is_firm(minor, 2, C_MAJOR));
}

static void test_bass(void **state) {
    (void)state;
    motet_event step[] = {note(0, PIANO, 43, 48), note(48, PIANO, 48, 48), note(48, PIANO, 76, 48)};
    assert_true(motet_closing_is_firm(step, 3, C_MAJOR)); /* G, then C: the last in the octave */
    assert_false(motet_closing_is_firm(step, 1, C_MAJOR));
    step[1] = note(48, PIANO, 52, 48);
    assert_false(motet_closing_is_firm(step, 3, C_MAJOR)); /* a chord on its third is no end */
}

static void test_drums_always_close(void **state) {
    (void)state;
    motet_event beats[] = {note(0, DRUMS, 36, 6), note(24, DRUMS, 42, 6)};
    assert_true(motet_closing_is_firm(beats, 2, C_MAJOR));
    assert_true(motet_closing_is_firm(beats, 0, C_MAJOR));
    motet_event both[] = {note(0, PIANO, 48, 96), note(72, DRUMS, 37, 24)};
    assert_true(motet_closing_is_firm(both, 2, C_MAJOR));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_triads),
        cmocka_unit_test(test_bass),
        cmocka_unit_test(test_drums_always_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
