/* counters: what a kernel did, summed over its launches. Written by the interpreter and the memory
 * side, read by the profile. SOFTGPU_PROFILE=file writes one JSON line a kernel and launch shape at
 * exit.
 * Its keys are the members below, and "kernel", "grid": [x,y,z], "threads": [x,y,z],
 * "dynamic_shared"; instructions and lanes are objects by kind ("integer", "float", "special",
 * "move", "compare", "control", "sync", "exchange", "global_load", "global_store", "shared_load",
 * "shared_store", "other_memory", "atomic", "async_copy", "mma").
 */
#ifndef SOFTGPU_COUNTERS_H
#define SOFTGPU_COUNTERS_H

#include "tests/softgpu/program.h"

typedef struct sg_counters {
    uint64_t launches, blocks, warps;
    uint64_t instructions[SG_KINDS]; /* warp instructions */
    uint64_t lanes[SG_KINDS];        /* lane instructions */
    uint64_t global_requests[2], global_sectors[2],
        global_bytes[2]; /* load, store: sectors of 32 B */
    uint64_t
        global_footprint[2]; /* distinct 32-byte sectors of a launch, times 32: compulsory bytes */
    uint64_t shared_requests[2], shared_conflicts[2]; /* extra passes beyond the one each needs */
    uint64_t mma_flops;
    uint64_t barriers, atomics, async_bytes;
} sg_counters;

/* The counters of this kernel at this grid and block size; they live as long as the process. */
sg_counters *sg_counters_of(const char *kernel, const uint32_t blocks[3], const uint32_t threads[3],
                            uint64_t dynamic_shared);
bool sg_counters_write(const char *path);

#endif
