/* settings_table: the rows of settings.h as data, shared by what reads and what writes them. */
#ifndef MOTET_SETTINGS_TABLE_H
#define MOTET_SETTINGS_TABLE_H

#include <stddef.h>

#include "configs/settings.h"

typedef enum motet_setting_type {
    MOTET_SETTING_INT,
    MOTET_SETTING_I64,
    MOTET_SETTING_F32,
    MOTET_SETTING_STR
} motet_setting_type;

typedef struct motet_setting {
    const char *section, *key, *name; /* name: "section.key" */
    motet_setting_type type;
    size_t offset;                 /* of the member in motet_settings */
    int64_t low, high, start;      /* INT, I64: range and default */
    double low_f, high_f, start_f; /* F32 */
    const char *start_text;        /* STR */
    const char *help;
} motet_setting;

extern const motet_setting motet_setting_table[];
extern const int motet_setting_count;
extern const int motet_setting_model_count; /* the first ones, those of [model] */

/* Sets a member from text, as INI files and flags give it. MOTET_E_USAGE with the range. */
motet_status motet_setting_assign(motet_settings *settings, const motet_setting *setting,
                                  const char *value);

/* Finds a setting; MOTET_E_USAGE with the nearest name. */
motet_status motet_setting_find(const motet_setting **setting, const char *section,
                                const char *key);

/* The value as text that motet_setting_assign reads back bit for bit. */
void motet_setting_format(char text[MOTET_SETTING_TEXT], const motet_settings *settings,
                          const motet_setting *setting);

#endif
