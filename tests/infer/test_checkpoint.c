/* Checkpoints: what is written is what is read. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/file.h"
#include "infer/quantise.h"
#include "kernels/core/rng.h"
#include "tests/infer/harness_checkpoint.h"

static void f32_comes_back_bit_for_bit(void **state) {
    checkpoint_rig *r = *state;
    const motet_named_text notes[] = {{"steps", "1234"}, {"empty", ""}};
    checkpoint_ok(motet_checkpoint_write(r->path, &r->weights, &r->settings, r->vocab, MOTET_F32,
                                         MOTET_F32, notes, 2));
    motet_checkpoint c;
    checkpoint_ok(motet_checkpoint_open(&c, r->path));
    assert_string_equal(motet_checkpoint_note(&c, "steps"), "1234");
    assert_string_equal(motet_checkpoint_note(&c, "empty"), "");
    assert_null(motet_checkpoint_note(&c, "nothing"));
    assert_int_equal(c.settings.model_width, 64);
    assert_int_equal(c.settings.model_text_positions, 16);
    assert_int_equal(motet_wordpiece_size(c.tokenizer), CHECKPOINT_TOKENS);
    assert_string_equal(motet_wordpiece_token(c.tokenizer, 69), "t69");

    checkpoint_slots *want = checkpoint_slots_of(&r->weights, &r->settings),
                     *got = checkpoint_slots_of(&c.weights, &c.settings);
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
    checkpoint_rig *r = *state;
    checkpoint_write_rig(r, MOTET_I8, MOTET_I8);
    motet_checkpoint c;
    checkpoint_ok(motet_checkpoint_open(&c, r->path));
    checkpoint_slots *want = checkpoint_slots_of(&r->weights, &r->settings),
                     *got = checkpoint_slots_of(&c.weights, &c.settings);
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
    checkpoint_rig *r = *state;
    checkpoint_write_rig(r, MOTET_BF16, MOTET_I8);
    motet_checkpoint c;
    checkpoint_ok(motet_checkpoint_open(&c, r->path));
    assert_int_equal(c.weights.layers[0].qkv.dtype, MOTET_BF16);
    assert_int_equal(c.weights.text.words.dtype, MOTET_I8);
    assert_int_equal(c.weights.text.norm.dtype, MOTET_BF16);
    motet_checkpoint_close(&c);
}

/* int8 read and written again is the same file; written as f32 it is what the int8 meant. */
static void stored_weights_can_be_written_again(void **state) {
    checkpoint_rig *r = *state;
    checkpoint_write_rig(r, MOTET_I8, MOTET_I8);
    unsigned char *first, *second;
    size_t first_size, second_size;
    checkpoint_ok(motet_file_read(&first, &first_size, r->path, 1 << 24));
    motet_checkpoint c, again;
    checkpoint_ok(motet_checkpoint_open(&c, r->path));
    checkpoint_ok(motet_checkpoint_write(r->path, &c.weights, &c.settings, r->vocab, MOTET_I8,
                                         MOTET_I8, NULL, 0));
    checkpoint_ok(motet_file_read(&second, &second_size, r->path, 1 << 24));
    assert_int_equal(first_size, second_size);
    assert_memory_equal(first, second, first_size);
    free(first);
    free(second);

    checkpoint_ok(motet_checkpoint_write(r->path, &c.weights, &c.settings, r->vocab, MOTET_F32,
                                         MOTET_F32, NULL, 0));
    checkpoint_ok(motet_checkpoint_open(&again, r->path));
    assert_int_equal(again.weights.text.words.dtype, MOTET_F32);
    for (int64_t m = 0; m < CHECKPOINT_TOKENS; m++) {
        float want[64], got[64];
        motet_row_to_f32(want, c.weights.text.words, m);
        motet_row_to_f32(got, again.weights.text.words, m);
        assert_memory_equal(want, got, sizeof want);
    }
    motet_checkpoint_close(&again);
    motet_checkpoint_close(&c);
}

static void a_missing_file_is_an_io_error(void **state) {
    (void)state;
    motet_checkpoint c;
    assert_int_equal(motet_checkpoint_open(&c, "/nowhere/at/all"), MOTET_E_IO);
}

/* ---- what the writer refuses ---- */

static void impossible_writes_leave_the_old_file(void **state) {
    checkpoint_rig *r = *state;
    checkpoint_ok(motet_file_replace(r->path, "old", 3));
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
    checkpoint_ok(motet_file_read(&bytes, &size, r->path, 100));
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
        cmocka_unit_test(a_missing_file_is_an_io_error),
        cmocka_unit_test(impossible_writes_leave_the_old_file),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, checkpoint_make_rig,
                                       checkpoint_free_rig);
}
