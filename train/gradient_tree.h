/* gradient_tree: the sum of the gradients of a step's micro-batches in an order that does not
 * depend on how many ranks share them. Micro-batch i of n is a leaf; the sum of n leaves is
 *
 *     S(first, stride, n) = S(first, 2 stride, n / 2) + S(first + stride, 2 stride, n / 2)   n even
 *                         = leaves first, first + stride, ... added up one after another     n odd
 *
 * A rank r of W has the leaves r, r + W, ...: S(r, W, n / W), and the communicator adds the ranks
 * in the same way. So W ranks get the bits of one if W is a power of two that divides n. (Other W
 * that divide n add in another order: the sums differ by rounding.) The sum takes one more set of
 * gradients for every time that n / W can be halved, none if it is odd.
 */
#ifndef MOTET_GRADIENT_TREE_H
#define MOTET_GRADIENT_TREE_H

#include "infer/weights.h"
#include "kernels/backend.h"

typedef struct motet_gradient_tree {
    motet_weights **sums; /* [levels] */
    motet_arena *arenas;  /* [levels] */
    int levels;
    int64_t leaves;
} motet_gradient_tree;

/* For `leaves` leaves of this rank. On failure nothing is held. */
motet_status motet_gradient_tree_make(motet_gradient_tree *tree, const motet_settings *settings,
                                      const motet_memory *memory, int64_t leaves);
void motet_gradient_tree_free(motet_gradient_tree *tree);

/* Adds the gradients of this rank's leaf number `leaf` to `gradients`. */
typedef motet_status motet_leaf_fn(void *user, motet_weights *gradients, int64_t leaf);

/* Runs every leaf once, number leaves - 1 last. Their sum is then in `gradients`, which lie in
 * arena, and in the tables that the last sums of two are made of, one a level: the last leaf's is
 * sums[levels - 1] (gradients, if there are no levels). */
motet_status motet_gradient_tree_run(motet_gradient_tree *tree, motet_weights *gradients,
                                     const motet_arena *arena, const motet_backend *backend,
                                     motet_leaf_fn *leaf, void *user);

/* Adds those tables up for elements first .. first + count - 1 of an arena (all of them are laid
 * out alike), each element once after a run: then that part of the sum is complete. As soon as the
 * last leaf's gradients of it are. */
motet_status motet_gradient_tree_fold(const motet_gradient_tree *tree, const motet_arena *arena,
                                      const motet_backend *backend, int64_t first, int64_t count);

#endif
