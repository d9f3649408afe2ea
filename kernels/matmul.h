/* matmul: one general matrix product with epilogue, for linear layers forward and backward.
 *
 *   C[m,n] = act( sum over k of A'[m,k] * B'[k,n] + bias[n] ) (+ C[m,n] if accumulate)
 *
 * A' is A [M,K], or A [K,M] transposed; B' is B [K,N], or B [N,K] transposed. A linear layer with
 * weight W [out,in] is C = X W^T: transpose_b; its gradients are dX = dY W (none) and
 * dW = dY^T X (transpose_a, accumulate). Products of bf16 are exact in f32; sums are in f32.
 *
 * A f32 or bf16; B f32, bf16, or i8 with row scales (then transpose_b only); C f32 or bf16; bias
 * [N] f32 or bf16, data NULL for none. MOTET_E_USAGE if shapes or dtypes disagree. Empty M is
 * allowed.
 */
#ifndef MOTET_MATMUL_H
#define MOTET_MATMUL_H

#include <stdbool.h>

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"

typedef enum motet_activation {
    MOTET_ACT_NONE,
    MOTET_ACT_GELU, /* exact: x * Phi(x); not with accumulate */
} motet_activation;

typedef struct motet_matmul_spec {
    bool transpose_a, transpose_b, accumulate;
    motet_activation activation;
} motet_matmul_spec;

typedef motet_status motet_matmul_fn(motet_tensor c, motet_tensor a, motet_tensor b,
                                     motet_tensor bias, motet_matmul_spec spec);

/* The sums over rows that a bias needs: dbias[n] += sum over m of dy[m,n], in a fixed order. */
typedef motet_status motet_bias_backward_fn(motet_tensor dbias, motet_tensor dy);

motet_matmul_fn motet_cpu_matmul;
motet_bias_backward_fn motet_cpu_bias_backward;

#endif
