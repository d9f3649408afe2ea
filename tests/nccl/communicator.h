/* communicator: one rank's side of an NCCL communicator, with a thread of its own that does what is
 * asked of it, group after group, as NCCL's kernels and proxies do beside the program.
 *
 *   MOTET_TEST_NCCL_FAULT=KIND:RANK:N   in the midst of that rank's N-th group, from 0:
 *       die     the process is killed           stop    it stops (SIGSTOP)
 *       stall   NCCL makes no progress any more, the program goes on
 *       error   NCCL reports an asynchronous error, and soon its peers do, too
 */
#ifndef NCCL_TEST_COMMUNICATOR_H
#define NCCL_TEST_COMMUNICATOR_H

#include <nccl.h>
#include <pthread.h>

#include "tests/nccl/device.h"
#include "tests/nccl/work.h"

typedef enum tn_fault { TN_NO_FAULT, TN_DIE, TN_STOP, TN_STALL, TN_ERROR } tn_fault;

typedef struct tn_group {
    tn_call *calls;
    int count;
    struct tn_group *next;
} tn_group;

struct ncclComm {
    int rank, ranks;
    tn_device device;
    tn_meeting *meeting;
    char path[NCCL_UNIQUE_ID_BYTES];
    tn_fault fault;
    uint64_t fault_at; /* group */
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    ncclResult_t state; /* what ncclCommGetAsyncError says */
    char error[512];
    tn_group *first;      /* to be done */
    uint64_t collectives; /* asked for */
    bool finalized, quits;
};

/* Starts the thread; the state is ncclInProgress until all ranks have come. */
ncclResult_t tn_communicator_open(struct ncclComm **comm, int ranks, const char *path, int rank);
/* Takes over the calls; they are of this communicator and right. */
ncclResult_t tn_communicator_submit(struct ncclComm *comm, tn_call *calls, int count);
ncclResult_t tn_communicator_finalize(struct ncclComm *comm);
ncclResult_t tn_communicator_state(struct ncclComm *comm);
void tn_communicator_close(struct ncclComm *comm); /* whatever is under way ends */

#endif
