#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/loader.h"
#include "tests/corpus/harness_shard.h"

#define PIECES 60

static motet_corpus *corpus;

static int set_up(void **state) {
    if (harness_make_folder(state)) return -1;
    harness_corpus("a.h5", PIECES, 0);
    return motet_corpus_open(&corpus, harness_path("a.h5"), 1);
}

static int tear_down(void **state) {
    motet_corpus_close(corpus);
    return harness_remove_folder(state);
}

static motet_loader *make(const motet_loader_options *options) {
    motet_loader *loader;
    if (motet_loader_make(&loader, &corpus, 1, options)) fail_msg("%s", motet_error());
    return loader;
}

static void batch_of(motet_batch *batch, motet_loader *loader, int64_t step, int rank) {
    if (motet_loader_batch(batch, loader, step, rank)) fail_msg("%s", motet_error());
}

static void fills_batches_exactly(void **state) {
    (void)state;
    static const int32_t SHAPES[][2] = {{200, 32}, {1, 1}, {7, 1000}, {64, 9}, {1000, 10}};
    for (int s = 0; s < 5; s++) {
        const motet_loader_options options = {
            .split = MOTET_SPLIT_TRAIN, .rows = SHAPES[s][0], .window = SHAPES[s][1], .seed = 3};
        motet_loader *loader = make(&options);
        motet_batch batch = {0};
        for (int step = 0; step < 20; step++) {
            int32_t sum = 0;
            batch_of(&batch, loader, step, 0);
            for (int i = 0; i < batch.window_count; i++) {
                const motet_window *w = &batch.windows[i];
                int64_t total = motet_corpus_event_count(corpus, w->piece_index);
                motet_event *whole = calloc((size_t)total, sizeof *whole);
                assert_non_null(whole);
                assert_int_equal(motet_corpus_read(whole, corpus, w->piece_index, 0, total), 0);
                int64_t first = (int64_t)w->first_bar * 9; /* the pieces have 8 notes a bar */
                int64_t most = total - first < options.window ? total - first : options.window;
                assert_ptr_equal(w->piece, motet_corpus_piece(corpus, w->piece_index));
                assert_int_equal(w->piece->split, MOTET_SPLIT_TRAIN);
                assert_int_equal(w->events[0].type, MOTET_EVENT_BAR);
                assert_memory_equal(w->events, whole + first, (size_t)w->count * sizeof *whole);
                assert_true(w->first_bar == 0 || total - first >= options.window / 2);
                if (i + 1 < batch.window_count) assert_int_equal(w->count, most);
                assert_true(w->count >= 1 && w->count <= most);
                char one[64], two[64];
                motet_corpus_caption(one, 64, corpus, w->piece_index, 0);
                motet_corpus_caption(two, 64, corpus, w->piece_index, 1);
                assert_true(!strcmp(w->caption, one) || !strcmp(w->caption, two));
                sum += w->count;
                free(whole);
            }
            assert_int_equal(batch.rows, options.rows);
            assert_int_equal(sum, options.rows);
        }
        motet_batch_free(&batch);
        motet_loader_free(loader);
    }
}

static int same(const motet_batch *a, const motet_batch *b) {
    if (a->window_count != b->window_count || a->rows != b->rows) return 0;
    for (int i = 0; i < a->window_count; i++)
        if (a->windows[i].piece_index != b->windows[i].piece_index ||
            a->windows[i].first_bar != b->windows[i].first_bar ||
            a->windows[i].count != b->windows[i].count ||
            strcmp(a->windows[i].caption, b->windows[i].caption) != 0 ||
            memcmp(a->windows[i].events, b->windows[i].events,
                   (size_t)a->windows[i].count * sizeof(motet_event)) != 0)
            return 0;
    return 1;
}

static void is_a_pure_function_of_seed_step_and_rank(void **state) {
    (void)state;
    motet_loader_options options = {.rows = 300, .window = 40, .seed = 7};
    motet_loader *first = make(&options), *second = make(&options);
    options.seed = 8;
    motet_loader *other = make(&options);
    motet_batch a = {0}, b = {0};
    for (int step = 9; step >= 0; step--) {
        batch_of(&a, first, step, 1);
        batch_of(&b, second, 9 - step, 0); /* whatever was drawn before has no influence */
        batch_of(&b, second, step, 1);
        assert_true(same(&a, &b));
        batch_of(&b, second, step, 2);
        assert_false(same(&a, &b));
        batch_of(&b, second, step + 1, 1);
        assert_false(same(&a, &b));
        batch_of(&b, other, step, 1);
        assert_false(same(&a, &b));
    }
    assert_int_equal(motet_loader_batch(&a, first, -1, 0), MOTET_E_USAGE);
    assert_int_equal(motet_loader_batch(&a, first, 0, 65536), MOTET_E_USAGE);
    motet_batch_free(&a);
    motet_batch_free(&b);
    motet_loader_free(first);
    motet_loader_free(second);
    motet_loader_free(other);
}

/* Shares of pieces, first bars and captions against what the header promises; five standard
 * deviations, so that a right loader never fails, and a wrong weight does. */
static void draws_what_it_promises(void **state) {
    (void)state;
    const motet_loader_options options = {
        .rows = 2000, .window = 18, .seed = 1, .weights = "alpha:1,BETA:3"};
    motet_loader *loader = make(&options);
    motet_batch batch = {0};
    double windows[PIECES] = {0}, drawn[PIECES] = {0}, total = 0, all = 0, openings = 0, firsts = 0;
    double expected_openings = 0;
    for (int i = 0; i < PIECES; i++) {
        if (i % 5 == 4) continue;
        double count = (double)motet_corpus_event_count(corpus, i);
        windows[i] = (double)(int)((count + 17) / 18) * (i % 2 ? 3 : 1);
        total += windows[i];
    }
    for (int step = 0; step < 100; step++) {
        batch_of(&batch, loader, step, 0);
        for (int i = 0; i < batch.window_count - 1; i++) {
            const motet_window *w = &batch.windows[i];
            int64_t bars = 1, events = motet_corpus_event_count(corpus, w->piece_index);
            while (bars * 9 < events - 1 && events - bars * 9 >= 9)
                bars++;
            expected_openings += .25 + .75 / (double)bars;
            drawn[w->piece_index]++;
            all++;
            openings += w->first_bar == 0;
            firsts += w->caption[0] == 'c';
        }
    }
    for (int i = 0; i < PIECES; i++) {
        double wanted = all * windows[i] / total, spread = 5 * __builtin_sqrt(wanted) + .5;
        if (drawn[i] < wanted - spread || drawn[i] > wanted + spread)
            fail_msg("piece %d: drawn %.0f times, expected %.0f", i, drawn[i], wanted);
    }
    assert_true(__builtin_fabs(openings - expected_openings) < 5 * __builtin_sqrt(all) / 2);
    assert_true(__builtin_fabs(firsts - all / 2) < 5 * __builtin_sqrt(all) / 2);
    motet_batch_free(&batch);
    motet_loader_free(loader);
}

static void joins_corpora_and_splits(void **state) {
    (void)state;
    motet_corpus *both[2] = {corpus, NULL};
    harness_corpus("b.h5", 10, 1);
    assert_int_equal(motet_corpus_open(&both[1], harness_path("b.h5"), 1), MOTET_OK);
    const motet_loader_options options = {
        .split = MOTET_SPLIT_VALID, .rows = 500, .window = 50, .seed = 1, .weights = "beta:0"};
    motet_loader *loader;
    motet_batch batch = {0};
    int second = 0;
    assert_int_equal(motet_loader_make(&loader, both, 2, &options), MOTET_OK);
    for (int step = 0; step < 20; step++) {
        batch_of(&batch, loader, step, 0);
        for (int i = 0; i < batch.window_count; i++) {
            const motet_window *w = &batch.windows[i];
            assert_int_equal(w->piece->split, MOTET_SPLIT_VALID);
            assert_int_equal(w->piece->source, 0);
            second += w->piece != motet_corpus_piece(corpus, w->piece_index);
        }
    }
    assert_true(second > 0);
    motet_batch_free(&batch);
    motet_loader_free(loader);
    motet_corpus_close(both[1]);
}

static void refuses_what_it_cannot_do(void **state) {
    (void)state;
    motet_loader *loader = (motet_loader *)1;
    motet_loader_options options = {.rows = 10, .window = 10, .weights = "gamma:2"};
    assert_int_equal(motet_loader_make(&loader, &corpus, 1, &options), MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "gamma"));
    assert_non_null(strstr(motet_error(), "beta"));
    assert_null(loader);
    static const char *const BAD[] = {"alpha", "alpha:",    "alpha:x",          "alpha:-1",
                                      ":1",    "alpha:1,,", "alpha:1,beta:nan", ":1,bad"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        options.weights = BAD[i];
        if (motet_loader_make(&loader, &corpus, 1, &options) != MOTET_E_USAGE)
            fail_msg("'%s' was accepted", BAD[i]);
    }
    options.weights = "alpha:0,beta:0";
    assert_int_equal(motet_loader_make(&loader, &corpus, 1, &options), MOTET_E_USAGE);
    options = (motet_loader_options){.rows = 0, .window = 10};
    assert_int_equal(motet_loader_make(&loader, &corpus, 1, &options), MOTET_E_USAGE);
    motet_loader_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_batches_exactly),
        cmocka_unit_test(is_a_pure_function_of_seed_step_and_rank),
        cmocka_unit_test(draws_what_it_promises),
        cmocka_unit_test(joins_corpora_and_splits),
        cmocka_unit_test(refuses_what_it_cannot_do),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
