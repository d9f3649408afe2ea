/* The text encoder against Hugging Face's BertModel (scripts/golden_text.py): a tiny random BERT
 * that is in the repository, and all-MiniLM-L6-v2 where scripts/fetch_encoder.sh has put it
 * (build/encoder, or the folder that MOTET_ENCODER names).
 */
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
#include "infer/text_encoder.h"

#define TINY "tests/golden/text_tiny.safetensors"
#define MINILM "tests/golden/text_minilm.safetensors"

#define ok(call) ok_((call), #call)
static void ok_(motet_status status, const char *call) {
    if (status != MOTET_OK) fail_msg("%s: %s (%s)", call, motet_error(), motet_error_where());
}

static motet_tensor get(const motet_safetensors *file, const char *name) {
    motet_tensor tensor = {0};
    ok(motet_safetensors_get(&tensor, file, name));
    return tensor;
}

/* One encoder laid out for some rows. */
typedef struct runner {
    motet_text_acts acts;
    motet_arenas arenas;
    const motet_text_weights *weights;
    const motet_settings *settings;
} runner;

static runner make_runner(const motet_text_weights *weights, const motet_settings *settings,
                          int32_t rows, motet_dtype dtype) {
    runner r = {.weights = weights, .settings = settings};
    motet_text_layout(&r.acts, &r.arenas, settings, rows, dtype);
    ok(motet_arenas_bind(&r.arenas));
    motet_text_layout(&r.acts, &r.arenas, settings, rows, dtype);
    return r;
}

static motet_status run(motet_tensor *states, runner *r, const int32_t *ids, const int32_t *offsets,
                        int texts) {
    return motet_text_forward(states, &r->acts, motet_backend_cpu(), r->weights, r->settings, ids,
                              offsets, texts);
}

static float value(motet_tensor tensor, int64_t i) {
    return tensor.dtype == MOTET_F32 ? ((const float *)tensor.data)[i]
                                     : motet_f32_from_bf16(((const uint16_t *)tensor.data)[i]);
}

/* ---- the tiny BERT ---- */

typedef struct tiny {
    motet_safetensors *file;
    motet_settings settings;
    motet_text_weights weights;
    motet_tensor ids, offsets, states;
    int texts;
} tiny;

static int open_tiny(void **state) {
    tiny *t = calloc(1, sizeof *t);
    motet_settings_default(&t->settings);
    t->settings.model_text_vocab = 64;
    t->settings.model_text_width = 32;
    t->settings.model_text_layers = 2;
    t->settings.model_text_heads = 2;
    t->settings.model_text_ffn = 64;
    t->settings.model_text_positions = 24;
    ok(motet_safetensors_open(&t->file, TINY));
    ok(motet_text_weights_from_hugging_face(&t->weights, &t->settings, t->file));
    t->ids = get(t->file, "ids");
    t->offsets = get(t->file, "offsets");
    t->states = get(t->file, "states");
    t->texts = (int)t->offsets.dims[0] - 1;
    *state = t;
    return 0;
}

static int close_tiny(void **state) {
    tiny *t = *state;
    motet_safetensors_close(t->file);
    free(t);
    return 0;
}

static double tiny_difference(const tiny *t, motet_dtype dtype) {
    const int32_t rows = (int32_t)t->ids.dims[0];
    runner r = make_runner(&t->weights, &t->settings, rows + 7, dtype);
    motet_tensor states;
    ok(run(&states, &r, t->ids.data, t->offsets.data, t->texts));
    assert_int_equal(states.dims[0], rows);
    assert_int_equal(states.dims[1], 32);
    double worst = 0;
    for (int64_t i = 0; i < motet_tensor_count(states); i++)
        worst = fmax(worst, fabs((double)value(states, i) - (double)value(t->states, i)));
    motet_arenas_free(&r.arenas);
    return worst;
}

static void tiny_equals_transformers(void **state) {
    const double worst = tiny_difference(*state, MOTET_F32);
    print_message("tiny BERT, f32: largest difference %.2e\n", worst);
    assert_true(worst <= 1e-4);
}

static void tiny_in_bf16_stays_near(void **state) {
    const double worst = tiny_difference(*state, MOTET_BF16);
    print_message("tiny BERT, bf16 activations: largest difference %.2e\n", worst);
    assert_true(worst <= 0.1); /* of states that reach 3; eight bits of mantissa, two layers */
    assert_true(worst > 1e-4); /* else this was not bf16 */
}

static void texts_do_not_hear_each_other(void **state) {
    const tiny *t = *state;
    const int32_t *ids = t->ids.data, *offsets = t->offsets.data;
    runner r = make_runner(&t->weights, &t->settings, 24, MOTET_F32);
    for (int s = 0; s < t->texts; s++) {
        /* Alone, between two empty texts. */
        const int32_t alone[] = {0, 0, offsets[s + 1] - offsets[s], offsets[s + 1] - offsets[s]};
        motet_tensor states;
        ok(run(&states, &r, ids + offsets[s], alone, 3));
        for (int64_t i = 0; i < motet_tensor_count(states); i++)
            assert_true(fabsf(value(states, i) - value(t->states, (int64_t)offsets[s] * 32 + i)) <=
                        1e-4f);
    }
    motet_arenas_free(&r.arenas);
}

static void impossible_texts_are_refused(void **state) {
    const tiny *t = *state;
    runner r = make_runner(&t->weights, &t->settings, 30, MOTET_F32);
    int32_t ids[31] = {0};
    motet_tensor states;
    const int32_t long_text[] = {0, 25}, many[] = {0, 20, 31}, one[] = {0, 3}, none[] = {0, 0},
                  falling[] = {0, 3, 2};
    assert_int_equal(run(&states, &r, ids, long_text, 1), MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "25 tokens"));
    assert_int_equal(run(&states, &r, ids, many, 2), MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "30 rows"));
    assert_int_equal(run(&states, &r, ids, falling, 2), MOTET_E_USAGE);
    ids[2] = 64;
    assert_int_equal(run(&states, &r, ids, one, 1), MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "token id 64"));
    ids[2] = -1;
    assert_int_equal(run(&states, &r, ids, one, 1), MOTET_E_USAGE);
    assert_int_equal(run(&states, &r, ids, none, 1), MOTET_OK);
    assert_int_equal(states.dims[0], 0);
    ids[2] = 63;
    assert_int_equal(run(&states, &r, ids, one, 1), MOTET_OK);
    motet_arenas_free(&r.arenas);
}

static void another_encoder_is_refused_by_name(void **state) {
    const tiny *t = *state;
    motet_text_weights weights;
    motet_settings settings = t->settings;
    settings.model_text_ffn = 96;
    assert_int_equal(motet_text_weights_from_hugging_face(&weights, &settings, t->file),
                     MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), "intermediate.dense.weight"));
    assert_non_null(strstr(motet_error(), "[64, 32]"));
    settings = t->settings;
    settings.model_text_layers = 3;
    assert_int_equal(motet_text_weights_from_hugging_face(&weights, &settings, t->file),
                     MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), "encoder.layer.2."));
    settings.model_text_layers = 1;
    assert_int_equal(motet_text_weights_from_hugging_face(&weights, &settings, t->file),
                     MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), "more layers than the 1"));
}

/* Older files: no prefix, and norms whose weight and bias are called gamma and beta. */
static void older_names_are_understood(void **state) {
    const tiny *t = *state;
    motet_named_tensor tensors[64];
    char names[64][128];
    const int count = motet_safetensors_count(t->file);
    assert_true(count <= 64);
    for (int i = 0; i < count; i++) {
        const char *name = motet_safetensors_name(t->file, i);
        const char *plain = strncmp(name, "bert.", 5) ? name : name + 5;
        const char *norm = strstr(plain, "LayerNorm.");
        if (norm)
            snprintf(names[i], sizeof names[i], "%.*sLayerNorm.%s", (int)(norm - plain), plain,
                     strstr(norm, "weight") ? "gamma" : "beta");
        else
            snprintf(names[i], sizeof names[i], "%s", plain);
        tensors[i] = (motet_named_tensor){names[i], get(t->file, name)};
    }
    char path[] = "/tmp/motet-test-XXXXXX";
    close(mkstemp(path));
    ok(motet_safetensors_write(path, tensors, count, NULL, 0));
    tiny older = *t;
    ok(motet_safetensors_open(&older.file, path));
    unlink(path);
    memset(&older.weights, 0, sizeof older.weights);
    ok(motet_text_weights_from_hugging_face(&older.weights, &older.settings, older.file));
    assert_true(tiny_difference(&older, MOTET_F32) <= 1e-4);
    motet_safetensors_close(older.file);
}

/* ---- all-MiniLM-L6-v2 ---- */

typedef struct minilm {
    motet_safetensors *encoder, *golden;
    motet_settings settings;
    motet_text_weights weights;
    char *vocab;
    motet_wordpiece *tokenizer;
} minilm;

static int open_minilm(void **state) {
    const char *folder = getenv("MOTET_ENCODER");
    char path[4096];
    snprintf(path, sizeof path, "%s/model.safetensors", folder ? folder : "build/encoder");
    *state = NULL;
    if (access(path, R_OK) != 0) {
        print_message("not run: no encoder (scripts/fetch_encoder.sh gets it)\n");
        return 0;
    }
    minilm *m = calloc(1, sizeof *m);
    motet_settings_default(&m->settings);
    ok(motet_safetensors_open(&m->encoder, path));
    ok(motet_text_weights_from_hugging_face(&m->weights, &m->settings, m->encoder));
    ok(motet_safetensors_open(&m->golden, MINILM));
    snprintf(path, sizeof path, "%s/vocab.txt", folder ? folder : "build/encoder");
    unsigned char *bytes;
    size_t size;
    ok(motet_file_read(&bytes, &size, path, 1 << 24));
    m->vocab = (char *)bytes;
    ok(motet_wordpiece_make(&m->tokenizer, m->vocab, size, path));
    *state = m;
    return 0;
}

static int close_minilm(void **state) {
    minilm *m = *state;
    if (!m) return 0;
    motet_wordpiece_free(m->tokenizer);
    free(m->vocab);
    motet_safetensors_close(m->golden);
    motet_safetensors_close(m->encoder);
    free(m);
    return 0;
}

static void minilm_tokens_equal_transformers(void **state) {
    const minilm *m = *state;
    if (!m) skip();
    const motet_tensor ids = get(m->golden, "ids"), offsets = get(m->golden, "offsets");
    const int32_t *want = ids.data, *at = offsets.data;
    const char *prompt = motet_safetensors_meta(m->golden, "prompts");
    assert_non_null(prompt);
    for (int s = 0; s + 1 < offsets.dims[0]; s++) {
        const size_t length = strcspn(prompt, "\n");
        int32_t got[512], count;
        ok(motet_wordpiece_encode(got, &count, 512, NULL, m->tokenizer, prompt, length));
        assert_int_equal(count, at[s + 1] - at[s]);
        assert_memory_equal(got, want + at[s], (size_t)count * sizeof *got);
        prompt += length + (prompt[length] == '\n');
    }
    assert_int_equal(*prompt, 0);
}

static void minilm_equals_transformers(void **state) {
    const minilm *m = *state;
    if (!m) skip();
    const motet_tensor ids = get(m->golden, "ids"), offsets = get(m->golden, "offsets");
    const motet_tensor columns = get(m->golden, "first_columns"), norms = get(m->golden, "norms");
    const int32_t rows = (int32_t)ids.dims[0];
    runner r = make_runner(&m->weights, &m->settings, rows, MOTET_F32);
    motet_tensor states;
    ok(run(&states, &r, ids.data, offsets.data, (int)offsets.dims[0] - 1));
    double worst = 0, worst_norm = 0;
    for (int32_t i = 0; i < rows; i++) {
        double norm = 0;
        for (int c = 0; c < 384; c++) {
            const double x = (double)value(states, i * 384 + c);
            norm += x * x;
            if (c < 8) worst = fmax(worst, fabs(x - (double)value(columns, i * 8 + c)));
        }
        worst_norm = fmax(worst_norm, fabs(sqrt(norm) - (double)value(norms, i)));
    }
    print_message("MiniLM, f32, %d rows: largest difference %.2e, of norms %.2e\n", rows, worst,
                  worst_norm);
    assert_true(worst <= 1e-4);
    assert_true(worst_norm <= 1e-4);
    motet_arenas_free(&r.arenas);
}

static void write_prompt(char *buffer, size_t size, int i) {
    static const char *const styles[] = {
        "a slow waltz",  "cheerful bluegrass", "dark ambient drone",
        "bossa nova",    "baroque fugue",      "heavy metal riff",
        "lullaby",       "8-bit chiptune",     "jazz ballad",
        "military march"};
    static const char *const rests[] = {
        "in D minor for piano and cello",
        "at 140 bpm",
        "in 7/8",
        "with flute, harp and strings, 16 bars",
        "",
        "that starts calm and ends in a storm of drums",
        "in B-flat major, dense and loud",
        "for solo guitar",
        "in the style of an old film, melancholy, andante",
        "with a walking bass, brushed drums and a muted trumpet; 32 bars in F"};
    snprintf(buffer, size, "%s %s", styles[i % 10], rests[i / 10]);
}

/* Cosine of the mean-pooled states of two encoders on a text. */
static double pooled_cosine(motet_tensor a, motet_tensor b) {
    double ab = 0, aa = 0, bb = 0;
    for (int64_t c = 0; c < 384; c++) {
        double x = 0, y = 0;
        for (int64_t i = 0; i < a.dims[0]; i++) {
            x += (double)value(a, i * 384 + c);
            y += (double)value(b, i * 384 + c);
        }
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    return ab / sqrt(aa * bb);
}

static void compare_encoders(const minilm *m, const motet_text_weights *weights, motet_dtype dtype,
                             const char *name, double lowest_cosine) {
    runner full = make_runner(&m->weights, &m->settings, 96, MOTET_F32);
    runner small = make_runner(weights, &m->settings, 96, dtype);
    double worst = 0, sum = 0, cosine = 1, cosines = 0;
    int64_t count = 0;
    for (int i = 0; i < 100; i++) {
        char prompt[200];
        write_prompt(prompt, sizeof prompt, i);
        int32_t ids[96], offsets[2] = {0};
        ok(motet_wordpiece_encode(ids, &offsets[1], 96, NULL, m->tokenizer, prompt,
                                  strlen(prompt)));
        motet_tensor a, b;
        ok(run(&a, &full, ids, offsets, 1));
        ok(run(&b, &small, ids, offsets, 1));
        for (int64_t k = 0; k < motet_tensor_count(a); k++, count++) {
            const double difference = fabs((double)value(a, k) - (double)value(b, k));
            worst = fmax(worst, difference);
            sum += difference;
        }
        const double c = pooled_cosine(a, b);
        cosine = fmin(cosine, c);
        cosines += c;
    }
    print_message("MiniLM, %s, 100 prompts: largest difference of states %.3f, mean %.4f; "
                  "cosine of pooled states: least %.5f, mean %.5f\n",
                  name, worst, sum / (double)count, cosine, cosines / 100);
    assert_true(cosine >= lowest_cosine);
    assert_true(sum > 0); /* else nothing was stored in fewer bits */
    motet_arenas_free(&full.arenas);
    motet_arenas_free(&small.arenas);
}

/* The encoder as it is shipped: inside a checkpoint, int8. */
static void minilm_in_int8_keeps_its_meaning(void **state) {
    const minilm *m = *state;
    if (!m) skip();
    motet_settings settings = m->settings;
    settings.model_width = settings.model_ffn = settings.model_field_ffn = 16;
    settings.model_layers = settings.model_heads = 1;
    motet_weights *weights = calloc(1, sizeof *weights);
    motet_arena arena = {0};
    ok(motet_weights_layout(weights, &arena, &settings, MOTET_F32, 0));
    ok(motet_arena_bind(&arena));
    ok(motet_weights_layout(weights, &arena, &settings, MOTET_F32, 0));
    weights->text = m->weights;

    char path[] = "/tmp/motet-test-XXXXXX";
    close(mkstemp(path));
    ok(motet_checkpoint_write(path, weights, &settings, m->vocab, MOTET_F32, MOTET_I8, NULL, 0));
    motet_checkpoint checkpoint;
    ok(motet_checkpoint_open(&checkpoint, path));
    unlink(path);
    assert_int_equal(checkpoint.weights.text.words.dtype, MOTET_I8);
    assert_int_equal(checkpoint.weights.text.layers[5].down.dtype, MOTET_I8);
    compare_encoders(m, &checkpoint.weights.text, MOTET_F32, "int8 weights, f32 activations",
                     0.995);
    compare_encoders(m, &checkpoint.weights.text, MOTET_BF16, "int8 weights, bf16 activations",
                     0.995);
    motet_checkpoint_close(&checkpoint);
    motet_arena_free(&arena);
    free(weights);
}

static void minilm_in_bf16_keeps_its_meaning(void **state) {
    const minilm *m = *state;
    if (!m) skip();
    compare_encoders(m, &m->weights, MOTET_BF16, "f32 weights, bf16 activations", 0.999);
}

int main(void) {
    const struct CMUnitTest tiny_tests[] = {
        cmocka_unit_test(tiny_equals_transformers),
        cmocka_unit_test(tiny_in_bf16_stays_near),
        cmocka_unit_test(texts_do_not_hear_each_other),
        cmocka_unit_test(impossible_texts_are_refused),
        cmocka_unit_test(another_encoder_is_refused_by_name),
        cmocka_unit_test(older_names_are_understood),
    };
    const struct CMUnitTest minilm_tests[] = {
        cmocka_unit_test(minilm_tokens_equal_transformers),
        cmocka_unit_test(minilm_equals_transformers),
        cmocka_unit_test(minilm_in_int8_keeps_its_meaning),
        cmocka_unit_test(minilm_in_bf16_keeps_its_meaning),
    };
    return cmocka_run_group_tests_name("text encoder", tiny_tests, open_tiny, close_tiny) +
           cmocka_run_group_tests_name("MiniLM", minilm_tests, open_minilm, close_minilm);
}
