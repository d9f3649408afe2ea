/* events: tables, one spelling for every score, and a sentence for every broken one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/analysis.h"
#include "data/events.h"
#include "kernels/core/rng.h"

static void test_metres_fit_bars(void **state) {
    (void)state;
    int numerator, denominator;
    motet_metre_at(0, &numerator, &denominator);
    assert_int_equal(numerator, 4);
    assert_int_equal(denominator, 4);
    for (int i = 0; i < MOTET_METRES; i++) {
        motet_metre_at(i, &numerator, &denominator);
        assert_int_equal(96 * numerator % denominator, 0);
        assert_in_range(motet_metre_ticks(numerator, denominator), 1, MOTET_MAX_BAR_TICKS);
        assert_int_equal(motet_metre_index(numerator, denominator), i); /* also: no duplicates */
    }
    assert_int_equal(motet_metre_index(11, 8), -1);
    assert_int_equal(motet_metre_index(0, 4), -1);
}

static void test_tempos(void **state) {
    (void)state;
    for (int i = 0; i < MOTET_TEMPOS; i++) {
        assert_int_equal(motet_tempo_bin(motet_tempo_bpm(i)), i);
        assert_int_equal(motet_tempo_bin((float)motet_tempo_bpm(i)), i);
    }
    assert_float_equal(motet_tempo_bpm(0), 16, 0);
    assert_float_equal(motet_tempo_bpm(48), 256, 0);
    for (double bpm = 16; bpm <= 256; bpm += 0.25) /* never more than half a bin away */
        assert_true(fabs(12 * log2(bpm / motet_tempo_bpm(motet_tempo_bin(bpm)))) <= 0.5 + 1e-9);
    assert_int_equal(motet_tempo_bin(1), 0);
    assert_int_equal(motet_tempo_bin(NAN), 0);
    assert_int_equal(motet_tempo_bin(999), 48);
}

static void test_durations(void **state) {
    (void)state;
    static const int known[][2] = {{0, 1},    {23, 24},  {24, 26},  {35, 48},
                                   {36, 52},  {47, 96},  {48, 104}, {59, 192},
                                   {60, 240}, {61, 288}, {62, 336}, {63, 384}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_int_equal(motet_duration_ticks(known[i][0]), known[i][1]);
    for (int i = 0; i < MOTET_DURATIONS; i++)
        assert_int_equal(motet_duration_index(motet_duration_ticks(i)), i);
    for (int ticks = -5; ticks < 500; ticks++) { /* the nearest, ties to the shorter */
        int best = 0;
        for (int i = 1; i < MOTET_DURATIONS; i++)
            if (abs(motet_duration_ticks(i) - ticks) < abs(motet_duration_ticks(best) - ticks))
                best = i;
        assert_int_equal(motet_duration_index(ticks), best);
    }
}

static void test_densities(void **state) {
    (void)state;
    static const int lowest[16] = {0, 1, 2, 3, 4, 5, 7, 9, 12, 16, 21, 28, 37, 49, 65, 89};
    for (int level = 0; level < MOTET_DENSITIES; level++) {
        assert_int_equal(motet_density_notes_min(level), lowest[level]);
        assert_int_equal(motet_density_level(lowest[level]), level);
        if (level < 15) {
            assert_int_equal(motet_density_notes_max(level), lowest[level + 1] - 1);
            assert_int_equal(motet_density_level(lowest[level + 1] - 1), level);
        }
    }
    assert_int_equal(motet_density_notes_max(15), INT32_MAX);
    assert_int_equal(motet_density_level(INT32_MAX), 15);
}

static void test_names(void **state) {
    (void)state;
    char name[16];
    motet_chord_name(4 * 12 + 6, name, sizeof name);
    assert_string_equal(name, "F#m7");
    motet_chord_name(MOTET_CHORD_NONE, name, sizeof name);
    assert_string_equal(name, "N.C.");
    motet_chord_name(6 * 12 + 10, name, 5); /* "Bbm7b5" cut to fit */
    assert_string_equal(name, "Bbm7");
    for (int a = 0; a < MOTET_CHORDS; a++) /* all different */
        for (int b = 0; b < a; b++) {
            char other[16];
            motet_chord_name(a, name, sizeof name);
            motet_chord_name(b, other, sizeof other);
            assert_string_not_equal(name, other);
        }
    static const int back[MOTET_ECHOES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16};
    for (int echo = 0; echo < MOTET_ECHOES; echo++)
        assert_int_equal(motet_echo_bars(echo), back[echo]);
}

/* A random score that keeps score.h's promises and nothing more: metre and tempo changes, silent
 * bars, dense bars, notes that ring past the end. */
static void random_score(motet_score *score, uint64_t seed) {
    motet_rng rng = motet_rng_make(seed, 77);
    memset(score, 0, sizeof *score);
    score->key = MOTET_NO_KEY;
    score->bar_count = 1 + (int32_t)motet_rng_below(&rng, 20);
    score->bars = calloc((size_t)score->bar_count, sizeof *score->bars);
    score->tempos = calloc((size_t)score->bar_count, sizeof *score->tempos);
    int32_t start = 0, capacity = 0;
    int numerator = 4, denominator = 4;
    double bpm = 120;
    for (int32_t b = 0; b < score->bar_count; b++) {
        if (motet_rng_below(&rng, 4) == 0)
            motet_metre_at((int)motet_rng_below(&rng, MOTET_METRES), &numerator, &denominator);
        if (b == 0 || motet_rng_below(&rng, 4) == 0) {
            bpm = 5 + 300 * motet_rng_uniform(&rng);
            score->tempos[score->tempo_count++] = (motet_tempo){start, bpm};
        }
        score->bars[b] = (motet_bar){start, (uint8_t)numerator, (uint8_t)denominator, (float)bpm};
        int32_t ticks = motet_metre_ticks(numerator, denominator);
        int32_t notes = motet_rng_below(&rng, 3) ? (int32_t)motet_rng_below(&rng, 40) : 0;
        for (int32_t i = 0; i < notes; i++) {
            if (score->note_count == capacity) {
                capacity = 2 * capacity + 16;
                score->notes = realloc(score->notes, (size_t)capacity * sizeof *score->notes);
            }
            score->notes[score->note_count++] = (motet_note){
                .start_ticks = start + (int32_t)motet_rng_below(&rng, (uint32_t)ticks),
                .duration_ticks = 1 + (int32_t)motet_rng_below(&rng, 500),
                .program = (uint8_t)(motet_rng_below(&rng, 4) ? motet_rng_below(&rng, 3)
                                                              : motet_rng_below(&rng, 129)),
                .pitch = (uint8_t)motet_rng_below(&rng, 128),
                .velocity = (uint8_t)(1 + motet_rng_below(&rng, 127))};
        }
        start += ticks;
    }
    motet_score_sort(score);
}

static void assert_same_score(const motet_score *a, const motet_score *b) {
    assert_int_equal(a->bar_count, b->bar_count);
    assert_int_equal(a->note_count, b->note_count);
    assert_int_equal(a->tempo_count, b->tempo_count);
    for (int32_t i = 0; i < a->bar_count; i++) {
        assert_int_equal(a->bars[i].start_ticks, b->bars[i].start_ticks);
        assert_int_equal(a->bars[i].numerator, b->bars[i].numerator);
        assert_int_equal(a->bars[i].denominator, b->bars[i].denominator);
        assert_true(a->bars[i].tempo_bpm == b->bars[i].tempo_bpm);
    }
    for (int32_t i = 0; i < a->note_count; i++) {
        assert_int_equal(a->notes[i].start_ticks, b->notes[i].start_ticks);
        assert_int_equal(a->notes[i].duration_ticks, b->notes[i].duration_ticks);
        assert_int_equal(a->notes[i].program, b->notes[i].program);
        assert_int_equal(a->notes[i].pitch, b->notes[i].pitch);
        assert_int_equal(a->notes[i].velocity, b->notes[i].velocity);
    }
    for (int32_t i = 0; i < a->tempo_count; i++) {
        assert_int_equal(a->tempos[i].start_ticks, b->tempos[i].start_ticks);
        assert_true(a->tempos[i].bpm == b->tempos[i].bpm);
    }
}

static void test_round_trip(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 3000; seed++) {
        motet_score score, back, raw;
        random_score(&score, seed);
        random_score(&raw, seed);
        motet_score_quantise(&score);
        /* Rounding moves no onset, and no value further than its table makes it. */
        assert_int_equal(score.note_count, raw.note_count);
        for (int32_t i = 0; i < raw.note_count; i++) {
            assert_int_equal(score.notes[i].start_ticks, raw.notes[i].start_ticks);
            assert_int_equal(score.notes[i].pitch, raw.notes[i].pitch);
            assert_true(abs(score.notes[i].velocity - raw.notes[i].velocity) <= 2);
            if (raw.notes[i].duration_ticks <= 192)
                assert_true(abs(score.notes[i].duration_ticks - raw.notes[i].duration_ticks) <= 8);
        }
        for (int32_t b = 0; b < raw.bar_count; b++)
            assert_int_equal(motet_tempo_bin(score.bars[b].tempo_bpm),
                             motet_tempo_bin(raw.bars[b].tempo_bpm));
        motet_event *events, *again, *from_raw;
        int64_t count, count_again, count_raw;
        assert_int_equal(motet_events_from_score(&events, &count, &score), MOTET_OK);
        assert_int_equal(count, score.bar_count + score.note_count + 1);
        assert_int_equal(motet_score_from_events(&back, events, count), MOTET_OK);
        assert_same_score(&score, &back);
        motet_score_quantise(&back); /* the identity on a score that came from events */
        assert_same_score(&score, &back);
        /* One spelling: byte for byte, chords, sections and echoes included. */
        assert_int_equal(motet_events_from_score(&again, &count_again, &back), MOTET_OK);
        assert_int_equal(count, count_again);
        assert_memory_equal(events, again, (size_t)count * sizeof *events);
        /* Spelling rounds by itself; quantise only keeps a note from growing into the next one. */
        assert_int_equal(motet_events_from_score(&from_raw, &count_raw, &raw), MOTET_OK);
        assert_int_equal(count, count_raw);
        for (int64_t i = 0; i < count; i++)
            if (events[i].type == MOTET_EVENT_NOTE) {
                int kept = events[i].field[MOTET_NOTE_DURATION];
                int rounded = from_raw[i].field[MOTET_NOTE_DURATION];
                assert_in_range(rounded - kept, 0, 1);
                from_raw[i].field[MOTET_NOTE_DURATION] = (uint8_t)kept;
                assert_memory_equal(&events[i], &from_raw[i], sizeof *events);
            }
        free(events);
        free(again);
        free(from_raw);
        motet_score_free(&score);
        motet_score_free(&back);
        motet_score_free(&raw);
    }
}

static void test_end_may_be_missing(void **state) {
    (void)state;
    motet_score score, back;
    random_score(&score, 5);
    motet_score_quantise(&score);
    motet_event *events;
    int64_t count;
    assert_int_equal(motet_events_from_score(&events, &count, &score), MOTET_OK);
    assert_int_equal(events[count - 1].type, MOTET_EVENT_END);
    assert_int_equal(motet_score_from_events(&back, events, count - 1), MOTET_OK);
    assert_same_score(&score, &back);
    free(events);
    motet_score_free(&score);
    motet_score_free(&back);
}

#define BAR(...)                                          \
    {                                                     \
        .type = MOTET_EVENT_BAR, .field = { __VA_ARGS__ } \
    }
#define NOTE(...)                                          \
    {                                                      \
        .type = MOTET_EVENT_NOTE, .field = { __VA_ARGS__ } \
    }
#define END \
    { .type = MOTET_EVENT_END }

static void assert_refused(const motet_event *events, int64_t count, const char *number) {
    motet_score score;
    assert_int_equal(motet_score_from_events(&score, events, count), MOTET_E_DATA);
    if (!strstr(motet_error(), number)) fail_msg("'%s' lacks '%s'", motet_error(), number);
    assert_null(score.notes); /* nothing to free */
    assert_null(score.bars);
}

static void test_grammar(void **state) {
    (void)state;
    motet_event good[] = {BAR(1, 35, 120, 8, 0, 2), NOTE(0, 0, 60, 23, 16),
                          NOTE(71, 128, 36, 0, 31), BAR(0, 48, 0, 0, 1, 0), END};
    motet_score score;
    assert_int_equal(motet_score_from_events(&score, good, 5), MOTET_OK);
    assert_int_equal(score.bar_count, 2);
    assert_int_equal(score.notes[1].start_ticks, 71);
    assert_int_equal(score.bars[1].start_ticks, 72);
    assert_int_equal(score.tempo_count, 2);
    motet_score_free(&score);

    assert_refused(NULL, 0, "event 0");
    assert_refused((motet_event[]){NOTE(0, 0, 60, 0, 0)}, 1, "event 0");
    assert_refused((motet_event[]){END}, 1, "event 0");
    assert_refused((motet_event[]){BAR(0), END, BAR(0)}, 3, "event 2");
    assert_refused((motet_event[]){BAR(0), BAR(0), {.type = MOTET_EVENT_SPAN_START}}, 3, "event 2");
    assert_refused((motet_event[]){BAR(0), {.type = 200}}, 2, "event 1");
    /* every field of a bar and of a note, one beyond its last value */
    static const uint8_t bar_sizes[6] = {MOTET_METRES,   MOTET_TEMPOS, MOTET_CHORDS,
                                         MOTET_SECTIONS, MOTET_ECHOES, MOTET_DENSITIES};
    for (int f = 0; f < MOTET_BAR_FIELDS; f++) {
        motet_event events[] = {BAR(0), BAR(0), END};
        events[1].field[f] = (uint8_t)(bar_sizes[f] - 1);
        assert_int_equal(motet_score_from_events(&score, events, 3), MOTET_OK);
        motet_score_free(&score);
        events[1].field[f] = bar_sizes[f];
        assert_refused(events, 3, "event 1");
    }
    static const uint8_t note_sizes[5] = {96, MOTET_PROGRAMS, MOTET_PITCHES, MOTET_DURATIONS,
                                          MOTET_VELOCITIES}; /* 96: the bar's length */
    for (int f = 0; f < MOTET_NOTE_FIELDS; f++) {
        motet_event events[] = {BAR(0), NOTE(0), NOTE(1), END};
        events[2].field[f] = (uint8_t)(note_sizes[f] - 1);
        if (f != MOTET_NOTE_POSITION) events[2].field[MOTET_NOTE_POSITION] = 1;
        assert_int_equal(motet_score_from_events(&score, events, 4), MOTET_OK);
        motet_score_free(&score);
        events[2].field[f] = note_sizes[f];
        assert_refused(events, 4, "event 2");
    }
    /* order: position, then program, then pitch; never twice the same */
    assert_refused((motet_event[]){BAR(0), NOTE(5, 0, 60), NOTE(4, 9, 61)}, 3, "event 2");
    assert_refused((motet_event[]){BAR(0), NOTE(5, 1, 60), NOTE(5, 0, 61)}, 3, "event 2");
    assert_refused((motet_event[]){BAR(0), NOTE(5, 1, 60), NOTE(5, 1, 59)}, 3, "event 2");
    assert_refused((motet_event[]){BAR(0), NOTE(5, 1, 60), NOTE(5, 1, 60)}, 3, "event 2");
    /* a position that only a longer bar has */
    assert_refused((motet_event[]){BAR(1), NOTE(72, 0, 60)}, 2, "event 1");
}

/* Damaged rows are refused, or they are another piece that is spelled the same again. */
static void test_damaged_events(void **state) {
    (void)state;
    int accepted = 0, refused = 0;
    for (uint64_t seed = 0; seed < 1500; seed++) {
        motet_rng rng = motet_rng_make(seed, 78);
        motet_score score, back;
        random_score(&score, seed);
        motet_event *events, *again;
        int64_t count, count_again;
        assert_int_equal(motet_events_from_score(&events, &count, &score), MOTET_OK);
        for (int hits = 1 + (int)motet_rng_below(&rng, 3); hits > 0; hits--) {
            motet_event *event = &events[motet_rng_below(&rng, (uint32_t)count)];
            uint8_t value = (uint8_t)motet_rng_below(&rng, motet_rng_below(&rng, 2) ? 8 : 256);
            uint32_t field = motet_rng_below(&rng, 7);
            if (field == 6)
                event->type = value;
            else
                event->field[field] = value;
        }
        int64_t kept = count - motet_rng_below(&rng, 2);
        motet_status status = motet_score_from_events(&back, events, kept);
        if (status == MOTET_OK) {
            accepted++;
            assert_int_equal(motet_events_from_score(&again, &count_again, &back), MOTET_OK);
            for (int64_t i = 0; i < kept; i++) {
                assert_int_equal(again[i].type, events[i].type);
                if (events[i].type == MOTET_EVENT_NOTE)
                    assert_memory_equal(again[i].field, events[i].field, MOTET_NOTE_FIELDS);
                else if (events[i].type == MOTET_EVENT_BAR)
                    assert_memory_equal(again[i].field, events[i].field, MOTET_BAR_CHORD);
            }
            free(again);
            motet_score_free(&back);
        } else {
            refused++;
            assert_int_equal(status, MOTET_E_DATA);
            assert_non_null(strstr(motet_error(), "event "));
        }
        free(events);
        motet_score_free(&score);
    }
    assert_true(accepted > 100 && refused > 100);
}

static void test_unspeakable_scores(void **state) {
    (void)state;
    motet_bar bars[2] = {{0, 4, 4, 120}, {96, 3, 4, 120}};
    motet_note notes[2] = {{0, 24, 0, 60, 64}, {100, 24, 0, 60, 64}};
    motet_tempo tempo = {0, 120};
    motet_score score = {notes, bars, &tempo, 2, 2, 1, MOTET_NO_KEY, ""};
    motet_event *events;
    int64_t count;
    assert_int_equal(motet_events_from_score(&events, &count, &score), MOTET_OK);
    free(events);
    bars[1].numerator = 11, bars[1].denominator = 8;
    assert_int_equal(motet_events_from_score(&events, &count, &score), MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "bar 2"));
    assert_non_null(strstr(motet_error(), "11/8"));
    bars[1].numerator = 3, bars[1].denominator = 4, bars[1].start_ticks = 90;
    assert_int_equal(motet_events_from_score(&events, &count, &score), MOTET_E_USAGE);
    bars[1].start_ticks = 96;
    notes[1].start_ticks = 168; /* where the last bar ends */
    assert_int_equal(motet_events_from_score(&events, &count, &score), MOTET_E_USAGE);
    notes[1].start_ticks = 0; /* twice the same */
    assert_int_equal(motet_events_from_score(&events, &count, &score), MOTET_E_USAGE);
    notes[1].program = 129;
    assert_int_equal(motet_events_from_score(&events, &count, &score), MOTET_E_USAGE);
    score.bar_count = score.note_count = 0;
    assert_int_equal(motet_events_from_score(&events, &count, &score), MOTET_E_USAGE);
    assert_null(events);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metres_fit_bars),
        cmocka_unit_test(test_tempos),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_densities),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_end_may_be_missing),
        cmocka_unit_test(test_grammar),
        cmocka_unit_test(test_damaged_events),
        cmocka_unit_test(test_unspeakable_scores),
    };
    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
