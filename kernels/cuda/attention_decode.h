/* attention_decode: what the launcher of one-query attention hands to its kernels. Included by C
 * and CUDA C.
 */
#ifndef MOTET_CUDA_ATTENTION_DECODE_H
#define MOTET_CUDA_ATTENTION_DECODE_H

#include <stdint.h>

#define DECODE_WARPS 4
#define DECODE_THREADS (32 * DECODE_WARPS)
#define DECODE_MOST_SPLITS 32 /* a lane has one each when they are joined */
#define DECODE_TICKETS 1024   /* sequences times heads that are split at most */
/* Keys whose rows a lane has in flight: 8 KiB of int8 a block and 16 KiB of the others, so that a
 * cache is worth splitting at about as many keys. */
#define DECODE_DEPTH(cache_bytes) ((cache_bytes) == 1 ? 2 : 4)
/* Keys of a block at a time: the unit of splitting. */
#define DECODE_STEP(width, cache_bytes) \
    (DECODE_WARPS * (32 / ((width) * (cache_bytes) / 16)) * DECODE_DEPTH(cache_bytes))

/* Sequence b has one query, and the keys of either its cache or of packed rows. */
typedef struct motet_decode_args {
    void *out;
    float *lse; /* [B,H], or NULL */
    const void *q, *k, *v;
    const float *k_scale, *v_scale;               /* [B,H,T] of int8 caches */
    const int32_t *lengths;                       /* [B] of caches, NULL for packed rows */
    const int32_t *q_offsets, *k_offsets;         /* [B+1] of packed rows */
    struct motet_complaint *complaints;           /* for lengths beyond most */
    float *sums, *stats;                          /* workspace: [B*H*splits][W], [..][2] */
    int64_t most;                                 /* T */
    int64_t q_pitch, k_pitch, v_pitch, out_pitch; /* elements */
    int32_t heads, splits;
    float scale;
} motet_decode_args;

#endif
