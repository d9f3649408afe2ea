/* swiglu: gated linear unit (Shazeer 2020) on packed rows [gate up].
 *
 *   out[n,f] = silu(gu[n,f]) * gu[n,F+f],   silu(z) = z / (1 + exp(-z))
 *
 * gu [N,2F], out [N,F], f32 or bf16 each.
 */
#ifndef MOTET_SWIGLU_H
#define MOTET_SWIGLU_H

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"

typedef motet_status motet_swiglu_forward_fn(motet_tensor out, motet_tensor gu);

/* dgu [N,2F] is overwritten (it may be gu itself); dout [N,F]. */
typedef motet_status motet_swiglu_backward_fn(motet_tensor dgu, motet_tensor dout, motet_tensor gu);

motet_swiglu_forward_fn motet_cpu_swiglu_forward;
motet_swiglu_backward_fn motet_cpu_swiglu_backward;

#endif
