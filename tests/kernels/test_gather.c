#include "tests/kernels/harness_op.h"

/* count indices into `rows` rows: distinct, shuffled, about one in four negative. */
static motet_tensor indices(int64_t count, int64_t rows) {
    motet_tensor index = op_vector(MOTET_I32, count);
    for (int64_t i = 0; i < count; i++)
        op_set(index, i, i % 4 == 3 || i >= rows ? -1 - (double)(i % 3) : (double)(rows - 1 - i));
    return index;
}

static void parity(int64_t count, int64_t width, motet_dtype type_out, motet_dtype type_x) {
    int64_t rows = count; /* so that an index is 0 */
    motet_tensor index = indices(count, rows);
    motet_tensor x = op_matrix(type_x, rows, width), out = op_matrix(type_out, count, width);
    op_fill_normal(x, 1, 1.0);
    double *want = op_zeros(count * width);
    for (int64_t i = 0; i < count; i++)
        for (int64_t d = 0; d < width; d++) {
            int64_t from = (int64_t)op_get(index, i);
            if (from >= 0) want[i * width + d] = op_get(x, from * width + d);
        }
    op_ok(op_backend()->gather(out, x, index));
    if (type_out == MOTET_F32 || type_x == MOTET_BF16) op_assert_equal("gather", out, want);
    op_assert_close("gather", out, want, op_limit(type_out));

    motet_tensor sum = op_matrix(type_x, rows, width), part = op_matrix(type_out, count, width);
    op_fill_normal(sum, 2, 1.0);
    op_fill_normal(part, 3, 1.0);
    double *want_sum = op_doubles(sum);
    for (int64_t i = 0; i < count; i++)
        for (int64_t d = 0; d < width; d++) {
            int64_t to = (int64_t)op_get(index, i);
            if (to >= 0) want_sum[to * width + d] += op_get(part, i * width + d);
        }
    op_ok(op_backend()->scatter_add(sum, part, index));
    op_assert_close("scatter_add", sum, want_sum, op_limit(type_x));

    motet_tensor a = op_matrix(type_out, count, width), b = op_matrix(type_x, count, width);
    op_fill_normal(a, 4, 1.0);
    op_fill_normal(b, 5, 1.0);
    double *want_a = op_doubles(a);
    for (int64_t i = 0; i < count * width; i++)
        want_a[i] += op_get(b, i);
    op_ok(op_backend()->add(a, b));
    op_assert_close("add", a, want_a, op_limit(type_out));
    op_teardown(NULL);
}

static void test_parity(void **state) {
    (void)state;
    for (int r = 0; r < OP_COUNT(op_rows); r++)
        for (int c = 0; c < OP_COUNT(op_widths); c++)
            for (int types = 0; types < 4; types++)
                parity(op_rows[r], op_widths[c], op_floats[types & 1], op_floats[types >> 1]);
    for (int types = 0; types < 4; types++) /* loops over vectors that end within one */
        for (int width = 648; width <= 1096; width += 448)
            parity(9, width, op_floats[types & 1], op_floats[types >> 1]);
}

static void test_exact(void **state) {
    (void)state;
    motet_tensor x = op_matrix(MOTET_BF16, 3, 2), out = op_matrix(MOTET_BF16, 4, 2);
    motet_tensor index = op_vector(MOTET_I32, 4);
    const double rows[] = {2, -1, 0, 2}, want[] = {4, 5, 0, 0, 0, 1, 4, 5};
    for (int i = 0; i < 6; i++)
        op_set(x, i, i);
    for (int i = 0; i < 4; i++)
        op_set(index, i, rows[i]);
    op_ok(op_backend()->gather(out, x, index));
    op_assert_equal("gather", out, want);
    op_ok(op_backend()->add(out, out)); /* a tensor may be added to itself */
    for (int i = 0; i < 8; i++)
        assert_true(op_get(out, i) == 2 * want[i]);
}

/* Addresses that vectors cannot be read from: integers, so everything is exact. */
static void test_askew(void **state) {
    (void)state;
    for (int t = 0; t < 2; t++) {
        motet_tensor index = indices(6, 8), x = op_askew(op_floats[t], 8, 64);
        motet_tensor out = op_askew(op_floats[t], 6, 64);
        op_fill_integers(x, 1, -50, 50);
        double *before = op_doubles(x), *want = op_zeros(6 * 64);
        for (int i = 0; i < 6 * 64; i++) {
            int64_t from = (int64_t)op_get(index, i / 64);
            if (from >= 0) want[i] = before[from * 64 + i % 64];
        }
        op_ok(op_backend()->gather(out, x, index));
        op_assert_equal("gather", out, want);
        op_ok(op_backend()->scatter_add(x, out, index));
        for (int i = 0; i < 6 * 64; i++) {
            int64_t to = (int64_t)op_get(index, i / 64);
            if (to >= 0) before[to * 64 + i % 64] *= 2;
        }
        op_assert_equal("scatter_add", x, before);
        op_ok(op_backend()->add(out, out));
        for (int i = 0; i < 6 * 64; i++)
            want[i] *= 2;
        op_assert_equal("add", out, want);
    }
}

/* gather and scatter_add are each other's adjoint: <gather(x), y> = <x, scatter(y)>. */
static void test_adjoint(void **state) {
    (void)state;
    int64_t count = 65, rows = 70, width = 33;
    motet_tensor index = indices(count, rows);
    motet_tensor x = op_matrix(MOTET_F32, rows, width), y = op_matrix(MOTET_F32, count, width);
    motet_tensor gx = op_matrix(MOTET_F32, count, width), sy = op_matrix(MOTET_F32, rows, width);
    op_fill_integers(x, 1, -50, 50);
    op_fill_integers(y, 2, -50, 50);
    op_fill(sy, 0);
    op_ok(op_backend()->gather(gx, x, index));
    op_ok(op_backend()->scatter_add(sy, y, index));
    double left = op_dot(gx, y);
    assert_true(left != 0 && left == op_dot(x, sy));
}

static void test_bad_input(void **state) {
    (void)state;
    motet_tensor x = op_matrix(MOTET_F32, 3, 8), out = op_matrix(MOTET_F32, 2, 8);
    motet_tensor index = op_vector(MOTET_I32, 2);
    op_fill(index, 0);
    op_fails(op_backend()->gather(out, op_matrix(MOTET_F32, 3, 9), index), MOTET_E_USAGE, "[3,9]");
    op_fails(op_backend()->gather(out, x, op_vector(MOTET_I32, 3)), MOTET_E_USAGE, "i32 [3]");
    op_fails(op_backend()->gather(out, x, op_vector(MOTET_F32, 2)), MOTET_E_USAGE, "f32 [2]");
    op_set(index, 1, 3);
    op_fails(op_backend()->gather(out, x, index), MOTET_E_USAGE,
             op_on_cpu() ? "gather: index 3 at 1" : "gather: row 1 wants row 3");
    op_fill(x, 1);
    op_fails(op_backend()->scatter_add(x, out, index), MOTET_E_USAGE,
             op_on_cpu() ? "scatter_add: index 3 at 1" : "scatter_add: row 1 goes to row 3");
    for (int i = 0; i < 24 && op_on_cpu(); i++)
        assert_true(op_get(x, i) == 1); /* untouched; a device adds the rows that are right */
    op_fails(op_backend()->add(x, out), MOTET_E_USAGE, "add: ");
}

int main(void) {
    const struct CMUnitTest tests[] = {op_test(test_parity), op_test(test_exact),
                                       op_test(test_askew), op_test(test_adjoint),
                                       op_test(test_bad_input)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
