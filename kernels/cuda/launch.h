/* launch: from an op's C to its kernel. Each kernels/cuda/NOUN.cu is compiled to a fatbin (sm_80,
 * sm_90a and PTX for newer chips; NOUN_hopper.cu: sm_90a) that is embedded as
 * motet_cuda_image_NOUN; it is loaded when one of its kernels is first wanted. An op's host side,
 * kernels/cuda/NOUN_launch.c, names its module and kernels, checks arguments as the CPU twin does,
 * chooses tiles, and launches:
 *
 *     MOTET_CUDA_MODULE(rmsnorm);
 *     static motet_cuda_kernel forward_f32 = {&rmsnorm_module, "motet_rmsnorm_forward_f32"};
 *     ...
 *     return motet_cuda_launch(&forward_f32, (motet_cuda_grid){rows, 1, 1}, 256, 0,
 *                              MOTET_CUDA_ARGS(&out.data, &x.data, &width, &eps));
 *
 * All launches go to the one stream of the device, in order. Nothing here allocates after the first
 * launch of a kernel, so a sequence of launches can be captured into a graph.
 */
#ifndef MOTET_CUDA_LAUNCH_H
#define MOTET_CUDA_LAUNCH_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/core/status.h"

typedef struct motet_cuda_module {
    const char *noun;
    const unsigned char *image; /* fatbin */
    void *handle;               /* CUmodule once loaded */
} motet_cuda_module;

#define MOTET_CUDA_MODULE(noun)                           \
    extern const unsigned char motet_cuda_image_##noun[]; \
    static motet_cuda_module noun##_module = {#noun, motet_cuda_image_##noun, NULL}

typedef struct motet_cuda_kernel {
    motet_cuda_module *module;
    const char *name;    /* extern "C" entry */
    void *function;      /* CUfunction once looked up */
    size_t shared_bytes; /* dynamic shared memory that the function was told to allow */
} motet_cuda_kernel;

typedef struct motet_cuda_grid {
    int64_t x, y, z; /* blocks; x < 2^31, y and z < 2^16. An empty grid launches nothing */
} motet_cuda_grid;

/* The arguments' addresses, `&a, &b`, in the kernel's order. Each variable must have exactly the
 * type of its parameter: the driver copies that many bytes. */
#define MOTET_CUDA_ARGS(...) ((void *[]){__VA_ARGS__})

/* threads: of a block, at most 1,024; shared_bytes: dynamic, up to the device's opt-in limit.
 * arguments: array of addresses as cuLaunchKernel wants them. Errors name kernel and driver call.
 */
motet_status motet_cuda_launch(motet_cuda_kernel *kernel, motet_cuda_grid grid, int threads,
                               size_t shared_bytes, void **arguments);

/* The same for blocks that wait for each other: all of them run at once, or the launch fails
 * (MOTET_E_IO). A block of moderate size for each multiprocessor always fits. */
motet_status motet_cuda_launch_together(motet_cuda_kernel *kernel, motet_cuda_grid grid,
                                        int threads, size_t shared_bytes, void **arguments);

/* Device memory that an op may use until its own last launch: sums in a fixed order, split K. The
 * next op uses the same bytes. bytes <= MOTET_CUDA_WORKSPACE, aligned to 256. */
#define MOTET_CUDA_WORKSPACE ((size_t)32 << 20)
void *motet_cuda_workspace(void);

/* What launchers choose tiles by. */
typedef struct motet_cuda_limits {
    int compute; /* 80, 86, 90, ... */
    int multiprocessors;
    size_t shared_bytes; /* a block's, opted in */
} motet_cuda_limits;
motet_cuda_limits motet_cuda_get_limits(void);

/* A device-side complaint slot to hand to kernels that check indices: see complaint.h. */
struct motet_complaint *motet_cuda_complaints(void);

#endif
