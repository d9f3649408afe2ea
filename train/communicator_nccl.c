#include "train/communicator_nccl.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "kernels/core/log.h"
#include "train/communicator_mpi.h"
#include "train/nccl_library.h"
#include "train/rendezvous.h"

typedef struct link {
    const motet_nccl_library *nccl;
    void *comm, *stream;
    motet_rendezvous *rendezvous; /* NULL: nobody watches */
    motet_mpi_session mpi;
    int rank;
    uint32_t exchanges; /* so far */
} link_nccl;

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static motet_status fail(const link_nccl *l, int result, const char *what) {
    const char *more = l->comm ? l->nccl->last_error(l->comm) : NULL;
    return MOTET_FAIL(MOTET_E_IO, "NCCL on rank %d: %s: %s%s%.200s", l->rank, what,
                      l->nccl->error_text(result), more && *more ? ": " : "", more ? more : "");
}

static int is_bad(int result) {
    return result != MOTET_NCCL_SUCCESS && result != MOTET_NCCL_IN_PROGRESS;
}

/* NCCL does not say which peer has failed; the rendezvous will in a moment. */
static motet_status fail_async(const link_nccl *l, int async, const char *what) {
    for (int i = 0; i < 200 && l->rendezvous; i++) {
        MOTET_TRY(motet_rendezvous_check(l->rendezvous));
        if (async != MOTET_NCCL_REMOTE_ERROR) break;
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    return fail(l, async, what);
}

static motet_status fail_late(link_nccl *l, const char *what, double waited_s) {
    const char *hint = "a rank hangs or cannot be reached";
    if (l->rendezvous) {
        (void)motet_rendezvous_blame(l->rendezvous, l->exchanges);
        hint = motet_error();
    }
    char sentence[300];
    snprintf(sentence, sizeof sentence, "%s", hint);
    return MOTET_FAIL(MOTET_E_IO, "%s (NCCL: %s: not done after %.0f seconds, train.timeout)",
                      sentence, what, waited_s);
}

/* Asks NCCL and the rendezvous now and then until done says so. */
typedef int done_fn(const link_nccl *l, int async); /* 1 yes, 0 not yet, -1 failed */

static motet_status wait_until(link_nccl *l, done_fn *done, const char *what, double timeout_s) {
    double start = seconds(), looked = start;
    for (int turn = 0;; turn++) {
        int async = MOTET_NCCL_SUCCESS;
        int result = l->nccl->async_error(l->comm, &async);
        if (is_bad(result)) return fail(l, result, what);
        if (is_bad(async)) return fail_async(l, async, what);
        int answer = done(l, async);
        if (answer > 0) return MOTET_OK;
        if (answer < 0)
            return MOTET_FAIL(MOTET_E_IO, "%s: the CUDA driver reports an error on NCCL's stream",
                              what);
        if (turn < 1000) continue;
        nanosleep(&(struct timespec){0, 20000}, NULL);
        double now = seconds();
        if (now - looked < 0.25) continue;
        looked = now;
        if (l->rendezvous) {
            motet_rendezvous_beat(l->rendezvous, l->exchanges);
            MOTET_TRY(motet_rendezvous_check(l->rendezvous));
        }
        if (timeout_s > 0 && now - start > timeout_s) return fail_late(l, what, now - start);
    }
}

static int settled(const link_nccl *l, int async) {
    (void)l;
    return async == MOTET_NCCL_SUCCESS;
}

static int drained(const link_nccl *l, int async) {
    if (async == MOTET_NCCL_IN_PROGRESS) return 0;
    int result = l->nccl->stream_query(l->stream);
    return result == MOTET_CUDA_SUCCESS ? 1 : result == MOTET_CUDA_NOT_READY ? 0 : -1;
}

/* NCCL takes everything down with it: whatever the stream waits for ends. */
static void give_up(link_nccl *l) {
    if (l->comm) l->nccl->abort(l->comm);
    l->comm = NULL;
}

static motet_status post(link_nccl *l, const motet_transfer *t) {
    int result =
        t->receive
            ? l->nccl->receive(t->data, t->bytes, MOTET_NCCL_CHAR, t->peer, l->comm, l->stream)
            : l->nccl->send(t->data, t->bytes, MOTET_NCCL_CHAR, t->peer, l->comm, l->stream);
    return is_bad(result) ? fail(l, result, t->receive ? "ncclRecv" : "ncclSend") : MOTET_OK;
}

static motet_status run_group(link_nccl *l, const motet_transfer *transfers, int count,
                              double timeout_s) {
    int result = l->nccl->group_start();
    if (is_bad(result)) return fail(l, result, "ncclGroupStart");
    motet_status status = MOTET_OK;
    for (int i = 0; i < count && status == MOTET_OK; i++)
        status = post(l, &transfers[i]);
    result = l->nccl->group_end();
    if (status == MOTET_OK && is_bad(result)) status = fail(l, result, "ncclGroupEnd");
    if (status != MOTET_OK) return status;
    return wait_until(l, drained, "exchanging", timeout_s);
}

/* The communicator has waited for the back-end's own stream before. */
static motet_status exchange(void *link, const motet_transfer *transfers, int count,
                             double timeout_s) {
    link_nccl *l = link;
    if (!l->comm) return MOTET_FAIL(MOTET_E_IO, "NCCL was aborted");
    l->exchanges++;
    motet_status status = run_group(l, transfers, count, timeout_s);
    if (status != MOTET_OK) give_up(l);
    return status;
}

static void abort_all(void *link, int exit_status) {
    link_nccl *l = link;
    give_up(l);
    if (l->mpi.transport) l->mpi.transport->abort(l->mpi.link, exit_status);
    motet_rendezvous_close(l->rendezvous, 0);
    l->rendezvous = NULL;
}

static void close_link(void *link, int orderly) {
    link_nccl *l = link;
    if (l->comm && orderly) {
        int result = l->nccl->finalize(l->comm);
        if (is_bad(result) || wait_until(l, settled, "closing", 10) != MOTET_OK) orderly = 0;
    }
    if (l->comm && orderly)
        l->nccl->destroy(l->comm);
    else
        give_up(l);
    if (l->stream) l->nccl->stream_destroy(l->stream);
    motet_rendezvous_close(l->rendezvous, orderly);
    if (l->mpi.transport) l->mpi.transport->close(l->mpi.link, orderly);
    free(l);
}

static const motet_transport transport = {.name = "nccl",
                                          .device = 1,
                                          .threads = 1,
                                          .exchange = exchange,
                                          .abort = abort_all,
                                          .close = close_link};

/* What rank 0 tells the others where MPI has started them. */
typedef struct word {
    motet_nccl_id id;
    char host[256];
    int port; /* 0: there is none */
} word;

static motet_status tell_by_mpi(link_nccl *l, word *said, int ranks, double timeout_s) {
    int count = l->rank == 0 ? ranks - 1 : 1;
    motet_transfer *transfers = calloc((size_t)count, sizeof *transfers);
    if (!transfers) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %d ranks", count);
    for (int i = 0; i < count; i++)
        transfers[i] = (motet_transfer){.peer = l->rank == 0 ? i + 1 : 0,
                                        .receive = l->rank != 0,
                                        .host = 1,
                                        .bytes = sizeof *said,
                                        .data = said};
    motet_status status = l->mpi.transport->exchange(l->mpi.link, transfers, count, timeout_s);
    free(transfers);
    return status;
}

/* *good: 1 if it was on every rank. */
static motet_status all_by_mpi(link_nccl *l, int *good, int ranks, double timeout_s) {
    int *said = calloc((size_t)ranks, sizeof *said), count = 0, own = *good;
    motet_transfer *transfers = calloc(2 * (size_t)ranks, sizeof *transfers);
    motet_status status =
        said && transfers ? MOTET_OK : MOTET_FAIL(MOTET_E_MEMORY, "no memory for %d ranks", ranks);
    for (int r = 0; r < ranks && status == MOTET_OK; r++) {
        motet_transfer t = {.peer = r, .host = 1, .bytes = sizeof own, .data = &own};
        if (r == l->rank) continue;
        transfers[count++] = t;
        t.receive = 1, t.data = &said[r];
        transfers[count++] = t;
    }
    if (status == MOTET_OK)
        status = l->mpi.transport->exchange(l->mpi.link, transfers, count, timeout_s);
    for (int r = 0; r < ranks && status == MOTET_OK; r++)
        *good &= r == l->rank || said[r];
    free(said);
    free(transfers);
    return status;
}

/* MPI carries the id, and where rank 0 listens: who has died is only noticed over sockets. Without
 * them (a firewall) NCCL works all the same. */
static motet_status share_by_mpi(link_nccl *l, motet_nccl_id *id, const motet_ranks *ranks,
                                 double timeout_s) {
    static const double meet_s = 15;
    word said = {.id = *id};
    MOTET_TRY(motet_mpi_session_open(&l->mpi));
    if (l->mpi.rank != ranks->rank || l->mpi.ranks != ranks->ranks)
        return MOTET_FAIL(MOTET_E_USAGE, "MPI says rank %d of %d, %s: rank %d of %d", l->mpi.rank,
                          l->mpi.ranks, ranks->source, ranks->rank, ranks->ranks);
    if (l->rank == 0 && (gethostname(said.host, sizeof said.host - 1) != 0 ||
                         motet_rendezvous_port(&said.port) != MOTET_OK))
        said.port = 0;
    MOTET_TRY(tell_by_mpi(l, &said, ranks->ranks, timeout_s));
    *id = said.id;
    int met = said.port && motet_rendezvous_open(&l->rendezvous, said.host, said.port, ranks->rank,
                                                 ranks->ranks, meet_s) == MOTET_OK;
    MOTET_TRY(all_by_mpi(l, &met, ranks->ranks, timeout_s > 0 ? timeout_s + meet_s : 0));
    if (met) return MOTET_OK;
    motet_rendezvous_close(l->rendezvous, 1);
    l->rendezvous = NULL;
    if (l->rank == 0)
        motet_log(MOTET_LOG_WARN, "ranks cannot reach each other at %s: who dies is not named",
                  said.host);
    return MOTET_OK;
}

static motet_status share(link_nccl *l, motet_nccl_id *id, const motet_ranks *ranks,
                          double timeout_s) {
    if (ranks->ranks == 1) return MOTET_OK;
    if (*ranks->host) {
        MOTET_TRY(motet_rendezvous_open(&l->rendezvous, ranks->host, ranks->port, ranks->rank,
                                        ranks->ranks, timeout_s));
        return motet_rendezvous_broadcast(l->rendezvous, id, sizeof *id, timeout_s);
    }
    if (ranks->mpi) return share_by_mpi(l, id, ranks, timeout_s);
    return MOTET_FAIL(MOTET_E_USAGE,
                      "rank %d of %d (%s) does not know where rank 0 is: set MASTER_ADDR and "
                      "MASTER_PORT, give --master HOST:PORT, or start with mpirun",
                      ranks->rank, ranks->ranks, ranks->source);
}

static motet_status start(link_nccl *l, const motet_backend *backend, const motet_ranks *ranks,
                          double timeout_s) {
    motet_nccl_id id = {{0}};
    l->rank = ranks->rank;
    MOTET_TRY(motet_nccl_library_open(&l->nccl));
    if (ranks->rank == 0) {
        int result = l->nccl->id(&id);
        if (is_bad(result)) return fail(l, result, "ncclGetUniqueId");
    }
    MOTET_TRY(share(l, &id, ranks, timeout_s));
    MOTET_TRY(backend->memory->synchronize()); /* makes the device this thread's */
    if (l->nccl->stream_create(&l->stream, MOTET_CUDA_NON_BLOCKING) != MOTET_CUDA_SUCCESS)
        return MOTET_FAIL(MOTET_E_IO, "the CUDA driver has no stream for NCCL");
    motet_nccl_config config = {.size = sizeof config,
                                .magic = 0xcafebeef,
                                .version = 21800,
                                .blocking = 0,
                                .cga_cluster_size = INT_MIN,
                                .min_ctas = INT_MIN,
                                .max_ctas = INT_MIN,
                                .split_share = INT_MIN};
    int result = l->nccl->init(&l->comm, ranks->ranks, id, ranks->rank, &config);
    if (is_bad(result)) return fail(l, result, "ncclCommInitRankConfig");
    return wait_until(l, settled, "starting", timeout_s);
}

motet_status motet_nccl_load(void) {
    const motet_nccl_library *library;
    return motet_nccl_library_open(&library);
}

motet_status motet_communicator_nccl_open(motet_communicator **communicator,
                                          const motet_backend *backend, const motet_ranks *ranks,
                                          double timeout_s) {
    *communicator = NULL;
    if (backend->memory == &motet_host_memory)
        return MOTET_FAIL(MOTET_E_USAGE, "NCCL speaks between GPUs: on the CPU use MPI");
    link_nccl *l = calloc(1, sizeof *l);
    if (!l) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for NCCL");
    motet_status status = start(l, backend, ranks, timeout_s);
    if (status != MOTET_OK) {
        close_link(l, 0);
        return status;
    }
    return motet_communicator_make(communicator, &transport, l, backend, ranks->rank, ranks->ranks,
                                   0);
}
