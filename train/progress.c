#include "train/progress.h"

#include <inttypes.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

double motet_clock_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void motet_duration_text(char text[32], double seconds) {
    if (!(seconds < 1e8))
        snprintf(text, 32, "?");
    else if (seconds >= 3600)
        snprintf(text, 32, "%d h %02d min", (int)(seconds / 3600), (int)(seconds / 60) % 60);
    else if (seconds >= 60)
        snprintf(text, 32, "%d min %02d s", (int)(seconds / 60), (int)seconds % 60);
    else
        snprintf(text, 32, "%d s", seconds > 0 ? (int)seconds : 0);
}

motet_progress motet_progress_start(FILE *out, int64_t first_step, int64_t steps) {
    return (motet_progress){.out = out,
                            .terminal = out && isatty(fileno(out)),
                            .first_step = first_step,
                            .steps = steps,
                            .started = motet_clock_seconds()};
}

void motet_progress_step(motet_progress *p, int64_t step, double loss, double events_per_s,
                         int logged) {
    if (!p->out || (!p->terminal && !logged)) return;
    double passed = motet_clock_seconds() - p->started;
    int64_t done = step - p->first_step;
    char left[32];
    motet_duration_text(left, done > 0 ? passed / (double)done * (double)(p->steps - step) : 1e9);
    fprintf(p->out, "%sstep %" PRId64 "/%" PRId64 "  loss %.3f  %.0f events/s  %s left%s",
            p->terminal ? "\r" : "", step, p->steps, loss, events_per_s, left,
            p->terminal ? "\033[K" : "\n");
    p->line = p->terminal;
    fflush(p->out);
}

void motet_progress_say(motet_progress *p, const char *format, ...) {
    if (!p->out) return;
    if (p->line) fputs("\r\033[K", p->out);
    p->line = 0;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(p->out, format, arguments);
    va_end(arguments);
    fputc('\n', p->out);
    fflush(p->out);
}
