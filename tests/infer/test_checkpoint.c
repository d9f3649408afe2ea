/* Checkpoints: what is written is what is read, and damage is named and refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "data/file.h"
#include "infer/checkpoint.h"
#include "infer/quantise.h"
#include "kernels/core/rng.h"

#define ok(call) ok_((call), #call)
static void ok_(motet_status status, const char *call) {
    if (status != MOTET_OK) fail_msg("%s: %s (%s)", call, motet_error(), motet_error_where());
}

#define VOCAB_TOKENS 70

typedef struct rig {
    motet_settings settings;
    motet_weights weights; /* f32, random */
    motet_arena arena;
    char vocab[1024];
    char path[64];
} rig;

static int make_rig(void **state) {
    rig *r = calloc(1, sizeof *r);
    motet_settings *s = &r->settings;
    motet_settings_default(s);
    s->model_width = s->model_ffn = s->model_field_ffn = 64;
    s->model_layers = 2;
    s->model_heads = 2;
    s->model_text_vocab = VOCAB_TOKENS;
    s->model_text_width = s->model_text_ffn = 64;
    s->model_text_layers = 1;
    s->model_text_heads = 2;
    s->model_text_positions = 16;
    s->model_text_limit = 16;
    ok(motet_weights_layout(&r->weights, &r->arena, s, MOTET_F32, 1));
    ok(motet_arena_bind(&r->arena));
    ok(motet_weights_layout(&r->weights, &r->arena, s, MOTET_F32, 1));
    motet_rng rng = motet_rng_make(11, 0);
    for (size_t i = 0; i < r->arena.size / sizeof(float); i++)
        ((float *)(void *)r->arena.base)[i] = motet_rng_normal(&rng);
    strcpy(r->vocab, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n");
    for (int i = 4; i < VOCAB_TOKENS; i++)
        snprintf(r->vocab + strlen(r->vocab), 16, "t%d\n", i);
    strcpy(r->path, "/tmp/motet-test-XXXXXX");
    close(mkstemp(r->path));
    *state = r;
    return 0;
}

static int free_rig(void **state) {
    rig *r = *state;
    unlink(r->path);
    motet_arena_free(&r->arena);
    free(r);
    return 0;
}

static void write_rig(const rig *r, motet_dtype precision, motet_dtype text_precision) {
    ok(motet_checkpoint_write(r->path, &r->weights, &r->settings, r->vocab, precision,
                              text_precision, NULL, 0));
}

/* ---- every parameter of two sets of weights ---- */

typedef struct slots {
    motet_parameter parameters[256];
    motet_tensor tensors[256];
    int count;
} slots;

static motet_status collect(void *user, const motet_parameter *parameter, motet_tensor *slot) {
    slots *s = user;
    assert_true(s->count < 256);
    s->parameters[s->count] = *parameter;
    s->tensors[s->count++] = *slot;
    return MOTET_OK;
}

static slots *slots_of(motet_weights *weights, const motet_settings *settings) {
    slots *s = calloc(1, sizeof *s);
    ok(motet_weights_visit(weights, settings, collect, s));
    return s;
}

static void f32_comes_back_bit_for_bit(void **state) {
    rig *r = *state;
    const motet_named_text notes[] = {{"steps", "1234"}, {"empty", ""}};
    ok(motet_checkpoint_write(r->path, &r->weights, &r->settings, r->vocab, MOTET_F32, MOTET_F32,
                              notes, 2));
    motet_checkpoint c;
    ok(motet_checkpoint_open(&c, r->path));
    assert_string_equal(motet_checkpoint_note(&c, "steps"), "1234");
    assert_string_equal(motet_checkpoint_note(&c, "empty"), "");
    assert_null(motet_checkpoint_note(&c, "nothing"));
    assert_int_equal(c.settings.model_width, 64);
    assert_int_equal(c.settings.model_text_positions, 16);
    assert_int_equal(motet_wordpiece_size(c.tokenizer), VOCAB_TOKENS);
    assert_string_equal(motet_wordpiece_token(c.tokenizer, 69), "t69");

    slots *want = slots_of(&r->weights, &r->settings), *got = slots_of(&c.weights, &c.settings);
    assert_int_equal(want->count, got->count);
    for (int i = 0; i < got->count; i++) {
        assert_int_equal(got->tensors[i].dtype, MOTET_F32);
        assert_int_equal((uintptr_t)got->tensors[i].data % 64, 0);
        assert_memory_equal(got->tensors[i].data, want->tensors[i].data,
                            (size_t)motet_tensor_count(want->tensors[i]) * sizeof(float));
    }
    free(want);
    free(got);
    motet_checkpoint_close(&c);
}

static void int8_is_for_matrices_and_bf16_for_the_rest(void **state) {
    rig *r = *state;
    write_rig(r, MOTET_I8, MOTET_I8);
    motet_checkpoint c;
    ok(motet_checkpoint_open(&c, r->path));
    slots *want = slots_of(&r->weights, &r->settings), *got = slots_of(&c.weights, &c.settings);
    int quantised = 0;
    for (int i = 0; i < got->count; i++) {
        const motet_tensor t = got->tensors[i], w = want->tensors[i];
        const int64_t cols = t.dims[t.rank - 1], rows = motet_tensor_count(t) / cols;
        assert_int_equal(t.dtype, got->parameters[i].quantise ? MOTET_I8 : MOTET_BF16);
        assert_int_equal((uintptr_t)t.data % 64, 0);
        quantised += t.dtype == MOTET_I8;
        for (int64_t m = 0; m < rows; m++) {
            float row[512], exact[512], largest = 0;
            assert_true(cols <= 512);
            motet_row_to_f32(row, t, m);
            motet_row_to_f32(exact, w, m);
            for (int64_t k = 0; k < cols; k++)
                largest = fmaxf(largest, fabsf(exact[k]));
            for (int64_t k = 0; k < cols; k++) /* half a step, or half a unit of bf16 */
                assert_true(
                    fabsf(row[k] - exact[k]) <=
                    (t.dtype == MOTET_I8 ? largest * 0.50001f / 127 : fabsf(exact[k]) / 256));
        }
    }
    assert_true(quantised > 20);
    free(want);
    free(got);
    motet_checkpoint_close(&c);
}

static void precisions_of_model_and_encoder_are_independent(void **state) {
    rig *r = *state;
    write_rig(r, MOTET_BF16, MOTET_I8);
    motet_checkpoint c;
    ok(motet_checkpoint_open(&c, r->path));
    assert_int_equal(c.weights.layers[0].qkv.dtype, MOTET_BF16);
    assert_int_equal(c.weights.text.words.dtype, MOTET_I8);
    assert_int_equal(c.weights.text.norm.dtype, MOTET_BF16);
    motet_checkpoint_close(&c);
}

/* int8 read and written again is the same file; written as f32 it is what the int8 meant. */
static void stored_weights_can_be_written_again(void **state) {
    rig *r = *state;
    write_rig(r, MOTET_I8, MOTET_I8);
    unsigned char *first, *second;
    size_t first_size, second_size;
    ok(motet_file_read(&first, &first_size, r->path, 1 << 24));
    motet_checkpoint c, again;
    ok(motet_checkpoint_open(&c, r->path));
    ok(motet_checkpoint_write(r->path, &c.weights, &c.settings, r->vocab, MOTET_I8, MOTET_I8, NULL,
                              0));
    ok(motet_file_read(&second, &second_size, r->path, 1 << 24));
    assert_int_equal(first_size, second_size);
    assert_memory_equal(first, second, first_size);
    free(first);
    free(second);

    ok(motet_checkpoint_write(r->path, &c.weights, &c.settings, r->vocab, MOTET_F32, MOTET_F32,
                              NULL, 0));
    ok(motet_checkpoint_open(&again, r->path));
    assert_int_equal(again.weights.text.words.dtype, MOTET_F32);
    for (int64_t m = 0; m < VOCAB_TOKENS; m++) {
        float want[64], got[64];
        motet_row_to_f32(want, c.weights.text.words, m);
        motet_row_to_f32(got, again.weights.text.words, m);
        assert_memory_equal(want, got, sizeof want);
    }
    motet_checkpoint_close(&again);
    motet_checkpoint_close(&c);
}

/* ---- damage ---- */

typedef struct parts {
    motet_named_tensor tensors[256];
    motet_named_text texts[4];
    int count, text_count;
} parts;

static motet_tensor *part(parts *p, const char *name) {
    for (int i = 0; i < p->count; i++)
        if (!strcmp(p->tensors[i].name, name)) return &p->tensors[i].tensor;
    fail_msg("no tensor %s", name);
    return NULL;
}

static void drop_tensor(parts *p) {
    p->tensors[3] = p->tensors[--p->count];
}
static void wrong_shape(parts *p) {
    part(p, "score.0.qkv")->dims[0] -= 1;
}
static void wrong_rank(parts *p) {
    motet_tensor *t = part(p, "score.1.down");
    t->rank = 1;
    t->dims[0] *= t->dims[1];
}
static void integers(parts *p) {
    part(p, "memory.norm")->dtype = MOTET_I32;
}
static const float good_scales[64], nan_scales[64] = {[63] = (float)NAN},
                                    negative_scales[64] = {[5] = -1};
static void int8_vector(parts *p) {
    part(p, "score.state_norm")->dtype = MOTET_I8;
    part(p, "score.state_norm")->scale = good_scales;
}
static void nan_scale(parts *p) {
    part(p, "score.0.attn_out")->dtype = MOTET_I8;
    part(p, "score.0.attn_out")->scale = nan_scales;
}
static void negative_scale(parts *p) {
    part(p, "score.0.attn_out")->dtype = MOTET_I8;
    part(p, "score.0.attn_out")->scale = negative_scales;
}
static void no_format(parts *p) {
    p->texts[0].key = "another.format";
}
static void no_settings(parts *p) {
    p->texts[1].key = "another.settings";
}
static void no_vocab(parts *p) {
    p->texts[2].key = "another.vocab";
}
static void no_hash(parts *p) {
    p->text_count = 3;
}
static void later_format(parts *p) {
    p->texts[0].value = "3";
}
static void huge_width(parts *p) {
    p->texts[1].value = "[model]\nwidth = 2000000000\n";
}
static void odd_heads(parts *p) {
    p->texts[1].value = "[model]\nwidth = 64\nheads = 3\n";
}
static void unknown_setting(parts *p) {
    p->texts[1].value = "[model]\nwitdh = 64\n";
}
static void other_settings(parts *p) {
    p->texts[1].value = "[model]\nwidth = 128\n";
}
static void short_vocab(parts *p) {
    p->texts[2].value = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n";
}
static void no_unknown_token(parts *p) {
    p->texts[2].value = "a\nb\nc\n";
}

static void damaged_files_are_refused_by_name(void **state) {
    rig *r = *state;
    static const struct {
        void (*damage)(parts *);
        motet_status status;
        const char *says;
    } cases[] = {
        {drop_tensor, MOTET_E_DATA, "LayerNorm.weight"},
        {wrong_shape, MOTET_E_DATA, "'score.0.qkv' has shape [191, 64]"},
        {wrong_rank, MOTET_E_DATA, "'score.1.down' has shape [4096]"},
        {integers, MOTET_E_DATA, "'memory.norm' is stored as i32"},
        {int8_vector, MOTET_E_DATA, "'score.state_norm' is stored as i8"},
        {nan_scale, MOTET_E_DATA, "scale of row 63 of tensor 'score.0.attn_out'"},
        {negative_scale, MOTET_E_DATA, "scale of row 5 of tensor 'score.0.attn_out'"},
        {no_format, MOTET_E_DATA, "motet.format"},
        {no_settings, MOTET_E_DATA, "motet.settings"},
        {no_vocab, MOTET_E_DATA, "motet.vocab"},
        {no_hash, MOTET_E_DATA, "motet.sha256"},
        {later_format, MOTET_E_UNSUPPORTED, "format '3'"},
        {huge_width, MOTET_E_DATA, "width"},
        {odd_heads, MOTET_E_DATA, "heads"},
        {unknown_setting, MOTET_E_DATA, "witdh"},
        {other_settings, MOTET_E_DATA, "motet.vocab has 70 tokens where text_vocab is 30522"},
        {short_vocab, MOTET_E_DATA, "motet.vocab has 5 tokens where text_vocab is 70"},
        {no_unknown_token, MOTET_E_DATA, "motet.vocab"},
    };
    write_rig(r, MOTET_F32, MOTET_F32);
    motet_safetensors *good;
    ok(motet_safetensors_open(&good, r->path));
    char bad[] = "/tmp/motet-test-bad-XXXXXX";
    close(mkstemp(bad));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        parts *p = calloc(1, sizeof *p);
        p->count = motet_safetensors_count(good);
        assert_true(p->count < 256);
        for (int k = 0; k < p->count; k++) {
            p->tensors[k].name = motet_safetensors_name(good, k);
            ok(motet_safetensors_get(&p->tensors[k].tensor, good, p->tensors[k].name));
        }
        static const char *const keys[] = {"motet.format", "motet.settings", "motet.vocab"};
        for (int k = 0; k < 3; k++)
            p->texts[k] = (motet_named_text){keys[k], motet_safetensors_meta(good, keys[k])};
        p->texts[3] = (motet_named_text){MOTET_SAFETENSORS_SEAL, NULL};
        p->text_count = 4;
        cases[i].damage(p);
        ok(motet_safetensors_write(bad, p->tensors, p->count, p->texts, p->text_count));
        free(p);

        motet_checkpoint c;
        const motet_status status = motet_checkpoint_open(&c, bad);
        if (status != cases[i].status || !strstr(motet_error(), cases[i].says) ||
            !strstr(motet_error(), bad))
            fail_msg("case %zu: status %d, \"%s\"; wanted %d, \"%s\"", i, (int)status,
                     motet_error(), (int)cases[i].status, cases[i].says);
        assert_null(c.file);
        assert_null(c.tokenizer);
    }
    unlink(bad);
    motet_safetensors_close(good);
}

static void truncated_files_are_refused(void **state) {
    rig *r = *state;
    write_rig(r, MOTET_I8, MOTET_I8);
    unsigned char *bytes;
    size_t size;
    ok(motet_file_read(&bytes, &size, r->path, 1 << 24));
    for (size_t i = 0; i < 60; i++) {
        const size_t keep = i < 20 ? i : i < 40 ? size * (i - 20) / 20 : size - 1 - (i - 40);
        ok(motet_file_replace(r->path, bytes, keep));
        motet_checkpoint c;
        assert_int_equal(motet_checkpoint_open(&c, r->path), MOTET_E_DATA);
        assert_non_null(strstr(motet_error(), r->path));
    }
    free(bytes);
}

/* Whatever a flipped byte of the header does, open answers; if it accepts, every weight is there
 * to be read. */
static void flipped_bytes_never_harm(void **state) {
    rig *r = *state;
    write_rig(r, MOTET_I8, MOTET_BF16);
    unsigned char *bytes;
    size_t size;
    ok(motet_file_read(&bytes, &size, r->path, 1 << 24));
    uint64_t header;
    memcpy(&header, bytes, 8);
    motet_rng rng = motet_rng_make(5, 5);
    int refused = 0;
    double sum = 0;
    for (int i = 0; i < 300; i++) {
        const uint32_t at = motet_rng_below(&rng, (uint32_t)header + 8);
        const unsigned char old = bytes[at];
        bytes[at] ^= (unsigned char)(1 + motet_rng_below(&rng, 255));
        motet_safetensors *file;
        if (motet_safetensors_open_bytes(&file, bytes, size, "flipped") == MOTET_OK)
            motet_safetensors_close(file);
        ok(motet_file_replace(r->path, bytes, size));
        bytes[at] = old;
        motet_checkpoint c;
        const motet_status status = motet_checkpoint_open(&c, r->path);
        refused += status != MOTET_OK;
        if (status != MOTET_OK) continue;
        slots *s = slots_of(&c.weights, &c.settings);
        for (int k = 0; k < s->count; k++) {
            const motet_tensor t = s->tensors[k];
            const size_t used = (size_t)motet_tensor_count(t) * motet_dtype_bytes(t.dtype);
            sum += ((const unsigned char *)t.data)[0] + ((const unsigned char *)t.data)[used - 1];
        }
        free(s);
        motet_checkpoint_close(&c);
    }
    print_message("%d of 300 flipped headers refused\n", refused);
    assert_true(refused > 150);
    assert_true(sum >= 0);
    free(bytes);
}

static void a_missing_file_is_an_io_error(void **state) {
    (void)state;
    motet_checkpoint c;
    assert_int_equal(motet_checkpoint_open(&c, "/nowhere/at/all"), MOTET_E_IO);
}

/* ---- what the writer refuses ---- */

static void impossible_writes_leave_the_old_file(void **state) {
    rig *r = *state;
    ok(motet_file_replace(r->path, "old", 3));
    const motet_named_text note = {"motet.vocab", "mine"};
    motet_weights *w = malloc(sizeof *w);
    *w = r->weights;
    const motet_settings *s = &r->settings;

    assert_int_equal(
        motet_checkpoint_write(r->path, w, s, r->vocab, MOTET_F32, MOTET_F32, &note, 1),
        MOTET_E_USAGE);
    assert_int_equal(motet_checkpoint_write(r->path, w, s, r->vocab, MOTET_I32, MOTET_F32, NULL, 0),
                     MOTET_E_USAGE);
    assert_int_equal(motet_checkpoint_write(r->path, w, s, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n",
                                            MOTET_F32, MOTET_F32, NULL, 0),
                     MOTET_E_USAGE);
    w->text.layers[0].up.data = NULL;
    assert_int_equal(motet_checkpoint_write(r->path, w, s, r->vocab, MOTET_F32, MOTET_F32, NULL, 0),
                     MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "intermediate.dense.weight"));
    *w = r->weights;
    w->layers[1].down.dims[1] = 32;
    assert_int_equal(motet_checkpoint_write(r->path, w, s, r->vocab, MOTET_F32, MOTET_F32, NULL, 0),
                     MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "score.1.down"));
    *w = r->weights;
    ((float *)w->layers[0].qkv.data)[7 * 64 + 1] = (float)NAN;
    assert_int_equal(motet_checkpoint_write(r->path, w, s, r->vocab, MOTET_I8, MOTET_F32, NULL, 0),
                     MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), "score.0.qkv: row 7"));
    ((float *)w->layers[0].qkv.data)[7 * 64 + 1] = 0;

    unsigned char *bytes;
    size_t size;
    ok(motet_file_read(&bytes, &size, r->path, 100));
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "old", 3);
    free(bytes);
    free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32_comes_back_bit_for_bit),
        cmocka_unit_test(int8_is_for_matrices_and_bf16_for_the_rest),
        cmocka_unit_test(precisions_of_model_and_encoder_are_independent),
        cmocka_unit_test(stored_weights_can_be_written_again),
        cmocka_unit_test(damaged_files_are_refused_by_name),
        cmocka_unit_test(truncated_files_are_refused),
        cmocka_unit_test(flipped_bytes_never_harm),
        cmocka_unit_test(a_missing_file_is_an_io_error),
        cmocka_unit_test(impossible_writes_leave_the_old_file),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, make_rig, free_rig);
}
