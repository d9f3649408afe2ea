/* communicator_nccl: ranks on GPUs that speak NCCL (2.18 or newer), whose library, libnccl.so.2, is
 * opened when a run needs it; MOTET_NCCL names another file. NCCL only carries bytes here (grouped
 * sends and receives): sums are motet's own, in motet's order, so that a run has the same bits on
 * any number of GPUs that communicator.h says; ncclAllReduce promises no order.
 *
 * Nothing blocks: the communicator is made non-blocking, work goes to a stream of its own that is
 * polled together with NCCL's asynchronous errors and the rendezvous, and a time-out or an error
 * aborts NCCL, which frees the stream.
 */
#ifndef MOTET_COMMUNICATOR_NCCL_H
#define MOTET_COMMUNICATOR_NCCL_H

#include "train/communicator.h"
#include "train/ranks.h"

/* Whether NCCL can be opened; otherwise why not (MOTET_E_UNSUPPORTED). */
motet_status motet_nccl_load(void);

/* NCCL's id goes from rank 0 to the others over a rendezvous at ranks->host:port if there is one,
 * else over MPI if the launcher is MPI's (then they meet at a port of rank 0's), else
 * MOTET_E_USAGE. One rank needs neither. backend: a CUDA device's. Fails with
 * MOTET_E_IO after timeout_s: a rank is missing, or cannot be reached. */
motet_status motet_communicator_nccl_open(motet_communicator **communicator,
                                          const motet_backend *backend, const motet_ranks *ranks,
                                          double timeout_s);

#endif
