/* memory: the device's allocations, and every access of a kernel to any memory.
 *
 * Device memory has addresses that the host cannot read (they are not mapped): a host pointer that
 * slips into a kernel, or a device pointer that the host reads, is caught. Shared-with-host
 * (pinned) memory has the host's own address. Blocks start at 512-byte boundaries with gaps between
 * them; a freed block is remembered, so that use after free is named as such.
 *
 * One thread at a time: the driver's entry points hold a lock.
 *
 * Shared memory of a block and local memory of a thread are windows in the generic address space.
 */
#ifndef SOFTGPU_MEMORY_H
#define SOFTGPU_MEMORY_H

#include "tests/softgpu/warp.h"

#define SG_DEVICE_BASE 0x700000000000ull /* device memory, 16 TiB from here */
#define SG_SHARED_BASE 0x6f0000000000ull /* generic addresses of the block's shared window */
#define SG_LOCAL_BASE 0x6e0000000000ull
#define SG_PARAM_BASE 0x6d0000000000ull /* parameters: only TMA reads these, as tensor maps */
#define SG_WINDOW (1ull << 24)

/* ---- Allocations; false if there is no memory (SOFTGPU_MEMORY_MB, default 8,192). */
bool sg_memory_take(uint64_t *address, uint64_t bytes, const char *what);
/* Pinned host memory: host pointer and device address are one. Counts as written throughout. */
bool sg_memory_take_host(void **pointer, uint64_t bytes);
bool sg_memory_give_back(uint64_t address); /* false: no such block */
void sg_memory_free_bytes(uint64_t *free_bytes, uint64_t *total_bytes);
/* The host's side of copies: a pointer to [address, address+bytes), NULL if that is not inside one
 * live block. written: the bytes count as written from now on. */
unsigned char *sg_memory_host(uint64_t address, uint64_t bytes, bool written);
/* How many of these bytes nobody has written. */
uint64_t sg_memory_unwritten(uint64_t address, uint64_t bytes);
/* At the end of the process: blocks that are still there. */
uint64_t sg_memory_live(void);

/* A sentence about an address for reports: "16 bytes past the end of block x of 4,096 bytes". */
void sg_memory_where(char *text, size_t room, uint64_t address);

/* ---- Accesses of a warp. */
typedef enum sg_access_kind { SG_READ, SG_WRITE, SG_ATOMIC } sg_access_kind;

/* Where each lane's bytes are. */
typedef struct sg_access {
    unsigned char *host[SG_LANES]; /* valid for the lanes returned */
    uint32_t tainted;              /* lanes that read bytes nobody wrote */
} sg_access;

/* Checks an access of `bytes` (1..16) at each lane's address: the right space, inside one live
 * block, aligned to `bytes`, ordered with everybody else's (race.h); counts sectors and bank
 * conflicts. The lanes that may go on are returned; for the others a report was made. value_taint:
 * of a write, the lanes that store tainted values: their bytes become unwritten again; of a read or
 * an atomic, the lanes whose address is tainted: that is reported. Addresses of SG_SHARED, SG_LOCAL
 * and SG_PARAM are offsets in their window. */
uint32_t sg_access_lanes(sg_access *access, sg_warp *warp, const sg_op *op, uint32_t lanes,
                         sg_space space, const uint64_t addresses[SG_LANES], int bytes,
                         sg_access_kind kind, uint32_t value_taint);

/* The same for one lane's range of any length, as asynchronous copies make them. NULL: reported.
 * A write's bytes count as written only when sg_set_written says so: they land later. */
unsigned char *sg_access_range(sg_warp *warp, const sg_op *op, int lane, sg_space space,
                               uint64_t address, uint64_t bytes, sg_access_kind kind);

/* Was everything in these bytes written? Shared windows need their block. */
bool sg_written(const sg_warp *warp, sg_space space, uint64_t address, uint64_t bytes);
void sg_set_written(const sg_warp *warp, sg_space space, uint64_t address, uint64_t bytes,
                    bool written);

#endif
