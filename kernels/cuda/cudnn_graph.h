/* cudnn_graph: a graph of cuDNN's descriptors in the making, and attention's (cudnn_plan.h). What
 * fails is remembered, and nothing is done after it, so that callers look once, at the end.
 * Internal.
 */
#ifndef MOTET_CUDA_CUDNN_GRAPH_H
#define MOTET_CUDA_CUDNN_GRAPH_H

#include "kernels/cuda/cudnn_plan.h"

#if HAS_CUDNN

typedef cudnnBackendDescriptor_t motet_cudnn_descriptor;

typedef struct motet_cudnn_graph {
    motet_cudnn_descriptor all[128], operations[32]; /* to be destroyed; all[] has operations[] */
    int count, operation_count;
    int64_t virtuals; /* tensors that are never in memory */
    const motet_cudnn_shape *shape;
    cudnnStatus_t status;
    const char *failed; /* while what, if status is one of failure */
} motet_cudnn_graph;

/* Adds tensors and operations of graph->shape. */
void motet_cudnn_graph_attention(motet_cudnn_graph *graph);

motet_cudnn_descriptor motet_cudnn_graph_create(motet_cudnn_graph *graph,
                                                cudnnBackendDescriptorType_t type);
void motet_cudnn_graph_set(motet_cudnn_graph *graph, motet_cudnn_descriptor descriptor,
                           cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                           int64_t count, const void *values);
void motet_cudnn_graph_finish(motet_cudnn_graph *graph, motet_cudnn_descriptor descriptor,
                              const char *purpose);
void motet_cudnn_graph_free(motet_cudnn_graph *graph);

#endif
#endif
