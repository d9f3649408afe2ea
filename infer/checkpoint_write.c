#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "infer/checkpoint.h"
#include "infer/quantise.h"

#define OWN_NOTES 4 /* motet.format, motet.sha256, motet.settings, motet.vocab */

/* Tensors as the file will hold them. What had to be converted is owned by data and scale. */
typedef struct export {
    motet_named_tensor *tensors;
    struct owned {
        char name[96];
        void *data;
        float *scale;
    } * owned;
    int count, capacity;
    motet_dtype precision, text_precision;
}
export;

static motet_status count_parameter(void *user, const motet_parameter *parameter,
                                    motet_tensor *slot) {
    export *e = user;
    int same = slot->data && slot->rank == parameter->rank && slot->dtype != MOTET_I32;
    for (int i = 0; same && i < slot->rank; i++)
        same = slot->dims[i] == parameter->dims[i];
    if (!same)
        return MOTET_FAIL(MOTET_E_USAGE, "the model's '%s' is %s", parameter->name,
                          slot->data ? "of another shape than the settings say" : "not there");
    e->capacity++;
    return MOTET_OK;
}

/* f32 or bf16 of any tensor, row by row. */
static motet_status convert(void *out, motet_dtype dtype, motet_tensor from) {
    const int64_t cols = from.dims[from.rank - 1], rows = from.rank == 2 ? from.dims[0] : 1;
    float *row = malloc((size_t)cols * sizeof *row);
    if (!row) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a row of %lld", (long long)cols);
    for (int64_t m = 0; m < rows; m++) {
        motet_row_to_f32(row, from, m);
        if (dtype == MOTET_F32) {
            memcpy((float *)out + m * cols, row, (size_t)cols * sizeof *row);
            continue;
        }
        for (int64_t k = 0; k < cols; k++)
            ((uint16_t *)out)[m * cols + k] = motet_bf16_from_f32(row[k]);
    }
    free(row);
    return MOTET_OK;
}

static motet_status add_parameter(void *user, const motet_parameter *parameter,
                                  motet_tensor *slot) {
    export *e = user;
    struct owned *owned = &e->owned[e->count];
    motet_tensor tensor = *slot;
    motet_dtype dtype = parameter->update == MOTET_UPDATE_TEXT ? e->text_precision : e->precision;
    if (dtype == MOTET_I8 && !parameter->quantise) dtype = MOTET_BF16;

    snprintf(owned->name, sizeof owned->name, "%s", parameter->name);
    if (dtype != slot->dtype) {
        const size_t count = (size_t)motet_tensor_count(*slot);
        owned->data = malloc(count * motet_dtype_bytes(dtype));
        if (dtype == MOTET_I8) owned->scale = malloc((size_t)slot->dims[0] * sizeof(float));
        tensor.data = owned->data;
        tensor.scale = owned->scale;
        tensor.dtype = dtype;
    }
    e->tensors[e->count++] = (motet_named_tensor){.name = owned->name, .tensor = tensor};
    if (dtype == slot->dtype) return MOTET_OK;
    if (!owned->data || (dtype == MOTET_I8 && !owned->scale))
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory to convert '%s'", parameter->name);
    if (dtype != MOTET_I8) return convert(owned->data, dtype, *slot);
    const motet_status status = motet_quantise_matrix(owned->data, owned->scale, *slot);
    return status == MOTET_OK ? status : motet_fail_prefix(status, "%s", parameter->name);
}

static void free_export(export *e) {
    for (int i = 0; i < e->count; i++) {
        free(e->owned[i].data);
        free(e->owned[i].scale);
    }
    free(e->owned);
    free(e->tensors);
}

static motet_status check_vocab(const motet_settings *settings, const char *vocab) {
    motet_wordpiece *tokenizer;
    MOTET_TRY(motet_wordpiece_make(&tokenizer, vocab, strlen(vocab), "vocabulary"));
    const int32_t size = motet_wordpiece_size(tokenizer);
    motet_wordpiece_free(tokenizer);
    if (size != settings->model_text_vocab)
        return MOTET_FAIL(MOTET_E_USAGE, "the vocabulary has %d tokens where text_vocab is %d",
                          size, settings->model_text_vocab);
    return MOTET_OK;
}

static motet_status write_file(const char *path, const export *e, const motet_settings *settings,
                               const char *vocab, const motet_named_text *notes, int note_count) {
    char *text = motet_settings_text(settings, 1);
    motet_named_text *meta = calloc((size_t)note_count + OWN_NOTES, sizeof *meta);
    motet_status status = MOTET_OK;
    if (!text || !meta) {
        status = MOTET_FAIL(MOTET_E_MEMORY, "no memory for the metadata of '%s'", path);
    } else {
        meta[0] = (motet_named_text){"motet.format", MOTET_CHECKPOINT_FORMAT};
        meta[1] = (motet_named_text){MOTET_SAFETENSORS_SEAL, NULL};
        meta[2] = (motet_named_text){"motet.settings", text};
        meta[3] = (motet_named_text){"motet.vocab", vocab};
        for (int i = 0; i < note_count; i++)
            meta[OWN_NOTES + i] = notes[i];
        status = motet_safetensors_write(path, e->tensors, e->count, meta, note_count + OWN_NOTES);
    }
    free(meta);
    free(text);
    return status;
}

motet_status motet_checkpoint_write(const char *path, const motet_weights *weights,
                                    const motet_settings *settings, const char *vocab,
                                    motet_dtype precision, motet_dtype text_precision,
                                    const motet_named_text *notes, int note_count) {
    if (precision > MOTET_I8 || text_precision > MOTET_I8)
        return MOTET_FAIL(MOTET_E_USAGE, "a model is written in f32, bf16 or i8, not %s",
                          motet_dtype_name(precision > MOTET_I8 ? precision : text_precision));
    for (int i = 0; i < note_count; i++)
        if (!strncmp(notes[i].key, "motet.", 6))
            return MOTET_FAIL(MOTET_E_USAGE, "the note '%.60s' has a name that motet keeps",
                              notes[i].key);
    MOTET_TRY(motet_settings_check(settings));
    MOTET_TRY(check_vocab(settings, vocab));

    motet_weights *visited = (motet_weights *)weights; /* the visitors below only read it */
    export e = {.precision = precision, .text_precision = text_precision};
    MOTET_TRY(motet_weights_visit(visited, settings, count_parameter, &e));
    e.tensors = calloc((size_t)e.capacity, sizeof *e.tensors);
    e.owned = calloc((size_t)e.capacity, sizeof *e.owned);
    motet_status status =
        e.tensors && e.owned
            ? motet_weights_visit(visited, settings, add_parameter, &e)
            : MOTET_FAIL(MOTET_E_MEMORY, "no memory for a table of %d tensors", e.capacity);
    if (status == MOTET_OK) status = write_file(path, &e, settings, vocab, notes, note_count);
    free_export(&e);
    return status;
}
