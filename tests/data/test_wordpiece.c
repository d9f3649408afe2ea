#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/file.h"
#include "data/wordpiece.h"

/* MOTET_GOLDEN_VOCAB and MOTET_GOLDEN_TEXTS replace the stored part by a whole vocabulary. */
static motet_wordpiece *load(const char *path) {
    unsigned char *bytes;
    size_t size;
    motet_wordpiece *t;
    assert_int_equal(motet_file_read(&bytes, &size, path, 1 << 24), MOTET_OK);
    assert_int_equal(motet_wordpiece_make(&t, (const char *)bytes, size, path), MOTET_OK);
    free(bytes);
    return t;
}

static motet_wordpiece *make(const char *vocab) {
    motet_wordpiece *t;
    if (motet_wordpiece_make(&t, vocab, strlen(vocab), "test")) fail_msg("%s", motet_error());
    return t;
}

static void agrees_with_tokenizers(void **state) {
    (void)state;
    const char *vocab = getenv("MOTET_GOLDEN_VOCAB"), *texts = getenv("MOTET_GOLDEN_TEXTS");
    motet_wordpiece *t = load(vocab ? vocab : "tests/golden/wordpiece_vocab.txt");
    json_t *golden = json_load_file(texts ? texts : "tests/golden/wordpiece.json", 0, NULL);
    json_t *cases = json_object_get(golden, "cases"), *one;
    size_t number;
    assert_true(json_array_size(cases) >= 200);
    json_array_foreach(cases, number, one) {
        int32_t ids[2048], count;
        int truncated;
        const char *text = json_string_value(json_object_get(one, "text"));
        json_t *wanted = json_object_get(one, "ids");
        assert_int_equal(
            motet_wordpiece_encode(ids, &count, 2048, &truncated, t, text, strlen(text)), MOTET_OK);
        assert_false(truncated);
        if ((size_t)count != json_array_size(wanted))
            fail_msg("text %zu '%s': %d ids instead of %zu", number, text, count,
                     json_array_size(wanted));
        for (int32_t i = 0; i < count; i++)
            if (ids[i] != json_integer_value(json_array_get(wanted, (size_t)i)))
                fail_msg("text %zu '%s': id %d is %s", number, text, i,
                         motet_wordpiece_token(t, ids[i]));
    }
    json_decref(golden);
    motet_wordpiece_free(t);
}

static const char SMALL[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n##bc\nab\n\xc3\xa6\n";

static void matches_longest_first(void **state) {
    (void)state;
    motet_wordpiece *t = make(SMALL);
    int32_t ids[16], count;
    assert_int_equal(motet_wordpiece_size(t), 9);
    assert_string_equal(motet_wordpiece_token(t, 6), "##bc");
    assert_null(motet_wordpiece_token(t, 9));
    assert_null(motet_wordpiece_token(t, -1));
    /* ab + c is a dead end for longest match first, so the word is unknown. */
    assert_int_equal(motet_wordpiece_encode(ids, &count, 16, NULL, t, "ab abb abc A", 12),
                     MOTET_OK);
    const int32_t wanted[] = {2, 7, 7, 5, 1, 4, 3};
    assert_int_equal(count, 7);
    assert_memory_equal(ids, wanted, sizeof wanted);
    motet_wordpiece_free(t);
}

static void keeps_the_end_when_it_cuts(void **state) {
    (void)state;
    motet_wordpiece *t = make(SMALL);
    int32_t ids[8] = {0}, count;
    int truncated;
    ids[4] = -7;
    assert_int_equal(motet_wordpiece_encode(ids, &count, 4, &truncated, t, "a a a a", 7), MOTET_OK);
    assert_int_equal(count, 4);
    assert_true(truncated);
    assert_int_equal(ids[3], 3);
    assert_int_equal(ids[4], -7);
    assert_int_equal(motet_wordpiece_encode(ids, &count, 4, &truncated, t, "a a", 3), MOTET_OK);
    assert_false(truncated);
    assert_int_equal(motet_wordpiece_encode(ids, &count, 2, &truncated, t, "", 0), MOTET_OK);
    assert_int_equal(count, 2);
    assert_false(truncated);
    assert_int_equal(motet_wordpiece_encode(ids, &count, 1, NULL, t, "a", 1), MOTET_E_USAGE);
    motet_wordpiece_free(t);
}

static void refuses_bad_bytes(void **state) {
    (void)state;
    motet_wordpiece *t = make(SMALL);
    int32_t ids[16], count;
    static const char *const BAD[] = {
        "ab\xff", "ab\xc3", "ab\xc0\x80", "ab\xed\xa0\x80", "ab\xf4\x90\x80\x80", "ab\xe4\xb8"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        assert_int_equal(motet_wordpiece_encode(ids, &count, 16, NULL, t, BAD[i], strlen(BAD[i])),
                         MOTET_E_DATA);
        assert_non_null(strstr(motet_error(), "byte 2"));
        assert_int_equal(count, 0);
    }
    motet_wordpiece_free(t);
}

static void refuses_bad_vocabularies(void **state) {
    (void)state;
    static const char *const BAD[] = {"", "[PAD]\n[UNK]\n[CLS]\na\n",
                                      "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\na\n"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        motet_wordpiece *t = (motet_wordpiece *)1;
        assert_int_equal(motet_wordpiece_make(&t, BAD[i], strlen(BAD[i]), "v.txt"), MOTET_E_DATA);
        assert_null(t);
        assert_non_null(strstr(motet_error(), "v.txt"));
    }
    motet_wordpiece *t;
    assert_int_equal(motet_wordpiece_make(&t, "[PAD]\0\n", 7, "v.txt"), MOTET_E_DATA);
    /* Windows line ends, and a last line without one. */
    t = make("[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\nx");
    assert_string_equal(motet_wordpiece_token(t, 4), "x");
    assert_string_equal(motet_wordpiece_token(t, 0), "[PAD]");
    motet_wordpiece_free(t);
}

static void takes_a_megabyte(void **state) {
    (void)state;
    motet_wordpiece *t = make(SMALL);
    size_t size = 1 << 20;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'a', size); /* one word, far beyond 100 characters */
    int32_t ids[8], count;
    assert_int_equal(motet_wordpiece_encode(ids, &count, 8, NULL, t, text, size), MOTET_OK);
    assert_int_equal(count, 3);
    assert_int_equal(ids[1], 1);
    free(text);
    motet_wordpiece_free(t);
}

static void learns_what_recurs(void **state) {
    (void)state;
    static const char *const TEXTS[] = {
        "a slow waltz for piano",          "a slow tango for piano and cello", "waltzes and tangos",
        "a fast waltz, pianos and cellos", "Slowly: waltz for a piano",        "the cello waltz",
    };
    char *vocab, *again;
    assert_int_equal(motet_wordpiece_learn(&vocab, TEXTS, 6, 200), MOTET_OK);
    assert_int_equal(motet_wordpiece_learn(&again, TEXTS, 6, 200), MOTET_OK);
    assert_string_equal(vocab, again);
    motet_wordpiece *t = make(vocab);
    assert_true(motet_wordpiece_size(t) <= 200);
    static const char *const WHOLE[] = {"waltz", "piano", "cello", "slow"};
    for (int i = 0; i < 4; i++) {
        int32_t ids[16], count;
        assert_int_equal(
            motet_wordpiece_encode(ids, &count, 16, NULL, t, WHOLE[i], strlen(WHOLE[i])), MOTET_OK);
        if (count != 3) fail_msg("'%s' takes %d tokens", WHOLE[i], count);
        assert_string_equal(motet_wordpiece_token(t, ids[1]), WHOLE[i]);
    }
    /* Every letter is known where it occurred, so no seen text is unknown. */
    for (int i = 0; i < 6; i++) {
        int32_t ids[64], count;
        assert_int_equal(
            motet_wordpiece_encode(ids, &count, 64, NULL, t, TEXTS[i], strlen(TEXTS[i])), MOTET_OK);
        for (int32_t k = 0; k < count; k++)
            assert_string_not_equal(motet_wordpiece_token(t, ids[k]), "[UNK]");
    }
    motet_wordpiece_free(t);
    free(again);
    free(vocab);
}

static void learns_within_its_bounds(void **state) {
    (void)state;
    /* 60 ideographs, which stand alone, do not all fit beside the letters: the rarest is missing.
     */
    char many[60 * 3 * 2 + 8] = "";
    for (int i = 0; i < 60; i++) {
        const char character[] = {(char)0xe4, (char)0xb8, (char)(0x80 + i), 0};
        strcat(many, character);
        if (i) strcat(many, character);
    }
    const char *const texts[] = {many, "the the the"};
    char *vocab;
    assert_int_equal(motet_wordpiece_learn(&vocab, texts, 2, 128), MOTET_OK);
    motet_wordpiece *t = make(vocab);
    int32_t ids[8], count;
    assert_int_equal(motet_wordpiece_size(t), 128);
    assert_int_equal(motet_wordpiece_encode(ids, &count, 8, NULL, t, "\xe4\xb8\x81", 3), MOTET_OK);
    assert_string_not_equal(motet_wordpiece_token(t, ids[1]), "[UNK]");
    motet_wordpiece_free(t);
    free(vocab);
    /* No text at all: the special tokens, and every letter and digit at both places. */
    assert_int_equal(motet_wordpiece_learn(&vocab, NULL, 0, 128), MOTET_OK);
    t = make(vocab);
    assert_int_equal(motet_wordpiece_size(t), 5 + 72);
    assert_int_equal(motet_wordpiece_encode(ids, &count, 8, NULL, t, "x7", 2), MOTET_OK);
    assert_int_equal(count, 4);
    assert_string_equal(motet_wordpiece_token(t, ids[2]), "##7");
    motet_wordpiece_free(t);
    free(vocab);
    assert_int_equal(motet_wordpiece_learn(&vocab, texts, 2, 127), MOTET_E_USAGE);
    static const char *const BAD[] = {"\xff"};
    assert_int_equal(motet_wordpiece_learn(&vocab, BAD, 1, 128), MOTET_E_DATA);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_tokenizers),     cmocka_unit_test(matches_longest_first),
        cmocka_unit_test(keeps_the_end_when_it_cuts), cmocka_unit_test(refuses_bad_bytes),
        cmocka_unit_test(refuses_bad_vocabularies),   cmocka_unit_test(takes_a_megabyte),
        cmocka_unit_test(learns_what_recurs),         cmocka_unit_test(learns_within_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
