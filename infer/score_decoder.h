/* score_decoder: the transformer that reads what was written so far, event by event, and the memory
 * of text and controls. Pre-norm blocks of causal self-attention with rotary positions,
 * cross-attention and SwiGLU, RMSNorm with eps 1e-5, no biases; the residual stream is f32.
 *
 * Three ways to run: whole windows (training, prefill) and one row a sequence against a cache. Both
 * give the same states, up to rounding.
 */
#ifndef MOTET_SCORE_DECODER_H
#define MOTET_SCORE_DECODER_H

#include "infer/score_input.h"
#include "infer/weights.h"
#include "kernels/backend.h"

#define MOTET_RMS_EPS 1e-5f

/* What every layer keeps for a backward pass in buffers of its own; the rest it shares with the
 * other layers, and motet_score_again computes it once more (Chen et al. 2016; levels as in
 * Korthikanti et al. 2022, but for attention, which here has no matrix of scores to save). */
typedef enum motet_score_keep {
    MOTET_KEEP_NOTHING, /* no backward pass: even the residual stream is one buffer */
    MOTET_KEEP_INPUTS,  /* x_attn: all of the layer runs again, but for its last product */
    MOTET_KEEP_COSTLY,  /* all but attn_in, cross_in, ffn_in, hidden: three norms and a SwiGLU */
    MOTET_KEEP_ALL,
} motet_score_keep;

typedef struct motet_score_layer_acts {
    motet_tensor x_attn, attn_rstd, attn_in; /* [N,D] f32, [N], [N,D] */
    motet_tensor qkv, attn, attn_lse;        /* [N,3D], [N,D], [N,H] f32 */
    motet_tensor x_cross, cross_rstd, cross_in;
    motet_tensor cross_q, cross_kv, cross, cross_lse; /* [N,D] [M,2D] [N,D] [N,H] */
    motet_tensor x_ffn, ffn_rstd, ffn_in;
    motet_tensor gate_up, hidden; /* [N,2F] [N,F] */
} motet_score_layer_acts;

typedef struct motet_score_acts {
    motet_tensor text;                           /* [text rows, D] projected states */
    motet_tensor memory_in, memory_rstd, memory; /* [M,D] f32, [M], [M,D] */
    motet_tensor embedded;                       /* [N,D] f32: context, before it joins x */
    motet_tensor angles;                         /* [N,W] f32: the input's, near the layers */
    motet_score_layer_acts layers[MOTET_MAX_LAYERS];
    motet_tensor x, rstd, states; /* [N,D] f32, [N], [N,D] f32: what the field decoder reads */
    motet_dtype dtype;
    motet_score_keep keep;
} motet_score_acts;

void motet_score_acts_layout(motet_score_acts *acts, motet_arena *arena,
                             const motet_settings *settings, int32_t rows, int32_t memory_rows,
                             int32_t text_rows, motet_dtype dtype, motet_score_keep keep);

/* Keys and values of what was written, for B sequences, and those of the memory. */
typedef struct motet_score_cache {
    motet_tensor k[MOTET_MAX_LAYERS], v[MOTET_MAX_LAYERS]; /* [B,T,D] */
    motet_tensor cross_kv[MOTET_MAX_LAYERS];               /* [M,2D] */
    /* In shared memory; all but the lengths are constant. */
    int32_t *lengths;            /* [B] rows valid */
    int32_t *row_offsets;        /* [B+2] 0, 1, ... B, B */
    int32_t *q_rows;             /* [B] 3 i: packed rows [q k v] seen as three rows of width D */
    int32_t sequences, capacity; /* B, T */
} motet_score_cache;

/* dtype: of all of it; MOTET_I8: of k and v, with scales, beside a memory in f32. */
void motet_score_cache_layout(motet_score_cache *cache, motet_arenas *arenas,
                              const motet_settings *settings, int32_t sequences, int32_t capacity,
                              int32_t memory_rows, motet_dtype dtype);

/* All below only ask for ops: what they read of input and cache stays as it is until they have
 * ended (synchronize).
 *
 * Text states and control tokens -> acts->memory. text_states [text rows, text D] in acts' dtype.
 */
motet_status motet_score_memory(motet_score_acts *acts, const motet_backend *backend,
                                const motet_weights *weights, const motet_score_input *input,
                                motet_tensor text_states);

/* Whole windows: acts->states from input's rows and acts->memory. cache may be NULL; else each
 * sequence's keys and values are stored from its row 0 on and lengths set. MOTET_E_USAGE if a
 * sequence is longer than the cache. */
motet_status motet_score_forward(motet_score_acts *acts, motet_score_cache *cache,
                                 const motet_backend *backend, const motet_weights *weights,
                                 const motet_settings *settings, const motet_score_input *input);

/* After a forward pass without a cache, and from the last layer to the first: what a layer has not
 * kept, with the bits that it had. Weights and input are those of the forward pass. */
motet_status motet_score_again(motet_score_acts *acts, int layer, const motet_backend *backend,
                               const motet_weights *weights, const motet_settings *settings,
                               const motet_score_input *input);

/* Makes room for a row more in each of the cache's sequences; MOTET_E_USAGE if one is full. */
motet_status motet_score_cache_extend(motet_score_cache *cache);

/* One more row for each of the cache's B sequences: input->rows = B, in order of sequence, after a
 * forward with the same memory. acts->states[0..B) receive the new states.
 * The host's part is motet_score_cache_extend; the ops have the same arguments in every step with
 * the same memory, so they can be captured in a graph (kernels/graph.h) and launched after it. */
motet_status motet_score_step(motet_score_acts *acts, motet_score_cache *cache,
                              const motet_backend *backend, const motet_weights *weights,
                              const motet_settings *settings, const motet_score_input *input);

#endif
