#include "train/state_manifest.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/file.h"
#include "data/sha256.h"

static const char format_name[] = "motet-train-2";
static const char first_format[] = "motet-train-1"; /* had no hash of its own */
static const char *const files[] = {MOTET_STATE_FILE, MOTET_MODEL_FILE};
enum { FILES = sizeof files / sizeof *files };
static const size_t manifest_limit = 4u << 20;

static motet_status measure(char hex[MOTET_SHA256_HEX], json_int_t *size, const char *path) {
    struct stat info;
    if (stat(path, &info) != 0)
        return MOTET_FAIL(MOTET_E_DATA, "%s: not there: the checkpoint is incomplete", path);
    *size = (json_int_t)info.st_size;
    return motet_sha256_file(hex, path);
}

static json_t *corpora_of(const motet_state_context *context) {
    json_t *list = json_array();
    for (int i = 0; i < context->corpus_count; i++)
        json_array_append_new(list, json_string(motet_corpus_sha256(context->corpora[i])));
    return list;
}

static motet_status add_files(json_t *root, const char *folder) {
    json_t *list = json_object();
    json_object_set_new(root, "files", list);
    for (int i = 0; i < FILES; i++) {
        char path[PATH_MAX], hex[MOTET_SHA256_HEX];
        json_int_t size = 0;
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        MOTET_TRY(measure(hex, &size, path));
        json_object_set_new(list, files[i], json_pack("{s:I, s:s}", "size", size, "sha256", hex));
    }
    return MOTET_OK;
}

/* The manifest's own hash stands at its end: that of the text with zeros in its place. */
static const char own_key[] = "\n  \"manifest_sha256\": \"";
static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";

static char *own_place(const char *text) {
    char *place = strstr(text, own_key); /* line breaks in values are escaped */
    if (!place || strlen(place) < sizeof own_key - 1 + sizeof zeros - 1) return NULL;
    return place + sizeof own_key - 1;
}

static void own_hash(char hex[MOTET_SHA256_HEX], const char *text, const char *place) {
    unsigned char digest[MOTET_SHA256_BYTES];
    motet_sha256 hash;
    const char *behind = place + sizeof zeros - 1;
    motet_sha256_init(&hash);
    motet_sha256_update(&hash, text, (size_t)(place - text));
    motet_sha256_update(&hash, zeros, sizeof zeros - 1);
    motet_sha256_update(&hash, behind, strlen(behind));
    motet_sha256_final(digest, &hash);
    motet_sha256_hex(hex, digest);
}

motet_status motet_state_manifest_write(const char *folder, int64_t step,
                                        const motet_state_context *context) {
    char path[PATH_MAX];
    char *all = motet_settings_text(context->settings, 0);
    char *model = motet_settings_text(context->settings, 1);
    json_t *root = json_pack("{s:s, s:I, s:i, s:o, s:s, s:s?, s:s?}", "format", format_name, "step",
                             (json_int_t)step, "ranks", context->ranks > 1 ? context->ranks : 1,
                             "corpus_sha256", corpora_of(context), "encoder_sha256",
                             context->encoder->sha256, "model", model, "settings", all);
    free(all);
    free(model);
    if (!root) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the manifest of %s", folder);
    motet_status status = add_files(root, folder);
    if (status == MOTET_OK && json_object_set_new(root, "manifest_sha256", json_string(zeros)))
        status = MOTET_FAIL(MOTET_E_MEMORY, "no memory for the manifest of %s", folder);
    char *text = status == MOTET_OK ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (status != MOTET_OK) return status;
    if (!text) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the manifest of %s", folder);
    char hex[MOTET_SHA256_HEX], *place = own_place(text);
    if (place) {
        own_hash(hex, text, place);
        memcpy(place, hex, sizeof zeros - 1);
    }
    snprintf(path, sizeof path, "%s/manifest.json", folder);
    status = motet_file_replace(path, text, strlen(text));
    free(text);
    return status;
}

static motet_status check_itself(const json_t *root, const char *text, size_t size,
                                 const char *path) {
    const char *format = json_string_value(json_object_get(root, "format"));
    if (format && !strcmp(format, first_format)) return MOTET_OK;
    if (!format || strcmp(format, format_name))
        return MOTET_FAIL(MOTET_E_DATA, "%s: its format is not %s", path, format_name);
    const char *place = own_place(text);
    char hex[MOTET_SHA256_HEX];
    if (place && strlen(text) == size) {
        own_hash(hex, text, place);
        if (!memcmp(hex, place, sizeof zeros - 1)) return MOTET_OK;
    }
    return MOTET_FAIL(MOTET_E_DATA, "%s: corrupt, it is not what was written", path);
}

static motet_status check_files(json_t *root, const char *folder) {
    for (int i = 0; i < FILES; i++) {
        char path[PATH_MAX], hex[MOTET_SHA256_HEX];
        json_int_t size = 0, expected_size;
        const char *expected;
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        if (json_unpack(root, "{s:{s:{s:I, s:s}}}", "files", files[i], "size", &expected_size,
                        "sha256", &expected))
            return MOTET_FAIL(MOTET_E_DATA, "%s/manifest.json: says nothing of %s", folder,
                              files[i]);
        MOTET_TRY(measure(hex, &size, path));
        if (size != expected_size)
            return MOTET_FAIL(MOTET_E_DATA, "%s: %lld bytes, but the manifest says %lld", path,
                              (long long)size, (long long)expected_size);
        if (strcmp(hex, expected))
            return MOTET_FAIL(MOTET_E_DATA, "%s: corrupt, its SHA-256 is not the manifest's", path);
    }
    return MOTET_OK;
}

static motet_status check_origin(json_t *root, const char *folder,
                                 const motet_state_context *context, int other_corpus) {
    const char *encoder = json_string_value(json_object_get(root, "encoder_sha256"));
    const char *model = json_string_value(json_object_get(root, "model"));
    char *own = motet_settings_text(context->settings, 1);
    int same = own && model && !strcmp(own, model);
    free(own);
    if (!same)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "%s was trained with other [model] settings: see its manifest.json",
                          folder);
    if (!encoder || strcmp(encoder, context->encoder->sha256))
        return MOTET_FAIL(MOTET_E_USAGE,
                          "%s was trained with another text encoder than run.encoder = %s", folder,
                          context->settings->run_encoder);
    if (other_corpus) return MOTET_OK;
    json_t *corpora = corpora_of(context);
    same = json_equal(corpora, json_object_get(root, "corpus_sha256"));
    json_decref(corpora);
    if (!same)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "%s was trained on another corpus than data.corpus = %.200s; "
                          "--other-corpus goes on with this one",
                          folder, context->settings->data_corpus);
    return MOTET_OK;
}

motet_status motet_state_manifest_check(const char *folder, const motet_state_context *context,
                                        int other_corpus) {
    char path[PATH_MAX];
    unsigned char *bytes;
    size_t size;
    snprintf(path, sizeof path, "%s/manifest.json", folder);
    MOTET_TRY(motet_file_read(&bytes, &size, path, manifest_limit));
    json_error_t error;
    json_t *root = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        free(bytes);
        return MOTET_FAIL(MOTET_E_DATA, "%s: no JSON at byte %d: %s", path, error.position,
                          error.text);
    }
    motet_status status = check_itself(root, (const char *)bytes, size, path);
    free(bytes);
    if (status == MOTET_OK) status = check_files(root, folder);
    if (status == MOTET_OK) status = check_origin(root, folder, context, other_corpus);
    json_decref(root);
    return status;
}
