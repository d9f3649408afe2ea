/* optimizer_check: what the optimizer's ops refuse, whatever they run on, and how Muon divides its
 * scratch. MOTET_E_USAGE with the op, the rule and what came. Internal. */
#ifndef MOTET_OPTIMIZER_CHECK_H
#define MOTET_OPTIMIZER_CHECK_H

#include "kernels/optimizer.h"

motet_status motet_adamw_check(motet_tensor w, motet_tensor m, motet_tensor v, motet_tensor grad,
                               const motet_adamw_params *params);
motet_status motet_sum_squares_check(motet_tensor grad);
motet_status motet_convert_check(motet_tensor dst, motet_tensor src);
motet_status motet_convert_stochastic_check(motet_tensor dst, motet_tensor src);

/* Of an empty matrix nothing but the shapes is looked at. */
motet_status motet_muon_check(motet_tensor w, motet_tensor momentum, motet_tensor grad,
                              const motet_muon_params *params, const void *scratch,
                              motet_matmul_fn *matmul, motet_dtype dtype);

/* Where things lie in the scratch, in bytes: the iterate X [M,N] in f32 and again in the products'
 * dtype, and with S = min(M,N) the Gram matrix A [S,S], its square, and one more in the products'
 * dtype. Sizes do not depend on the dtype. */
typedef struct motet_muon_layout {
    size_t x, copy, gram, square, factor, end;
} motet_muon_layout;
motet_muon_layout motet_muon_layout_of(int64_t rows, int64_t cols);

#endif
