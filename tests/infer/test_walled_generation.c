/* Generation on a back-end whose memory the host cannot touch and whose ops run late: the CPU's
 * events, bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/generate.h"
#include "tests/harness_walled.h"
#include "tests/infer/harness_model.h"

enum { WINDOW = 96, SEED = 21 };

typedef struct piece {
    motet_event *events;
    int64_t count;
    motet_plan plan;
    motet_generation_stats stats;
} piece;

static motet_request request_of(const char *prompt, uint64_t seed, int bars, float guidance,
                                float temperature) {
    motet_request request = {.prompt = prompt,
                             .seed = seed,
                             .facts = motet_facts_none(),
                             .sampling = motet_sampling_default()};
    request.facts.bars = bars;
    request.sampling.guidance = guidance;
    request.sampling.temperature = temperature;
    return request;
}

static piece generate(motet_session *session, const motet_request *request) {
    piece p = {0};
    motet_status status =
        motet_generate(&p.events, &p.count, &p.plan, &p.stats, session, request, NULL, NULL);
    if (status != MOTET_OK) fail_msg("%s (%s)", motet_error(), motet_error_where());
    return p;
}

static void open_both(motet_engine engines[2], motet_session *sessions[2],
                      const motet_backend *walled, motet_dtype precision) {
    for (int i = 0; i < 2; i++) {
        motet_test_engine_open_on(&engines[i], WINDOW, SEED, i ? walled : motet_backend_cpu(),
                                  precision);
        assert_int_equal(motet_session_make(&sessions[i], &engines[i]), MOTET_OK);
    }
}

static void close_both(motet_engine engines[2], motet_session *sessions[2]) {
    for (int i = 0; i < 2; i++) {
        motet_session_free(sessions[i]);
        motet_engine_close(&engines[i]);
    }
    assert_true(motet_walled_bytes(MOTET_ON_DEVICE) == 0);
    assert_true(motet_walled_bytes(MOTET_SHARED) == 0);
}

static void assert_same_piece(motet_session *sessions[2], const motet_request *request) {
    piece cpu = generate(sessions[0], request), walled = generate(sessions[1], request);
    assert_int_equal(cpu.count, walled.count);
    assert_memory_equal(cpu.events, walled.events, (size_t)cpu.count * sizeof *cpu.events);
    assert_memory_equal(&cpu.plan, &walled.plan, sizeof cpu.plan);
    assert_true(cpu.stats.legal_mass == walled.stats.legal_mass);
    assert_int_equal(cpu.stats.drawn_fields, walled.stats.drawn_fields);
    free(cpu.events);
    free(walled.events);
}

/* With and without guidance, greedy, through several windows, in every dtype of the weights. */
static void check(int eager) {
    static const motet_dtype dtypes[] = {MOTET_F32, MOTET_BF16, MOTET_I8};
    const motet_request requests[] = {
        request_of("a slow waltz", 7, 6, 2, 1), request_of("", 8, 4, 1, 1),
        request_of("fast jig in d major for flute, 8 bars", 5, 4, 1.5f, 0),
        request_of("a slow waltz", 3, 24, 2, 1), /* opens the window again and again */
    };
    for (int d = 0; d < 3; d++) {
        static motet_engine engines[2];
        motet_session *sessions[2];
        open_both(engines, sessions, motet_walled_backend(eager), dtypes[d]);
        for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
            assert_same_piece(sessions, &requests[i]);
        close_both(engines, sessions);
    }
}

static void late_ops_give_the_same_events(void **state) {
    (void)state;
    check(0);
}

static void prompt_ops_give_the_same_events(void **state) {
    (void)state;
    check(1);
}

/* The host waits once an event, and twice for the prompt: at its start and for the plan. */
static void one_wait_an_event(void **state) {
    (void)state;
    static motet_engine engines[2];
    motet_session *sessions[2];
    open_both(engines, sessions, motet_walled_backend(0), MOTET_F32);
    motet_request request = request_of("a slow waltz", 7, 30, 2, 0); /* greedy: all are kept */
    motet_walled_count();
    piece p = generate(sessions[1], &request);
    motet_walled_counts counts = motet_walled_count();
    assert_true(p.count > 2 * WINDOW);
    assert_int_equal(counts.waits, p.count + 2);
    print_message("%lld ops, %lld waits for %lld events\n", (long long)counts.ops,
                  (long long)counts.waits, (long long)p.count);
    free(p.events);
    close_both(engines, sessions);
}

static int stop_at_once(void *user, int bar, int bars) {
    (void)user, (void)bar, (void)bars;
    return 1;
}

/* What a stopped piece left waiting must not reach into the next one. */
static void a_stopped_piece_leaves_nothing(void **state) {
    (void)state;
    static motet_engine engines[2];
    motet_session *sessions[2];
    open_both(engines, sessions, motet_walled_backend(0), MOTET_F32);
    motet_request request = request_of("fast jig", 9, 5, 2, 1);
    for (int i = 0; i < 2; i++) {
        piece p;
        assert_int_equal(motet_generate(&p.events, &p.count, &p.plan, NULL, sessions[i], &request,
                                        stop_at_once, NULL),
                         MOTET_E_USAGE);
    }
    request.prompt = "a slow waltz";
    assert_same_piece(sessions, &request);
    close_both(engines, sessions);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(late_ops_give_the_same_events),
        cmocka_unit_test(prompt_ops_give_the_same_events),
        cmocka_unit_test(one_wait_an_event),
        cmocka_unit_test(a_stopped_piece_leaves_nothing),
    };
    return cmocka_run_group_tests_name("walled_generation", tests, NULL, NULL);
}
