/* buckets: the gradients of a step on their way to the ranks, in pieces of about train.bucket_mb,
 * while the backward pass still makes the others (as DDP's do: Li et al. 2020).
 *
 * Pieces (zero.h) are put into buckets in the order in which the backward pass finishes them. A
 * bucket travels when all of it and of those before it is final: so all ranks send the same in the
 * same order. A thread of its own sends (train.overlap), on a back-end with an order of its own
 * beside the ops'; without it everything travels in motet_buckets_finish. The bits are the same.
 * With gradient accumulation only the sum travels: the last micro-batch's pass is listened to.
 *
 * A bucket of a sharded run is reduced to the pieces' owners. Otherwise it is reduced to those that
 * would be the owners, and gathered from them.
 */
#ifndef MOTET_BUCKETS_H
#define MOTET_BUCKETS_H

#include "train/gradient_hook.h"
#include "train/gradient_tree.h"
#include "train/optimizer_step.h"

typedef struct motet_buckets motet_buckets;

/* For the gradients of an optimizer, which a tree (NULL: nobody) has summed but for its last sums.
 * All three are the caller's and stay where they are. bucket_bytes > 0. With one rank it is empty
 * and adds up the tree. */
motet_status motet_buckets_make(motet_buckets **buckets, motet_optimizer *optimizer,
                                motet_gradient_tree *tree, const motet_backend *backend,
                                int64_t bucket_bytes, int overlap);
/* Waits for what is under way. NULL is fine. */
void motet_buckets_free(motet_buckets *buckets);

/* For the pass whose gradients are the last (gradient_hook.h). From the first word until
 * motet_buckets_finish nobody else may use the communicator. */
motet_gradient_hook motet_buckets_hook(motet_buckets *buckets);

/* Collective, once a step: the gradients are the sums over all ranks where zero.h says. */
motet_status motet_buckets_finish(motet_buckets *buckets);

int motet_buckets_count(const motet_buckets *buckets);

/* Seconds so far that the thread was in exchanges, and that motet_buckets_finish waited for it. */
void motet_buckets_seconds(double *busy, double *waited, const motet_buckets *buckets);

#endif
