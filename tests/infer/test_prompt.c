/* What prompts state in so many words, and what they only seem to. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "data/analysis.h"
#include "data/caption.h"
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
    /* what is denied, compared, a choice or a bound is no fact */
    {.prompt = "not in D minor"},
    {.prompt = "not 120 bpm"},
    {.prompt = "anything but 4/4"},
    {.prompt = "in D dorian"},
    {.prompt = "in E Mixolydian for oboe", PLAYERS(68)},
    {.prompt = "starts on a C major chord"},
    {.prompt = "in G-funk style"},
    {.prompt = "in D&D style"},
    {.prompt = "in C++"},
    {.prompt = "in a flat voice"},
    {.prompt = "faster than 120 bpm"},
    {.prompt = "over 140 bpm"},
    {.prompt = "up to 140 bpm"},
    {.prompt = "from 90 to 120 bpm"},
    {.prompt = "90-120 bpm", .bpm = 105},
    {.prompt = "90\xe2\x80\x93"
               "120 bpm",
     .bpm = 105},
    {.prompt = "between 90 and 120 bpm", .bpm = 105},
    {.prompt = "tempo 100-120", .bpm = 110},
    {.prompt = "one hundred twenty bpm", .bpm = 120},
    {.prompt = "a hundred and twenty beats per minute", .bpm = 120},
    {.prompt = "two hundred bpm", .bpm = 200},
    {.prompt = "three hundred twenty bpm"},
    {.prompt = "a hundred bars", .bars = 100},
    {.prompt = "quarter note = 96", .bpm = 96},
    {.prompt = "set the tempo to 84", .bpm = 84},
    {.prompt = "an up-tempo 26-bar piece", .bars = 26},
    {.prompt = "mid-tempo, 40 bars", .bars = 40},
    {.prompt = "at a medium tempo, about 70 seconds long"},
    {.prompt = "1,024 bars"},
    {.prompt = "a 12-bar blues in E, 24 bars", .bars = 24, .key = "E major"},
    {.prompt = "the first 4 bars in unison"},
    {.prompt = "4-bar phrases"},
    {.prompt = "16 bars in 4-bar phrases", .bars = 16},
    {.prompt = "16 bars in D minor", .bars = 16, .key = "D minor"},
    {.prompt = "8 bars of drums, then 8 bars of piano", PLAYERS(DRUMS, 0)},
    {.prompt = "alternating 3/4 and 4/4"},
    {.prompt = "3/4 or 4/4", .metre = "3/4"},
    {.prompt = "written on 3/4/2024"},
    {.prompt = "3/4 of the time"},
    {.prompt = "alla breve", .metre = "2/2"},
    {.prompt = "in waltz time", .metre = "3/4"},
    {.prompt = "D harmonic minor", .key = "D minor"},
    {.prompt = "in Dm", .key = "D minor"},
    {.prompt = "F#m, 90 bpm", .key = "F# minor", .bpm = 90},
    {.prompt = "key: Cm", .key = "C minor"},
    {.prompt = "what I Am is slow"},
    {.prompt = "in Bflat major", .key = "Bb major"},
    {.prompt = "\xe2\x80\x9c"
               "a waltz in D minor\xe2\x80\x9d \xe2\x80\x94 don\xe2\x80\x99t use drums",
     .key = "D minor",
     BANNED(DRUMS)},
    {.prompt = "don't use drums", BANNED(DRUMS)},
    {.prompt = "no loud drums", BANNED(DRUMS)},
    {.prompt = "not with drums", BANNED(DRUMS)},
    {.prompt = "avoid piano", BANNED(0)},
    {.prompt = "everything but drums", BANNED(DRUMS)},
    {.prompt = "no drums, guitar, or bass", BANNED(DRUMS, 25, 33)},
    {.prompt = "no drums. Piano or guitar.", PLAYERS(0), BANNED(DRUMS)},
    {.prompt = "without drums and bass", BANNED(DRUMS)},
    {.prompt = "drumless piano", PLAYERS(0), BANNED(DRUMS)},
    {.prompt = "piano, drum-free", PLAYERS(0), BANNED(DRUMS)},
    {.prompt = "flute instead of violin", PLAYERS(73), BANNED(40)},
    {.prompt = "drums, but no cymbals", PLAYERS(DRUMS)},
    {.prompt = "no need for drums"},
    {.prompt = "no instruments other than piano", PLAYERS(0)},
    {.prompt = "nothing but piano", PLAYERS(0)},
    {.prompt = "not too much piano"},
    {.prompt = "not only piano but also guitar", PLAYERS(0, 25)},
    {.prompt = "without a doubt a piano piece"},
    {.prompt = "without a doubt a piece for piano", PLAYERS(0)},
    {.prompt = "not a sad waltz but a march for piano", PLAYERS(0)},
    {.prompt = "piano or guitar", PLAYERS(0)},
    {.prompt = "sounds like a music box"},
    {.prompt = "surf rock with electric guitar", PLAYERS(27)},
    {.prompt = "chill vibes"},
    {.prompt = "good vibes and bass", PLAYERS(33)},
    {.prompt = "flute, vibes and bass", PLAYERS(73, 11, 33)},
    {.prompt = "a duet for soprano and harp", PLAYERS(53, 46)},
    {.prompt = "a gun battle in a crowd"},
    {.prompt = "a musette in D", .key = "D major"},
    {.prompt = "bass trombone", PLAYERS(57)},
    {.prompt = "bass drum and flute", PLAYERS(DRUMS, 73)},
    {.prompt = "guitar bass drums", PLAYERS(25, 33, DRUMS)},
    {.prompt = "a drum and bass track at 174 bpm", .bpm = 174},
    {.prompt = "a drum & bass track"},
    {.prompt = "steel drums", PLAYERS(114)},
    {.prompt = "no strings attached"},
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

/* A piece of chords over a bass in a random key, metre, tempo and length. */
static void make_piece(motet_score *score, motet_analysis *analysis, motet_rng *rng) {
    static const uint8_t choices[] = {0, 4, 24, 33, 40, 42, 56, 73, 19, 11, 52, 128};
    static const uint8_t roots[4] = {0, 5, 7, 0}, chord[2][3] = {{0, 4, 7}, {0, 3, 7}};
    int n, d, minor = (int)motet_rng_below(rng, 2), tonic = (int)motet_rng_below(rng, 12);
    motet_metre_at((int)motet_rng_below(rng, MOTET_METRES), &n, &d);
    int32_t ticks = motet_metre_ticks(n, d), bars = 1 + (int32_t)motet_rng_below(rng, 40);
    float bpm = (float)(30 + 200 * motet_rng_uniform(rng));
    int voices = 1 + (int)motet_rng_below(rng, 4);
    *score = (motet_score){.key = MOTET_NO_KEY, .bar_count = bars, .tempo_count = 1};
    score->bars = calloc((size_t)bars, sizeof *score->bars);
    score->tempos = calloc(1, sizeof *score->tempos);
    score->notes = calloc((size_t)(bars * voices * 3), sizeof *score->notes);
    score->tempos[0] = (motet_tempo){0, bpm};
    for (int32_t b = 0; b < bars; b++)
        score->bars[b] = (motet_bar){b * ticks, (uint8_t)n, (uint8_t)d, bpm};
    for (int v = 0; v < voices; v++) {
        uint8_t program = choices[motet_rng_below(rng, sizeof choices)];
        for (int32_t b = 0; b < bars; b++)
            for (int t = 0; t < 3; t++)
                score->notes[score->note_count++] =
                    (motet_note){b * ticks, ticks, program,
                                 (uint8_t)(36 + 12 * v + tonic +
                                           (b + 1 == bars ? 0 : roots[b % 4]) + chord[minor][t]),
                                 80};
    }
    motet_score_sort(score);
    assert_int_equal(motet_analyse(analysis, score), MOTET_OK);
}

/* What is read from a caption must be true of its piece. Captions round: "about 120 bpm". */
static void check_caption(int read[5], const char *caption, const motet_score *score,
                          const motet_analysis *analysis) {
    motet_facts facts = motet_prompt_read(caption);
    read[0] += facts.tempo_bpm > 0, read[1] += facts.key >= 0, read[2] += facts.numerator > 0;
    read[3] += facts.bars > 0, read[4] += facts.program_count > 0;
    if (facts.tempo_bpm > 0 && fabs(facts.tempo_bpm - analysis->tempo_bpm) > 2.6)
        complain("'%s': %g bpm, not %g\n", caption, facts.tempo_bpm, analysis->tempo_bpm);
    if (facts.key >= 0 && facts.key != analysis->key)
        complain("'%s': key %s, not %s\n", caption, motet_key_name(facts.key),
                 motet_key_name(analysis->key));
    if (facts.numerator > 0 && (facts.numerator != analysis->metre_numerator ||
                                facts.denominator != analysis->metre_denominator))
        complain("'%s': metre %d/%d\n", caption, facts.numerator, facts.denominator);
    if (facts.bars > 0 && facts.bars != score->bar_count)
        complain("'%s': %d bars, not %d\n", caption, facts.bars, score->bar_count);
    for (int i = 0; i < facts.program_count; i++)
        if (analysis->programs[facts.programs[i]].notes == 0)
            complain("'%s': %s does not play\n", caption, motet_program_name(facts.programs[i]));
    for (int i = 0; i < facts.banned_count; i++)
        if (analysis->programs[facts.banned[i]].notes > 0)
            complain("'%s': %s plays\n", caption, motet_program_name(facts.banned[i]));
}

static void test_captions_are_read_truly(void **state) {
    (void)state;
    static const char *const genres[] = {NULL, "jig", "bossa nova", "drum and bass", "surf rock"};
    static const char *const moods[] = {NULL, "cheerful", "dark", "good vibes"};
    int read[5] = {0}, total = 0;
    complaints = 0;
    for (uint64_t piece = 0; piece < 150; piece++) {
        motet_rng rng = motet_rng_make(piece, 9);
        motet_score score;
        motet_analysis analysis;
        make_piece(&score, &analysis, &rng);
        motet_labels labels = {.genre = genres[piece % 5], .mood = moods[piece % 4]};
        for (uint64_t seed = 0; seed < 20; seed++, total++) {
            char caption[MOTET_CAPTION_BYTES];
            assert_int_equal(
                motet_caption_write(caption, &score, &analysis, &labels, 1000 * piece + seed),
                MOTET_OK);
            check_caption(read, caption, &score, &analysis);
        }
        motet_score_free(&score);
        motet_analysis_free(&analysis);
    }
    assert_int_equal(complaints, 0);
    for (int i = 0; i < 5; i++) /* there was something to read */
        assert_true(read[i] > total / 10);
}

static void test_a_hostile_list_takes_no_time(void **state) {
    (void)state;
    static char prompt[MOTET_MAX_PROMPT + 1] = "no piano";
    for (size_t used = strlen(prompt); used + 5 < sizeof prompt; used += 5)
        memcpy(prompt + used, ",koto", 6);
    clock_t start = clock();
    motet_prompt_read(prompt);
    assert_true(clock() - start < 2 * CLOCKS_PER_SEC); /* milliseconds, unless it is quadratic */
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
        cmocka_unit_test(test_captions_are_read_truly),
        cmocka_unit_test(test_a_hostile_list_takes_no_time),
        cmocka_unit_test(test_open_lists),
        cmocka_unit_test(test_tempo_words_are_ranges),
        cmocka_unit_test(test_long_prompts_are_read_to_their_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
