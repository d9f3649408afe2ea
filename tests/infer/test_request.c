/* Requests: what is possible, and the sentence with the nearest value where something is not. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "infer/request.h"

static motet_request request_of(const char *prompt) {
    return (motet_request){
        .prompt = prompt, .facts = motet_facts_none(), .sampling = motet_sampling_default()};
}

static void test_nothing_asked_is_possible(void **state) {
    (void)state;
    motet_request request = request_of("");
    assert_int_equal(motet_request_check(&request), MOTET_OK);
    assert_int_equal(request.facts.key, -1);
    assert_int_equal(request.facts.density, -1);
    assert_int_equal(request.facts.bars, 0);
    assert_int_equal(request.facts.program_count, 0);
}

/* The request is refused as impossible, in a sentence that holds a text. */
static void refuses(const motet_request *request, const char *text) {
    assert_int_equal(motet_request_check(request), MOTET_E_USAGE);
    if (!strstr(motet_error(), text)) fail_msg("'%s' does not say '%s'", motet_error(), text);
    assert_null(strchr(motet_error(), '\n'));
}

static void test_bounds_of_facts(void **state) {
    (void)state;
    static const struct {
        double tempo;
        int bars, numerator, denominator, density;
        const char *refusal; /* NULL: possible */
    } cases[] = {
        {16, 0, 0, 0, -1, NULL},
        {256, 0, 0, 0, -1, NULL},
        {15.9, 0, 0, 0, -1, "nearest possible is 16"},
        {9999, 0, 0, 0, -1, "nearest possible is 256"},
        {-5, 0, 0, 0, -1, "nearest possible is 16"},
        {0, 1, 0, 0, -1, NULL},
        {0, MOTET_MAX_BARS, 0, 0, -1, NULL},
        {0, MOTET_MAX_BARS + 1, 0, 0, -1, "nearest possible is 512"},
        {0, -1, 0, 0, -1, "nearest possible is 1"},
        {0, 0, 3, 4, -1, NULL},
        {0, 0, 6, 8, -1, NULL},
        {0, 0, 13, 7, -1, "the nearest is"},
        {0, 0, 3, 0, -1, "the nearest is 3/4"},
        {0, 0, 99999, 4, -1, "the nearest is"},
        {0, 0, 0, 0, 0, NULL},
        {0, 0, 0, 0, 999, "density 999 is out of range"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        motet_request request = request_of("a jig");
        request.facts.tempo_bpm = cases[i].tempo;
        request.facts.bars = cases[i].bars;
        request.facts.numerator = cases[i].numerator;
        request.facts.denominator = cases[i].denominator;
        request.facts.density = cases[i].density;
        if (cases[i].refusal)
            refuses(&request, cases[i].refusal);
        else
            assert_int_equal(motet_request_check(&request), MOTET_OK);
    }
}

static void test_the_nearest_metre_is_a_possible_one(void **state) {
    (void)state;
    for (int numerator = 1; numerator < 40; numerator++)
        for (int denominator = 1; denominator <= 64; denominator++) {
            motet_request request = request_of("");
            request.facts.numerator = numerator;
            request.facts.denominator = denominator;
            if (motet_request_check(&request) == MOTET_OK) continue;
            const char *named = strstr(motet_error(), "the nearest is ");
            assert_non_null(named);
            int n = 0, d = 0;
            assert_int_equal(sscanf(named, "the nearest is %d/%d", &n, &d), 2);
            request.facts.numerator = n;
            request.facts.denominator = d;
            assert_int_equal(motet_request_check(&request), MOTET_OK);
        }
}

static void test_bounds_of_sampling(void **state) {
    (void)state;
    const float bad[] = {-1.0f, 1e9f, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (int which = 0; which < 4; which++) {
            motet_request request = request_of("");
            float *values[] = {&request.sampling.temperature, &request.sampling.top_p,
                               &request.sampling.min_p, &request.sampling.guidance};
            *values[which] = bad[i];
            refuses(&request, "out of range");
        }
    }
    motet_request request = request_of("");
    request.sampling.top_p = 0;
    refuses(&request, "nearest possible is 0.01");
    request = request_of("");
    request.sampling.top_k = -1;
    refuses(&request, "nearest possible is 0");
    request = request_of("");
    request.sampling.temperature = 0; /* the likeliest, always */
    assert_int_equal(motet_request_check(&request), MOTET_OK);
}

static void test_prompts_that_cannot_be_read(void **state) {
    (void)state;
    static char text[MOTET_MAX_PROMPT + 2];
    memset(text, 'a', sizeof text - 1);
    motet_request request = request_of(text);
    refuses(&request, "at most 4096");
    text[MOTET_MAX_PROMPT] = 0;
    assert_int_equal(motet_request_check(&request), MOTET_OK);
    static const struct {
        const char *prompt, *refusal;
    } broken[] = {
        {"\xff", "byte 0"},
        {"abc\x80", "byte 3"},           /* continuation without a start */
        {"ab\xc3", "byte 2"},            /* cut */
        {"\xc0\xaf", "byte 0"},          /* overlong */
        {"\xed\xa0\x80", "byte 0"},      /* half of a surrogate pair */
        {"a\xf5\x80\x80\x80", "byte 1"}, /* beyond Unicode */
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        request = request_of(broken[i].prompt);
        refuses(&request, broken[i].refusal);
    }
    request = request_of("\xc3\xa9t\xc3\xa9 \xf0\x9f\x8e\xb9");
    assert_int_equal(motet_request_check(&request), MOTET_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_asked_is_possible),
        cmocka_unit_test(test_bounds_of_facts),
        cmocka_unit_test(test_the_nearest_metre_is_a_possible_one),
        cmocka_unit_test(test_bounds_of_sampling),
        cmocka_unit_test(test_prompts_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
