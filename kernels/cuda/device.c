#include "kernels/cuda/device.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "kernels/backend.h"
#include "kernels/cuda/driver.h"
#include "kernels/cuda/host_status.h"

enum { LEAST_COMPUTE = 80 }; /* bf16 tensor cores, cp.async */

static motet_cuda_device device;
static bool opened;
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static unsigned generation = 1; /* of contexts, so that threads notice a new one */
static _Thread_local unsigned entered;

const motet_cuda_device *motet_cuda_get_device(void) {
    return opened ? &device : NULL;
}

motet_status motet_cuda_enter(void) {
    if (entered == generation) return MOTET_OK;
    MOTET_DRIVE(cuCtxSetCurrent, (device.context), "entering cuda:%d", device.ordinal);
    entered = generation;
    return MOTET_OK;
}

static _Thread_local CUstream branched;

void *motet_cuda_stream(void) {
    return branched ? (void *)branched : device.stream;
}

motet_status motet_cuda_branch(int on) {
    MOTET_TRY(motet_cuda_enter());
    if (on && !branched)
        MOTET_DRIVE(cuStreamCreate, (&branched, CU_STREAM_NON_BLOCKING), "making a second stream");
    if (!on && branched) {
        CUstream done = branched;
        branched = NULL;
        MOTET_DRIVE(cuStreamDestroy, (done), "ending a second stream");
    }
    return MOTET_OK;
}

static motet_status attribute(int *value, CUdevice handle, CUdevice_attribute which) {
    MOTET_DRIVE(cuDeviceGetAttribute, (value, which, handle), "asking for attribute %d of cuda:%d",
                (int)which, device.ordinal);
    return MOTET_OK;
}

static motet_status find(CUdevice *handle) {
    int count = 0, major = 0, minor = 0, shared = 0;
    MOTET_DRIVE(cuDeviceGetCount, (&count), "counting devices");
    if (count == 0)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "the NVIDIA driver finds no CUDA device");
    if (device.ordinal >= count)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "there is no cuda:%d: the driver finds %d device%s",
                          device.ordinal, count, count == 1 ? ", cuda:0" : "s from cuda:0 on");
    MOTET_DRIVE(cuDeviceGet, (handle, device.ordinal), "choosing cuda:%d", device.ordinal);
    MOTET_DRIVE(cuDeviceGetName, (device.name, sizeof device.name, *handle), "naming cuda:%d",
                device.ordinal);
    device.name[sizeof device.name - 1] = 0;
    MOTET_TRY(attribute(&major, *handle, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR));
    MOTET_TRY(attribute(&minor, *handle, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR));
    device.limits.compute = 10 * major + minor;
    if (device.limits.compute < LEAST_COMPUTE)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED,
                          "cuda:%d (%s) has compute capability %d.%d; motet's kernels need 8.0 or "
                          "newer: choose another device or --device cpu",
                          device.ordinal, device.name, major, minor);
    MOTET_TRY(attribute(&device.limits.multiprocessors, *handle,
                        CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT));
    MOTET_TRY(attribute(&shared, *handle, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN));
    device.limits.shared_bytes = (size_t)shared;
    return MOTET_OK;
}

static motet_status prepare(CUdevice handle) {
    CUcontext context;
    MOTET_DRIVE(cuDevicePrimaryCtxRetain, (&context, handle), "opening cuda:%d (%s)",
                device.ordinal, device.name);
    device.context = context;
    MOTET_TRY(motet_cuda_enter());
    CUstream stream;
    MOTET_DRIVE(cuStreamCreate, (&stream, CU_STREAM_NON_BLOCKING), "making the stream of cuda:%d",
                device.ordinal);
    device.stream = stream;
    CUdeviceptr workspace;
    MOTET_DRIVE(cuMemAlloc, (&workspace, MOTET_CUDA_WORKSPACE),
                "taking %zu MiB of workspace on cuda:%d (%s)", MOTET_CUDA_WORKSPACE >> 20,
                device.ordinal, device.name);
    device.workspace = (void *)workspace; /* device addresses travel as pointers in tensors */
    void *slot;
    MOTET_DRIVE(
        cuMemHostAlloc,
        (&slot, sizeof *device.complaints, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP),
        "taking pinned memory");
    device.complaints = slot;
    *device.complaints = (motet_complaint){0};
    return MOTET_OK;
}

/* Errors have nowhere to go: the process ends, or the sentence to keep is that of the opening. */
static void release(void) {
    if (device.context && motet_driver.cuCtxSetCurrent(device.context) == CUDA_SUCCESS) {
        if (device.stream) (void)motet_driver.cuStreamSynchronize(device.stream);
        motet_cuda_memory_give_back_all();
        motet_cuda_unload_all();
        if (device.complaints) (void)motet_driver.cuMemFreeHost(device.complaints);
        if (device.workspace) (void)motet_driver.cuMemFree((CUdeviceptr)device.workspace);
        if (device.stream) (void)motet_driver.cuStreamDestroy(device.stream);
    }
    if (device.context) {
        CUdevice handle;
        if (motet_driver.cuDeviceGet(&handle, device.ordinal) == CUDA_SUCCESS)
            (void)motet_driver.cuDevicePrimaryCtxRelease(handle);
    }
    device = (motet_cuda_device){0};
    generation++;
}

static motet_status open_once(int ordinal, const char *driver) {
    if (ordinal < 0)
        return MOTET_FAIL(MOTET_E_USAGE, "devices are numbered from 0, not %d", ordinal);
    if (opened && device.ordinal != ordinal)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "this process already runs on cuda:%d and cannot open cuda:%d, too",
                          device.ordinal, ordinal);
    if (opened) return MOTET_OK;
    MOTET_TRY(motet_driver_open(driver));
    CUdevice handle = 0;
    device.ordinal = ordinal;
    motet_status status = find(&handle);
    if (status == MOTET_OK) status = prepare(handle);
    if (status != MOTET_OK) {
        release();
        return status;
    }
    /* Handlers run last in, first out, so before those that the driver registered for itself. */
    static bool registered;
    if (!registered && atexit(motet_cuda_device_close) == 0) registered = true;
    opened = true;
    return MOTET_OK;
}

motet_status motet_cuda_device_open(int ordinal, const char *driver) {
    pthread_mutex_lock(&opening);
    motet_status status = open_once(ordinal, driver);
    pthread_mutex_unlock(&opening);
    return status;
}

void motet_cuda_device_close(void) {
    pthread_mutex_lock(&opening);
    if (opened) release();
    opened = false;
    pthread_mutex_unlock(&opening);
}

void *motet_cuda_workspace(void) {
    return device.workspace;
}

motet_cuda_limits motet_cuda_get_limits(void) {
    return device.limits;
}

struct motet_complaint *motet_cuda_complaints(void) {
    return device.complaints;
}
