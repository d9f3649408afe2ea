/* The driver's entry points: handles, memory, launches, capture, events; what is right, what is
 * refused, and what is reported. Linked with softgpu itself, so reports can be looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness_add.h"
#include "tests/softgpu/driver.h"
#include "tests/softgpu/report.h"

static CUcontext context;
static CUstream stream;
static CUmodule module;
static CUfunction add;

static void ok(CUresult result) {
    const char *name = "?";
    if (result == CUDA_SUCCESS) return;
    (void)cuGetErrorName(result, &name);
    fail_msg("%s", name);
}

/* Exactly one report since the last look, of this kind, that says this. */
static void reported(sg_report_kind kind, const char *part) {
    if (sg_report_count() != 1) fail_msg("%d reports, 1 is right", sg_report_count());
    const sg_reported *report = sg_report_get(0);
    assert_int_equal(report->kind, kind);
    if (!strstr(report->sentence, part)) fail_msg("'%s' has no '%s'", report->sentence, part);
    sg_report_clear();
}

static int no_more_reports(void **state) {
    (void)state;
    const int count = sg_report_count();
    if (count) print_error("unexpected report: %s\n", sg_report_get(0)->sentence);
    sg_report_clear();
    return count;
}

static int open_device(void **state) {
    (void)state;
    CUdevice device;
    ok(cuInit(0));
    ok(cuDeviceGet(&device, 0));
    ok(cuDevicePrimaryCtxRetain(&context, device));
    ok(cuCtxSetCurrent(context));
    ok(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    ok(cuModuleLoadData(&module, add_ptx));
    ok(cuModuleGetFunction(&add, module, "add"));
    return 0;
}

static int close_device(void **state) {
    (void)state;
    ok(cuModuleUnload(module));
    ok(cuStreamDestroy(stream));
    assert_int_equal(sg_memory_live(), 0); /* no test left anything behind */
    ok(cuDevicePrimaryCtxRelease(0));
    return 0;
}

static CUdeviceptr new_int(int value) {
    CUdeviceptr address;
    ok(cuMemAlloc(&address, sizeof(int)));
    ok(cuMemcpyAsync(address, (CUdeviceptr)&value, sizeof value, stream));
    return address;
}

static int int_at(CUdeviceptr address) {
    int value = -1;
    ok(cuMemcpyAsync((CUdeviceptr)&value, address, sizeof value, stream));
    ok(cuStreamSynchronize(stream));
    return value;
}

static CUresult launch(CUdeviceptr sum, int value) {
    return cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, stream, (void *[]){&sum, &value}, NULL);
}

static void test_start(void **state) {
    (void)state;
    int value = 0;
    void *function = NULL;
    CUdriverProcAddressQueryResult found;
    ok(cuDriverGetVersion(&value));
    assert_int_equal(value, 13000);
    ok(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
    assert_int_equal(value, 8);
    ok(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 0));
    assert_int_equal(value, 163 << 10);
    assert_int_equal(cuDeviceGet(&value, 1), CUDA_ERROR_INVALID_DEVICE);
    ok(cuGetProcAddress("cuMemAlloc", &function, 13000, 0, &found));
    assert_int_equal(found, CU_GET_PROC_ADDRESS_SUCCESS);
    assert_true(function == (void *)(uintptr_t)&cuMemAlloc);
    assert_int_equal(cuGetProcAddress("cuMemAllocManaged", &function, 13000, 0, &found),
                     CUDA_ERROR_NOT_FOUND);
    assert_null(function);
}

static void test_handles(void **state) {
    (void)state;
    CUstream gone;
    assert_int_equal(cuStreamSynchronize((CUstream)(uintptr_t)0x1234), CUDA_ERROR_INVALID_HANDLE);
    reported(SG_R_HANDLE, "cuStreamSynchronize: 0x1234 is no handle of a stream");
    assert_int_equal(cuStreamSynchronize((CUstream)(void *)module), CUDA_ERROR_INVALID_HANDLE);
    reported(SG_R_HANDLE, "wants a stream, not a module");
    ok(cuStreamCreate(&gone, 0));
    ok(cuStreamDestroy(gone));
    assert_int_equal(cuStreamDestroy(gone), CUDA_ERROR_INVALID_HANDLE);
    reported(SG_R_HANDLE, "this is a stream that was destroyed");
    assert_int_equal(cuGraphLaunch(NULL, stream), CUDA_ERROR_INVALID_HANDLE);
    reported(SG_R_HANDLE, "is no handle of an executable graph");
    CUfunction again;
    ok(cuModuleGetFunction(&again, module, "add"));
    assert_ptr_equal(again, add);
    assert_int_equal(cuModuleGetFunction(&again, module, "sub"), CUDA_ERROR_NOT_FOUND);
    CUmodule bad;
    assert_int_equal(cuModuleLoadData(&bad, "no image at all"), CUDA_ERROR_INVALID_IMAGE);
    reported(SG_R_UNKNOWN, "cuModuleLoadData");
}

static void *without_context(void *user) {
    CUdeviceptr address;
    *(CUresult *)user = cuMemAlloc(&address, 16);
    return NULL;
}

/* A context is a thread's. */
static void test_contexts(void **state) {
    (void)state;
    CUresult result = CUDA_SUCCESS;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, without_context, &result), 0);
    pthread_join(thread, NULL);
    assert_int_equal(result, CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(cuCtxSetCurrent((CUcontext)(uintptr_t)64), CUDA_ERROR_INVALID_CONTEXT);
    reported(SG_R_HANDLE, "is no handle of a context");
}

static void test_memory(void **state) {
    (void)state;
    CUdeviceptr a, b;
    void *pinned;
    unsigned char host[64];
    ok(cuMemAlloc(&a, 64));
    ok(cuMemAlloc(&b, 64));
    ok(cuMemHostAlloc(&pinned, 64, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP));
    ok(cuMemsetD8Async(a, 7, 32, stream));
    ok(cuMemcpyAsync(b, a, 64, stream)); /* half of it nobody wrote: no report until it is used */
    assert_int_equal(sg_memory_unwritten(b, 64), 32);
    assert_int_equal(sg_memory_unwritten(b, 32), 0);
    ok(cuMemcpyAsync((CUdeviceptr)pinned, b, 32, stream));
    for (int i = 0; i < 32; i++)
        assert_int_equal(((unsigned char *)pinned)[i], 7);
    ok(cuMemcpyAsync((CUdeviceptr)host, b + 30, 4, stream));
    reported(SG_R_UNWRITTEN, "of 4 bytes that are copied to the host, nobody wrote 2");
    assert_int_equal(cuMemcpyAsync(a + 60, (CUdeviceptr)host, 8, stream), CUDA_ERROR_INVALID_VALUE);
    reported(SG_R_BOUNDS, "a copy to of 8 bytes");
    assert_int_equal(cuMemsetD8Async((CUdeviceptr)host, 0, 8, stream), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuMemFree(a + 8), CUDA_ERROR_INVALID_VALUE);
    reported(SG_R_HANDLE, "is no block of its kind");
    assert_int_equal(cuMemFree((CUdeviceptr)pinned), CUDA_ERROR_INVALID_VALUE);
    reported(SG_R_HANDLE, "is no block of its kind");
    ok(cuMemFree(a));
    assert_int_equal(cuMemFree(a), CUDA_ERROR_INVALID_VALUE);
    reported(SG_R_HANDLE, "a freed block");
    assert_int_equal(cuMemcpyAsync(b, a, 8, stream), CUDA_ERROR_INVALID_VALUE);
    reported(SG_R_FREED, "a copy from of 8 bytes");
    ok(cuMemFreeHost(pinned));
    assert_int_equal(cuMemcpyAsync(b, (CUdeviceptr)pinned, 8, stream), CUDA_ERROR_INVALID_VALUE);
    reported(SG_R_FREED, "a copy from of 8 bytes");
    ok(cuMemFree(b));
    size_t available, all;
    ok(cuMemGetInfo(&available, &all));
    assert_int_equal(available, all);
    assert_int_equal(cuMemAlloc(&a, all + 1), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuMemAlloc(&a, 0), CUDA_ERROR_INVALID_VALUE);
}

static void test_launch(void **state) {
    (void)state;
    CUdeviceptr sum = new_int(40);
    int value = 2;
    void *params[] = {&sum, &value};
    const uint64_t before = softgpu_counts()->launches;
    ok(launch(sum, 2));
    assert_int_equal(int_at(sum), 42);
    assert_int_equal(softgpu_counts()->launches - before, 1);
    assert_int_equal(cuLaunchKernel(add, 1, 1, 1, 1025, 1, 1, 0, stream, params, NULL),
                     CUDA_ERROR_INVALID_VALUE);
    reported(SG_R_LAUNCH, "of 1025 x 1 x 1 threads");
    assert_int_equal(cuLaunchKernel(add, 0, 1, 1, 32, 1, 1, 0, stream, params, NULL),
                     CUDA_ERROR_INVALID_VALUE);
    reported(SG_R_LAUNCH, "0 x 1 x 1 blocks");
    assert_int_equal(cuLaunchKernel(add, 1, 65536, 1, 32, 1, 1, 0, stream, params, NULL),
                     CUDA_ERROR_INVALID_VALUE);
    reported(SG_R_LAUNCH, "1 x 65536 x 1 blocks");
    assert_int_equal(cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 100 << 10, stream, params, NULL),
                     CUDA_ERROR_INVALID_VALUE);
    reported(SG_R_LAUNCH, "102400 bytes of dynamic shared memory, 49152 were allowed");
    const CUfunction_attribute shared = CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    assert_int_equal(cuFuncSetAttribute(add, shared, 164 << 10), CUDA_ERROR_INVALID_VALUE);
    ok(cuFuncSetAttribute(add, shared, 100 << 10));
    ok(cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 100 << 10, stream, params, NULL));
    assert_int_equal(int_at(sum), 44);
    ok(cuMemFree(sum));
}

/* As on a device: the launch succeeds, the next wait fails; here, once. */
static void test_fault(void **state) {
    (void)state;
    CUdeviceptr sum = new_int(1);
    ok(launch(sum + 4096, 1));
    assert_int_equal(sg_report_count(), 2); /* the load and the store */
    assert_int_equal(sg_report_get(0)->kind, SG_R_BOUNDS);
    assert_int_equal(sg_report_get(1)->kind, SG_R_BOUNDS);
    sg_report_clear();
    assert_int_equal(cuStreamSynchronize(stream), CUDA_ERROR_LAUNCH_FAILED);
    ok(cuStreamSynchronize(stream));
    assert_int_equal(int_at(sum), 1);
    ok(cuMemFree(sum));
}

static CUgraphExec captured(CUdeviceptr sum, CUdeviceptr copy) {
    CUgraph graph;
    CUgraphExec executable;
    size_t nodes = 0;
    CUstreamCaptureStatus status;
    ok(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    ok(cuStreamIsCapturing(stream, &status));
    assert_int_equal(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
    ok(launch(sum, 3));
    ok(launch(sum, 4));
    ok(cuMemcpyAsync(copy, sum, sizeof(int), stream));
    ok(cuStreamEndCapture(stream, &graph));
    ok(cuGraphGetNodes(graph, NULL, &nodes));
    assert_int_equal(nodes, 3);
    CUgraphNode three[3];
    ok(cuGraphGetNodes(graph, three, &nodes));
    assert_true(three[0] && three[2] && three[0] != three[2]);
    ok(cuGraphInstantiate(&executable, graph, 0));
    ok(cuGraphDestroy(graph)); /* the executable one is its own */
    return executable;
}

static void test_graph(void **state) {
    (void)state;
    CUdeviceptr sum = new_int(100), copy = new_int(0);
    const sg_driver_counts before = *softgpu_counts();
    CUgraphExec executable = captured(sum, copy);
    assert_int_equal(int_at(sum), 100); /* nothing ran */
    ok(cuGraphLaunch(executable, stream));
    assert_int_equal(int_at(copy), 107);
    ok(cuGraphLaunch(executable, stream));
    assert_int_equal(int_at(copy), 114);
    assert_int_equal(softgpu_counts()->captured - before.captured, 2);
    assert_int_equal(softgpu_counts()->launches - before.launches, 0);
    assert_int_equal(softgpu_counts()->graph_launches - before.graph_launches, 2);
    assert_int_equal(softgpu_counts()->graph_kernels - before.graph_kernels, 4);
    ok(cuGraphExecDestroy(executable));
    ok(cuMemFree(sum));
    ok(cuMemFree(copy));
}

/* What a capture cannot hold makes it void, and says so at once and at its end. */
static void test_capture_refuses(void **state) {
    (void)state;
    CUdeviceptr sum = new_int(5), more;
    int host = 0;
    for (int what = 0; what < 4; what++) {
        CUgraph graph = NULL;
        ok(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
        const CUresult result = what == 0   ? cuStreamSynchronize(stream)
                                : what == 1 ? cuMemAlloc(&more, 64)
                                : what == 2
                                    ? cuMemcpyAsync((CUdeviceptr)&host, sum, sizeof host, stream)
                                    : cuMemFree(sum);
        assert_int_equal(result, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        assert_int_equal(launch(sum, 1), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
        assert_int_equal(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
        assert_null(graph);
        ok(launch(sum, 1)); /* the stream works again */
        assert_int_equal(int_at(sum), 6 + what);
    }
    CUgraph graph;
    assert_int_equal(cuStreamEndCapture(stream, &graph), CUDA_ERROR_ILLEGAL_STATE);
    ok(cuMemFree(sum));
}

static void test_graph_of_unloaded(void **state) {
    (void)state;
    CUmodule other;
    CUfunction function;
    CUgraph graph;
    CUgraphExec executable;
    CUdeviceptr sum = new_int(0);
    int value = 1;
    ok(cuModuleLoadData(&other, add_ptx));
    ok(cuModuleGetFunction(&function, other, "add"));
    ok(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ok(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, (void *[]){&sum, &value}, NULL));
    ok(cuStreamEndCapture(stream, &graph));
    ok(cuGraphInstantiate(&executable, graph, 0));
    ok(cuModuleUnload(other));
    assert_int_equal(cuGraphLaunch(executable, stream), CUDA_ERROR_INVALID_HANDLE);
    reported(SG_R_HANDLE, "this is a function that was destroyed");
    ok(cuGraphExecDestroy(executable));
    ok(cuGraphDestroy(graph));
    ok(cuMemFree(sum));
}

/* Every block waits for all others. */
static const char meet_ptx[] = ".version 9.0\n"
                               ".target sm_80\n"
                               ".address_size 64\n"
                               ".visible .entry meet(.param .u64 meet_param_0)\n"
                               "{\n"
                               ".reg .pred %p<2>;\n"
                               ".reg .b32 %r<4>;\n"
                               ".reg .b64 %rd<2>;\n"
                               "ld.param.u64 %rd1, [meet_param_0];\n"
                               "mov.u32 %r1, %nctaid.x;\n"
                               "atom.acq_rel.gpu.global.add.u32 %r2, [%rd1], 1;\n"
                               "$L__again:\n"
                               "ld.acquire.gpu.global.u32 %r3, [%rd1];\n"
                               "setp.lt.u32 %p1, %r3, %r1;\n"
                               "@%p1 bra $L__again;\n"
                               "ret;\n"
                               "}\n";

/* More blocks than are alive at once otherwise, and they all meet; in a graph, too. */
static void test_launch_together(void **state) {
    (void)state;
    CUmodule meeting;
    CUfunction meet;
    CUgraph graph;
    CUgraphExec executable;
    ok(cuModuleLoadData(&meeting, meet_ptx));
    ok(cuModuleGetFunction(&meet, meeting, "meet"));
    CUdeviceptr count = new_int(0);
    void *params[] = {&count};
    CUlaunchAttribute together = {.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, .value.cooperative = 1};
    CUlaunchConfig config = {.gridDimX = 40,
                             .gridDimY = 1,
                             .gridDimZ = 1,
                             .blockDimX = 1,
                             .blockDimY = 1,
                             .blockDimZ = 1,
                             .hStream = stream,
                             .attrs = &together,
                             .numAttrs = 1};
    ok(cuLaunchKernelEx(&config, meet, params, NULL));
    assert_int_equal(int_at(count), 40);
    ok(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    ok(cuMemsetD8Async(count, 0, sizeof(int), stream));
    ok(cuLaunchKernelEx(&config, meet, params, NULL));
    ok(cuStreamEndCapture(stream, &graph));
    ok(cuGraphInstantiate(&executable, graph, 0));
    ok(cuGraphDestroy(graph));
    ok(cuGraphLaunch(executable, stream));
    assert_int_equal(int_at(count), 40);
    ok(cuGraphExecDestroy(executable));
    config.gridDimX = 109; /* multiprocessors, and one */
    assert_int_equal(cuLaunchKernelEx(&config, meet, params, NULL),
                     CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
    ok(cuMemFree(count));
    ok(cuModuleUnload(meeting));
}

static void test_events(void **state) {
    (void)state;
    CUevent from, to;
    CUgraph graph;
    float milliseconds = -1;
    ok(cuEventCreate(&from, CU_EVENT_DEFAULT));
    ok(cuEventCreate(&to, CU_EVENT_DEFAULT));
    assert_int_equal(cuEventElapsedTime(&milliseconds, from, to), CUDA_ERROR_INVALID_HANDLE);
    ok(cuEventRecord(from, stream));
    ok(cuEventRecord(to, stream));
    ok(cuEventSynchronize(to));
    ok(cuEventElapsedTime(&milliseconds, from, to));
    assert_true(milliseconds >= 0 && milliseconds < 1e6f);
    ok(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    ok(cuEventRecord(to, stream));
    ok(cuStreamEndCapture(stream, &graph));
    assert_int_equal(cuEventSynchronize(to), CUDA_ERROR_CAPTURED_EVENT);
    ok(cuGraphDestroy(graph));
    ok(cuEventDestroy(from));
    ok(cuEventDestroy(to));
}

int main(void) {
    setenv("SOFTGPU_EXPECT", "1", 1); /* reports are looked at here */
    setenv("SOFTGPU_ARCH", "80", 1);
    setenv("SOFTGPU_CHECK", "full", 1);
    int count;
    if (cuDeviceGetCount(&count) != CUDA_ERROR_NOT_INITIALIZED) return 1;
#define checked(test) cmocka_unit_test_teardown(test, no_more_reports)
    const struct CMUnitTest tests[] = {
        checked(test_start),  checked(test_handles),         checked(test_contexts),
        checked(test_memory), checked(test_launch),          checked(test_fault),
        checked(test_graph),  checked(test_capture_refuses), checked(test_graph_of_unloaded),
        checked(test_events), checked(test_launch_together),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
