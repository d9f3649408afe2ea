/* plugin: what libmotet_mpi.so and the program that opens it agree on. MPI is in a plug-in so that
 * one build of motet-train runs with and without it, and so that a run of one process never loads
 * it. The plug-in has no errors of its own: the program hands it its own.
 */
#ifndef MOTET_MPI_PLUGIN_H
#define MOTET_MPI_PLUGIN_H

#include "train/transport.h"

/* Raised by whoever changes this file or transport.h. */
#define MOTET_MPI_ABI 2

typedef struct motet_mpi_host {
    /* These two keep place and meaning for ever, so that a plug-in can always refuse politely. */
    int abi; /* MOTET_MPI_ABI of the program */
    motet_status (*fail)(motet_status code, const char *file, int line, const char *sentence);
} motet_mpi_host;

typedef struct motet_mpi_session {
    int rank, ranks;
    const motet_transport *transport;
    void *link;
} motet_mpi_session;

/* MPI_Init and a communicator of our own; once a process. The host table must live as long as the
 * process. Call it only under a launcher (ranks.h): MPI_Init may end a process that has none. */
typedef motet_status motet_mpi_open_fn(motet_mpi_session *session, const motet_mpi_host *host);
#define MOTET_MPI_OPEN "motet_mpi_open"

#endif
