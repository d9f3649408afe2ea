#include "tests/infer/harness_checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/core/rng.h"

void checkpoint_ok_(motet_status status, const char *call) {
    if (status != MOTET_OK) fail_msg("%s: %s (%s)", call, motet_error(), motet_error_where());
}

int checkpoint_make_rig(void **state) {
    checkpoint_rig *r = calloc(1, sizeof *r);
    motet_settings *s = &r->settings;
    motet_settings_default(s);
    s->model_width = s->model_ffn = s->model_field_ffn = 64;
    s->model_layers = 2;
    s->model_heads = 2;
    s->model_text_vocab = CHECKPOINT_TOKENS;
    s->model_text_width = s->model_text_ffn = 64;
    s->model_text_layers = 1;
    s->model_text_heads = 2;
    s->model_text_positions = 16;
    s->model_text_limit = 16;
    checkpoint_ok(motet_weights_layout(&r->weights, &r->arena, s, MOTET_F32, 1));
    checkpoint_ok(motet_arena_bind(&r->arena));
    checkpoint_ok(motet_weights_layout(&r->weights, &r->arena, s, MOTET_F32, 1));
    motet_rng rng = motet_rng_make(11, 0);
    for (size_t i = 0; i < r->arena.size / sizeof(float); i++)
        ((float *)(void *)r->arena.base)[i] = motet_rng_normal(&rng);
    strcpy(r->vocab, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n");
    for (int i = 4; i < CHECKPOINT_TOKENS; i++)
        snprintf(r->vocab + strlen(r->vocab), 16, "t%d\n", i);
    strcpy(r->path, "/tmp/motet-test-XXXXXX");
    close(mkstemp(r->path));
    *state = r;
    return 0;
}

int checkpoint_free_rig(void **state) {
    checkpoint_rig *r = *state;
    unlink(r->path);
    motet_arena_free(&r->arena);
    free(r);
    return 0;
}

void checkpoint_write_rig(const checkpoint_rig *r, motet_dtype precision,
                          motet_dtype text_precision) {
    checkpoint_ok(motet_checkpoint_write(r->path, &r->weights, &r->settings, r->vocab, precision,
                                         text_precision, NULL, 0));
}

static motet_status collect(void *user, const motet_parameter *parameter, motet_tensor *slot) {
    checkpoint_slots *s = user;
    assert_true(s->count < 256);
    s->parameters[s->count] = *parameter;
    s->tensors[s->count++] = *slot;
    return MOTET_OK;
}

checkpoint_slots *checkpoint_slots_of(motet_weights *weights, const motet_settings *settings) {
    checkpoint_slots *s = calloc(1, sizeof *s);
    checkpoint_ok(motet_weights_visit(weights, settings, collect, s));
    return s;
}
