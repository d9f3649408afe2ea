#include "tests/kernels/harness_op.h"

#include <math.h>
#include <string.h>

#define EPS 1e-5

/* Doubles: out, rstd; and with dout, the gradients. */
static void reference(double *out, double *rstd, const double *x, const double *w, int64_t rows,
                      int64_t width) {
    for (int64_t n = 0; n < rows; n++) {
        double sum = 0;
        for (int64_t d = 0; d < width; d++)
            sum += x[n * width + d] * x[n * width + d];
        rstd[n] = 1 / sqrt(sum / (double)width + EPS);
        for (int64_t d = 0; d < width; d++)
            out[n * width + d] = x[n * width + d] * rstd[n] * w[d];
    }
}

static void reference_backward(double *dx, double *dw, const double *dout, const double *x,
                               const double *w, const double *rstd, int64_t rows, int64_t width) {
    for (int64_t n = 0; n < rows; n++) {
        double dot = 0;
        for (int64_t d = 0; d < width; d++) {
            int64_t i = n * width + d;
            dot += dout[i] * w[d] * x[i] * rstd[n] / (double)width;
            dw[d] += dout[i] * x[i] * rstd[n];
        }
        for (int64_t d = 0; d < width; d++) {
            int64_t i = n * width + d;
            dx[i] += rstd[n] * (dout[i] * w[d] - x[i] * rstd[n] * dot);
        }
    }
}

static void parity(int64_t rows, int64_t width, motet_dtype type_x, motet_dtype type_out,
                   motet_dtype type_w) {
    motet_tensor x = op_matrix(type_x, rows, width), out = op_matrix(type_out, rows, width);
    motet_tensor w = op_vector(type_w, width), rstd = op_vector(MOTET_F32, rows);
    op_fill_normal(x, 1, 1.5);
    op_fill_normal(w, 2, 1.0);
    double *want = op_zeros(rows * width), *want_rstd = op_zeros(rows);
    reference(want, want_rstd, op_doubles(x), op_doubles(w), rows, width);
    op_ok(op_backend()->rmsnorm_forward(out, rstd, x, w, (float)EPS));
    op_assert_close("out", out, want, op_limit(type_out));
    op_assert_close("rstd", rstd, want_rstd, op_limit(MOTET_F32));

    motet_tensor dout = op_matrix(type_out, rows, width), dx = op_matrix(MOTET_F32, rows, width);
    motet_tensor dw = op_vector(MOTET_F32, width);
    op_fill_normal(dout, 3, 1.0);
    op_fill_normal(dx, 4, 1.0); /* both are added to */
    op_fill_normal(dw, 5, 1.0);
    double *want_dx = op_doubles(dx), *want_dw = op_doubles(dw);
    reference_backward(want_dx, want_dw, op_doubles(dout), op_doubles(x), op_doubles(w),
                       op_doubles(rstd), rows, width);
    op_ok(op_backend()->rmsnorm_backward(dx, dw, dout, x, w, rstd));
    op_assert_close("dx", dx, want_dx, op_limit(MOTET_F32));
    op_assert_close("dweight", dw, want_dw, op_limit(MOTET_F32));

    if (type_x == type_out) { /* in place, statistics not kept: the same bits */
        op_ok(op_backend()->rmsnorm_forward(x, op_none(), x, w, (float)EPS));
        op_assert_same_bits("in place", x, out);
    }
    op_teardown(NULL);
}

static void test_parity(void **state) {
    (void)state;
    for (int r = 0; r < OP_COUNT(op_rows); r++)
        for (int c = 0; c < OP_COUNT(op_widths); c++)
            for (int types = 0; types < 8; types++)
                parity(op_rows[r], op_widths[c], op_floats[types & 1], op_floats[types >> 1 & 1],
                       op_floats[types >> 2]);
    parity(2, 5000, MOTET_F32, MOTET_F32, MOTET_F32); /* several chunks */
    for (int types = 0; types < 8; types++) /* ends within a later chunk of a device's lane */
        for (int width = 160; width <= 928; width += 128)
            parity(width == 160 ? 9 : 2, width, op_floats[types & 1], op_floats[types >> 1 & 1],
                   op_floats[types >> 2]);
    parity(600, 32, MOTET_BF16, MOTET_F32, MOTET_F32); /* many ranges of rows */
    parity(448, 32, MOTET_BF16, MOTET_F32, MOTET_F32);
    parity(3, 1001, MOTET_F32, MOTET_BF16, MOTET_F32);
    parity(9, 1024, MOTET_BF16, MOTET_BF16, MOTET_BF16);
}

static void nearly_same(const char *what, motet_tensor got, motet_tensor want) {
    op_assert_close(what, got, op_doubles(want), op_limit(got.dtype));
}

/* The norm of a sum has the bits of addition and norm one after the other, and its gradient those
 * of the norm's and a conversion. */
static void residual(motet_tensor x, motet_tensor branch, motet_tensor out, motet_tensor w) {
    /* Else a device sums up in another order with the branch than without it. */
    const bool aligned = (uintptr_t)branch.data % 16 == 0 && (uintptr_t)out.data % 16 == 0;
    void (*const same)(const char *, motet_tensor, motet_tensor) =
        aligned ? op_assert_same_bits : nearly_same;
    int64_t rows = x.dims[0], width = x.dims[1];
    motet_tensor rstd = op_vector(MOTET_F32, rows), want_rstd = op_vector(MOTET_F32, rows);
    op_fill_normal(x, 1, 1.5);
    op_fill_normal(branch, 2, 0.7);
    op_fill_normal(w, 3, 1.0);
    motet_tensor sum = op_matrix(MOTET_F32, rows, width), want_sum = op_copy(x);
    motet_tensor want = op_copy(out);
    op_ok(op_backend()->add(want_sum, branch));
    op_ok(op_backend()->rmsnorm_forward(want, want_rstd, want_sum, w, (float)EPS));
    op_ok(op_backend()->rmsnorm_add_forward(out, sum, rstd, x, branch, w, (float)EPS));
    same("sum", sum, want_sum);
    same("rstd", rstd, want_rstd);
    same("out", out, want);
    op_ok(op_backend()->rmsnorm_add_forward(out, x, op_none(), x, branch, w, (float)EPS));
    same("sum in place", x, want_sum);
    same("out, no statistics", out, want);

    motet_tensor dout = op_copy(out), dx = op_copy(sum), want_dx = op_copy(sum);
    motet_tensor dw = op_vector(MOTET_F32, width), want_dw = op_vector(MOTET_F32, width);
    motet_tensor want_dbranch = op_copy(branch);
    op_fill_normal(dout, 4, 1.0);
    op_fill_normal(dx, 5, 1.0);
    op_fill_normal(want_dx, 5, 1.0);
    op_fill(dw, 0.5);
    op_fill(want_dw, 0.5);
    op_ok(op_backend()->rmsnorm_backward(want_dx, want_dw, dout, sum, w, rstd));
    op_ok(op_backend()->convert(want_dbranch, want_dx));
    op_ok(op_backend()->rmsnorm_add_backward(dx, branch, dw, dout, sum, w, rstd));
    same("dx", dx, want_dx);
    same("dweight", dw, want_dw);
    same("dbranch", branch, want_dbranch);

    if (branch.dtype == out.dtype) { /* the branch's place is the output's */
        op_fill_normal(x, 1, 1.5);
        op_fill_normal(branch, 2, 0.7);
        op_ok(op_backend()->rmsnorm_add_forward(branch, sum, rstd, x, branch, w, (float)EPS));
        same("out over branch", branch, want);
        same("sum beside it", sum, want_sum);
    }
    op_teardown(NULL);
}

static void test_residual(void **state) {
    (void)state;
    const int64_t widths[] = {1, 7, 33, 64, 256, 264, 640, 1024, 1100, 2500};
    int64_t number = 0;
    for (int c = 0; c < OP_COUNT(widths); c++)
        for (int types = 0; types < 8; types++) {
            if (op_skips(number++, 3)) continue;
            int64_t rows = c % 2 ? 19 : 3;
            residual(op_matrix(MOTET_F32, rows, widths[c]),
                     op_matrix(op_floats[types & 1], rows, widths[c]),
                     op_matrix(op_floats[types >> 1 & 1], rows, widths[c]),
                     op_vector(op_floats[types >> 2], widths[c]));
        }
    for (int types = 0; types < 8; types++) /* ends within each chunk of a device's lane */
        for (int64_t width = 32; width <= 928; width += 128) {
            int64_t rows = width == 160 ? 9 : 2;
            residual(op_matrix(MOTET_F32, rows, width),
                     op_matrix(op_floats[types & 1], rows, width),
                     op_matrix(op_floats[types >> 1 & 1], rows, width),
                     op_vector(op_floats[types >> 2], width));
        }
    residual(op_matrix(MOTET_F32, 0, 64), op_matrix(MOTET_BF16, 0, 64),
             op_matrix(MOTET_BF16, 0, 64), op_vector(MOTET_F32, 64));
    residual(op_matrix(MOTET_F32, 600, 32), op_matrix(MOTET_F32, 600, 32),
             op_matrix(MOTET_BF16, 600, 32), op_vector(MOTET_F32, 32)); /* many ranges of rows */
    residual(op_matrix(MOTET_F32, 3, 64), op_askew(MOTET_BF16, 3, 64), op_matrix(MOTET_F32, 3, 64),
             op_vector(MOTET_F32, 64));
    residual(op_matrix(MOTET_F32, 3, 64), op_matrix(MOTET_BF16, 3, 64), op_askew(MOTET_BF16, 3, 64),
             op_vector(MOTET_F32, 64));
}

/* Addresses that vectors cannot be read from. */
static void test_askew(void **state) {
    (void)state;
    for (int t = 0; t < 2; t++) {
        int64_t rows = 3, width = 64, count = rows * width;
        motet_dtype type = op_floats[t];
        motet_tensor x = op_askew(type, rows, width), out = op_askew(type, rows, width);
        motet_tensor w = op_vector(MOTET_F32, width), rstd = op_vector(MOTET_F32, rows);
        motet_tensor dx = op_askew(MOTET_F32, rows, width), dw = op_vector(MOTET_F32, width);
        op_fill_normal(x, 1, 1.5);
        op_fill_normal(w, 2, 1.0);
        op_fill(dx, 1);
        op_fill(dw, 1);
        double *want = op_zeros(count), *want_rstd = op_zeros(rows);
        double *want_dx = op_doubles(dx), *want_dw = op_doubles(dw);
        reference(want, want_rstd, op_doubles(x), op_doubles(w), rows, width);
        op_ok(op_backend()->rmsnorm_forward(out, rstd, x, w, (float)EPS));
        op_assert_close("out", out, want, op_limit(type));
        reference_backward(want_dx, want_dw, op_doubles(out), op_doubles(x), op_doubles(w),
                           op_doubles(rstd), rows, width);
        op_ok(op_backend()->rmsnorm_backward(dx, dw, out, x, w, rstd));
        op_assert_close("dx", dx, want_dx, op_limit(MOTET_F32));
        op_assert_close("dweight", dw, want_dw, op_limit(MOTET_F32));
    }
}

/* Rows of +-4 have mean square 16: every step is exact. */
static void test_exact(void **state) {
    (void)state;
    motet_tensor x = op_matrix(MOTET_F32, 2, 64), out = op_matrix(MOTET_F32, 2, 64);
    motet_tensor w = op_vector(MOTET_F32, 64);
    double want[128];
    for (int i = 0; i < 128; i++)
        op_set(x, i, i % 3 ? 4 : -4);
    for (int i = 0; i < 64; i++)
        op_set(w, i, i - 20);
    for (int i = 0; i < 128; i++)
        want[i] = (i % 3 ? 1 : -1) * (i % 64 - 20);
    op_ok(op_backend()->rmsnorm_forward(out, op_none(), x, w, 0));
    op_assert_equal("exact", out, want);
}

typedef struct setting {
    motet_tensor x, w, out, rstd, dout;
} setting;

static double loss(void *context) {
    setting *s = context;
    op_ok(op_backend()->rmsnorm_forward(s->out, s->rstd, s->x, s->w, (float)EPS));
    return op_dot(s->out, s->dout);
}

static void test_gradient(void **state) {
    (void)state;
    int64_t rows = 5, width = 33;
    setting s = {op_matrix(MOTET_F32, rows, width), op_vector(MOTET_F32, width),
                 op_matrix(MOTET_F32, rows, width), op_vector(MOTET_F32, rows),
                 op_matrix(MOTET_F32, rows, width)};
    op_fill_normal(s.x, 1, 1.0);
    op_fill_normal(s.w, 2, 1.0);
    op_fill_normal(s.dout, 3, 1.0);
    motet_tensor dx = op_matrix(MOTET_F32, rows, width), dw = op_vector(MOTET_F32, width);
    op_fill(dx, 0);
    op_fill(dw, 0);
    loss(&s);
    op_ok(op_backend()->rmsnorm_backward(dx, dw, s.dout, s.x, s.w, s.rstd));
    op_assert_gradient("dx", s.x, dx, loss, &s, 1e-2, 1e-6);
    op_assert_gradient("dweight", s.w, dw, loss, &s, 1e-2, 1e-6);
}

static void test_threads(void **state) {
    (void)state;
    int64_t rows = 333, widths[] = {256, 1100};
    for (int c = 0; c < 2; c++) {
        int64_t width = widths[c];
        motet_tensor x = op_matrix(MOTET_BF16, rows, width), w = op_vector(MOTET_F32, width);
        motet_tensor dout = op_matrix(MOTET_F32, rows, width), rstd = op_vector(MOTET_F32, rows);
        op_fill_normal(x, 1, 1.0);
        op_fill_normal(w, 2, 1.0);
        op_fill_normal(dout, 3, 1.0);
        op_fill(rstd, 1.25);
        motet_tensor dx[3], dw[3];
        for (int t = 0; t < 3; t++) {
            op_threads(t == 2 ? 7 : t + 1);
            dx[t] = op_matrix(MOTET_F32, rows, width);
            dw[t] = op_vector(MOTET_F32, width);
            op_fill(dx[t], 0.5);
            op_fill(dw[t], 0.5);
            op_ok(op_backend()->rmsnorm_backward(dx[t], dw[t], dout, x, w, rstd));
            op_assert_same_bits("dx", dx[0], dx[t]);
            op_assert_same_bits("dweight", dw[0], dw[t]);
        }
    }
}

static void test_bad_input(void **state) {
    (void)state;
    motet_tensor x = op_matrix(MOTET_F32, 3, 8), w = op_vector(MOTET_F32, 7);
    motet_tensor right = op_vector(MOTET_F32, 8), rstd = op_vector(MOTET_F32, 3);
    op_fails(op_backend()->rmsnorm_forward(x, op_none(), x, w, 1e-5f), MOTET_E_USAGE,
             "rmsnorm_forward: ");
    assert_non_null(strstr(motet_error(), "x f32 [3,8], weight f32 [7]"));
    op_fails(op_backend()->rmsnorm_forward(x, w, x, right, 1e-5f), MOTET_E_USAGE, "rstd f32 [7]");
    op_fails(op_backend()->rmsnorm_forward(op_matrix(MOTET_I32, 3, 8), rstd, x, right, 1e-5f),
             MOTET_E_USAGE, "out i32 [3,8]");
    op_fails(op_backend()->rmsnorm_backward(op_matrix(MOTET_BF16, 3, 8), right, x, x, right, rstd),
             MOTET_E_USAGE, "rmsnorm_backward: ");
    op_fails(op_backend()->rmsnorm_backward(x, right, x, x, right, op_none()), MOTET_E_USAGE,
             "rmsnorm_backward: ");
    motet_tensor half = op_matrix(MOTET_BF16, 3, 8), narrow = op_matrix(MOTET_F32, 3, 7);
    op_fails(op_backend()->rmsnorm_add_forward(x, x, rstd, half, x, right, 1e-5f), MOTET_E_USAGE,
             "rmsnorm_add_forward: ");
    assert_non_null(strstr(motet_error(), "x bf16 [3,8], branch f32 [3,8]"));
    op_fails(op_backend()->rmsnorm_add_forward(x, half, rstd, x, x, right, 1e-5f), MOTET_E_USAGE,
             "sum bf16 [3,8]");
    op_fails(op_backend()->rmsnorm_add_forward(x, x, rstd, x, narrow, right, 1e-5f), MOTET_E_USAGE,
             "branch f32 [3,7]");
    op_fails(op_backend()->rmsnorm_add_backward(x, narrow, right, x, x, right, rstd), MOTET_E_USAGE,
             "dbranch f32 [3,7]");
    op_fails(op_backend()->rmsnorm_add_backward(x, x, right, x, half, right, rstd), MOTET_E_USAGE,
             "sum bf16 [3,8]");
    op_fails(op_backend()->rmsnorm_add_backward(x, x, w, x, x, right, rstd), MOTET_E_USAGE,
             "rmsnorm_backward: ");
}

/* A NaN stays in its row. */
static void test_nan(void **state) {
    (void)state;
    motet_tensor x = op_matrix(MOTET_F32, 3, 40), w = op_vector(MOTET_F32, 40);
    op_fill_normal(x, 1, 1);
    op_fill(w, 1);
    op_set(x, 45, NAN);
    op_ok(op_backend()->rmsnorm_forward(x, op_none(), x, w, 1e-5f));
    for (int i = 0; i < 120; i++)
        assert_int_equal(isnan(op_get(x, i)) != 0, i / 40 == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {op_test(test_parity),    op_test(test_residual),
                                       op_test(test_askew),     op_test(test_exact),
                                       op_test(test_gradient),  op_test(test_threads),
                                       op_test(test_bad_input), op_test(test_nan)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
