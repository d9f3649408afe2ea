/* schedule: the learning rate over time. Linear warm-up, then half a cosine down to a share of the
 * peak (Loshchilov & Hutter, "SGDR", ICLR 2017, without restarts).
 */
#ifndef MOTET_SCHEDULE_H
#define MOTET_SCHEDULE_H

#include "configs/settings.h"

/* Factor on every learning rate at a step (0 for the first), in 0..1. With s = step + 1:
 * s / warmup for s <= warmup; then final_lr + (1 - final_lr) * (1 + cos(pi t)) / 2, where t runs
 * from 0 at the end of the warm-up to 1 at the last step; final_lr from there on. A warm-up that is
 * longer than the run is never finished. */
float motet_schedule_factor(const motet_settings *settings, int64_t step);

#endif
