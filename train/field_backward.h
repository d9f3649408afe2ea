/* field_backward: gradient of one field's logits (infer/field_decoder.h) to its weights and the
 * states.
 */
#ifndef MOTET_FIELD_BACKWARD_H
#define MOTET_FIELD_BACKWARD_H

#include "infer/field_decoder.h"

typedef struct motet_field_grads {
    void *dlogits;                  /* [R,V] in the compute dtype */
    motet_tensor dy;                /* [R,D] f32, and then of u */
    motet_tensor dout_in, dout;     /* [R,D]: of the last norm's output, of the block's */
    motet_tensor din;               /* [R,D] */
    motet_tensor dhidden, dgate_up; /* [R,F] [R,2F] */
} motet_field_grads;

void motet_field_grads_layout(motet_field_grads *grads, motet_arena *arena,
                              const motet_settings *settings, int64_t rows, motet_dtype dtype);

/* After motet_field_forward on the same rows and values: dlogits [R,V] f32 -> weights' gradients
 * added to dweights, states' gradients added to dstates [N,D] f32. */
motet_status motet_field_backward(motet_weights *dweights, motet_tensor dstates,
                                  motet_field_grads *grads, const motet_field_acts *acts,
                                  const motet_backend *backend, const motet_weights *weights,
                                  int field, motet_tensor dlogits, motet_tensor rows,
                                  motet_tensor values);

#endif
