/* rendezvous: where the ranks of a run find each other without MPI: rank 0 listens at HOST:PORT,
 * the others connect to it, and the connections stay open, so that the end of a process is noticed
 * within a moment, whatever the ranks are doing otherwise.
 */
#ifndef MOTET_RENDEZVOUS_H
#define MOTET_RENDEZVOUS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/core/status.h"

typedef struct motet_rendezvous motet_rendezvous;

/* All ranks call it. After timeout_s rank 0 names who has not come, and the others say that rank 0
 * is not there: MOTET_E_IO. What speaks otherwise at that port is turned away. MOTET_E_USAGE if
 * somebody counts other ranks, or two processes are the same one. */
motet_status motet_rendezvous_open(motet_rendezvous **rendezvous, const char *host, int port,
                                   int rank, int ranks, double timeout_s);

/* A TCP port that nobody uses just now, for rank 0 to tell the others. */
motet_status motet_rendezvous_port(int *port);

/* orderly: this rank is done. Otherwise the others see it as one that has given up. NULL is fine.
 */
void motet_rendezvous_close(motet_rendezvous *rendezvous, int orderly);

/* Collective: every rank gets rank 0's bytes. */
motet_status motet_rendezvous_broadcast(motet_rendezvous *rendezvous, void *data, size_t bytes,
                                        double timeout_s);

/* MOTET_E_IO, naming the rank, if one has died, has given up, or was found to keep the others
 * waiting; never waits. Rank 0 tells the others: all ranks that look now and then learn of it. */
motet_status motet_rendezvous_check(motet_rendezvous *rendezvous);

/* Tells the others that this rank waits in an exchange, whose number grows by one each time; to be
 * said four times a second for as long as it waits. */
void motet_rendezvous_beat(motet_rendezvous *rendezvous, uint32_t exchange);

/* After too long a wait in an exchange: MOTET_E_IO with the rank that has said nothing for two
 * seconds, or is furthest behind; if all wait in the same one, with that. Rank 0 decides, the
 * others ask it and wait up to two seconds. */
motet_status motet_rendezvous_blame(motet_rendezvous *rendezvous, uint32_t exchange);

#endif
