/* layernorm: layer normalisation (Ba et al. 2016) of a sum, as BERT's post-norm blocks need it.
 *
 *   s = x + residual     out[n,:] = (s - mean(s)) * rstd(s) * weight + bias
 *
 * x, residual, out [N,D] f32 or bf16; residual.data may be NULL (s = x); weight, bias [D] f32 or
 * bf16; out may be x or residual. mean, rstd [N] f32, data NULL when no backward follows.
 * Statistics in f32.
 */
#ifndef MOTET_LAYERNORM_H
#define MOTET_LAYERNORM_H

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"

typedef motet_status motet_layernorm_forward_fn(motet_tensor out, motet_tensor mean,
                                                motet_tensor rstd, motet_tensor x,
                                                motet_tensor residual, motet_tensor weight,
                                                motet_tensor bias, float eps);

/* ds [N,D] f32 receives (overwrites) the gradient of s, which is that of x and of residual;
 * dweight, dbias [D] f32 are added to, in a fixed order. s [N,D] is the sum that was normalised. */
typedef motet_status motet_layernorm_backward_fn(motet_tensor ds, motet_tensor dweight,
                                                 motet_tensor dbias, motet_tensor dout,
                                                 motet_tensor s, motet_tensor weight,
                                                 motet_tensor mean, motet_tensor rstd);

motet_layernorm_forward_fn motet_cpu_layernorm_forward;
motet_layernorm_backward_fn motet_cpu_layernorm_backward;

#endif
