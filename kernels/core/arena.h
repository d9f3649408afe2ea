/* arena: count, then bind. One block of memory per lifetime, no frees in between.
 *
 * A layout function takes an arena and carves its buffers from it. Run on a counting arena it only
 * adds up; then motet_arena_bind allocates exactly that much and the same function runs again:
 *
 *     motet_arena arena = {0};
 *     layout(&arena, &buffers);            // counts; every pointer is NULL
 *     MOTET_TRY(motet_arena_bind(&arena)); // one allocation, zeroed
 *     layout(&arena, &buffers);            // the same calls now return memory
 *
 * The block is the host's, or where memory and placement say (memory.h). Four lifetimes are in use:
 * model, activations, batch, file. Not thread-safe.
 */
#ifndef MOTET_CORE_ARENA_H
#define MOTET_CORE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/core/memory.h"
#include "kernels/core/status.h"
#include "kernels/core/tensor.h"

#define MOTET_ARENA_ALIGN 64 /* bytes: a cache line and an AVX-512 register */

typedef struct motet_arena {
    const motet_memory *memory; /* NULL: the host's */
    motet_placement placement;
    unsigned char *base; /* NULL while counting */
    void *block;         /* what was allocated: base is its first aligned byte */
    size_t size;         /* bytes behind base */
    size_t used;         /* bytes taken so far, multiple of MOTET_ARENA_ALIGN */
    int overflow;        /* a size did not fit into size_t: bind will refuse */
} motet_arena;

/* Takes count elements of element_bytes each, aligned. NULL while counting, and when a bound arena
 * has too little left (which sets overflow: layout and bind disagree). */
void *motet_arena_take(motet_arena *arena, int64_t count, size_t element_bytes);

/* Takes a tensor of the given dtype and shape; its data is NULL while counting. */
motet_tensor motet_arena_tensor(motet_arena *arena, motet_dtype dtype, int rank,
                                const int64_t *dims);

/* Allocates what was counted, zeroed, and rewinds. MOTET_E_MEMORY if that fails or overflowed. */
motet_status motet_arena_bind(motet_arena *arena);

/* Sets a tensor to zeros (in order with the ops), wherever it is. NULL: the host's memory. */
motet_status motet_tensor_zero(const motet_memory *memory, motet_tensor tensor);

/* Frees the block and returns the arena to its counting state. NULL is allowed. */
void motet_arena_free(motet_arena *arena);

/* What ops alone touch, and what the host writes or reads, too: the two arenas of one lifetime on a
 * back-end. */
typedef struct motet_arenas {
    motet_arena device, shared;
} motet_arenas;

/* Counting arenas in a back-end's memory; NULL: the host's, as {0}. */
motet_arenas motet_arenas_on(const motet_memory *memory);
motet_status motet_arenas_bind(motet_arenas *arenas); /* both, or none */
void motet_arenas_free(motet_arenas *arenas);

#endif
