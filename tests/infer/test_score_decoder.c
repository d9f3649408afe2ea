/* Whole windows and single steps give the same states; what comes later changes nothing before it.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/score_decoder.h"
#include "kernels/core/rng.h"
#include "tests/infer/harness_model.h"

enum { ROWS = 40, WINDOW = 48, MEMORY = 12 };

typedef struct rig {
    motet_engine engine;
    motet_arenas arenas;
    motet_score_acts acts;
    motet_score_cache cache;
    motet_score_input input;
    motet_row rows[ROWS];
    float angles[ROWS][32];
    int32_t offsets[4], memory_offsets[4], memory_text[MEMORY], memory_controls[MEMORY];
    int32_t events[2 * ROWS * MOTET_EVENT_FEATURES], context[2 * ROWS * MOTET_CONTEXT_FEATURES];
    float all_angles[2 * ROWS][32];
} rig;

static motet_dtype kept = MOTET_F32; /* of the cache */

static void layout(rig *r) {
    const motet_settings *settings = &r->engine.checkpoint.settings;
    motet_score_acts_layout(&r->acts, &r->arenas.device, settings, 2 * ROWS, MEMORY, 1, MOTET_F32,
                            0);
    motet_score_cache_layout(&r->cache, &r->arenas, settings, 2, WINDOW, MEMORY, kept);
}

/* Rows of a seeded piece: bars of up to four notes. */
static void make_rows(rig *r) {
    motet_rng rng = motet_rng_make(11, 0);
    motet_score_cursor cursor;
    motet_cursor_start(&cursor, &r->rows[0], 0, 16, 14);
    motet_cursor_angles(r->angles[0], &cursor, 32);
    for (int i = 1, position = 0; i < ROWS; i++) {
        static motet_event events[ROWS];
        motet_event *event = &events[i - 1];
        *event = (motet_event){.type = MOTET_EVENT_NOTE,
                               .field = {(uint8_t)position, 0, (uint8_t)(50 + i), 11, 16}};
        if (i % 5 == 1) {
            *event = (motet_event){.type = MOTET_EVENT_BAR,
                                   .field = {0, 30, (uint8_t)motet_rng_below(&rng, MOTET_CHORDS), 1,
                                             (uint8_t)motet_rng_below(&rng, 3), 4}};
            position = 0;
        } else {
            position += 12;
        }
        motet_cursor_advance(&cursor, &r->rows[i], events);
        motet_cursor_angles(r->angles[i], &cursor, 32);
    }
}

static void open_rig(rig *r) {
    memset(r, 0, sizeof *r);
    motet_test_engine_open(&r->engine, WINDOW, 4);
    layout(r);
    assert_int_equal(motet_arenas_bind(&r->arenas), MOTET_OK);
    layout(r);
    make_rows(r);
    r->input = (motet_score_input){.offsets = r->offsets,
                                   .events = r->events,
                                   .context = r->context,
                                   .angles = r->all_angles[0],
                                   .sequences = 2,
                                   .memory_rows = MEMORY,
                                   .memory_offsets = r->memory_offsets,
                                   .memory_text = r->memory_text,
                                   .memory_controls = r->memory_controls};
    for (int i = 0; i < MEMORY; i++)
        r->memory_text[i] = -1, r->memory_controls[i] = 5 * i;
    r->memory_offsets[1] = 7;
    r->memory_offsets[2] = r->memory_offsets[3] = MEMORY;
    motet_tensor no_text = motet_matrix(NULL, MOTET_F32, 0, 64);
    assert_int_equal(motet_score_memory(&r->acts, r->engine.backend, &r->engine.checkpoint.weights,
                                        &r->input, no_text),
                     MOTET_OK);
}

static void close_rig(rig *r) {
    motet_arenas_free(&r->arenas);
    motet_engine_close(&r->engine);
}

/* Both sequences get rows [first, first + count). */
static void put(rig *r, int first, int count) {
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < count; i++) {
            int at = s * count + i;
            memcpy(r->events + at * MOTET_EVENT_FEATURES, r->rows[first + i].event,
                   sizeof r->rows[0].event);
            memcpy(r->context + at * MOTET_CONTEXT_FEATURES, r->rows[first + i].context,
                   sizeof r->rows[0].context);
            memcpy(r->all_angles[at], r->angles[first + i], sizeof r->angles[0]);
        }
    r->input.rows = 2 * count;
    for (int s = 0; s < 3; s++)
        r->offsets[s] = s * count;
    r->offsets[3] = 2 * count;
}

static const float *state_of(const rig *r, int row) {
    return (const float *)r->acts.states.data + (size_t)row * 64;
}

static void near(const float *a, const float *b, float bound) {
    for (int i = 0; i < 64; i++)
        if (!(fabsf(a[i] - b[i]) <= bound)) fail_msg("column %d: %.7f and %.7f", i, a[i], b[i]);
}

static float whole[2 * ROWS][64];

static void forward(rig *r, motet_score_cache *cache, int count) {
    put(r, 0, count);
    motet_status status =
        motet_score_forward(&r->acts, cache, r->engine.backend, &r->engine.checkpoint.weights,
                            &r->engine.checkpoint.settings, &r->input);
    if (status != MOTET_OK) fail_msg("%s", motet_error());
}

static void check_steps(float bound) {
    static rig r;
    for (int prefix = 1; prefix < ROWS; prefix += 13) {
        open_rig(&r);
        forward(&r, NULL, ROWS);
        memcpy(whole, r.acts.states.data, sizeof whole);
        forward(&r, &r.cache, prefix);
        for (int i = prefix; i < ROWS; i++) {
            put(&r, i, 1);
            assert_int_equal(motet_score_step(&r.acts, &r.cache, r.engine.backend,
                                              &r.engine.checkpoint.weights,
                                              &r.engine.checkpoint.settings, &r.input),
                             MOTET_OK);
            for (int s = 0; s < 2; s++)
                near(state_of(&r, s), whole[s * ROWS + i], bound);
        }
        close_rig(&r);
    }
}

static void test_prefill_is_step_by_step(void **state) {
    (void)state;
    check_steps(2e-5f);
}

/* Keys and values rounded to 8 bits: states of size 1 differ by 0.006 to 0.01 then. */
static void test_int8_cache_is_near(void **state) {
    (void)state;
    kept = MOTET_I8;
    check_steps(0.015f);
    kept = MOTET_F32;
}

static void test_the_past_does_not_see_the_future(void **state) {
    (void)state;
    static rig r;
    open_rig(&r);
    forward(&r, NULL, ROWS);
    memcpy(whole, r.acts.states.data, sizeof whole);
    forward(&r, NULL, 20);
    for (int i = 0; i < 20; i++)
        near(state_of(&r, i), whole[i], 1e-5f);
    close_rig(&r);
}

static void test_memory_is_heard(void **state) {
    (void)state;
    static rig r;
    open_rig(&r);
    forward(&r, NULL, ROWS);
    double difference = 0;
    for (int i = 0; i < 64; i++)
        difference += fabs((double)state_of(&r, 5)[i] - state_of(&r, ROWS + 5)[i]);
    assert_true(difference > 0.01); /* the two sequences differ in their memory alone */
    close_rig(&r);
}

static void test_full_cache_is_refused(void **state) {
    (void)state;
    static rig r;
    open_rig(&r);
    forward(&r, &r.cache, 10);
    r.cache.lengths[0] = r.cache.lengths[1] = WINDOW;
    put(&r, 10, 1);
    assert_int_equal(motet_score_step(&r.acts, &r.cache, r.engine.backend,
                                      &r.engine.checkpoint.weights, &r.engine.checkpoint.settings,
                                      &r.input),
                     MOTET_E_USAGE);
    close_rig(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefill_is_step_by_step),
        cmocka_unit_test(test_int8_cache_is_near),
        cmocka_unit_test(test_the_past_does_not_see_the_future),
        cmocka_unit_test(test_memory_is_heard),
        cmocka_unit_test(test_full_cache_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
