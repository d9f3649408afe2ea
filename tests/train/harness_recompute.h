/* harness_recompute: the same steps at every level of train.recompute. */
#ifndef MOTET_TESTS_HARNESS_RECOMPUTE_H
#define MOTET_TESTS_HARNESS_RECOMPUTE_H

#include "configs/settings.h"
#include "kernels/backend.h"

/* `steps` steps of training at none, selective and full: losses, norms and all gradients must have
 * the same bits, and activations take less memory from level to level. */
void recompute_same_bits(const motet_settings *settings, const motet_backend *backend, int steps);

#endif
