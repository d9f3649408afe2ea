/* model_gradient: loss and gradient of the whole model on one batch. The forward pass is infer's;
 * this adds what it keeps for the backward pass, and the backward pass.
 */
#ifndef MOTET_MODEL_GRADIENT_H
#define MOTET_MODEL_GRADIENT_H

#include "kernels/backend.h"
#include "train/gradient_hook.h"
#include "train/model_input.h"

/* Sums over a batch, in nats; divide by the counts. */
typedef struct motet_losses {
    double field[MOTET_FIELDS];
    int64_t field_count[MOTET_FIELDS];
    double attribute[MOTET_ATTRIBUTES]; /* programs: summed over the binary decisions of a text */
    int64_t attribute_count[MOTET_ATTRIBUTES];
    int64_t attribute_right[MOTET_ATTRIBUTES]; /* arg max right; programs: sets equal */
    int64_t events;
} motet_losses;

/* Mean nats an event: the sum of all fields' losses over the number of events. */
double motet_losses_per_event(const motet_losses *losses);
void motet_losses_add(motet_losses *sum, const motet_losses *losses);

typedef struct motet_gradient motet_gradient; /* activations and scratch, made once */

/* dtype: of activations and products; MOTET_BF16 or MOTET_F32. settings->train_recompute: what
 * layers keep (infer/score_decoder.h); gradients have the same bits at every level. memory: of the
 * back-end that will run; NULL: the host's. All of it is taken here; running allocates nothing. */
motet_status motet_gradient_make(motet_gradient **gradient, const motet_settings *settings,
                                 motet_dtype dtype, const motet_memory *memory);
void motet_gradient_free(motet_gradient *gradient);
/* Whom backward passes from here on tell that gradients are final; NULL: nobody. Copied. */
void motet_gradient_tell(motet_gradient *gradient, const motet_gradient_hook *hook);
/* What the host does once all ops of a run are asked for and before it waits for them; NULL:
 * nothing. It must leave that run's input alone. */
void motet_gradient_meanwhile(motet_gradient *gradient, void (*work)(void *user), void *user);
int64_t motet_gradient_bytes(const motet_gradient *gradient);

/* What one would take, nothing being taken; -1 when memory is out. */
int64_t motet_gradient_count(const motet_settings *settings, motet_dtype dtype);

/* Forward, and backward when grads is not NULL. weights: in the compute dtype (norms, biases and
 * the text encoder may be f32). input: in shared memory, free to be overwritten when this returns.
 * grads: f32, same table; gradients of loss_scale * (sum of field losses + attribute_weight * sum
 * of attribute losses) are added to them; text encoder slots with NULL data are not computed.
 * Losses are added to *losses: all ops on the input are waited for once, at the end. */
motet_status motet_gradient_run(motet_losses *losses, motet_weights *grads,
                                motet_gradient *gradient, const motet_backend *backend,
                                const motet_weights *weights, const motet_settings *settings,
                                const motet_model_input *input, float loss_scale);

#endif
