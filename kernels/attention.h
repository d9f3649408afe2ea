/* attention: softmax(Q K^T / sqrt(W)) V by heads, over packed sequences of any length; no T x T
 * matrix in memory (online softmax: Milakov & Gimelshein 2018; Dao et al. 2022).
 *
 * Rows of all sequences of a batch stand one after another; offsets say where each starts: sequence
 * s has query rows q_offsets[s]..q_offsets[s+1]-1 and key rows k_offsets[s]..k_offsets[s+1]-1. Head
 * h of a row is its columns h*W..h*W+W-1. q, k, v may be views into one packed row: their pitches
 * are the numbers of elements from one row to the next.
 *
 * causal: query i of a sequence sees keys 0..i + (keys - queries) of it. A query that sees no key
 * gives zeros (lse -inf). dtypes f32 or bf16, one for q, k, v, out alike; statistics and sums in
 * f32. W in {16, 32, 64, 128}.
 */
#ifndef MOTET_ATTENTION_H
#define MOTET_ATTENTION_H

#include <stdbool.h>

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"

typedef struct motet_attention_spec {
    int heads, width; /* H, W */
    int sequences;    /* S */
    /* In shared memory where the device has its own; the host may read them at the call, and the
     * caller keeps them until the op has ended. */
    const int32_t *q_offsets;                     /* [S+1], rising, first 0 */
    const int32_t *k_offsets;                     /* [S+1]; q_offsets itself for self-attention */
    int64_t q_pitch, k_pitch, v_pitch, out_pitch; /* elements; each >= H*W */
    bool causal;
} motet_attention_spec;

/* q, k, v, out: data at head 0 of row 0; only data and dtype of these tensors are read, shapes come
 * from the spec. lse [rows of q, H] f32: log of the sum of exponentials, kept for the backward
 * pass; data NULL if none follows. */
typedef motet_status motet_attention_forward_fn(motet_tensor out, motet_tensor lse, motet_tensor q,
                                                motet_tensor k, motet_tensor v,
                                                const motet_attention_spec *spec);

/* dq, dk, dv are overwritten, with the pitches of q, k, v; dout and out have out_pitch. Sums run in
 * a fixed order: bit-equal for any number of threads. */
typedef motet_status motet_attention_backward_fn(motet_tensor dq, motet_tensor dk, motet_tensor dv,
                                                 motet_tensor dout, motet_tensor out,
                                                 motet_tensor lse, motet_tensor q, motet_tensor k,
                                                 motet_tensor v, const motet_attention_spec *spec);

/* One query a sequence against a cache. q, out [B, H*W]; k_cache, v_cache [B, T, H*W]; lengths [B]
 * says how many of the T rows are valid (0 gives zeros). Same arithmetic as the forward pass. */
typedef motet_status motet_attention_decode_fn(motet_tensor out, motet_tensor q,
                                               motet_tensor k_cache, motet_tensor v_cache,
                                               const int32_t *lengths, int heads);

motet_attention_forward_fn motet_cpu_attention_forward;
motet_attention_backward_fn motet_cpu_attention_backward;
motet_attention_decode_fn motet_cpu_attention_decode;

#endif
