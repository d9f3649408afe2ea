/* transport: how bytes get from one rank to another; the communicator's collectives are written on
 * it once. A table of functions and a link, which is the transport's own.
 */
#ifndef MOTET_TRANSPORT_H
#define MOTET_TRANSPORT_H

#include <stddef.h>

#include "kernels/core/status.h"

typedef struct motet_transfer {
    int peer;     /* rank; never one's own */
    int receive;  /* 1: into data, 0: out of it */
    int host;     /* the communicator's note: data is in the host's memory */
    size_t bytes; /* > 0 */
    void *data;
} motet_transfer;

typedef struct motet_transport {
    const char *name;
    int device;  /* data must be in the back-end's memory; 0: in the host's */
    int threads; /* any thread may call, one at a time; 0: only the one that opened it */
    /* Runs all transfers at once and waits for them; data of different transfers do not overlap but
     * between sends. Between two ranks the n-th send meets the n-th receive, of the same size.
     * MOTET_E_IO names a peer that has died, or keeps one waiting longer than timeout_s (0: for
     * ever). */
    motet_status (*exchange)(void *link, const motet_transfer *transfers, int count,
                             double timeout_s);
    void (*abort)(void *link, int exit_status); /* may not return */
    /* orderly: after success. Otherwise peers may be gone, and none is waited for. */
    void (*close)(void *link, int orderly);
} motet_transport;

#endif
