/* Start, devices, contexts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/driver.h"
#include "tests/softgpu/memory.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/report.h"

enum { MOST_DEVICES = 8 };

static _Thread_local void *current; /* the thread's context */
static CUdevice retained;           /* the device that the one context was made for */

static int pretended(const char *variable, int otherwise) {
    const char *text = getenv(variable);
    return text && *text ? (int)strtol(text, NULL, 10) : otherwise;
}

static int devices(void) {
    int count = pretended("SOFTGPU_DEVICES", 1);
    return count < 0 ? 0 : count > MOST_DEVICES ? MOST_DEVICES : count;
}

static int compute(void) {
    return pretended("SOFTGPU_COMPUTE", sg_get_options()->arch);
}

CUresult sg_driver_ready(void) {
    if (!sg_the_driver.started) return CUDA_ERROR_NOT_INITIALIZED;
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    return current == sg_the_driver.context ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

/* Runs after what the program registered for its exit, since that came later. */
static void at_exit(void) {
    SG_LOCKED;
    uint64_t live = sg_memory_live();
    if (live)
        sg_report(SG_R_LEAK, NULL, NULL, 0, "%llu block%s of memory never given back",
                  (unsigned long long)live, live == 1 ? "" : "s");
}

SG_ENTRY CUresult cuInit(unsigned flags) {
    SG_LOCKED;
    if (flags) return CUDA_ERROR_INVALID_VALUE;
    if (devices() == 0) return CUDA_ERROR_NO_DEVICE;
    if (!sg_the_driver.started && atexit(at_exit) != 0) return CUDA_ERROR_OUT_OF_MEMORY;
    sg_the_driver.started = true;
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuDriverGetVersion(int *version) {
    if (!version) return CUDA_ERROR_INVALID_VALUE;
    *version = pretended("SOFTGPU_VERSION", 13000);
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuDeviceGetCount(int *count) {
    SG_LOCKED;
    if (!sg_the_driver.started) return CUDA_ERROR_NOT_INITIALIZED;
    *count = devices();
    return CUDA_SUCCESS;
}

static CUresult known(CUdevice device) {
    if (!sg_the_driver.started) return CUDA_ERROR_NOT_INITIALIZED;
    return device >= 0 && device < devices() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

SG_ENTRY CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    SG_LOCKED;
    SG_CHECK(known(ordinal));
    *device = ordinal;
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuDeviceGetName(char *name, int room, CUdevice device) {
    SG_LOCKED;
    SG_CHECK(known(device));
    if (!name || room < 1) return CUDA_ERROR_INVALID_VALUE;
    snprintf(name, (size_t)room, "softgpu, in place of an sm_%d", compute());
    return CUDA_SUCCESS;
}

/* Those of an A100 and an H100, so that launchers choose the tiles that they would choose there. */
SG_ENTRY CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
    SG_LOCKED;
    SG_CHECK(known(device));
    const bool hopper = compute() >= 90;
    switch ((int)attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
        *value = compute() / 10;
        return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
        *value = compute() % 10;
        return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
        *value = hopper ? 132 : 108;
        return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
        *value = 48 << 10;
        return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
        *value = (hopper ? 227 : 163) << 10;
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

SG_ENTRY CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    SG_LOCKED;
    SG_CHECK(known(device));
    if (!sg_the_driver.context) {
        sg_the_driver.context = sg_handle_make(SG_H_CONTEXT, &sg_the_driver);
        retained = device;
    }
    if (!sg_the_driver.context) return CUDA_ERROR_OUT_OF_MEMORY;
    sg_the_driver.retained++;
    *context = sg_the_driver.context;
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
    SG_LOCKED;
    SG_CHECK(known(device));
    if (sg_the_driver.retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
    if (--sg_the_driver.retained > 0) return CUDA_SUCCESS;
    sg_handle_end(sg_the_driver.context);
    sg_the_driver.context = NULL;
    sg_the_driver.pending = CUDA_SUCCESS;
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuCtxSetCurrent(CUcontext context) {
    SG_LOCKED;
    if (!sg_the_driver.started) return CUDA_ERROR_NOT_INITIALIZED;
    if (context && !sg_handle_get(SG_H_CONTEXT, context, "cuCtxSetCurrent"))
        return CUDA_ERROR_INVALID_CONTEXT;
    current = context;
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuCtxGetCurrent(CUcontext *context) {
    SG_LOCKED;
    if (!sg_the_driver.started) return CUDA_ERROR_NOT_INITIALIZED;
    *context = current;
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuCtxGetDevice(CUdevice *device) {
    SG_READY;
    *device = retained;
    return CUDA_SUCCESS;
}
