/* Piano rolls: SVG that is well-formed whatever the title, and text that shows each note. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/analysis.h"
#include "infer/piano_roll.h"

enum { BARS = 3, BAR = 4 * MOTET_TICKS_PER_QUARTER };

/* Three bars of 4/4: a scale for a flute, a low note for a cello, a drum. */
static void make_score(motet_score *score, const char *title, int drums_only) {
    *score = (motet_score){.key = 0, .bar_count = BARS, .tempo_count = 1};
    snprintf(score->title, sizeof score->title, "%s", title);
    score->bars = calloc(BARS, sizeof *score->bars);
    score->tempos = calloc(1, sizeof *score->tempos);
    score->notes = calloc(16, sizeof *score->notes);
    score->tempos[0] = (motet_tempo){0, 120};
    for (int32_t b = 0; b < BARS; b++)
        score->bars[b] = (motet_bar){b * BAR, 4, 4, 120};
    for (int i = 0; i < 8 && !drums_only; i++)
        score->notes[score->note_count++] =
            (motet_note){24 * i, 24, 73, (uint8_t)(72 + i), (uint8_t)(40 + 10 * i)};
    if (!drums_only) score->notes[score->note_count++] = (motet_note){0, BARS * BAR, 42, 48, 90};
    score->notes[score->note_count++] = (motet_note){BAR, 6, MOTET_PROGRAM_DRUMS, 36, 100};
    motet_score_sort(score);
}

static int occurrences(const char *text, const char *part) {
    int count = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        count++;
    return count;
}

/* Tags nest and close, text holds no bare < & or control character: what XML asks of such a page.
 */
static void check_xml(const char *xml) {
    const char *open[16];
    size_t sizes[16], depth = 0;
    for (const char *p = xml; *p; p++) {
        if ((unsigned char)*p < 0x20 && *p != '\n') fail_msg("control character %d", *p);
        if (*p == '&') {
            size_t size = strcspn(p, "; <");
            assert_int_equal(p[size], ';');
            assert_true(!strncmp(p, "&amp;", 5) || !strncmp(p, "&lt;", 4) ||
                        !strncmp(p, "&gt;", 4) || !strncmp(p, "&quot;", 6));
        }
        if (*p != '<') continue;
        size_t size = strcspn(p, ">");
        assert_int_equal(p[size], '>');
        if (p[1] == '/') {
            assert_true(depth-- > 0);
            assert_int_equal(size - 2, sizes[depth]);
            assert_memory_equal(p + 2, open[depth], sizes[depth]);
        } else if (p[size - 1] != '/') {
            assert_true(depth < 16);
            open[depth] = p + 1;
            sizes[depth++] = strcspn(p + 1, " >");
        }
        p += size;
    }
    assert_int_equal(depth, 0);
}

static char *draw(const char *title, int drums_only) {
    motet_score score;
    motet_analysis analysis;
    char *svg;
    make_score(&score, title, drums_only);
    assert_int_equal(motet_analyse(&analysis, &score), MOTET_OK);
    assert_int_equal(motet_piano_roll_svg(&svg, &score, &analysis), MOTET_OK);
    motet_analysis_free(&analysis);
    motet_score_free(&score);
    return svg;
}

static void test_svg_has_every_note_bar_and_instrument(void **state) {
    (void)state;
    char *svg = draw("a scale", 0);
    check_xml(svg);
    assert_int_equal(occurrences(svg, "rx=\"1.5\""), 10);
    assert_non_null(strstr(svg, ">Flute, 8 notes<"));
    assert_non_null(strstr(svg, ">Cello, 1 notes<"));
    assert_non_null(strstr(svg, ">Drums, 1 notes<"));
    assert_non_null(strstr(svg, "<title>a scale</title>"));
    for (int b = 1; b <= BARS; b++) {
        char number[32];
        snprintf(number, sizeof number, ">%d</text>", b);
        assert_non_null(strstr(svg, number));
    }
    free(svg);
}

static void test_svg_escapes_titles(void **state) {
    (void)state;
    static const char *const titles[] = {"drums & <bass> \"loud\" ]]>",
                                         "\x1b[31mred\x07\ttab\x7f",
                                         "&amp;",
                                         "</title></svg>",
                                         "\xef\xbf\xbf and \xef\xbf\xbe are no characters",
                                         "\xf0\x9f\x8e\xb9 \xc3\xa9",
                                         ""};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++) {
        char *svg = draw(titles[i], i % 2);
        check_xml(svg);
        assert_null(strstr(svg, "\xef\xbf\xbf"));
        assert_null(strstr(svg, "\xef\xbf\xbe"));
        free(svg);
    }
}

/* The roll as text, malloc'd. */
static char *print(int columns, int rows, int unicode, int colour, int drums_only) {
    motet_score score;
    char *text;
    size_t size;
    make_score(&score, "", drums_only);
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    motet_piano_roll_print(out, &score, columns, rows, unicode, colour);
    fclose(out);
    motet_score_free(&score);
    return text;
}

static void test_text_roll_is_as_large_as_asked(void **state) {
    (void)state;
    char *text = print(36, 10, 0, 0, 0);
    int lines = 0;
    for (char *line = text; *line; lines++) {
        size_t length = strcspn(line, "\n");
        assert_in_range(length, 0, 38);
        assert_int_equal(strspn(line, " #"), length);
        line += length + 1;
    }
    assert_int_equal(lines, 10);
    /* The cello's note is as long as the piece, on the lowest line. */
    assert_non_null(strstr(text, "  ####################################\n"));
    free(text);
    text = print(36, 7, 1, 0, 0);
    assert_int_equal(occurrences(text, "\n"), 7);
    assert_null(strchr(text, '#'));
    assert_null(strchr(text, '\033'));
    assert_true(occurrences(text, "\xe2\x96\x84") + occurrences(text, "\xe2\x96\x80") >= 36);
    free(text);
    text = print(36, 7, 1, 1, 0);
    assert_true(occurrences(text, "\033[3") >= 36);
    assert_int_equal(occurrences(text, "\033[3"), occurrences(text, "\033[0m"));
    free(text);
}

static void test_odd_sizes_and_drums_alone(void **state) {
    (void)state;
    static const int sizes[][2] = {{1, 1}, {2000, 2000}, {0, 5}, {5, 0}, {-1, -1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *text = print(sizes[i][0], sizes[i][1], (int)i % 2, 1, 0);
        int rows = sizes[i][0] < 1 || sizes[i][1] < 1 ? 0 : sizes[i][1] > 40 ? 40 : sizes[i][1];
        assert_int_equal(occurrences(text, "\n"), rows);
        free(text);
    }
    char *text = print(20, 4, 0, 0, 1);
    assert_null(strchr(text, '#'));
    free(text);
    char *svg = draw("drums", 1);
    check_xml(svg);
    assert_int_equal(occurrences(svg, "rx=\"1.5\""), 1);
    free(svg);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_svg_has_every_note_bar_and_instrument),
        cmocka_unit_test(test_svg_escapes_titles),
        cmocka_unit_test(test_text_roll_is_as_large_as_asked),
        cmocka_unit_test(test_odd_sizes_and_drums_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
