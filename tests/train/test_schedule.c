#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "train/schedule.h"

static motet_settings settings_of(int64_t steps, int64_t warmup, float final_lr) {
    motet_settings s;
    motet_settings_default(&s);
    s.train_steps = steps, s.train_warmup = warmup, s.train_final_lr = final_lr;
    return s;
}

static void assert_near(float got, double want) {
    if (fabs((double)got - want) > 1e-6) fail_msg("%g is not %g", (double)got, want);
}

static void test_warmup_is_linear(void **state) {
    (void)state;
    motet_settings s = settings_of(1000, 100, 0.1f);
    assert_near(motet_schedule_factor(&s, 0), 0.01);
    assert_near(motet_schedule_factor(&s, 49), 0.5);
    assert_near(motet_schedule_factor(&s, 99), 1);
}

static void test_cosine(void **state) {
    (void)state;
    motet_settings s = settings_of(1100, 100, 0.1f);
    assert_near(motet_schedule_factor(&s, 599), 0.1 + 0.9 * 0.5); /* half way */
    assert_near(motet_schedule_factor(&s, 349), 0.1 + 0.9 * 0.5 * (1 + sqrt(0.5)));
    assert_near(motet_schedule_factor(&s, 1099), 0.1);
    assert_near(motet_schedule_factor(&s, 5000), 0.1);
    for (int64_t step = 100; step < 1100; step++)
        assert_true(motet_schedule_factor(&s, step) <= motet_schedule_factor(&s, step - 1));
}

static void test_edges(void **state) {
    (void)state;
    motet_settings none = settings_of(10, 0, 0);
    assert_true(motet_schedule_factor(&none, 0) > 0.9f);
    assert_near(motet_schedule_factor(&none, 9), 0);
    motet_settings long_warmup = settings_of(10, 100, 0.5f);
    assert_near(motet_schedule_factor(&long_warmup, 9), 0.1);
    assert_near(motet_schedule_factor(&long_warmup, 99), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warmup_is_linear),
        cmocka_unit_test(test_cosine),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
