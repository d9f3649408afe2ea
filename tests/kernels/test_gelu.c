#include "tests/kernels/harness_op.h"

#include <math.h>

static double phi(double x) {
    return 0.5 * erfc(-x / sqrt(2));
}
static double slope(double x) {
    return phi(x) + x * exp(-0.5 * x * x) / sqrt(2 * acos(-1));
}

static void parity(motet_tensor x, motet_tensor out, motet_dtype type_dout) {
    motet_dtype type_in = x.dtype, type_out = out.dtype;
    int64_t rows = x.dims[0], width = x.dims[1];
    motet_tensor dout = op_matrix(type_dout, rows, width), dx = op_matrix(type_out, rows, width);
    op_fill_normal(x, 1, 2.0);
    op_fill_normal(dout, 2, 1.0);
    int64_t count = rows * width;
    double *want = op_zeros(count), *want_dx = op_zeros(count);
    for (int64_t i = 0; i < count; i++) {
        want[i] = op_get(x, i) * phi(op_get(x, i));
        want_dx[i] = op_get(dout, i) * slope(op_get(x, i));
    }
    op_ok(op_backend()->gelu_forward(out, x));
    op_assert_close("out", out, want, op_limit(type_out));
    op_ok(op_backend()->gelu_backward(dx, dout, x));
    op_assert_close("dx", dx, want_dx, op_limit(type_out));
    if (type_in == type_out && type_in == type_dout) {
        op_ok(op_backend()->gelu_backward(dout, dout, x));
        op_assert_same_bits("dx in place of dout", dout, dx);
        op_ok(op_backend()->gelu_forward(x, x));
        op_assert_same_bits("out in place of x", x, out);
    }
    op_teardown(NULL);
}

static void test_parity(void **state) {
    (void)state;
    for (int r = 0; r < OP_COUNT(op_rows); r++)
        for (int c = 0; c < OP_COUNT(op_widths); c++)
            for (int types = 0; types < 4; types++)
                parity(op_matrix(op_floats[types & 1], op_rows[r], op_widths[c]),
                       op_matrix(op_floats[types >> 1], op_rows[r], op_widths[c]),
                       op_floats[types & 1]);
    for (int types = 0; types < 4; types++)
        parity(op_matrix(op_floats[types & 1], 3, 33), op_matrix(op_floats[types >> 1], 3, 33),
               op_floats[!(types & 1)]);
    parity(op_matrix(MOTET_F32, 64, 1536), op_matrix(MOTET_F32, 64, 1536), MOTET_F32);
    for (int t = 0; t < 2; t++)
        parity(op_askew(op_floats[t], 3, 65), op_askew(op_floats[t], 3, 65), op_floats[t]);
}

/* Relative accuracy holds into the tail, where 1 + erf would have cancelled; 1e-5 at -8 is what an
 * f32 square of x leaves. Far out it is x or 0, exactly. */
static void test_tail(void **state) {
    (void)state;
    enum { COUNT = 20001 };
    motet_tensor x = op_vector(MOTET_F32, COUNT), out = op_vector(MOTET_F32, COUNT);
    for (int i = 0; i < COUNT; i++)
        op_set(x, i, -10 + 1e-3 * i);
    op_ok(op_backend()->gelu_forward(out, x));
    for (int i = 0; i < COUNT; i++) {
        double at = op_get(x, i), want = at * phi(at), error = fabs(op_get(out, i) - want);
        if (error > fabs(want) * 2e-7 * (2 + at * at))
            fail_msg("gelu(%.9g): got %.9g, want %.9g", at, op_get(out, i), want);
    }
    const double far[] = {30, -30, 3e38, -3e38, 0, INFINITY, NAN};
    const double want[] = {30, 0, (double)3e38f, 0, 0, INFINITY, NAN};
    motet_tensor y = op_vector(MOTET_F32, 7);
    for (int i = 0; i < 7; i++)
        op_set(y, i, far[i]);
    op_ok(op_backend()->gelu_forward(y, y));
    op_assert_equal("far", y, want);
}

typedef struct setting {
    motet_tensor x, out, dout;
} setting;

static double loss(void *context) {
    setting *s = context;
    op_ok(op_backend()->gelu_forward(s->out, s->x));
    return op_dot(s->out, s->dout);
}

static void test_gradient(void **state) {
    (void)state;
    setting s = {op_matrix(MOTET_F32, 4, 33), op_matrix(MOTET_F32, 4, 33),
                 op_matrix(MOTET_F32, 4, 33)};
    motet_tensor dx = op_matrix(MOTET_F32, 4, 33);
    op_fill_normal(s.x, 1, 2.0);
    op_fill_normal(s.dout, 2, 1.0);
    op_ok(op_backend()->gelu_backward(dx, s.dout, s.x));
    op_assert_gradient("dx", s.x, dx, loss, &s, 1e-2, 1e-6);
}

static void test_bad_input(void **state) {
    (void)state;
    motet_tensor x = op_matrix(MOTET_F32, 3, 8);
    op_fails(op_backend()->gelu_forward(x, op_matrix(MOTET_F32, 8, 3)), MOTET_E_USAGE,
             "x f32 [8,3]");
    op_fails(op_backend()->gelu_forward(x, op_matrix(MOTET_I32, 3, 8)), MOTET_E_USAGE,
             "x i32 [3,8]");
    op_fails(op_backend()->gelu_backward(x, op_vector(MOTET_F32, 24), x), MOTET_E_USAGE,
             "dout f32 [24]");
    x.data = NULL;
    op_fails(op_backend()->gelu_forward(x, x), MOTET_E_USAGE, "without data");
}

int main(void) {
    const struct CMUnitTest tests[] = {op_test(test_parity), op_test(test_tail),
                                       op_test(test_gradient), op_test(test_bad_input)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
