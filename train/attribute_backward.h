/* attribute_backward: loss and gradient of the attribute heads (infer/attributes.h). The text
 * states are taken as given: nothing flows back into the encoder from here.
 */
#ifndef MOTET_ATTRIBUTE_BACKWARD_H
#define MOTET_ATTRIBUTE_BACKWARD_H

#include "infer/attributes.h"
#include "train/model_gradient.h"

typedef struct motet_attribute_grads {
    motet_tensor dlogits[MOTET_ATTRIBUTES];   /* [S, size] f32 */
    motet_tensor dl[MOTET_ATTRIBUTES];        /* the same in the compute dtype */
    motet_tensor dgathered[MOTET_ATTRIBUTES]; /* [S,D] */
    motet_tensor dpooled, dqueries;           /* [S*A, D] */
    motet_tensor dk, dv;                      /* [text rows, D]: computed, not used */
    /* shared memory */
    int32_t *targets[MOTET_ATTRIBUTES - 1]; /* [S] */
    motet_tensor losses[MOTET_ATTRIBUTES];  /* [S] f32; programs [S * MOTET_PROGRAMS] */
} motet_attribute_grads;

void motet_attribute_grads_layout(motet_attribute_grads *grads, motet_arenas *arenas,
                                  const motet_settings *settings, int sequences, int32_t text_rows,
                                  motet_dtype dtype);

/* Runs the heads on the batch's texts; gradients of scale * loss are added to dweights unless it is
 * NULL. The losses are there to be read after synchronize. */
motet_status motet_attribute_gradient(motet_attribute_weights *dweights, motet_attribute_acts *acts,
                                      motet_attribute_grads *grads, const motet_backend *backend,
                                      const motet_weights *weights, const motet_settings *settings,
                                      const motet_model_input *input, motet_tensor text_states,
                                      float scale);

/* Adds what the last run lost, and how often the heads were right. The host reads shared memory:
 * synchronize first. */
void motet_attribute_losses(motet_losses *losses, const motet_attribute_acts *acts,
                            const motet_attribute_grads *grads, const motet_model_input *input);

#endif
