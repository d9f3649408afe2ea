#include "train/communicator_open.h"

#include <string.h>

#include "kernels/core/log.h"
#include "train/communicator_mpi.h"
#include "train/communicator_nccl.h"

static motet_status open_mpi(motet_communicator **c, const motet_ranks *ranks,
                             const motet_backend *backend) {
    if (!ranks->mpi)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "rank %d of %d (%s), but no MPI launcher: start with mpirun -n %d or "
                          "srun --mpi=pmix",
                          ranks->rank, ranks->ranks, ranks->source, ranks->ranks);
    return motet_communicator_mpi_open(c, backend, ranks->rank, ranks->ranks);
}

/* NCCL where there is a GPU and the library; MPI carries GPUs' data, too, over the host. */
static motet_status choose(int *nccl, const char *wanted, int ranks, const motet_backend *backend) {
    int automatic = !strcmp(wanted, "auto"), host = backend->memory == &motet_host_memory;
    *nccl = !strcmp(wanted, "nccl");
    if (!automatic && !*nccl && strcmp(wanted, "mpi") != 0)
        return MOTET_FAIL(MOTET_E_USAGE, "train.communicator = %.40s is none of auto, mpi, nccl",
                          wanted);
    if (!automatic || host || ranks == 1) return MOTET_OK;
    *nccl = motet_nccl_load() == MOTET_OK;
    if (!*nccl) motet_log(MOTET_LOG_WARN, "gradients travel over MPI: %s", motet_error());
    return MOTET_OK;
}

motet_status motet_communicator_open(motet_communicator **c, const motet_settings *settings,
                                     const motet_ranks *ranks, const motet_backend *backend) {
    int nccl;
    *c = motet_communicator_single();
    MOTET_TRY(choose(&nccl, settings->train_communicator, ranks->ranks, backend));
    if (ranks->ranks == 1) return MOTET_OK;
    motet_communicator *opened;
    if (nccl)
        MOTET_TRY(motet_communicator_nccl_open(&opened, backend, ranks,
                                               (double)settings->train_start_timeout));
    else
        MOTET_TRY(open_mpi(&opened, ranks, backend));
    *c = opened;
    return MOTET_OK;
}
