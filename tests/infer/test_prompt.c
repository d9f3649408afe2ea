/* What prompts state in so many words, and what they only seem to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "data/analysis.h"
#include "data/instrument.h"
#include "infer/prompt.h"

enum { DRUMS = MOTET_PROGRAM_DRUMS };
#define PLAYERS(...) .programs = {__VA_ARGS__}, .count = sizeof((int[]){__VA_ARGS__}) / sizeof(int)
#define BANNED(...) \
    .banned = {__VA_ARGS__}, .banned_count = sizeof((int[]){__VA_ARGS__}) / sizeof(int)

static const struct {
    const char *prompt;
    double bpm;
    const char *metre, *key; /* NULL: none */
    int bars;
    int programs[6], count;
    int banned[4], banned_count;
} cases[] = {
    {.prompt = "a slow waltz in D minor for piano and cello", .key = "D minor", PLAYERS(0, 42)},
    {.prompt = "a cheerful jig in D major for flute and guitar", .key = "D major", PLAYERS(73, 25)},
    {.prompt = "120 bpm", .bpm = 120},
    {.prompt = "at 96 beats per minute", .bpm = 96},
    {.prompt = "a march at 112 beats a minute", .bpm = 112},
    {.prompt = "tempo 88", .bpm = 88},
    {.prompt = "tempo: 72, piano", .bpm = 72, PLAYERS(0)},
    {.prompt = "with a tempo of around 132", .bpm = 132},
    {.prompt = "140bpm techno", .bpm = 140},
    {.prompt = "96.5 bpm", .bpm = 96.5},
    {.prompt = "9999 bpm"},
    {.prompt = "5 bpm"},
    {.prompt = "slow tempo"},
    {.prompt = "in Bb", .key = "Bb major"},
    {.prompt = "in F# minor, 6/8", .key = "F# minor", .metre = "6/8"},
    {.prompt = "f sharp minor", .key = "F# minor"},
    {.prompt = "C-sharp major", .key = "C# major"},
    {.prompt = "e flat major sonata", .key = "Eb major"},
    {.prompt = "key of G", .key = "G major"},
    {.prompt = "in the key of a minor", .key = "A minor"},
    {.prompt = "key: E minor", .key = "E minor"},
    {.prompt = "in A minor", .key = "A minor"},
    {.prompt = "in a minor", .key = "A minor"},
    {.prompt = "in a minor key"},
    {.prompt = "in a minor mood"},
    {.prompt = "a major work"},
    {.prompt = "a minor detail"},
    {.prompt = "a waltz in a flat major", .key = "Ab major"},
    {.prompt = "in a hurry"},
    {.prompt = "in a cave"},
    {.prompt = "jig, d major, flute, fast", .key = "D major", PLAYERS(73)},
    {.prompt = "a song for a friend"},
    {.prompt = "something in G", .key = "G major"},
    {.prompt = "in C, slow", .key = "C major"},
    {.prompt = "written in D for strings", .key = "D major", PLAYERS(48)},
    {.prompt = "plan B for tuba", PLAYERS(58)},
    {.prompt = "a 12-bar blues in E", .bars = 12, .key = "E major"},
    {.prompt = "16 bars", .bars = 16},
    {.prompt = "sixteen measures of piano", .bars = 16, PLAYERS(0)},
    {.prompt = "twenty-four bars", .bars = 24},
    {.prompt = "eight bars", .bars = 8},
    {.prompt = "an 8-bar loop", .bars = 8},
    {.prompt = "0 bars"},
    {.prompt = "1000 bars"},
    {.prompt = "a bar in Paris"},
    {.prompt = "2.5 bars"},
    {.prompt = "3/4", .metre = "3/4"},
    {.prompt = "in 6/8 time", .metre = "6/8"},
    {.prompt = "three-four time", .metre = "3/4"},
    {.prompt = "in six-eight", .metre = "6/8"},
    {.prompt = "seven eight time", .metre = "7/8"},
    {.prompt = "common time", .metre = "4/4"},
    {.prompt = "cut time march", .metre = "2/2"},
    {.prompt = "13/7"},
    {.prompt = "open 24/7"},
    {.prompt = "a waltz"},
    {.prompt = "twenty-one guitars", PLAYERS(25)},
    {.prompt = "string quartet", PLAYERS(40, 41, 42)},
    {.prompt = "a piano trio in E flat", .key = "Eb major", PLAYERS(0, 40, 42)},
    {.prompt = "a jazz trio", PLAYERS(0, 32, DRUMS)},
    {.prompt = "solo piano", PLAYERS(0)},
    {.prompt = "violins and cellos", PLAYERS(40, 42)},
    {.prompt = "fiddle and banjo", PLAYERS(40, 105)},
    {.prompt = "electric piano and drums", PLAYERS(4, DRUMS)},
    {.prompt = "e-piano", PLAYERS(4)},
    {.prompt = "tenor sax, double bass", PLAYERS(66, 43)},
    {.prompt = "no drums", BANNED(DRUMS)},
    {.prompt = "guitar without drums", PLAYERS(25), BANNED(DRUMS)},
    {.prompt = "without drums or piano", BANNED(DRUMS, 0)},
    {.prompt = "no drums, piano", PLAYERS(0), BANNED(DRUMS)},
    {.prompt = "not a waltz"},
    {.prompt = "a song for voice and piano", PLAYERS(53, 0)},
    {.prompt = "in the voice of an angel"},
    {.prompt = "a chorale for organ", PLAYERS(19)},
    {.prompt = "a fantasia"},
    {.prompt = "rain on the roof"},
    {.prompt = "an organic sound"},
    {.prompt = "horizon"},
    {.prompt = "a dramatic soundtrack"},
    {.prompt = "music with echoes of the past"},
    {.prompt = ""},
    {.prompt = "!!! ,,, ---"},
    {.prompt = "\xe2\x99\xa9 \xf0\x9f\x8e\xb9"},
    {.prompt = "D\xe2\x99\xaf minor", .key = "Eb minor"},
    {.prompt = "In D minor: a slow air at 60 bpm in 3/4, 32 bars, for flute & harp",
     .bpm = 60,
     .metre = "3/4",
     .key = "D minor",
     .bars = 32,
     PLAYERS(73, 46)},
    {.prompt = "Make it 100 BPM, 4/4, key of E minor, 8 bars, electric guitar, bass and drums",
     .bpm = 100,
     .metre = "4/4",
     .key = "E minor",
     .bars = 8,
     PLAYERS(27, 33, DRUMS)},
};

static int complaints;

static void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void complain(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    complaints++;
}

static void check(int i) {
    const char *prompt = cases[i].prompt;
    motet_facts facts = motet_prompt_read(prompt);
    if (facts.tempo_bpm != cases[i].bpm)
        complain("'%s': %g bpm, not %g\n", prompt, facts.tempo_bpm, cases[i].bpm);
    char metre[16] = "";
    if (facts.numerator) snprintf(metre, sizeof metre, "%d/%d", facts.numerator, facts.denominator);
    if (strcmp(metre, cases[i].metre ? cases[i].metre : "") != 0)
        complain("'%s': metre '%s'\n", prompt, metre);
    int key = cases[i].key ? motet_key_parse(cases[i].key) : -1;
    if (facts.key != key) complain("'%s': key %d, not %d\n", prompt, facts.key, key);
    if (facts.bars != cases[i].bars) complain("'%s': %d bars\n", prompt, facts.bars);
    if (facts.program_count != cases[i].count)
        complain("'%s': %d instruments, first %d\n", prompt, facts.program_count,
                 facts.programs[0]);
    for (int k = 0; k < facts.program_count; k++)
        if (facts.programs[k] != cases[i].programs[k])
            complain("'%s': instrument %d is %s\n", prompt, k,
                     motet_program_name(facts.programs[k]));
    if (facts.banned_count != cases[i].banned_count)
        complain("'%s': %d banned\n", prompt, facts.banned_count);
    for (int k = 0; k < facts.banned_count; k++)
        assert_int_equal(facts.banned[k], cases[i].banned[k]);
}

static void test_prompts(void **state) {
    (void)state;
    complaints = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check((int)i);
    assert_int_equal(complaints, 0);
}

static void test_open_lists(void **state) {
    (void)state;
    assert_true(motet_prompt_read("piano, drums and more").programs_open);
    assert_true(motet_prompt_read("for flute and harp, among others").programs_open);
    assert_false(motet_prompt_read("for flute and harp").programs_open);
}

static void test_long_prompts_are_read_to_their_limit(void **state) {
    (void)state;
    static char prompt[MOTET_MAX_PROMPT + 1];
    memset(prompt, 'a', sizeof prompt - 1);
    motet_prompt_read(prompt);
    for (size_t i = 1; i < sizeof prompt - 1; i += 2)
        prompt[i] = ' ';
    motet_facts facts = motet_prompt_read(prompt);
    assert_int_equal(facts.program_count, 0);
}

static void test_tempo_words_are_ranges(void **state) {
    (void)state;
    static const struct {
        const char *prompt;
        double lowest, highest;
    } words[] = {
        {"a slow waltz in D minor", 51, 86},
        {"a very slow waltz", 38, 57},
        {"Slowly, for harp", 51, 86},
        {"allegro", 121, 161},
        {"mid-tempo rock", 91, 121},
        {"up-tempo swing", 121, 181},
        {"a waltz", 0, 0},
        {"not too fast", 0, 0},
        {"slow, then very fast", 0, 0},
        {"fast and brisk", 121, 181},
        {"breakfast", 0, 0},
        {"", 0, 0},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        motet_facts facts = motet_prompt_read(words[i].prompt);
        if (facts.tempo_lowest != words[i].lowest || facts.tempo_highest != words[i].highest)
            fail_msg("'%s' is %g to %g bpm, not %g to %g", words[i].prompt, facts.tempo_lowest,
                     facts.tempo_highest, words[i].lowest, words[i].highest);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompts),
        cmocka_unit_test(test_open_lists),
        cmocka_unit_test(test_tempo_words_are_ranges),
        cmocka_unit_test(test_long_prompts_are_read_to_their_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
