/* sample: its distribution beside one computed in double by sorting, and every promise of its
 * header. Chi-square tests run on fixed seeds, so they cannot flake. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/core/rng.h"
#include "kernels/simd_table.h"
#include "tests/kernels/harness_sample.h"

/* Upper 1e-4 point of chi-square (Wilson & Hilferty 1931). */
static double chi_square_limit(double freedom) {
    const double t = 2.0 / (9.0 * freedom);
    return freedom * pow(1.0 - t + 3.719 * sqrt(t), 3.0);
}

/* Row 0 again in every row. */
static void repeat_row(motet_tensor t) {
    const size_t bytes = (size_t)t.dims[1] * sizeof(float);
    for (int64_t b = 1; b < t.dims[0]; b++)
        memcpy((char *)t.data + (size_t)b * bytes, t.data, bytes);
}

static motet_tensor mask(int64_t rows, int64_t symbols, uint64_t seed, double share) {
    motet_tensor t = op_matrix(MOTET_I32, rows, (symbols + 31) / 32);
    motet_rng rng = motet_rng_make(seed, 3);
    op_fill(t, 0);
    for (int64_t v = 0; v < symbols; v++)
        if ((double)motet_rng_uniform(&rng) < share || v == 1)
            ((int32_t *)t.data)[v / 32] |= (int32_t)(1u << (v % 32));
    repeat_row(t);
    return t;
}

#define BATCH 100

static void test_chi_square(void **state) {
    static const int sizes[] = {5, 24, 49, 256, 700};
    /* softgpu draws a million times more slowly than the GPU that it plays. */
    const int settings = op_on_cpu() ? 40 : 20, draws = op_on_cpu() ? 20000 : 3000;
    for (int setting = 0; setting < settings; setting++) {
        motet_rng rng = motet_rng_make((uint64_t)setting, 77);
        const int64_t symbols = sizes[setting % 5];
        motet_sample_params p = sample_plain;
        p.temperature = 0.5f + motet_rng_uniform(&rng) * 1.2f;
        if (setting & 1) p.top_p = 0.3f + 0.69f * motet_rng_uniform(&rng);
        if (setting & 2) p.top_k = 2 + (int)motet_rng_below(&rng, (uint32_t)symbols);
        if (setting & 4) p.min_p = 0.2f * motet_rng_uniform(&rng);
        if (setting & 8) p.repetition_penalty = 0.7f + motet_rng_uniform(&rng);
        motet_tensor logits = op_matrix(MOTET_F32, BATCH, symbols);
        motet_tensor other = op_none(), legal = op_none(), seen = op_none();
        op_fill_normal(motet_tensor_rows(logits, 0, 1), (uint64_t)setting, 2.0);
        if (setting % 3 == 1) {
            other = op_matrix(MOTET_F32, BATCH, symbols);
            op_fill_normal(motet_tensor_rows(other, 0, 1), (uint64_t)setting + 500, 1.0);
            p.guidance = 0.5f + 2.0f * motet_rng_uniform(&rng);
        }
        repeat_row(logits);
        if (other.data) repeat_row(other);
        if (setting % 4 == 3) legal = mask(BATCH, symbols, (uint64_t)setting, 0.5);
        if (setting & 8) seen = mask(BATCH, symbols, (uint64_t)setting + 9, 0.4);

        double *probability = op_zeros(symbols), *log_prob = op_zeros(symbols), mass;
        double *count = op_zeros(symbols);
        sample_distribution(probability, log_prob, &mass, logits, other, legal, seen, &p);
        motet_sample_params *params = sample_params(BATCH);
        motet_sample_result *results = sample_results(BATCH);
        for (int draw = 0; draw < draws; draw += BATCH) {
            for (int b = 0; b < BATCH; b++) {
                params[b] = p;
                params[b].seed = 12, params[b].stream = (uint64_t)setting;
                params[b].counter = (uint64_t)(draw + b);
            }
            op_ok(op_backend()->sample(results, logits, other, legal, seen, params));
            for (int b = 0; b < BATCH; b++) {
                const int32_t v = results[b].symbol;
                assert_in_range(v, 0, symbols - 1);
                count[v]++;
                assert_true(fabs((double)results[b].log_prob - log_prob[v]) < 2e-5);
                assert_true(fabs((double)results[b].legal_mass - mass) < 1e-5);
            }
        }
        /* Symbols expected less than 5 times share a cell. */
        double chi = 0, rare_count = 0, rare_want = 0;
        int cells = 0;
        for (int64_t v = 0; v < symbols; v++) {
            const double want = probability[v] * draws;
            if (want == 0) {
                if (count[v] != 0) fail_msg("setting %d drew %d, which is out", setting, (int)v);
            } else if (want < 5) {
                rare_count += count[v], rare_want += want;
            } else {
                chi += (count[v] - want) * (count[v] - want) / want, cells++;
            }
        }
        if (rare_want >= 5)
            chi += (rare_count - rare_want) * (rare_count - rare_want) / rare_want, cells++;
        if (cells > 1 && chi > chi_square_limit(cells - 1))
            fail_msg("setting %d: chi-square %g with %d cells", setting, chi, cells);
        assert_int_equal(op_teardown(state), 0);
    }
}

/* The uniform of the header's Philox address decides, so draws can be told in advance. */
static void test_draw_is_inverse_cdf(void **state) {
    (void)state;
    const int rows = 2000;
    motet_tensor logits = op_matrix(MOTET_F32, rows, 50);
    op_fill_normal(motet_tensor_rows(logits, 0, 1), 4, 1.0);
    repeat_row(logits);
    double probability[50], log_prob[50], mass;
    sample_distribution(probability, log_prob, &mass, logits, op_none(), op_none(), op_none(),
                        &sample_plain);
    motet_sample_params *p = sample_params(rows);
    motet_sample_result *results = sample_results(rows);
    for (int b = 0; b < rows; b++)
        p[b].seed = 3, p[b].stream = 4, p[b].counter = (uint64_t)b;
    op_ok(op_backend()->sample(results, logits, op_none(), op_none(), op_none(), p));
    int told = 0;
    for (int b = 0; b < rows; b++) {
        uint32_t words[4];
        motet_philox(3, 4, (uint64_t)b, words);
        const double u = (double)motet_uniform_from_u32(words[0]);
        double sum = 0;
        int v = 0;
        while (v < 49 && (sum += probability[v]) <= u)
            v++;
        if (fabs(sum - u) < 1e-6) continue; /* a tie up to rounding may go either way */
        assert_int_equal(results[b].symbol, v);
        told++;
    }
    assert_true(told > rows - 10);
}

/* Counters of stream 0, seed 0 with a uniform below and above all but a few others. */
static void extreme_counters(uint64_t *lowest, uint64_t *highest) {
    float low = 1, high = 0;
    for (uint64_t counter = 0; counter < 200000; counter++) {
        uint32_t words[4];
        motet_philox(0, 0, counter, words);
        const float u = motet_uniform_from_u32(words[0]);
        if (u < low) low = u, *lowest = counter;
        if (u > high) high = u, *highest = counter;
    }
    assert_true(low < 1e-4f && high > 1 - 1e-4f);
}

/* Which symbols survive, where whole vocabularies and ties make the selection hard. */
static void test_selection(void **state) {
    static const int sizes[] = {1, 33, 256, 257, 1000, 3000, 65536};
    uint64_t lowest = 0, highest = 0;
    extreme_counters(&lowest, &highest);
    for (int i = 0; i < OP_COUNT(sizes); i++) {
        for (int setting = 0; setting < 12; setting++) {
            const int64_t symbols = sizes[i], rows = symbols > 10000 ? 3 : 20;
            motet_tensor logits = op_matrix(MOTET_F32, rows, symbols);
            motet_sample_params *p = sample_params(rows);
            motet_sample_result *results = sample_results(rows);
            /* Coarse values: many ties. */
            op_fill_integers(motet_tensor_rows(logits, 0, 1), (uint64_t)(i * 12 + setting), -6,
                             setting % 2 ? 3 : 40);
            repeat_row(logits);
            for (int64_t b = 0; b < rows; b++) {
                if (setting % 3 != 1) p[b].top_k = 1 + setting * setting * (int)(symbols / 150 + 1);
                if (setting % 3 != 0) p[b].top_p = 0.07f * (float)(setting + 1);
                if (setting % 4 == 2) p[b].min_p = 0.05f;
                p[b].counter = b == 0 ? lowest : b == 1 ? highest : (uint64_t)b;
            }
            double *probability = op_zeros(symbols), *log_prob = op_zeros(symbols), mass;
            sample_distribution(probability, log_prob, &mass, motet_tensor_rows(logits, 0, 1),
                                op_none(), op_none(), op_none(), p);
            op_ok(op_backend()->sample(results, logits, op_none(), op_none(), op_none(), p));
            /* u near 0 takes the first survivor, u near 1 the last. */
            int64_t first = -1, last = -1;
            for (int64_t v = 0; v < symbols; v++)
                if (probability[v] > 0) last = v, first = first < 0 ? v : first;
            for (int64_t b = 0; b < rows; b++)
                if (probability[results[b].symbol] == 0)
                    fail_msg("V %lld, setting %d: %d is out", (long long)symbols, setting,
                             results[b].symbol);
            if (probability[first] > 1e-4) assert_int_equal(results[0].symbol, first);
            if (probability[last] > 1e-4 && rows > 1) assert_int_equal(results[1].symbol, last);
            assert_int_equal(op_teardown(state), 0);
        }
    }
}

/* top_k on equal logits keeps exactly the lowest k symbols; top_p the lowest that reach it. */
static void test_ties_go_to_the_lower(void **state) {
    static const int sizes[] = {64, 1000, 5000};
    uint64_t lowest = 0, highest = 0;
    extreme_counters(&lowest, &highest);
    for (int i = 0; i < 6; i++) {
        const int symbols = sizes[i / 2], rows = symbols > 1000 ? 8 : 300;
        motet_tensor logits = op_matrix(MOTET_F32, rows, symbols);
        motet_tensor legal = op_matrix(MOTET_I32, rows, (symbols + 31) / 32);
        motet_sample_params *p = sample_params(rows);
        motet_sample_result *results = sample_results(rows);
        op_fill(logits, -2.5);
        op_fill(legal, 0);
        for (int b = 0; b < rows; b++) {
            for (int v = 0; v < symbols; v++) /* 32 at the beginning, 8 at the end */
                if (v < 32 || v >= symbols - 8)
                    ((uint32_t *)legal.data)[b * legal.dims[1] + v / 32] |= 1u << v % 32;
            p[b].counter = b == 0 ? lowest : b == 1 ? highest : (uint64_t)b;
            if (i % 2)
                p[b].top_p = 34.5f / 40.0f; /* 35 of 40 */
            else
                p[b].top_k = 35;
        }
        op_ok(op_backend()->sample(results, logits, op_none(), legal, op_none(), p));
        bool hit[35] = {false};
        for (int b = 0; b < rows; b++) {
            const int v = results[b].symbol, rank = v < 32 ? v : v - (symbols - 8) + 32;
            assert_in_range(rank, 0, 34);
            hit[rank] = true;
        }
        assert_int_equal(results[0].symbol, 0);
        assert_int_equal(results[1].symbol, symbols - 8 + 2);
        for (int rank = 0; rank < 35 && rows > 100; rank++)
            assert_true(hit[rank]);
        assert_int_equal(op_teardown(state), 0);
    }
}

static void test_greedy(void **state) {
    (void)state;
    motet_tensor logits = op_matrix(MOTET_F32, 1, 70), legal = op_matrix(MOTET_I32, 1, 3);
    motet_tensor seen = op_matrix(MOTET_I32, 1, 3);
    motet_sample_params *p = sample_params(1);
    motet_sample_result *result = sample_results(1);
    p->temperature = 0;
    op_fill(logits, 0.0);
    op_set(logits, 40, 2.0);
    op_set(logits, 65, 2.0);
    op_set(logits, 3, 9.0);
    op_fill(legal, -1);
    op_ok(op_backend()->sample(result, logits, op_none(), legal, op_none(), p));
    assert_int_equal(result->symbol, 3);
    assert_true(result->legal_mass == 1.0f);
    ((int32_t *)legal.data)[0] &= ~8; /* 3 leaves; 40 and 65 tie */
    op_ok(op_backend()->sample(result, logits, op_none(), legal, op_none(), p));
    assert_int_equal(result->symbol, 40);
    const double rest = 67 + 2 * exp(2.0);
    assert_true(fabs((double)result->legal_mass - rest / (rest + exp(9.0))) < 1e-6);
    assert_true(fabs((double)result->log_prob - (2.0 - log(rest))) < 1e-6);
    op_fill(seen, 0);
    ((int32_t *)seen.data)[1] = 1 << 8; /* 40 was seen, so 65 is larger now */
    p->repetition_penalty = 1.5f;
    op_ok(op_backend()->sample(result, logits, op_none(), legal, seen, p));
    assert_int_equal(result->symbol, 65);
    op_fill(logits, -2.0); /* a negative logit is multiplied */
    op_set(logits, 40, -1.5);
    op_ok(op_backend()->sample(result, logits, op_none(), legal, seen, p));
    assert_int_equal(result->symbol, 0);
}

static void test_guidance(void **state) {
    (void)state;
    motet_tensor logits = op_matrix(MOTET_F32, 1, 4), other = op_matrix(MOTET_F32, 1, 4);
    const double c[] = {1, 2, 0, -1}, u[] = {0, 2.5, 0, 0};
    for (int v = 0; v < 4; v++)
        op_set(logits, v, c[v]), op_set(other, v, u[v]);
    motet_sample_params *p = sample_params(1);
    motet_sample_result *result = sample_results(1);
    p->temperature = 0;
    op_ok(op_backend()->sample(result, logits, other, op_none(), op_none(), p));
    assert_int_equal(result->symbol, 1); /* guidance 1: the conditional logits alone */
    p->guidance = 3;                     /* 3, 1, 0, -3 */
    op_ok(op_backend()->sample(result, logits, other, op_none(), op_none(), p));
    assert_int_equal(result->symbol, 0);
    assert_true(fabs((double)result->log_prob - (3 - log(exp(3) + exp(1) + 1 + exp(-3)))) < 1e-6);
    p->guidance = 0; /* the unconditional ones alone */
    op_ok(op_backend()->sample(result, logits, other, op_none(), op_none(), p));
    assert_int_equal(result->symbol, 1);
}

/* A logit of -infinity is a symbol that the model excludes. */
static void test_infinite(void **state) {
    (void)state;
    motet_tensor logits = op_matrix(MOTET_F32, 1, 3);
    motet_sample_params *p = sample_params(1);
    motet_sample_result *result = sample_results(1);
    op_fill(logits, -INFINITY);
    op_set(logits, 2, -900.0);
    for (p->counter = 0; p->counter < 50; p->counter++) {
        op_ok(op_backend()->sample(result, logits, op_none(), op_none(), op_none(), p));
        assert_int_equal(result->symbol, 2);
        assert_true(result->log_prob == 0.0f);
    }
    op_set(logits, 2, -INFINITY);
    op_fails(op_backend()->sample(result, logits, op_none(), op_none(), op_none(), p),
             MOTET_E_USAGE, "no legal symbol");
    op_set(logits, 2, INFINITY);
    op_fails(op_backend()->sample(result, logits, op_none(), op_none(), op_none(), p),
             MOTET_E_USAGE, "not a number");
    /* A temperature that overflows every quotient still takes the largest. */
    op_fill(logits, 1e30);
    op_set(logits, 1, 2e30);
    p->temperature = 1e-30f;
    op_ok(op_backend()->sample(result, logits, op_none(), op_none(), op_none(), p));
    assert_int_equal(result->symbol, 1);
}

static void test_threads_and_levels(void **state) {
    (void)state;
    const int64_t rows = 64, symbols = 1200;
    motet_tensor logits = op_matrix(MOTET_F32, rows, symbols);
    motet_sample_params p[64];
    motet_sample_result one[64], many[64];
    op_fill_normal(logits, 5, 3.0);
    for (int b = 0; b < rows; b++)
        p[b] = sample_plain, p[b].counter = (uint64_t)b, p[b].top_p = 0.9f;
    op_threads(1);
    op_ok(op_backend()->sample(one, logits, op_none(), op_none(), op_none(), p));
    op_threads(3);
    op_ok(op_backend()->sample(many, logits, op_none(), op_none(), op_none(), p));
    assert_memory_equal(one, many, sizeof one);
    for (motet_simd_level l = MOTET_SIMD_PORTABLE; l < MOTET_SIMD_AVX512; l++) {
        motet_simd_limit(l);
        op_ok(op_backend()->sample(many, logits, op_none(), op_none(), op_none(), p));
        for (int b = 0; b < rows; b++)
            assert_int_equal(one[b].symbol, many[b].symbol);
    }
    motet_simd_limit(MOTET_SIMD_AVX512);
}

/* What a device draws is what the CPU draws: their weights are the same floats, and sums of them
 * are exact, here all but in the last of 53 bits there. */
static void test_same_draws(void **state) {
    /* Among them rows that end in each of the rounds in which a device's lanes walk over them. */
    static const int sizes[] = {2,   24,  60,  70,  100, 131, 165,  200,  230,  256,
                                270, 301, 340, 365, 401, 440, 1000, 1200, 1990, 4500};
    for (int i = 0; i < OP_COUNT(sizes); i++) {
        for (int table = 0; table < 2; table++) {
            const int64_t rows = sizes[i] > 1000 ? 12 : 30, symbols = sizes[i];
            motet_tensor logits = op_matrix(MOTET_F32, rows, symbols);
            motet_tensor other = op_matrix(MOTET_F32, rows, symbols);
            motet_tensor legal = mask(rows, symbols, (uint64_t)i, 0.6);
            motet_tensor seen = mask(rows, symbols, (uint64_t)i + 7, 0.3);
            if (table) {
                op_fill_normal(logits, 1, 2.0);
                op_fill_normal(other, 2, 2.0);
            } else {
                op_fill_integers(logits, 1, -9, 9);
                op_fill_integers(other, 2, -3, 3);
            }
            motet_sample_params *p = sample_params(rows);
            motet_rng rng = motet_rng_make((uint64_t)i, 5);
            for (int64_t b = 0; b < rows; b++) {
                p[b].seed = 5, p[b].stream = ~(uint64_t)i, p[b].counter = (uint64_t)b << 40;
                p[b].temperature = b % 7 ? 0.25f * (float)(1 + motet_rng_below(&rng, 7)) : 0.0f;
                p[b].guidance = 0.5f * (float)motet_rng_below(&rng, 6);
                p[b].repetition_penalty = b % 3 ? 1.0f : 1.25f;
                if (b & 1) p[b].top_k = 1 + (int)motet_rng_below(&rng, (uint32_t)symbols);
                if (b & 2) p[b].top_p = 0.05f + 0.9f * motet_rng_uniform(&rng);
                if (b & 4) p[b].min_p = 0.1f * motet_rng_uniform(&rng);
            }
            motet_sample_result *one = sample_results(rows), *two = sample_results(rows);
            op_ok(motet_cpu_sample(one, logits, other, legal, seen, p));
            op_ok(op_backend()->sample(two, logits, other, legal, seen, p));
            for (int64_t b = 0; b < rows; b++) {
                if (one[b].symbol != two[b].symbol)
                    fail_msg("V %d, table %d, row %d: the CPU draws %d, this %d", sizes[i], table,
                             (int)b, one[b].symbol, two[b].symbol);
                assert_true(fabsf(one[b].log_prob - two[b].log_prob) < 1e-5f);
                assert_true(fabsf(one[b].legal_mass - two[b].legal_mass) < 1e-5f);
            }
            assert_int_equal(op_teardown(state), 0);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        op_test(test_chi_square), op_test(test_draw_is_inverse_cdf),
        op_test(test_selection),  op_test(test_ties_go_to_the_lower),
        op_test(test_greedy),     op_test(test_guidance),
        op_test(test_infinite),   op_test(test_same_draws),
    };
    const struct CMUnitTest on_threads[] = {op_test(test_threads_and_levels)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (op_on_cpu()) failed += cmocka_run_group_tests(on_threads, NULL, NULL);
    return failed;
}
