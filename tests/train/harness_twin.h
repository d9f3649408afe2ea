/* harness_twin: the same training run on the CPU and on the CUDA back-end. */
#ifndef MOTET_TESTS_HARNESS_TWIN_H
#define MOTET_TESTS_HARNESS_TWIN_H

#include "configs/settings.h"
#include "kernels/backend.h"

/* The device that MOTET_TEST_DEVICE names. Skips the running test, and says so, unless it names a
 * CUDA device. */
const motet_backend *twin_device(void);

/* `steps` steps of both, five or more: losses no further apart than `bound` of the CPU's, and those
 * of the last fifth lower than those of the first. */
void twin_same_losses(const motet_settings *settings, int steps, double bound);

#endif
