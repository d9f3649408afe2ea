/* device: from what a user wrote to a back-end. One build of a program runs with and without a GPU:
 * the CUDA back-end is a plug-in, libmotet_cuda.so, that is looked for
 *
 *   1. beside the running program,
 *   2. in ../lib/motet from there,
 *   3. by its name, where the system's loader looks.
 *
 * Two environment variables, for tests and odd installations, name files instead:
 * MOTET_CUDA_PLUGIN the plug-in (then it is looked for nowhere else), and MOTET_CUDA_DRIVER the
 * driver library in place of the system's libcuda.so.1. Both are ignored in set-user-ID programs.
 */
#ifndef MOTET_DEVICE_H
#define MOTET_DEVICE_H

#include "kernels/backend.h"

/* device, in these spellings:
 *   "cpu"     the table of motet_backend_cpu; a trainer copies it and sets its own matmul
 *   "cuda"    the first CUDA device; "cuda:N" number N, from 0
 *   "auto"    "cuda" if that works, else "cpu", with one line to the log that says why
 * Anything else is MOTET_E_USAGE. "cuda" fails with what is missing: plug-in, driver, or device
 * (MOTET_E_UNSUPPORTED). A process opens one CUDA device; asking for it again is cheap, asking for
 * another is MOTET_E_USAGE. The table lives as long as the process. May be called from any thread.
 */
motet_status motet_device_open(const motet_backend **backend, const char *device);

#endif
