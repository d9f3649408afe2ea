#include "infer/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a visit of the parameters carries; path is for messages. */
typedef struct binding {
    const motet_safetensors *file;
    const char *path;
} binding;

static motet_status check_shape(const motet_tensor *tensor, const motet_parameter *parameter,
                                const char *name) {
    int same = tensor->rank == parameter->rank;
    for (int i = 0; same && i < tensor->rank; i++)
        same = tensor->dims[i] == parameter->dims[i];
    if (same) return MOTET_OK;

    char shapes[2][48];
    const int ranks[] = {tensor->rank, parameter->rank};
    const int64_t *const dims[] = {tensor->dims, parameter->dims};
    for (int i = 0; i < 2; i++) {
        if (ranks[i] == 1)
            snprintf(shapes[i], sizeof shapes[i], "[%lld]", (long long)dims[i][0]);
        else if (ranks[i] == 2)
            snprintf(shapes[i], sizeof shapes[i], "[%lld, %lld]", (long long)dims[i][0],
                     (long long)dims[i][1]);
        else
            snprintf(shapes[i], sizeof shapes[i], "rank %d", ranks[i]);
    }
    return MOTET_FAIL(MOTET_E_DATA, "tensor '%.95s' has shape %s where the settings ask for %s",
                      name, shapes[0], shapes[1]);
}

static motet_status check_tensor(const motet_tensor *tensor, const motet_parameter *parameter,
                                 const char *name) {
    MOTET_TRY(check_shape(tensor, parameter, name));
    if (tensor->dtype == MOTET_F32 || tensor->dtype == MOTET_BF16) return MOTET_OK;
    if (tensor->dtype != MOTET_I8 || tensor->rank != 2 || !parameter->quantise)
        return MOTET_FAIL(MOTET_E_DATA, "tensor '%.95s' is stored as %s, which it must not be",
                          name, motet_dtype_name(tensor->dtype));
    for (int64_t m = 0; m < tensor->dims[0]; m++)
        if (!isfinite(tensor->scale[m]) || tensor->scale[m] < 0)
            return MOTET_FAIL(MOTET_E_DATA, "the scale of row %lld of tensor '%.95s' is %g",
                              (long long)m, name, (double)tensor->scale[m]);
    return MOTET_OK;
}

static motet_status bind_parameter(void *user, const motet_parameter *parameter,
                                   motet_tensor *slot) {
    const binding *b = user;
    motet_tensor tensor;
    MOTET_TRY(motet_safetensors_get(&tensor, b->file, parameter->name));
    const motet_status status = check_tensor(&tensor, parameter, parameter->name);
    if (status != MOTET_OK) return motet_fail_prefix(status, "%s", b->path);
    *slot = tensor;
    return MOTET_OK;
}

/* *sealed: the format is one whose files carry their own hash. */
static motet_status read_format(int *sealed, const motet_checkpoint *checkpoint) {
    const char *format = motet_safetensors_meta(checkpoint->file, "motet.format");
    const char *settings = motet_safetensors_meta(checkpoint->file, "motet.settings");
    if (!format || !settings)
        return MOTET_FAIL(MOTET_E_DATA,
                          "this is no motet model: its metadata has no '%s' (motet-train writes "
                          "models)",
                          !format ? "motet.format" : "motet.settings");
    *sealed = strcmp(format, "1") != 0;
    if (*sealed && strcmp(format, MOTET_CHECKPOINT_FORMAT) != 0)
        return MOTET_FAIL(
            MOTET_E_UNSUPPORTED,
            "the model has format '%.20s'; this motet reads format " MOTET_CHECKPOINT_FORMAT,
            format);
    return MOTET_OK;
}

static motet_status read_settings(motet_checkpoint *checkpoint) {
    const char *settings = motet_safetensors_meta(checkpoint->file, "motet.settings");
    motet_settings_default(&checkpoint->settings);
    motet_status status =
        motet_settings_read_text(&checkpoint->settings, settings, "motet.settings");
    if (status == MOTET_OK) status = motet_settings_check(&checkpoint->settings);
    return status == MOTET_E_USAGE ? MOTET_E_DATA : status; /* the file's fault, not the user's */
}

static motet_status read_vocab(motet_checkpoint *checkpoint) {
    const char *vocab = motet_safetensors_meta(checkpoint->file, "motet.vocab");
    if (!vocab)
        return MOTET_FAIL(MOTET_E_DATA,
                          "this is no motet model: its metadata has no 'motet.vocab'");
    const motet_status status =
        motet_wordpiece_make(&checkpoint->tokenizer, vocab, strlen(vocab), "motet.vocab");
    if (status != MOTET_OK) return status == MOTET_E_MEMORY ? status : MOTET_E_DATA;
    const int32_t size = motet_wordpiece_size(checkpoint->tokenizer);
    if (size != checkpoint->settings.model_text_vocab)
        return MOTET_FAIL(MOTET_E_DATA, "motet.vocab has %d tokens where text_vocab is %d", size,
                          checkpoint->settings.model_text_vocab);
    return MOTET_OK;
}

motet_status motet_checkpoint_open(motet_checkpoint *checkpoint, const char *path) {
    memset(checkpoint, 0, sizeof *checkpoint);
    MOTET_TRY(motet_safetensors_open(&checkpoint->file, path));
    int sealed = 0, named = 0; /* named: the sentence has the path already */
    motet_status status = read_format(&sealed, checkpoint);
    if (status == MOTET_OK) {
        status = motet_safetensors_verify(checkpoint->file, sealed);
        named = status != MOTET_OK;
    }
    if (status == MOTET_OK) status = read_settings(checkpoint);
    if (status == MOTET_OK) status = read_vocab(checkpoint);
    if (status != MOTET_OK) {
        if (!named) motet_fail_prefix(status, "%s", path);
    } else {
        binding b = {.file = checkpoint->file, .path = path};
        status =
            motet_weights_visit(&checkpoint->weights, &checkpoint->settings, bind_parameter, &b);
    }
    if (status != MOTET_OK) motet_checkpoint_close(checkpoint);
    return status;
}

void motet_checkpoint_close(motet_checkpoint *checkpoint) {
    motet_wordpiece_free(checkpoint->tokenizer);
    motet_safetensors_close(checkpoint->file);
    memset(checkpoint, 0, sizeof *checkpoint);
}

const char *motet_checkpoint_note(const motet_checkpoint *checkpoint, const char *key) {
    return motet_safetensors_meta(checkpoint->file, key);
}

static int has_tensor(const motet_safetensors *file, const char *name) {
    for (int i = 0; i < motet_safetensors_count(file); i++)
        if (!strcmp(motet_safetensors_name(file, i), name)) return 1;
    return 0;
}

/* Hugging Face's name of a parameter in this file: "text." gone, perhaps "bert." before it, and
 * older files call the weight and bias of a norm gamma and beta. 0 if the file has none of them. */
static int hugging_face_name(char name[128], const motet_safetensors *file, const char *parameter) {
    static const char *const prefixes[] = {"", "bert."};
    const char *plain = parameter + strlen("text.");
    const char *norm = strstr(plain, "LayerNorm.");
    for (int i = 0; i < 4; i++) {
        const char *prefix = prefixes[i % 2];
        if (i < 2)
            snprintf(name, 128, "%s%s", prefix, plain);
        else if (norm)
            snprintf(name, 128, "%s%.*sLayerNorm.%s", prefix, (int)(norm - plain), plain,
                     strstr(norm, ".weight") ? "gamma" : "beta");
        if (has_tensor(file, name)) return 1;
    }
    return 0;
}

static motet_status bind_hugging_face(void *user, const motet_parameter *parameter,
                                      motet_tensor *slot) {
    const binding *b = user;
    if (strncmp(parameter->name, "text.", 5) != 0) return MOTET_OK;
    char name[128];
    if (!hugging_face_name(name, b->file, parameter->name))
        return MOTET_FAIL(MOTET_E_DATA,
                          "the text encoder's file has no tensor '%s' (with or without 'bert.')",
                          parameter->name + 5);
    motet_tensor tensor;
    MOTET_TRY(motet_safetensors_get(&tensor, b->file, name));
    MOTET_TRY(check_tensor(&tensor, parameter, name));
    *slot = tensor;
    return MOTET_OK;
}

static motet_status no_further_layer(const motet_safetensors *file,
                                     const motet_settings *settings) {
    char parameter[128], name[128];
    snprintf(parameter, sizeof parameter, "text.encoder.layer.%d.output.dense.weight",
             settings->model_text_layers);
    if (!hugging_face_name(name, file, parameter)) return MOTET_OK;
    return MOTET_FAIL(MOTET_E_DATA,
                      "the text encoder's file has more layers than the %d of text_layers",
                      settings->model_text_layers);
}

motet_status motet_text_weights_from_hugging_face(motet_text_weights *weights,
                                                  const motet_settings *settings,
                                                  motet_safetensors *file) {
    MOTET_TRY(no_further_layer(file, settings));
    motet_weights *all = calloc(1, sizeof *all);
    if (!all) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the table of parameters");
    binding b = {.file = file};
    const motet_status status = motet_weights_visit(all, settings, bind_hugging_face, &b);
    if (status == MOTET_OK) *weights = all->text;
    free(all);
    return status;
}
