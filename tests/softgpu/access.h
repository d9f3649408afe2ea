/* access: what memory.h's accesses are made of, for the families that need more of it. */
#ifndef SOFTGPU_ACCESS_H
#define SOFTGPU_ACCESS_H

#include "tests/softgpu/memory.h"
#include "tests/softgpu/shadow.h"

/* Hot loops over lanes, compiled for what the processor has. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SG_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SG_CLONES
#endif

/* Volatile, relaxed, acquire, release: strong accesses of the PTX memory model do not race with one
 * another, within their scope. */
typedef enum sg_strength { SG_WEAK, SG_STRONG_BLOCK, SG_STRONG } sg_strength;

/* How the lanes of one access lie. */
typedef struct sg_shape {
    uint64_t low, high; /* addresses of the lanes that take part */
    uint64_t bits;      /* all of them or-ed */
    bool in_row;        /* all 32 lanes take part, each right behind the one before */
    bool same;          /* all at one address */
} sg_shape;

void sg_shape_of(sg_shape *shape, const uint64_t addresses[SG_LANES], uint32_t lanes, int bytes);

/* sg_access_lanes with a strength. in_row, if not NULL: the lanes returned are all 32, and
 * access->host[i] lies `bytes` behind host[i - 1]. */
uint32_t sg_access_with(sg_access *access, bool *in_row, sg_warp *warp, const sg_op *op,
                        uint32_t lanes, sg_space space, const uint64_t addresses[SG_LANES],
                        int bytes, sg_access_kind kind, uint32_t value_taint, sg_strength strength);

/* The region of a lane's address, and the offset in it; NULL: not in any. space may be changed from
 * generic to what it is. */
sg_region *sg_region_of(uint64_t *offset, sg_space *space, const sg_warp *warp, int lane,
                        uint64_t address, uint64_t bytes);

#endif
