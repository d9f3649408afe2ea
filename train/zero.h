/* zero: who updates what, and the traffic that follows (ZeRO stage 1: Rajbhandari et al. 2020).
 *
 * Trained parameters are divided into parts: a matrix of Muon is one part, since its update needs
 * all of it; what AdamW updates is cut into blocks of MOTET_ZERO_BLOCK elements. The parts do not
 * depend on the number of ranks, so neither do the sums of squares that the norm is made of. Each
 * part has an owner, which keeps its moments and updates it; owners are balanced by cost. One rank,
 * or a run with train.shard = 0, owns everything.
 *
 * In a sharded run gradients are reduced to their owners (buckets.h), and the compute weights come
 * back from them. Masters that are not also compute weights are up to date at their owners only,
 * until motet_zero_gather_masters.
 */
#ifndef MOTET_ZERO_H
#define MOTET_ZERO_H

#include <stdint.h>

#include "kernels/core/status.h"

#define MOTET_ZERO_BLOCK ((int64_t)1 << 20)

typedef struct motet_zero_part {
    int parameter;        /* index in the optimizer's table */
    int64_t first, count; /* elements of it */
    int owner;
} motet_zero_part;

struct motet_trained;
struct motet_optimizer;

/* Divides all trained parameters among owners 0 .. ranks - 1, in the order of the table. *parts is
 * malloc'd. A pure function of shapes, updates and ranks. */
motet_status motet_zero_divide(motet_zero_part **parts, int *count,
                               const struct motet_trained *parameters, int parameter_count,
                               int ranks);

/* Cost of updating a part, in floating-point operations or what takes as long: owners are balanced
 * by it. rows, cols: of a Muon matrix; cols 0: AdamW, rows elements. */
double motet_zero_cost(int64_t rows, int64_t cols);

/* All below are collective; without several ranks they do nothing. */

/* After an update, and for checkpoints: every rank gets all compute weights, all masters. */
motet_status motet_zero_gather_compute(struct motet_optimizer *optimizer);
motet_status motet_zero_gather_masters(struct motet_optimizer *optimizer);

/* Rank 0 gets all moments, as parameters[i].first and .second in the host's memory, until they are
 * released. */
motet_status motet_zero_collect_moments(struct motet_optimizer *optimizer);
void motet_zero_release_moments(struct motet_optimizer *optimizer);

/* Not collective: the moments of a parameter, first or second, from the host's memory into where
 * this rank keeps its own parts of them. */
motet_status motet_zero_place_moment(struct motet_optimizer *optimizer, int parameter, int second,
                                     const float *moment);

#endif
