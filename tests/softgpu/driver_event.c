/* Events. Work is done when it is asked for, so a recorded event is complete. */
#include <stdlib.h>
#include <time.h>

#include "tests/softgpu/driver.h"

typedef struct event {
    bool recorded, captured, timed;
    struct timespec time;
} event;

SG_ENTRY CUresult cuEventCreate(CUevent *handle, unsigned flags) {
    SG_READY;
    const unsigned understood = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING;
    if (!handle || (flags & ~understood)) return CUDA_ERROR_INVALID_VALUE;
    event *made = calloc(1, sizeof *made);
    *handle = made ? sg_handle_make(SG_H_EVENT, made) : NULL;
    if (!*handle) {
        free(made);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    made->timed = !(flags & CU_EVENT_DISABLE_TIMING);
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuEventRecord(CUevent handle, CUstream stream_handle) {
    SG_READY;
    event *e = sg_handle_get(SG_H_EVENT, handle, "cuEventRecord");
    sg_stream *stream = sg_stream_get(stream_handle, "cuEventRecord");
    if (!e || !stream) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->foreign) return CUDA_ERROR_NOT_SUPPORTED;
    e->captured = stream->capture != NULL; /* then it is a place in a graph, not a time */
    if (e->captured)
        return stream->invalidated ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS;
    e->recorded = true;
    clock_gettime(CLOCK_MONOTONIC, &e->time);
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuEventSynchronize(CUevent handle) {
    SG_READY;
    const event *e = sg_handle_get(SG_H_EVENT, handle, "cuEventSynchronize");
    if (!e) return CUDA_ERROR_INVALID_HANDLE;
    if (e->captured) return CUDA_ERROR_CAPTURED_EVENT;
    sg_the_driver.counts.waits++;
    const CUresult result = e->recorded ? sg_the_driver.pending : CUDA_SUCCESS;
    if (e->recorded) sg_the_driver.pending = CUDA_SUCCESS;
    return result;
}

SG_ENTRY CUresult cuEventElapsedTime(float *milliseconds, CUevent from_handle, CUevent to_handle) {
    SG_READY;
    const event *from = sg_handle_get(SG_H_EVENT, from_handle, "cuEventElapsedTime");
    const event *to = sg_handle_get(SG_H_EVENT, to_handle, "cuEventElapsedTime");
    if (!from || !to) return CUDA_ERROR_INVALID_HANDLE;
    if (from->captured || to->captured) return CUDA_ERROR_CAPTURED_EVENT;
    if (!from->recorded || !to->recorded || !from->timed || !to->timed)
        return CUDA_ERROR_INVALID_HANDLE;
    *milliseconds = (float)((double)(to->time.tv_sec - from->time.tv_sec) * 1e3 +
                            (double)(to->time.tv_nsec - from->time.tv_nsec) * 1e-6);
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuEventDestroy(CUevent handle) {
    SG_READY;
    event *e = sg_handle_get(SG_H_EVENT, handle, "cuEventDestroy");
    if (!e) return CUDA_ERROR_INVALID_HANDLE;
    sg_handle_end(handle);
    free(e);
    return CUDA_SUCCESS;
}
