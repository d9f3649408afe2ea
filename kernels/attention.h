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

/* One query a sequence against a cache. q, out [B, H*W], f32 or bf16; k_cache, v_cache [B, T, H*W],
 * both of q's dtype or both int8; lengths [B] says how many of the T rows are valid (0 gives zeros;
 * rows behind are not looked at). Same arithmetic as the forward pass. A memory that
 * cross-attention reads can be such a cache, too.
 *
 * An int8 cache has a scale for each row of each head, [B, H, T] f32: element [b,t,h*W+w] is worth
 * scale[b,h,t] * data[b,t,h*W+w]. Heads differ in size, so a scale for the whole row would leave
 * the quiet ones few codes; a head's scales lie side by side in time, as they are read. (Scales of
 * a token: KIVI, Liu et al. 2024, arXiv:2402.02750, for values; at 8 bits they do for keys.) A view
 * by motet_tensor_rows would have the wrong ones.
 *
 * lengths, where device and host see it, is read when the op runs, and by a device never before:
 * in a captured launch it may go on growing up to T. A length below 0 or above T is MOTET_E_USAGE,
 * by a device at the next synchronize. */
typedef motet_status motet_attention_decode_fn(motet_tensor out, motet_tensor q,
                                               motet_tensor k_cache, motet_tensor v_cache,
                                               const int32_t *lengths, int heads);

/* New rows become the last ones of their sequences' caches: rows offsets[b] .. offsets[b+1]-1 of k
 * and v, n of them, go to rows lengths[b]-n .. lengths[b]-1 of cache b. k, v f32 or bf16 alike,
 * data at head 0 of the first row, dims[0] rows (offsets[B] of them), `pitch` elements apart: they
 * may be views into packed rows. Caches as above, f32 or bf16 (rounded to nearest even) or int8: a
 * head's row has scale max|x| / 127 and codes to nearest, scale 0 if that is no normal number,
 * scale NaN if an element is not finite. offsets [B+1], lengths [B]: read as decode reads lengths;
 * a length below n or above T is MOTET_E_USAGE, and nothing of that sequence is stored. */
typedef motet_status motet_attention_append_fn(motet_tensor k_cache, motet_tensor v_cache,
                                               motet_tensor k, motet_tensor v, int64_t pitch,
                                               const int32_t *offsets, const int32_t *lengths,
                                               int heads);

motet_attention_forward_fn motet_cpu_attention_forward;
motet_attention_backward_fn motet_cpu_attention_backward;
motet_attention_decode_fn motet_cpu_attention_decode;
motet_attention_append_fn motet_cpu_attention_append;

#endif
