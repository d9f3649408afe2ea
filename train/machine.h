/* machine: what a plan (cluster_plan.h) believes of hardware, in one table. A row is one kind of
 * node; the constants are what is reached, not what is advertised, and say where they come from.
 */
#ifndef MOTET_MACHINE_H
#define MOTET_MACHINE_H

#include "kernels/core/status.h"

typedef struct motet_machine {
    const char *name, *what;
    double flops;          /* of a rank in products, a second */
    double update_flops;   /* of a rank in Muon's products */
    double memory_bytes_s; /* of a rank, read and written */
    double device_bytes;   /* memory of a rank; 0: the host's, not checked */
    double link_bytes_s;   /* of a rank to others of its node, each way */
    double net_bytes_s;    /* to other nodes */
    double message_s;      /* a message to one peer, beside its bytes */
    int host;              /* ranks are processes on CPUs */
    const char *source;
} motet_machine;

/* By name: MOTET_E_USAGE lists those there are. */
motet_status motet_machine_find(const motet_machine **machine, const char *name);

#endif
