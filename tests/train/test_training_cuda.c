/* Training on the CUDA back-end: the CPU's losses, step by step. Run by make test-softgpu, or on a
 * GPU with MOTET_TEST_DEVICE=cuda. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/train/harness_recompute.h"
#include "tests/train/harness_run.h"
#include "tests/train/harness_twin.h"

static void tiny_in_f32(void **state) {
    (void)state;
    motet_settings s = run_settings(&run_group_place, "tiny", "f32");
    twin_same_losses(&s, 10, 1e-5);
}

static void tiny_in_bf16(void **state) {
    (void)state;
    motet_settings s = run_settings(&run_group_place, "tiny", "bf16");
    twin_same_losses(&s, 10, 5e-3);
}

/* Layers run again in the backward pass have the bits that they had. */
static void recomputed(void **state) {
    (void)state;
    motet_settings s = run_settings(&run_group_place, "recompute", "bf16");
    s.model_layers = 3;
    s.train_rows = 64;
    recompute_same_bits(&s, twin_device(), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_in_f32),
        cmocka_unit_test(tiny_in_bf16),
        cmocka_unit_test(recomputed),
    };
    return cmocka_run_group_tests_name("training_cuda", tests, run_group_setup, run_group_teardown);
}
