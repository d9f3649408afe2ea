/* driver: the CUDA driver's entry points that the plug-in uses, opened at run time, so that nothing
 * links libcuda. cuda.h is needed to build this, not to run it. Internal.
 *
 * cuda.h maps cuMemAlloc to cuMemAlloc_v2 and so on; the table's members and the names looked up go
 * through the same macros, so they are always the versions whose types were compiled in.
 */
#ifndef MOTET_CUDA_DRIVER_H
#define MOTET_CUDA_DRIVER_H

#include <cuda.h>

#include "kernels/core/status.h"

#define MOTET_DRIVER_CALLS(X)                                                               \
    X(cuDriverGetVersion) /* the first two are looked at before the rest has to be there */ \
    X(cuInit)                                                                               \
    X(cuGetErrorName)                                                                       \
    X(cuGetErrorString)                                                                     \
    X(cuDeviceGetCount)                                                                     \
    X(cuDeviceGet)                                                                          \
    X(cuDeviceGetName)                                                                      \
    X(cuDeviceGetAttribute)                                                                 \
    X(cuDevicePrimaryCtxRetain)                                                             \
    X(cuDevicePrimaryCtxRelease)                                                            \
    X(cuCtxSetCurrent)                                                                      \
    X(cuMemGetInfo)                                                                         \
    X(cuMemAlloc)                                                                           \
    X(cuMemFree)                                                                            \
    X(cuMemHostAlloc)                                                                       \
    X(cuMemFreeHost)                                                                        \
    X(cuMemcpyAsync)                                                                        \
    X(cuMemsetD8Async)                                                                      \
    X(cuModuleLoadData)                                                                     \
    X(cuModuleUnload)                                                                       \
    X(cuModuleGetFunction)                                                                  \
    X(cuFuncSetAttribute)                                                                   \
    X(cuLaunchKernel)                                                                       \
    X(cuLaunchKernelEx)                                                                     \
    X(cuTensorMapEncodeTiled)                                                               \
    X(cuStreamCreate)                                                                       \
    X(cuStreamDestroy)                                                                      \
    X(cuStreamSynchronize)                                                                  \
    X(cuStreamIsCapturing)                                                                  \
    X(cuStreamBeginCapture)                                                                 \
    X(cuStreamEndCapture)                                                                   \
    X(cuGraphGetNodes)                                                                      \
    X(cuGraphInstantiate)                                                                   \
    X(cuGraphLaunch)                                                                        \
    X(cuGraphExecDestroy)                                                                   \
    X(cuGraphDestroy)                                                                       \
    X(cuEventCreate)                                                                        \
    X(cuEventRecord)                                                                        \
    X(cuEventSynchronize)                                                                   \
    X(cuEventElapsedTime)                                                                   \
    X(cuEventDestroy)

typedef struct motet_driver_table {
#define X(call) __typeof__(&call) call;
    MOTET_DRIVER_CALLS(X)
#undef X
} motet_driver_table;

/* Filled by motet_driver_open; the calls are made through MOTET_DRIVE. */
extern motet_driver_table motet_driver;

/* Opens the library (NULL: libcuda.so.1) and calls cuInit. MOTET_E_UNSUPPORTED: it is not there,
 * older than what this was built for, lacks an entry point, or finds no device. */
motet_status motet_driver_open(const char *library);

/* Makes a sentence of a driver's error: "cuMemAlloc failed while PURPOSE: NAME, DESCRIPTION". Out
 * of memory is MOTET_E_MEMORY; what a driver or device cannot do MOTET_E_UNSUPPORTED; the rest,
 * faults of kernels included, MOTET_E_IO. */
motet_status motet_driver_fail(CUresult result, const char *file, int line, const char *call,
                               const char *purpose, ...) __attribute__((format(printf, 5, 6)));

/* MOTET_DRIVE(cuStreamSynchronize, (stream), "waiting for the device"); returns the failure. */
#define MOTET_DRIVE(call, arguments, ...)                                                   \
    do {                                                                                    \
        CUresult motet_result = motet_driver.call arguments;                                \
        if (motet_result != CUDA_SUCCESS)                                                   \
            return motet_driver_fail(motet_result, __FILE__, __LINE__, #call, __VA_ARGS__); \
    } while (0)

#endif
