#include "kernels/core/arena.h"

#include <stdlib.h>

static int is_host(const motet_arena *arena) {
    return !arena->memory || arena->memory == &motet_host_memory;
}

void *motet_arena_take(motet_arena *arena, int64_t count, size_t element_bytes) {
    size_t bytes;
    if (count < 0 || __builtin_mul_overflow((size_t)count, element_bytes, &bytes) ||
        bytes > SIZE_MAX - MOTET_ARENA_ALIGN) {
        arena->overflow = 1;
        return NULL;
    }
    bytes = (bytes + MOTET_ARENA_ALIGN - 1) & ~(size_t)(MOTET_ARENA_ALIGN - 1);
    size_t start = arena->used;
    if (bytes > SIZE_MAX - start || (arena->base && bytes > arena->size - start)) {
        arena->overflow = 1;
        return NULL;
    }
    arena->used = start + bytes;
    return arena->base ? arena->base + start : NULL;
}

motet_tensor motet_arena_tensor(motet_arena *arena, motet_dtype dtype, int rank,
                                const int64_t *dims) {
    motet_tensor tensor = {.dtype = dtype, .rank = rank};
    int64_t count = 1;
    for (int i = 0; i < rank; i++) {
        tensor.dims[i] = dims[i];
        if (dims[i] < 0 || __builtin_mul_overflow(count, dims[i], &count)) arena->overflow = 1;
    }
    if (!arena->overflow) tensor.data = motet_arena_take(arena, count, motet_dtype_bytes(dtype));
    return tensor;
}

motet_status motet_tensor_zero(const motet_memory *memory, motet_tensor tensor) {
    size_t bytes = (size_t)motet_tensor_count(tensor) * motet_dtype_bytes(tensor.dtype);
    return (memory ? memory : &motet_host_memory)->zero(tensor.data, bytes);
}

motet_status motet_arena_bind(motet_arena *arena) {
    if (arena->overflow) return MOTET_FAIL(MOTET_E_MEMORY, "a buffer size overflows 64 bits");
    size_t size = arena->used ? arena->used : MOTET_ARENA_ALIGN, skip = 0;
    void *block;
    if (is_host(arena)) {
        /* calloc, not memset: large blocks come as zero pages that cost nothing until used. */
        block = calloc(1, size + MOTET_ARENA_ALIGN);
        if (!block) return MOTET_FAIL(MOTET_E_MEMORY, "cannot allocate %zu MiB", size >> 20);
        skip = MOTET_ARENA_ALIGN - (uintptr_t)block % MOTET_ARENA_ALIGN;
    } else {
        MOTET_TRY(arena->memory->take(&block, size, arena->placement));
    }
    *arena = (motet_arena){.memory = arena->memory,
                           .placement = arena->placement,
                           .block = block,
                           .base = (unsigned char *)block + skip,
                           .size = size};
    return MOTET_OK;
}

void motet_arena_free(motet_arena *arena) {
    if (!arena) return;
    if (is_host(arena))
        free(arena->block);
    else
        arena->memory->give_back(arena->block, arena->placement);
    *arena = (motet_arena){.memory = arena->memory, .placement = arena->placement};
}

motet_arenas motet_arenas_on(const motet_memory *memory) {
    return (motet_arenas){.device = {.memory = memory, .placement = MOTET_ON_DEVICE},
                          .shared = {.memory = memory, .placement = MOTET_SHARED}};
}

motet_status motet_arenas_bind(motet_arenas *arenas) {
    MOTET_TRY(motet_arena_bind(&arenas->device));
    motet_status status = motet_arena_bind(&arenas->shared);
    if (status != MOTET_OK) motet_arena_free(&arenas->device);
    return status;
}

void motet_arenas_free(motet_arenas *arenas) {
    if (!arenas) return;
    motet_arena_free(&arenas->device);
    motet_arena_free(&arenas->shared);
}
