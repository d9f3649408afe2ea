#include "tests/train/harness_batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/core/rng.h"

static const char vocabulary[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nslow\nfast\nwaltz\njig\nin\nd\nc\n"
    "minor\nmajor\nfor\npiano\ncello\nflute\nand\n##s\n,\n.\nbars\n8\n";

int32_t motet_test_events(motet_event *events, int32_t bars, uint64_t seed) {
    motet_rng rng = motet_rng_make(seed, 99);
    static const uint8_t programs[] = {0, 42, 73, MOTET_PROGRAM_DRUMS};
    int32_t count = 0;
    int metre = motet_metre_index(3, 4);
    for (int32_t bar = 0; bar < bars; bar++) {
        int notes = 1 + (int)motet_rng_below(&rng, 6);
        events[count++] = (motet_event){
            .type = MOTET_EVENT_BAR,
            .field = {(uint8_t)metre, 30, (uint8_t)motet_rng_below(&rng, MOTET_CHORDS),
                      MOTET_SECTION_NONE, (uint8_t)motet_rng_below(&rng, MOTET_ECHOES),
                      (uint8_t)motet_density_level(notes)}};
        for (int i = 0; i < notes; i++)
            events[count++] =
                (motet_event){.type = MOTET_EVENT_NOTE,
                              .field = {(uint8_t)(i * 12), programs[motet_rng_below(&rng, 4)],
                                        (uint8_t)(40 + motet_rng_below(&rng, 40)),
                                        (uint8_t)motet_rng_below(&rng, 24),
                                        (uint8_t)motet_rng_below(&rng, MOTET_VELOCITIES)}};
    }
    events[count++] = (motet_event){.type = MOTET_EVENT_END};
    return count;
}

static void fill_settings(motet_settings *settings, int32_t rows) {
    motet_settings_default(settings);
    settings->model_width = settings->model_text_width = 64;
    settings->model_layers = settings->model_text_layers = 2;
    settings->model_heads = settings->model_text_heads = 2;
    settings->model_ffn = 96;
    settings->model_field_ffn = 64;
    settings->model_text_ffn = 128;
    settings->model_text_vocab = 24;
    settings->model_text_positions = 128;
    settings->model_text_limit = 16;
    settings->train_rows = rows;
}

void motet_test_batch_make(motet_test_batch *test, int32_t windows, int32_t window_events,
                           uint64_t seed) {
    static const char *const captions[] = {"a slow waltz in d minor for piano and cello.",
                                           "fast jig", "", "8 bars, flute"};
    memset(test, 0, sizeof *test);
    assert_true(windows <= 8);
    fill_settings(&test->settings, windows * window_events);
    assert_int_equal(
        motet_wordpiece_make(&test->tokenizer, vocabulary, sizeof vocabulary - 1, "test"),
        MOTET_OK);
    motet_batch *batch = &test->batch;
    batch->windows = calloc((size_t)windows, sizeof *batch->windows);
    batch->events = calloc((size_t)windows * (size_t)window_events * 26, sizeof *batch->events);
    assert_non_null(batch->windows);
    assert_non_null(batch->events);
    motet_event *next = batch->events;
    for (int32_t i = 0; i < windows; i++) {
        int32_t bars = window_events / 4 + 2;
        int32_t count = motet_test_events(next, bars, seed + (uint64_t)i);
        int32_t used = count < window_events ? count : window_events;
        test->pieces[i] = (motet_piece){.tempo_bpm = 90,
                                        .bars = (uint32_t)bars,
                                        .notes = (uint32_t)(count - bars - 1),
                                        .key = (uint8_t)(i * 5 % 24),
                                        .metre = (uint8_t)motet_metre_index(3, 4),
                                        .density = 3};
        test->pieces[i].programs[0] |= 1;
        test->pieces[i].programs[MOTET_PROGRAM_DRUMS >> 3] |= 1;
        batch->windows[i] = (motet_window){
            .piece = &test->pieces[i], .events = next, .count = used, .first_bar = 0};
        strcpy(batch->windows[i].caption, captions[i % 4]);
        batch->rows += used;
        next += count;
    }
    batch->window_count = windows;
    motet_model_input_layout(&test->input, &test->arena, &test->settings);
    assert_int_equal(motet_arena_bind(&test->arena), MOTET_OK);
    motet_model_input_layout(&test->input, &test->arena, &test->settings);
    assert_int_equal(
        motet_model_input_build(&test->input, batch, test->tokenizer, &test->settings, 0, 0, 1),
        MOTET_OK);
}

void motet_test_batch_free(motet_test_batch *test) {
    motet_wordpiece_free(test->tokenizer);
    free(test->batch.windows);
    free(test->batch.events);
    motet_arena_free(&test->arena);
}
