/* Ranks that meet over TCP: the id arrives, who is missing is named, who dies is noticed. Processes
 * of this test, at a port of 127.0.0.1 that the system chooses. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "train/communicator_nccl.h"
#include "train/rendezvous.h"

static int free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s >= 0);
    assert_int_equal(bind(s, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(s, (struct sockaddr *)&address, &length), 0);
    close(s);
    return ntohs(address.sin_port);
}

static void nap(double seconds) {
    nanosleep(&(struct timespec){(time_t)seconds, (long)(1e9 * (seconds - (int)seconds))}, NULL);
}

/* Until it says something, 5 seconds at most. */
static motet_status watch(motet_rendezvous *r) {
    motet_status status = MOTET_OK;
    for (int i = 0; i < 500 && status == MOTET_OK; i++) {
        status = motet_rendezvous_check(r);
        nap(0.01);
    }
    return status;
}

enum { RANKS = 4 };
typedef int work_fn(int rank, int port);

static void run(int ranks, work_fn *work) {
    int port = free_port(), bad = 0;
    pid_t children[RANKS];
    fflush(stdout);
    fflush(stderr);
    for (int r = 0; r < ranks; r++) {
        children[r] = fork();
        if (children[r] == 0) {
            int good = work(r, port);
            if (!good) fprintf(stderr, "rank %d: %s\n", r, motet_error());
            _exit(!good);
        }
    }
    for (int r = 0; r < ranks; r++) {
        int status = 0;
        assert_int_equal(waitpid(children[r], &status, 0), children[r]);
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) continue; /* as planned */
        bad += status != 0;
    }
    if (bad) fail_msg("%d of %d ranks failed", bad, ranks);
}

static int meet(int rank, int port) {
    motet_rendezvous *r;
    char id[128] = {0};
    if (rank == 0) {
        nap(0.2); /* the others come first, and try again */
        for (int i = 0; i < 128; i++)
            id[i] = (char)(i * 3 + 1);
    }
    if (motet_rendezvous_open(&r, "127.0.0.1", port, rank, RANKS, 20) != MOTET_OK) return 0;
    if (motet_rendezvous_broadcast(r, id, sizeof id, 20) != MOTET_OK) return 0;
    for (int i = 0; i < 128; i++)
        if (id[i] != (char)(i * 3 + 1)) return 0;
    if (motet_rendezvous_check(r) != MOTET_OK) return 0;
    /* Some leave early, in order: no harm. */
    nap(0.1 * rank);
    if (motet_rendezvous_check(r) != MOTET_OK) return 0;
    motet_rendezvous_close(r, 1);
    return 1;
}

static void test_meet(void **state) {
    (void)state;
    run(RANKS, meet);
}

static int two_are_late(int rank, int port) {
    motet_rendezvous *r;
    if (rank == 1 || rank == 3) return 1;
    if (motet_rendezvous_open(&r, "127.0.0.1", port, rank, RANKS, 0.7) != MOTET_E_IO) return 0;
    return rank ? strstr(motet_error(), "rank 0 ") != NULL
                : strstr(motet_error(), "2 of 4 ranks") && strstr(motet_error(), ": 1, 3");
}

static int root_is_late(int rank, int port) {
    motet_rendezvous *r;
    if (rank == 0) return 1;
    return motet_rendezvous_open(&r, "127.0.0.1", port, rank, RANKS, 0.3) == MOTET_E_IO &&
           strstr(motet_error(), "rank 0 has not answered") != NULL;
}

static void test_missing(void **state) {
    (void)state;
    run(RANKS, two_are_late);
    run(RANKS, root_is_late);
}

static int other_count(int rank, int port) {
    motet_rendezvous *r;
    if (motet_rendezvous_open(&r, "127.0.0.1", port, rank, rank ? 3 : 2, 5) != MOTET_E_USAGE)
        return 0;
    return rank ? strstr(motet_error(), "rank 1 of 3") != NULL
                : strstr(motet_error(), "rank 1 counts 3 ranks, rank 0 counts 2") != NULL;
}

/* Both say that they are rank 1; rank 0 tells one of them, whichever comes second. */
static int twice(int rank, int port) {
    motet_rendezvous *r;
    motet_status status = motet_rendezvous_open(&r, "127.0.0.1", port, rank ? 1 : 0, 4, 1);
    if (rank == 0) return status == MOTET_E_USAGE && strstr(motet_error(), "rank 1 of 4");
    return status != MOTET_OK;
}

static void test_contradictions(void **state) {
    (void)state;
    run(2, other_count);
    run(3, twice);
}

/* Rank 2 is killed: all others name it, well within five seconds. */
static int one_dies(int rank, int port) {
    motet_rendezvous *r;
    if (motet_rendezvous_open(&r, "127.0.0.1", port, rank, RANKS, 20) != MOTET_OK) return 0;
    if (rank == 2) {
        nap(0.1);
        raise(SIGKILL);
    }
    int named = watch(r) == MOTET_E_IO && strstr(motet_error(), "rank 2 has died") != NULL;
    nap(rank == 0 ? 0.3 : 0); /* so that it is not rank 0 that is missed */
    motet_rendezvous_close(r, 0);
    return named;
}

static int root_dies(int rank, int port) {
    motet_rendezvous *r;
    if (motet_rendezvous_open(&r, "127.0.0.1", port, rank, RANKS, 20) != MOTET_OK) return 0;
    if (rank == 0) raise(SIGKILL);
    int named = watch(r) == MOTET_E_IO && strstr(motet_error(), "rank 0 has died") != NULL;
    motet_rendezvous_close(r, 0);
    return named;
}

static void test_deaths(void **state) {
    (void)state;
    run(RANKS, one_dies);
    run(RANKS, root_dies);
}

/* Rank 1 closes because of an error of its own. */
static int one_gives_up(int rank, int port) {
    motet_rendezvous *r;
    if (motet_rendezvous_open(&r, "127.0.0.1", port, rank, RANKS, 20) != MOTET_OK) return 0;
    int named = rank == 1 ||
                (watch(r) == MOTET_E_IO && strstr(motet_error(), "rank 1 has given up") != NULL);
    nap(rank == 0 ? 0.3 : 0);
    motet_rendezvous_close(r, 0);
    return named;
}

/* All wait in one exchange, rank 2 in an earlier one: the numbers have wrapped. */
static int one_is_behind(int rank, int port) {
    motet_rendezvous *r;
    uint32_t exchange = rank == 2 ? UINT32_MAX : 2;
    if (motet_rendezvous_open(&r, "127.0.0.1", port, rank, RANKS, 20) != MOTET_OK) return 0;
    motet_rendezvous_beat(r, exchange);
    nap(0.6);
    int named = rank == 2 || (motet_rendezvous_blame(r, exchange) == MOTET_E_IO &&
                              strstr(motet_error(), "rank 2 keeps the others waiting") != NULL);
    nap(rank == 0 || rank == 2 ? 0.5 : 0);
    (void)motet_rendezvous_check(r); /* rank 0 answers the others */
    nap(rank == 0 ? 0.3 : 0);
    motet_rendezvous_close(r, 1);
    return named;
}

/* Rank 3 says nothing for longer than two seconds, the others do. */
static int one_is_silent(int rank, int port) {
    motet_rendezvous *r;
    if (motet_rendezvous_open(&r, "127.0.0.1", port, rank, RANKS, 20) != MOTET_OK) return 0;
    for (int i = 0; i < 12; i++, nap(0.2))
        if (rank != 3) motet_rendezvous_beat(r, 7);
    int named = rank == 3 || (motet_rendezvous_blame(r, 7) == MOTET_E_IO &&
                              strstr(motet_error(), "rank 3 keeps the others waiting") != NULL);
    nap(rank == 0 || rank == 3 ? 0.5 : 0);
    (void)motet_rendezvous_check(r);
    nap(rank == 0 ? 0.3 : 0);
    motet_rendezvous_close(r, 1);
    return named;
}

static int nobody_is_late(int rank, int port) {
    motet_rendezvous *r;
    if (motet_rendezvous_open(&r, "127.0.0.1", port, rank, RANKS, 20) != MOTET_OK) return 0;
    motet_rendezvous_beat(r, 7);
    nap(0.6);
    int same = motet_rendezvous_blame(r, 7) == MOTET_E_IO &&
               strstr(motet_error(), "all ranks wait in the same exchange") != NULL;
    nap(0.3);
    (void)motet_rendezvous_check(r);
    nap(0.3);
    motet_rendezvous_close(r, 1);
    return same;
}

static void test_late(void **state) {
    (void)state;
    run(RANKS, one_gives_up);
    run(RANKS, one_is_behind);
    run(RANKS, one_is_silent);
    run(RANKS, nobody_is_late);
}

/* A port scanner, and one who says nothing: neither keeps the ranks apart. */
static int strangers(int rank, int port) {
    motet_rendezvous *r;
    if (rank < 2) {
        if (motet_rendezvous_open(&r, "127.0.0.1", port, rank, 2, 20) != MOTET_OK) return 0;
        motet_rendezvous_close(r, 1);
        return 1;
    }
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < 20; i++) {
        int s = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(s, (struct sockaddr *)&address, sizeof address) == 0 && rank == 2)
            (void)!write(s, "GET / HTTP/1.0\r\n\r\n", 18);
        nap(0.01);
        close(s);
    }
    return 1;
}

static void test_strangers(void **state) {
    (void)state;
    run(4, strangers);
}

/* Where NCCL is, all that is called of it is there; where not, a sentence says so. */
static void test_library(void **state) {
    (void)state;
    setenv("MOTET_NCCL", "/nowhere/libnccl.so.2", 1);
    assert_int_equal(motet_nccl_load(), MOTET_E_UNSUPPORTED);
    assert_non_null(strstr(motet_error(), "/nowhere/libnccl.so.2"));
    unsetenv("MOTET_NCCL");
    motet_communicator *c;
    motet_ranks ranks = {.ranks = 2};
    assert_int_equal(motet_communicator_nccl_open(&c, motet_backend_cpu(), &ranks, 1),
                     MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "MPI"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meet),           cmocka_unit_test(test_missing),
        cmocka_unit_test(test_contradictions), cmocka_unit_test(test_deaths),
        cmocka_unit_test(test_strangers),      cmocka_unit_test(test_library),
        cmocka_unit_test(test_late),
    };
    return cmocka_run_group_tests_name("communicator_rendezvous", tests, NULL, NULL);
}
