/* captions: what they say is read back (harness_caption.c) and compared with the piece, thousands
 * of times. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/caption.h"
#include "data/caption_parts.h"
#include "kernels/core/rng.h"
#include "tests/data/harness_caption.h"

/* A tonal piece: chords I IV V I over a bass and a melody, in any key, metre, tempo and length. */
static void make_piece(motet_score *score, motet_analysis *analysis, uint64_t seed) {
    static const uint8_t choices[] = {0, 24, 40, 41, 42, 32, 56, 68, 73, 19, 6, 105, 128};
    static const int8_t degrees[2][7] = {{0, 2, 4, 5, 7, 9, 11}, {0, 2, 3, 5, 7, 8, 11}};
    static const uint8_t roots[4] = {0, 3, 4, 0};
    motet_rng rng = motet_rng_make(seed, 5);
    memset(score, 0, sizeof *score);
    score->key = MOTET_NO_KEY;
    int minor = (int)motet_rng_below(&rng, 2), tonic = (int)motet_rng_below(&rng, 12);
    int numerator, denominator;
    motet_metre_at((int)motet_rng_below(&rng, motet_rng_below(&rng, 2) ? 4 : 14), &numerator,
                   &denominator);
    int ticks = motet_metre_ticks(numerator, denominator);
    score->bar_count = motet_rng_below(&rng, 2) ? 4 * (1 + (int)motet_rng_below(&rng, 12))
                                                : 1 + (int)motet_rng_below(&rng, 90);
    double bpm = 30 + 190 * motet_rng_uniform(&rng);
    score->bars = calloc((size_t)score->bar_count, sizeof *score->bars);
    score->tempos = calloc(1, sizeof *score->tempos);
    score->tempos[score->tempo_count++] = (motet_tempo){0, bpm};
    int voices = 1 + (int)motet_rng_below(&rng, 5), thick = 1 + (int)motet_rng_below(&rng, 3);
    uint8_t programs[5];
    for (int v = 0; v < voices; v++)
        programs[v] = choices[motet_rng_below(&rng, sizeof choices)];
    score->notes =
        calloc((size_t)score->bar_count * (size_t)(voices * thick * 16), sizeof *score->notes);
    for (int32_t b = 0; b < score->bar_count; b++) {
        score->bars[b] =
            (motet_bar){b * ticks, (uint8_t)numerator, (uint8_t)denominator, (float)bpm};
        int root = roots[b == score->bar_count - 1 ? 0 : b % 4];
        int onsets = 1 + (int)motet_rng_below(&rng, 4);
        for (int v = 0; v < voices; v++)
            for (int o = 0; o < onsets; o++)
                for (int t = 0; t < thick; t++) {
                    int step = root + 2 * (o + t);
                    int pitch = 36 + 12 * v + tonic + degrees[minor][step % 7] + step / 7 * 12;
                    score->notes[score->note_count++] =
                        (motet_note){b * ticks + o * ticks / onsets, ticks / onsets, programs[v],
                                     (uint8_t)pitch, 80};
                }
    }
    motet_score_sort(score);
    assert_int_equal(motet_analyse(analysis, score), MOTET_OK);
}

static void free_piece(motet_score *score, motet_analysis *analysis) {
    motet_score_free(score);
    motet_analysis_free(analysis);
}

static void test_captions_tell_the_truth(void **state) {
    (void)state;
    static const char *const genres[] = {NULL, "jig", "bossa nova", "reggae"};
    static const char *const moods[] = {NULL, "cheerful, bright", "dark"};
    static const char *const composers[] = {NULL, "Franz Schubert", "BachJS"};
    static const char *const kinds[] = {NULL, "art song, voice and piano", "Baroque, Harpsichord",
                                        "chorale, four voices"};
    int says[SAYS] = {0}, total = 0, keys_clear = 0;
    for (uint64_t piece = 0; piece < 400; piece++) {
        motet_score score;
        motet_analysis analysis;
        make_piece(&score, &analysis, piece);
        keys_clear += analysis.key < 24 && analysis.key_clearness > 0.1f;
        motet_labels labels = {.genre = genres[piece % 4],
                               .mood = moods[piece % 3],
                               .composer = composers[piece / 2 % 3],
                               .kind = kinds[piece / 3 % 4]};
        for (uint64_t seed = 0; seed < 25; seed++, total++) {
            char caption[MOTET_CAPTION_BYTES];
            assert_int_equal(
                motet_caption_write(caption, &score, &analysis, &labels, piece * 1000 + seed),
                MOTET_OK);
            check_caption(says, caption, &score, &analysis, &labels);
        }
        free_piece(&score, &analysis);
    }
    /* The checks above saw something to check, and the model will too. */
    assert_true(keys_clear > 200);
    assert_true(says[SAYS_BPM] > total / 8);
    assert_true(says[SAYS_PACE] > total / 20);
    assert_true(says[SAYS_KEY] > total / 8);
    assert_true(says[SAYS_METRE] > total / 8);
    assert_true(says[SAYS_BARS] > total / 8);
    assert_true(says[SAYS_INSTRUMENT] > total / 2);
}

static void test_shapes_are_well_formed(void **state) {
    (void)state;
    static const char *const others[] = {"A", "a", "np", "tail", "rest", "list", "fields"};
    assert_true(motet_caption_shapes[MOTET_SHAPE_CAPTIONS].count >= 30);
    for (int kind = 0; kind < MOTET_SHAPE_TABLES; kind++) {
        assert_in_range(motet_caption_shapes[kind].count, 1, MOTET_MAX_SHAPES);
        for (int i = 0; i < motet_caption_shapes[kind].count; i++) {
            const char *shape = motet_caption_shapes[kind].entries[i];
            char inside = 0; /* the bracket that is open: they do not nest, but [ and < hold { */
            for (const char *p = shape; *p; p++) {
                if (*p == '{') {
                    int length = (int)strcspn(p + 1, "}"), known;
                    assert_int_equal(p[1 + length], '}');
                    known = motet_caption_slot(p + 1, length) >= 0;
                    for (size_t o = 0; o < sizeof others / sizeof *others; o++)
                        known |= (int)strlen(others[o]) == length &&
                                 memcmp(p + 1, others[o], (size_t)length) == 0;
                    if (!known) fail_msg("{%.*s} in %s", length, p + 1, shape);
                    p += length + 1;
                } else if (*p == '[' || *p == '<') {
                    assert_int_equal(inside, 0);
                    inside = *p;
                } else if (*p == ']' || *p == '>') {
                    assert_int_equal(inside, *p == ']' ? '[' : '<');
                    inside = 0;
                }
            }
            assert_int_equal(inside, 0);
        }
    }
}

static int by_text(const void *a, const void *b) {
    return strcmp(a, b);
}

static void test_captions_differ(void **state) {
    (void)state;
    enum { CAPTIONS = 2000 };
    motet_score score;
    motet_analysis analysis;
    make_piece(&score, &analysis, 3);
    motet_labels labels = {.genre = "jig", .mood = "cheerful", .composer = "Franz Schubert"};
    char(*captions)[MOTET_CAPTION_BYTES] = calloc(CAPTIONS, sizeof *captions);
    for (uint64_t seed = 0; seed < CAPTIONS; seed++) {
        char again[MOTET_CAPTION_BYTES];
        motet_caption_write(captions[seed], &score, &analysis, &labels, seed);
        motet_caption_write(again, &score, &analysis, &labels, seed);
        assert_string_equal(captions[seed], again);
    }
    qsort(captions, CAPTIONS, sizeof *captions, by_text);
    int distinct = 1;
    for (int i = 1; i < CAPTIONS; i++)
        distinct += strcmp(captions[i - 1], captions[i]) != 0;
    assert_true(distinct > CAPTIONS * 9 / 10);
    free(captions);
    free_piece(&score, &analysis);
}

/* The share of captions that contain the text. */
static double share_with(const char *text, const motet_score *score, const motet_analysis *analysis,
                         const motet_labels *labels) {
    int found = 0;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        char caption[MOTET_CAPTION_BYTES];
        motet_caption_write(caption, score, analysis, labels, seed);
        found += strcasestr(caption, text) != NULL;
    }
    return found / 1000.0;
}

static void test_labels(void **state) {
    (void)state;
    motet_score score;
    motet_analysis analysis;
    make_piece(&score, &analysis, 4);
    static const struct {
        const char *composer, *said, *unsaid;
    } composers[] = {
        {"BachJS", "bach", "bachj"},
        {"BeethovenLv", "beethoven", "beethovenl"},
        {"Rimsky-KorsakovN", "rimsky-korsakov", "korsakovn"},
        {"Mendelssohn-BartholdyF", "mendelssohn", "bartholdy"},
        {"Edward Elgar (1857-1934)", "elgar", "1857"},
        {"Bach, J. S.", "bach", "h, j."},
        {"J. S. Bach", "bach", "bachs"},
        {"Augusta Mary Anne Holm\xc3\xa8s", "holm\xc3\xa8s", "\xef\xbf\xbd"},
        {NULL, "", "style of"},
        {"Traditional", "", "traditional"},
        {"Anonymous", "", "anonymous"},
        {"RougetdeLisleCJ", "", "rouget"},
    };
    for (size_t i = 0; i < sizeof composers / sizeof *composers; i++) {
        motet_labels labels = {.composer = composers[i].composer};
        if (share_with(composers[i].unsaid, &score, &analysis, &labels) > 0)
            fail_msg("'%s' said of %s", composers[i].unsaid, composers[i].composer);
        if (composers[i].said[0])
            assert_true(share_with(composers[i].said, &score, &analysis, &labels) > 0.1);
    }
    motet_labels kind = {.kind = "Baroque, Harpsichord, Piano", .title = "Menuet in G"};
    assert_true(share_with("minuet", &score, &analysis, &kind) > 0.5);
    assert_true(share_with("baroque", &score, &analysis, &kind) > 0.3);
    assert_true(share_with("harpsichord", &score, &analysis, &kind) == 0); /* does not play here */
    motet_labels song = {.kind = "art song, voice and piano"};
    assert_true(share_with("song", &score, &analysis, &song) > 0.3);
    motet_labels ready = {.caption = "Three ready-made words."};
    double ready_share = share_with("Three ready-made words.", &score, &analysis, &ready);
    assert_true(ready_share > 0.4 && ready_share < 0.6);
    free_piece(&score, &analysis);
}

/* 1 if the bytes are UTF-8 without controls. */
static int is_clean(const char *text) {
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        int more = *p < 0x80 ? 0 : *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : *p >= 0xc2 ? 1 : -1;
        if (*p < 0x20 || *p == 0x7f || more < 0) return 0;
        for (p++; more > 0; more--, p++)
            if ((*p & 0xc0) != 0x80) return 0;
    }
    return 1;
}

static void test_hostile_labels(void **state) {
    (void)state;
    motet_score score;
    motet_analysis analysis;
    make_piece(&score, &analysis, 6);
    motet_rng rng = motet_rng_make(1, 1);
    char long_text[5000];
    for (int round = 0; round < 300; round++) {
        for (size_t i = 0; i + 1 < sizeof long_text; i++) {
            uint32_t kind = motet_rng_below(&rng, 8);
            long_text[i] = kind == 0   ? (char)(1 + motet_rng_below(&rng, 255))
                           : kind == 1 ? ' '
                           : kind == 2 ? "\xc3\xa9"[i & 1]
                                       : (char)('a' + motet_rng_below(&rng, 26));
        }
        long_text[round % 2 ? sizeof long_text - 1 : motet_rng_below(&rng, 60)] = 0;
        motet_labels labels = {long_text, long_text, long_text,
                               long_text, long_text, round % 3 ? NULL : long_text};
        for (uint64_t seed = 0; seed < 20; seed++) {
            char caption[MOTET_CAPTION_BYTES];
            assert_int_equal(motet_caption_write(caption, &score, &analysis, &labels, seed),
                             MOTET_OK);
            assert_true(strlen(caption) < MOTET_CAPTION_BYTES);
            assert_true(is_clean(caption));
            assert_true(caption[0] != 0);
        }
    }
    free_piece(&score, &analysis);
}

static void test_odd_pieces(void **state) {
    (void)state;
    motet_bar bar = {0, 4, 4, 120};
    motet_note drum = {0, 24, MOTET_PROGRAM_DRUMS, 36, 90};
    motet_score score = {&drum, &bar, NULL, 1, 1, 0, MOTET_NO_KEY, ""};
    motet_analysis analysis;
    for (int notes = 0; notes <= 1; notes++) { /* silence, then drums alone */
        score.note_count = notes;
        assert_int_equal(motet_analyse(&analysis, &score), MOTET_OK);
        int drums = 0;
        for (uint64_t seed = 0; seed < 500; seed++) {
            char caption[MOTET_CAPTION_BYTES];
            assert_int_equal(motet_caption_write(caption, &score, &analysis, NULL, seed), MOTET_OK);
            assert_null(strcasestr(caption, " major"));
            assert_null(strcasestr(caption, " minor"));
            drums += strcasestr(caption, "drum") != NULL;
        }
        assert_true(notes ? drums > 50 : drums == 0);
        motet_analysis_free(&analysis);
    }
    assert_int_equal(motet_analyse(&analysis, &score), MOTET_OK);
    analysis.bar_count = 2; /* of another score */
    char caption[MOTET_CAPTION_BYTES];
    assert_int_equal(motet_caption_write(caption, &score, &analysis, NULL, 0), MOTET_E_USAGE);
    motet_analysis_free(&analysis);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captions_tell_the_truth),
        cmocka_unit_test(test_shapes_are_well_formed),
        cmocka_unit_test(test_captions_differ),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_hostile_labels),
        cmocka_unit_test(test_odd_pieces),
    };
    return cmocka_run_group_tests_name("caption", tests, NULL, NULL);
}
