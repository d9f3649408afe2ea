/* matmul against naive loops in double: on the CPU at every instruction set that this machine has.
 */
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
    double *wide_a = op_zeros(m * k), *wide_b = op_zeros(k * n), *sums = op_zeros(n);
    for (int64_t i = 0; i < m; i++)
        for (int64_t x = 0; x < k; x++)
            wide_a[i * k + x] = element(a, spec.transpose_a, i, x);
    for (int64_t x = 0; x < k; x++)
        for (int64_t j = 0; j < n; j++)
            wide_b[x * n + j] = element(b, spec.transpose_b, x, j);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++)
            sums[j] = bias.data ? op_get(bias, j) : 0;
        for (int64_t x = 0; x < k; x++)
            for (int64_t j = 0; j < n; j++)
                sums[j] += wide_a[i * k + x] * wide_b[x * n + j];
        for (int64_t j = 0; j < n; j++) {
            const double sum = spec.activation == MOTET_ACT_GELU ? gelu(sums[j]) : sums[j];
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

/* Runs a test at each instruction set of the CPU, once on another back-end. */
static void at_each_level(void **state, void (*test)(void)) {
    const int count = op_on_cpu() ? (int)OP_COUNT(levels) : 1;
    for (int l = 0; l < count; l++) {
        if (op_on_cpu() && motet_simd_limit(levels[l]) != levels[l]) continue;
        test();
        assert_int_equal(op_teardown(state), 0);
    }
    if (op_on_cpu()) motet_simd_limit(MOTET_SIMD_AVX512);
}

/* Small integers have exact products and sums, whatever the order. C <- C + A' B' + bias. */
static void exact_of(motet_tensor c, motet_tensor a, motet_tensor b, int64_t k, int t) {
    motet_matmul_spec spec = transposes(t);
    spec.accumulate = true;
    const int64_t m = c.dims[0], n = c.dims[1];
    motet_tensor bias = op_vector(MOTET_BF16, n);
    op_fill_integers(a, 1, -8, 8);
    op_fill_integers(b, 2, -8, 8);
    op_fill_integers(c, 3, -100, 100);
    op_fill_integers(bias, 4, -50, 50);
    double *want = reference(c, a, b, bias, spec);
    op_ok(op_backend()->matmul(c, a, b, bias, spec));
    char what[96];
    snprintf(what, sizeof what, "matmul %lldx%lldx%lld t%d %s %s", (long long)m, (long long)n,
             (long long)k, t, motet_dtype_name(a.dtype), motet_dtype_name(b.dtype));
    op_assert_equal(what, c, want);
}

static void exact(int64_t m, int64_t n, int64_t k, int t, motet_dtype da, motet_dtype db) {
    const motet_matmul_spec spec = transposes(t);
    exact_of(op_matrix(MOTET_F32, m, n), left(da, m, k, spec), right(db, k, n, spec), k, t);
}

/* No row of A or B starts where a vector may; then, no row of C. */
static void exact_askew(int64_t m, int64_t n, int64_t k, int t, motet_dtype dtype) {
    motet_tensor a = t & 1 ? op_askew(dtype, k, m) : op_askew(dtype, m, k);
    motet_tensor b = t & 2 ? op_askew(dtype, n, k) : op_askew(dtype, k, n);
    exact_of(op_matrix(MOTET_F32, m, n), a, b, k, t);
    exact_of(op_askew(MOTET_F32, m, n), left(dtype, m, k, transposes(t)),
             right(dtype, k, n, transposes(t)), k, t);
}

static void exact_cases(void) {
    const int64_t shapes[][3] = {{19, 45, 37}, {72, 136, 104}, {3, 40, 80}};
    for (int i = 0; i < OP_COUNT(shapes); i++)
        for (int t = 0; t < 4; t++)
            for (int d = 0; d < 4; d++) {
                const motet_dtype db = (motet_dtype[]){MOTET_F32, MOTET_BF16, MOTET_I8}[d % 3];
                if (db == MOTET_I8 && t < 2) continue;
                exact(shapes[i][0], shapes[i][1], shapes[i][2], t, d % 2 ? MOTET_BF16 : MOTET_F32,
                      db);
            }
}

static void test_exact(void **state) {
    at_each_level(state, exact_cases);
}

/* What the contract allows: one rounding of the sum to bf16 may cost half a unit, (2^-8)^2. Sums in
 * f32 cost op_limit; but tensor cores cut off instead of rounding, each time that they add 16
 * products to a sum: an error of at most 2^-23 of it, and to one side. */
static double limit(motet_dtype dc, motet_dtype da, motet_dtype db, int64_t k) {
    if (dc == MOTET_BF16) return 0x1.01p-16;
    const bool tensor_cores = !op_on_cpu() && da == MOTET_BF16 && db != MOTET_F32;
    const double cut = tensor_cores ? (double)(k / 16 + 1) * 0x1p-23 : 0;
    return op_limit(dc) + cut * cut;
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
    op_ok(op_backend()->matmul(c, a, b, bias, spec));
    char what[128];
    snprintf(what, sizeof what, "matmul %lldx%lldx%lld t%d %s %s %s extra %d", (long long)m,
             (long long)n, (long long)k, t, motet_dtype_name(da), motet_dtype_name(db),
             motet_dtype_name(dc), extra);
    op_assert_close(what, c, want, limit(dc, da, db, k));
}

static void parity_cases(void) {
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
        op_teardown(NULL);
    }
    for (int64_t m = 1; m <= 13; m++)
        parity(m, 200, 77, 2, MOTET_F32, op_floats[m % 2], MOTET_F32, 0);
    parity(40, 512, 513, 2, MOTET_BF16, MOTET_BF16, MOTET_BF16, 2);
    parity(150, 300, 600, 0, MOTET_F32, MOTET_F32, MOTET_F32, 1);
    parity(300, 150, 700, 1, MOTET_F32, MOTET_BF16, MOTET_F32, 1);
}

static void test_parity(void **state) {
    at_each_level(state, parity_cases);
}

/* Edges of tiles (16, 64, 128 rows, 32 of K), whole vectors of 8 elements and not, one trip and
 * many round a pipeline, few tiles over a long K; every transpose, epilogue and type of C. */
static void tile_cases(void) {
    const int64_t shapes[][3] = {{63, 64, 32},   {64, 65, 31}, {65, 63, 33},   {16, 72, 40},
                                 {15, 64, 256},  {17, 56, 96}, {128, 128, 64}, {127, 136, 72},
                                 {129, 120, 64}, {64, 64, 8},  {64, 64, 520},  {72, 40, 1032},
                                 {16, 128, 768}, {9, 64, 512}, {33, 31, 1025}, {32, 32, 100},
                                 {80, 130, 264}, {16, 64, 32}, {12, 24, 104},  {12, 72, 1056},
                                 {168, 72, 40}};
    for (int i = 0; i < OP_COUNT(shapes); i++)
        for (int t = 0; t < 4; t++) {
            const int64_t *s = shapes[i];
            for (int extra = 0; extra < 3; extra++)
                parity(s[0], s[1], s[2], t, MOTET_BF16, MOTET_BF16, op_floats[(i + t + extra) % 2],
                       extra);
            parity(s[0], s[1], s[2], t, MOTET_F32, op_floats[i % 2], MOTET_F32, (i + t) % 3);
            if (t >= 2)
                parity(s[0], s[1], s[2], t, op_floats[i % 2], MOTET_I8, op_floats[t % 2], i % 3);
            op_teardown(NULL);
        }
}

static void test_tiles(void **state) {
    at_each_level(state, tile_cases);
}

/* Every remainder of every side: whoever reads or writes at a limit that is off by one leaves the
 * matrix here. First any sizes, then rows of whole vectors on one side, then on both; vectors that
 * are whole but not aligned; few rows, round a longer pipeline. */
static void test_sweep(void **state) {
    (void)state;
    for (int s = 1; s <= 72; s++)
        for (int t = 0; t < 4; t++) {
            const int64_t m = 1 + s * 5 % 67, n = 1 + s * 7 % 71, k = s;
            const int64_t m8 = 8 * (1 + s % 9), n8 = 8 * (1 + s * 5 % 17), k8 = 8 * (1 + s % 11);
            exact(m, n, k, t, MOTET_F32, MOTET_F32);
            exact(64 + m, 32 + n, k, t, MOTET_F32, MOTET_F32);
            exact(m, n, k, t, MOTET_BF16, t < 2 || s % 2 ? MOTET_BF16 : MOTET_I8);
            exact(m8, n, k8, t, MOTET_BF16, MOTET_BF16);
            exact(m, n8, k8, t, op_floats[s % 2], t < 2 ? MOTET_BF16 : MOTET_I8);
            exact(m8, n8, k8, t, op_floats[s % 3 > 0], MOTET_BF16);
            if (s % 4 == t)
                exact_askew(4 * (17 + s % 15), 4 * (9 + s % 7), 4 * (1 + s % 9), t,
                            op_floats[s / 4 % 2]);
            if (t == 2) exact(9 + s % 8, n8, 8 * (1 + s * 5 % 37), t, MOTET_BF16, MOTET_BF16);
            op_teardown(NULL);
        }
}

/* Decoding: few rows against weights [N,K], in every type, rows whole vectors or not. */
static void few_rows_cases(void) {
    const int64_t widths[] = {256, 768, 33, 8, 1100};
    const motet_dtype types[] = {MOTET_F32, MOTET_BF16, MOTET_I8};
    for (int64_t m = 1; m <= 9; m++)
        for (int x = 0; x < OP_COUNT(widths); x++)
            for (int d = 0; d < 3; d++)
                parity(m, 40 + m + x, widths[x], 2, op_floats[(m + x) % 2], types[d],
                       op_floats[(m + d) % 2], (int)((m + x + d) % 3));
    parity(1, 1400, 256, 2, MOTET_F32, MOTET_I8, MOTET_F32, 0);
    parity(2, 256, 1536, 2, MOTET_F32, MOTET_BF16, MOTET_F32, 1);
}

static void test_few_rows(void **state) {
    at_each_level(state, few_rows_cases);
}

/* The model's: forward, gradient of the weight, gradient of the input. Then enough tiles of 128 x
 * 128 for each multiprocessor of an H100, with edges. */
static void test_model_shapes(void **state) {
    (void)state;
    parity(2048, 256, 768, 2, MOTET_BF16, MOTET_BF16, MOTET_BF16, 0);
    parity(768, 256, 1024, 1, MOTET_BF16, MOTET_BF16, MOTET_F32, 1);
    parity(1024, 256, 512, 0, MOTET_BF16, MOTET_BF16, MOTET_F32, 1);
    parity(512, 129, 256, 2, MOTET_BF16, MOTET_BF16, MOTET_F32, 1);
    parity(129, 256, 512, 1, MOTET_BF16, MOTET_BF16, MOTET_F32, 1);
    parity(96, 1400, 256, 2, MOTET_F32, MOTET_F32, MOTET_F32, 0);
    parity(384, 384, 128, 2, MOTET_F32, MOTET_BF16, MOTET_F32, 2);
    for (int t = 0; t < 4; t++) {
        parity(1416, 1400, 136, t, MOTET_BF16, MOTET_BF16, op_floats[t % 2], t % 3);
        for (int64_t k = 16; k <= 32; k += 16) /* the last of K in each copy of a thread */
            exact(k < 32 ? 8 : 72, 132 * 128 - 120, k, t, MOTET_BF16, MOTET_BF16);
        if (t >= 2) exact(8, 132 * 128 - 119, 16, t, MOTET_BF16, MOTET_BF16);
        for (int64_t m = 12; m <= 40; m += 28) /* K is split, and rows of C are not aligned */
            exact_of(op_askew(MOTET_F32, m, 72), left(MOTET_BF16, m, 1056, transposes(t)),
                     right(MOTET_BF16, 1056, 72, transposes(t)), 1056, t);
        op_teardown(NULL);
    }
}

/* The same call gives the same bits, the split sums over a long K included. */
static void test_repeats(void **state) {
    (void)state;
    for (int d = 0; d < 2; d++)
        for (int t = 0; t < 4; t++) {
            motet_matmul_spec spec = transposes(t);
            motet_tensor a = left(op_floats[d], 72, 1040, spec);
            motet_tensor b = right(op_floats[d], 1040, 64, spec);
            motet_tensor one = op_matrix(MOTET_F32, 72, 64), two = op_matrix(MOTET_F32, 72, 64);
            op_fill_normal(a, 11, 1.0);
            op_fill_normal(b, 12, 1.0);
            op_ok(op_backend()->matmul(one, a, b, op_none(), spec));
            op_ok(op_backend()->matmul(two, a, b, op_none(), spec));
            op_assert_same_bits("again", one, two);
        }
}

/* NaN and infinity pass through, also where a kernel reads more than there is. */
static void test_not_finite(void **state) {
    (void)state;
    for (int d = 0; d < 2; d++)
        for (int64_t m = 4; m <= 68; m += 64) {
            motet_tensor a = op_matrix(op_floats[d], m, 40), b = op_matrix(op_floats[d], 24, 40);
            motet_tensor c = op_matrix(MOTET_F32, m, 24);
            op_fill(a, 1);
            op_fill(b, 1);
            op_set(a, 40 + 39, NAN);
            op_set(b, 23 * 40, INFINITY);
            op_ok(op_backend()->matmul(c, a, b, op_none(), transposes(2)));
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j < 24; j++) {
                    const double got = op_get(c, i * 24 + j);
                    if (i == 1 ? !isnan(got) : got != (j == 23 ? INFINITY : 40))
                        fail_msg("row %lld, column %lld is %g", (long long)i, (long long)j, got);
                }
        }
}

/* On the CPU a row comes out the same whatever rows stand beside it, so prefill equals step by
 * step. */
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
            op_ok(op_backend()->matmul(all, a, b, op_none(), spec));
            int64_t step = 1;
            for (int64_t row = 0; row < m; row += step, step = step % 7 + 1) {
                const int64_t rows = row + step <= m ? step : m - row;
                op_ok(op_backend()->matmul(motet_tensor_rows(part, row, rows),
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
            op_ok(op_backend()->matmul(one, a, b, op_none(), spec));
            for (int threads = 2; threads <= 3; threads++) {
                op_threads(threads);
                op_ok(op_backend()->matmul(many, a, b, op_none(), spec));
                op_assert_same_bits("threads", one, many);
            }
        }
    }
}

static void test_empty(void **state) {
    (void)state;
    motet_tensor a = op_matrix(MOTET_F32, 0, 8), b = op_matrix(MOTET_F32, 4, 8);
    motet_tensor c = op_matrix(MOTET_F32, 0, 4), bias = op_vector(MOTET_F32, 4);
    op_ok(op_backend()->matmul(c, a, b, op_none(), transposes(2)));
    /* K = 0: an empty sum, so the bias alone. */
    op_fill_integers(bias, 1, 1, 9);
    for (int t = 0; t < 2; t++) {
        motet_tensor d = op_matrix(MOTET_F32, 3, 4);
        motet_matmul_spec spec = transposes(t * 2);
        op_ok(op_backend()->matmul(d, left(MOTET_F32, 3, 0, spec), right(MOTET_F32, 0, 4, spec),
                                   bias, spec));
        double want[12];
        for (int i = 0; i < 12; i++)
            want[i] = op_get(bias, i % 4);
        op_assert_equal("bias alone", d, want);
    }
    for (int t = 0; t < 4; t++)
        for (int d = 0; d < 2; d++)
            exact(17 + 55 * d, 40, 0, t, op_floats[d], MOTET_BF16);
}

static void test_refusals(void **state) {
    (void)state;
    motet_tensor a = op_matrix(MOTET_F32, 2, 8), b = op_matrix(MOTET_F32, 4, 8);
    motet_tensor c = op_matrix(MOTET_F32, 2, 4), q = op_matrix(MOTET_I8, 4, 8);
    motet_tensor ints = op_matrix(MOTET_I32, 2, 8), unscaled = q;
    unscaled.scale = NULL;
    motet_matmul_spec both = {
        .transpose_b = true, .accumulate = true, .activation = MOTET_ACT_GELU};
    op_fails(op_backend()->matmul(c, a, b, op_none(), transposes(0)), MOTET_E_USAGE, "disagree");
    op_fails(op_backend()->matmul(a, a, b, op_none(), transposes(2)), MOTET_E_USAGE, "disagree");
    op_fails(op_backend()->matmul(c, ints, b, op_none(), transposes(2)), MOTET_E_USAGE, "i32");
    op_fails(op_backend()->matmul(c, a, q, op_none(), transposes(0)), MOTET_E_USAGE, "int8");
    op_fails(op_backend()->matmul(c, a, unscaled, op_none(), transposes(2)), MOTET_E_USAGE,
             "scales");
    op_fails(op_backend()->matmul(c, a, b, op_vector(MOTET_F32, 3), transposes(2)), MOTET_E_USAGE,
             "bias");
    op_fails(op_backend()->matmul(c, a, b, op_none(), both), MOTET_E_USAGE, "accumulate");
    op_fails(op_backend()->matmul(c, op_vector(MOTET_F32, 8), b, op_none(), transposes(2)),
             MOTET_E_USAGE, "rank");
}

static void bias_backward(int64_t rows, int64_t width, motet_dtype dtype) {
    motet_tensor dy = op_matrix(dtype, rows, width), dbias = op_vector(MOTET_F32, width);
    motet_tensor again = op_vector(MOTET_F32, width);
    op_fill_normal(dy, 3, 1.0);
    op_fill(dbias, 2.0);
    op_fill(again, 2.0);
    double *want = op_doubles(dbias);
    for (int64_t m = 0; m < rows; m++)
        for (int64_t n = 0; n < width; n++)
            want[n] += op_get(dy, m * width + n);
    op_threads(1);
    op_ok(op_backend()->bias_backward(dbias, dy));
    op_assert_close("bias_backward", dbias, want, 1e-11);
    op_threads(2);
    op_ok(op_backend()->bias_backward(again, dy));
    op_assert_same_bits("bias_backward", dbias, again);
    op_fails(op_backend()->bias_backward(op_vector(MOTET_F32, width + 1), dy), MOTET_E_USAGE,
             "bias");
}

static void test_bias_backward(void **state) {
    (void)state;
    const int64_t shapes[][2] = {{1030, 515}, {700, 128}, {64, 132}, {1, 1},   {5, 1400},
                                 {0, 7},      {9, 17},    {10, 50},  {11, 81}, {12, 115}};
    for (int i = 0; i < OP_COUNT(shapes); i++)
        for (int d = 0; d < 2; d++)
            bias_backward(shapes[i][0], shapes[i][1], op_floats[d]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        op_test(test_exact),    op_test(test_parity),       op_test(test_tiles),
        op_test(test_sweep),    op_test(test_few_rows),     op_test(test_model_shapes),
        op_test(test_repeats),  op_test(test_not_finite),   op_test(test_empty),
        op_test(test_refusals), op_test(test_bias_backward)};
    const struct CMUnitTest cpu_tests[] = {op_test(test_rows_independent), op_test(test_threads)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (op_on_cpu()) failed += cmocka_run_group_tests(cpu_tests, NULL, NULL);
    return failed;
}
