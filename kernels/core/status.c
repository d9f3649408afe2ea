#include "kernels/core/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char sentence[1024];
static _Thread_local char position[160];

motet_status motet_fail(motet_status code, const char *file, int line, const char *format, ...) {
    char text[sizeof sentence]; /* the arguments may point into the old sentence */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(sentence, text, sizeof sentence);
    snprintf(position, sizeof position, "%s:%d", file, line);
    return code;
}

motet_status motet_fail_prefix(motet_status code, const char *format, ...) {
    char text[sizeof sentence];
    va_list arguments;
    va_start(arguments, format);
    int used = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t end = used < 0 ? 0 : (size_t)used < sizeof text - 3 ? (size_t)used : sizeof text - 3;
    memcpy(text + end, ": ", 2);
    size_t kept = strnlen(sentence, sizeof text - end - 3);
    memcpy(text + end + 2, sentence, kept);
    text[end + 2 + kept] = 0;
    memcpy(sentence, text, sizeof sentence);
    return code;
}

const char *motet_error(void) {
    return sentence;
}

const char *motet_error_where(void) {
    return position;
}

int motet_exit_code(motet_status code) {
    return code == MOTET_OK ? 0 : (int)code + 1;
}
