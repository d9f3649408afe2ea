/* flash_hopper: shapes of the attention kernels for sm_90a, for host and device. */
#ifndef MOTET_CUDA_FLASH_HOPPER_H
#define MOTET_CUDA_FLASH_HOPPER_H

#define FLASH_HOPPER_THREADS 384 /* a warpgroup that loads, two that compute */
#define FLASH_HOPPER_OWN 64      /* rows of a warpgroup that computes; and of a box of TMA */
#define FLASH_HOPPER_ROWS 128    /* rows of a block */

/* Rows of the other side's tile, forward and backward, by head width: what leaves room for the sums
 * in registers. */
#define FLASH_HOPPER_KEYS 128
#define FLASH_HOPPER_KEY_TILE(w) ((w) == 128 ? 64 : 128)
#define FLASH_HOPPER_QUERY_TILE 64
/* Tiles in shared memory: forward; backward, where both products of a tile need it, and where one
 * does. */
#define FLASH_HOPPER_STAGES(w) ((w) == 128 ? 2 : 3)
#define FLASH_HOPPER_STAGES_TWICE 3
#define FLASH_HOPPER_STAGES_ONCE 2

/* Bytes of shared memory: own rows, rings of tiles, barriers. */
#define FLASH_HOPPER_BARRIER_BYTES 128
#define FLASH_HOPPER_FORWARD_BYTES(w)                                                 \
    (2 * (w) * (FLASH_HOPPER_ROWS + 2 * FLASH_HOPPER_STAGES(w) * FLASH_HOPPER_KEYS) + \
     FLASH_HOPPER_BARRIER_BYTES)
#define FLASH_HOPPER_QUERIES_BYTES(w)                                                          \
    (2 * (w) *                                                                                 \
         (2 * FLASH_HOPPER_ROWS +                                                              \
          (FLASH_HOPPER_STAGES_TWICE + FLASH_HOPPER_STAGES_ONCE) * FLASH_HOPPER_KEY_TILE(w)) + \
     FLASH_HOPPER_BARRIER_BYTES)
/* And lse and delta of each query of a tile. */
#define FLASH_HOPPER_KEYS_BYTES(w)                                                                 \
    (2 * (w) * (2 * FLASH_HOPPER_ROWS + 2 * FLASH_HOPPER_STAGES_TWICE * FLASH_HOPPER_QUERY_TILE) + \
     FLASH_HOPPER_STAGES_TWICE * FLASH_HOPPER_QUERY_TILE * 8 + FLASH_HOPPER_BARRIER_BYTES)

#endif
