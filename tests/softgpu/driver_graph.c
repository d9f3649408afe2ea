/* Capture and graphs. A captured stream is one chain of nodes, so a graph is a list. */
#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/driver.h"

bool sg_graph_add(sg_graph *graph, sg_node node) {
    if ((graph->count & (graph->count - 1)) == 0) { /* a power of two is full */
        size_t room = graph->count ? 2 * (size_t)graph->count : 1;
        sg_node *more = realloc(graph->nodes, room * sizeof *more);
        if (!more) return false;
        graph->nodes = more;
    }
    graph->nodes[graph->count++] = node;
    return true;
}

void sg_graph_free(sg_graph *graph) {
    if (!graph) return;
    for (int i = 0; i < graph->count; i++)
        sg_node_free(&graph->nodes[i]);
    free(graph->nodes);
    free(graph);
}

static bool copy_params(sg_node *node) {
    const sg_function_handle *function =
        sg_handle_get(SG_H_FUNCTION, node->function, "cuGraphInstantiate");
    if (!function) return false;
    const size_t bytes = sg_kernel_function(function->kernel)->param_bytes;
    unsigned char *params = malloc(bytes ? bytes : 1);
    if (params) memcpy(params, node->params, bytes);
    node->params = params;
    return params != NULL;
}

sg_graph *sg_graph_copy(const sg_graph *graph) {
    sg_graph *copy = calloc(1, sizeof *copy);
    if (!copy) return NULL;
    for (int i = 0; i < graph->count; i++) {
        sg_node node = graph->nodes[i];
        node.handle = NULL;
        if (node.kind == SG_NODE_KERNEL && !copy_params(&node)) {
            sg_graph_free(copy);
            return NULL;
        }
        if (!sg_graph_add(copy, node)) {
            sg_node_free(&node);
            sg_graph_free(copy);
            return NULL;
        }
    }
    return copy;
}

/* ---- Capture. */

SG_ENTRY CUresult cuStreamBeginCapture(CUstream handle, CUstreamCaptureMode mode) {
    SG_READY;
    if (!handle || handle == CU_STREAM_LEGACY) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    sg_stream *stream = sg_handle_get(SG_H_STREAM, handle, "cuStreamBeginCapture");
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
    stream->capture = calloc(1, sizeof *stream->capture);
    if (!stream->capture) return CUDA_ERROR_OUT_OF_MEMORY;
    stream->invalidated = false;
    stream->mode = mode;
    stream->thread = pthread_self();
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus *status) {
    SG_READY;
    const sg_stream *stream = sg_stream_get(handle, "cuStreamIsCapturing");
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    *status = !stream->capture      ? CU_STREAM_CAPTURE_STATUS_NONE
              : stream->invalidated ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                    : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    return CUDA_SUCCESS;
}

static CUresult name_nodes(sg_graph *graph) {
    for (int i = 0; i < graph->count; i++) {
        graph->nodes[i].handle = sg_handle_make(SG_H_NODE, &graph->nodes[i]);
        if (!graph->nodes[i].handle) return CUDA_ERROR_OUT_OF_MEMORY;
    }
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuStreamEndCapture(CUstream handle, CUgraph *graph_handle) {
    SG_READY;
    sg_stream *stream = sg_stream_get(handle, "cuStreamEndCapture");
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (!stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
    if (stream->mode != CU_STREAM_CAPTURE_MODE_RELAXED &&
        !pthread_equal(stream->thread, pthread_self()))
        return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    sg_graph *graph = stream->capture;
    const bool invalidated = stream->invalidated;
    stream->capture = NULL;
    stream->invalidated = false;
    *graph_handle = NULL;
    CUresult result = invalidated ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : name_nodes(graph);
    if (result == CUDA_SUCCESS) {
        *graph_handle = sg_handle_make(SG_H_GRAPH, graph);
        if (!*graph_handle) result = CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (result != CUDA_SUCCESS) sg_graph_free(graph);
    return result;
}

/* Some other thread's relaxed or thread-local capture does not bind this one. */
static void invalidate(void *handle, void *object, void *user) {
    sg_stream *stream = object;
    (void)handle;
    if (!stream->capture || stream->mode == CU_STREAM_CAPTURE_MODE_RELAXED) return;
    if (stream->mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL &&
        !pthread_equal(stream->thread, pthread_self()))
        return;
    stream->invalidated = true;
    *(CUresult *)user = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

CUresult sg_not_in_capture(void) {
    CUresult result = CUDA_SUCCESS;
    sg_handle_each(SG_H_STREAM, invalidate, &result);
    return result;
}

/* ---- Graphs. */

SG_ENTRY CUresult cuGraphGetNodes(CUgraph handle, CUgraphNode *nodes, size_t *count) {
    SG_READY;
    const sg_graph *graph = sg_handle_get(SG_H_GRAPH, handle, "cuGraphGetNodes");
    if (!graph) return CUDA_ERROR_INVALID_HANDLE;
    const size_t room = nodes ? *count : 0;
    for (size_t i = 0; i < room; i++)
        nodes[i] = i < (size_t)graph->count ? graph->nodes[i].handle : NULL;
    if (!nodes || room > (size_t)graph->count) *count = (size_t)graph->count;
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuGraphInstantiate(CUgraphExec *executable, CUgraph handle,
                                     unsigned long long flags) {
    SG_READY;
    if (!executable || flags) return CUDA_ERROR_INVALID_VALUE;
    const sg_graph *graph = sg_handle_get(SG_H_GRAPH, handle, "cuGraphInstantiate");
    if (!graph) return CUDA_ERROR_INVALID_HANDLE;
    sg_graph *copy = sg_graph_copy(graph);
    *executable = copy ? sg_handle_make(SG_H_EXECUTABLE, copy) : NULL;
    if (*executable) return CUDA_SUCCESS;
    sg_graph_free(copy);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

SG_ENTRY CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream_handle) {
    SG_READY;
    const sg_graph *graph = sg_handle_get(SG_H_EXECUTABLE, executable, "cuGraphLaunch");
    sg_stream *stream = sg_stream_get(stream_handle, "cuGraphLaunch");
    if (!graph || !stream) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->capture) { /* a graph within a graph: nobody needs it yet */
        stream->invalidated = true;
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    sg_the_driver.counts.graph_launches++;
    for (int i = 0; i < graph->count; i++) {
        sg_the_driver.counts.graph_kernels += graph->nodes[i].kind == SG_NODE_KERNEL;
        SG_CHECK(sg_node_run(&graph->nodes[i]));
    }
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuGraphDestroy(CUgraph handle) {
    SG_READY;
    sg_graph *graph = sg_handle_get(SG_H_GRAPH, handle, "cuGraphDestroy");
    if (!graph) return CUDA_ERROR_INVALID_HANDLE;
    sg_handle_end(handle);
    sg_graph_free(graph);
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuGraphExecDestroy(CUgraphExec handle) {
    SG_READY;
    sg_graph *graph = sg_handle_get(SG_H_EXECUTABLE, handle, "cuGraphExecDestroy");
    if (!graph) return CUDA_ERROR_INVALID_HANDLE;
    sg_handle_end(handle);
    sg_graph_free(graph);
    return CUDA_SUCCESS;
}
