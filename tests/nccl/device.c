#include "tests/nccl/device.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CALLS(X)             \
    X(cuCtxGetCurrent)       \
    X(cuCtxGetDevice)        \
    X(cuCtxSetCurrent)       \
    X(cuPointerGetAttribute) \
    X(cuMemcpyAsync)         \
    X(cuMemsetD8Async)       \
    X(cuStreamQuery)

#define X(call) static __typeof__(&call) p_##call;
CALLS(X)
#undef X
static CUresult (*foreign)(CUstream stream, int delta);

static bool find(void *library, void *function, const char *name) {
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

#define NAME(call) #call
#define EXPANDED(call) NAME(call)

static bool load(void) {
    const char *named = getenv("MOTET_CUDA_DRIVER");
    void *library = dlopen(named ? named : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
        /* cuda.h's macros give the versions that were compiled in. */
#define X(call) \
    if (!find(library, &p_##call, EXPANDED(call))) return false;
    CALLS(X)
#undef X
    return find(library, &foreign, "softgpu_stream_foreign");
}

CUresult tn_device_open(tn_device *device) {
    CUdevice ordinal = 0;
    if (!load()) return CUDA_ERROR_NOT_FOUND;
    CUresult result = p_cuCtxGetCurrent(&device->context);
    if (result == CUDA_SUCCESS && !device->context) result = CUDA_ERROR_INVALID_CONTEXT;
    if (result == CUDA_SUCCESS) result = p_cuCtxGetDevice(&ordinal);
    device->ordinal = ordinal;
    return result;
}

CUresult tn_device_enter(const tn_device *device) {
    return p_cuCtxSetCurrent(device->context);
}

static bool owns(uintptr_t address) {
    unsigned type = 0;
    return p_cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address) ==
               CUDA_SUCCESS &&
           type == CU_MEMORYTYPE_DEVICE;
}

/* Blocks have gaps between them; that all of it is one block is seen by the copies. */
bool tn_device_owns(const void *data, size_t bytes) {
    uintptr_t address = (uintptr_t)data;
    return bytes == 0 || (owns(address) && owns(address + bytes - 1));
}

CUresult tn_device_copy(void *to, const void *from, size_t bytes) {
    return p_cuMemcpyAsync((CUdeviceptr)(uintptr_t)to, (CUdeviceptr)(uintptr_t)from, bytes, NULL);
}

CUresult tn_device_fill(void *to, unsigned char value, size_t bytes) {
    return p_cuMemsetD8Async((CUdeviceptr)(uintptr_t)to, value, bytes, NULL);
}

bool tn_device_is_stream(CUstream stream) {
    CUresult result = p_cuStreamQuery(stream);
    return result == CUDA_SUCCESS || result == CUDA_ERROR_NOT_READY;
}

CUresult tn_device_busy(CUstream stream, int delta) {
    return foreign(stream, delta);
}
