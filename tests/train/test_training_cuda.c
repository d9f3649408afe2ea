/* Training on the CUDA back-end: the CPU's losses, step by step. Run by make test-softgpu, or on a
 * GPU with MOTET_TEST_DEVICE=cuda. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/train/harness_run.h"
#include "tests/train/harness_twin.h"

static void tiny_in_f32(void **state) {
    (void)state;
    motet_settings s = run_settings(&run_group_place, "tiny", "f32");
    twin_same_losses(&s, 1e-5);
}

static void tiny_in_bf16(void **state) {
    (void)state;
    motet_settings s = run_settings(&run_group_place, "tiny", "bf16");
    twin_same_losses(&s, 5e-3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_in_f32),
        cmocka_unit_test(tiny_in_bf16),
    };
    return cmocka_run_group_tests_name("training_cuda", tests, run_group_setup, run_group_teardown);
}
