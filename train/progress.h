/* progress: how far a run is, for people: one live line on a terminal, a plain line at every log
 * line elsewhere.
 */
#ifndef MOTET_PROGRESS_H
#define MOTET_PROGRESS_H

#include <stdint.h>
#include <stdio.h>

typedef struct motet_progress {
    FILE *out;    /* NULL: silent */
    int terminal; /* out is one */
    int line;     /* a live line is standing */
    int64_t first_step, steps;
    double started; /* motet_clock_seconds() */
} motet_progress;

double motet_clock_seconds(void); /* monotonic */

motet_progress motet_progress_start(FILE *out, int64_t first_step, int64_t steps);

/* After `step` steps. logged: this step was logged, so a plain line is due. */
void motet_progress_step(motet_progress *progress, int64_t step, double loss, double events_per_s,
                         int logged);

/* A line that stays, such as an evaluation's. */
void motet_progress_say(motet_progress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "1 h 02 min", "3 min 20 s", "12 s". */
void motet_duration_text(char text[32], double seconds);

#endif
