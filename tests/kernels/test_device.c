/* The opener: spellings, what is said when something is missing, and what the plug-in does with a
 * driver that it cannot use. Where plug-in or softgpu were not built, their part says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/core/log.h"
#include "kernels/device.h"

static char plugin[PATH_MAX + 64], softgpu[PATH_MAX + 64]; /* "": not built */
static char logged[1024];
static int logged_lines;

static void keep_line(void *user, motet_log_level level, const char *line) {
    (void)user;
    (void)level;
    snprintf(logged, sizeof logged, "%s", line);
    logged_lines++;
}

/* The environment's file, or the first of these paths from this program's folder that is there. */
static void find_file(char found[PATH_MAX + 64], const char *variable, const char *const *paths) {
    char folder[PATH_MAX];
    const char *named = getenv(variable);
    found[0] = 0;
    if (named) snprintf(found, PATH_MAX + 64, "%s", named);
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    folder[length > 0 ? length : 0] = 0;
    char *slash = strrchr(folder, '/');
    if (slash) slash[1] = 0;
    for (int i = 0; paths[i] && !named; i++) {
        snprintf(found, PATH_MAX + 64, "%.4000s%s", folder, paths[i]);
        if (access(found, R_OK) == 0) return;
        found[0] = 0;
    }
}

static void fails(const char *device, motet_status code, const char *part) {
    const motet_backend *backend = motet_backend_cpu();
    assert_int_equal(motet_device_open(&backend, device), code);
    assert_null(backend);
    if (!strstr(motet_error(), part)) fail_msg("'%s' has no '%s'", motet_error(), part);
}

/* auto goes on without the device, and tells why in one line. */
static void falls_back(const char *part) {
    const motet_backend *backend = NULL;
    logged_lines = 0;
    assert_int_equal(motet_device_open(&backend, "auto"), MOTET_OK);
    assert_ptr_equal(backend, motet_backend_cpu());
    assert_int_equal(logged_lines, 1);
    if (!strstr(logged, "running on the CPU: ") || !strstr(logged, part))
        fail_msg("'%s' has no '%s'", logged, part);
}

static void need(const char *file, const char *what) {
    if (file[0]) return;
    print_message("not run: %s was not built\n", what);
    skip();
}

static void use(const char *plugin_file, const char *driver_file) {
    setenv("MOTET_CUDA_PLUGIN", plugin_file, 1);
    setenv("MOTET_CUDA_DRIVER", driver_file, 1);
}

static void test_cpu(void **state) {
    (void)state;
    const motet_backend *backend = NULL;
    logged_lines = 0;
    assert_int_equal(motet_device_open(&backend, "cpu"), MOTET_OK);
    assert_ptr_equal(backend, motet_backend_cpu());
    assert_int_equal(logged_lines, 0);
}

static void test_spellings(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",        "gpu",     "CPU",   "cuda:",  "cuda:-1", "cuda: 1", "cuda:1 ",
        "cuda:01", "cuda:1x", "cuda0", "auto:0", "cpu:0",   "cuda:+1", "cuda:10000000000"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        fails(wrong[i], MOTET_E_USAGE, "auto, cpu, cuda, or cuda:N");
    fails("gpu", MOTET_E_USAGE, "'gpu'");
}

static void test_no_plugin(void **state) {
    (void)state;
    use("/nowhere/libmotet_cuda.so", "/nowhere/libcuda.so.1");
    fails("cuda", MOTET_E_UNSUPPORTED, "/nowhere/libmotet_cuda.so");
    falls_back("/nowhere/libmotet_cuda.so");
    use("libm.so.6", "/nowhere/libcuda.so.1");
    fails("cuda:1", MOTET_E_UNSUPPORTED, "has no motet_cuda_open");
    falls_back("has no motet_cuda_open");
}

static void test_no_driver(void **state) {
    (void)state;
    need(plugin, "libmotet_cuda.so");
    use(plugin, "/nowhere/libcuda.so.1");
    fails("cuda", MOTET_E_UNSUPPORTED, "there is no NVIDIA driver");
    fails("cuda:99", MOTET_E_UNSUPPORTED, "/nowhere/libcuda.so.1");
    falls_back("there is no NVIDIA driver");
    use(plugin, "libm.so.6");
    fails("cuda", MOTET_E_UNSUPPORTED, "is no CUDA driver");
}

/* Drivers that cannot be used: softgpu's pretences (tests/softgpu/driver.h). */
static void test_wrong_driver(void **state) {
    (void)state;
    need(plugin, "libmotet_cuda.so");
    need(softgpu, "softgpu");
    use(plugin, softgpu);
    setenv("SOFTGPU_VERSION", "12040", 1);
    fails("cuda", MOTET_E_UNSUPPORTED, "it supports CUDA 12.4, motet needs 13.0");
    falls_back("too old");
    unsetenv("SOFTGPU_VERSION");
    setenv("SOFTGPU_DEVICES", "0", 1);
    fails("cuda", MOTET_E_UNSUPPORTED, "finds no CUDA device");
    unsetenv("SOFTGPU_DEVICES");
    setenv("SOFTGPU_COMPUTE", "75", 1);
    fails("cuda", MOTET_E_UNSUPPORTED, "compute capability 7.5");
    falls_back("compute capability 7.5");
    unsetenv("SOFTGPU_COMPUTE");
    fails("cuda:99", MOTET_E_UNSUPPORTED, "there is no cuda:99: the driver finds 1 device");
}

/* From here on the process has its device. */
static const motet_backend *opened(void) {
    const motet_backend *backend = NULL;
    need(plugin, "libmotet_cuda.so");
    need(softgpu, "softgpu");
    use(plugin, softgpu);
    setenv("SOFTGPU_DEVICES", "2", 1);
    if (motet_device_open(&backend, "cuda:0") != MOTET_OK) fail_msg("%s", motet_error());
    return backend;
}

static void test_open(void **state) {
    (void)state;
    const motet_backend *backend = opened(), *again = NULL;
    assert_string_equal(backend->name, "cuda");
    void *const *entries = (void *const *)backend;
    for (size_t i = 0; i < sizeof *backend / sizeof *entries; i++)
        assert_non_null(entries[i]); /* no op is missing */
    assert_int_equal(motet_device_open(&again, "cuda"), MOTET_OK);
    assert_ptr_equal(again, backend);
    logged_lines = 0;
    assert_int_equal(motet_device_open(&again, "auto"), MOTET_OK);
    assert_ptr_equal(again, backend);
    assert_int_equal(logged_lines, 0);
    fails("cuda:1", MOTET_E_USAGE, "already runs on cuda:0");
}

static void test_memory(void **state) {
    (void)state;
    const motet_memory *memory = opened()->memory;
    enum { BYTES = 1000 };
    unsigned char *a = NULL, *b = NULL, *shared = NULL, host[BYTES], back[BYTES];
    assert_int_equal(memory->take((void **)&a, BYTES, MOTET_ON_DEVICE), MOTET_OK);
    assert_int_equal(memory->take((void **)&b, BYTES, MOTET_ON_DEVICE), MOTET_OK);
    assert_int_equal(memory->take((void **)&shared, BYTES, MOTET_SHARED), MOTET_OK);
    assert_int_equal((uintptr_t)a % 256, 0);
    assert_int_equal((uintptr_t)shared % 256, 0);
    for (int i = 0; i < BYTES; i++) {
        assert_int_equal(shared[i], 0);
        host[i] = (unsigned char)(i * 7 + 1), back[i] = 0xff;
    }
    assert_int_equal(memory->copy(back, a, BYTES), MOTET_OK);
    for (int i = 0; i < BYTES; i++)
        assert_int_equal(back[i], 0);
    /* Host, device, device (at an odd place), shared, host. */
    assert_int_equal(memory->copy(a, host, BYTES), MOTET_OK);
    memset(host, 0, BYTES); /* may be reused at once */
    assert_int_equal(memory->copy(b + 3, a + 1, BYTES - 3), MOTET_OK);
    assert_int_equal(memory->zero(b + 10, 5), MOTET_OK);
    assert_int_equal(memory->copy(shared, b, BYTES), MOTET_OK);
    assert_int_equal(memory->synchronize(), MOTET_OK);
    for (int i = 0; i < BYTES; i++) {
        const bool zero = i < 3 || (i >= 10 && i < 15);
        assert_int_equal(shared[i], zero ? 0 : (unsigned char)((i - 2) * 7 + 1));
    }
    assert_int_equal(memory->copy(back, shared, BYTES), MOTET_OK);
    assert_memory_equal(back, shared, BYTES);
    assert_int_equal(memory->copy(a, host, 0), MOTET_OK);
    assert_int_equal(memory->copy(a + 1, host, BYTES), MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "beyond a block of 1000 bytes"));
    assert_int_equal(memory->zero(host, BYTES), MOTET_E_USAGE);
    memory->give_back(b, MOTET_ON_DEVICE);
    memory->give_back(shared, MOTET_SHARED);
    memory->give_back(NULL, MOTET_SHARED);
    memory->give_back(a, MOTET_ON_DEVICE);
}

static void test_full(void **state) {
    (void)state;
    const motet_memory *memory = opened()->memory;
    void *block = &block;
    assert_int_equal(memory->take(&block, (size_t)1 << 45, MOTET_ON_DEVICE), MOTET_E_MEMORY);
    assert_null(block);
    assert_non_null(strstr(motet_error(), "35184372088832 bytes of device memory were wanted"));
    assert_non_null(strstr(motet_error(), "are free"));
    assert_int_equal(memory->take(&block, 0, MOTET_ON_DEVICE), MOTET_OK);
    assert_non_null(block);
    memory->give_back(block, MOTET_ON_DEVICE);
}

int main(void) {
    static const char *const plugins[] = {"../../bin/libmotet_cuda.so",
                                          "../../../bin/libmotet_cuda.so", NULL};
    static const char *const drivers[] = {"../softgpu/libcuda.so.1", NULL};
    find_file(plugin, "MOTET_CUDA_PLUGIN", plugins);
    find_file(softgpu, "MOTET_CUDA_DRIVER", drivers);
    motet_log_to(keep_line, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpu),          cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_no_plugin),    cmocka_unit_test(test_no_driver),
        cmocka_unit_test(test_wrong_driver), cmocka_unit_test(test_open),
        cmocka_unit_test(test_memory),       cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
