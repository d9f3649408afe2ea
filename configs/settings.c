/* settings: what goes over the whole table: checks between settings, INI text, help. */
#include "configs/settings.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "configs/settings_table.h"

static motet_status check_heads(const char *prefix, int width, int heads) {
    if (width % heads)
        return MOTET_FAIL(MOTET_E_USAGE, "%swidth = %d is not a multiple of %sheads = %d", prefix,
                          width, prefix, heads);
    int w = width / heads;
    if (w != 16 && w != 32 && w != 64 && w != 128)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "%swidth / %sheads = %d / %d = %d, but the head width must be 16, 32, 64 "
                          "or 128",
                          prefix, prefix, width, heads, w);
    return MOTET_OK;
}

int motet_settings_attributes_only(const motet_settings *settings) {
    return !strcmp(settings->train_part, "attributes");
}

motet_status motet_settings_check(const motet_settings *s) {
    MOTET_TRY(check_heads("model.", s->model_width, s->model_heads));
    MOTET_TRY(check_heads("model.text_", s->model_text_width, s->model_text_heads));
    if (s->model_text_width % 32)
        return MOTET_FAIL(MOTET_E_USAGE, "model.text_width = %d is not a multiple of 32",
                          s->model_text_width);
    if (s->model_text_limit > s->model_text_positions)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "model.text_limit = %d is more than model.text_positions = %d",
                          s->model_text_limit, s->model_text_positions);
    if (strcmp(s->train_dtype, "bf16") && strcmp(s->train_dtype, "f32"))
        return MOTET_FAIL(MOTET_E_USAGE, "train.dtype = %.60s is neither bf16 nor f32",
                          s->train_dtype);
    if (strcmp(s->train_recompute, "none") && strcmp(s->train_recompute, "selective") &&
        strcmp(s->train_recompute, "full"))
        return MOTET_FAIL(MOTET_E_USAGE,
                          "train.recompute = %.60s is neither none nor selective nor full",
                          s->train_recompute);
    if (strcmp(s->train_part, "all") && !motet_settings_attributes_only(s))
        return MOTET_FAIL(MOTET_E_USAGE, "train.part = %.60s is neither all nor attributes",
                          s->train_part);
    if (!s->train_text_frozen)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "train.text_frozen = 0: the text encoder has no "
                                               "backward pass yet, leave it at 1");
    return MOTET_OK;
}

typedef struct text_buffer {
    char *bytes;
    size_t used, size;
} text_buffer;

/* Appends; after a failed allocation bytes is NULL and stays so. */
__attribute__((format(printf, 2, 3))) static void append(text_buffer *buffer, const char *format,
                                                         ...) {
    if (!buffer->bytes) return;
    for (;;) {
        va_list arguments;
        va_start(arguments, format);
        size_t room = buffer->size - buffer->used;
        int length = vsnprintf(buffer->bytes + buffer->used, room, format, arguments);
        va_end(arguments);
        if (length >= 0 && (size_t)length < room) {
            buffer->used += (size_t)length;
            return;
        }
        char *larger = length < 0 ? NULL : realloc(buffer->bytes, buffer->size * 2);
        if (!larger) free(buffer->bytes);
        buffer->bytes = larger;
        if (!larger) return;
        buffer->size *= 2;
    }
}

char *motet_settings_text(const motet_settings *settings, int model_only) {
    text_buffer buffer = {.bytes = malloc(4096), .size = 4096};
    const char *section = "";
    int count = model_only ? motet_setting_model_count : motet_setting_count;
    for (int i = 0; i < count; i++) {
        const motet_setting *setting = &motet_setting_table[i];
        char value[MOTET_SETTING_TEXT];
        if (strcmp(section, setting->section))
            append(&buffer, "%s[%s]\n", i > 0 ? "\n" : "", section = setting->section);
        motet_setting_format(value, settings, setting);
        append(&buffer, "%s = %s\n", setting->key, value);
    }
    return buffer.bytes;
}

char *motet_settings_help(void) {
    text_buffer buffer = {.bytes = malloc(8192), .size = 8192};
    motet_settings start;
    motet_settings_default(&start);
    for (int i = 0; i < motet_setting_count; i++) {
        const motet_setting *setting = &motet_setting_table[i];
        char value[MOTET_SETTING_TEXT], flag[MOTET_SETTING_TEXT + 64];
        motet_setting_format(value, &start, setting);
        snprintf(flag, sizeof flag, "--%s=%s", setting->name, value);
        append(&buffer, "  %-32s %s", flag, setting->help);
        if (setting->type == MOTET_SETTING_F32)
            append(&buffer, " (%g to %g)", setting->low_f, setting->high_f);
        else if (setting->type != MOTET_SETTING_STR && setting->high < INT64_MAX)
            append(&buffer, " (%" PRId64 " to %" PRId64 ")", setting->low, setting->high);
        append(&buffer, "\n");
    }
    return buffer.bytes;
}
