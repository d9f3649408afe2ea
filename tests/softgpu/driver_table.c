/* Names: of entry points for cuGetProcAddress, of errors. */
#include <string.h>

#include "tests/softgpu/driver.h"

#define ERRORS(X)                                                                                \
    X(CUDA_SUCCESS, "no error")                                                                  \
    X(CUDA_ERROR_INVALID_VALUE, "invalid argument")                                              \
    X(CUDA_ERROR_OUT_OF_MEMORY, "out of memory")                                                 \
    X(CUDA_ERROR_NOT_INITIALIZED, "initialization error")                                        \
    X(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected")                                \
    X(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal")                                       \
    X(CUDA_ERROR_INVALID_IMAGE, "device kernel image is invalid")                                \
    X(CUDA_ERROR_INVALID_CONTEXT, "invalid device context")                                      \
    X(CUDA_ERROR_CONTEXT_IS_DESTROYED, "context is destroyed")                                   \
    X(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle")                                      \
    X(CUDA_ERROR_ILLEGAL_STATE, "the operation cannot be performed in the present state")        \
    X(CUDA_ERROR_NOT_FOUND, "named symbol not found")                                            \
    X(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, "too many blocks in cooperative launch")          \
    X(CUDA_ERROR_LAUNCH_FAILED, "softgpu made a report of a kernel")                             \
    X(CUDA_ERROR_NOT_SUPPORTED, "operation not supported")                                       \
    X(CUDA_ERROR_NOT_READY, "device not ready")                                                  \
    X(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "operation not permitted when stream is capturing") \
    X(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,                                                     \
      "operation failed due to a previous error during capture")                                 \
    X(CUDA_ERROR_CAPTURED_EVENT, "operation not permitted on an event last recorded in a "       \
                                 "capturing stream")                                             \
    X(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD,                                                    \
      "attempt to terminate a thread-local capture sequence from another thread")                \
    X(CUDA_ERROR_UNKNOWN, "unknown error")

static const struct {
    CUresult code;
    const char *name, *description;
} errors[] = {
#define X(code, description) {code, #code, description},
    ERRORS(X)
#undef X
};

static int find_error(CUresult code) {
    for (int i = 0; i < (int)(sizeof errors / sizeof *errors); i++)
        if (errors[i].code == code) return i;
    return -1;
}

SG_ENTRY CUresult cuGetErrorName(CUresult code, const char **name) {
    const int i = find_error(code);
    *name = i < 0 ? NULL : errors[i].name;
    return i < 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

SG_ENTRY CUresult cuGetErrorString(CUresult code, const char **description) {
    const int i = find_error(code);
    *description = i < 0 ? NULL : errors[i].description;
    return i < 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

SG_ENTRY const sg_driver_counts *softgpu_counts(void) {
    return &sg_the_driver.counts;
}

/* cuda.h's macros turn each into the version that is compiled here; a program asks for it by the
 * name without version. */
#define CALLS(X)                 \
    X(cuInit)                    \
    X(cuDriverGetVersion)        \
    X(cuGetProcAddress)          \
    X(cuGetErrorName)            \
    X(cuGetErrorString)          \
    X(cuDeviceGetCount)          \
    X(cuDeviceGet)               \
    X(cuDeviceGetName)           \
    X(cuDeviceGetAttribute)      \
    X(cuDevicePrimaryCtxRetain)  \
    X(cuDevicePrimaryCtxRelease) \
    X(cuCtxSetCurrent)           \
    X(cuCtxGetCurrent)           \
    X(cuCtxGetDevice)            \
    X(cuMemGetInfo)              \
    X(cuMemAlloc)                \
    X(cuMemFree)                 \
    X(cuMemHostAlloc)            \
    X(cuMemFreeHost)             \
    X(cuPointerGetAttribute)     \
    X(cuMemcpyAsync)             \
    X(cuMemsetD8Async)           \
    X(cuModuleLoadData)          \
    X(cuModuleUnload)            \
    X(cuModuleGetFunction)       \
    X(cuFuncSetAttribute)        \
    X(cuLaunchKernel)            \
    X(cuLaunchKernelEx)          \
    X(cuTensorMapEncodeTiled)    \
    X(cuStreamCreate)            \
    X(cuStreamDestroy)           \
    X(cuStreamSynchronize)       \
    X(cuStreamQuery)             \
    X(cuStreamIsCapturing)       \
    X(cuStreamBeginCapture)      \
    X(cuStreamEndCapture)        \
    X(cuGraphGetNodes)           \
    X(cuGraphInstantiate)        \
    X(cuGraphLaunch)             \
    X(cuGraphExecDestroy)        \
    X(cuGraphDestroy)            \
    X(cuEventCreate)             \
    X(cuEventRecord)             \
    X(cuEventSynchronize)        \
    X(cuEventElapsedTime)        \
    X(cuEventDestroy)

SG_ENTRY CUresult cuGetProcAddress(const char *symbol, void **function, int version,
                                   cuuint64_t flags, CUdriverProcAddressQueryResult *status) {
    (void)flags;
    if (!symbol || !function) return CUDA_ERROR_INVALID_VALUE;
    *function = NULL;
    if (version >= 13000) {
#define X(call) \
    if (strcmp(symbol, #call) == 0) *function = (void *)(uintptr_t)&call;
        CALLS(X)
#undef X
    }
    if (status)
        *status = *function ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
