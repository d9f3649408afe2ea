/* Generation on the CUDA back-end: greedy decoding in f32 writes the CPU's events. Run by make
 * test-softgpu, or on a GPU with MOTET_TEST_DEVICE=cuda. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/generate.h"
#include "kernels/device.h"
#include "tests/infer/harness_model.h"

enum { WINDOW = 96, SEED = 21 };

static const motet_backend *cuda;

static int setup(void **state) {
    (void)state;
    const char *wanted = getenv("MOTET_TEST_DEVICE");
    if (!wanted || strncmp(wanted, "cuda", 4) != 0) return 0;
    if (motet_device_open(&cuda, wanted) == MOTET_OK) return 0;
    print_error("%s\n", motet_error());
    return -1;
}

static int64_t generate(motet_event **events, const motet_backend *backend, motet_dtype precision,
                        const motet_request *request) {
    static motet_engine engine;
    motet_session *session;
    motet_plan plan;
    int64_t count;
    motet_test_engine_open_on(&engine, WINDOW, SEED, backend, precision);
    assert_int_equal(motet_session_make(&session, &engine), MOTET_OK);
    if (motet_generate(events, &count, &plan, NULL, session, request, NULL, NULL) != MOTET_OK)
        fail_msg("%s (%s)", motet_error(), motet_error_where());
    motet_session_free(session);
    motet_engine_close(&engine);
    return count;
}

static void assert_same_events(motet_dtype precision, float temperature) {
    if (!cuda) {
        print_message("not run: no device\n");
        skip();
    }
    motet_request request = {.prompt = "fast jig in d major for flute, 3 bars",
                             .seed = 5,
                             .facts = motet_facts_none(),
                             .sampling = motet_sampling_default()};
    request.facts.bars = 3;
    request.sampling.temperature = temperature;
    motet_event *events[2];
    int64_t counts[2] = {generate(&events[0], motet_backend_cpu(), precision, &request),
                         generate(&events[1], cuda, precision, &request)};
    assert_int_equal(counts[0], counts[1]);
    assert_true(counts[0] > 8);
    assert_memory_equal(events[0], events[1], (size_t)counts[0] * sizeof *events[0]);
    free(events[0]);
    free(events[1]);
}

static void greedy_in_f32(void **state) {
    (void)state;
    assert_same_events(MOTET_F32, 0);
}

/* Draws too, for as long as no uniform falls between two cumulative sums: it does not for this
 * seed. */
static void drawn_in_f32(void **state) {
    (void)state;
    assert_same_events(MOTET_F32, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_in_f32),
        cmocka_unit_test(drawn_in_f32),
    };
    return cmocka_run_group_tests_name("generation_cuda", tests, setup, NULL);
}
