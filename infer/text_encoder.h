/* text_encoder: BERT (Devlin et al. 2019): learned positions, post-norm blocks, exact GELU, eps
 * 1e-12. Forward only; texts packed one after another, no padding. Hidden states equal those of
 * Hugging Face's BertModel (last_hidden_state) within 1e-4 in f32.
 */
#ifndef MOTET_TEXT_ENCODER_H
#define MOTET_TEXT_ENCODER_H

#include "infer/weights.h"
#include "kernels/backend.h"

typedef struct motet_text_acts {
    motet_tensor words, positions, types; /* [R,1] i32: rows of the three embedding tables */
    motet_tensor x, q, k, v;              /* [R,D] */
    motet_tensor attn, delta;             /* [R,D] */
    motet_tensor hidden;                  /* [R,F] */
    int32_t capacity;                     /* R */
} motet_text_acts;

/* rows: the most token rows that one call may bring. dtype: of activations, f32 or bf16. */
void motet_text_layout(motet_text_acts *acts, motet_arenas *arenas, const motet_settings *settings,
                       int32_t rows, motet_dtype dtype);

/* ids [offsets[S]] i32 token ids of S texts, text s at offsets[s]..offsets[s+1]-1 (it may be
 * empty), offsets in shared memory; the last call's ops must have ended (synchronize). states
 * receives a view of [offsets[S], D] into acts, valid until the next call. Weights f32, bf16 or i8.
 * MOTET_E_USAGE if the texts are more than the layout holds, a text is longer than text_positions,
 * or an id is out of range.
 */
motet_status motet_text_forward(motet_tensor *states, motet_text_acts *acts,
                                const motet_backend *backend, const motet_text_weights *weights,
                                const motet_settings *settings, const int32_t *ids,
                                const int32_t *offsets, int sequences);

#endif
