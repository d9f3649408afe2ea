#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "data/instrument.h"

static void test_every_word_is_its_programs(void **state) {
    (void)state;
    for (int program = 0; program <= MOTET_PROGRAM_DRUMS; program++) {
        int low, high, words = 0;
        assert_string_equal(motet_program_word(program, 0), motet_program_nickname(program));
        for (const char *word; (word = motet_program_word(program, words)); words++)
            if (motet_program_parse(word, NULL) != program)
                fail_msg("\"%s\" of program %d is taken for %d", word, program,
                         motet_program_parse(word, NULL));
        assert_true(words >= 2);
        assert_null(motet_program_word(program, words + 1));
        motet_program_range(program, &low, &high);
        assert_true(low >= 0 && low < high && high <= 127);
        assert_true(strlen(motet_program_name(program)) <= 127);
        /* GM calls program 110 what everybody calls a violin's folk name. */
        if (program != 110)
            assert_int_equal(motet_program_parse(motet_program_name(program), NULL), program);
    }
}

static void test_what_people_write(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int program;
    } known[] = {
        {"piano", 0},
        {"PIANO", 0},
        {"Acoustic Guitar (nylon)", 24},
        {"fiddle", 40},
        {"upright bass", 32},
        {"e-piano", 4},
        {"E Piano", 4},
        {"rhodes", 4},
        {"strings", 48},
        {"synth pad", 89},
        {"violoncello", 42},
        {"two", -1},
        {"violas", 41},
        {"drums", 128},
        {"drum kit", 128},
        {"41", 40},
        {"1", 0},
        {"128", 127},
        {"0", -1},
        {"129", -1},
        {"-3", 2},
        {" flute ", 73},
        {"Lead 8 (bass + lead)", 87},
        {"cor anglais", 69},
        {"", -1},
        {"accordions", 21},
        {"bagpipes", 109},
        {"sax", 66},
        {"church_organ", 19},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (motet_program_parse(known[i].text, NULL) != known[i].program)
            fail_msg("\"%s\" is taken for %d, not %d", known[i].text,
                     motet_program_parse(known[i].text, NULL), known[i].program);
}

static void test_nearest(void **state) {
    (void)state;
    const char *nearest = "unset";
    assert_int_equal(motet_program_parse("pinao", &nearest), -1);
    assert_string_equal(nearest, "piano");
    assert_int_equal(motet_program_parse("viollin", &nearest), -1);
    assert_string_equal(nearest, "violin");
    assert_int_equal(motet_program_parse("999", &nearest), -1);
    assert_string_equal(nearest, "128");
    assert_int_equal(motet_program_parse("0", &nearest), -1);
    assert_string_equal(nearest, "1");
    assert_int_equal(motet_program_parse("flute", &nearest), 73);
    assert_null(nearest);
    char longest[5000];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_int_equal(motet_program_parse(longest, &nearest), -1);
    assert_non_null(nearest);
    assert_int_equal(motet_program_parse("\xff\xfe", &nearest), -1);
}

static void test_families(void **state) {
    (void)state;
    assert_string_equal(motet_program_family_name(0), "piano");
    assert_string_equal(motet_program_family_name(40 / 8), "strings");
    assert_string_equal(motet_program_family_name(73 / 8), "pipe");
    assert_string_equal(motet_program_family_name(16), "drums");
    int low, high;
    motet_program_range(40, &low, &high);
    assert_int_equal(low, 55); /* the violin's open G */
    motet_program_range(MOTET_PROGRAM_DRUMS, &low, &high);
    assert_int_equal(low, 27);
    assert_int_equal(high, 87);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_word_is_its_programs),
        cmocka_unit_test(test_what_people_write),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_families),
    };
    return cmocka_run_group_tests_name("instrument", tests, NULL, NULL);
}
