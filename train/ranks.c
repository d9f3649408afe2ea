#include "train/ranks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct source {
    const char *label;
    const char *rank, *ranks, *local_rank, *local_ranks; /* names of variables or flags */
} source;

enum { FLAGS, TORCHRUN, OPEN_MPI, SLURM, SOURCES };
static const source sources[SOURCES] = {
    {"flags", "--rank", "--ranks", "--local-rank", NULL},
    {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", NULL},
};

static motet_status read_number(int *number, const char *name, const char *text, int lowest) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end || errno || value < lowest || value > 1000000)
        return MOTET_FAIL(MOTET_E_USAGE, "%s is \"%.40s\": it must be a number from %d", name, text,
                          lowest);
    *number = (int)value;
    return MOTET_OK;
}

/* What a source has of a variable. */
static const char *look(int which, const char *name, const motet_rank_flags *flags,
                        motet_variable_fn *variable) {
    if (!name) return NULL;
    if (which == FLAGS) {
        const source *s = &sources[FLAGS];
        return name == s->rank ? flags->rank : name == s->ranks ? flags->ranks : flags->local_rank;
    }
    if (which == SLURM && !variable("SLURM_STEP_ID")) return NULL;
    const char *value = variable(name);
    return value && *value ? value : NULL;
}

static motet_status read_source(motet_ranks *found, int which, const motet_rank_flags *flags,
                                motet_variable_fn *variable) {
    source s = sources[which];
    const char *rank = look(which, s.rank, flags, variable);
    const char *ranks = look(which, s.ranks, flags, variable);
    if (which == SLURM && !ranks) ranks = look(which, s.ranks = "SLURM_NTASKS", flags, variable);
    found->ranks = 0;
    if (!rank && !ranks) return MOTET_OK;
    if (!rank || !ranks)
        return MOTET_FAIL(MOTET_E_USAGE, "%s is %.40s, but %s is missing: set both or none",
                          rank ? s.rank : s.ranks, rank ? rank : ranks, rank ? s.ranks : s.rank);
    MOTET_TRY(read_number(&found->rank, s.rank, rank, 0));
    MOTET_TRY(read_number(&found->ranks, s.ranks, ranks, 1));
    if (found->rank >= found->ranks)
        return MOTET_FAIL(MOTET_E_USAGE, "%s is %d, but %s is %d: ranks count from 0", s.rank,
                          found->rank, s.ranks, found->ranks);
    const char *local = look(which, s.local_rank, flags, variable);
    const char *locals = look(which, s.local_ranks, flags, variable);
    found->local_rank = -1;
    if (local) MOTET_TRY(read_number(&found->local_rank, s.local_rank, local, 0));
    if (locals) MOTET_TRY(read_number(&found->local_ranks, s.local_ranks, locals, 1));
    snprintf(found->source, sizeof found->source, "%s", s.label);
    return MOTET_OK;
}

static motet_status merge(motet_ranks *all, const motet_ranks *one) {
    if (!one->ranks) return MOTET_OK;
    if (!all->ranks) {
        *all = *one;
        return MOTET_OK;
    }
    if (all->rank != one->rank || all->ranks != one->ranks)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "%s: rank %d of %d, but %s: rank %d of %d: unset what is left over from "
                          "another launcher",
                          all->source, all->rank, all->ranks, one->source, one->rank, one->ranks);
    if (all->local_rank < 0) all->local_rank = one->local_rank;
    if (!all->local_ranks) all->local_ranks = one->local_ranks;
    return MOTET_OK;
}

static motet_status read_port(motet_ranks *ranks, const char *name, const char *text) {
    MOTET_TRY(read_number(&ranks->port, name, text, 1));
    if (ranks->port > 65535)
        return MOTET_FAIL(MOTET_E_USAGE, "%s: %d is no port: 1 to 65535", name, ranks->port);
    return MOTET_OK;
}

static motet_status copy_host(motet_ranks *ranks, const char *name, const char *text,
                              size_t length) {
    if (!length || length >= sizeof ranks->host)
        return MOTET_FAIL(MOTET_E_USAGE, "%s: \"%.60s\" is no host", name, text);
    memcpy(ranks->host, text, length);
    ranks->host[length] = 0;
    return MOTET_OK;
}

static motet_status read_master(motet_ranks *ranks, const motet_rank_flags *flags,
                                motet_variable_fn *variable) {
    if (flags->master) {
        const char *colon = strrchr(flags->master, ':');
        if (!colon)
            return MOTET_FAIL(MOTET_E_USAGE, "--master: \"%.60s\" is not HOST:PORT", flags->master);
        MOTET_TRY(copy_host(ranks, "--master", flags->master, (size_t)(colon - flags->master)));
        return read_port(ranks, "--master", colon + 1);
    }
    const char *host = variable("MASTER_ADDR"), *port = variable("MASTER_PORT");
    if (!host && !port) return MOTET_OK;
    if (!host || !port)
        return MOTET_FAIL(MOTET_E_USAGE, "%s is %.60s, but %s is missing: set both or none",
                          host ? "MASTER_ADDR" : "MASTER_PORT", host ? host : port,
                          host ? "MASTER_PORT" : "MASTER_ADDR");
    MOTET_TRY(copy_host(ranks, "MASTER_ADDR", host, strlen(host)));
    return read_port(ranks, "MASTER_PORT", port);
}

/* PMIx says a rank only; srun --mpi=pmix and mpirun set it beside their own. */
static motet_status check_pmix(motet_ranks *ranks, motet_variable_fn *variable) {
    const char *text = variable("PMIX_RANK");
    int rank = 0;
    if (variable("OMPI_COMM_WORLD_RANK")) ranks->mpi = 1;
    if (!text) return MOTET_OK;
    MOTET_TRY(read_number(&rank, "PMIX_RANK", text, 0));
    if (!ranks->ranks)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "PMIX_RANK is %d, but nothing says how many ranks there are: start with "
                          "mpirun or srun --mpi=pmix, or give --rank and --ranks",
                          rank);
    if (rank != ranks->rank)
        return MOTET_FAIL(MOTET_E_USAGE, "PMIX_RANK is %d, but %s: rank %d of %d", rank,
                          ranks->source, ranks->rank, ranks->ranks);
    ranks->mpi = 1;
    return MOTET_OK;
}

motet_status motet_ranks_find(motet_ranks *ranks, const motet_rank_flags *flags,
                              motet_variable_fn *variable) {
    motet_ranks all = {0};
    for (int which = 0; which < SOURCES; which++) {
        motet_ranks one = {0};
        MOTET_TRY(read_source(&one, which, flags, variable));
        MOTET_TRY(merge(&all, &one));
    }
    MOTET_TRY(check_pmix(&all, variable));
    if (!all.ranks) all.ranks = 1;
    if (all.local_rank < 0) all.local_rank = 0;
    if (all.local_ranks && all.local_rank >= all.local_ranks)
        return MOTET_FAIL(MOTET_E_USAGE, "%s: local rank %d of %d: ranks count from 0", all.source,
                          all.local_rank, all.local_ranks);
    if (all.ranks > 1) MOTET_TRY(read_master(&all, flags, variable));
    *ranks = all;
    return MOTET_OK;
}

void motet_ranks_device(char device[64], const char *wanted, const motet_ranks *ranks,
                        const char *visible) {
    int one = visible && *visible && !strchr(visible, ',');
    snprintf(device, 64, "%s", wanted);
    if (!strcmp(wanted, "cuda") && ranks->ranks > 1 && !one)
        snprintf(device, 64, "cuda:%d", ranks->local_rank);
}
