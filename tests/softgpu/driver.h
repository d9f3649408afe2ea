/* driver: softgpu's libcuda.so.1 as programs see it. The entry points are those that the plug-in
 * uses (kernels/cuda/driver.h), with the types and versions of cuda.h; what else a program looks up
 * is not there. Each file holds one family of them:
 *
 *   driver_device.c  start, devices, contexts       driver_memory.c  allocations
 *   driver_module.c  modules and kernels            driver_stream.c  streams, launches, copies
 *   driver_graph.c   capture and graphs             driver_event.c   events
 *   driver_table.c   cuGetProcAddress, names of errors
 *   driver_handle.c  handles, lock, state
 *
 * Work is done when it is asked for, so an event is complete when it is recorded. What is not done
 * at once: the failure of a kernel (a report was made) is told by the next call that waits, as a
 * device would, and once. A stream that captures does nothing; its nodes run when their graph is
 * launched, with the arguments of the capture.
 *
 * A handle is a number that is never given twice, not an address: a wrong one is
 * CUDA_ERROR_INVALID_HANDLE and a report, never a crash, and a destroyed one is told from one that
 * never was.
 *
 * Pretences for tests of error paths, read at each call, besides SOFTGPU_ARCH:
 *   SOFTGPU_VERSION=12040    what cuDriverGetVersion says (default 13000)
 *   SOFTGPU_DEVICES=0..8     how many devices there are (default 1)
 *   SOFTGPU_COMPUTE=75       the compute capability of all of them (default SOFTGPU_ARCH)
 *
 * Not modelled: several contexts (device memory is one), time (events have the host's clock),
 * work on several streams at once, memory pools, peers, textures, the legacy stream's implicit
 * waits.
 */
#ifndef SOFTGPU_DRIVER_H
#define SOFTGPU_DRIVER_H

#if __has_include(<cuda.h>)
#include <cuda.h>
#else
#include "/usr/local/cuda/include/cuda.h" /* where the toolkit's installer puts it */
#endif
#include <pthread.h>

#include "tests/softgpu/launch.h"
#include "tests/softgpu/memory.h"

#define SG_ENTRY __attribute__((visibility("default")))

/* Everything in here happens one call after another. */
int sg_driver_lock(void);
void sg_driver_unlock(int *unused);
#define SG_LOCKED \
    __attribute__((cleanup(sg_driver_unlock), unused)) int sg_locked = sg_driver_lock()
/* CUDA_SUCCESS if cuInit was called and the thread has a context. */
CUresult sg_driver_ready(void);
#define SG_READY                                         \
    SG_LOCKED;                                           \
    do {                                                 \
        CUresult sg_result = sg_driver_ready();          \
        if (sg_result != CUDA_SUCCESS) return sg_result; \
    } while (0)
#define SG_CHECK(call)                                   \
    do {                                                 \
        CUresult sg_result = (call);                     \
        if (sg_result != CUDA_SUCCESS) return sg_result; \
    } while (0)

/* ---- Handles. */
typedef enum sg_handle_kind {
    SG_H_CONTEXT = 1,
    SG_H_STREAM,
    SG_H_EVENT,
    SG_H_MODULE,
    SG_H_FUNCTION,
    SG_H_GRAPH,
    SG_H_EXECUTABLE,
    SG_H_NODE,
} sg_handle_kind;

/* NULL if there is no memory. */
void *sg_handle_make(sg_handle_kind kind, void *object);
/* The object; NULL: reported as a wrong handle of this call. */
void *sg_handle_get(sg_handle_kind kind, const void *handle, const char *call);
void sg_handle_end(const void *handle);
/* Handles of this kind that are alive, each with its object. */
void sg_handle_each(sg_handle_kind kind, void (*visit)(void *handle, void *object, void *user),
                    void *user);

/* ---- What was asked for so far, for tests: `const sg_driver_counts *softgpu_counts(void)` is
 * exported by the library. */
typedef struct sg_driver_counts {
    uint64_t launches;       /* cuLaunchKernel, done at once */
    uint64_t captured;       /* cuLaunchKernel, kept in a graph */
    uint64_t graph_launches; /* cuGraphLaunch */
    uint64_t graph_kernels;  /* kernels that those ran */
    uint64_t copies, memsets;
    uint64_t waits; /* of the host for a stream or an event */
    uint64_t allocations, frees;
    uint64_t modules;
} sg_driver_counts;
typedef const sg_driver_counts *softgpu_counts_fn(void);
softgpu_counts_fn softgpu_counts;

typedef struct sg_driver {
    bool started;
    int retained; /* primary contexts in use */
    void *context;
    CUresult pending; /* of a kernel: told by the next call that waits */
    sg_driver_counts counts;
} sg_driver;
extern sg_driver sg_the_driver;

/* ---- Work. */

/* Is this an address that only the device has? No process maps anything there: the host's own
 * mappings end 1 TiB below 2^47 at the lowest. */
static inline bool sg_is_device_address(uint64_t address) {
    return address >= SG_DEVICE_BASE && address - SG_DEVICE_BASE < (uint64_t)8 << 40;
}

typedef enum sg_node_kind { SG_NODE_KERNEL, SG_NODE_COPY, SG_NODE_MEMSET } sg_node_kind;

typedef struct sg_node {
    sg_node_kind kind;
    void *handle;   /* SG_H_NODE, in a graph */
    void *function; /* kernel: SG_H_FUNCTION, looked up when it runs */
    uint32_t blocks[3], threads[3], shared_bytes;
    bool together;         /* a cooperative launch */
    unsigned char *params; /* owned, [param_bytes] as the function lays them out */
    uint64_t to, from, bytes;
    unsigned char value; /* memset */
} sg_node;

typedef struct sg_graph {
    sg_node *nodes;
    int count;
} sg_graph;

typedef struct sg_stream {
    sg_graph *capture; /* NULL: works */
    bool invalidated;  /* the capture has met something that it cannot hold */
    CUstreamCaptureMode mode;
    pthread_t thread; /* that began the capture */
    int foreign;      /* pieces of another library's work that are not done yet */
} sg_stream;

/* Exported, for libraries that play a GPU's other users (tests/nccl): `delta` more pieces of their
 * work are on the stream. Until it is none, cuStreamQuery says that it is not ready, and what would
 * have to come after that work, or wait for it, is refused: a program that must notice dead peers
 * polls. */
typedef CUresult softgpu_stream_foreign_fn(CUstream stream, int delta);
softgpu_stream_foreign_fn softgpu_stream_foreign;

typedef struct sg_function_handle {
    void *module; /* SG_H_MODULE */
    sg_kernel *kernel;
    uint32_t shared_allowed; /* dynamic bytes */
} sg_function_handle;

/* The stream of a handle; NULL handles and the two special ones are one stream that never captures.
 * NULL: reported. */
sg_stream *sg_stream_get(CUstream handle, const char *call);
/* Does the node's work. Whatever is wrong with it is reported. */
CUresult sg_node_run(const sg_node *node);
/* Runs the node or keeps it; takes over node->params. */
CUresult sg_stream_submit(sg_stream *stream, sg_node node);
void sg_node_free(sg_node *node);
/* A node for a graph, which takes it over: false without memory. */
bool sg_graph_add(sg_graph *graph, sg_node node);
void sg_graph_free(sg_graph *graph);
sg_graph *sg_graph_copy(const sg_graph *graph);

/* Calls that a capture forbids to this thread (allocations, loading): invalidates the capture. */
CUresult sg_not_in_capture(void);

/* Checks a kernel's launch as the driver would, makes its node. */
CUresult sg_kernel_node(sg_node *node, CUfunction function, const uint32_t blocks[3],
                        const uint32_t threads[3], uint32_t shared_bytes, void **params,
                        const char *call);

#endif
