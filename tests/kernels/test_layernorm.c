#include "tests/kernels/harness_op.h"

#include <math.h>

#define EPS 1e-12 /* BERT's */

static void reference(double *out, double *mean, double *rstd, const double *s, const double *w,
                      const double *b, int64_t rows, int64_t width) {
    for (int64_t n = 0; n < rows; n++) {
        const double *x = s + n * width;
        double sum = 0, squares = 0;
        for (int64_t d = 0; d < width; d++)
            sum += x[d] / (double)width;
        for (int64_t d = 0; d < width; d++)
            squares += (x[d] - sum) * (x[d] - sum);
        mean[n] = sum;
        rstd[n] = 1 / sqrt(squares / (double)width + EPS);
        for (int64_t d = 0; d < width; d++)
            out[n * width + d] = (x[d] - sum) * rstd[n] * w[d] + b[d];
    }
}

static void reference_backward(double *ds, double *dw, double *db, const double *dout,
                               const double *s, const double *w, const double *mean,
                               const double *rstd, int64_t rows, int64_t width) {
    for (int64_t n = 0; n < rows; n++) {
        double sum = 0, dot = 0;
        for (int64_t d = 0; d < width; d++) {
            int64_t i = n * width + d;
            double xhat = (s[i] - mean[n]) * rstd[n];
            sum += dout[i] * w[d] / (double)width;
            dot += dout[i] * w[d] * xhat / (double)width;
            dw[d] += dout[i] * xhat;
            db[d] += dout[i];
        }
        for (int64_t d = 0; d < width; d++) {
            int64_t i = n * width + d;
            ds[i] = rstd[n] * (dout[i] * w[d] - sum - (s[i] - mean[n]) * rstd[n] * dot);
        }
    }
}

static void parity(int64_t rows, int64_t width, int types) {
    motet_dtype type_x = op_floats[types & 1], type_r = op_floats[types >> 1 & 1];
    motet_dtype type_out = op_floats[types >> 2 & 1], type_w = op_floats[types >> 3 & 1];
    bool with_residual = types >> 4;
    motet_tensor x = op_matrix(type_x, rows, width), out = op_matrix(type_out, rows, width);
    motet_tensor residual = with_residual ? op_matrix(type_r, rows, width) : op_none();
    motet_tensor w = op_vector(type_w, width), b = op_vector(type_w, width);
    motet_tensor mean = op_vector(MOTET_F32, rows), rstd = op_vector(MOTET_F32, rows);
    op_fill_normal(x, 1, 1.5);
    for (int64_t i = 0; i < rows * width; i++) /* a mean that is not all cancellation */
        op_set(x, i, op_get(x, i) + 2);
    op_fill_normal(w, 2, 1.0);
    op_fill_normal(b, 3, 1.0);
    double *sum = op_doubles(x);
    if (with_residual) {
        op_fill_normal(residual, 4, 1.0);
        for (int64_t i = 0; i < rows * width; i++)
            sum[i] += op_get(residual, i);
    }
    double *want = op_zeros(rows * width), *want_mean = op_zeros(rows), *want_rstd = op_zeros(rows);
    reference(want, want_mean, want_rstd, sum, op_doubles(w), op_doubles(b), rows, width);
    op_ok(op_backend()->layernorm_forward(out, mean, rstd, x, residual, w, b, (float)EPS));
    op_assert_close("out", out, want, op_limit(type_out));
    op_assert_close("mean", mean, want_mean, op_limit(MOTET_F32));
    if (width > 1) op_assert_close("rstd", rstd, want_rstd, op_limit(MOTET_F32));

    motet_tensor ds = op_matrix(MOTET_F32, rows, width), dout = op_matrix(type_out, rows, width);
    motet_tensor dw = op_vector(MOTET_F32, width), db = op_vector(MOTET_F32, width);
    op_fill_normal(dout, 5, 1.0);
    op_fill_normal(dw, 6, 1.0); /* these two are added to */
    op_fill_normal(db, 7, 1.0);
    if (width == 1) op_fill(rstd, 0.5); /* a variance of zero says nothing */
    double *want_ds = op_zeros(rows * width), *want_dw = op_doubles(dw), *want_db = op_doubles(db);
    reference_backward(want_ds, want_dw, want_db, op_doubles(dout), op_doubles(x), op_doubles(w),
                       op_doubles(mean), op_doubles(rstd), rows, width);
    op_ok(op_backend()->layernorm_backward(ds, dw, db, dout, x, w, mean, rstd));
    op_assert_close("ds", ds, want_ds, width == 1 ? 1e-9 : op_limit(MOTET_F32));
    op_assert_close("dweight", dw, want_dw, op_limit(MOTET_F32));
    op_assert_close("dbias", db, want_db, op_limit(MOTET_F32));

    if (with_residual && type_r == type_out) { /* out may be the residual */
        op_ok(op_backend()->layernorm_forward(residual, op_none(), op_none(), x, residual, w, b,
                                              (float)EPS));
        op_assert_same_bits("in place of residual", residual, out);
    } else if (!with_residual && type_x == type_out) {
        op_ok(op_backend()->layernorm_forward(x, op_none(), op_none(), x, residual, w, b,
                                              (float)EPS));
        op_assert_same_bits("in place of x", x, out);
    }
    op_teardown(NULL);
}

static void test_parity(void **state) {
    (void)state;
    for (int r = 0; r < OP_COUNT(op_rows); r++)
        for (int c = 0; c < OP_COUNT(op_widths); c++)
            for (int types = 0; types < 32; types++)
                if ((types >> 4 || !(types & 2)) && !op_skips(r + c + types, 3))
                    parity(op_rows[r], op_widths[c], types);
    parity(2, 5000, 16);
    for (int types = 0; types < 32; types++) /* ends within a later chunk of a device's lane */
        if (types >> 4 || !(types & 2)) parity(9, types % 8 == 0 ? 160 : 904, types);
    for (int types = 16; types < 24; types++)
        for (int width = 160; width <= 928; width += 128)
            parity(width == 160 ? 9 : 2, width, types);
    parity(600, 32, 17); /* many ranges of rows */
    parity(448, 32, 17);
    parity(9, 1024, 31);
}

/* Addresses that vectors cannot be read from. */
static void test_askew(void **state) {
    (void)state;
    for (int t = 0; t < 2; t++) {
        int64_t rows = 3, width = 64, count = rows * width;
        motet_dtype type = op_floats[t];
        motet_tensor s = op_askew(type, rows, width), out = op_askew(type, rows, width);
        motet_tensor w = op_vector(MOTET_F32, width), b = op_vector(MOTET_BF16, width);
        motet_tensor mean = op_vector(MOTET_F32, rows), rstd = op_vector(MOTET_F32, rows);
        motet_tensor ds = op_askew(MOTET_F32, rows, width), dw = op_vector(MOTET_F32, width);
        motet_tensor db = op_vector(MOTET_F32, width);
        op_fill_normal(s, 1, 1.5);
        op_fill_normal(w, 2, 1.0);
        op_fill_normal(b, 3, 1.0);
        op_fill(dw, 1);
        op_fill(db, 1);
        double *want = op_zeros(count), *want_mean = op_zeros(rows), *want_rstd = op_zeros(rows);
        double *want_ds = op_zeros(count), *want_dw = op_doubles(dw), *want_db = op_doubles(db);
        reference(want, want_mean, want_rstd, op_doubles(s), op_doubles(w), op_doubles(b), rows,
                  width);
        op_ok(op_backend()->layernorm_forward(out, mean, rstd, s, op_none(), w, b, (float)EPS));
        op_assert_close("out", out, want, op_limit(type));
        reference_backward(want_ds, want_dw, want_db, op_doubles(out), op_doubles(s), op_doubles(w),
                           op_doubles(mean), op_doubles(rstd), rows, width);
        op_ok(op_backend()->layernorm_backward(ds, dw, db, out, s, w, mean, rstd));
        op_assert_close("ds", ds, want_ds, op_limit(MOTET_F32));
        op_assert_close("dweight", dw, want_dw, op_limit(MOTET_F32));
        op_assert_close("dbias", db, want_db, op_limit(MOTET_F32));
    }
}

/* Rows of a +- 2 have mean a and variance 4: every step is exact. */
static void test_exact(void **state) {
    (void)state;
    motet_tensor x = op_matrix(MOTET_F32, 3, 16), w = op_vector(MOTET_F32, 16);
    motet_tensor b = op_vector(MOTET_F32, 16);
    double want[48];
    for (int i = 0; i < 48; i++)
        op_set(x, i, i / 16 * 10 + (i % 2 ? 2 : -2));
    for (int i = 0; i < 16; i++)
        op_set(w, i, i), op_set(b, i, -3 * i);
    for (int i = 0; i < 48; i++)
        want[i] = (i % 2 ? 1 : -1) * (i % 16) - 3 * (i % 16);
    op_ok(op_backend()->layernorm_forward(x, op_none(), op_none(), x, op_none(), w, b, 0));
    op_assert_equal("exact", x, want);
}

typedef struct setting {
    motet_tensor x, residual, w, b, out, mean, rstd, dout;
} setting;

static double loss(void *context) {
    setting *s = context;
    op_ok(op_backend()->layernorm_forward(s->out, s->mean, s->rstd, s->x, s->residual, s->w, s->b,
                                          (float)EPS));
    return op_dot(s->out, s->dout);
}

static void test_gradient(void **state) {
    (void)state;
    int64_t rows = 4, width = 33;
    setting s = {.x = op_matrix(MOTET_F32, rows, width),
                 .residual = op_matrix(MOTET_F32, rows, width),
                 .w = op_vector(MOTET_F32, width),
                 .b = op_vector(MOTET_F32, width),
                 .out = op_matrix(MOTET_F32, rows, width),
                 .mean = op_vector(MOTET_F32, rows),
                 .rstd = op_vector(MOTET_F32, rows),
                 .dout = op_matrix(MOTET_F32, rows, width)};
    op_fill_normal(s.x, 1, 1.0);
    op_fill_normal(s.residual, 2, 1.0);
    op_fill_normal(s.w, 3, 1.0);
    op_fill_normal(s.b, 4, 1.0);
    op_fill_normal(s.dout, 5, 1.0);
    loss(&s);
    motet_tensor sum = op_copy(s.x), ds = op_matrix(MOTET_F32, rows, width);
    for (int64_t i = 0; i < rows * width; i++)
        op_set(sum, i, op_get(s.x, i) + op_get(s.residual, i));
    motet_tensor dw = op_vector(MOTET_F32, width), db = op_vector(MOTET_F32, width);
    op_fill(dw, 0);
    op_fill(db, 0);
    op_ok(op_backend()->layernorm_backward(ds, dw, db, s.dout, sum, s.w, s.mean, s.rstd));
    op_assert_gradient("ds by x", s.x, ds, loss, &s, 1e-2, 1e-6);
    op_assert_gradient("ds by residual", s.residual, ds, loss, &s, 1e-2, 1e-6);
    op_assert_gradient("dweight", s.w, dw, loss, &s, 1e-2, 1e-6);
    op_assert_gradient("dbias", s.b, db, loss, &s, 1e-2, 1e-6);
}

static void test_threads(void **state) {
    (void)state;
    int64_t rows = 333, widths[] = {384, 1100};
    for (int c = 0; c < 2; c++) {
        int64_t width = widths[c];
        motet_tensor s = op_matrix(MOTET_BF16, rows, width), w = op_vector(MOTET_F32, width);
        motet_tensor dout = op_matrix(MOTET_F32, rows, width), rstd = op_vector(MOTET_F32, rows);
        motet_tensor mean = op_vector(MOTET_F32, rows);
        op_fill_normal(s, 1, 1.0);
        op_fill_normal(w, 2, 1.0);
        op_fill_normal(dout, 3, 1.0);
        op_fill_normal(mean, 4, 0.1);
        op_fill(rstd, 1.25);
        motet_tensor ds[3], dw[3], db[3];
        for (int t = 0; t < 3; t++) {
            op_threads(t == 2 ? 7 : t + 1);
            ds[t] = op_matrix(MOTET_F32, rows, width);
            dw[t] = op_vector(MOTET_F32, width);
            db[t] = op_vector(MOTET_F32, width);
            op_fill(dw[t], 0.5);
            op_fill(db[t], 0.5);
            op_ok(op_backend()->layernorm_backward(ds[t], dw[t], db[t], dout, s, w, mean, rstd));
            op_assert_same_bits("ds", ds[0], ds[t]);
            op_assert_same_bits("dweight", dw[0], dw[t]);
            op_assert_same_bits("dbias", db[0], db[t]);
        }
    }
}

static void test_bad_input(void **state) {
    (void)state;
    motet_tensor x = op_matrix(MOTET_F32, 3, 8), w = op_vector(MOTET_F32, 8);
    motet_tensor narrow = op_vector(MOTET_F32, 7), rows = op_vector(MOTET_F32, 3);
    motet_tensor none = op_none();
    op_fails(op_backend()->layernorm_forward(x, none, none, x, none, w, narrow, 0), MOTET_E_USAGE,
             "bias f32 [7]");
    op_fails(op_backend()->layernorm_forward(x, none, none, x, op_matrix(MOTET_F32, 3, 9), w, w, 0),
             MOTET_E_USAGE, "residual f32 [3,9]");
    op_fails(op_backend()->layernorm_forward(x, none, none, x, none, w, none, 0), MOTET_E_USAGE,
             "layernorm_forward: ");
    op_fails(op_backend()->layernorm_backward(x, w, narrow, x, x, w, rows, rows), MOTET_E_USAGE,
             "dbias f32 [7]");
    op_fails(op_backend()->layernorm_backward(x, w, w, x, x, w, none, rows), MOTET_E_USAGE,
             "layernorm_backward: ");
}

int main(void) {
    const struct CMUnitTest tests[] = {op_test(test_parity),  op_test(test_askew),
                                       op_test(test_exact),   op_test(test_gradient),
                                       op_test(test_threads), op_test(test_bad_input)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
