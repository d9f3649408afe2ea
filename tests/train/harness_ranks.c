#include "tests/train/harness_ranks.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { RING = 1 << 18 };

/* One for each ordered pair: bytes written and read so far. */
typedef struct ring {
    _Atomic uint64_t head, tail;
    unsigned char bytes[RING];
} ring;

typedef struct link {
    ring *rings; /* [ranks, ranks] from, to */
    int rank, ranks;
} link_memory;

/* Moves what fits; the number of bytes moved. */
static size_t move(ring *r, int receive, unsigned char *data, size_t bytes) {
    uint64_t head = atomic_load(&r->head), tail = atomic_load(&r->tail);
    size_t most = receive ? (size_t)(head - tail) : RING - (size_t)(head - tail);
    if (most > bytes) most = bytes;
    for (size_t i = 0; i < most; i++) {
        if (receive)
            data[i] = r->bytes[(tail + i) % RING];
        else
            r->bytes[(head + i) % RING] = data[i];
    }
    atomic_store(receive ? &r->tail : &r->head, (receive ? tail : head) + most);
    return most;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static motet_status exchange(void *link, const motet_transfer *transfers, int count,
                             double timeout_s) {
    link_memory *l = link;
    size_t *done = calloc((size_t)count, sizeof *done);
    unsigned char *busy = malloc(2 * (size_t)l->ranks);
    double start = seconds();
    int idle = 0;
    motet_status status = done && busy ? MOTET_OK : MOTET_FAIL(MOTET_E_MEMORY, "no memory");
    for (int left = 1; left && status == MOTET_OK;) {
        int waits_for = -1;
        size_t moved = 0;
        left = 0;
        memset(busy, 0, 2 * (size_t)l->ranks);
        for (int i = 0; i < count; i++) {
            const motet_transfer *t = &transfers[i];
            int way = 2 * t->peer + t->receive;
            if (done[i] == t->bytes || busy[way]) continue;
            ring *r =
                &l->rings[t->receive ? t->peer * l->ranks + l->rank : l->rank * l->ranks + t->peer];
            size_t now =
                move(r, t->receive, (unsigned char *)t->data + done[i], t->bytes - done[i]);
            done[i] += now;
            moved += now;
            if (done[i] == t->bytes) continue;
            busy[way] = 1;
            left = 1;
            waits_for = t->peer;
        }
        if (moved) start = seconds();
        if (left && timeout_s > 0 && seconds() - start > timeout_s)
            status = MOTET_FAIL(MOTET_E_IO, "rank %d has not answered", waits_for);
        idle = moved ? 0 : idle + 1;
        if (left && idle > 20) nanosleep(&(struct timespec){0, 100000}, NULL);
    }
    free(done);
    free(busy);
    return status;
}

static void abort_all(void *link, int exit_status) {
    (void)link, (void)exit_status;
}

static void close_link(void *link, int orderly) {
    (void)orderly;
    free(link);
}

static const motet_transport transport = {
    .name = "memory", .threads = 1, .exchange = exchange, .abort = abort_all, .close = close_link};

void *ranks_share(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail_msg("no shared memory");
    return memory;
}

void ranks_unshare(void *memory, size_t bytes) {
    munmap(memory, bytes);
}

static int be_rank(ring *rings, int rank, int ranks, const motet_backend *backend,
                   size_t staging_bytes, double timeout_s, rank_fn *work, void *user) {
    /* What fails in here ends this process, instead of going on with the next test. */
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (int i = 0; i < 5; i++)
        signal(signals[i], SIG_DFL);
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    link_memory *l = malloc(sizeof *l);
    motet_communicator *c;
    if (!l) return 0;
    *l = (link_memory){rings, rank, ranks};
    if (motet_communicator_make(&c, &transport, l, backend, rank, ranks, staging_bytes)) return 0;
    c->timeout_s = timeout_s;
    int good = work(c, user);
    motet_communicator_close(c);
    return good;
}

void ranks_run(int ranks, const motet_backend *backend, size_t staging_bytes, double timeout_s,
               rank_fn *work, void *user) {
    size_t bytes = (size_t)ranks * (size_t)ranks * sizeof(ring);
    ring *rings = ranks_share(bytes);
    pid_t children[64];
    int bad = 0;
    assert_in_range(ranks, 1, 64);
    fflush(stdout);
    fflush(stderr);
    for (int r = 0; r < ranks; r++) {
        children[r] = fork();
        if (children[r] == 0)
            _exit(!be_rank(rings, r, ranks, backend, staging_bytes, timeout_s, work, user));
    }
    for (int r = 0; r < ranks; r++) {
        int status = 0;
        if (children[r] < 0 || waitpid(children[r], &status, 0) < 0 || status != 0) bad++;
    }
    ranks_unshare(rings, bytes);
    if (bad) fail_msg("%d of %d ranks failed", bad, ranks);
}
