/* The command line: what it means, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/analysis.h"
#include "data/instrument.h"
#include "infer/options.h"

enum { MOST = 16 };

static motet_options options;

static motet_status read_line(const char *const *arguments) {
    char *line[MOST + 2] = {(char *)"motet"};
    int count = 1;
    for (; arguments[count - 1]; count++)
        line[count] = (char *)arguments[count - 1];
    return motet_options_read(&options, count, line);
}
#define READ(...) read_line((const char *const[]){__VA_ARGS__, NULL})

static void test_every_flag_is_heard(void **state) {
    (void)state;
    assert_int_equal(READ("a jig", "--bars", "12", "--tempo=96.5", "--metre", "6/8", "--key",
                          "F# minor", "--programs", "flute, cello,41,drums"),
                     MOTET_OK);
    const motet_facts *facts = &options.request.facts;
    static const uint8_t programs[] = {73, 42, 40, MOTET_PROGRAM_DRUMS};
    assert_string_equal(options.request.prompt, "a jig");
    assert_int_equal(facts->bars, 12);
    assert_true(facts->tempo_bpm == 96.5);
    assert_int_equal(facts->numerator, 6);
    assert_int_equal(facts->denominator, 8);
    assert_int_equal(facts->key, motet_key_parse("F# minor"));
    assert_int_equal(facts->program_count, 4);
    assert_memory_equal(facts->programs, programs, 4);
    assert_false(options.seed_given);
    assert_int_equal(READ("--seed", "9223372036854775807", "x", "--temperature", "0.5", "--top-p",
                          "0.9", "--top-k", "7", "--min-p", "0.02", "--guidance", "3"),
                     MOTET_OK);
    const motet_sampling *sampling = &options.request.sampling;
    assert_true(options.seed_given && options.request.seed == INT64_MAX);
    assert_true(sampling->temperature == 0.5f && sampling->top_p == 0.9f);
    assert_true(sampling->min_p == 0.02f && sampling->guidance == 3.0f && sampling->top_k == 7);
    assert_int_equal(READ("x", "-o", "-", "--svg", "a.svg", "--wav", "a.wav", "--soundfont", "s",
                          "--model", "m", "--threads", "2", "--device", "cuda:1"),
                     MOTET_OK);
    assert_string_equal(options.device, "cuda:1");
    assert_string_equal(options.output, "-");
    assert_string_equal(options.svg, "a.svg");
    assert_string_equal(options.wav, "a.wav");
    assert_string_equal(options.soundfont, "s");
    assert_string_equal(options.model, "m");
    assert_int_equal(options.threads, 2);
    assert_int_equal(READ("x"), MOTET_OK);
    assert_string_equal(options.device, "auto");
    assert_int_equal(READ("x", "--free", "--json", "--quiet"), MOTET_OK);
    assert_true(options.request.free && options.json && options.quiet);
    assert_int_equal(READ("-h"), MOTET_OK);
    assert_true(options.help);
    assert_int_equal(READ("--version"), MOTET_OK);
    assert_true(options.version);
}

static void test_a_prompt_may_begin_with_a_dash(void **state) {
    (void)state;
    assert_int_equal(READ("--bars", "4", "--", "-a jig"), MOTET_OK);
    assert_string_equal(options.request.prompt, "-a jig");
    assert_int_equal(READ("--", "--free"), MOTET_OK);
    assert_string_equal(options.request.prompt, "--free");
    assert_false(options.request.free);
    assert_int_equal(READ("--"), MOTET_E_USAGE);
}

static void test_refusals_name_the_nearest(void **state) {
    (void)state;
    static const struct {
        const char *flag, *value, *text;
    } cases[] = {
        {"--bars", "0", "nearest is 1"},
        {"--bars", "-3", "nearest is 1"},
        {"--bars", "100000", "nearest is 512"},
        {"--bars", "inf", "nearest is 512"},
        {"--bars", "2.5", "whole number"},
        {"--bars", "nan", "takes a number"},
        {"--bars", "", "takes a number"},
        {"--bars", "16bars", "takes a number"},
        {"--tempo", "9999", "nearest possible is 256"},
        {"--tempo", "0", "nearest possible is 16"},
        {"--tempo", "-inf", "nearest possible is 16"},
        {"--tempo", "1e999", "takes a number"},
        {"--metre", "13/7", "the nearest is"},
        {"--metre", "3", "such as 3/4"},
        {"--metre", "3/4x", "such as 3/4"},
        {"--metre", "0/4", "such as 3/4"},
        {"--metre", "4/0", "the nearest is 4/4"},
        {"--metre", "999999999999/4", "such as 3/4"},
        {"--key", "H minor", "the nearest is"},
        {"--key", "", "the nearest is"},
        {"--programs", "pianno", "nearest is 'piano'"},
        {"--programs", "piano,,flute", "empty name"},
        {"--programs", "", "such as piano,cello"},
        {"--programs", "129", "nearest is"},
        {"--seed", "-1", "whole number"},
        {"--seed", " 1", "whole number"},
        {"--seed", "9223372036854775808", "whole number"},
        {"--seed", "7x", "whole number"},
        {"--temperature", "-1", "nearest possible is 0"},
        {"--top-p", "1.5", "nearest possible is 1"},
        {"--top-k", "-1", "nearest is 0"},
        {"--min-p", "2", "nearest possible is 1"},
        {"--guidance", "100", "nearest possible is 20"},
        {"--threads", "0", "nearest is 1"},
        {"--tempoo", "90", "nearest is --tempo"},
        {"--seeed", "90", "nearest is --seed"},
        {"--free=yes", NULL, "takes no value"},
        {"--bars", NULL, "needs a value"},
        {"a reel", NULL, "two prompts"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (READ("a jig", cases[i].flag, cases[i].value) != MOTET_E_USAGE)
            fail_msg("%s %s was not refused", cases[i].flag, cases[i].value);
        if (!strstr(motet_error(), cases[i].text))
            fail_msg("%s %s: '%s' does not say '%s'", cases[i].flag, cases[i].value, motet_error(),
                     cases[i].text);
        assert_null(strchr(motet_error(), '\n'));
    }
    assert_int_equal(READ("--bars", "4"), MOTET_E_USAGE);
}

static void test_more_than_sixteen_instruments(void **state) {
    (void)state;
    char list[256] = "1";
    for (int p = 2; p <= 17; p++)
        snprintf(list + strlen(list), sizeof list - strlen(list), ",%d", p);
    assert_int_equal(READ("x", "--programs", list), MOTET_E_USAGE);
    *strrchr(list, ',') = 0;
    assert_int_equal(READ("x", "--programs", list), MOTET_OK);
    assert_int_equal(options.request.facts.program_count, 16);
    assert_int_equal(READ("x", "--programs", "piano,1,grand piano"), MOTET_OK);
    assert_int_equal(options.request.facts.program_count, 1);
}

static void test_help_fits_one_screen(void **state) {
    (void)state;
    int lines = 0;
    for (const char *line = motet_options_help; *line; lines++) {
        size_t length = strcspn(line, "\n");
        assert_in_range(length, 0, 100);
        line += length + (line[length] == '\n');
    }
    assert_in_range(lines, 1, 24);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_flag_is_heard),
        cmocka_unit_test(test_a_prompt_may_begin_with_a_dash),
        cmocka_unit_test(test_refusals_name_the_nearest),
        cmocka_unit_test(test_more_than_sixteen_instruments),
        cmocka_unit_test(test_help_fits_one_screen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
