/* harness_caption: a small parser of captions, independent of the writer. */
#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/instrument.h"
#include "tests/data/harness_caption.h"

static int word_value(const char *text, size_t length) {
    static const struct {
        const char *word;
        int value;
    } words[] = {{"one", 1},        {"two", 2},     {"three", 3},        {"four", 4},
                 {"five", 5},       {"six", 6},     {"seven", 7},        {"eight", 8},
                 {"nine", 9},       {"ten", 10},    {"eleven", 11},      {"twelve", 12},
                 {"sixteen", 16},   {"twenty", 20}, {"twenty-four", 24}, {"thirty-two", 32},
                 {"sixty-four", 64}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].word) == length && memcmp(words[i].word, text, length) == 0)
            return words[i].value;
    return -1;
}

/* The number, in digits or letters, that ends where end points; -1 if none does. */
static int number_before(const char *text, const char *end) {
    const char *start = end;
    while (start > text && isdigit((unsigned char)start[-1]))
        start--;
    if (start < end) return atoi(start);
    while (start > text && (isalpha((unsigned char)start[-1]) || start[-1] == '-'))
        start--;
    return word_value(start, (size_t)(end - start));
}

static int starts_word(const char *text, const char *p) {
    return p == text || !(isalnum((unsigned char)p[-1]) || p[-1] == '#');
}

/* How many bytes of p spell a key, and which; 0 if none. */
static int key_at(int *key, const char *p) {
    static const char *const accidentals[] = {"", "#", "b", " flat", "-flat", " sharp", "-sharp"};
    static const char *const modes[] = {" major", " minor", " maj", " min", "m"};
    if (*p < 'a' || *p > 'g') return 0;
    int best = 0;
    for (size_t a = 0; a < sizeof accidentals / sizeof *accidentals; a++)
        for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
            char name[32];
            int length = snprintf(name, sizeof name, "%c%s%s", *p, accidentals[a], modes[m]);
            if (strncmp(p, name, (size_t)length) || isalnum((unsigned char)p[length])) continue;
            *key = motet_key_parse(name);
            best = length;
        }
    return best;
}

/* Replaces every occurrence of text by blanks: labels are true by definition. */
static void blank_out(char *caption, const char *text) {
    char lower[128] = "";
    for (int i = 0; i < 127 && text && text[i]; i++)
        lower[i] = (char)tolower((unsigned char)text[i]);
    if (!lower[0]) return;
    for (char *p; (p = strstr(caption, lower));)
        memset(p, ' ', strlen(lower));
}

static void check_instruments(int says[SAYS], const char *text, const motet_analysis *analysis,
                              const char *caption) {
    for (const char *p = text; *p; p++) {
        if (!starts_word(text, p)) continue;
        size_t longest = 0;
        int used = 0; /* by a program that has this longest word */
        for (int program = 0; program < MOTET_PROGRAMS; program++)
            for (int k = 0; motet_program_word(program, k); k++) {
                const char *word = motet_program_word(program, k);
                size_t length = strlen(word);
                if (length < longest || strncasecmp(p, word, length) ||
                    isalpha((unsigned char)p[length]))
                    continue;
                if (length > longest) used = 0;
                longest = length;
                used |= analysis->programs[program].notes > 0;
            }
        if (!longest) continue;
        if (!used) fail_msg("'%.*s' does not play in: %s", (int)longest, p, caption);
        says[SAYS_INSTRUMENT]++;
        p += longest - 1;
    }
}

static void check_tempo(int says[SAYS], const char *text, const motet_analysis *analysis,
                        const char *caption) {
    static const char *const units[] = {" bpm", " beats per minute"};
    for (size_t u = 0; u < 2; u++)
        for (const char *p = text; (p = strstr(p, units[u])); p++) {
            if (p[4] == ':') continue; /* "bpm: 96 bpm" */
            int bpm = number_before(text, p);
            assert_true(bpm > 0);
            int rough = 0;
            for (const char *q = p - 12 < text ? text : p - 12; q < p; q++)
                rough |= !strncmp(q, "about ", 6) || !strncmp(q, "round ", 6) ||
                         !strncmp(q, "ughly ", 6);
            if (fabs(bpm - analysis->tempo_bpm) > (rough ? 3.01 : 0.51))
                fail_msg("%.2f bpm said as: %s", analysis->tempo_bpm, caption);
            says[SAYS_BPM]++;
        }
    const char *of = strstr(text, "a tempo of ");
    if (of) {
        assert_true(fabs(atoi(of + 11) - analysis->tempo_bpm) <= 0.51);
        says[SAYS_BPM]++;
    }
    static const struct {
        const char *word;
        double from, to;
    } paces[] = {{"slow", 0, 84.5},        {"fast", 113.5, 1000},     {"quick", 131.5, 300},
                 {"brisk", 121.5, 190},    {"moderate", 87.5, 122},   {"largo", 39.5, 60.5},
                 {"andante", 75.5, 108.5}, {"allegro", 119.5, 156.5}, {"presto", 175.5, 200.5}};
    for (size_t i = 0; i < sizeof paces / sizeof *paces; i++) {
        const char *p = strstr(text, paces[i].word);
        if (!p || !starts_word(text, p) || isalpha((unsigned char)p[strlen(paces[i].word)]))
            continue;
        if (analysis->tempo_bpm < paces[i].from || analysis->tempo_bpm > paces[i].to)
            fail_msg("%.2f bpm said as: %s", analysis->tempo_bpm, caption);
        says[SAYS_PACE]++;
    }
}

static void check_metre(int says[SAYS], const char *text, const motet_analysis *analysis,
                        const char *caption) {
    int n = -1, d = -1;
    for (const char *p = text; (p = strchr(p, '/')); p++) {
        if (p == text || !isdigit((unsigned char)p[-1]) || !isdigit((unsigned char)p[1])) continue;
        n = number_before(text, p), d = atoi(p + 1);
    }
    for (const char *p = text; *p; p++) { /* "six-eight" */
        size_t top = strspn(p, "abcdefghijklmnopqrstuvwxyz");
        if (!starts_word(text, p) || p[top] != '-') continue;
        size_t bottom = strspn(p + top + 1, "abcdefghijklmnopqrstuvwxyz");
        int a = word_value(p, top), b = word_value(p + top + 1, bottom);
        if (a > 0 && a <= 12 && (b == 2 || b == 4 || b == 8)) n = a, d = b;
    }
    if (strstr(text, "waltz time")) n = 3, d = 4;
    if (strstr(text, "common time")) n = 4, d = 4;
    if (strstr(text, "cut time") || strstr(text, "alla breve")) n = 2, d = 2;
    if (n < 0) return;
    if (n != analysis->metre_numerator || d != analysis->metre_denominator)
        fail_msg("%d/%d said as: %s", analysis->metre_numerator, analysis->metre_denominator,
                 caption);
    says[SAYS_METRE]++;
}

void check_caption(int says[SAYS], const char *caption, const motet_score *score,
                   const motet_analysis *analysis, const motet_labels *labels) {
    char text[MOTET_CAPTION_BYTES];
    size_t length = strlen(caption);
    assert_in_range(length, 4, MOTET_CAPTION_BYTES - 1);
    for (size_t i = 0; i <= length; i++)
        text[i] = (char)tolower((unsigned char)caption[i]);
    /* well formed: nothing of the machinery shows, articles agree with plain words */
    if (strpbrk(caption, "{}[]<>\x01\x02") || strstr(caption, "  ") || strstr(caption, " ,") ||
        strstr(caption, " .") || strstr(caption, ",,") || caption[0] == ' ' || caption[0] == ',')
        fail_msg("malformed: '%s'", caption);
    for (const char *p = text; (p = strstr(p, " a ")); p++)
        if ((p < text + 6 || strncmp(p - 6, "key of", 6)) && strchr("aeiou", p[3]) &&
            strncmp(p + 3, "uk", 2) && p[4] != ' ' && p[4] != '-' && strncmp(p + 3, "uni", 3) &&
            strncmp(p + 3, "one", 3))
            fail_msg("article: %s", caption);
    for (const char *p = text; (p = strstr(p, " an ")); p++)
        if (isalpha((unsigned char)p[4]) && isalpha((unsigned char)p[5]) &&
            !strchr("aeiou", p[4]) && p[5] != 'm')
            fail_msg("article: %s", caption);
    blank_out(text, labels->genre);
    blank_out(text, labels->mood);
    blank_out(text, labels->composer);
    blank_out(text, "chorale"); /* forms of pieces that are words of instruments as well */
    blank_out(text, "fantasia");
    check_tempo(says, text, analysis, caption);
    check_metre(says, text, analysis, caption);
    for (const char *p = text; *p; p++) {
        int key, used = starts_word(text, p) ? key_at(&key, p) : 0;
        if (used) {
            if (key != analysis->key)
                fail_msg("%s said as: %s", motet_key_name(analysis->key), caption);
            says[SAYS_KEY]++;
            p += used - 1;
        } else if (strncmp(p, "the key of ", 11) == 0 && !key_at(&key, p + 11)) {
            char name[12] = "";
            size_t end = strcspn(p + 11, ",.;:?|/");
            for (size_t i = end; i > 0; i--) { /* the longest start that is a key */
                if (i >= sizeof name) continue;
                snprintf(name, sizeof name, "%.*s", (int)i, p + 11);
                if (motet_key_parse(name) != MOTET_NO_KEY) break;
            }
            if (motet_key_parse(name) != analysis->key)
                fail_msg("%s said as: %s", motet_key_name(analysis->key), caption);
            says[SAYS_KEY]++;
        }
    }
    static const char *const units[] = {"bar", "measure"};
    for (size_t u = 0; u < 2; u++)
        for (const char *p = text; (p = strstr(p, units[u])); p++) {
            if (p < text + 2 || (p[-1] != ' ' && p[-1] != '-')) continue;
            const char *after = p + strlen(units[u]);
            if (isalpha((unsigned char)after[*after == 's'])) continue; /* "baroque" */
            int bars = number_before(text, p - 1);
            if (bars < 0) continue; /* "repeating bars" */
            if (bars != score->bar_count)
                fail_msg("%d bars said as: %s", (int)score->bar_count, caption);
            says[SAYS_BARS]++;
        }
    check_instruments(says, text, analysis, caption);
}
