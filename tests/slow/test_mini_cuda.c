/* The mini model on the CUDA back-end: the CPU's losses, step by step. Run by make test-slow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/train/harness_run.h"
#include "tests/train/harness_twin.h"

/* The model that ships, at its widths and depth, on few and short rows: a GPU in software counts
 * every one, and fifty updates take a quarter of an hour even so. */
static void mini_in_bf16(void **state) {
    (void)state;
    motet_settings s;
    motet_settings_default(&s);
    assert_int_equal(motet_settings_read_file(&s, "configs/mini.ini"), MOTET_OK);
    snprintf(s.data_corpus, sizeof s.data_corpus, "%s", run_group_place.corpus);
    snprintf(s.run_dir, sizeof s.run_dir, "%s/mini", run_group_place.folder);
    s.train_rows = s.model_window = 16;
    s.model_text_limit = 32;
    s.train_warmup = 0;
    twin_same_losses(&s, 50, 5e-3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mini_in_bf16),
    };
    return cmocka_run_group_tests_name("mini_cuda", tests, run_group_setup, run_group_teardown);
}
