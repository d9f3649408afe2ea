#include "kernels/core/log.h"

#include <stdarg.h>
#include <stdio.h>

static motet_log_sink *log_sink;
static void *log_user;

void motet_log_to(motet_log_sink *sink, void *user) {
    log_sink = sink;
    log_user = user;
}

void motet_log(motet_log_level level, const char *format, ...) {
    if (!log_sink) return;
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    log_sink(log_user, level, line);
}
