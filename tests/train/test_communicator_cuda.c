/* Ranks on GPUs that speak NCCL: one alone, and two where there are two GPUs. Over softgpu with the
 * tests' NCCL (make test-softgpu), or on GPUs with the real one (MOTET_TEST_DEVICE=cuda). */
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/device.h"
#include "train/communicator_nccl.h"
#include "train/rendezvous.h"

enum { COUNT = 10007, ABSENT = 77 };

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "%s:%d: %s; %s\n", __FILE__, __LINE__, #condition, motet_error()); \
            return 1;                                                                          \
        }                                                                                      \
    } while (0)

static int sums(motet_communicator *c, const motet_backend *backend) {
    float *host = malloc(COUNT * sizeof *host);
    void *device;
    CHECK(host &&
          backend->memory->take(&device, COUNT * sizeof *host, MOTET_ON_DEVICE) == MOTET_OK);
    for (int i = 0; i < COUNT; i++)
        host[i] = (float)((c->rank + 1) * (i % 100));
    CHECK(backend->memory->copy(device, host, COUNT * sizeof *host) == MOTET_OK);
    CHECK(motet_communicator_all_reduce(c, device, COUNT, MOTET_WIRE_F32) == MOTET_OK);
    CHECK(backend->memory->copy(host, device, COUNT * sizeof *host) == MOTET_OK);
    for (int i = 0; i < COUNT; i++)
        CHECK(host[i] == (float)(c->ranks * (c->ranks + 1) / 2 * (i % 100)));
    double numbers[3] = {1, 2, c->rank}; /* the host's travel through the device */
    CHECK(motet_communicator_all_reduce(c, numbers, 3, MOTET_WIRE_F64) == MOTET_OK);
    CHECK(numbers[1] == 2 * c->ranks && numbers[2] == c->ranks * (c->ranks - 1) / 2);
    char word[8] = "";
    if (c->rank == 0) memcpy(word, "motet", 6);
    CHECK(motet_communicator_broadcast(c, word, sizeof word, MOTET_WIRE_BYTES, 0) == MOTET_OK);
    CHECK(!strcmp(word, "motet"));
    backend->memory->give_back(device, MOTET_ON_DEVICE);
    free(host);
    return 0;
}

static int be_rank(int rank, int ranks, int port) {
    motet_ranks who = {.rank = rank, .ranks = ranks, .local_rank = rank, .port = port};
    const motet_backend *backend;
    motet_communicator *c;
    char device[16];
    snprintf(who.host, sizeof who.host, "127.0.0.1");
    snprintf(device, sizeof device, "cuda:%d", rank);
    if (motet_device_open(&backend, device) != MOTET_OK) {
        fprintf(stderr, "%s\n", motet_error());
        return rank ? ABSENT : 1;
    }
    CHECK(motet_communicator_nccl_open(&c, backend, &who, 30) == MOTET_OK);
    c->timeout_s = 30;
    int bad = sums(c, backend);
    motet_communicator_close(c);
    return bad;
}

/* Skips where there are not so many GPUs. */
static void run(int ranks) {
    pid_t children[2];
    int port, bad = 0, absent = 0;
    assert_int_equal(motet_rendezvous_port(&port), MOTET_OK);
    fflush(stdout);
    fflush(stderr);
    for (int r = ranks - 1; r >= 0; r--) {
        children[r] = fork();
        if (children[r] == 0) exit(be_rank(r, ranks, port));
    }
    for (int r = ranks - 1; r >= 0; r--) {
        int status = 0;
        assert_true(children[r] > 0 && waitpid(children[r], &status, 0) > 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == ABSENT) {
            absent = 1;
            kill(children[0], SIGKILL); /* it waits for this one */
        } else if (status != 0 && !absent) {
            bad++;
        }
    }
    if (bad) fail_msg("%d of %d ranks failed", bad, ranks);
    if (absent) {
        print_message("not run: there is one GPU\n");
        skip();
    }
}

static void need_device(void) {
    const char *device = getenv("MOTET_TEST_DEVICE"), *driver = getenv("MOTET_CUDA_DRIVER");
    char path[PATH_MAX];
    if (!device || strcmp(device, "cuda") != 0) {
        print_message("not run: no device\n");
        skip();
    }
    if (!driver) return;
    snprintf(path, sizeof path, "%s", driver);
    char *slash = strrchr(path, '/');
    if (!slash) return;
    snprintf(slash, sizeof path - (size_t)(slash - path), "/../nccl/libnccl.so.2");
    if (access(path, F_OK) == 0) setenv("MOTET_NCCL", path, 1);
    setenv("SOFTGPU_DEVICES", "2", 1);
}

static void test_one(void **state) {
    (void)state;
    need_device();
    run(1);
}

static void test_two(void **state) {
    (void)state;
    need_device();
    run(2);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one), cmocka_unit_test(test_two)};
    return cmocka_run_group_tests_name("communicator_cuda", tests, NULL, NULL);
}
