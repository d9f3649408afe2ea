#include "tests/kernels/harness_op.h"

#include <math.h>

static motet_tensor angles(int64_t rows, int64_t width) {
    motet_tensor table = op_matrix(MOTET_F32, rows, width);
    for (int64_t n = 0; n < rows; n++)
        for (int64_t i = 0; i < width / 2; i++) {
            double angle = (double)n * pow(10000, -2.0 * (double)i / (double)width);
            op_set(table, n * width + i, cos(angle));
            op_set(table, n * width + width / 2 + i, sin(angle));
        }
    return table;
}

static void parity(motet_tensor x, int64_t width, int heads) {
    motet_dtype type = x.dtype;
    int64_t rows = x.dims[0], cols = x.dims[1];
    motet_tensor table = angles(rows, width);
    op_fill_normal(x, 1, 1.0);
    motet_tensor before = op_copy(x);
    double *want = op_doubles(x);
    for (int64_t n = 0; n < rows; n++)
        for (int h = 0; h < heads; h++)
            for (int64_t i = 0; i < width / 2; i++) {
                double *a = &want[n * cols + h * width + i], *b = a + width / 2;
                double c = op_get(table, n * width + i);
                double s = op_get(table, n * width + width / 2 + i), a0 = *a, b0 = *b;
                *a = a0 * c - b0 * s;
                *b = a0 * s + b0 * c;
            }
    op_ok(op_backend()->rope(x, table, heads, false));
    op_assert_close("rope", x, want, op_limit(type));
    for (int64_t n = 0; n < rows; n++) /* what is right of the heads has the same bits */
        for (int64_t c = heads * width; c < cols; c++)
            assert_true(op_get(x, n * cols + c) == op_get(before, n * cols + c));
    op_ok(op_backend()->rope(x, table, heads, true));
    op_assert_close("rope and back", x, op_doubles(before), op_limit(type));
    op_teardown(NULL);
}

static void test_parity(void **state) {
    (void)state;
    const int64_t widths[] = {2, 6, 32, 64, 128, 1024};
    for (int r = 0; r < OP_COUNT(op_rows); r++)
        for (int w = 0; w < OP_COUNT(widths); w++)
            for (int t = 0; t < 2; t++) {
                if (widths[w] == 1024 && op_rows[r] > 3) continue;
                parity(op_matrix(op_floats[t], op_rows[r], 4 * widths[w]), widths[w], 4);
                parity(op_matrix(op_floats[t], op_rows[r], 4 * widths[w] + 5), widths[w], 3);
                parity(op_matrix(op_floats[t], op_rows[r], widths[w]), widths[w], 0);
            }
    parity(op_matrix(MOTET_BF16, 512, 768), 32, 16); /* the model's, parallel */
    for (int t = 0; t < 2; t++) {
        parity(op_askew(op_floats[t], 3, 128), 32, 4);
        parity(op_matrix(op_floats[t], 2, 1800), 6, 300); /* several rounds of a block's threads */
        /* A device's lanes left over beside ten heads of three chunks, and heads for them to spoil.
         */
        parity(op_matrix(op_floats[t], 3, 12 * (24 << t)), 24 << t, 12);
    }
}

/* A quarter turn is exact. */
static void test_exact(void **state) {
    (void)state;
    motet_tensor x = op_matrix(MOTET_F32, 1, 8), table = op_matrix(MOTET_F32, 1, 4);
    const double quarter[] = {0, 0, 1, 1}, want[] = {-2, -3, 0, 1, -6, -7, 4, 5};
    const double back[] = {0, 1, 2, 3, 4, 5, 6, 7};
    for (int i = 0; i < 8; i++)
        op_set(x, i, i);
    for (int i = 0; i < 4; i++)
        op_set(table, i, quarter[i]);
    op_ok(op_backend()->rope(x, table, 2, false));
    op_assert_equal("quarter turn", x, want);
    op_ok(op_backend()->rope(x, table, 2, true));
    op_assert_equal("and back", x, back);
}

typedef struct setting {
    motet_tensor x, table, dout;
} setting;

static double loss(void *context) {
    setting *s = context;
    motet_tensor y = op_copy(s->x);
    op_ok(op_backend()->rope(y, s->table, 2, false));
    return op_dot(y, s->dout);
}

/* The inverse of the output's gradient is the input's. */
static void test_gradient(void **state) {
    (void)state;
    setting s = {op_matrix(MOTET_F32, 3, 40), angles(3, 16), op_matrix(MOTET_F32, 3, 40)};
    op_fill_normal(s.x, 1, 1.0);
    op_fill_normal(s.dout, 2, 1.0);
    motet_tensor dx = op_copy(s.dout);
    op_ok(op_backend()->rope(dx, s.table, 2, true));
    op_assert_gradient("dx", s.x, dx, loss, &s, 0.1, 1e-9);
}

static void test_bad_input(void **state) {
    (void)state;
    motet_tensor x = op_matrix(MOTET_F32, 3, 32);
    op_fails(op_backend()->rope(x, op_matrix(MOTET_F32, 2, 16), 1, false), MOTET_E_USAGE,
             "table f32 [2,16]");
    op_fails(op_backend()->rope(x, op_matrix(MOTET_F32, 3, 15), 1, false), MOTET_E_USAGE, "rope: ");
    op_fails(op_backend()->rope(x, op_matrix(MOTET_F32, 3, 16), 3, false), MOTET_E_USAGE, "rope: ");
    op_fails(op_backend()->rope(x, op_matrix(MOTET_F32, 3, 16), -1, false), MOTET_E_USAGE,
             "rope: ");
    op_fails(op_backend()->rope(x, op_matrix(MOTET_BF16, 3, 16), 1, false), MOTET_E_USAGE,
             "rope: ");
    op_fails(
        op_backend()->rope(op_matrix(MOTET_F32, 3, 1026), op_matrix(MOTET_F32, 3, 1026), 1, false),
        MOTET_E_USAGE, "at most 1024");
    op_fails(op_backend()->rope(x, op_matrix(MOTET_F32, 3, 0), 1, false), MOTET_E_USAGE, "rope: ");
}

int main(void) {
    const struct CMUnitTest tests[] = {op_test(test_parity), op_test(test_exact),
                                       op_test(test_gradient), op_test(test_bad_input)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
