/* analysis: chords, echoes, sections and the figures of a score, on scores made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/analysis.h"
#include "kernels/core/rng.h"

/* Room for a small score; bars are in 4/4 unless changed. */
typedef struct workbench {
    motet_note notes[4096];
    motet_bar bars[128];
    motet_tempo tempos[64];
    motet_score score;
    motet_analysis analysis;
} workbench;

static workbench *bench_of(int bars) {
    static workbench bench;
    memset(&bench, 0, sizeof bench);
    bench.score = (motet_score){.notes = bench.notes,
                                .bars = bench.bars,
                                .tempos = bench.tempos,
                                .bar_count = bars,
                                .tempo_count = 1,
                                .key = MOTET_NO_KEY};
    bench.tempos[0].bpm = 120;
    for (int b = 0; b < bars; b++)
        bench.bars[b] = (motet_bar){96 * b, 4, 4, 120};
    return &bench;
}

static void play(workbench *bench, int start, int ticks, int program, int pitch) {
    bench->notes[bench->score.note_count++] =
        (motet_note){start, ticks, (uint8_t)program, (uint8_t)pitch, 80};
}

static void analyse(workbench *bench) {
    motet_score_sort(&bench->score);
    assert_int_equal(motet_analyse(&bench->analysis, &bench->score), MOTET_OK);
    assert_int_equal(bench->analysis.bar_count, bench->score.bar_count);
}

static void done(workbench *bench) {
    motet_analysis_free(&bench->analysis);
    assert_null(bench->analysis.bars);
}

static void test_every_chord(void **state) {
    (void)state;
    static const int8_t tones[MOTET_CHORD_QUALITIES][4] = {
        {0, 4, 7, -1}, {0, 3, 7, -1}, {0, 4, 7, 10}, {0, 4, 7, 11}, {0, 3, 7, 10},
        {0, 3, 6, -1}, {0, 3, 6, 10}, {0, 3, 6, 9},  {0, 4, 8, -1}, {0, 5, 7, -1}};
    for (int chord = 0; chord < MOTET_CHORD_NONE; chord++) {
        int root = chord % 12;
        const int8_t *shape = tones[chord / 12];
        workbench *bench = bench_of(3);
        for (int t = 0; t < 4 && shape[t] >= 0; t++) {
            play(bench, 0, 96, 0, 48 + root + shape[t]);           /* as a block */
            play(bench, 96 + 24 * t, 24, 0, 48 + root + shape[t]); /* as an arpeggio */
            play(bench, 192, 96, 0, 60 + root + shape[t]); /* over its root in another voice */
        }
        play(bench, 192, 96, 32, 36 + root);
        play(bench, 96, 96, MOTET_PROGRAM_DRUMS, 35); /* drums have no say */
        analyse(bench);
        for (int b = 0; b < 3; b++) {
            char name[16], heard[16];
            motet_chord_name(chord, name, sizeof name);
            motet_chord_name(bench->analysis.bars[b].chord, heard, sizeof heard);
            assert_string_equal(heard, name);
        }
        done(bench);
    }
}

static void test_no_chord(void **state) {
    (void)state;
    workbench *bench = bench_of(5);
    for (int q = 0; q < 4; q++)
        play(bench, 96 + 24 * q, 24, MOTET_PROGRAM_DRUMS, 36 + q);
    play(bench, 192, 96, 0, 60); /* one pitch class */
    play(bench, 192, 96, 0, 72);
    for (int p = 0; p < 12; p++)
        play(bench, 288, 96, 0, 60 + p); /* a cluster */
    analyse(bench);
    for (int b = 0; b < 5; b++)
        assert_int_equal(bench->analysis.bars[b].chord, MOTET_CHORD_NONE);
    done(bench);
}

static void test_held_chords_sound_on(void **state) {
    (void)state;
    workbench *bench = bench_of(3);
    static const int pitches[] = {48, 52, 55};
    for (int i = 0; i < 3; i++)
        play(bench, 0, 192, 0, pitches[i]);
    analyse(bench);
    assert_int_equal(bench->analysis.bars[0].chord, 0);
    assert_int_equal(bench->analysis.bars[1].chord, 0);
    assert_int_equal(bench->analysis.bars[2].chord, MOTET_CHORD_NONE);
    assert_int_equal(bench->analysis.bars[1].notes, 0);
    done(bench);
}

/* A bar of ten notes that is unlike every other number's. */
static void play_bar(workbench *bench, int bar, int number, int changed) {
    for (int i = 0; i < 10; i++)
        play(bench, 96 * bar + 8 * i, 8, 0, 30 + number + (i < changed ? 12 : 0));
}

static void test_echoes(void **state) {
    (void)state;
    for (int back = 1; back <= 20; back++) { /* a bar comes back after so many others */
        workbench *bench = bench_of(21);
        for (int b = 0; b < 21; b++)
            play_bar(bench, b, b == back ? 0 : b, 0);
        analyse(bench);
        int expected = back <= 8 ? back : back == 12 ? 9 : back == 16 ? 10 : 0;
        for (int b = 0; b < 21; b++)
            assert_int_equal(bench->analysis.bars[b].echo, b == back ? expected : 0);
        assert_float_equal(bench->analysis.repeated_share, expected ? 1 / 21.0f : 0, 1e-6f);
        done(bench);
    }
    workbench *bench = bench_of(8);
    play_bar(bench, 0, 0, 0);
    play_bar(bench, 1, 0, 1); /* 9 of 11: .82 */
    play_bar(bench, 2, 0, 2); /* 9 of 11 with bar 1, and bar 0 is further off */
    play_bar(bench, 4, 0, 4); /* 8 of 12 with bar 2, less with the others */
    play_bar(bench, 5, 0, 0); /* bars 4 and 2 are too different; 1 comes before 0 */
    analyse(bench);
    static const uint8_t expected[8] = {0, 1, 1, 0, 0, 4, 0, 0}; /* silent bars have none */
    for (int b = 0; b < 8; b++)
        assert_int_equal(bench->analysis.bars[b].echo, expected[b]);
    assert_float_equal(bench->analysis.silent_share, 3 / 8.0f, 1e-6f);
    done(bench);
    /* Program and pitch count, duration and velocity do not, and bars must be equally long. */
    bench = bench_of(5);
    play(bench, 0, 24, 0, 60);
    play(bench, 96, 48, 0, 60);
    play(bench, 192, 24, 1, 60);
    play(bench, 288, 24, 1, 61);
    bench->bars[4].numerator = 3;
    play(bench, 384, 24, 1, 61);
    analyse(bench);
    static const uint8_t same[5] = {0, 1, 0, 0, 0};
    for (int b = 0; b < 5; b++)
        assert_int_equal(bench->analysis.bars[b].echo, same[b]);
    done(bench);
}

static void expect_sections(workbench *bench, const char *letters) {
    analyse(bench);
    for (int b = 0; letters[b]; b++) {
        int section = bench->analysis.bars[b].section;
        char heard = section == MOTET_SECTION_NONE ? '-' : (char)('A' + section);
        if (heard != letters[b]) fail_msg("bar %d is %c in %s", b, heard, letters);
    }
    done(bench);
}

static void test_sections(void **state) {
    (void)state;
    workbench *bench = bench_of(18);
    for (int b = 0; b < 18; b++)
        play_bar(bench, b, b / 4 == 2 ? 40 + b % 4 : b % 4, b % 4 == 3);
    expect_sections(bench, "AAAAAAAABBBBAAAAAA"); /* the last two bars begin A again */

    bench = bench_of(9); /* a pickup bar belongs to the first phrase */
    play(bench, 72, 24, 0, 60);
    for (int b = 1; b < 9; b++)
        play_bar(bench, b, (b - 1) % 4, 0);
    expect_sections(bench, "AAAAAAAAA");

    bench = bench_of(12); /* a silent phrase has no letter, a silent bar does not matter */
    play_bar(bench, 0, 0, 0);
    play_bar(bench, 2, 1, 0);
    play_bar(bench, 8, 0, 0);
    play_bar(bench, 10, 1, 0);
    expect_sections(bench, "AAAA----AAAA");

    bench = bench_of(44); /* nine different phrases, then the first and the last again */
    for (int b = 0; b < 36; b++)
        play_bar(bench, b, b, 0);
    for (int b = 36; b < 40; b++)
        play_bar(bench, b, b - 36, 0);
    for (int b = 40; b < 44; b++)
        play_bar(bench, b, b - 8, 0);
    expect_sections(bench, "AAAABBBBCCCCDDDDEEEEFFFFGGGGHHHH----AAAA----");
}

static void test_figures(void **state) {
    (void)state;
    workbench *bench = bench_of(4);
    play(bench, 0, 48, 0, 60);
    play(bench, 0, 48, 0, 64);
    play(bench, 0, 24, 40, 72);
    play(bench, 24, 24, 40, 79);
    play(bench, 96, 48, 0, 55);
    play(bench, 96, 24, MOTET_PROGRAM_DRUMS, 38);
    bench->bars[2].numerator = bench->bars[3].numerator = 3; /* two against two: the first won */
    bench->bars[3].start_ticks = 264;
    analyse(bench);
    motet_analysis *heard = &bench->analysis;
    assert_int_equal(heard->metre_numerator, 4);
    assert_int_equal(heard->programs[0].notes, 3);
    assert_int_equal(heard->programs[0].lowest, 55);
    assert_int_equal(heard->programs[0].highest, 64);
    assert_int_equal(heard->programs[40].notes, 2);
    assert_int_equal(heard->programs[MOTET_PROGRAM_DRUMS].notes, 1);
    assert_int_equal(heard->programs[1].notes, 0);
    assert_float_equal(heard->notes_per_bar, 3, 0);
    assert_int_equal(heard->density, motet_density_level(3));
    assert_float_equal(heard->silent_share, 0.5f, 0);
    assert_float_equal(heard->polyphony, 192 / 96.0f, 1e-6f); /* drums do not count */
    assert_float_equal(heard->out_of_key_share, 0, 0);
    assert_float_equal(heard->seconds, 336 / 24 * 0.5, 1e-9);
    assert_int_equal(heard->bars[0].notes, 4);
    assert_int_equal(heard->bars[1].notes, 2);
    done(bench);
}

static void test_out_of_key(void **state) {
    (void)state;
    workbench *bench = bench_of(4);
    for (int b = 0; b < 4; b++) {
        static const int roots[4] = {48, 53, 55, 48};
        for (int t = 0; t < 3; t++)
            play(bench, 96 * b, 72, 0, roots[b] + "\0\4\7"[t]);
    }
    play(bench, 72, 96, 0, 66); /* F# in C major: 96 of 960 ticks */
    analyse(bench);
    assert_int_equal(bench->analysis.key, 0);
    assert_float_equal(bench->analysis.out_of_key_share, 0.1f, 1e-6f);
    done(bench);
}

static void test_main_tempo(void **state) {
    (void)state;
    workbench *bench = bench_of(40);
    play(bench, 0, 24, 0, 60);
    /* a slow bar, the piece, then a long ritardando of many values */
    bench->tempos[0] = (motet_tempo){0, 60};
    bench->tempos[1] = (motet_tempo){96, 131.5};
    bench->score.tempo_count = 2;
    for (int i = 0; i < 30; i++)
        bench->tempos[bench->score.tempo_count++] = (motet_tempo){96 * 20 + 64 * i, 125 - 2.5 * i};
    analyse(bench);
    assert_float_equal(bench->analysis.tempo_bpm, 131.5, 0);
    assert_string_equal(bench->analysis.tempo_word, "allegro");
    done(bench);
    static const struct {
        double bpm;
        const char *word;
    } words[] = {{20, "grave"},       {39.9, "grave"}, {40, "largo"},    {63, "larghetto"},
                 {70, "adagio"},      {76, "andante"}, {107, "andante"}, {112, "moderato"},
                 {120, "allegro"},    {160, "vivace"}, {180, "presto"},  {200, "prestissimo"},
                 {900, "prestissimo"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_string_equal(motet_tempo_word(words[i].bpm), words[i].word);
}

/* Random notes, moved up by a fifth of an octave or so: chords and key move along, form stays. */
static void test_transposition(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        uint8_t chords[16], echoes[16], sections[16], key = 0;
        int shift = 1 + (int)(seed % 11);
        for (int pass = 0; pass < 2; pass++) {
            motet_rng rng = motet_rng_make(seed, 3);
            workbench *bench = bench_of(16);
            for (int i = 0; i < 90; i++) {
                int pitch = 36 + (int)motet_rng_below(&rng, 60) + pass * shift;
                play(bench, 6 * (int)motet_rng_below(&rng, 256), 24, 0, pitch);
            }
            analyse(bench);
            for (int b = 0; b < 16; b++) {
                const motet_bar_analysis *bar = &bench->analysis.bars[b];
                if (pass == 0) {
                    chords[b] = bar->chord, echoes[b] = bar->echo, sections[b] = bar->section;
                    continue;
                }
                int moved = chords[b] == MOTET_CHORD_NONE
                                ? MOTET_CHORD_NONE
                                : chords[b] / 12 * 12 + (chords[b] + shift) % 12;
                assert_int_equal(bar->chord, moved);
                assert_int_equal(bar->echo, echoes[b]);
                assert_int_equal(bar->section, sections[b]);
            }
            if (pass == 0)
                key = bench->analysis.key;
            else
                assert_int_equal(bench->analysis.key, key / 12 * 12 + (key + shift) % 12);
            done(bench);
        }
    }
}

static void test_refusals(void **state) {
    (void)state;
    motet_analysis analysis;
    workbench *bench = bench_of(0);
    assert_int_equal(motet_analyse(&analysis, &bench->score), MOTET_E_USAGE);
    motet_analysis_free(&analysis); /* allowed after a failure */
    bench = bench_of(1);
    play(bench, 0, 24, 129, 60);
    assert_int_equal(motet_analyse(&analysis, &bench->score), MOTET_E_USAGE);
    bench->notes[0].program = 0;
    bench->notes[0].start_ticks = -1;
    assert_int_equal(motet_analyse(&analysis, &bench->score), MOTET_E_USAGE);
    bench->notes[0].start_ticks = bench->notes[0].duration_ticks = 0;
    assert_int_equal(motet_analyse(&analysis, &bench->score), MOTET_E_USAGE);
    motet_analysis_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_chord),
        cmocka_unit_test(test_no_chord),
        cmocka_unit_test(test_held_chords_sound_on),
        cmocka_unit_test(test_echoes),
        cmocka_unit_test(test_sections),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_out_of_key),
        cmocka_unit_test(test_main_tempo),
        cmocka_unit_test(test_transposition),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("analysis", tests, NULL, NULL);
}
