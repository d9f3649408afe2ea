/* memory: where tensors live. A back-end has memory of its own; what is in it is read and written
 * by that back-end's ops only, what the host wants of it is copied. The CPU's is the host's.
 *
 * Everything here and every op runs in one order, that of the calls. Ops may still be running when
 * their call returns: `synchronize` waits for them, and reports what they found wrong meanwhile.
 */
#ifndef MOTET_CORE_MEMORY_H
#define MOTET_CORE_MEMORY_H

#include <stddef.h>

#include "kernels/core/status.h"

typedef enum motet_placement {
    MOTET_ON_DEVICE, /* the back-end's own: weights, activations. The host must not touch it */
    MOTET_SHARED,    /* seen by both at one address: indices that go in, losses and draws that come
                        out. Small, because a device reads it over the bus */
} motet_placement;

typedef struct motet_memory {
    /* One zeroed block, aligned to 256 bytes. MOTET_E_MEMORY says how much was asked for and what
     * was free. */
    motet_status (*take)(void **block, size_t bytes, motet_placement placement);
    void (*give_back)(void *block, motet_placement placement); /* NULL is allowed */
    /* Between any two places, the host's memory included; host memory may be reused at once. */
    motet_status (*copy)(void *to, const void *from, size_t bytes);
    motet_status (*zero)(void *block, size_t bytes);
    /* Waits for all that was asked for. Before the host reads shared memory that an op writes, and
     * before it writes what an op may still read. */
    motet_status (*synchronize)(void);
    /* For a second thread whose work runs beside the others'; NULL where there is no such thing.
     * branch: from now on (1) what the calling thread asks for has an order of its own, or (0) not
     * any more. mark: *mark is this place in the caller's order (made the first time, then used
     * again). await: returns when all before a mark is done, whoever made it. unmark: frees it. */
    motet_status (*branch)(int on);
    motet_status (*mark)(void **mark);
    motet_status (*await)(void *mark);
    void (*unmark)(void *mark);
} motet_memory;

/* The host's: placements are all one, synchronize does nothing. */
extern const motet_memory motet_host_memory;

#endif
