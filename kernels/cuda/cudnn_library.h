/* cudnn_library: NVIDIA's cuDNN 9, opened at run time (libcudnn.so.9), so that nothing links it.
 * Its headers are needed to build this (HAS_CUDNN), not to run it. Internal.
 */
#ifndef MOTET_CUDA_CUDNN_LIBRARY_H
#define MOTET_CUDA_CUDNN_LIBRARY_H

#include "kernels/core/status.h"

#if __has_include(<cudnn.h>)
#define HAS_CUDNN 1

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <cudnn.h>
#pragma GCC diagnostic pop

#define MOTET_CUDNN_CALLS(X)         \
    X(cudnnGetVersion)               \
    X(cudnnGetErrorString)           \
    X(cudnnGetLastErrorString)       \
    X(cudnnCreate)                   \
    X(cudnnSetStream)                \
    X(cudnnBackendCreateDescriptor)  \
    X(cudnnBackendDestroyDescriptor) \
    X(cudnnBackendSetAttribute)      \
    X(cudnnBackendGetAttribute)      \
    X(cudnnBackendFinalize)          \
    X(cudnnBackendExecute)

typedef struct motet_cudnn_table {
#define X(call) __typeof__(&call) call;
    MOTET_CUDNN_CALLS(X)
#undef X
} motet_cudnn_table;

/* Filled by motet_cudnn_open. */
extern motet_cudnn_table motet_cudnn;

/* Opens the library (NULL: libcudnn.so.9) once. MOTET_E_UNSUPPORTED says what is missing: the
 * library, an entry point, or a version of at least 9.5. Not thread-safe. */
motet_status motet_cudnn_open(const char *library);

/* The sentence of a call that failed: "cuDNN 9.19.0 while PURPOSE: STATUS (its own words)". Always
 * MOTET_E_UNSUPPORTED: what it does not take, our own kernels do. */
motet_status motet_cudnn_fail(cudnnStatus_t status, const char *purpose);

#endif
#endif
