/* Which rank this is: what launchers leave in the environment, flags, and what contradicts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "train/ranks.h"

/* "NAME=value", NULL at the end. */
static const char *const *environment;

static const char *variable(const char *name) {
    size_t length = strlen(name);
    for (int i = 0; environment[i]; i++)
        if (!strncmp(environment[i], name, length) && environment[i][length] == '=')
            return environment[i] + length + 1;
    return NULL;
}

static motet_status find(motet_ranks *ranks, const motet_rank_flags *flags,
                         const char *const *variables) {
    const motet_rank_flags none = {0};
    environment = variables;
    return motet_ranks_find(ranks, flags ? flags : &none, variable);
}
#define ENV(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect(const motet_ranks *r, int rank, int ranks, int local_rank, int local_ranks,
                   int mpi, const char *source) {
    assert_int_equal(r->rank, rank);
    assert_int_equal(r->ranks, ranks);
    assert_int_equal(r->local_rank, local_rank);
    assert_int_equal(r->local_ranks, local_ranks);
    assert_int_equal(r->mpi, mpi);
    assert_string_equal(r->source, source);
}

static void test_launchers(void **state) {
    (void)state;
    motet_ranks r;
    assert_int_equal(find(&r, NULL, ENV("HOME=/root")), MOTET_OK);
    expect(&r, 0, 1, 0, 0, 0, "");
    assert_int_equal(find(&r, NULL,
                          ENV("RANK=3", "WORLD_SIZE=8", "LOCAL_RANK=1", "LOCAL_WORLD_SIZE=2",
                              "MASTER_ADDR=node7", "MASTER_PORT=29500")),
                     MOTET_OK);
    expect(&r, 3, 8, 1, 2, 0, "torchrun");
    assert_string_equal(r.host, "node7");
    assert_int_equal(r.port, 29500);
    assert_int_equal(find(&r, NULL,
                          ENV("OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=4", "PMIX_RANK=1",
                              "OMPI_COMM_WORLD_LOCAL_RANK=1", "OMPI_COMM_WORLD_LOCAL_SIZE=4")),
                     MOTET_OK);
    expect(&r, 1, 4, 1, 4, 1, "Open MPI");
    assert_string_equal(r.host, "");
    /* srun, with and without --mpi=pmix */
    assert_int_equal(find(&r, NULL,
                          ENV("SLURM_PROCID=5", "SLURM_NTASKS=6", "SLURM_LOCALID=1",
                              "SLURM_STEP_ID=0", "PMIX_RANK=5")),
                     MOTET_OK);
    expect(&r, 5, 6, 1, 0, 1, "Slurm");
    /* a step smaller than its job */
    assert_int_equal(
        find(&r, NULL,
             ENV("SLURM_PROCID=1", "SLURM_NTASKS=6", "SLURM_STEP_NUM_TASKS=2", "SLURM_STEP_ID=3")),
        MOTET_OK);
    expect(&r, 1, 2, 0, 0, 0, "Slurm");
    /* a batch script is no task */
    assert_int_equal(find(&r, NULL, ENV("SLURM_PROCID=0", "SLURM_NTASKS=6", "SLURM_LOCALID=0")),
                     MOTET_OK);
    expect(&r, 0, 1, 0, 0, 0, "");
    /* torchrun's variables set beside mpirun's */
    assert_int_equal(find(&r, NULL,
                          ENV("RANK=1", "WORLD_SIZE=2", "MASTER_ADDR=h", "MASTER_PORT=1",
                              "OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=2",
                              "OMPI_COMM_WORLD_LOCAL_RANK=1")),
                     MOTET_OK);
    expect(&r, 1, 2, 1, 0, 1, "torchrun");
}

static void test_flags(void **state) {
    (void)state;
    motet_ranks r;
    motet_rank_flags f = {"2", "4", "1", "[::1]:4000"};
    assert_int_equal(find(&r, &f, ENV("A=b")), MOTET_OK);
    expect(&r, 2, 4, 1, 0, 0, "flags");
    assert_string_equal(r.host, "[::1]");
    assert_int_equal(r.port, 4000);
    f = (motet_rank_flags){.rank = "0", .ranks = "1"};
    assert_int_equal(find(&r, &f, ENV("A=b")), MOTET_OK);
    expect(&r, 0, 1, 0, 0, 0, "flags");
}

/* One sentence that has all of these. */
static void refuse(const motet_rank_flags *flags, const char *const *variables, const char *a,
                   const char *b) {
    motet_ranks r;
    assert_int_equal(find(&r, flags, variables), MOTET_E_USAGE);
    if (!strstr(motet_error(), a) || !strstr(motet_error(), b))
        fail_msg("\"%s\" has no \"%s\" or no \"%s\"", motet_error(), a, b);
}

static void test_refusals(void **state) {
    (void)state;
    motet_rank_flags f = {.rank = "1"};
    refuse(NULL, ENV("WORLD_SIZE=2"), "WORLD_SIZE is 2", "RANK is missing");
    refuse(NULL, ENV("RANK=1"), "RANK is 1", "WORLD_SIZE is missing");
    refuse(NULL, ENV("OMPI_COMM_WORLD_SIZE=2"), "OMPI_COMM_WORLD_SIZE", "is missing");
    refuse(NULL, ENV("SLURM_STEP_ID=0", "SLURM_PROCID=1"), "SLURM_PROCID is 1", "is missing");
    refuse(&f, ENV("A=b"), "--rank is 1", "--ranks is missing");
    refuse(NULL, ENV("RANK=2", "WORLD_SIZE=2"), "RANK is 2", "WORLD_SIZE is 2");
    refuse(NULL, ENV("RANK=-1", "WORLD_SIZE=2"), "RANK", "\"-1\"");
    refuse(NULL, ENV("RANK=0", "WORLD_SIZE=0"), "WORLD_SIZE", "\"0\"");
    refuse(NULL, ENV("RANK=0", "WORLD_SIZE=2x"), "WORLD_SIZE", "\"2x\"");
    refuse(NULL, ENV("RANK=0", "WORLD_SIZE=99999999999"), "WORLD_SIZE", "99999999999");
    refuse(NULL, ENV("RANK=0", "WORLD_SIZE=2", "OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=2"),
           "torchrun: rank 0 of 2", "Open MPI: rank 1 of 2");
    f = (motet_rank_flags){.rank = "0", .ranks = "3"};
    refuse(&f, ENV("SLURM_PROCID=0", "SLURM_NTASKS=2", "SLURM_STEP_ID=0"), "flags: rank 0 of 3",
           "Slurm: rank 0 of 2");
    refuse(NULL, ENV("PMIX_RANK=1"), "PMIX_RANK is 1", "how many");
    refuse(NULL, ENV("RANK=0", "WORLD_SIZE=2", "PMIX_RANK=1"), "PMIX_RANK is 1", "rank 0 of 2");
    refuse(NULL, ENV("RANK=0", "WORLD_SIZE=2", "LOCAL_RANK=2", "LOCAL_WORLD_SIZE=2"),
           "local rank 2", "2");
    refuse(NULL, ENV("RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=h"), "MASTER_ADDR is h", "MASTER_PORT");
    refuse(NULL, ENV("RANK=0", "WORLD_SIZE=2", "MASTER_PORT=1"), "MASTER_PORT is 1", "MASTER_ADDR");
    refuse(NULL, ENV("RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=h", "MASTER_PORT=70000"), "70000",
           "port");
    f = (motet_rank_flags){.rank = "0", .ranks = "3", .master = "host"};
    refuse(&f, ENV("A=b"), "--master", "HOST:PORT");
    f.master = ":5";
    refuse(&f, ENV("A=b"), "--master", "host");
}

static void test_device(void **state) {
    (void)state;
    char device[64];
    motet_ranks r = {.rank = 5, .ranks = 8, .local_rank = 1}, one = {.ranks = 1};
    motet_ranks_device(device, "cuda", &r, NULL);
    assert_string_equal(device, "cuda:1");
    motet_ranks_device(device, "cuda", &r, "0,1,2,3");
    assert_string_equal(device, "cuda:1");
    motet_ranks_device(device, "cuda", &r, "3");
    assert_string_equal(device, "cuda");
    motet_ranks_device(device, "cuda:2", &r, NULL);
    assert_string_equal(device, "cuda:2");
    motet_ranks_device(device, "cpu", &r, NULL);
    assert_string_equal(device, "cpu");
    motet_ranks_device(device, "cuda", &one, NULL);
    assert_string_equal(device, "cuda");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_launchers),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_device),
    };
    return cmocka_run_group_tests_name("communicator_ranks", tests, NULL, NULL);
}
