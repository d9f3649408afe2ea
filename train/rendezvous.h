/* rendezvous: where the ranks of a run find each other without MPI: rank 0 listens at HOST:PORT,
 * the others connect to it, and the connections stay open, so that the end of a process is noticed
 * within a moment, whatever the ranks are doing otherwise.
 */
#ifndef MOTET_RENDEZVOUS_H
#define MOTET_RENDEZVOUS_H

#include <stddef.h>

#include "kernels/core/status.h"

typedef struct motet_rendezvous motet_rendezvous;

/* All ranks call it. After timeout_s rank 0 names who has not come, and the others say that rank 0
 * is not there: MOTET_E_IO. What speaks otherwise at that port is turned away. MOTET_E_USAGE if
 * somebody counts other ranks, or two processes are the same one. */
motet_status motet_rendezvous_open(motet_rendezvous **rendezvous, const char *host, int port,
                                   int rank, int ranks, double timeout_s);

/* orderly: this rank is done. Otherwise the others see it as one that has died. NULL is fine. */
void motet_rendezvous_close(motet_rendezvous *rendezvous, int orderly);

/* Collective: every rank gets rank 0's bytes. */
motet_status motet_rendezvous_broadcast(motet_rendezvous *rendezvous, void *data, size_t bytes,
                                        double timeout_s);

/* MOTET_E_IO, naming the rank, if one has died; never waits. Rank 0 tells the others: all ranks
 * that look now and then learn of it. */
motet_status motet_rendezvous_check(motet_rendezvous *rendezvous);

#endif
