/* graph: a sequence of launches, captured once and launched as one; and two marks on the stream to
 * time what lies between them. The back-end's table shows the first as kernels/graph.h.
 *
 * Everything a captured sequence needs must have run once before: kernels are loaded at their first
 * launch, and nothing may be allocated, given back or waited for during a capture. Arguments are
 * those of the capture; what changes from launch to launch has to be in memory.
 */
#ifndef MOTET_CUDA_GRAPH_H
#define MOTET_CUDA_GRAPH_H

#include <stdint.h>

#include "kernels/graph.h"

typedef struct motet_cuda_graph {
    void *executable; /* CUgraphExec */
    int64_t nodes;    /* launches, copies and memsets in it */
    int64_t launches; /* of the whole, so far */
} motet_cuda_graph;

/* From here on the calling thread's launches, copies and zeroes are kept instead of run. */
motet_status motet_cuda_graph_begin(void);

/* Ends the capture. On failure (something that cannot be captured was asked for) *graph is empty
 * and the stream works as before. */
motet_status motet_cuda_graph_end(motet_cuda_graph *graph);

motet_status motet_cuda_graph_launch(motet_cuda_graph *graph);

/* An empty graph is allowed. */
void motet_cuda_graph_free(motet_cuda_graph *graph);

extern const motet_graphs motet_cuda_graphs;

typedef struct motet_cuda_timer {
    void *from, *to; /* CUevent */
} motet_cuda_timer;

motet_status motet_cuda_timer_start(motet_cuda_timer *timer);
motet_status motet_cuda_timer_stop(motet_cuda_timer *timer);

/* Waits for the stop; the milliseconds of the device's clock between the two. */
motet_status motet_cuda_timer_read(motet_cuda_timer *timer, float *milliseconds);
void motet_cuda_timer_free(motet_cuda_timer *timer);

#endif
