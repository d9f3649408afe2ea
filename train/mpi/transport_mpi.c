/* The transport on MPI: non-blocking messages that are polled, never a call that blocks, so that a
 * peer that does not answer can be named. */
#include <errno.h>
#include <mpi.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "train/mpi/plugin.h"

/* Where a rank runs: a process of another namespace cannot be looked at. */
typedef struct identity {
    char host[64];
    char space[64];
    int64_t process;
} identity;

typedef struct link {
    MPI_Comm comm;
    int rank, ranks;
    identity *identities; /* [ranks] */
    MPI_Request *requests;
    int room;
} link_mpi;

static const motet_mpi_host *host;

static motet_status fail(motet_status code, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static motet_status fail(motet_status code, int line, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return host->fail(code, __FILE__, line, text);
}
#define FAIL(code, ...) fail(code, __LINE__, __VA_ARGS__)

static motet_status fail_mpi(int result, int line, const char *what) {
    char text[MPI_MAX_ERROR_STRING] = "";
    int length;
    MPI_Error_string(result, text, &length);
    return fail(MOTET_E_IO, line, "MPI: %s failed: %s", what, text);
}
#define TRY_MPI(call, what)                                                 \
    do {                                                                    \
        int result = (call);                                                \
        if (result != MPI_SUCCESS) return fail_mpi(result, __LINE__, what); \
    } while (0)

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* What the system says of a process on this host: 'R', 'S', ..., 'T' stopped, 'Z' or 0 dead; '?'
 * if it cannot be seen from here. */
static char process_state(const link_mpi *l, int rank) {
    const identity *own = &l->identities[l->rank], *peer = &l->identities[rank];
    if (strcmp(own->host, peer->host) != 0 || strcmp(own->space, peer->space) != 0) return '?';
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)peer->process);
    FILE *file = fopen(path, "r");
    if (!file) return errno == ENOENT ? 0 : '?';
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    const char *name_end = strrchr(text, ')');
    if (length == 0) return 0; /* it went while we looked */
    return name_end && name_end[1] == ' ' ? name_end[2] : '?';
}

static int waits_for(const link_mpi *l, const motet_transfer *transfers, int count, int rank) {
    for (int i = 0; i < count; i++)
        if (transfers[i].peer == rank && l->requests[i] != MPI_REQUEST_NULL) return 1;
    return 0;
}

static motet_status name_the_dead(const link_mpi *l, const motet_transfer *transfers, int count) {
    for (int r = 0; r < l->ranks; r++) {
        if (!waits_for(l, transfers, count, r)) continue;
        char state = process_state(l, r);
        if (state == 0 || state == 'Z')
            return FAIL(MOTET_E_IO, "rank %d (process %lld on %s) has died", r,
                        (long long)l->identities[r].process, l->identities[r].host);
    }
    return MOTET_OK;
}

static motet_status name_the_late(const link_mpi *l, const motet_transfer *transfers, int count,
                                  double waited) {
    for (int r = 0; r < l->ranks; r++) {
        if (!waits_for(l, transfers, count, r)) continue;
        return FAIL(MOTET_E_IO,
                    "rank %d (process %lld on %s) %s for %.0f seconds "
                    "(train.timeout)",
                    r, (long long)l->identities[r].process, l->identities[r].host,
                    process_state(l, r) == 'T' ? "is stopped: no word from it" : "has not answered",
                    waited);
    }
    return FAIL(MOTET_E_IO, "MPI has not finished for %.0f seconds", waited);
}

/* Spins briefly, then sleeps longer and longer: others may need the core. */
static void pause_a_little(int turn) {
    if (turn < 64) return;
    struct timespec nap = {0, turn < 1024 ? 20000 : turn < 4096 ? 200000 : 1000000};
    nanosleep(&nap, NULL);
}

static motet_status wait_all(link_mpi *l, const motet_transfer *transfers, int count,
                             double timeout_s) {
    double start = seconds(), looked = start;
    for (int turn = 0;; turn++) {
        int done = 0, outcount = 0;
        /* Testsome, not Testall: it sets finished requests to null, which tells who is late. */
        int *indices = (int *)(l->requests + l->room);
        TRY_MPI(MPI_Testsome(count, l->requests, &outcount, indices, MPI_STATUSES_IGNORE),
                "MPI_Testsome");
        done = outcount == MPI_UNDEFINED;
        if (done) return MOTET_OK;
        if (outcount > 0) continue;
        pause_a_little(turn);
        double now = seconds();
        if (now - looked < 0.25) continue;
        looked = now;
        motet_status status = name_the_dead(l, transfers, count);
        if (status != MOTET_OK) return status;
        if (timeout_s > 0 && now - start > timeout_s)
            return name_the_late(l, transfers, count, now - start);
    }
}

static motet_status exchange(void *link, const motet_transfer *transfers, int count,
                             double timeout_s) {
    link_mpi *l = link;
    if (count > l->room) {
        /* The requests, and behind them as many indices. */
        void *more = realloc(l->requests, (size_t)count * (sizeof(MPI_Request) + sizeof(int)));
        if (!more) return FAIL(MOTET_E_MEMORY, "no memory for %d messages", count);
        l->requests = more;
        l->room = count;
    }
    for (int i = 0; i < count; i++)
        l->requests[i] = MPI_REQUEST_NULL;
    for (int i = 0; i < count; i++) {
        const motet_transfer *t = &transfers[i];
        if (t->receive)
            TRY_MPI(
                MPI_Irecv(t->data, (int)t->bytes, MPI_BYTE, t->peer, 0, l->comm, &l->requests[i]),
                "MPI_Irecv");
        else
            TRY_MPI(
                MPI_Isend(t->data, (int)t->bytes, MPI_BYTE, t->peer, 0, l->comm, &l->requests[i]),
                "MPI_Isend");
    }
    return wait_all(l, transfers, count, timeout_s);
}

static void abort_all(void *link, int exit_status) {
    link_mpi *l = link;
    MPI_Abort(l->comm, exit_status);
}

/* Without order nobody is waited for: MPI_Finalize would. */
static void close_link(void *link, int orderly) {
    link_mpi *l = link;
    if (orderly) {
        MPI_Comm_free(&l->comm);
        MPI_Finalize();
    }
    free(l->requests);
    free(l->identities);
    free(l);
}

static motet_transport transport = {
    .name = "mpi", .exchange = exchange, .abort = abort_all, .close = close_link};

static identity identify(void) {
    identity own = {.process = (int64_t)getpid()};
    gethostname(own.host, sizeof own.host - 1);
    ssize_t length = readlink("/proc/self/ns/pid", own.space, sizeof own.space - 1);
    own.space[length > 0 ? length : 0] = 0;
    return own;
}

static motet_status start(link_mpi *l) {
    int provided;
    TRY_MPI(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided), "MPI_Init");
    transport.threads = provided >= MPI_THREAD_SERIALIZED;
    if (provided < MPI_THREAD_FUNNELED)
        return FAIL(MOTET_E_UNSUPPORTED, "this MPI does not work beside threads");
    TRY_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &l->comm), "MPI_Comm_dup");
    TRY_MPI(MPI_Comm_set_errhandler(l->comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    TRY_MPI(MPI_Comm_rank(l->comm, &l->rank), "MPI_Comm_rank");
    TRY_MPI(MPI_Comm_size(l->comm, &l->ranks), "MPI_Comm_size");
    l->identities = calloc((size_t)l->ranks, sizeof *l->identities);
    if (!l->identities) return FAIL(MOTET_E_MEMORY, "no memory for %d ranks", l->ranks);
    identity own = identify();
    TRY_MPI(MPI_Allgather(&own, sizeof own, MPI_BYTE, l->identities, sizeof own, MPI_BYTE, l->comm),
            "MPI_Allgather");
    return MOTET_OK;
}

__attribute__((visibility("default"))) motet_mpi_open_fn motet_mpi_open;

motet_status motet_mpi_open(motet_mpi_session *session, const motet_mpi_host *table) {
    if (table->abi != MOTET_MPI_ABI)
        return table->fail(MOTET_E_UNSUPPORTED, __FILE__, __LINE__,
                           "libmotet_mpi.so and the program are of different versions: install "
                           "both from one build");
    host = table;
    link_mpi *l = calloc(1, sizeof *l);
    if (!l) return FAIL(MOTET_E_MEMORY, "no memory for MPI");
    motet_status status = start(l);
    if (status != MOTET_OK) {
        close_link(l, 0);
        return status;
    }
    *session = (motet_mpi_session){l->rank, l->ranks, &transport, l};
    return MOTET_OK;
}
