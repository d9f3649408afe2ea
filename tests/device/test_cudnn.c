/* Attention through cuDNN without a GPU. cuDNN itself, where it is installed, is asked for plans
 * for an H100 and an A100 that are elsewhere: it takes our graphs, has engines for them, and
 * compiles their kernels. Nothing is run. And what is said where cuDNN cannot be had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cudnn_plan.h"
#include "kernels/device.h"

static void need(motet_status status) {
    if (status != MOTET_OK) fail_msg("%s (%s)", motet_error(), motet_error_where());
}

static void fails(motet_status status, const char *part) {
    assert_int_equal(status, MOTET_E_UNSUPPORTED);
    if (!strstr(motet_error(), part)) fail_msg("'%s' has no '%s'", motet_error(), part);
}

#if HAS_CUDNN

/* What cuDNN would have asked of the device: published figures. */
static const char description[] =
    "{\"deviceVer\":%d,\"driverVer\":13000,\"cudaDeviceId\":0,"
    "\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
    "\"regsPerBlock\":65536,\"multiProcessorCount\":%d,\"smClockRateKHz\":1980000,"
    "\"memClockRateKHz\":2619000,\"l2CacheSize\":%d,\"warpSize\":32,"
    "\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":%d,"
    "\"reservedSharedMemoryPerBlock\":1024,\"maxSharedMemoryPerSM\":%d,"
    "\"maxRegistersPerSM\":65536,\"pciDeviceId\":0,\"maxCtasPerSM\":32,"
    "\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"isTccDriver\":0,"
    "\"supportCoopLaunch\":1,\"totalGlobalMem\":85000000000,\"deviceName\":\"%s\"}";

static cudnnBackendDescriptor_t h100, a100;

/* cuDNN and NVRTC never give back all that they take: our descriptors are counted instead. */
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) {
    return 1;
}

static motet_cudnn_table real;
static int alive;

static cudnnStatus_t count_create(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *d) {
    cudnnStatus_t status = real.cudnnBackendCreateDescriptor(type, d);
    alive += status == CUDNN_STATUS_SUCCESS;
    return status;
}
static cudnnStatus_t count_destroy(cudnnBackendDescriptor_t d) {
    alive--;
    return real.cudnnBackendDestroyDescriptor(d);
}

static cudnnBackendDescriptor_t describe(int version, int multiprocessors, int l2, int shared,
                                         const char *name) {
    char text[1024];
    cudnnBackendDescriptor_t device;
    int length = snprintf(text, sizeof text, description, version, multiprocessors, l2, shared,
                          shared + 1024, name);
    assert_in_range(length, 1, sizeof text - 1);
    assert_int_equal(
        motet_cudnn.cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &device),
        CUDNN_STATUS_SUCCESS);
    assert_int_equal(motet_cudnn.cudnnBackendSetAttribute(device,
                                                          CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                                          CUDNN_TYPE_CHAR, length, text),
                     CUDNN_STATUS_SUCCESS);
    assert_int_equal(motet_cudnn.cudnnBackendFinalize(device), CUDNN_STATUS_SUCCESS);
    return device;
}

/* cuDNN 9.19 and its driver. Without them the running test is not run, and says so. */
static void open_cudnn(void) {
    static int state;
    if (getenv("MOTET_TEST_DEVICE")) {
        print_message("not run: plans are the same on every device\n");
        skip();
    }
    if (state == 0) {
        state = -1;
        /* By its soname it is also what cuDNN finds under this name. */
        const char *driver = getenv("MOTET_TEST_FAKE_DRIVER");
        if (!driver) driver = FAKE_DRIVER;
        if (!dlopen(driver, RTLD_NOW | RTLD_LOCAL)) fail_msg("%s", dlerror());
        if (motet_cudnn_open(NULL) != MOTET_OK)
            print_message("not run: %s\n", motet_error());
        else if (motet_cudnn.cudnnGetVersion() < 91900)
            print_message("not run: cuDNN %zu describes no absent devices\n",
                          motet_cudnn.cudnnGetVersion());
        else {
            h100 = describe(900, 132, 52428800, 232448, "NVIDIA H100 80GB HBM3");
            real = motet_cudnn;
            motet_cudnn.cudnnBackendCreateDescriptor = count_create;
            motet_cudnn.cudnnBackendDestroyDescriptor = count_destroy;
            a100 = describe(800, 108, 41943040, 166912, "NVIDIA A100-SXM4-80GB");
            state = 1;
        }
    }
    if (state < 0) skip();
}

static motet_cudnn_shape shape(int64_t width, int64_t keys, int causal, int backward) {
    const int64_t d = 4 * width;
    return (motet_cudnn_shape){.batch = 8,
                               .heads = 4,
                               .width = width,
                               .queries = 512,
                               .keys = keys,
                               .q_pitch = keys == 512 ? 3 * d : d,
                               .k_pitch = keys == 512 ? 3 * d : 2 * d,
                               .v_pitch = keys == 512 ? 3 * d : 2 * d,
                               .out_pitch = d,
                               .causal = causal,
                               .backward = backward,
                               .stats = 1};
}

static void has_plan(motet_cudnn_shape s, cudnnBackendDescriptor_t device) {
    motet_cudnn_plan plan;
    const int before = alive;
    need(motet_cudnn_plan_make(&plan, &s, NULL, device));
    assert_int_equal(alive, before + 1);
    assert_non_null(plan.plan);
    assert_in_range(plan.workspace_bytes, 0, 32 << 20); /* the plug-in's workspace */
    motet_cudnn_plan_free(&plan);
    assert_null(plan.plan);
    assert_int_equal(alive, before);
}

static void plans_of_the_decoder(void **state) {
    (void)state;
    open_cudnn();
    has_plan(shape(64, 512, 1, 0), h100);
    has_plan(shape(64, 512, 1, 1), h100);
    has_plan(shape(64, 128, 0, 0), h100);
    has_plan(shape(64, 128, 0, 1), h100);
}

static void plans_of_other_widths(void **state) {
    (void)state;
    open_cudnn();
    has_plan(shape(32, 512, 1, 0), a100);
    has_plan(shape(128, 512, 1, 1), h100);
    motet_cudnn_shape s = shape(64, 512, 0, 0); /* for generation: no log-sum-exps */
    s.stats = 0;
    has_plan(s, h100);
}

/* Packed gradients whose sums have an order are for sm_90 on; no engine has this head width. */
static void refusals_have_cudnns_words(void **state) {
    (void)state;
    open_cudnn();
    motet_cudnn_plan plan;
    const int before = alive;
    motet_cudnn_shape s = shape(64, 512, 1, 1);
    fails(motet_cudnn_plan_make(&plan, &s, NULL, a100), "attention of this shape");
    assert_null(plan.plan);
    s = shape(60, 512, 1, 0);
    fails(motet_cudnn_plan_make(&plan, &s, NULL, h100), "cuDNN 9.");
    assert_null(plan.plan);
    assert_int_equal(alive, before);
}

static void absence_is_named(void **state) {
    (void)state;
    fails(motet_cudnn_open("libcudnn_that_nobody_has.so.9"), "cuDNN is not there");
    assert_non_null(strstr(motet_error(), "libcudnn_that_nobody_has.so.9"));
    fails(motet_cudnn_open("libm.so.6"), "libm.so.6 has no cudnnGetVersion");
}

#endif

/* One row of attention on the device that the environment names. */
static motet_status one_row(const motet_backend *backend) {
    const motet_memory *memory = backend->memory;
    uint16_t *rows;
    int32_t *offsets;
    need(memory->take((void **)&rows, 4 * 64 * sizeof *rows, MOTET_ON_DEVICE));
    need(memory->take((void **)&offsets, 2 * sizeof *offsets, MOTET_SHARED));
    offsets[0] = 0, offsets[1] = 1;
    const motet_attention_spec spec = {.heads = 1,
                                       .width = 64,
                                       .sequences = 1,
                                       .q_offsets = offsets,
                                       .k_offsets = offsets,
                                       .q_pitch = 64,
                                       .k_pitch = 64,
                                       .v_pitch = 64,
                                       .out_pitch = 64,
                                       .causal = true};
    motet_tensor t[4];
    for (int i = 0; i < 4; i++)
        t[i] = motet_matrix(rows + i * 64, MOTET_BF16, 1, 64);
    motet_status status =
        backend->attention_forward(t[0], (motet_tensor){0}, t[1], t[2], t[3], &spec);
    if (status == MOTET_OK) status = memory->synchronize();
    memory->give_back(rows, MOTET_ON_DEVICE);
    memory->give_back(offsets, MOTET_SHARED);
    return status;
}

/* Who asks for cuDNN on softgpu is told; who does not never hears of it. */
static void asked_for_on_softgpu(void **state) {
    (void)state;
    const char *wanted = getenv("MOTET_TEST_DEVICE");
    if (!wanted || strncmp(wanted, "cuda", 4) != 0 || !getenv("MOTET_CUDA_DRIVER")) {
        print_message("not run: no softgpu\n");
        skip();
    }
    const motet_backend *cuda;
    need(motet_device_open(&cuda, wanted));
    need(one_row(cuda));
    assert_int_equal(setenv("MOTET_CUDA_ATTENTION", "cudnn", 1), 0);
    fails(one_row(cuda), "MOTET_CUDA_ATTENTION=cudnn, but ");
    assert_int_equal(setenv("MOTET_CUDA_ATTENTION", "own", 1), 0);
    need(one_row(cuda));
}

int main(void) {
    const struct CMUnitTest tests[] = {
#if HAS_CUDNN
        cmocka_unit_test(absence_is_named),
        cmocka_unit_test(plans_of_the_decoder),
        cmocka_unit_test(plans_of_other_widths),
        cmocka_unit_test(refusals_have_cudnns_words),
#endif
        cmocka_unit_test(asked_for_on_softgpu)
    };
    return cmocka_run_group_tests_name("cudnn", tests, NULL, NULL);
}
