/* tensor_map: what cuTensorMapEncodeTiled makes and TMA reads: a tensor in global memory, a box of
 * it, and how the box lies in shared memory. The 128 bytes of a CUtensorMap are opaque to programs;
 * here they hold the following.
 */
#ifndef SOFTGPU_TENSOR_MAP_H
#define SOFTGPU_TENSOR_MAP_H

#include <stdbool.h>
#include <stdint.h>

#define SG_TENSOR_MAP_MAGIC 0x70616d736e6574ull
#define SG_TENSOR_RANK 5

typedef struct sg_tensor_map {
    uint64_t magic, address;
    uint64_t dims[SG_TENSOR_RANK];        /* elements, innermost first */
    uint64_t strides[SG_TENSOR_RANK - 1]; /* bytes, of dimensions 1 and up */
    uint16_t box[SG_TENSOR_RANK];         /* elements, 1 for dimensions that are not there */
    uint8_t rank, element_bytes;
    uint8_t swizzle;    /* bits of the address that are swizzled: 0 to 3 */
    uint8_t nan;        /* bytes outside the tensor are this, twice: 0, or 0xff for a NaN */
    uint8_t unused[10]; /* no padding: maps are compared as bytes */
} sg_tensor_map;
_Static_assert(sizeof(sg_tensor_map) <= 128, "a CUtensorMap has 128 bytes");

uint64_t sg_tensor_map_box_bytes(const sg_tensor_map *map);
/* Where a shared address goes under this many bits of swizzle: 16-byte units are exchanged within
 * rows of 32, 64 or 128 bytes, by the number of the 128-byte line. */
static inline uint64_t sg_swizzled(uint64_t address, int bits) {
    return address ^ (address >> 3 & ((1ull << bits) - 1) << 4);
}

/* One row of a box: a stretch of the innermost dimension. */
typedef struct sg_box_row {
    uint64_t at;          /* of the row in the box, bytes, before swizzling */
    uint64_t first, last; /* bytes [first, last) of the row lie inside the tensor */
    uint64_t address;     /* global address of byte `first` */
} sg_box_row;
/* Row `index` of the box whose corner is at these coordinates. False: past the last one. */
bool sg_tensor_map_row(sg_box_row *row, const sg_tensor_map *map, const int32_t *corner,
                       uint64_t index);

#endif
