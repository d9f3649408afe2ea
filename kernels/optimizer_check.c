#include "kernels/optimizer_check.h"

#include "kernels/row.h"

/* f32 of w's shape, with memory. */
static bool is_like(motet_tensor t, motet_tensor w) {
    return row_same_shape(t, w) && t.dtype == MOTET_F32 && row_has_data(t);
}

motet_status motet_adamw_check(motet_tensor w, motet_tensor m, motet_tensor v, motet_tensor grad,
                               const motet_adamw_params *params) {
    if (!is_like(w, w) || !is_like(m, w) || !is_like(v, w) || !is_like(grad, w))
        return motet_row_fail("adamw", "w, m, v, grad are f32 of one shape", "w m v grad", 4,
                              (motet_tensor[]){w, m, v, grad});
    if (params->step < 1 || !(params->beta1 >= 0 && params->beta1 < 1) ||
        !(params->beta2 >= 0 && params->beta2 < 1))
        return MOTET_FAIL(MOTET_E_USAGE,
                          "adamw: step %lld, beta1 %g, beta2 %g; step counts from 1, betas are in "
                          "0..1",
                          (long long)params->step, (double)params->beta1, (double)params->beta2);
    return MOTET_OK;
}

motet_status motet_sum_squares_check(motet_tensor grad) {
    if (!row_is_float(grad) || !row_has_data(grad))
        return motet_row_fail("sum_squares", "grad is f32 or bf16", "grad", 1, &grad);
    return MOTET_OK;
}

static bool as_many(motet_tensor dst, motet_tensor src) {
    return motet_tensor_count(dst) == motet_tensor_count(src) && row_has_data(dst) &&
           row_has_data(src);
}
motet_status motet_convert_check(motet_tensor dst, motet_tensor src) {
    if (!as_many(dst, src) || !row_is_float(dst) || !row_is_float(src))
        return motet_row_fail("convert", "dst and src hold as many f32 or bf16 elements", "dst src",
                              2, (motet_tensor[]){dst, src});
    return MOTET_OK;
}
motet_status motet_convert_stochastic_check(motet_tensor dst, motet_tensor src) {
    if (!as_many(dst, src) || dst.dtype != MOTET_BF16 || src.dtype != MOTET_F32)
        return motet_row_fail("convert_stochastic", "dst is bf16, src f32, with as many elements",
                              "dst src", 2, (motet_tensor[]){dst, src});
    return MOTET_OK;
}

motet_status motet_muon_check(motet_tensor w, motet_tensor momentum, motet_tensor grad,
                              const motet_muon_params *params, const void *scratch,
                              motet_matmul_fn *matmul, motet_dtype dtype) {
    if (w.rank != 2 || !is_like(w, w) || !is_like(momentum, w) || !is_like(grad, w))
        return motet_row_fail("muon", "w, momentum, grad are [M,N] f32", "w momentum grad", 3,
                              (motet_tensor[]){w, momentum, grad});
    if (motet_tensor_count(w) == 0) return MOTET_OK;
    if (params->steps < 1 || !scratch || !matmul || (dtype != MOTET_F32 && dtype != MOTET_BF16))
        return MOTET_FAIL(MOTET_E_USAGE,
                          "muon: %d steps in %s; at least one step, in f32 or bf16, with scratch "
                          "and a matmul",
                          params->steps, motet_dtype_name(dtype));
    return MOTET_OK;
}

static size_t aligned(size_t bytes) {
    return (bytes + 63) & ~(size_t)63;
}

motet_muon_layout motet_muon_layout_of(int64_t rows, int64_t cols) {
    const size_t matrix = aligned((size_t)rows * (size_t)cols * sizeof(float));
    const size_t side = (size_t)row_min(rows, cols), gram = aligned(side * side * sizeof(float));
    return (motet_muon_layout){.x = 0,
                               .copy = matrix,
                               .gram = 2 * matrix,
                               .square = 2 * matrix + gram,
                               .factor = 2 * matrix + 2 * gram,
                               .end = 2 * matrix + 3 * gram};
}
