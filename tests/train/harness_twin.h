/* harness_twin: the same training run on the CPU and on the CUDA back-end. */
#ifndef MOTET_TESTS_HARNESS_TWIN_H
#define MOTET_TESTS_HARNESS_TWIN_H

#include "configs/settings.h"

/* Ten steps of both, losses no further apart than `bound` of the CPU's. Skips the running test, and
 * says so, unless MOTET_TEST_DEVICE names a CUDA device. */
void twin_same_losses(const motet_settings *settings, double bound);

#endif
