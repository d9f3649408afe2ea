#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "infer/quantise.h"
#include "kernels/core/rng.h"

static void rows_round_to_the_nearest_step(void **state) {
    (void)state;
    int8_t data[100];
    float scale, row[100];
    for (int i = 0; i < 100; i++)
        row[i] = 0.25f * (float)(i == 0 ? -127 : i - 99); /* multiples of max / 127 */
    assert_true(motet_quantise_row(data, &scale, row, 100));
    assert_true(scale == 0.25f);
    for (int i = 0; i < 100; i++)
        assert_int_equal(data[i], i == 0 ? -127 : i - 99);

    motet_rng rng = motet_rng_make(1, 2);
    for (int n = 0; n < 100; n++) {
        for (int k = 0; k < 100; k++)
            row[k] = ldexpf(motet_rng_normal(&rng), n - 50);
        assert_true(motet_quantise_row(data, &scale, row, 100));
        int widest = 0;
        for (int k = 0; k < 100; k++) {
            assert_true(fabsf(row[k] - scale * (float)data[k]) <= 0.50001f * scale);
            if (abs(data[k]) > widest) widest = abs(data[k]);
        }
        assert_int_equal(widest, 127);
    }
}

static void rows_without_a_scale(void **state) {
    (void)state;
    int8_t data[100];
    float row[100] = {0}, scale = 5;
    assert_true(motet_quantise_row(data, &scale, row, 100));
    assert_true(scale == 0 && data[50] == 0);
    row[3] = 1e-42f; /* subnormal: no scale can hold it */
    scale = 5;
    assert_true(motet_quantise_row(data, &scale, row, 100));
    assert_true(scale == 0 && data[3] == 0);
    row[99] = INFINITY;
    scale = 5;
    assert_false(motet_quantise_row(data, &scale, row, 100));
    assert_true(scale == 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_round_to_the_nearest_step),
        cmocka_unit_test(rows_without_a_scale),
    };
    return cmocka_run_group_tests_name("quantise", tests, NULL, NULL);
}
