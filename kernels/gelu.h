/* gelu: Gaussian error linear unit, exact (Hendrycks & Gimpel 2016): out = x * Phi(x), by erf.
 * x, out of one shape, f32 or bf16 each; out may be x. */
#ifndef MOTET_GELU_H
#define MOTET_GELU_H

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"

typedef motet_status motet_gelu_forward_fn(motet_tensor out, motet_tensor x);

/* dx = dout * (Phi(x) + x * phi(x)), overwritten; dx may be dout. */
typedef motet_status motet_gelu_backward_fn(motet_tensor dx, motet_tensor dout, motet_tensor x);

motet_gelu_forward_fn motet_cpu_gelu_forward;
motet_gelu_backward_fn motet_cpu_gelu_backward;

#endif
