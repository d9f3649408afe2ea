/* attribute_backward: loss and gradient of the attribute heads (infer/attributes.h). The text
 * states are taken as given: nothing flows back into the encoder from here.
 */
#ifndef MOTET_ATTRIBUTE_BACKWARD_H
#define MOTET_ATTRIBUTE_BACKWARD_H

#include "infer/attributes.h"
#include "train/model_gradient.h"

typedef struct motet_attribute_grads {
    motet_tensor dlogits[MOTET_ATTRIBUTES];   /* [S, size] in the compute dtype */
    motet_tensor dgathered[MOTET_ATTRIBUTES]; /* [S,D] */
    motet_tensor dpooled, dqueries;           /* [S*A, D] */
    motet_tensor dk, dv;                      /* [text rows, D]: computed, not used */
    motet_tensor nowhere;                     /* [S*A] i32 of -1: gathers zeros */
    int32_t *targets;                         /* [S] */
} motet_attribute_grads;

void motet_attribute_grads_layout(motet_attribute_grads *grads, motet_arena *arena,
                                  const motet_settings *settings, int sequences, int32_t text_rows,
                                  motet_dtype dtype);

/* Runs the heads on the batch's texts and adds their losses; gradients of scale * loss are added to
 * dweights unless it is NULL. loss: scratch for S * MOTET_PROGRAMS f32. */
motet_status motet_attribute_gradient(motet_losses *losses, motet_attribute_weights *dweights,
                                      motet_attribute_acts *acts, motet_attribute_grads *grads,
                                      const motet_backend *backend, const motet_weights *weights,
                                      const motet_settings *settings,
                                      const motet_model_input *input, motet_tensor text_states,
                                      motet_tensor loss, float scale);

#endif
