/* communicator_open: which communicator a run gets (train.communicator). One rank: single. "auto":
 * NCCL between GPUs if its library is there, else MPI.
 */
#ifndef MOTET_COMMUNICATOR_OPEN_H
#define MOTET_COMMUNICATOR_OPEN_H

#include "configs/settings.h"
#include "train/communicator.h"
#include "train/ranks.h"

/* MOTET_E_USAGE if several ranks have nothing to speak through: MPI needs a launcher, NCCL that or
 * an address where rank 0 listens. */
motet_status motet_communicator_open(motet_communicator **communicator,
                                     const motet_settings *settings, const motet_ranks *ranks,
                                     const motet_backend *backend);

#endif
