#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/command.h"
#include "kernels/core/nearest.h"

int motet_command_fail(motet_status status) {
    fflush(stdout);
    fprintf(stderr, "motet-data: %s\n", motet_error());
    return motet_exit_code(status);
}

static void print_help(const motet_command *c) {
    printf("usage: motet-data %s [flags] %s\n\n%s\n\n", c->name, c->arguments, c->summary);
    for (int i = 0; i < c->flag_count; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", c->flags[i].name, c->flags[i].value ? " " : "",
                 c->flags[i].value ? c->flags[i].value : "");
        printf("  %-22s %s\n", left, c->flags[i].help);
    }
    printf("  %-22s %s\n", "--help", "this text");
}

static motet_status unknown_flag(const motet_command *c, const char *text) {
    const char *names[32];
    int count = 0;
    for (; count < c->flag_count && count < 31; count++)
        names[count] = c->flags[count].name;
    names[count++] = "--help";
    const char *nearest = motet_nearest(text, names, count);
    if (nearest)
        return MOTET_FAIL(MOTET_E_USAGE, "%s has no flag %.60s; did you mean %s?", c->name, text,
                          nearest);
    return MOTET_FAIL(MOTET_E_USAGE, "%s has no flag %.60s; motet-data %s --help lists them",
                      c->name, text, c->name);
}

static motet_status set_flag(const motet_flag *flag, const char *value) {
    if (flag->kind == MOTET_FLAG_TEXT) {
        *(const char **)flag->target = value;
        return MOTET_OK;
    }
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (!*value || *end)
        return MOTET_FAIL(MOTET_E_USAGE, "%s needs a whole number, not '%.60s'", flag->name, value);
    if (errno || number < flag->lowest || number > flag->highest)
        return MOTET_FAIL(
            MOTET_E_USAGE, "%s is %.60s; the nearest possible is %lld", flag->name, value,
            (long long)(value[0] == '-' || number < flag->lowest ? flag->lowest : flag->highest));
    *(int64_t *)flag->target = number;
    return MOTET_OK;
}

motet_status motet_command_parse(int *positionals, int *help, const motet_command *c, int argc,
                                 char **argv) {
    int count = 0, only_positionals = 0;
    *positionals = *help = 0;
    for (int i = 1; i < argc; i++) {
        char *text = argv[i];
        if (only_positionals || text[0] != '-' || !text[1]) {
            argv[++count] = text;
            continue;
        }
        if (!strcmp(text, "--")) {
            only_positionals = 1;
            continue;
        }
        if (!strcmp(text, "--help") || !strcmp(text, "-h")) {
            print_help(c);
            *help = 1;
            return MOTET_OK;
        }
        char *equals = strchr(text, '='), *value = equals ? equals + 1 : NULL;
        if (equals) *equals = 0;
        const motet_flag *flag = NULL;
        for (int k = 0; k < c->flag_count; k++)
            if (!strcmp(c->flags[k].name, text)) flag = &c->flags[k];
        if (!flag) return unknown_flag(c, text);
        if (flag->kind == MOTET_FLAG_SWITCH) {
            if (value) return MOTET_FAIL(MOTET_E_USAGE, "%s takes no value", flag->name);
            *(int *)flag->target = 1;
            continue;
        }
        if (!value && i + 1 == argc)
            return MOTET_FAIL(MOTET_E_USAGE, "%s needs a value: %s", flag->name, flag->help);
        if (!value) value = argv[++i];
        MOTET_TRY(set_flag(flag, value));
    }
    if (count < c->least)
        return MOTET_FAIL(MOTET_E_USAGE, "something is missing: motet-data %s %s", c->name,
                          c->arguments);
    if (count > c->most)
        return MOTET_FAIL(MOTET_E_USAGE, "'%.60s' is too much: motet-data %s %s", argv[c->most + 1],
                          c->name, c->arguments);
    *positionals = count;
    return MOTET_OK;
}
