/* key: names and spellings, and finding the key of tonal music. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/analysis.h"
#include "kernels/core/rng.h"

static void test_names_parse_back(void **state) {
    (void)state;
    for (int key = 0; key < 24; key++) {
        assert_int_equal(motet_key_parse(motet_key_name(key)), key);
        for (int other = 0; other < key; other++)
            assert_string_not_equal(motet_key_name(key), motet_key_name(other));
    }
    assert_string_equal(motet_key_name(14), "D minor");
    assert_string_equal(motet_key_name(MOTET_NO_KEY), "no key");
    assert_string_equal(motet_key_name(-1), "no key");
}

static void test_spellings(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int key;
    } known[] = {
        {"D minor", 14},
        {"Bb", 10},
        {"f# min", 18},
        {"Dm", 14},
        {"C-sharp major", 1},
        {"c", 0},
        {"b", 11},
        {"bb", 10},
        {"BB", 10},
        {"B flat minor", 22},
        {"B-flat", 10},
        {"a", 9},
        {"Am", 21},
        {"AM", 9},
        {"ebm", 15},
        {" G  major ", 7},
        {"E\xe2\x99\xad major", 3},
        {"F\xe2\x99\xaf minor", 18},
        {"Cb major", 11},
        {"B# minor", 12},
        {"E# major", 5},
        {"g maj", 7},
        {"d-moll", 14},
        {"D-Dur", 2},
        {"A flat", 8},
        {"ab maj", 8},
        {"GMAJOR", 7},
        {"e_minor", 16},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (motet_key_parse(known[i].text) != known[i].key)
            fail_msg("'%s' read as %s", known[i].text,
                     motet_key_name(motet_key_parse(known[i].text)));
    static const char *const wrong[] = {"",        "H",        "D minro", "major",      "piano",
                                        "Dmi nor", "D minor!", "C mm",    "cello",      "3",
                                        "dim",     "flat",     "C#b",     "A majority", "\xff"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (motet_key_parse(wrong[i]) != MOTET_NO_KEY)
            fail_msg("'%s' read as %s", wrong[i], motet_key_name(motet_key_parse(wrong[i])));
    assert_int_equal(motet_key_parse(NULL), MOTET_NO_KEY);
}

static void test_signatures(void **state) {
    (void)state;
    static const char *const sharps[] = {"C", "G", "D", "A", "E", "B", "F#"};
    static const char *const flats[] = {"C", "F", "Bb", "Eb", "Ab", "Db"};
    for (int i = 0; i < 7; i++) {
        int key = motet_key_parse(sharps[i]);
        assert_int_equal(motet_key_signature(key), i);
    }
    for (int i = 0; i < 6; i++)
        assert_int_equal(motet_key_signature(motet_key_parse(flats[i])), -i);
    for (int key = 0; key < 12; key++) /* the relative minor has the same, up to twelve fifths */
        assert_int_equal((motet_key_signature(key) - motet_key_signature(12 + (key + 9) % 12)) % 12,
                         0);
    assert_int_equal(motet_key_signature(MOTET_NO_KEY), 0);
}

/* Eight bars of block chords over a bass with a random diatonic tune, I to I. */
static void make_tune(motet_score *score, int key, uint64_t seed) {
    static const int8_t scales[2][7] = {{0, 2, 4, 5, 7, 9, 11}, {0, 2, 3, 5, 7, 8, 11}};
    static const uint8_t roots[8] = {0, 3, 4, 0, 5, 3, 4, 0};
    motet_rng rng = motet_rng_make(seed, 9);
    memset(score, 0, sizeof *score);
    score->key = MOTET_NO_KEY;
    score->bar_count = 8;
    score->bars = calloc(8, sizeof *score->bars);
    score->notes = calloc(8 * 8, sizeof *score->notes);
    score->tempos = calloc(1, sizeof *score->tempos);
    score->tempos[0].bpm = 100;
    score->tempo_count = 1;
    const int8_t *scale = scales[key / 12];
    for (int b = 0; b < 8; b++) {
        score->bars[b] = (motet_bar){96 * b, 4, 4, 100};
        for (int t = 0; t < 3; t++) {
            int step = roots[b] + 2 * t;
            score->notes[score->note_count++] = (motet_note){
                96 * b, 96, 0, (uint8_t)(48 + key % 12 + scale[step % 7] + step / 7 * 12), 80};
        }
        score->notes[score->note_count++] =
            (motet_note){96 * b, 96, 32, (uint8_t)(36 + key % 12 + scale[roots[b]]), 80};
        for (int q = 0; q < 4; q++)
            score->notes[score->note_count++] =
                (motet_note){96 * b + 24 * q, 24, 73,
                             (uint8_t)(72 + key % 12 + scale[motet_rng_below(&rng, 7)]), 80};
    }
    motet_score_sort(score);
}

static int key_of(const motet_score *score, float *clearness) {
    motet_analysis analysis;
    assert_int_equal(motet_analyse(&analysis, score), MOTET_OK);
    int key = analysis.key;
    *clearness = analysis.key_clearness;
    motet_analysis_free(&analysis);
    return key;
}

static void test_tunes_in_all_keys(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        float clearness, first = 0;
        for (int key = 0; key < 24; key++) {
            motet_score score;
            make_tune(&score, key, seed);
            assert_int_equal(key_of(&score, &clearness), key);
            assert_true(clearness > 0 && clearness <= 1);
            if (key % 12 == 0) first = clearness; /* transposing changes nothing else */
            assert_float_equal(clearness, first, 1e-5f);
            motet_score_free(&score);
        }
    }
}

static void test_signature_is_a_hint_only(void **state) {
    (void)state;
    float clearness;
    motet_score score;
    make_tune(&score, 6, 1); /* F# major, and a file that says C major, as many do by default */
    score.key = 0;
    assert_int_equal(key_of(&score, &clearness), 6);
    motet_score_free(&score);
    make_tune(&score, 21, 1); /* A minor; files often write its signature as C major */
    score.key = 0;
    assert_int_equal(key_of(&score, &clearness), 21);
    motet_score_free(&score);
    /* Five notes that fit many keys: the signature decides. */
    motet_bar bar = {0, 4, 4, 120};
    static const uint8_t tune[5] = {60, 62, 65, 67, 69};
    motet_note notes[5];
    for (int i = 0; i < 5; i++)
        notes[i] = (motet_note){18 * i, 18, 73, tune[i], 80};
    motet_score five = {notes, &bar, NULL, 5, 1, 0, 5, ""};
    assert_int_equal(key_of(&five, &clearness), 5);
    five.key = 14;
    assert_int_equal(key_of(&five, &clearness) % 12 == 5 || key_of(&five, &clearness) == 14, 1);
    five.key = 0;
    assert_int_equal(motet_key_signature(key_of(&five, &clearness)), 0);
}

static void test_drums_have_no_key(void **state) {
    (void)state;
    float clearness;
    motet_score score;
    make_tune(&score, 3, 1);
    int32_t count = score.note_count;
    for (int32_t i = 0; i < count; i++)
        if (score.notes[i].program == 73) score.notes[i].program = MOTET_PROGRAM_DRUMS;
    motet_score_sort(&score);
    assert_int_equal(key_of(&score, &clearness), 3); /* drums beside a tune do not matter */
    for (int32_t i = 0; i < score.note_count; i++)
        score.notes[i].program = MOTET_PROGRAM_DRUMS;
    motet_score_sort(&score);
    score.key = 3;
    assert_int_equal(key_of(&score, &clearness), MOTET_NO_KEY);
    assert_float_equal(clearness, 0, 0);
    motet_score_free(&score);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_parse_back),
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_tunes_in_all_keys),
        cmocka_unit_test(test_signature_is_a_hint_only),
        cmocka_unit_test(test_drums_have_no_key),
    };
    return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
