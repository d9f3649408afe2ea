/* matmul with few elements of C and a long K, which a device splits: sums of the splits add up in
 * one place, one after another. Integers small enough that every order gives the same sums, so that
 * a split which is lost, comes twice, or rounds to bf16 on the way is seen exactly. */
#include <math.h>
#include <stdio.h>

#include "kernels/core/tensor.h"
#include "kernels/matmul.h"
#include "tests/kernels/harness_op.h"

typedef struct product {
    int64_t m, n, k;
    motet_dtype a, b, c;
    bool transpose_a, transpose_b, askew;
} product;

/* A device's tiles: 64 x 64, unaligned, int8, few rows, f32 in both sizes; all have three splits.
 */
static const product products[] = {
    {72, 64, 2400, MOTET_BF16, MOTET_BF16, MOTET_F32, true, false, false},
    {65, 40, 2304, MOTET_BF16, MOTET_BF16, MOTET_BF16, false, true, false},
    {9, 70, 2311, MOTET_BF16, MOTET_BF16, MOTET_BF16, false, false, true},
    {9, 66, 2320, MOTET_BF16, MOTET_I8, MOTET_F32, false, true, false},
    {12, 72, 2304, MOTET_BF16, MOTET_BF16, MOTET_BF16, false, true, false},
    {9, 35, 401, MOTET_F32, MOTET_F32, MOTET_F32, true, true, true},
    {70, 36, 400, MOTET_F32, MOTET_BF16, MOTET_BF16, false, false, false},
};

static motet_tensor operand(const product *p, motet_dtype dtype, bool turned, int64_t rows,
                            int64_t cols) {
    return (p->askew ? op_askew : op_matrix)(dtype, turned ? cols : rows, turned ? rows : cols);
}

/* The sum of all splits, in double. */
static double sum_of(motet_tensor a, motet_tensor b, const product *p, int64_t i, int64_t j) {
    double sum = 0;
    for (int64_t x = 0; x < p->k; x++)
        sum += op_get(a, p->transpose_a ? x * p->m + i : i * p->k + x) *
               op_get(b, p->transpose_b ? j * p->k + x : x * p->n + j);
    return sum;
}

static void check(const product *p, bool accumulate, bool bias) {
    const motet_matmul_spec spec = {
        .transpose_a = p->transpose_a, .transpose_b = p->transpose_b, .accumulate = accumulate};
    motet_tensor a = operand(p, p->a, p->transpose_a, p->m, p->k);
    motet_tensor b = operand(p, p->b, p->transpose_b, p->k, p->n);
    motet_tensor add = bias ? op_vector(MOTET_F32, p->n) : op_none();
    op_fill_integers(a, 1, -3, 3);
    op_fill_integers(b, 2, -3, 3);
    if (p->b == MOTET_I8) {
        motet_tensor scale = op_vector(MOTET_F32, p->n);
        for (int64_t j = 0; j < p->n; j++)
            op_set(scale, j, 0.5 * (double)(1 + j % 3));
        b.scale = scale.data;
    }
    if (bias) op_fill_integers(add, 3, -900, 900);
    motet_tensor c = operand(p, p->c, false, p->m, p->n), again = op_copy(c);
    op_fill_integers(c, 4, -99, 99);
    op_fill_integers(again, 4, -99, 99);
    double *want = op_doubles(c);
    for (int64_t i = 0; i < p->m * p->n; i++) {
        const double sum = sum_of(a, b, p, i / p->n, i % p->n) + (bias ? op_get(add, i % p->n) : 0);
        const float once = (float)(accumulate ? want[i] + sum : sum);
        want[i] = p->c == MOTET_BF16 ? motet_f32_from_bf16(motet_bf16_from_f32(once)) : once;
    }
    char what[96];
    snprintf(what, sizeof what, "%lldx%lldx%lld %s %s %s%s%s", (long long)p->m, (long long)p->n,
             (long long)p->k, motet_dtype_name(p->a), motet_dtype_name(p->b),
             motet_dtype_name(p->c), accumulate ? " added" : "", bias ? " bias" : "");
    op_ok(op_backend()->matmul(c, a, b, add, spec));
    op_assert_equal(what, c, want);
    /* What a launch leaves for the next one is as it was. */
    op_ok(op_backend()->matmul(again, a, b, add, spec));
    op_assert_same_bits(what, c, again);
    op_teardown(NULL);
}

static void test_exact(void **state) {
    (void)state;
    for (int i = 0; i < OP_COUNT(products); i++)
        for (int extra = 0; extra < 4; extra++)
            if (!op_skips(i + extra, 2)) check(&products[i], extra & 1, extra >> 1);
}

/* The last split alone knows the sum that GELU is of; rows of both halves of a tile. */
static void test_gelu(void **state) {
    (void)state;
    for (int t = 0; t < 2; t++) {
        motet_tensor a = op_matrix(MOTET_BF16, 33, 2304), b = op_matrix(MOTET_BF16, 24, 2304);
        motet_tensor bias = op_vector(MOTET_BF16, 24), c = op_matrix(op_floats[t], 33, 24);
        const product p = {33, 24, 2304, MOTET_BF16, MOTET_BF16, op_floats[t], false, true, false};
        op_fill_integers(a, 5, -1, 1);
        op_fill_integers(b, 6, -1, 1);
        op_fill_integers(bias, 7, -9, 9);
        for (int64_t i = 0; i < 33 * 2304; i++)
            op_set(a, i, op_get(a, i) / 16); /* sums around the bend */
        double *want = op_zeros(33 * 24);
        for (int64_t i = 0; i < 33 * 24; i++) {
            const double x = sum_of(a, b, &p, i / 24, i % 24) + op_get(bias, i % 24);
            want[i] = x * 0.5 * erfc(-x / sqrt(2.0));
        }
        op_ok(op_backend()->matmul(
            c, a, b, bias, (motet_matmul_spec){.transpose_b = true, .activation = MOTET_ACT_GELU}));
        op_assert_close("gelu", c, want, op_limit(op_floats[t]));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {op_test(test_exact), op_test(test_gelu)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
