/* matmul against naive loops in double, at every instruction set that this machine has. */
#include "kernels/matmul.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/simd_table.h"
#include "tests/kernels/harness_op.h"

static const motet_simd_level levels[] = {MOTET_SIMD_PORTABLE, MOTET_SIMD_AVX2, MOTET_SIMD_AVX512};
static const int64_t sizes[] = {1, 5, 17, 64, 129};

static double element(motet_tensor t, bool transposed, int64_t row, int64_t column) {
    return op_get(t, transposed ? column * t.dims[1] + row : row * t.dims[1] + column);
}

static double gelu(double x) {
    return x * 0.5 * erfc(-x / sqrt(2.0));
}

static double *reference(motet_tensor c, motet_tensor a, motet_tensor b, motet_tensor bias,
                         motet_matmul_spec spec) {
    const int64_t m = c.dims[0], n = c.dims[1], k = a.dims[spec.transpose_a ? 0 : 1];
    double *want = op_doubles(c);
    double *wide_a = op_zeros(m * k), *wide_b = op_zeros(k * n);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < k; j++)
            wide_a[i * k + j] = element(a, spec.transpose_a, i, j);
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < n; j++)
            wide_b[j * k + i] = element(b, spec.transpose_b, i, j);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            double sum = bias.data ? op_get(bias, j) : 0;
            for (int64_t x = 0; x < k; x++)
                sum += wide_a[i * k + x] * wide_b[j * k + x];
            if (spec.activation == MOTET_ACT_GELU) sum = gelu(sum);
            want[i * n + j] = spec.accumulate ? want[i * n + j] + sum : sum;
        }
    }
    return want;
}

static motet_tensor left(motet_dtype dtype, int64_t m, int64_t k, motet_matmul_spec spec) {
    return spec.transpose_a ? op_matrix(dtype, k, m) : op_matrix(dtype, m, k);
}
static motet_tensor right(motet_dtype dtype, int64_t k, int64_t n, motet_matmul_spec spec) {
    return spec.transpose_b ? op_matrix(dtype, n, k) : op_matrix(dtype, k, n);
}

static motet_matmul_spec transposes(int mask) {
    return (motet_matmul_spec){.transpose_a = mask & 1, .transpose_b = mask >> 1 & 1};
}

/* Small integers have exact products and sums, whatever the order. */
static void test_exact(void **state) {
    for (int l = 0; l < OP_COUNT(levels); l++) {
        if (motet_simd_limit(levels[l]) != levels[l]) continue;
        for (int t = 0; t < 4; t++) {
            for (int d = 0; d < 3; d++) {
                motet_matmul_spec spec = transposes(t);
                spec.accumulate = true;
                const motet_dtype dtype = (motet_dtype[]){MOTET_F32, MOTET_BF16, MOTET_I8}[d];
                if (dtype == MOTET_I8 && !spec.transpose_b) continue;
                motet_tensor a = left(d == 1 ? MOTET_BF16 : MOTET_F32, 19, 37, spec);
                motet_tensor b = right(dtype, 37, 45, spec);
                motet_tensor c = op_matrix(MOTET_F32, 19, 45), bias = op_vector(MOTET_BF16, 45);
                op_fill_integers(a, 1, -8, 8);
                op_fill_integers(b, 2, -8, 8);
                op_fill_integers(c, 3, -100, 100);
                op_fill_integers(bias, 4, -50, 50);
                double *want = reference(c, a, b, bias, spec);
                op_ok(motet_cpu_matmul(c, a, b, bias, spec));
                op_assert_equal("matmul", c, want);
            }
        }
        assert_int_equal(op_teardown(state), 0);
    }
    motet_simd_limit(MOTET_SIMD_AVX512);
}

static void parity(int64_t m, int64_t n, int64_t k, int t, motet_dtype da, motet_dtype db,
                   motet_dtype dc, int extra) {
    motet_matmul_spec spec = transposes(t);
    spec.accumulate = extra == 1;
    spec.activation = extra == 2 ? MOTET_ACT_GELU : MOTET_ACT_NONE;
    motet_tensor a = left(da, m, k, spec), b = right(db, k, n, spec);
    motet_tensor c = op_matrix(dc, m, n), bias = extra ? op_vector(MOTET_F32, n) : op_none();
    op_fill_normal(a, 5, 1.0);
    op_fill_normal(b, 6, 1.0 / sqrt((double)k));
    op_fill_normal(c, 7, 1.0);
    if (bias.data) op_fill_normal(bias, 8, 0.5);
    double *want = reference(c, a, b, bias, spec);
    op_ok(motet_cpu_matmul(c, a, b, bias, spec));
    char what[128];
    snprintf(what, sizeof what, "matmul %lldx%lldx%lld t%d %s %s %s extra %d", (long long)m,
             (long long)n, (long long)k, t, motet_dtype_name(da), motet_dtype_name(db),
             motet_dtype_name(dc), extra);
    /* Rounding one sum to bf16 may cost half a unit: (2^-8)^2. */
    op_assert_close(what, c, want, dc == MOTET_BF16 ? 0x1.01p-16 : op_limit(dc));
}

static void test_parity(void **state) {
    for (int l = 0; l < OP_COUNT(levels); l++) {
        if (motet_simd_limit(levels[l]) != levels[l]) continue;
        for (int i = 0; i < OP_COUNT(sizes); i++) {
            for (int j = 0; j < OP_COUNT(sizes); j++) {
                for (int x = 0; x < OP_COUNT(sizes); x++) {
                    for (int t = 0; t < 4; t++) {
                        const int pick = i * 25 + j * 5 + x + t;
                        const motet_dtype db = t >= 2 && pick % 3 == 2 ? MOTET_I8
                                               : pick % 3              ? MOTET_BF16
                                                                       : MOTET_F32;
                        parity(sizes[i], sizes[j], sizes[x], t, op_floats[pick % 2], db,
                               op_floats[pick / 2 % 2], pick % 3);
                    }
                }
            }
            assert_int_equal(op_teardown(state), 0);
        }
        for (int64_t m = 1; m <= 13; m++)
            parity(m, 200, 77, 2, MOTET_F32, op_floats[m % 2], MOTET_F32, 0);
        parity(40, 512, 513, 2, MOTET_BF16, MOTET_BF16, MOTET_BF16, 2);
        parity(150, 300, 600, 0, MOTET_F32, MOTET_F32, MOTET_F32, 1);
        parity(300, 150, 700, 1, MOTET_F32, MOTET_BF16, MOTET_F32, 1);
        assert_int_equal(op_teardown(state), 0);
    }
    motet_simd_limit(MOTET_SIMD_AVX512);
}

/* A row comes out the same whatever rows stand beside it, so prefill equals step by step. */
static void test_rows_independent(void **state) {
    (void)state;
    const int64_t m = 61, n = 75, k = 333;
    for (int d = 0; d < 3; d++) {
        const motet_dtype db = (motet_dtype[]){MOTET_F32, MOTET_BF16, MOTET_I8}[d];
        for (int t = 0; t < (db == MOTET_I8 ? 1 : 2); t++) {
            motet_matmul_spec spec = transposes(t == 0 ? 2 : 0);
            motet_tensor a = op_matrix(MOTET_F32, m, k), b = right(db, k, n, spec);
            motet_tensor all = op_matrix(MOTET_F32, m, n), part = op_matrix(MOTET_F32, m, n);
            op_fill_normal(a, 9, 1.0);
            op_fill_normal(b, 10, 1.0);
            op_ok(motet_cpu_matmul(all, a, b, op_none(), spec));
            int64_t step = 1;
            for (int64_t row = 0; row < m; row += step, step = step % 7 + 1) {
                const int64_t rows = row + step <= m ? step : m - row;
                op_ok(motet_cpu_matmul(motet_tensor_rows(part, row, rows),
                                       motet_tensor_rows(a, row, rows), b, op_none(), spec));
            }
            op_assert_same_bits("rows", all, part);
        }
    }
}

static void test_threads(void **state) {
    (void)state;
    const int64_t shapes[][3] = {{1, 1024, 600}, {3, 4099, 128}, {130, 515, 257}, {700, 90, 300}};
    for (int i = 0; i < OP_COUNT(shapes); i++) {
        for (int t = 0; t < 4; t++) {
            motet_matmul_spec spec = transposes(t);
            const int64_t m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
            motet_tensor a = left(MOTET_F32, m, k, spec), b = right(MOTET_F32, k, n, spec);
            motet_tensor one = op_matrix(MOTET_F32, m, n), many = op_matrix(MOTET_F32, m, n);
            op_fill_normal(a, 11, 1.0);
            op_fill_normal(b, 12, 1.0);
            op_threads(1);
            op_ok(motet_cpu_matmul(one, a, b, op_none(), spec));
            for (int threads = 2; threads <= 3; threads++) {
                op_threads(threads);
                op_ok(motet_cpu_matmul(many, a, b, op_none(), spec));
                op_assert_same_bits("threads", one, many);
            }
        }
    }
}

static void test_empty(void **state) {
    (void)state;
    motet_tensor a = op_matrix(MOTET_F32, 0, 8), b = op_matrix(MOTET_F32, 4, 8);
    motet_tensor c = op_matrix(MOTET_F32, 0, 4), bias = op_vector(MOTET_F32, 4);
    op_ok(motet_cpu_matmul(c, a, b, op_none(), transposes(2)));
    /* K = 0: an empty sum, so the bias alone. */
    op_fill_integers(bias, 1, 1, 9);
    for (int t = 0; t < 2; t++) {
        motet_tensor d = op_matrix(MOTET_F32, 3, 4);
        motet_matmul_spec spec = transposes(t * 2);
        op_ok(motet_cpu_matmul(d, left(MOTET_F32, 3, 0, spec), right(MOTET_F32, 0, 4, spec), bias,
                               spec));
        double want[12];
        for (int i = 0; i < 12; i++)
            want[i] = op_get(bias, i % 4);
        op_assert_equal("bias alone", d, want);
    }
}

static void test_refusals(void **state) {
    (void)state;
    motet_tensor a = op_matrix(MOTET_F32, 2, 8), b = op_matrix(MOTET_F32, 4, 8);
    motet_tensor c = op_matrix(MOTET_F32, 2, 4), q = op_matrix(MOTET_I8, 4, 8);
    motet_tensor ints = op_matrix(MOTET_I32, 2, 8), unscaled = q;
    unscaled.scale = NULL;
    motet_matmul_spec both = {
        .transpose_b = true, .accumulate = true, .activation = MOTET_ACT_GELU};
    op_fails(motet_cpu_matmul(c, a, b, op_none(), transposes(0)), MOTET_E_USAGE, "disagree");
    op_fails(motet_cpu_matmul(a, a, b, op_none(), transposes(2)), MOTET_E_USAGE, "disagree");
    op_fails(motet_cpu_matmul(c, ints, b, op_none(), transposes(2)), MOTET_E_USAGE, "i32");
    op_fails(motet_cpu_matmul(c, a, q, op_none(), transposes(0)), MOTET_E_USAGE, "int8");
    op_fails(motet_cpu_matmul(c, a, unscaled, op_none(), transposes(2)), MOTET_E_USAGE, "scales");
    op_fails(motet_cpu_matmul(c, a, b, op_vector(MOTET_F32, 3), transposes(2)), MOTET_E_USAGE,
             "bias");
    op_fails(motet_cpu_matmul(c, a, b, op_none(), both), MOTET_E_USAGE, "accumulate");
    op_fails(motet_cpu_matmul(c, op_vector(MOTET_F32, 8), b, op_none(), transposes(2)),
             MOTET_E_USAGE, "rank");
}

static void test_bias_backward(void **state) {
    (void)state;
    for (int d = 0; d < 2; d++) {
        motet_tensor dy = op_matrix(op_floats[d], 1030, 515), dbias = op_vector(MOTET_F32, 515);
        motet_tensor again = op_vector(MOTET_F32, 515);
        op_fill_normal(dy, 3, 1.0);
        op_fill(dbias, 2.0);
        op_fill(again, 2.0);
        double *want = op_doubles(dbias);
        for (int64_t m = 0; m < 1030; m++)
            for (int64_t n = 0; n < 515; n++)
                want[n] += op_get(dy, m * 515 + n);
        op_threads(1);
        op_ok(motet_cpu_bias_backward(dbias, dy));
        op_assert_close("bias_backward", dbias, want, 1e-11);
        op_threads(2);
        op_ok(motet_cpu_bias_backward(again, dy));
        op_assert_same_bits("bias_backward", dbias, again);
        op_fails(motet_cpu_bias_backward(op_vector(MOTET_F32, 514), dy), MOTET_E_USAGE, "bias");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        op_test(test_exact),         op_test(test_parity), op_test(test_rows_independent),
        op_test(test_threads),       op_test(test_empty),  op_test(test_refusals),
        op_test(test_bias_backward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
