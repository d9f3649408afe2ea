/* host_status: where the plug-in's motet_fail and motet_log go. Internal. */
#ifndef MOTET_CUDA_HOST_STATUS_H
#define MOTET_CUDA_HOST_STATUS_H

#include "kernels/cuda/plugin.h"

/* MOTET_E_UNSUPPORTED if the program was built with another plugin.h; said through host->fail. */
motet_status motet_cuda_host_set(const motet_cuda_host *host);

#endif
