/* device: the one CUDA device of the process, its stream, and what every op shares. Internal to the
 * plug-in; launchers need launch.h only. The driver's handles are untyped here, so that only
 * those who call the driver see cuda.h.
 */
#ifndef MOTET_CUDA_DEVICE_H
#define MOTET_CUDA_DEVICE_H

#include "kernels/core/memory.h"
#include "kernels/cuda/complaint.h"
#include "kernels/cuda/launch.h"

typedef struct motet_cuda_device {
    int ordinal;
    char name[128];
    void *context; /* CUcontext: the device's primary one, which libraries share */
    void *stream;  /* CUstream: all work of the process, in order, but for branches */
    void *workspace;
    motet_complaint *complaints; /* in pinned memory */
    motet_cuda_limits limits;
} motet_cuda_device;

/* NULL before motet_cuda_device_open succeeded and after motet_cuda_device_close. */
const motet_cuda_device *motet_cuda_get_device(void);

/* Opens device number `ordinal` through this driver (NULL: the system's). Closed at exit. Errors as
 * plugin.h lists them. */
motet_status motet_cuda_device_open(int ordinal, const char *driver);

/* Gives everything back, blocks of memory.c that nobody gave back included. */
void motet_cuda_device_close(void);

/* Makes the device's context the calling thread's; before every driver call. Cheap when it is. */
motet_status motet_cuda_enter(void);

/* Where the calling thread's work goes: the device's stream, or one of the thread's own from
 * motet_cuda_branch(1) to motet_cuda_branch(0). The workspace is not for branches. */
void *motet_cuda_stream(void);
motet_status motet_cuda_branch(int on);

/* memory.c */
extern const motet_memory motet_cuda_memory;
void motet_cuda_memory_give_back_all(void);

/* launch.c: the modules loaded so far. */
void motet_cuda_unload_all(void);

/* complaint.c: after a synchronisation, what kernels complained of, as MOTET_E_USAGE; the slot is
 * empty then. */
motet_status motet_cuda_complaints_take(void);

#endif
