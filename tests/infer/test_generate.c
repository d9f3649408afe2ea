/* Generation from a model with random weights: the harshest of writers still writes valid music. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/instrument.h"
#include "infer/generate.h"
#include "infer/postprocess.h"
#include "tests/infer/harness_model.h"

static motet_engine engine;
static motet_session *session;

static int open_engine(void **state) {
    (void)state;
    motet_test_engine_open(&engine, 96, 21);
    return motet_session_make(&session, &engine) != MOTET_OK;
}

static int close_engine(void **state) {
    (void)state;
    motet_session_free(session);
    motet_engine_close(&engine);
    return 0;
}

static motet_request request_of(const char *prompt, uint64_t seed, int bars) {
    motet_request request = {.prompt = prompt,
                             .seed = seed,
                             .facts = motet_facts_none(),
                             .sampling = motet_sampling_default()};
    request.facts.bars = bars;
    return request;
}

static motet_event *generate(const motet_request *request, int64_t *count, motet_plan *plan,
                             motet_generation_stats *stats) {
    motet_event *events;
    motet_status status = motet_generate(&events, count, plan, stats, session, request, NULL, NULL);
    if (status != MOTET_OK) fail_msg("%s (%s)", motet_error(), motet_error_where());
    return events;
}

static void test_same_seed_same_events(void **state) {
    (void)state;
    motet_request request = request_of("a slow waltz", 7, 6);
    motet_plan plan;
    int64_t count, again_count, other_count;
    motet_event *once = generate(&request, &count, &plan, NULL);
    motet_event *again = generate(&request, &again_count, &plan, NULL);
    request.seed = 8;
    motet_event *other = generate(&request, &other_count, &plan, NULL);
    assert_int_equal(count, again_count);
    assert_memory_equal(once, again, (size_t)count * sizeof *once);
    assert_true(other_count != count || memcmp(once, other, (size_t)count * sizeof *once) != 0);
    free(once);
    free(again);
    free(other);
}

static void check_promises(const motet_request *request, const motet_plan *plan,
                           const motet_event *events, int64_t count) {
    motet_score score;
    motet_status status = motet_postprocess(&score, events, count, plan, request->prompt);
    if (status != MOTET_OK) fail_msg("%s", motet_error());
    assert_int_equal(score.bar_count, request->facts.bars);
    assert_true(score.note_count > 0);
    assert_int_equal(score.key, request->facts.key);
    assert_int_equal(score.tempo_count, 1);
    assert_true(score.tempos[0].bpm == request->facts.tempo_bpm);
    for (int32_t i = 0; i < score.bar_count; i++) {
        assert_int_equal(score.bars[i].numerator, request->facts.numerator);
        assert_int_equal(score.bars[i].denominator, request->facts.denominator);
    }
    int32_t end = motet_score_ticks(&score), heard[MOTET_PROGRAMS] = {0};
    for (int32_t i = 0; i < score.note_count; i++) {
        const motet_note *note = &score.notes[i];
        heard[note->program]++;
        int lowest, highest;
        motet_program_range(note->program, &lowest, &highest);
        assert_in_range(note->pitch, lowest, highest);
        assert_true(note->duration_ticks >= 1);
        assert_true(note->start_ticks + note->duration_ticks <= end);
    }
    int kinds = 0;
    for (int p = 0; p < MOTET_PROGRAMS; p++)
        kinds += heard[p] > 0;
    assert_int_equal(kinds, request->facts.program_count);
    for (int i = 0; i < request->facts.program_count; i++)
        assert_true(heard[request->facts.programs[i]] > 0);
    motet_score_free(&score);
}

static void test_promises_hold(void **state) {
    (void)state;
    static const int metres[][2] = {{4, 4}, {3, 4}, {6, 8}, {7, 8}, {2, 2}};
    for (int i = 0; i < 25; i++) {
        motet_request request =
            request_of(i % 2 ? "fast jig for flute" : "", (uint64_t)i, 2 + i % 9);
        request.facts.numerator = metres[i % 5][0];
        request.facts.denominator = metres[i % 5][1];
        request.facts.tempo_bpm = 61.7 + 5 * i;
        request.facts.key = i % 24;
        request.facts.program_count = 1 + i % 3;
        request.facts.programs[0] = (uint8_t)(i * 5 % 128);
        request.facts.programs[1] = MOTET_PROGRAM_DRUMS;
        request.facts.programs[2] = (uint8_t)((i * 5 + 40) % 128);
        request.sampling.guidance = i % 3 ? 2 : 1;
        motet_plan plan;
        motet_generation_stats stats;
        int64_t count;
        motet_event *events = generate(&request, &count, &plan, &stats);
        assert_int_equal(stats.events, count);
        assert_int_equal(events[count - 1].type, MOTET_EVENT_END);
        check_promises(&request, &plan, events, count);
        free(events);
    }
}

/* Far more events than a window holds, and bars that no window could hold. */
static void test_long_pieces_go_on(void **state) {
    (void)state;
    motet_request request = request_of("", 3, 60);
    motet_plan plan;
    int64_t count;
    motet_event *events = generate(&request, &count, &plan, NULL);
    assert_true(count > 3 * 96);
    int bars = 0, in_bar = 0;
    for (int64_t i = 0; i < count; i++) {
        if (events[i].type == MOTET_EVENT_BAR) bars++, in_bar = 0;
        if (events[i].type == MOTET_EVENT_NOTE) in_bar++;
        assert_true(in_bar <= 46);
    }
    assert_int_equal(bars, 60);
    motet_score score;
    assert_int_equal(motet_score_from_events(&score, events, count), MOTET_OK);
    motet_score_free(&score);
    free(events);
}

static void test_free_and_greedy(void **state) {
    (void)state;
    motet_request request = request_of("fast jig in d major for flute, 8 bars", 5, 4);
    request.free = 1;
    motet_plan plan;
    int64_t count;
    motet_event *events = generate(&request, &count, &plan, NULL);
    assert_int_equal(plan.promised_count, 0);
    assert_int_equal(plan.metre, -1);
    free(events);
    request.sampling.temperature = 0;
    events = generate(&request, &count, &plan, NULL);
    free(events);
}

static int stop_at_third_bar(void *user, int bar, int bars) {
    (void)bars;
    *(int *)user = bar;
    return bar >= 3;
}

static void test_progress_can_stop(void **state) {
    (void)state;
    motet_request request = request_of("", 5, 20);
    motet_plan plan;
    motet_event *events;
    int64_t count;
    int last = 0;
    assert_int_equal(
        motet_generate(&events, &count, &plan, NULL, session, &request, stop_at_third_bar, &last),
        MOTET_E_USAGE);
    assert_int_equal(last, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_same_events), cmocka_unit_test(test_promises_hold),
        cmocka_unit_test(test_long_pieces_go_on),     cmocka_unit_test(test_free_and_greedy),
        cmocka_unit_test(test_progress_can_stop),
    };
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
