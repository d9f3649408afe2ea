/* device: the CUDA driver of the process, which is softgpu: the library that the program has opened
 * already. All functions say CUDA_SUCCESS or what the driver says.
 */
#ifndef NCCL_TEST_DEVICE_H
#define NCCL_TEST_DEVICE_H

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct tn_device {
    CUcontext context; /* of the thread that opened the communicator */
    int ordinal;
} tn_device;

/* CUDA_ERROR_NOT_FOUND: the driver is not softgpu, or not there. */
CUresult tn_device_open(tn_device *device);
CUresult tn_device_enter(const tn_device *device); /* makes the context this thread's */

/* Is [data, data + bytes) memory of the device? */
bool tn_device_owns(const void *data, size_t bytes);
CUresult tn_device_copy(void *to, const void *from, size_t bytes);
CUresult tn_device_fill(void *to, unsigned char value, size_t bytes);
bool tn_device_is_stream(CUstream stream);
/* Work is put on a stream, or is done. */
CUresult tn_device_busy(CUstream stream, int delta);

#endif
