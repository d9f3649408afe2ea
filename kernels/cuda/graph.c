#include "kernels/cuda/graph.h"

#include <stdlib.h>

#include "kernels/cuda/device.h"
#include "kernels/cuda/driver.h"

static motet_status enter(CUstream *stream) {
    const motet_cuda_device *device = motet_cuda_get_device();
    *stream = NULL;
    if (!device) return MOTET_FAIL(MOTET_E_USAGE, "the CUDA device is closed already");
    *stream = device->stream;
    return motet_cuda_enter();
}

motet_status motet_cuda_graph_begin(void) {
    CUstream stream = NULL;
    MOTET_TRY(enter(&stream));
    /* Thread-local: what other threads do meanwhile is their own affair. */
    MOTET_DRIVE(cuStreamBeginCapture, (stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
                "beginning a graph");
    return MOTET_OK;
}

motet_status motet_cuda_graph_end(motet_cuda_graph *graph) {
    *graph = (motet_cuda_graph){0};
    CUstream stream = NULL;
    MOTET_TRY(enter(&stream));
    CUgraph captured = NULL;
    MOTET_DRIVE(cuStreamEndCapture, (stream, &captured), "ending a graph");
    size_t nodes = 0;
    CUgraphExec executable = NULL;
    CUresult result = motet_driver.cuGraphGetNodes(captured, NULL, &nodes);
    if (result == CUDA_SUCCESS) result = motet_driver.cuGraphInstantiate(&executable, captured, 0);
    (void)motet_driver.cuGraphDestroy(captured);
    if (result != CUDA_SUCCESS)
        return motet_driver_fail(result, __FILE__, __LINE__, "cuGraphInstantiate",
                                 "making a graph of %zu nodes", nodes);
    graph->executable = executable;
    graph->nodes = (int64_t)nodes;
    return MOTET_OK;
}

motet_status motet_cuda_graph_launch(motet_cuda_graph *graph) {
    CUstream stream = NULL;
    MOTET_TRY(enter(&stream));
    if (!graph->executable) return MOTET_FAIL(MOTET_E_USAGE, "launching a graph that is empty");
    MOTET_DRIVE(cuGraphLaunch, (graph->executable, stream), "launching a graph of %lld nodes",
                (long long)graph->nodes);
    graph->launches++;
    return MOTET_OK;
}

void motet_cuda_graph_free(motet_cuda_graph *graph) {
    CUstream stream = NULL;
    if (graph->executable && enter(&stream) == MOTET_OK)
        (void)motet_driver.cuGraphExecDestroy(graph->executable);
    *graph = (motet_cuda_graph){0};
}

/* ---- As the back-end shows it. */

struct motet_graph {
    motet_cuda_graph graph;
};

static void free_graph(motet_graph *graph) {
    if (!graph) return;
    motet_cuda_graph_free(&graph->graph);
    free(graph);
}

static motet_status end_graph(motet_graph **graph) {
    *graph = NULL;
    motet_cuda_graph captured;
    MOTET_TRY(motet_cuda_graph_end(&captured));
    *graph = malloc(sizeof **graph);
    if (!*graph) {
        motet_cuda_graph_free(&captured);
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a graph");
    }
    (*graph)->graph = captured;
    return MOTET_OK;
}

static motet_status launch_graph(motet_graph *graph) {
    return motet_cuda_graph_launch(&graph->graph);
}

const motet_graphs motet_cuda_graphs = {motet_cuda_graph_begin, end_graph, launch_graph,
                                        free_graph};

/* ---- Time. */

static motet_status mark(void **event) {
    CUstream stream = NULL;
    MOTET_TRY(enter(&stream));
    if (!*event) {
        CUevent made;
        MOTET_DRIVE(cuEventCreate, (&made, CU_EVENT_DEFAULT), "making a mark to time by");
        *event = made;
    }
    MOTET_DRIVE(cuEventRecord, (*event, stream), "marking a time");
    return MOTET_OK;
}

motet_status motet_cuda_timer_start(motet_cuda_timer *timer) {
    return mark(&timer->from);
}

motet_status motet_cuda_timer_stop(motet_cuda_timer *timer) {
    return mark(&timer->to);
}

motet_status motet_cuda_timer_read(motet_cuda_timer *timer, float *milliseconds) {
    CUstream stream = NULL;
    MOTET_TRY(enter(&stream));
    if (!timer->from || !timer->to)
        return MOTET_FAIL(MOTET_E_USAGE, "reading a timer that was not started and stopped");
    MOTET_DRIVE(cuEventSynchronize, (timer->to), "waiting for a mark");
    MOTET_DRIVE(cuEventElapsedTime, (milliseconds, timer->from, timer->to), "reading a time");
    return MOTET_OK;
}

void motet_cuda_timer_free(motet_cuda_timer *timer) {
    CUstream stream = NULL;
    if (enter(&stream) == MOTET_OK) {
        if (timer->from) (void)motet_driver.cuEventDestroy(timer->from);
        if (timer->to) (void)motet_driver.cuEventDestroy(timer->to);
    }
    *timer = (motet_cuda_timer){0};
}
