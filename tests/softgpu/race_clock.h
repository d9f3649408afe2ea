/* race_clock: what somebody knows of others' accesses, as a vector clock that names only those of
 * whom something is known. An entry says: this lane of this warp, or all lanes of it, up to this
 * stamp. Clocks never change once made and are shared by counting references.
 */
#ifndef SOFTGPU_RACE_CLOCK_H
#define SOFTGPU_RACE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define SG_ALL_LANES 32

typedef struct sg_clock_entry {
    uint64_t key; /* warp's serial number << 6 | lane or SG_ALL_LANES; rising */
    uint32_t stamp;
} sg_clock_entry;

typedef struct sg_clock {
    int references, count;
    sg_clock_entry entries[];
} sg_clock;

static inline uint64_t sg_clock_key(uint32_t serial, int lane) {
    return (uint64_t)serial << 6 | (uint64_t)lane;
}

/* Entries by rising key; copied. NULL where there are none, or no memory. */
sg_clock *sg_clock_make(const sg_clock_entry *entries, int count);
sg_clock *sg_clock_share(sg_clock *clock); /* NULL gives NULL */
void sg_clock_drop(sg_clock *clock);
bool sg_clock_knows(const sg_clock *clock, uint32_t serial, int lane, uint32_t stamp);
/* *into learns what `other` knows; other stays the caller's. */
void sg_clock_join(sg_clock **into, sg_clock *other);
/* The same, of these warps only: serial numbers [first, first+count). */
void sg_clock_join_warps(sg_clock **into, const sg_clock *other, uint32_t first, uint32_t count);

#endif
