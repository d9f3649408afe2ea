/* sample where a cut falls: in each of the rounds in which a device's warps walk over a row, on the
 * last bit of a logit, on a share that weights reach exactly. Expected symbols are told by hand. */
#include <math.h>
#include <string.h>

#include "kernels/core/rng.h"
#include "kernels/sample.h"
#include "tests/kernels/harness_sample.h"

/* One for each kernel of a device, and rounds that a loop of four does not divide. */
static const int sizes[] = {64, 256, 1024, 4096, 7680, 8192};

typedef struct batch {
    int rows;
    motet_tensor logits, legal, seen; /* masks: none */
    motet_sample_params *params;
    motet_sample_result *results;
} batch;

/* Uniform near 1: the last symbol that is left. */
static uint64_t highest_counter(void) {
    static uint64_t highest;
    float high = 0;
    for (uint64_t counter = 0; !highest && counter < 200000; counter++) {
        uint32_t words[4];
        motet_philox(0, 0, counter, words);
        high = motet_uniform_from_u32(words[0]);
        if (high > 1 - 2e-5f) highest = counter;
    }
    assert_true(highest != 0);
    return highest;
}

static batch make(int rows, int symbols, double logit) {
    batch m = {.rows = rows, .logits = op_matrix(MOTET_F32, rows, symbols)};
    op_fill(m.logits, logit);
    m.params = sample_params(rows);
    m.results = sample_results(rows);
    for (int b = 0; b < rows; b++)
        m.params[b].counter = highest_counter();
    return m;
}

static motet_tensor no_bits(batch *m) {
    motet_tensor bits = op_matrix(MOTET_I32, m->rows, (m->logits.dims[1] + 31) / 32);
    op_fill(bits, 0);
    return bits;
}
static void set_bit(motet_tensor bits, int row, int symbol) {
    ((uint32_t *)bits.data)[row * bits.dims[1] + symbol / 32] |= 1u << symbol % 32;
}

static void draw(batch *m) {
    op_ok(op_backend()->sample(m->results, m->logits, op_none(), m->legal, m->seen, m->params));
}

/* Equal weights, and a number or a share of them: so many stay. */
static void test_equal(void **state) {
    for (int i = 0; i < OP_COUNT(sizes); i++) {
        const int symbols = sizes[i];
        batch m = make(18, symbols, 1.0);
        int cuts[18];
        for (int b = 0; b < 18; b++) {
            cuts[b] = b % 9 * 32 + 16 + (symbols > 256 ? symbols / 2 : 0);
            if (b % 9 == 8 || cuts[b] > symbols) cuts[b] = symbols - 16;
            if (b < 9)
                m.params[b].top_k = cuts[b];
            else
                m.params[b].top_p = (float)((double)cuts[b] / symbols);
        }
        draw(&m);
        for (int b = 0; b < 18; b++)
            if (b < 9 || (symbols & (symbols - 1)) == 0) /* exact only with a power of two */
                assert_int_equal(m.results[b].symbol, cuts[b] - 1);
        assert_int_equal(op_teardown(state), 0);
    }
}

/* Odd symbols are above even ones by the last bit alone: all odd ones stay, and the first of the
 * even ones, up to each round of a warp. Weights are equal: one symbol more or less shifts the
 * draw. The third part of the rows is cut twice, by number and then by share. */
static void test_last_bit(void **state) {
    for (int i = 0; i < OP_COUNT(sizes); i++) {
        const int symbols = sizes[i];
        if (symbols == 8192) continue; /* the kernel of 7680 */
        const int rounds = symbols == 64 ? 2 : symbols > 4096 ? symbols / 512 : 8;
        const int before = symbols <= 256 ? 0 : symbols > 4096 ? symbols / 32 : 128; /* of a warp */
        batch m = make(3 * rounds, symbols, 0.0);
        for (int b = 0; b < m.rows; b++) {
            motet_sample_params *p = &m.params[b];
            for (int v = 1; v < symbols; v += 2)
                ((float *)m.logits.data)[b * symbols + v] = 0x1p-149f;
            const int even = before + b % rounds * 16 + 8, cut = symbols / 2 + even;
            if (b < rounds || b >= 2 * rounds) p->top_k = b < rounds ? cut : cut + 4;
            if (b >= rounds) p->top_p = (float)((cut - 0.5) / (b < 2 * rounds ? symbols : cut + 4));
            p->counter = (uint64_t)b;
        }
        draw(&m);
        for (int b = 0; b < m.rows; b++) {
            const int even = before + b % rounds * 16 + 8, cut = symbols / 2 + even;
            uint32_t words[4];
            motet_philox(0, 0, (uint64_t)b, words);
            const int rank = (int)((uint64_t)(words[0] >> 8) * (uint64_t)cut >> 24);
            const int want = rank < 2 * even ? rank : 2 * (rank - even) + 1;
            assert_int_equal(m.results[b].symbol, want);
        }
        assert_int_equal(op_teardown(state), 0);
    }
}

/* Two symbols alone, and a share that one of them is: the lower one stays. */
static void test_pair(void **state) {
    for (int i = 0; i < OP_COUNT(sizes); i++) {
        const int rows = sizes[i] == 64 ? 2 : 8;
        batch m = make(rows, sizes[i], 1.0);
        m.legal = no_bits(&m);
        for (int b = 0; b < rows; b++) {
            set_bit(m.legal, b, 3);
            set_bit(m.legal, b, 32 * b + 7);
            m.params[b].top_p = 0.5f;
        }
        draw(&m);
        for (int b = 0; b < rows; b++)
            assert_int_equal(m.results[b].symbol, 3);
        assert_int_equal(op_teardown(state), 0);
    }
}

/* The largest logit in each round: where nothing before it weighs anything. */
static void test_greedy_rounds(void **state) {
    for (int i = 0; i < OP_COUNT(sizes); i++) {
        const int symbols = sizes[i], first = symbols > 1024 ? symbols / 2 : 0;
        const int rows = symbols == 64 ? 2 : 8;
        batch m = make(rows, symbols, 0.0);
        for (int b = 0; b < rows; b++) {
            m.params[b].temperature = 0;
            op_set(m.logits, b * symbols + first + 32 * b + 7, 1.0);
        }
        draw(&m);
        for (int b = 0; b < rows; b++)
            assert_int_equal(m.results[b].symbol, first + 32 * b + 7);
        assert_int_equal(op_teardown(state), 0);
    }
}

/* Two symbols that are a power of two apart: the second is drawn. */
static void test_two_symbols(void **state) {
    for (int i = 0; i < OP_COUNT(sizes); i++) {
        batch m = make(5, sizes[i], 0.0);
        m.legal = no_bits(&m);
        for (int b = 0; b < 5; b++) {
            set_bit(m.legal, b, 0);
            set_bit(m.legal, b, 1 << b);
        }
        draw(&m);
        for (int b = 0; b < 5; b++)
            assert_int_equal(m.results[b].symbol, 1 << b);
        assert_int_equal(op_teardown(state), 0);
    }
}

/* min_p counts from the largest logit after the penalty, not before it. */
static void test_penalised_top(void **state) {
    for (int i = 0; i < OP_COUNT(sizes); i++) {
        batch m = make(1, sizes[i], 0.0);
        m.seen = no_bits(&m);
        set_bit(m.seen, 0, 5);
        op_set(m.logits, 5, 4.0);
        m.params->repetition_penalty = 2;
        m.params->min_p = 0.2f; /* exp(-2) = 0.14 */
        draw(&m);
        assert_int_equal(m.results->symbol, 5);
        assert_int_equal(op_teardown(state), 0);
    }
}

/* Weights of 1, 1/2 and 1/4, and a top_p of what the ones alone weigh: the ones alone stay. */
static void test_reached(void **state) {
    const float half = -0x1.62e43p-1f; /* times log2(e), rounded: -1; twice that: -2 */
    for (int i = 0; i < OP_COUNT(sizes); i++) {
        batch m = make(1, sizes[i], -INFINITY);
        for (int v = 0; v < 39; v++) /* 8 + 1/2 + 30/4 = 16 */
            op_set(m.logits, v, v < 8 ? 0 : v == 8 ? half : 2 * half);
        m.params->top_p = 0.5f;
        draw(&m);
        assert_int_equal(m.results->symbol, 7);
        assert_int_equal(op_teardown(state), 0);
    }
}

/* Rows of whole words, so that masks end with the last symbol, in each round. */
static void test_whole_words(void **state) {
    static const int bases[] = {0, 256, 1024, 4096};
    for (int i = 0; i < OP_COUNT(bases); i++) {
        for (int symbols = bases[i] + 32; symbols <= bases[i] + 256; symbols += 32) {
            batch m = make(2, symbols, 0.0);
            motet_tensor other = op_copy(m.logits);
            op_fill_normal(m.logits, 1, 2.0);
            op_fill_normal(other, 2, 2.0);
            m.legal = no_bits(&m);
            m.seen = no_bits(&m);
            for (int v = 0; v < 2 * symbols; v++) {
                if (v % 3) set_bit(m.legal, v / symbols, v % symbols);
                if (v % 5 == 0) set_bit(m.seen, v / symbols, v % symbols);
            }
            for (int b = 0; b < 2; b++) {
                m.params[b].guidance = 2;
                m.params[b].repetition_penalty = 1.25f;
                m.params[b].counter = (uint64_t)b;
            }
            motet_sample_result cpu[2];
            op_ok(motet_cpu_sample(cpu, m.logits, other, m.legal, m.seen, m.params));
            op_ok(op_backend()->sample(m.results, m.logits, other, m.legal, m.seen, m.params));
            for (int b = 0; b < 2; b++)
                assert_int_equal(m.results[b].symbol, cpu[b].symbol);
            assert_int_equal(op_teardown(state), 0);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {op_test(test_equal),         op_test(test_last_bit),
                                       op_test(test_greedy_rounds), op_test(test_pair),
                                       op_test(test_two_symbols),   op_test(test_penalised_top),
                                       op_test(test_reached),       op_test(test_whole_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
