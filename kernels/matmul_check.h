/* matmul_check: what matmul and the bias gradient refuse, whatever they run on. Internal. */
#ifndef MOTET_MATMUL_CHECK_H
#define MOTET_MATMUL_CHECK_H

#include "kernels/matmul.h"

typedef struct motet_matmul_sizes {
    int64_t m, n, k; /* C [m,n], k products summed; 0 where there is nothing */
} motet_matmul_sizes;

/* MOTET_E_USAGE unless shapes, dtypes, pointers and spec obey matmul.h. */
motet_status motet_matmul_check(motet_matmul_sizes *sizes, motet_tensor c, motet_tensor a,
                                motet_tensor b, motet_tensor bias, motet_matmul_spec spec);
motet_status motet_bias_backward_check(motet_tensor dbias, motet_tensor dy);

#endif
