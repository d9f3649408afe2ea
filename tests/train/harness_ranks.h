/* harness_ranks: several ranks without a launcher: forked processes whose transport is a piece of
 * shared memory. Fork before anything has used OpenMP in the parent.
 */
#ifndef MOTET_TESTS_HARNESS_RANKS_H
#define MOTET_TESTS_HARNESS_RANKS_H

#include "train/communicator.h"

/* What a rank does; says what is wrong on standard error and returns 0, or returns 1. */
typedef int rank_fn(motet_communicator *communicator, void *user);

/* Runs work as ranks 0 .. ranks - 1, each with the back-end as memory and staging_bytes as in
 * motet_communicator_make; the test fails unless all return 1. timeout_s: of the communicator. */
void ranks_run(int ranks, const motet_backend *backend, size_t staging_bytes, double timeout_s,
               rank_fn *work, void *user);

/* Memory that ranks and test share, zeroed. */
void *ranks_share(size_t bytes);
void ranks_unshare(void *memory, size_t bytes);

/* For a rank's work: says where and why, and ends it with 0. */
#define RANK_CHECK(condition)                                                              \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: rank %d: %s; motet_error(): %s\n", __FILE__, __LINE__, \
                    communicator->rank, #condition, motet_error());                        \
            return 0;                                                                      \
        }                                                                                  \
    } while (0)

#endif
