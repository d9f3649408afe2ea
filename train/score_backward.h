/* score_backward: gradients of the score decoder (infer/score_decoder.h) from those of its states.
 */
#ifndef MOTET_SCORE_BACKWARD_H
#define MOTET_SCORE_BACKWARD_H

#include "infer/score_decoder.h"
#include "train/gradient_hook.h"

/* Gradients of activations, shared by all layers. */
typedef struct motet_score_grads {
    motet_tensor dx;                  /* [N,D] f32: of the residual stream */
    motet_tensor dout, din;           /* [N,D]: dx as a branch's output has it; of a normed input */
    motet_tensor dattn, dqkv;         /* [N,D] [N,3D] */
    motet_tensor dcross_q, dcross_kv; /* [N,D] [M,2D] */
    motet_tensor dhidden, dgate_up;   /* [N,F] [N,2F] */
    motet_tensor dmemory, dmemory_in, dtext; /* [M,D] f32, [M,D] f32, [text rows, D] f32 */
    motet_gradient_hook hook;                /* hears of each layer's gradients */
    motet_tensor dtext_out;                  /* [text rows, D] in the compute dtype */
} motet_score_grads;

void motet_score_grads_layout(motet_score_grads *grads, motet_arena *arena,
                              const motet_settings *settings, int32_t rows, int32_t memory_rows,
                              int32_t text_rows, motet_dtype dtype);

/* dstates [N,D] f32 -> gradients of all score, memory and control weights, added to dweights (f32).
 * acts are those of a forward pass for a backward one (acts->keep) on the same input and weights;
 * what they did not keep is computed again, layer by layer. */
motet_status motet_score_backward(motet_weights *dweights, motet_score_grads *grads,
                                  motet_score_acts *acts, const motet_backend *backend,
                                  const motet_weights *weights, const motet_settings *settings,
                                  const motet_score_input *input, motet_tensor text_states,
                                  motet_tensor dstates);

#endif
