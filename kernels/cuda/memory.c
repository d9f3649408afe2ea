/* What lives on the device or is seen by it, block by block, so that a copy knows which of its
 * sides is the host's own memory. A program has few blocks: arenas. */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/device.h"
#include "kernels/cuda/driver.h"

typedef struct block {
    uintptr_t start;
    size_t bytes;
    motet_placement placement;
} block;

static block *blocks;
static int block_count, block_room;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static motet_status enter(void) {
    if (!motet_cuda_get_device())
        return MOTET_FAIL(MOTET_E_USAGE, "the CUDA device is closed already");
    return motet_cuda_enter();
}

static CUstream stream(void) {
    return motet_cuda_stream();
}

static motet_status make_room(void) {
    if (block_count < block_room) return MOTET_OK;
    int room = block_room ? 2 * block_room : 64;
    block *more = realloc(blocks, (size_t)room * sizeof *more);
    if (!more) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a list of %d blocks", room);
    blocks = more;
    block_room = room;
    return MOTET_OK;
}

static void release(block b) {
    if (b.placement == MOTET_SHARED)
        (void)motet_driver.cuMemFreeHost((void *)b.start);
    else
        (void)motet_driver.cuMemFree((CUdeviceptr)b.start);
}

static motet_status full(size_t bytes, const char *kind) {
    size_t free_bytes = 0, total = 0;
    const motet_cuda_device *device = motet_cuda_get_device();
    if (motet_driver.cuMemGetInfo(&free_bytes, &total) != CUDA_SUCCESS)
        return MOTET_FAIL(MOTET_E_MEMORY, "cuda:%d (%s) has no %zu bytes of %s left",
                          device->ordinal, device->name, bytes, kind);
    return MOTET_FAIL(MOTET_E_MEMORY,
                      "cuda:%d (%s) is full: %zu bytes of %s were wanted, %zu of its %zu are free",
                      device->ordinal, device->name, bytes, kind, free_bytes, total);
}

static motet_status take_block(block *b) {
    CUresult result;
    if (b->placement == MOTET_SHARED) {
        void *pointer = NULL;
        result = motet_driver.cuMemHostAlloc(&pointer, b->bytes,
                                             CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP);
        if (result == CUDA_ERROR_OUT_OF_MEMORY) return full(b->bytes, "pinned memory");
        if (result != CUDA_SUCCESS)
            return motet_driver_fail(result, __FILE__, __LINE__, "cuMemHostAlloc",
                                     "taking %zu bytes", b->bytes);
        b->start = (uintptr_t)pointer;
    } else {
        CUdeviceptr address = 0;
        result = motet_driver.cuMemAlloc(&address, b->bytes);
        if (result == CUDA_ERROR_OUT_OF_MEMORY) return full(b->bytes, "device memory");
        if (result != CUDA_SUCCESS)
            return motet_driver_fail(result, __FILE__, __LINE__, "cuMemAlloc", "taking %zu bytes",
                                     b->bytes);
        b->start = (uintptr_t)address;
    }
    if (b->placement == MOTET_SHARED) {
        memset((void *)b->start, 0, b->bytes);
        return MOTET_OK;
    }
    result = motet_driver.cuMemsetD8Async((CUdeviceptr)b->start, 0, b->bytes, stream());
    if (result == CUDA_SUCCESS) return MOTET_OK;
    release(*b);
    return motet_driver_fail(result, __FILE__, __LINE__, "cuMemsetD8Async", "zeroing %zu bytes",
                             b->bytes);
}

static motet_status take(void **pointer, size_t bytes, motet_placement placement) {
    *pointer = NULL;
    MOTET_TRY(enter());
    /* Both allocators align to 256 or more; an empty block still has an address of its own. */
    block b = {.bytes = bytes ? bytes : 1, .placement = placement};
    pthread_mutex_lock(&lock);
    motet_status status = make_room();
    if (status == MOTET_OK) status = take_block(&b);
    if (status == MOTET_OK) {
        blocks[block_count++] = b;
        *pointer = (void *)b.start;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

static void give_back(void *pointer, motet_placement placement) {
    (void)placement;
    if (!pointer || !motet_cuda_get_device() || motet_cuda_enter() != MOTET_OK) return;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < block_count; i++) {
        if (blocks[i].start != (uintptr_t)pointer) continue;
        (void)motet_driver.cuStreamSynchronize(stream()); /* an op may still use it */
        release(blocks[i]);
        blocks[i] = blocks[--block_count];
        break;
    }
    pthread_mutex_unlock(&lock);
}

void motet_cuda_memory_give_back_all(void) {
    pthread_mutex_lock(&lock);
    for (int i = 0; i < block_count; i++)
        release(blocks[i]);
    free(blocks);
    blocks = NULL;
    block_count = block_room = 0;
    pthread_mutex_unlock(&lock);
}

/* Is this memory ours? Then the whole range has to lie in its block. */
static motet_status look(bool *ours, const void *pointer, size_t bytes) {
    const uintptr_t start = (uintptr_t)pointer;
    motet_status status = MOTET_OK;
    *ours = false;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < block_count; i++) {
        const uintptr_t offset = start - blocks[i].start;
        if (start < blocks[i].start || offset >= blocks[i].bytes) continue;
        *ours = true;
        if (bytes > blocks[i].bytes - offset)
            status = MOTET_FAIL(MOTET_E_USAGE,
                                "%zu bytes from byte %zu on are beyond a block of %zu bytes", bytes,
                                (size_t)offset, blocks[i].bytes);
        break;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

static motet_status copy(void *to, const void *from, size_t bytes) {
    if (bytes == 0) return MOTET_OK;
    MOTET_TRY(enter());
    bool to_ours, from_ours;
    MOTET_TRY(look(&to_ours, to, bytes));
    MOTET_TRY(look(&from_ours, from, bytes));
    MOTET_DRIVE(cuMemcpyAsync, ((CUdeviceptr)to, (CUdeviceptr)from, bytes, stream()),
                "copying %zu bytes", bytes);
    /* The host's own memory may change or be read as soon as this returns. */
    if (!to_ours || !from_ours)
        MOTET_DRIVE(cuStreamSynchronize, (stream()), "waiting for a copy of %zu bytes", bytes);
    return MOTET_OK;
}

static motet_status zero(void *pointer, size_t bytes) {
    if (bytes == 0) return MOTET_OK;
    MOTET_TRY(enter());
    bool ours;
    MOTET_TRY(look(&ours, pointer, bytes));
    if (!ours) return MOTET_FAIL(MOTET_E_USAGE, "zeroing memory that is not the CUDA device's");
    MOTET_DRIVE(cuMemsetD8Async, ((CUdeviceptr)pointer, 0, bytes, stream()), "zeroing %zu bytes",
                bytes);
    return MOTET_OK;
}

static motet_status synchronize(void) {
    MOTET_TRY(enter());
    MOTET_DRIVE(cuStreamSynchronize, (stream()), "waiting for cuda:%d",
                motet_cuda_get_device()->ordinal);
    return motet_cuda_complaints_take();
}

static motet_status mark(void **place) {
    MOTET_TRY(enter());
    CUevent event = *place;
    if (!event)
        MOTET_DRIVE(cuEventCreate, (&event, CU_EVENT_DISABLE_TIMING | CU_EVENT_BLOCKING_SYNC),
                    "making a mark");
    *place = event;
    MOTET_DRIVE(cuEventRecord, (event, stream()), "marking a place");
    return MOTET_OK;
}

static motet_status await(void *place) {
    MOTET_TRY(enter());
    MOTET_DRIVE(cuEventSynchronize, (place), "waiting for a mark");
    return MOTET_OK;
}

static void unmark(void *place) {
    if (place && enter() == MOTET_OK) (void)motet_driver.cuEventDestroy(place);
}

const motet_memory motet_cuda_memory = {
    take, give_back, copy, zero, synchronize, motet_cuda_branch, mark, await, unmark};
