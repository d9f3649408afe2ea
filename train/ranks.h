/* ranks: which rank of how many this process is, from flags and from what launchers leave in the
 * environment:
 *
 *   flags       --ranks, --rank, --local-rank, --master HOST:PORT
 *   torchrun    RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT
 *   Open MPI    OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE
 *   Slurm       SLURM_PROCID, SLURM_STEP_NUM_TASKS (or SLURM_NTASKS), SLURM_LOCALID; only where
 *               SLURM_STEP_ID says that srun started us, for a batch script has the others, too
 *   PMIx        PMIX_RANK: a rank, but no size
 *
 * Nothing of it: one rank.
 */
#ifndef MOTET_RANKS_H
#define MOTET_RANKS_H

#include "kernels/core/status.h"

typedef struct motet_ranks {
    int rank, ranks;
    int local_rank;  /* on this host; 0 if nobody says */
    int local_ranks; /* 0 if nobody says */
    int mpi;         /* MPI_Init will find its launcher: mpirun's, or srun --mpi=pmix */
    char source[32]; /* who said so, for people; "" for one rank */
    char host[256];  /* where rank 0 listens; "" if nobody says */
    int port;
} motet_ranks;

typedef struct motet_rank_flags {
    const char *rank, *ranks, *local_rank, *master; /* as typed; NULL: not given */
} motet_rank_flags;

/* The value of a variable, NULL if it is not set: a program passes getenv. */
typedef const char *motet_variable_fn(const char *name);

/* MOTET_E_USAGE, naming variables and values: half of a pair is missing, a number is none, a rank
 * is not below its size, two sources disagree. */
motet_status motet_ranks_find(motet_ranks *ranks, const motet_rank_flags *flags,
                              motet_variable_fn *variable);

/* The device that a rank means by what the user wrote (train.device): among several ranks "cuda" is
 * the one with its local rank, unless visible (CUDA_VISIBLE_DEVICES, may be NULL) names only one.
 * "auto" is left as it is: the first GPU, or the CPU. */
void motet_ranks_device(char device[64], const char *wanted, const motet_ranks *ranks,
                        const char *visible);

#endif
