#include "tests/train/harness_twin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/device.h"
#include "train/training.h"

static void need(motet_status status) {
    if (status != MOTET_OK) fail_msg("%s (%s)", motet_error(), motet_error_where());
}

const motet_backend *twin_device(void) {
    const motet_backend *cuda;
    const char *wanted = getenv("MOTET_TEST_DEVICE");
    if (!wanted || strncmp(wanted, "cuda", 4) != 0) {
        print_message("not run: no device\n");
        skip();
    }
    need(motet_device_open(&cuda, wanted));
    return cuda;
}

void twin_same_losses(const motet_settings *s, int steps, double bound) {
    const motet_backend *backends[] = {motet_backend_cpu(), twin_device()};
    motet_training runs[2];
    double worst = 0, first = 0, last = 0; /* the means of a fifth of the steps: batches differ */
    const int fifth = steps / 5;
    for (int i = 0; i < 2; i++)
        need(motet_training_open(&runs[i], s, backends[i]));
    for (int step = 0; step < steps; step++) {
        double losses[2];
        for (int i = 0; i < 2; i++) {
            motet_step_report report;
            need(motet_training_step(&report, &runs[i]));
            assert_false(report.skipped);
            losses[i] = motet_losses_per_event(&report.losses);
        }
        double apart = fabs(losses[1] - losses[0]) / losses[0];
        if (!(apart <= bound))
            fail_msg("step %d: %.6f on the CPU, %.6f on the device", step, losses[0], losses[1]);
        worst = apart > worst ? apart : worst;
        if (step < fifth) first += losses[1] / fifth;
        if (step >= steps - fifth) last += losses[1] / fifth;
    }
    print_message("%d steps, losses %.4f to %.4f, apart by %.2g of it at most\n", steps, first,
                  last, worst);
    assert_true(last < first);
    for (int i = 0; i < 2; i++)
        motet_training_close(&runs[i]);
}
