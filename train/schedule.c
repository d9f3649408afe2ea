#include "train/schedule.h"

#include <math.h>

float motet_schedule_factor(const motet_settings *settings, int64_t step) {
    int64_t s = step + 1, warmup = settings->train_warmup, steps = settings->train_steps;
    if (s < warmup) return (float)((double)s / (double)warmup);
    if (s >= steps) return steps > warmup ? settings->train_final_lr : 1.0f;
    double t = (double)(s - warmup) / (double)(steps - warmup);
    double low = (double)settings->train_final_lr;
    return (float)(low + (1 - low) * 0.5 * (1 + cos(3.14159265358979323846 * t)));
}
