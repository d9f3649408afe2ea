#include "configs/settings_table.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/core/nearest.h"

#define ROW(section, key, kind, start, low, high, help) \
    ROW_##kind(section, key, start, low, high, help)
#define ROW_NAME(section_, key_, kind_, help_)                                      \
    .section = #section_, .key = #key_, .name = #section_ "." #key_, .help = help_, \
    .type = MOTET_SETTING_##kind_, .offset = offsetof(motet_settings, section_##_##key_)
#define ROW_INT(section_, key_, start_, low_, high_, help_) \
    {ROW_NAME(section_, key_, INT, help_), .low = low_, .high = high_, .start = start_},
#define ROW_I64(section_, key_, start_, low_, high_, help_) \
    {ROW_NAME(section_, key_, I64, help_), .low = low_, .high = high_, .start = start_},
#define ROW_F32(section_, key_, start_, low_, high_, help_) \
    {ROW_NAME(section_, key_, F32, help_), .low_f = low_, .high_f = high_, .start_f = start_},
#define ROW_STR(section_, key_, start_, low_, high_, help_) \
    {ROW_NAME(section_, key_, STR, help_), .start_text = start_},

const motet_setting motet_setting_table[] = {MOTET_MODEL_SETTINGS(ROW) MOTET_RUN_SETTINGS(ROW)};
const int motet_setting_count = (int)(sizeof motet_setting_table / sizeof *motet_setting_table);

#define ONE(...) +1
const int motet_setting_model_count = 0 MOTET_MODEL_SETTINGS(ONE);

static void *member(motet_settings *settings, const motet_setting *setting) {
    return (char *)settings + setting->offset;
}

void motet_settings_default(motet_settings *settings) {
    memset(settings, 0, sizeof *settings);
    for (int i = 0; i < motet_setting_count; i++) {
        const motet_setting *setting = &motet_setting_table[i];
        void *place = member(settings, setting);
        switch (setting->type) {
        case MOTET_SETTING_INT:
            *(int *)place = (int)setting->start;
            break;
        case MOTET_SETTING_I64:
            *(int64_t *)place = setting->start;
            break;
        case MOTET_SETTING_F32:
            *(float *)place = (float)setting->start_f;
            break;
        case MOTET_SETTING_STR:
            snprintf(place, MOTET_SETTING_TEXT, "%s", setting->start_text);
            break;
        }
    }
}

static motet_status assign_integer(motet_settings *settings, const motet_setting *setting,
                                   const char *value) {
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (end == value || *end)
        return MOTET_FAIL(MOTET_E_USAGE, "%s: \"%s\" is not a whole number", setting->name, value);
    if (errno == ERANGE || number < setting->low || number > setting->high)
        return MOTET_FAIL(MOTET_E_USAGE, "%s: %s is out of range, use %" PRId64 " to %" PRId64,
                          setting->name, value, setting->low, setting->high);
    if (setting->type == MOTET_SETTING_INT)
        *(int *)member(settings, setting) = (int)number;
    else
        *(int64_t *)member(settings, setting) = number;
    return MOTET_OK;
}

static motet_status assign_float(motet_settings *settings, const motet_setting *setting,
                                 const char *value) {
    char *end;
    float number = strtof(value, &end);
    if (end == value || *end || isnan(number))
        return MOTET_FAIL(MOTET_E_USAGE, "%s: \"%s\" is not a number", setting->name, value);
    if (number < (float)setting->low_f || number > (float)setting->high_f)
        return MOTET_FAIL(MOTET_E_USAGE, "%s: %s is out of range, use %g to %g", setting->name,
                          value, setting->low_f, setting->high_f);
    *(float *)member(settings, setting) = number;
    return MOTET_OK;
}

static motet_status assign_text(motet_settings *settings, const motet_setting *setting,
                                const char *value) {
    size_t length = strlen(value);
    if (length >= MOTET_SETTING_TEXT)
        return MOTET_FAIL(MOTET_E_USAGE, "%s: the text has %zu bytes, at most %d are kept",
                          setting->name, length, MOTET_SETTING_TEXT - 1);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
            return MOTET_FAIL(MOTET_E_USAGE, "%s: control character at byte %zu of the text",
                              setting->name, i);
    /* What would not survive the way through an INI file. */
    if (length > 0 && (value[0] == ' ' || value[length - 1] == ' '))
        return MOTET_FAIL(MOTET_E_USAGE, "%s: the text begins or ends with a blank", setting->name);
    for (size_t i = 0; i < length; i++)
        if ((value[i] == '#' || value[i] == ';') && (i == 0 || value[i - 1] == ' '))
            return MOTET_FAIL(MOTET_E_USAGE, "%s: \"%c\" at byte %zu would begin a comment",
                              setting->name, value[i], i);
    memcpy(member(settings, setting), value, length + 1);
    return MOTET_OK;
}

motet_status motet_setting_assign(motet_settings *settings, const motet_setting *setting,
                                  const char *value) {
    if (setting->type == MOTET_SETTING_STR) return assign_text(settings, setting, value);
    if (setting->type == MOTET_SETTING_F32) return assign_float(settings, setting, value);
    return assign_integer(settings, setting, value);
}

static motet_status unknown(const char *section, const char *key) {
    const char *names[sizeof motet_setting_table / sizeof *motet_setting_table];
    char name[160];
    snprintf(name, sizeof name, "%.60s.%.60s", section, key);
    for (int i = 0; i < motet_setting_count; i++)
        names[i] = motet_setting_table[i].name;
    const char *near = motet_nearest(name, names, motet_setting_count);
    if (near) return MOTET_FAIL(MOTET_E_USAGE, "unknown setting %s, did you mean %s?", name, near);
    return MOTET_FAIL(MOTET_E_USAGE, "unknown setting %s; --help lists all", name);
}

motet_status motet_setting_find(const motet_setting **setting, const char *section,
                                const char *key) {
    for (int i = 0; i < motet_setting_count; i++) {
        const motet_setting *row = &motet_setting_table[i];
        if (strcmp(row->section, section) || strcmp(row->key, key)) continue;
        *setting = row;
        return MOTET_OK;
    }
    return unknown(section, key);
}

/* The shortest of %.1g ... %.9g that reads back as the same float; nine digits always do. */
static void format_float(char *text, size_t size, float value) {
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, size, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) return;
    }
}

void motet_setting_format(char text[MOTET_SETTING_TEXT], const motet_settings *settings,
                          const motet_setting *setting) {
    const void *place = (const char *)settings + setting->offset;
    switch (setting->type) {
    case MOTET_SETTING_INT:
        snprintf(text, MOTET_SETTING_TEXT, "%d", *(const int *)place);
        break;
    case MOTET_SETTING_I64:
        snprintf(text, MOTET_SETTING_TEXT, "%" PRId64, *(const int64_t *)place);
        break;
    case MOTET_SETTING_F32:
        format_float(text, MOTET_SETTING_TEXT, *(const float *)place);
        break;
    case MOTET_SETTING_STR:
        snprintf(text, MOTET_SETTING_TEXT, "%s", (const char *)place);
        break;
    }
}
