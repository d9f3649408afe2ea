/* flash: shapes of the tensor-core attention kernels, for host and device. */
#ifndef MOTET_CUDA_FLASH_H
#define MOTET_CUDA_FLASH_H

#define FLASH_THREADS 128 /* 4 warps */
/* Rows of a block: 16 or 32 a warp. */
#define FLASH_FEW 64
#define FLASH_MANY 128
/* Forward: keys of a tile. What is widest keeps most in registers. */
#define FLASH_KEYS(w, rows) ((w) * (rows) == 128 * FLASH_MANY ? 32 : 64)
/* Backward: rows of a block, and of the other side's tile, by head width. */
#define FLASH_QUERY_ROWS(w) ((w) == 128 ? FLASH_FEW : FLASH_MANY)
#define FLASH_KEY_ROWS(w) ((w) == 128 ? FLASH_FEW : FLASH_MANY)
#define FLASH_TILE(w) ((w) == 128 ? 32 : 64)

/* Bytes of shared memory: the block's own rows, then two stages of the other side's. */
#define FLASH_FORWARD_BYTES(w, rows) (2 * (w) * ((rows) + 4 * FLASH_KEYS(w, rows)))
#define FLASH_QUERIES_BYTES(w) (2 * (w) * (2 * FLASH_QUERY_ROWS(w) + 4 * FLASH_TILE(w)))
#define FLASH_KEYS_BYTES(w) \
    (2 * (w) * (2 * FLASH_KEY_ROWS(w) + 4 * FLASH_TILE(w)) + 2 * 8 * FLASH_TILE(w))

#endif
