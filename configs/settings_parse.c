/* settings_parse: INI text and --section.key=value into settings. The reader is our own, because
 * libinih as packaged cuts lines at 200 bytes and a list of corpus files may be longer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "configs/settings_table.h"

enum { LINE = 2 * MOTET_SETTING_TEXT };
static const long text_limit = 1 << 20;

static char *trim(char *text) {
    text += strspn(text, " \t\r");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r", text[length - 1]))
        length--;
    text[length] = 0;
    return text;
}

static motet_status read_section(char section[64], char *text) {
    char *end = strchr(text, ']');
    if (!end) return MOTET_FAIL(MOTET_E_USAGE, "\"%.60s\": the section lacks its ]", text);
    char *rest = trim(end + 1);
    if (*rest && *rest != '#' && *rest != ';')
        return MOTET_FAIL(MOTET_E_USAGE, "\"%.60s\" after the section's name", rest);
    *end = 0;
    snprintf(section, 64, "%.63s", trim(text + 1));
    return MOTET_OK;
}

/* A comment may follow a value behind a blank: "width = 256  # D". */
static void cut_comment(char *value) {
    for (char *c = value; *c; c++) {
        if ((*c != '#' && *c != ';') || (c > value && c[-1] != ' ' && c[-1] != '\t')) continue;
        *c = 0;
        return;
    }
}

static motet_status read_line(motet_settings *settings, char section[64], char *line) {
    char *text = trim(line);
    if (!*text || *text == '#' || *text == ';') return MOTET_OK;
    if (*text == '[') return read_section(section, text);
    char *equals = strchr(text, '=');
    if (!equals) return MOTET_FAIL(MOTET_E_USAGE, "\"%.60s\" is not key = value", text);
    if (!section[0])
        return MOTET_FAIL(MOTET_E_USAGE, "\"%.60s\" stands before the first [section]", text);
    *equals = 0;
    cut_comment(equals + 1);
    const motet_setting *setting;
    MOTET_TRY(motet_setting_find(&setting, section, trim(text)));
    return motet_setting_assign(settings, setting, trim(equals + 1));
}

static motet_status read_text(motet_settings *settings, const char *text, size_t size,
                              const char *name) {
    motet_settings next = *settings; /* after an error nothing has changed */
    char section[64] = "", line[LINE];
    int number = 0;
    const char *end = text + size;
    if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) text += 3;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t length = (size_t)((newline ? newline : end) - text);
        number++;
        motet_status status;
        if (length >= sizeof line)
            status = MOTET_FAIL(MOTET_E_USAGE, "the line has %zu bytes, at most %d are read",
                                length, LINE - 1);
        else if (memchr(text, 0, length))
            status = MOTET_FAIL(MOTET_E_USAGE, "a zero byte: this is no settings file");
        else {
            memcpy(line, text, length);
            line[length] = 0;
            status = read_line(&next, section, line);
        }
        if (status != MOTET_OK) return motet_fail_prefix(status, "%s:%d", name, number);
        text += length + 1;
    }
    *settings = next;
    return MOTET_OK;
}

motet_status motet_settings_read_text(motet_settings *settings, const char *text,
                                      const char *name) {
    return read_text(settings, text, strlen(text), name);
}

motet_status motet_settings_read_file(motet_settings *settings, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) return MOTET_FAIL(MOTET_E_IO, "%s: cannot be opened: %m", path);
    char *text = malloc((size_t)text_limit + 1);
    size_t size = text ? fread(text, 1, (size_t)text_limit + 1, file) : 0;
    motet_status status;
    if (!text)
        status = MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory to read it", path);
    else if (ferror(file))
        status = MOTET_FAIL(MOTET_E_IO, "%s: cannot be read: %m", path);
    else if (size > (size_t)text_limit)
        status = MOTET_FAIL(MOTET_E_USAGE, "%s: longer than 1 MB, this is no settings file", path);
    else
        status = read_text(settings, text, size, path);
    free(text);
    fclose(file);
    return status;
}

motet_status motet_settings_override(motet_settings *settings, const char *assignment) {
    if (!strncmp(assignment, "--", 2)) assignment += 2;
    const char *equals = strchr(assignment, '=');
    const char *dot = strchr(assignment, '.');
    if (!equals || !dot || dot > equals)
        return MOTET_FAIL(MOTET_E_USAGE, "\"%.80s\" is not section.key=value", assignment);
    char section[64], key[64];
    snprintf(section, sizeof section, "%.*s", (int)(dot - assignment), assignment);
    snprintf(key, sizeof key, "%.*s", (int)(equals - dot - 1), dot + 1);
    const motet_setting *setting;
    MOTET_TRY(motet_setting_find(&setting, section, key));
    return motet_setting_assign(settings, setting, equals + 1);
}
