/* plugin: what libmotet_cuda.so and the program that opens it agree on. The plug-in exports one
 * function, motet_cuda_open. It has no errors, log or environment of its own: the program hands it
 * its own as a table of functions, and the plug-in's motet_fail and motet_log go there
 * (host_status.c). kernels/device.h opens it.
 */
#ifndef MOTET_CUDA_PLUGIN_H
#define MOTET_CUDA_PLUGIN_H

#include <stddef.h>

#include "kernels/backend.h"
#include "kernels/core/log.h"
#include "kernels/core/status.h"

/* Raised by whoever changes this file, an op's function type, or the tensor. */
#define MOTET_CUDA_ABI 2

typedef struct motet_cuda_host {
    /* These two keep place and meaning for ever, so that a plug-in can always refuse politely. */
    int abi; /* MOTET_CUDA_ABI of the program */
    motet_status (*fail)(motet_status code, const char *file, int line, const char *sentence);

    size_t backend_bytes; /* sizeof(motet_backend) */
    motet_status (*fail_prefix)(motet_status code, const char *prefix);
    const char *(*error)(void);
    const char *(*error_where)(void);
    void (*log)(motet_log_level level, const char *line);
    const char *driver; /* the driver library to open; NULL: the system's libcuda.so.1 */
} motet_cuda_host;

/* Opens device number `device` (from 0) for the whole process, once: the same number again gives
 * the same table, another one is MOTET_E_USAGE. MOTET_E_UNSUPPORTED: no driver, a too old one, no
 * such device, one below compute capability 8.0, or a plug-in of another version. The host table
 * must live as long as the process; so does the back-end. */
typedef motet_status motet_cuda_open_fn(const motet_backend **backend, int device,
                                        const motet_cuda_host *host);
#define MOTET_CUDA_OPEN "motet_cuda_open"

#endif
