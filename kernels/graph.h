/* graph: a sequence of ops, recorded once and launched as one; for back-ends on which asking for an
 * op costs much. The arguments are those of the recording: tensors, shapes, host arrays' addresses.
 * What changes from launch to launch has to be in memory that the ops read when they run.
 *
 *     begin(); ops; end(&graph); launch(graph); launch(graph); ... free(graph);
 */
#ifndef MOTET_GRAPH_H
#define MOTET_GRAPH_H

#include <stdint.h>

#include "kernels/core/status.h"

typedef struct motet_graph motet_graph;

typedef struct motet_graphs {
    /* From here to `end`, ops that this thread asks for are kept instead of run. Each must have run
     * before, with the same shapes; nothing may be waited for, copied from or to the host's own
     * memory, allocated or given back meanwhile. */
    motet_status (*begin)(void);
    /* Always follows `begin`. *graph is the caller's to free; NULL on failure, when something was
     * asked for that cannot be kept, and all works as before. */
    motet_status (*end)(motet_graph **graph);
    /* Asks for all of it, in order, like an op: `synchronize` waits. Allocates nothing. */
    motet_status (*launch)(motet_graph *graph);
    void (*free)(motet_graph *graph); /* NULL is allowed */
} motet_graphs;

#endif
