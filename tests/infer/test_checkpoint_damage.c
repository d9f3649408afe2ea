/* Checkpoints: damage is named and refused. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/file.h"
#include "infer/quantise.h"
#include "kernels/core/rng.h"
#include "tests/infer/harness_checkpoint.h"

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
    checkpoint_rig *r = *state;
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
    checkpoint_write_rig(r, MOTET_F32, MOTET_F32);
    motet_safetensors *good;
    checkpoint_ok(motet_safetensors_open(&good, r->path));
    char bad[] = "/tmp/motet-test-bad-XXXXXX";
    close(mkstemp(bad));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        parts *p = calloc(1, sizeof *p);
        p->count = motet_safetensors_count(good);
        assert_true(p->count < 256);
        for (int k = 0; k < p->count; k++) {
            p->tensors[k].name = motet_safetensors_name(good, k);
            checkpoint_ok(motet_safetensors_get(&p->tensors[k].tensor, good, p->tensors[k].name));
        }
        static const char *const keys[] = {"motet.format", "motet.settings", "motet.vocab"};
        for (int k = 0; k < 3; k++)
            p->texts[k] = (motet_named_text){keys[k], motet_safetensors_meta(good, keys[k])};
        p->texts[3] = (motet_named_text){MOTET_SAFETENSORS_SEAL, NULL};
        p->text_count = 4;
        cases[i].damage(p);
        checkpoint_ok(motet_safetensors_write(bad, p->tensors, p->count, p->texts, p->text_count));
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
    checkpoint_rig *r = *state;
    checkpoint_write_rig(r, MOTET_I8, MOTET_I8);
    unsigned char *bytes;
    size_t size;
    checkpoint_ok(motet_file_read(&bytes, &size, r->path, 1 << 24));
    for (size_t i = 0; i < 60; i++) {
        const size_t keep = i < 20 ? i : i < 40 ? size * (i - 20) / 20 : size - 1 - (i - 40);
        checkpoint_ok(motet_file_replace(r->path, bytes, keep));
        motet_checkpoint c;
        assert_int_equal(motet_checkpoint_open(&c, r->path), MOTET_E_DATA);
        assert_non_null(strstr(motet_error(), r->path));
    }
    free(bytes);
}

/* Whatever a flipped byte of the header does, open answers; if it accepts, every weight is there
 * to be read. */
static void flipped_bytes_never_harm(void **state) {
    checkpoint_rig *r = *state;
    checkpoint_write_rig(r, MOTET_I8, MOTET_BF16);
    unsigned char *bytes;
    size_t size;
    checkpoint_ok(motet_file_read(&bytes, &size, r->path, 1 << 24));
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
        checkpoint_ok(motet_file_replace(r->path, bytes, size));
        bytes[at] = old;
        motet_checkpoint c;
        const motet_status status = motet_checkpoint_open(&c, r->path);
        refused += status != MOTET_OK;
        if (status != MOTET_OK) continue;
        checkpoint_slots *s = checkpoint_slots_of(&c.weights, &c.settings);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_files_are_refused_by_name),
        cmocka_unit_test(truncated_files_are_refused),
        cmocka_unit_test(flipped_bytes_never_harm),
    };
    return cmocka_run_group_tests_name("checkpoint damage", tests, checkpoint_make_rig,
                                       checkpoint_free_rig);
}
