/* communicator_mpi: ranks that speak MPI, through the plug-in libmotet_mpi.so (train/mpi), which is
 * looked for beside the running program, in ../lib/motet from there, and where the system's loader
 * looks; MOTET_MPI_PLUGIN names another file.
 */
#ifndef MOTET_COMMUNICATOR_MPI_H
#define MOTET_COMMUNICATOR_MPI_H

#include "train/communicator.h"
#include "train/mpi/plugin.h"

/* Starts MPI, once a process, and only under a launcher (ranks.h). MOTET_E_UNSUPPORTED: no plug-in.
 * The session's link is the caller's to close. */
motet_status motet_mpi_session_open(motet_mpi_session *session);

/* The same as a communicator; MOTET_E_USAGE if MPI counts other ranks than the launcher's variables
 * say (rank, ranks). */
motet_status motet_communicator_mpi_open(motet_communicator **communicator,
                                         const motet_backend *backend, int rank, int ranks);

#endif
