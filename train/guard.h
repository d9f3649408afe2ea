/* guard: which updates are left out. An update is refused if its loss or gradient norm
 *
 *   - is not finite, or
 *   - is a spike: more than train.spike_loss (2) or train.spike_norm (10) times the median of the
 *     last 64 updates that were made. Nothing is judged so before 16 of them.
 *
 * A factor of the median and not k standard deviations: norms have heavy tails, and one spike among
 * the last updates moves a median little and a deviation much. A pure function of what it has seen,
 * the same on every rank; at rest with the counters (train_state.h), so that a resumed run judges
 * as an undisturbed one.
 */
#ifndef MOTET_GUARD_H
#define MOTET_GUARD_H

#include <stdint.h>

#include "configs/settings.h"

enum { MOTET_GUARD_WINDOW = 64, MOTET_GUARD_LEAST = 16 };

typedef struct motet_guard {
    int64_t seen;                    /* updates made; the last ones are kept: */
    double loss[MOTET_GUARD_WINDOW]; /* [seen % window] is the next to go */
    double norm[MOTET_GUARD_WINDOW];
} motet_guard;

/* NULL if the update may be made, else why not, as part of a sentence. */
const char *motet_guard_judge(const motet_guard *guard, const motet_settings *settings, double loss,
                              double norm);

/* The update is made. Both numbers are finite. */
void motet_guard_accept(motet_guard *guard, double loss, double norm);

#endif
