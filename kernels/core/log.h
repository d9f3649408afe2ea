/* log: libraries hand a line to whoever listens; they never print by themselves. */
#ifndef MOTET_CORE_LOG_H
#define MOTET_CORE_LOG_H

typedef enum motet_log_level { MOTET_LOG_INFO, MOTET_LOG_WARN } motet_log_level;

/* Receives one line without its newline. */
typedef void motet_log_sink(void *user, motet_log_level level, const char *line);

/* Sets the process's sink; NULL (the default) drops every line. Set once at start-up. */
void motet_log_to(motet_log_sink *sink, void *user);

void motet_log(motet_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
