#include "tests/kernels/harness_op.h"

#include <math.h>
#include <string.h>

#include "kernels/core/rng.h"

static void test_convert(void **state) {
    (void)state;
    const int64_t counts[] = {0, 1, 17, 20, 1024, 40001};
    for (int c = 0; c < OP_COUNT(counts); c++)
        for (int types = 0; types < 4; types++) {
            motet_dtype to = op_floats[types & 1], from = op_floats[types >> 1];
            bool askew = c == 2; /* as a matrix of one row */
            motet_tensor src = askew ? op_askew(from, 1, counts[c]) : op_vector(from, counts[c]);
            motet_tensor dst = askew ? op_askew(to, 1, counts[c]) : op_vector(to, counts[c]);
            op_fill_normal(src, 1, 1.0);
            motet_tensor want = op_vector(to, counts[c]); /* one by one, core/tensor.h's rounding */
            for (int64_t i = 0; i < counts[c]; i++)
                op_set(want, i, op_get(src, i));
            op_ok(op_backend()->convert(dst, src));
            op_assert_same_bits("convert", dst, want);
        }
    const double special[] = {INFINITY, -INFINITY, NAN, 3.4e38, 1e-40, -0.0};
    enum { COUNT = 31 }; /* each of them at each place of a vector, and behind the last one */
    motet_tensor src = op_vector(MOTET_F32, COUNT), dst = op_vector(MOTET_BF16, COUNT);
    motet_tensor want = op_vector(MOTET_BF16, COUNT);
    for (int i = 0; i < COUNT; i++)
        op_set(src, i, special[i % 6]), op_set(want, i, special[i % 6]);
    const uint32_t quietest = 0x7f800001; /* a NaN whose upper half is infinity's */
    for (int i = 0; i < COUNT; i += i < 4 ? 1 : 26) {
        memcpy((float *)src.data + i, &quietest, sizeof quietest);
        op_set(want, i, op_get(src, i));
    }
    op_ok(op_backend()->convert(dst, src));
    op_assert_same_bits("special", dst, want);
    assert_true(isnan(op_get(dst, 2)));
    op_fails(op_backend()->convert(dst, op_vector(MOTET_F32, 5)), MOTET_E_USAGE, "convert: ");
    op_fails(op_backend()->convert(op_vector(MOTET_I8, 0), dst), MOTET_E_USAGE, "convert: ");
}

/* Every element becomes one of its two bf16 neighbours, by the words that the contract names; the
 * mean of many is the value itself, within five standard deviations. */
static void test_convert_stochastic(void **state) {
    (void)state;
    const int64_t counts[] = {0, 1, 6, 1027};
    for (int c = 0; c < 2 * OP_COUNT(counts); c++) {
        int64_t n = counts[c / 2], cols = n;
        motet_tensor src = c % 2 ? op_askew(MOTET_F32, 1, cols) : op_matrix(MOTET_F32, 1, cols);
        motet_tensor dst = op_matrix(MOTET_BF16, 1, cols), want = op_copy(dst);
        op_fill_normal(src, 1, 1.0);
        for (int64_t i = 0; i < n; i++) {
            uint32_t words[4], bits;
            motet_philox(77, 5, (uint64_t)i / 4, words);
            memcpy(&bits, (float *)src.data + i, sizeof bits);
            ((uint16_t *)want.data)[i] = (uint16_t)((bits + (words[i % 4] >> 16)) >> 16);
        }
        op_ok(op_backend()->convert_stochastic(dst, src, 77, 5));
        op_assert_same_bits("stochastic", dst, want);
    }
    enum { COUNT = 40000 };
    motet_tensor src = op_vector(MOTET_F32, COUNT), dst = op_vector(MOTET_BF16, COUNT);
    const double low = 1.5, step = 0x1p-7, parts[] = {0, 0.25, 0.5, 0.9};
    for (int p = 0; p < 4; p++) {
        op_fill(src, -(low + parts[p] * step));
        op_ok(op_backend()->convert_stochastic(dst, src, 3, (uint64_t)p));
        double up = 0;
        for (int i = 0; i < COUNT; i++) {
            assert_true(op_get(dst, i) == -low || op_get(dst, i) == -low - step);
            up += op_get(dst, i) != -low;
        }
        double sigma = sqrt(COUNT * parts[p] * (1 - parts[p]));
        assert_true(fabs(up - COUNT * parts[p]) <= 5 * sigma);
    }
    const double special[] = {INFINITY, -INFINITY, NAN, 0, -2, 3};
    double want[31];
    motet_tensor few = op_vector(MOTET_F32, 31), out = op_vector(MOTET_BF16, 31);
    for (int i = 0; i < 31; i++)
        op_set(few, i, want[i] = special[i % 6]);
    const uint32_t quietest = 0x7f800001; /* a NaN whose upper half is infinity's */
    for (int i = 0; i < 31; i += i == 3 ? 25 : 1) {
        memcpy((float *)few.data + i, &quietest, sizeof quietest);
        want[i] = NAN;
    }
    op_ok(op_backend()->convert_stochastic(out, few, 1, 1));
    op_assert_equal("special", out, want);
    motet_tensor askew = op_askew(MOTET_F32, 1, 31), row = op_matrix(MOTET_BF16, 1, 31);
    memcpy(askew.data, few.data, 31 * sizeof(float));
    op_ok(op_backend()->convert_stochastic(row, askew, 1, 1));
    op_assert_equal("special, one by one", row, want);
    op_fails(op_backend()->convert_stochastic(few, few, 1, 1), MOTET_E_USAGE,
             "convert_stochastic: ");
}

static void test_sum_squares(void **state) {
    (void)state;
    /* Descending, so that a device finds sums of before behind its own; the first has more blocks
     * than a block has threads. */
    const int64_t counts[] = {2200003, 2100003, 100003, 1025, 1024, 17, 1, 0};
    for (int c = 0; c < OP_COUNT(counts); c++)
        for (int t = c < 2; t < 2; t++) {
            motet_tensor grad =
                c == 3 ? op_askew(op_floats[t], 1, counts[c]) : op_vector(op_floats[t], counts[c]);
            op_fill_normal(grad, 1, 1.0);
            double *got = op_shared(3 * sizeof *got), want = op_dot(grad, grad);
            for (int threads = 0; threads < 3; threads++) {
                op_threads(threads == 2 ? 7 : threads + 1);
                op_ok(op_backend()->sum_squares(&got[threads], grad));
            }
            assert_true(fabs(got[0] - want) <= 1e-13 * want);
            assert_true(got[0] == got[1] && got[0] == got[2]);
        }
    double *sum = op_shared(sizeof *sum);
    motet_tensor ids = op_vector(MOTET_I32, 3);
    op_fails(op_backend()->sum_squares(sum, ids), MOTET_E_USAGE, "grad i32 [3]");
}

static void test_adamw(void **state) {
    (void)state;
    const int64_t counts[] = {1, 33, 20000};
    for (int c = 0; c < OP_COUNT(counts); c++) {
        int64_t count = counts[c];
        motet_tensor w = op_vector(MOTET_F32, count), m = op_vector(MOTET_F32, count);
        motet_tensor v = op_vector(MOTET_F32, count), grad = op_vector(MOTET_F32, count);
        if (c == 1) { /* askew */
            grad = op_askew(MOTET_F32, 1, count);
            grad = motet_vector(grad.data, MOTET_F32, count);
        }
        op_fill_normal(w, 1, 1.0);
        op_fill(m, 0);
        op_fill(v, 0);
        double *want = op_doubles(w), *mean = op_zeros(count), *square = op_zeros(count);
        motet_adamw_params p = {.lr = 0.0625f,
                                .beta1 = 0.875f,
                                .beta2 = 0.9921875f,
                                .eps = 1e-8f,
                                .weight_decay = 0.125f,
                                .grad_scale = 0.5f};
        for (p.step = 1; p.step <= 5; p.step++) {
            op_fill_normal(grad, (uint64_t)p.step + 10, 1.0);
            for (int64_t i = 0; i < count; i++) {
                double g = op_get(grad, i) * 0.5;
                mean[i] = 0.875 * mean[i] + 0.125 * g;
                square[i] = 0.9921875 * square[i] + 0.0078125 * g * g;
                double mhat = mean[i] / (1 - pow(0.875, (double)p.step));
                double vhat = square[i] / (1 - pow(0.9921875, (double)p.step));
                want[i] -= 0.0625 * (mhat / (sqrt(vhat) + (double)1e-8f) + 0.125 * want[i]);
            }
            op_ok(op_backend()->adamw(w, m, v, grad, &p));
        }
        op_assert_close("w", w, want, op_limit(MOTET_F32));
        op_assert_close("m", m, mean, op_limit(MOTET_F32));
        op_assert_close("v", v, square, op_limit(MOTET_F32));
        p.step = 0;
        op_fails(op_backend()->adamw(w, m, v, grad, &p), MOTET_E_USAGE, "step 0");
        op_fails(op_backend()->adamw(w, m, op_vector(MOTET_F32, count + 1), grad, &p),
                 MOTET_E_USAGE, "adamw: ");
    }
}

/* The first step goes lr against each gradient's sign, however large that is. */
static void test_adamw_first(void **state) {
    (void)state;
    motet_tensor w = op_vector(MOTET_F32, 3), m = op_vector(MOTET_F32, 3);
    motet_tensor v = op_vector(MOTET_F32, 3), grad = op_vector(MOTET_F32, 3);
    op_fill(w, 0);
    op_fill(m, 0);
    op_fill(v, 0);
    op_set(grad, 0, 1e3);
    op_set(grad, 1, -1e-3);
    op_set(grad, 2, 0);
    motet_adamw_params p = {
        .lr = 0.5f, .beta1 = 0.9f, .beta2 = 0.999f, .grad_scale = 1, .eps = 1e-12f, .step = 1};
    op_ok(op_backend()->adamw(w, m, v, grad, &p));
    const double want[] = {-0.5, 0.5, 0};
    op_assert_close("w", w, want, op_limit(MOTET_F32));
}

/* A matmul for these tests alone: naive, sums in double, so that a fault is Muon's. */
static motet_status naive_matmul(motet_tensor c, motet_tensor a, motet_tensor b, motet_tensor bias,
                                 motet_matmul_spec spec) {
    int64_t rows = c.dims[0], cols = c.dims[1], inner = a.dims[spec.transpose_a ? 0 : 1];
    assert_null(bias.data);
    op_ok(op_backend()->memory->synchronize()); /* it computes on the host, here and now */
    assert_int_equal(a.dims[spec.transpose_a ? 1 : 0], rows);
    assert_int_equal(b.dims[spec.transpose_b ? 0 : 1], cols);
    assert_int_equal(b.dims[spec.transpose_b ? 1 : 0], inner);
    for (int64_t m = 0; m < rows; m++)
        for (int64_t n = 0; n < cols; n++) {
            double sum = spec.accumulate ? op_get(c, m * cols + n) : 0;
            for (int64_t k = 0; k < inner; k++)
                sum += op_get(a, spec.transpose_a ? k * rows + m : m * inner + k) *
                       op_get(b, spec.transpose_b ? n * inner + k : k * cols + n);
            op_set(c, m * cols + n, sum);
        }
    return MOTET_OK;
}

/* One quintic step in double: x <- a x + b (x x^T) x + c (x x^T)^2 x. */
static void reference_step(double *x, int64_t rows, int64_t cols) {
    double *gram = op_zeros(rows * rows), *once = op_zeros(rows * cols);
    double *twice = op_zeros(rows * cols);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < rows; j++)
            for (int64_t k = 0; k < cols; k++)
                gram[i * rows + j] += x[i * cols + k] * x[j * cols + k];
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < rows; j++)
            for (int64_t k = 0; k < cols; k++)
                once[i * cols + k] += gram[i * rows + j] * x[j * cols + k];
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < rows; j++)
            for (int64_t k = 0; k < cols; k++)
                twice[i * cols + k] += gram[i * rows + j] * once[j * cols + k];
    for (int64_t i = 0; i < rows * cols; i++)
        x[i] = 3.4445 * x[i] - 4.7750 * once[i] + 2.0315 * twice[i];
}

static void muon_parity(int64_t rows, int64_t cols, motet_dtype type, double limit) {
    int64_t count = rows * cols;
    motet_tensor w = op_matrix(MOTET_F32, rows, cols), buffer = op_matrix(MOTET_F32, rows, cols);
    motet_tensor grad = op_matrix(MOTET_F32, rows, cols);
    op_fill_normal(w, 1, 1.0);
    op_fill_normal(buffer, 2, 1.0);
    op_fill_normal(grad, 3, 3.0);
    double *want = op_doubles(w), *want_buffer = op_doubles(buffer), *x = op_zeros(count);
    double norm = 0;
    for (int64_t i = 0; i < count; i++) {
        double g = 0.5 * op_get(grad, i);
        want_buffer[i] = 0.9375 * want_buffer[i] + g;
        x[i] = g + 0.9375 * want_buffer[i];
        norm += x[i] * x[i];
    }
    for (int64_t i = 0; i < count; i++)
        x[i] /= sqrt(norm);
    for (int step = 0; step < 5; step++)
        reference_step(x, rows, cols);
    double *want_update = op_zeros(count);
    for (int64_t i = 0; i < count; i++) {
        want_update[i] = 0.25 * sqrt(fmax(1, (double)rows / (double)cols)) * x[i];
        want[i] = want[i] * (1 - 0.25 * 0.125) - want_update[i];
    }
    motet_tensor before = op_copy(w);
    size_t bytes = motet_muon_scratch(rows, cols);
    motet_tensor scratch = op_vector(MOTET_I8, (int64_t)bytes);
    scratch.scale = NULL;
    motet_muon_params p = {
        .lr = 0.25f, .momentum = 0.9375f, .weight_decay = 0.125f, .grad_scale = 0.5f, .steps = 5};
    op_ok(op_backend()->muon(w, buffer, grad, &p, scratch.data, naive_matmul, type));
    op_assert_close("momentum", buffer, want_buffer, op_limit(MOTET_F32));
    motet_tensor update = op_matrix(MOTET_F32, rows, cols); /* measured apart from the weight */
    for (int64_t i = 0; i < count; i++)
        op_set(update, i, op_get(before, i) * (1 - 0.25 * 0.125) - op_get(w, i));
    op_assert_close("update", update, want_update, limit);
    op_teardown(NULL);
}

/* bf16 rounds A and b A + c A^2 to 2^-8 of their size; |b| + 2 c = 8.8 times that is 3.5 % of a
 * singular value, in the worst of steps, twice. */
static void test_muon(void **state) {
    (void)state;
    const int64_t shapes[][2] = {{1, 1},   {1, 9},   {9, 1},   {5, 5},
                                 {16, 33}, {33, 16}, {37, 31}, {64, 160}};
    for (int i = 0; i < OP_COUNT(shapes); i++) {
        muon_parity(shapes[i][0], shapes[i][1], MOTET_F32, 1e-9);
        muon_parity(shapes[i][0], shapes[i][1], MOTET_BF16, 0.07 * 0.07);
    }
}

/* Singular values of x [rows,cols], rows <= cols: square roots of the Gram matrix's eigenvalues by
 * cyclic Jacobi rotations. */
static void singular_values(double *values, const double *x, int64_t rows, int64_t cols) {
    double *gram = op_zeros(rows * rows);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < rows; j++)
            for (int64_t k = 0; k < cols; k++)
                gram[i * rows + j] += x[i * cols + k] * x[j * cols + k];
    for (int sweep = 0; sweep < 30; sweep++)
        for (int64_t p = 0; p < rows; p++)
            for (int64_t q = p + 1; q < rows; q++) {
                double off = gram[p * rows + q];
                if (fabs(off) < 1e-14) continue;
                double angle = 0.5 * atan2(2 * off, gram[q * rows + q] - gram[p * rows + p]);
                double c = cos(angle), s = sin(angle);
                for (int64_t k = 0; k < rows; k++) {
                    double a = gram[p * rows + k], b = gram[q * rows + k];
                    gram[p * rows + k] = c * a - s * b;
                    gram[q * rows + k] = s * a + c * b;
                }
                for (int64_t k = 0; k < rows; k++) {
                    double a = gram[k * rows + p], b = gram[k * rows + q];
                    gram[k * rows + p] = c * a - s * b;
                    gram[k * rows + q] = s * a + c * b;
                }
            }
    for (int64_t i = 0; i < rows; i++)
        values[i] = sqrt(fmax(0, gram[i * rows + i]));
}

/* The update of a random gradient is near an orthogonal matrix, whatever the gradient's size. */
static void test_muon_orthogonal(void **state) {
    (void)state;
    const double sizes[] = {1e-12, 1, 1e12};
    for (int i = 0; i < 6; i++) {
        int64_t rows = 24, cols = 64;
        motet_tensor w = op_matrix(MOTET_F32, rows, cols), grad = op_copy(w), buffer = op_copy(w);
        op_fill(w, 0);
        op_fill(buffer, 0);
        op_fill_normal(grad, 7, sizes[i % 3]);
        motet_tensor scratch = op_vector(MOTET_F32, (int64_t)motet_muon_scratch(rows, cols) / 4);
        motet_muon_params p = {.lr = 1, .momentum = 0.95f, .grad_scale = 1, .steps = 5};
        op_ok(op_backend()->muon(w, buffer, grad, &p, scratch.data, op_backend()->matmul,
                                 i < 3 ? MOTET_F32 : MOTET_BF16));
        double values[24];
        singular_values(values, op_doubles(w), rows, cols);
        for (int k = 0; k < 24; k++)
            if (!(values[k] > 0.6 && values[k] < 1.3)) fail_msg("singular value %g", values[k]);
        assert_true(op_dot(w, grad) < 0); /* it goes downhill */
    }
}

static void test_muon_edges(void **state) {
    (void)state;
    motet_tensor w = op_matrix(MOTET_F32, 4, 6), grad = op_copy(w), buffer = op_copy(w);
    motet_tensor scratch = op_vector(MOTET_F32, (int64_t)motet_muon_scratch(4, 6) / 4);
    op_fill(w, 2);
    op_fill(buffer, 0);
    op_fill(grad, 0);
    motet_muon_params p = {.lr = 0.5f, .weight_decay = 0.5f, .grad_scale = 1, .steps = 5};
    op_ok(op_backend()->muon(w, buffer, grad, &p, scratch.data, naive_matmul, MOTET_F32));
    for (int i = 0; i < 24; i++)
        assert_true(op_get(w, i) == 1.5); /* no gradient: decay alone */
    op_set(grad, 3, NAN);
    op_ok(op_backend()->muon(w, buffer, grad, &p, scratch.data, naive_matmul, MOTET_F32));
    assert_true(isnan(op_get(w, 0))); /* not hidden */
    p.steps = 0;
    op_fails(op_backend()->muon(w, buffer, grad, &p, scratch.data, naive_matmul, MOTET_F32),
             MOTET_E_USAGE, "muon: 0 steps");
    p.steps = 5;
    op_fails(op_backend()->muon(w, buffer, grad, &p, scratch.data, naive_matmul, MOTET_I8),
             MOTET_E_USAGE, "in i8");
    op_fails(op_backend()->muon(w, buffer, op_matrix(MOTET_F32, 6, 4), &p, scratch.data,
                                naive_matmul, MOTET_F32),
             MOTET_E_USAGE, "grad f32 [6,4]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        op_test(test_convert),         op_test(test_convert_stochastic), op_test(test_sum_squares),
        op_test(test_adamw),           op_test(test_adamw_first),        op_test(test_muon),
        op_test(test_muon_orthogonal), op_test(test_muon_edges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
