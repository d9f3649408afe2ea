/* attention_short: the forward pass over memories of few keys, bf16, on tensor cores: shapes, for
 * host and device.
 */
#ifndef MOTET_CUDA_ATTENTION_SHORT_H
#define MOTET_CUDA_ATTENTION_SHORT_H

#define SHORT_WARPS 4
#define SHORT_THREADS (32 * SHORT_WARPS)
#define SHORT_MOST_KEYS 256
#define SHORT_KEYS(w) ((w) == 32 ? 64 : 32) /* that a warp scores at a time */
#define SHORT_PADDED(w, keys) (((keys) + SHORT_KEYS(w) - 1) / SHORT_KEYS(w) * SHORT_KEYS(w))
/* Bytes of shared memory: all keys and values; each warp's `rows` queries and those that follow. */
#define SHORT_BYTES(w, rows, keys) \
    (2 * (w) * (2 * SHORT_PADDED(w, keys) + SHORT_WARPS * 2 * (rows)))

#endif
