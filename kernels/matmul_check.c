#include "kernels/matmul_check.h"

#include "kernels/row.h"

motet_status motet_matmul_check(motet_matmul_sizes *sizes, motet_tensor c, motet_tensor a,
                                motet_tensor b, motet_tensor bias, motet_matmul_spec spec) {
    if (a.rank != 2 || b.rank != 2 || c.rank != 2)
        return MOTET_FAIL(MOTET_E_USAGE, "matmul takes matrices, not tensors of rank %d, %d, %d",
                          c.rank, a.rank, b.rank);
    if (!row_is_float(a) || !row_is_float(c) || (!row_is_float(b) && b.dtype != MOTET_I8))
        return MOTET_FAIL(MOTET_E_USAGE, "matmul does not make %s from %s and %s",
                          motet_dtype_name(c.dtype), motet_dtype_name(a.dtype),
                          motet_dtype_name(b.dtype));
    if (b.dtype == MOTET_I8 && (!spec.transpose_b || !b.scale))
        return MOTET_FAIL(MOTET_E_USAGE, "an int8 B of matmul must be [N,K] with row scales");
    const int64_t m = a.dims[spec.transpose_a ? 1 : 0], k = a.dims[spec.transpose_a ? 0 : 1];
    const int64_t n = b.dims[spec.transpose_b ? 0 : 1], depth = b.dims[spec.transpose_b ? 1 : 0];
    if (m < 0 || n < 0 || k < 0 || depth != k || c.dims[0] != m || c.dims[1] != n)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "matmul shapes disagree: C [%lld,%lld] from A' [%lld,%lld], B' "
                          "[%lld,%lld]",
                          (long long)c.dims[0], (long long)c.dims[1], (long long)m, (long long)k,
                          (long long)depth, (long long)n);
    if (bias.data && (bias.rank != 1 || bias.dims[0] != n || !row_is_float(bias)))
        return MOTET_FAIL(MOTET_E_USAGE, "the bias of matmul must hold %lld floats", (long long)n);
    if (spec.activation != MOTET_ACT_NONE && spec.accumulate)
        return MOTET_FAIL(MOTET_E_USAGE, "matmul cannot accumulate behind an activation");
    if (!row_has_data(c) || !row_has_data(a) || !row_has_data(b))
        return MOTET_FAIL(MOTET_E_USAGE, "matmul was given a matrix without memory");
    *sizes = (motet_matmul_sizes){m, n, k};
    return MOTET_OK;
}

motet_status motet_bias_backward_check(motet_tensor dbias, motet_tensor dy) {
    if (dy.rank != 2 || dbias.rank != 1 || dbias.dims[0] != dy.dims[1] ||
        dbias.dtype != MOTET_F32 || !row_is_float(dy))
        return MOTET_FAIL(MOTET_E_USAGE, "bias gradient takes f32 [N] and f32 or bf16 [M,N]");
    if (motet_tensor_count(dy) > 0 && (!dbias.data || !dy.data))
        return MOTET_FAIL(MOTET_E_USAGE, "bias gradient was given a tensor without memory");
    return MOTET_OK;
}
