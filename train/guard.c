#include "train/guard.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *values, int count) {
    double sorted[MOTET_GUARD_WINDOW];
    memcpy(sorted, values, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, ascending);
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

static int is_spike(double value, const double *before, int count, double factor) {
    return factor > 0 && count >= MOTET_GUARD_LEAST && value > factor * median(before, count);
}

const char *motet_guard_judge(const motet_guard *guard, const motet_settings *settings, double loss,
                              double norm) {
    int count = (int)(guard->seen < MOTET_GUARD_WINDOW ? guard->seen : MOTET_GUARD_WINDOW);
    if (!isfinite(loss) || !isfinite(norm)) return "loss or gradient norm is not finite";
    if (is_spike(loss, guard->loss, count, (double)settings->train_spike_loss))
        return "loss is above train.spike_loss times its running median";
    if (is_spike(norm, guard->norm, count, (double)settings->train_spike_norm))
        return "gradient norm is above train.spike_norm times its running median";
    return NULL;
}

void motet_guard_accept(motet_guard *guard, double loss, double norm) {
    guard->loss[guard->seen % MOTET_GUARD_WINDOW] = loss;
    guard->norm[guard->seen % MOTET_GUARD_WINDOW] = norm;
    guard->seen++;
}
