/* cross_entropy: softmax cross-entropy under a mask, loss and gradient in one pass, in place.
 *
 * logits [N,V] f32 or bf16; targets [N] i32, a negative one leaves the row out: loss 0, gradient 0.
 * legal [N, ceil(V/32)] i32 bits, bit v%32 of word v/32 set where symbol v is allowed; data NULL
 * allows all. Symbols that are not allowed have probability and gradient 0. A target that is not
 * allowed, or
 * >= V, is MOTET_E_USAGE with its row.
 *
 *   loss[n]     = log(sum over allowed v of exp(logits[n,v])) - logits[n,target]
 *   logits[n,v] <- scale * (softmax(logits)[n,v] - [v = target])          if scale != 0
 */
#ifndef MOTET_CROSS_ENTROPY_H
#define MOTET_CROSS_ENTROPY_H

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"

/* loss [N] f32. scale 0 only evaluates and leaves the logits alone. */
typedef motet_status motet_cross_entropy_fn(motet_tensor loss, motet_tensor logits,
                                            motet_tensor targets, motet_tensor legal, float scale);

motet_cross_entropy_fn motet_cpu_cross_entropy;

#endif
