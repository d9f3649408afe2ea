#include "tests/kernels/harness_op.h"

#include <math.h>

static double silu(double z) {
    return z / (1 + exp(-z));
}
static double silu_slope(double z) {
    double gate = 1 / (1 + exp(-z));
    return gate * (1 + z * (1 - gate));
}

static void parity(motet_tensor gu, motet_tensor out, motet_dtype type_dout) {
    motet_dtype type_in = gu.dtype, type_out = out.dtype;
    int64_t rows = out.dims[0], width = out.dims[1];
    motet_tensor dout = op_matrix(type_dout, rows, width),
                 dgu = op_matrix(type_in, rows, 2 * width);
    op_fill_normal(gu, 1, 3.0);
    op_fill_normal(dout, 2, 1.0);
    double *want = op_zeros(rows * width), *want_dgu = op_zeros(2 * rows * width);
    for (int64_t n = 0; n < rows; n++)
        for (int64_t f = 0; f < width; f++) {
            int64_t at = 2 * n * width + f;
            double g = op_get(gu, at), u = op_get(gu, at + width), dy = op_get(dout, n * width + f);
            want[n * width + f] = silu(g) * u;
            want_dgu[at] = dy * u * silu_slope(g);
            want_dgu[at + width] = dy * silu(g);
        }
    op_ok(op_backend()->swiglu_forward(out, gu));
    op_assert_close("out", out, want, op_limit(type_out));
    op_ok(op_backend()->swiglu_backward(dgu, dout, gu));
    op_assert_close("dgu", dgu, want_dgu, op_limit(type_in));
    op_ok(op_backend()->swiglu_backward(gu, dout, gu)); /* in place */
    op_assert_same_bits("in place", gu, dgu);
    if (rows == 3) {
        motet_dtype other = type_in == MOTET_F32 ? MOTET_BF16 : MOTET_F32;
        motet_tensor rounded = op_matrix(other, rows, 2 * width);
        op_fill_normal(gu, 1, 3.0);
        op_ok(op_backend()->swiglu_backward(rounded, dout, gu));
        op_assert_close("dgu of the other type", rounded, want_dgu, op_limit(other));
    }
    op_teardown(NULL);
}

static void test_parity(void **state) {
    (void)state;
    for (int r = 0; r < OP_COUNT(op_rows); r++)
        for (int c = 0; c < OP_COUNT(op_widths); c++)
            for (int types = 0; types < 8; types++)
                parity(op_matrix(op_floats[types & 1], op_rows[r], 2 * op_widths[c]),
                       op_matrix(op_floats[types >> 1 & 1], op_rows[r], op_widths[c]),
                       op_floats[types >> 2]);
    parity(op_matrix(MOTET_BF16, 130, 1536), op_matrix(MOTET_BF16, 130, 768), MOTET_BF16);
    for (int t = 0; t < 2; t++)
        parity(op_askew(op_floats[t], 3, 128), op_askew(op_floats[t], 3, 64), op_floats[t]);
}

/* Far from zero silu is z or 0, exactly; NaN stays where it is. */
static void test_extremes(void **state) {
    (void)state;
    const double gate[] = {200, 3e38, -200, -3e38, 0, INFINITY, NAN, 1};
    const double want[] = {400, INFINITY, 0, 0, 0, INFINITY, NAN, 2 / (1 + 0.36787944117144233)};
    motet_tensor gu = op_matrix(MOTET_F32, 1, 16), out = op_matrix(MOTET_F32, 1, 8);
    for (int i = 0; i < 8; i++)
        op_set(gu, i, gate[i]), op_set(gu, 8 + i, 2);
    op_ok(op_backend()->swiglu_forward(out, gu));
    op_assert_close("extremes", out, want, op_limit(MOTET_F32));
    assert_true(op_get(out, 0) == 400 && op_get(out, 2) == 0);
    motet_tensor dout = op_matrix(MOTET_F32, 1, 8);
    op_fill(dout, 1);
    op_ok(op_backend()->swiglu_backward(gu, dout, gu));
    const double want_slope[] = {2, 2, 0, 0, 1};
    for (int i = 0; i < 5; i++)
        assert_true(op_get(gu, i) == want_slope[i]);
}

/* The vector exponential, seen through the gate: sigmoid(z) = silu(z) / z within 4 units in the
 * last place, over the whole range in which it is a normal number. */
static void test_exponential(void **state) {
    (void)state;
    enum { COUNT = 40000 };
    motet_tensor gu = op_matrix(MOTET_F32, 1, 2 * COUNT), out = op_matrix(MOTET_F32, 1, COUNT);
    for (int i = 0; i < COUNT; i++) {
        op_set(gu, i, -87 + 174.0 * i / COUNT + 1e-3);
        op_set(gu, COUNT + i, 1);
    }
    op_ok(op_backend()->swiglu_forward(out, gu));
    for (int i = 0; i < COUNT; i++) {
        double want = silu(op_get(gu, i));
        double error = fabs(op_get(out, i) - want) / (fabs(want) * 0x1p-23);
        if (error > 4) fail_msg("silu(%.9g): %.2f ulp", op_get(gu, i), error);
    }
}

typedef struct setting {
    motet_tensor gu, out, dout;
} setting;

static double loss(void *context) {
    setting *s = context;
    op_ok(op_backend()->swiglu_forward(s->out, s->gu));
    return op_dot(s->out, s->dout);
}

static void test_gradient(void **state) {
    (void)state;
    setting s = {op_matrix(MOTET_F32, 3, 66), op_matrix(MOTET_F32, 3, 33),
                 op_matrix(MOTET_F32, 3, 33)};
    motet_tensor dgu = op_matrix(MOTET_F32, 3, 66);
    op_fill_normal(s.gu, 1, 2.0);
    op_fill_normal(s.dout, 2, 1.0);
    op_ok(op_backend()->swiglu_backward(dgu, s.dout, s.gu));
    op_assert_gradient("dgu", s.gu, dgu, loss, &s, 1e-2, 1e-6);
}

static void test_bad_input(void **state) {
    (void)state;
    motet_tensor out = op_matrix(MOTET_F32, 3, 8), gu = op_matrix(MOTET_F32, 3, 16);
    op_fails(op_backend()->swiglu_forward(out, op_matrix(MOTET_F32, 3, 17)), MOTET_E_USAGE,
             "gu f32 [3,17]");
    op_fails(op_backend()->swiglu_forward(out, out), MOTET_E_USAGE, "swiglu_forward: ");
    op_fails(op_backend()->swiglu_backward(op_matrix(MOTET_F32, 2, 16), out, gu), MOTET_E_USAGE,
             "dgu f32 [2,16]");
    op_fails(op_backend()->swiglu_backward(gu, out, op_matrix(MOTET_I32, 3, 16)), MOTET_E_USAGE,
             "gu i32 [3,16]");
}

int main(void) {
    const struct CMUnitTest tests[] = {op_test(test_parity), op_test(test_extremes),
                                       op_test(test_exponential), op_test(test_gradient),
                                       op_test(test_bad_input)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
