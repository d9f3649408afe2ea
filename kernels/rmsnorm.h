/* rmsnorm: root mean square normalisation (Zhang & Sennrich 2019), rows of width D.
 *
 *   rstd[n] = 1 / sqrt(mean over d of x[n,d]^2 + eps)       out[n,d] = x[n,d] * rstd[n] * weight[d]
 *
 * x, out [N,D] f32 or bf16 each (they may differ; out may be x); weight [D] f32 or bf16; rstd [N]
 * f32, data may be NULL when no backward follows. Statistics in f32.
 */
#ifndef MOTET_RMSNORM_H
#define MOTET_RMSNORM_H

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"

typedef motet_status motet_rmsnorm_forward_fn(motet_tensor out, motet_tensor rstd, motet_tensor x,
                                              motet_tensor weight, float eps);

/* dx[n,d] += rstd * (dout*weight - xhat * mean(dout*weight*xhat)),  xhat = x * rstd: it adds,
 * because x is the residual stream whose gradient already flows. dweight[d] += sum over n of
 * dout*xhat, in a fixed order. dx [N,D] f32; dweight [D] f32; dout [N,D] f32 or bf16. */
typedef motet_status motet_rmsnorm_backward_fn(motet_tensor dx, motet_tensor dweight,
                                               motet_tensor dout, motet_tensor x,
                                               motet_tensor weight, motet_tensor rstd);

/* Of a residual sum: sum = x + branch, out = rmsnorm(sum), with the bits of an addition and a norm
 * (where rows start at multiples of 16 bytes, or all on the CPU). x, sum [N,D] f32, sum may be x;
 * branch [N,D] f32 or bf16; out may be branch. */
typedef motet_status motet_rmsnorm_add_forward_fn(motet_tensor out, motet_tensor sum,
                                                  motet_tensor rstd, motet_tensor x,
                                                  motet_tensor branch, motet_tensor weight,
                                                  float eps);

/* Its gradient: dx as above, x being the sum; then dbranch = dx, rounded to its type. sum [N,D]
 * f32; dbranch [N,D] f32 or bf16. */
typedef motet_status motet_rmsnorm_add_backward_fn(motet_tensor dx, motet_tensor dbranch,
                                                   motet_tensor dweight, motet_tensor dout,
                                                   motet_tensor sum, motet_tensor weight,
                                                   motet_tensor rstd);

motet_rmsnorm_forward_fn motet_cpu_rmsnorm_forward;
motet_rmsnorm_backward_fn motet_cpu_rmsnorm_backward;
motet_rmsnorm_add_forward_fn motet_cpu_rmsnorm_add_forward;
motet_rmsnorm_add_backward_fn motet_cpu_rmsnorm_add_backward;

#endif
