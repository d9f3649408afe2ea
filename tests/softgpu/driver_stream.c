/* Streams, and the work that they are given. */
#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/driver.h"
#include "tests/softgpu/memory.h"
#include "tests/softgpu/report.h"
#include "tests/softgpu/shadow.h"

static sg_stream legacy; /* NULL, CU_STREAM_LEGACY, CU_STREAM_PER_THREAD */

sg_stream *sg_stream_get(CUstream handle, const char *call) {
    if (!handle || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD) return &legacy;
    return sg_handle_get(SG_H_STREAM, handle, call);
}

SG_ENTRY CUresult cuStreamCreate(CUstream *handle, unsigned flags) {
    SG_READY;
    if (!handle || (flags & ~(unsigned)CU_STREAM_NON_BLOCKING)) return CUDA_ERROR_INVALID_VALUE;
    sg_stream *stream = calloc(1, sizeof *stream);
    *handle = stream ? sg_handle_make(SG_H_STREAM, stream) : NULL;
    if (*handle) return CUDA_SUCCESS;
    free(stream);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

SG_ENTRY CUresult cuStreamDestroy(CUstream handle) {
    SG_READY;
    sg_stream *stream = sg_handle_get(SG_H_STREAM, handle, "cuStreamDestroy");
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    sg_graph_free(stream->capture);
    sg_handle_end(handle);
    free(stream);
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult softgpu_stream_foreign(CUstream handle, int delta) {
    SG_READY;
    sg_stream *stream = sg_stream_get(handle, "softgpu_stream_foreign");
    if (!stream || stream->foreign + delta < 0) return CUDA_ERROR_INVALID_HANDLE;
    stream->foreign += delta;
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuStreamQuery(CUstream handle) {
    SG_READY;
    sg_stream *stream = sg_stream_get(handle, "cuStreamQuery");
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->capture) {
        stream->invalidated = true;
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    if (stream->foreign) return CUDA_ERROR_NOT_READY;
    const CUresult result = sg_the_driver.pending;
    sg_the_driver.pending = CUDA_SUCCESS;
    return result;
}

SG_ENTRY CUresult cuStreamSynchronize(CUstream handle) {
    SG_READY;
    sg_stream *stream = sg_stream_get(handle, "cuStreamSynchronize");
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->foreign) return CUDA_ERROR_NOT_SUPPORTED;
    if (stream->capture) {
        stream->invalidated = true;
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    sg_the_driver.counts.waits++;
    const CUresult result = sg_the_driver.pending;
    sg_the_driver.pending = CUDA_SUCCESS;
    return result;
}

/* ---- One piece of work. */

/* The host's pointer to a side of a copy: of the device's memory, pinned, or the host's own. */
static unsigned char *side(uint64_t address, uint64_t bytes, bool written, const char *call) {
    const sg_region *block = sg_region_find(address);
    if (!sg_is_device_address(address) && !block) return (unsigned char *)(uintptr_t)address;
    unsigned char *host = sg_memory_host(address, bytes, written);
    if (host) return host;
    char where[200];
    sg_memory_where(where, sizeof where, address);
    sg_report(block && block->freed ? SG_R_FREED : SG_R_BOUNDS, NULL, NULL, 0,
              "%s of %llu bytes at %#llx: %s", call, (unsigned long long)bytes,
              (unsigned long long)address, where);
    return NULL;
}

/* What nobody wrote stays unwritten where it is copied to. */
static void carry_unwritten(sg_region *target, const sg_region *source, const sg_node *node) {
    for (uint64_t i = 0; i < node->bytes; i++)
        if (!sg_shadow_written(source, node->from - source->address + i, 1))
            sg_shadow_set(target, node->to - target->address + i, 1, false);
}

static CUresult run_copy(const sg_node *node) {
    const sg_region *source = sg_region_find(node->from);
    sg_region *target = sg_region_find(node->to);
    unsigned char *from = side(node->from, node->bytes, false, "a copy from");
    if (!from) return CUDA_ERROR_INVALID_VALUE;
    const uint64_t unwritten = source ? sg_memory_unwritten(node->from, node->bytes) : 0;
    unsigned char *to = side(node->to, node->bytes, true, "a copy to");
    if (!to) return CUDA_ERROR_INVALID_VALUE;
    memmove(to, from, node->bytes);
    if (unwritten && target && !target->pinned) carry_unwritten(target, source, node);
    if (unwritten && (!target || target->pinned)) {
        char where[200];
        sg_memory_where(where, sizeof where, node->from);
        sg_report(SG_R_UNWRITTEN, NULL, NULL, 0,
                  "of %llu bytes that are copied to the host, nobody wrote %llu (%s)",
                  (unsigned long long)node->bytes, (unsigned long long)unwritten, where);
    }
    return CUDA_SUCCESS;
}

static CUresult run_kernel(const sg_node *node) {
    const sg_function_handle *function =
        sg_handle_get(SG_H_FUNCTION, node->function, "launching a kernel");
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    /* The report is what matters; the caller hears of it where a device's fault would show. */
    const bool fine = (node->together ? sg_kernel_launch_together : sg_kernel_launch)(
        function->kernel, node->blocks, node->threads, node->shared_bytes, node->params);
    if (!fine) sg_the_driver.pending = CUDA_ERROR_LAUNCH_FAILED;
    return CUDA_SUCCESS;
}

CUresult sg_node_run(const sg_node *node) {
    switch (node->kind) {
    case SG_NODE_KERNEL:
        return run_kernel(node);
    case SG_NODE_COPY:
        return run_copy(node);
    case SG_NODE_MEMSET: {
        unsigned char *to = side(node->to, node->bytes, true, "a memset");
        if (!to) return CUDA_ERROR_INVALID_VALUE;
        memset(to, node->value, node->bytes);
        return CUDA_SUCCESS;
    }
    }
    return CUDA_ERROR_UNKNOWN;
}

void sg_node_free(sg_node *node) {
    if (node->handle) sg_handle_end(node->handle);
    free(node->params);
    *node = (sg_node){0};
}

CUresult sg_stream_submit(sg_stream *stream, sg_node node) {
    if (stream->foreign) {
        sg_node_free(&node);
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    if (!stream->capture) {
        CUresult result = sg_node_run(&node);
        sg_node_free(&node);
        return result;
    }
    if (stream->invalidated) {
        sg_node_free(&node);
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    }
    if (sg_graph_add(stream->capture, node)) return CUDA_SUCCESS;
    sg_node_free(&node);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

/* ---- Asking for it. */

static CUresult launch(const CUlaunchConfig *config, CUfunction function, void **params,
                       void **extra, bool together) {
    SG_READY;
    sg_stream *stream = sg_stream_get(config->hStream, "cuLaunchKernel");
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (extra) return CUDA_ERROR_NOT_SUPPORTED;
    sg_node node;
    SG_CHECK(sg_kernel_node(&node, function,
                            (uint32_t[]){config->gridDimX, config->gridDimY, config->gridDimZ},
                            (uint32_t[]){config->blockDimX, config->blockDimY, config->blockDimZ},
                            config->sharedMemBytes, params, "cuLaunchKernel"));
    node.together = together;
    if (stream->capture)
        sg_the_driver.counts.captured++;
    else
        sg_the_driver.counts.launches++;
    return sg_stream_submit(stream, node);
}

SG_ENTRY CUresult cuLaunchKernel(CUfunction function, unsigned blocks_x, unsigned blocks_y,
                                 unsigned blocks_z, unsigned threads_x, unsigned threads_y,
                                 unsigned threads_z, unsigned shared_bytes, CUstream handle,
                                 void **params, void **extra) {
    const CUlaunchConfig config = {.gridDimX = blocks_x,
                                   .gridDimY = blocks_y,
                                   .gridDimZ = blocks_z,
                                   .blockDimX = threads_x,
                                   .blockDimY = threads_y,
                                   .blockDimZ = threads_z,
                                   .sharedMemBytes = shared_bytes,
                                   .hStream = handle};
    return launch(&config, function, params, extra, false);
}

/* Clusters of one block and hints; what would change the meaning of a launch is refused. */
static bool understood(const CUlaunchAttribute *a) {
    switch ((int)a->id) {
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
        return a->value.clusterDim.x == 1 && a->value.clusterDim.y == 1 &&
               a->value.clusterDim.z == 1;
    case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
    case CU_LAUNCH_ATTRIBUTE_IGNORE:
    case CU_LAUNCH_ATTRIBUTE_PRIORITY:
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION: /* launches follow each other */
        return true;
    default:
        return false;
    }
}

SG_ENTRY CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function, void **params,
                                   void **extra) {
    if (!config || (config->numAttrs && !config->attrs)) return CUDA_ERROR_INVALID_VALUE;
    bool together = false;
    for (unsigned i = 0; i < config->numAttrs; i++) {
        if (!understood(&config->attrs[i])) return CUDA_ERROR_NOT_SUPPORTED;
        together |= config->attrs[i].id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE &&
                    config->attrs[i].value.cooperative;
    }
    /* One block on each multiprocessor: any block fits on one. */
    int most = 0;
    SG_CHECK(cuDeviceGetAttribute(&most, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0));
    const uint64_t blocks = (uint64_t)config->gridDimX * config->gridDimY * config->gridDimZ;
    if (together && blocks > (uint64_t)most) return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
    return launch(config, function, params, extra, together);
}

/* The device's own memory or pinned, freed or not. A capture cannot hold a copy of other memory,
 * which may be gone when the graph runs. */
static bool of_the_device(uint64_t address) {
    return sg_region_find(address) || sg_is_device_address(address);
}

SG_ENTRY CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream handle) {
    SG_READY;
    sg_stream *stream = sg_stream_get(handle, "cuMemcpyAsync");
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (bytes == 0) return CUDA_SUCCESS;
    if (!to || !from) return CUDA_ERROR_INVALID_VALUE;
    if (stream->capture && (!of_the_device(to) || !of_the_device(from))) {
        stream->invalidated = true;
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    sg_the_driver.counts.copies++;
    return sg_stream_submit(
        stream, (sg_node){.kind = SG_NODE_COPY, .to = to, .from = from, .bytes = bytes});
}

SG_ENTRY CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes,
                                  CUstream handle) {
    SG_READY;
    sg_stream *stream = sg_stream_get(handle, "cuMemsetD8Async");
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (bytes == 0) return CUDA_SUCCESS;
    if (!of_the_device(to)) return CUDA_ERROR_INVALID_VALUE;
    sg_the_driver.counts.memsets++;
    return sg_stream_submit(
        stream, (sg_node){.kind = SG_NODE_MEMSET, .to = to, .value = value, .bytes = bytes});
}
