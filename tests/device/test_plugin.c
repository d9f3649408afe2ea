/* The plug-in's own parts, without the ops: launches, graphs, complaints, threads, on the driver
 * that MOTET_CUDA_DRIVER names (softgpu), or with MOTET_TEST_DEVICE=cuda on the system's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/cuda/device.h"
#include "kernels/cuda/graph.h"
#include "kernels/cuda/host_status.h"
#include "tests/harness_add.h"

static motet_cuda_module module = {"test", (const unsigned char *)add_ptx, NULL};
static motet_cuda_kernel add = {&module, "add", NULL, 0};
static const motet_memory *const memory = &motet_cuda_memory;

/* ---- The program's side of the plug-in's errors. */
static char sentence[1024];
static int logged;

static motet_status host_fail(motet_status code, const char *file, int line, const char *text) {
    assert_true(file && line > 0);
    snprintf(sentence, sizeof sentence, "%s", text);
    return code;
}
static motet_status host_fail_prefix(motet_status code, const char *prefix) {
    char text[1024];
    snprintf(text, sizeof text, "%.200s: %.800s", prefix, sentence);
    memcpy(sentence, text, sizeof sentence);
    return code;
}
static const char *host_error(void) {
    return sentence;
}
static void host_log(motet_log_level level, const char *line) {
    assert_int_equal(level, MOTET_LOG_WARN);
    assert_string_equal(line, "3 lines");
    logged++;
}
static motet_cuda_host host = {MOTET_CUDA_ABI,   host_fail,  sizeof(motet_backend),
                               host_fail_prefix, host_error, host_error,
                               host_log,         NULL};

static void ok(motet_status status) {
    if (status != MOTET_OK) fail_msg("%s", sentence);
}
static void fails(motet_status status, motet_status code, const char *part) {
    assert_int_equal(status, code);
    if (!strstr(sentence, part)) fail_msg("'%s' has no '%s'", sentence, part);
}

/* ---- The driver under test. */
static char softgpu[PATH_MAX + 64];
static bool no_driver; /* softgpu was not built */

static void choose_driver(void) {
    const char *device = getenv("MOTET_TEST_DEVICE");
    host.driver = getenv("MOTET_CUDA_DRIVER");
    if (host.driver || (device && strcmp(device, "cuda") == 0)) return;
    char folder[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    folder[length > 0 ? length : 0] = 0;
    char *slash = strrchr(folder, '/');
    if (slash) *slash = 0;
    snprintf(softgpu, sizeof softgpu, "%s/../softgpu/libcuda.so.1", folder);
    if (access(softgpu, R_OK) == 0)
        host.driver = softgpu;
    else
        no_driver = true;
}

static void *take(motet_placement placement) {
    void *block;
    ok(memory->take(&block, sizeof(int), placement));
    return block;
}

static int int_at(const void *block) {
    int value = -1;
    ok(memory->copy(&value, block, sizeof value));
    return value;
}

static motet_status launch(void *sum, int value) {
    return motet_cuda_launch(&add, (motet_cuda_grid){1, 1, 1}, 1, 0, MOTET_CUDA_ARGS(&sum, &value));
}

static void test_host(void **state) {
    (void)state;
    motet_cuda_host other = host;
    other.abi = MOTET_CUDA_ABI + 1;
    fails(motet_cuda_host_set(&other), MOTET_E_UNSUPPORTED, "install both from one build");
    other = host;
    other.backend_bytes--;
    fails(motet_cuda_host_set(&other), MOTET_E_UNSUPPORTED, "back-end table");
    ok(motet_cuda_host_set(&host));
    fails(MOTET_FAIL(MOTET_E_DATA, "byte %d is wrong", 7), MOTET_E_DATA, "byte 7 is wrong");
    fails(motet_fail_prefix(MOTET_E_IO, "file %s", "x"), MOTET_E_IO, "file x: byte 7 is wrong");
    assert_string_equal(motet_error(), "file x: byte 7 is wrong");
    motet_log(MOTET_LOG_WARN, "%d lines", 3);
    assert_int_equal(logged, 1);
    fails(motet_cuda_device_open(-1, host.driver), MOTET_E_USAGE, "numbered from 0");
}

static void test_open(void **state) {
    (void)state;
    assert_null(motet_cuda_get_device());
    ok(motet_cuda_device_open(0, host.driver));
    assert_true(motet_cuda_get_limits().compute >= 80);
    assert_true(motet_cuda_get_limits().multiprocessors > 0);
    assert_true(motet_cuda_get_limits().shared_bytes >= 96 << 10);
    assert_int_equal((uintptr_t)motet_cuda_workspace() % 256, 0);
    assert_non_null(motet_cuda_workspace());
    ok(motet_cuda_device_open(0, host.driver));
}

static void test_launch(void **state) {
    (void)state;
    int *shared = take(MOTET_SHARED);
    void *block = take(MOTET_ON_DEVICE), **none = MOTET_CUDA_ARGS(NULL);
    ok(launch(shared, 3));
    ok(launch(shared, 4));
    ok(launch(block, 5));
    ok(memory->synchronize());
    assert_int_equal(*shared, 7); /* at the host's own address */
    assert_int_equal(int_at(block), 5);
    ok(motet_cuda_launch(&add, (motet_cuda_grid){1, 0, 1}, 1, 0, none)); /* nothing to do */
    fails(motet_cuda_launch(&add, (motet_cuda_grid){1, 65536, 1}, 1, 0, none), MOTET_E_USAGE,
          "add wants a grid of 1 x 65536 x 1");
    fails(motet_cuda_launch(&add, (motet_cuda_grid){-1, 1, 1}, 1, 0, none), MOTET_E_USAGE, "grid");
    fails(motet_cuda_launch(&add, (motet_cuda_grid){1, 1, 1}, 1025, 0, none), MOTET_E_USAGE,
          "blocks of 1025 threads");
    fails(motet_cuda_launch(&add, (motet_cuda_grid){1, 1, 1}, 1, (size_t)1 << 20, none),
          MOTET_E_UNSUPPORTED, "1048576 bytes of shared memory");
    motet_cuda_kernel missing = {&module, "subtract", NULL, 0};
    fails(motet_cuda_launch(&missing, (motet_cuda_grid){1, 1, 1}, 1, 0, none), MOTET_E_UNSUPPORTED,
          "cuModuleGetFunction failed while looking for the kernel subtract of test: "
          "CUDA_ERROR_NOT_FOUND");
    /* More shared memory than a block has without asking. */
    int value = 1;
    ok(motet_cuda_launch(&add, (motet_cuda_grid){1, 1, 1}, 1, 64 << 10,
                         MOTET_CUDA_ARGS(&block, &value)));
    assert_int_equal(int_at(block), 6);
    memory->give_back(shared, MOTET_SHARED);
    memory->give_back(block, MOTET_ON_DEVICE);
}

static void *launch_elsewhere(void *sum) {
    for (int i = 0; i < 10; i++)
        if (launch(sum, 1) != MOTET_OK) return NULL;
    return sum;
}

static void test_threads(void **state) {
    (void)state;
    void *sum = take(MOTET_ON_DEVICE), *result[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, launch_elsewhere, sum), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &result[i]);
        assert_ptr_equal(result[i], sum);
    }
    assert_int_equal(int_at(sum), 40);
    memory->give_back(sum, MOTET_ON_DEVICE);
}

static void test_complaints(void **state) {
    (void)state;
    motet_complaint *slot = motet_cuda_complaints();
    ok(memory->synchronize());
    *slot = (motet_complaint){.code = MOTET_COMPLAINT_EMBED_ID, .row = 3, .value = 1400};
    fails(memory->synchronize(), MOTET_E_USAGE, "embed: row 3 has id 1400, beyond the table");
    ok(memory->synchronize());
    *slot = (motet_complaint){.code = 999};
    fails(memory->synchronize(), MOTET_E_IO, "complaint 999");
    ok(memory->synchronize());
}

static void test_graph(void **state) {
    (void)state;
    void *sum = take(MOTET_ON_DEVICE), *copy = take(MOTET_SHARED);
    motet_cuda_graph graph = {0};
    fails(motet_cuda_graph_launch(&graph), MOTET_E_USAGE, "empty");
    ok(motet_cuda_graph_begin());
    ok(launch(sum, 3));
    ok(launch(sum, 4));
    ok(memory->copy(copy, sum, sizeof(int)));
    ok(motet_cuda_graph_end(&graph));
    assert_int_equal(graph.nodes, 3);
    assert_int_equal(int_at(sum), 0);
    for (int i = 1; i <= 3; i++) {
        ok(motet_cuda_graph_launch(&graph));
        ok(memory->synchronize());
        assert_int_equal(*(int *)copy, 7 * i);
        assert_int_equal(graph.launches, i);
    }
    motet_cuda_graph_free(&graph);
    assert_null(graph.executable);
    motet_cuda_graph_free(&graph);
    /* Waiting cannot be captured; the stream works again afterwards. */
    ok(motet_cuda_graph_begin());
    fails(memory->synchronize(), MOTET_E_IO, "cuStreamSynchronize failed while waiting for cuda:0");
    fails(motet_cuda_graph_end(&graph), MOTET_E_IO, "cuStreamEndCapture failed while ending");
    assert_null(graph.executable);
    ok(launch(sum, 1));
    assert_int_equal(int_at(sum), 22);
    memory->give_back(sum, MOTET_ON_DEVICE);
    memory->give_back(copy, MOTET_SHARED);
}

static void test_timer(void **state) {
    (void)state;
    void *sum = take(MOTET_ON_DEVICE);
    motet_cuda_timer timer = {0};
    float milliseconds = -1;
    fails(motet_cuda_timer_read(&timer, &milliseconds), MOTET_E_USAGE, "not started");
    for (int i = 0; i < 2; i++) {
        ok(motet_cuda_timer_start(&timer));
        ok(launch(sum, 1));
        ok(motet_cuda_timer_stop(&timer));
        ok(motet_cuda_timer_read(&timer, &milliseconds));
        assert_true(milliseconds >= 0 && milliseconds < 60000);
    }
    motet_cuda_timer_free(&timer);
    memory->give_back(sum, MOTET_ON_DEVICE);
}

/* Closing gives everything back, and kernels forget what they were loaded as. */
static void test_again(void **state) {
    (void)state;
    (void)take(MOTET_ON_DEVICE);
    (void)take(MOTET_SHARED);
    motet_cuda_device_close();
    assert_null(motet_cuda_get_device());
    assert_true(!module.handle && !add.function);
    int value = 0;
    fails(launch(&value, 1), MOTET_E_USAGE, "closed");
    fails(memory->synchronize(), MOTET_E_USAGE, "closed");
    ok(motet_cuda_device_open(0, host.driver));
    void *sum = take(MOTET_ON_DEVICE);
    ok(launch(sum, 9));
    assert_int_equal(int_at(sum), 9);
}

static void test_rest(void **state) {
    (void)state;
    print_message("not run: softgpu was not built (make test-softgpu builds it)\n");
    skip();
}

int main(void) {
    choose_driver();
    const struct CMUnitTest without[] = {cmocka_unit_test(test_rest)};
    if (no_driver) return cmocka_run_group_tests(without, NULL, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host),       cmocka_unit_test(test_open),
        cmocka_unit_test(test_launch),     cmocka_unit_test(test_threads),
        cmocka_unit_test(test_complaints), cmocka_unit_test(test_graph),
        cmocka_unit_test(test_timer),      cmocka_unit_test(test_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
