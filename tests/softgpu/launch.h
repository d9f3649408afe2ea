/* launch: modules as the driver's entry points see them. */
#ifndef SOFTGPU_LAUNCH_H
#define SOFTGPU_LAUNCH_H

#include "tests/softgpu/ptx.h"

typedef struct sg_loaded sg_loaded; /* a module with its globals in device memory */
typedef struct sg_kernel sg_kernel; /* one entry of it; program made at first launch */

/* Image as cuModuleLoadData gets it. False: the sentence says why. */
bool sg_loaded_make(sg_loaded **loaded, const void *image, char *sentence, size_t room);
void sg_loaded_free(sg_loaded *loaded);
sg_kernel *sg_loaded_kernel(sg_loaded *loaded, const char *name); /* NULL: not there */
bool sg_loaded_global(uint64_t *address, uint64_t *bytes, sg_loaded *loaded, const char *name);

const sg_function *sg_kernel_function(const sg_kernel *kernel);
/* params: packed as the function's parameter offsets say. Checks launch limits (threads, shared
 * memory as if all of it had been opted in, .maxntid), runs the grid, updates counters. False if
 * anything was reported. */
bool sg_kernel_launch(sg_kernel *kernel, const uint32_t blocks[3], const uint32_t threads[3],
                      uint64_t dynamic_shared, const void *params);
/* A cooperative launch: all blocks are alive at once, whatever SOFTGPU_RESIDENT says. */
bool sg_kernel_launch_together(sg_kernel *kernel, const uint32_t blocks[3],
                               const uint32_t threads[3], uint64_t dynamic_shared,
                               const void *params);

#endif
