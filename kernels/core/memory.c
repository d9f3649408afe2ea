#include "kernels/core/memory.h"

#include <stdlib.h>
#include <string.h>

static motet_status take(void **block, size_t bytes, motet_placement placement) {
    (void)placement;
    size_t rounded = (bytes + 255) / 256 * 256;
    void *memory = rounded < bytes ? NULL : aligned_alloc(256, rounded ? rounded : 256);
    if (!memory) return MOTET_FAIL(MOTET_E_MEMORY, "out of memory: %zu bytes were wanted", bytes);
    *block = memset(memory, 0, rounded);
    return MOTET_OK;
}

static void give_back(void *block, motet_placement placement) {
    (void)placement;
    free(block);
}

static motet_status copy(void *to, const void *from, size_t bytes) {
    if (bytes) memmove(to, from, bytes);
    return MOTET_OK;
}

static motet_status zero(void *block, size_t bytes) {
    if (bytes) memset(block, 0, bytes);
    return MOTET_OK;
}

static motet_status synchronize(void) {
    return MOTET_OK;
}

/* Everything is done when its call returns. */
static motet_status branch(int on) {
    (void)on;
    return MOTET_OK;
}

static motet_status mark(void **place) {
    *place = NULL;
    return MOTET_OK;
}

static motet_status await(void *place) {
    (void)place;
    return MOTET_OK;
}

static void unmark(void *place) {
    (void)place;
}

const motet_memory motet_host_memory = {take,   give_back, copy,  zero,  synchronize,
                                        branch, mark,      await, unmark};
