#include "tests/infer/harness_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const char vocabulary[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nslow\nfast\nwaltz\njig\nin\nd\nc\n"
    "minor\nmajor\nfor\npiano\ncello\nflute\nand\n##s\n,\n.\nbars\n8\n";

void motet_test_engine_open(motet_engine *engine, int window, uint64_t seed) {
    motet_test_engine_open_on(engine, window, seed, motet_backend_cpu(), MOTET_F32);
}

void motet_test_engine_open_on(motet_engine *engine, int window, uint64_t seed,
                               const motet_backend *backend, motet_dtype precision) {
    motet_settings settings;
    motet_settings_default(&settings);
    settings.model_width = settings.model_text_width = 64;
    settings.model_layers = settings.model_text_layers = 2;
    settings.model_heads = settings.model_text_heads = 2;
    settings.model_ffn = 96;
    settings.model_field_ffn = 64;
    settings.model_window = window;
    settings.model_text_ffn = 128;
    settings.model_text_vocab = 24;
    settings.model_text_positions = 64;
    settings.model_text_limit = 16;
    motet_arena arena = {0};
    motet_weights *weights = calloc(1, sizeof *weights);
    assert_non_null(weights);
    motet_weights_layout(weights, &arena, &settings, MOTET_F32, 1);
    assert_int_equal(motet_arena_bind(&arena), MOTET_OK);
    motet_weights_layout(weights, &arena, &settings, MOTET_F32, 1);
    assert_int_equal(motet_weights_init(weights, &settings, seed), MOTET_OK);

    char path[64];
    snprintf(path, sizeof path, "/tmp/motet-test-model-%ld.safetensors", (long)getpid());
    motet_status status =
        motet_checkpoint_write(path, weights, &settings, vocabulary, precision, precision, NULL, 0);
    if (status == MOTET_OK) status = motet_engine_open(engine, path, backend);
    unlink(path);
    motet_arena_free(&arena);
    free(weights);
    if (status != MOTET_OK) fail_msg("%s (%s)", motet_error(), motet_error_where());
}
