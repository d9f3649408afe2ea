/* oneDNN's product against a loop in double and against the CPU twin. */
#include "tests/train/harness_product.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <omp.h>

#include "train/matmul_onednn.h"

static void check_product(product_case p) {
    product_data d = product_make(p);
    double *want = product_reference(&d);
    product_run(&d, motet_onednn_matmul);
    double error = product_nmse(&d, want), limit = p.out == MOTET_BF16 ? 1e-5 : 1e-11;
    if (!(error <= limit))
        fail_msg("M %d N %d K %d ta %d tb %d acc %d act %d in %s out %s bias %d: NMSE %g > %g", p.m,
                 p.n, p.k, p.spec.transpose_a, p.spec.transpose_b, p.spec.accumulate,
                 (int)p.spec.activation, motet_dtype_name(p.in), motet_dtype_name(p.out), p.bias,
                 error, limit);
    free(want);
    product_free(&d);
}

static void check_shape(int m, int n, int k) {
    static const motet_dtype pairs[][2] = {
        {MOTET_F32, MOTET_F32}, {MOTET_BF16, MOTET_BF16}, {MOTET_BF16, MOTET_F32}};
    for (int pair = 0; pair < 3; pair++)
        for (int bits = 0; bits < 16; bits++) {
            product_case p = {.m = m, .n = n, .k = k, .in = pairs[pair][0], .out = pairs[pair][1]};
            p.spec.transpose_a = bits & 1;
            p.spec.transpose_b = bits >> 1 & 1;
            p.spec.accumulate = (bits >> 2) == 1;
            p.spec.activation = (bits >> 2) == 2 ? MOTET_ACT_GELU : MOTET_ACT_NONE;
            p.bias = (bits >> 2) >= 2;
            check_product(p);
        }
}

static void test_shapes(void **state) {
    (void)state;
    check_shape(1, 1, 1);
    check_shape(17, 33, 7);
    check_shape(64, 65, 130);
    check_shape(128, 256, 64);
}

/* What the model does most: K is the number of rows in a weight's gradient. */
static void test_model_shapes(void **state) {
    (void)state;
    check_product((product_case){.m = 512,
                                 .n = 768,
                                 .k = 256,
                                 .in = MOTET_BF16,
                                 .out = MOTET_BF16,
                                 .spec = {.transpose_b = true}});
    check_product((product_case){.m = 768,
                                 .n = 256,
                                 .k = 1024,
                                 .in = MOTET_BF16,
                                 .out = MOTET_F32,
                                 .spec = {.transpose_a = true, .accumulate = true}});
}

/* bf16 bias, and combinations that are the CPU twin's. */
static void test_mixed_dtypes(void **state) {
    (void)state;
    check_product((product_case){.m = 9,
                                 .n = 20,
                                 .k = 30,
                                 .in = MOTET_BF16,
                                 .out = MOTET_F32,
                                 .bias = 2,
                                 .spec = {.transpose_b = true}});
    int before = motet_onednn_cached();
    check_product((product_case){.m = 9,
                                 .n = 20,
                                 .k = 30,
                                 .in = MOTET_F32,
                                 .out = MOTET_BF16,
                                 .spec = {.transpose_b = true}});
    assert_int_equal(motet_onednn_cached(), before);
}

static void test_repeats_exactly(void **state) {
    (void)state;
    product_case p = {.m = 256,
                      .n = 192,
                      .k = 2048,
                      .in = MOTET_BF16,
                      .out = MOTET_F32,
                      .spec = {.transpose_a = true}};
    product_data d = product_make(p);
    product_run(&d, motet_onednn_matmul);
    int cached = motet_onednn_cached();
    size_t bytes = (size_t)p.m * (size_t)p.n * 4;
    void *first = malloc(bytes);
    memcpy(first, d.c.data, bytes);
    for (int i = 0; i < 5; i++) {
        product_run(&d, motet_onednn_matmul);
        assert_memory_equal(first, d.c.data, bytes);
    }
    assert_int_equal(motet_onednn_cached(), cached); /* nothing new is made */
    free(first);
    product_free(&d);
}

/* Each thread has its own cache, and a result does not depend on the thread. */
static void test_in_threads(void **state) {
    (void)state;
    enum { THREADS = 4 };
    product_case p = {.m = 64, .n = 96, .k = 128, .in = MOTET_F32, .out = MOTET_F32};
    product_data d[THREADS];
    for (int i = 0; i < THREADS; i++)
        d[i] = product_make(p);
    int failures = 0;
#pragma omp parallel for num_threads(THREADS) reduction(+ : failures)
    for (int i = 0; i < THREADS; i++)
        failures += motet_onednn_matmul(d[i].c, d[i].a, d[i].b, d[i].bias, p.spec) != MOTET_OK;
    assert_int_equal(failures, 0);
    for (int i = 1; i < THREADS; i++)
        assert_memory_equal(d[0].c.data, d[i].c.data, 64 * 96 * 4);
    for (int i = 0; i < THREADS; i++)
        product_free(&d[i]);
#pragma omp parallel num_threads(THREADS)
    motet_onednn_release();
}

static void test_refuses(void **state) {
    (void)state;
    float a[6] = {0}, b[6] = {0}, c[4] = {0};
    motet_tensor none = {0};
    motet_status status =
        motet_onednn_matmul(motet_matrix(c, MOTET_F32, 2, 2), motet_matrix(a, MOTET_F32, 2, 3),
                            motet_matrix(b, MOTET_F32, 2, 3), none, (motet_matmul_spec){0});
    assert_int_equal(status, MOTET_E_USAGE);
    assert_int_equal(
        motet_onednn_matmul(motet_matrix(c, MOTET_F32, 0, 2), motet_matrix(a, MOTET_F32, 0, 3),
                            motet_matrix(b, MOTET_F32, 3, 2), none, (motet_matmul_spec){0}),
        MOTET_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),       cmocka_unit_test(test_model_shapes),
        cmocka_unit_test(test_mixed_dtypes), cmocka_unit_test(test_repeats_exactly),
        cmocka_unit_test(test_in_threads),   cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
