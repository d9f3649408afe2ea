/* optimizer: parameter updates. Master weights, gradients and moments are f32; all in place.
 *
 * Muon (Jordan et al. 2024) for matrices: momentum, then five Newton-Schulz steps bring the update
 * close to the nearest orthogonal matrix; AdamW (Loshchilov & Hutter 2019) for everything else.
 */
#ifndef MOTET_OPTIMIZER_H
#define MOTET_OPTIMIZER_H

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"
#include "kernels/matmul.h"

typedef struct motet_adamw_params {
    float lr, beta1, beta2, eps, weight_decay;
    float grad_scale; /* gradients are multiplied by it first: clipping */
    int64_t step;     /* 1 for the first update: bias correction */
} motet_adamw_params;

/* w -= lr * (mhat / (sqrt(vhat) + eps) + weight_decay * w). All tensors of one shape, f32. */
typedef motet_status motet_adamw_fn(motet_tensor w, motet_tensor m, motet_tensor v,
                                    motet_tensor grad, const motet_adamw_params *params);

typedef struct motet_muon_params {
    float lr, momentum, weight_decay;
    float grad_scale;
    int steps; /* Newton-Schulz iterations, 5 */
} motet_muon_params;

/* w [M,N], momentum buffer [M,N], grad [M,N] f32. Nesterov momentum; the quintic iteration with
 * coefficients 3.4445, -4.7750, 2.0315; the update is scaled by sqrt(max(1, M/N)), so one lr serves
 * every shape. scratch holds motet_muon_scratch(M,N) bytes, 64-byte aligned. The products go
 * through `matmul`, in bf16 if the back-end is fast there: dtype says which. */
typedef motet_status motet_muon_fn(motet_tensor w, motet_tensor momentum, motet_tensor grad,
                                   const motet_muon_params *params, void *scratch,
                                   motet_matmul_fn *matmul, motet_dtype dtype);
size_t motet_muon_scratch(int64_t rows, int64_t cols);

/* Sum of squares of a gradient in double, in a fixed order: the global norm is the root of their
 * sum.
 */
typedef motet_status motet_sum_squares_fn(double *sum, motet_tensor grad);

/* dst <- src with conversion between f32 and bf16, same count. */
typedef motet_status motet_convert_fn(motet_tensor dst, motet_tensor src);

/* dst bf16 <- src f32, same count, rounded up or down at random, with the chances that make the
 * mean exact: steps too small for a bf16 weight still add up. The upper half of word i % 4 of
 * motet_philox(seed, stream, i / 4) is added to element i's bits below a bf16's: the same bits on
 * every back-end. NaN stays NaN. */
typedef motet_status motet_convert_stochastic_fn(motet_tensor dst, motet_tensor src, uint64_t seed,
                                                 uint64_t stream);

motet_adamw_fn motet_cpu_adamw;
motet_muon_fn motet_cpu_muon;
motet_sum_squares_fn motet_cpu_sum_squares;
motet_convert_fn motet_cpu_convert;
motet_convert_stochastic_fn motet_cpu_convert_stochastic;

#endif
