#include "tests/kernels/harness_op.h"

#include <math.h>

#include "kernels/core/rng.h"

static bool allowed(motet_tensor legal, int64_t row, int64_t v) {
    if (!legal.data) return true;
    return ((const uint32_t *)legal.data)[row * legal.dims[1] + v / 32] >> (v % 32) & 1u;
}

/* Random masks, in which each row's target (if any) is allowed. */
static motet_tensor masks(motet_tensor targets, int64_t symbols) {
    int64_t rows = targets.dims[0], words = (symbols + 31) / 32;
    motet_tensor legal = op_matrix(MOTET_I32, rows, words);
    uint32_t *bits = legal.data;
    motet_rng rng = motet_rng_make(5, 5);
    for (int64_t i = 0; i < rows * words; i++)
        bits[i] = motet_rng_u32(&rng);
    for (int64_t n = 0; n < rows; n++) {
        int target = (int)op_get(targets, n);
        if (target >= 0) bits[n * words + target / 32] |= 1u << (target % 32);
    }
    return legal;
}

static void reference(double *loss, double *gradient, motet_tensor logits, motet_tensor targets,
                      motet_tensor legal, double scale) {
    int64_t symbols = logits.dims[1];
    for (int64_t n = 0; n < logits.dims[0]; n++) {
        int64_t target = (int64_t)op_get(targets, n);
        if (target < 0) continue;
        double most = -INFINITY, sum = 0;
        for (int64_t v = 0; v < symbols; v++)
            if (allowed(legal, n, v)) most = fmax(most, op_get(logits, n * symbols + v));
        for (int64_t v = 0; v < symbols; v++)
            if (allowed(legal, n, v)) sum += exp(op_get(logits, n * symbols + v) - most);
        loss[n] = log(sum) + most - op_get(logits, n * symbols + target);
        for (int64_t v = 0; v < symbols; v++)
            if (allowed(legal, n, v))
                gradient[n * symbols + v] =
                    scale * (exp(op_get(logits, n * symbols + v) - most) / sum - (v == target));
    }
}

static void parity(int64_t rows, int64_t symbols, motet_dtype type, bool masked) {
    motet_tensor logits = op_matrix(type, rows, symbols), loss = op_vector(MOTET_F32, rows);
    motet_tensor targets = op_vector(MOTET_I32, rows);
    op_fill_normal(logits, 1, 3.0);
    op_fill_integers(targets, 2, -1 - (int)symbols / 8, (int)symbols - 1);
    if (rows > 2) op_set(targets, rows - 1, -1); /* left out, and nothing behind it */
    motet_tensor legal = masked ? masks(targets, symbols) : op_none();
    double *want = op_zeros(rows), *want_gradient = op_zeros(rows * symbols);
    reference(want, want_gradient, logits, targets, legal, 0.25);
    motet_tensor before = op_copy(logits);
    op_ok(op_backend()->cross_entropy(loss, logits, targets, legal, 0));
    op_assert_close("loss", loss, want, op_limit(MOTET_F32));
    op_assert_same_bits("scale 0 leaves the logits", logits, before);
    op_fill(loss, NAN);
    op_ok(op_backend()->cross_entropy(loss, logits, targets, legal, 0.25f));
    op_assert_close("loss", loss, want, op_limit(MOTET_F32));
    op_assert_close("gradient", logits, want_gradient, op_limit(type));
    for (int64_t i = 0; i < rows * symbols; i++) /* exactly 0 where it has no place */
        if (!allowed(legal, i / symbols, i % symbols) || op_get(targets, i / symbols) < 0)
            assert_true(op_get(logits, i) == 0);
    op_teardown(NULL);
}

static void test_parity(void **state) {
    (void)state;
    const int64_t symbols[] = {1, 2, 5, 31, 32, 33, 64, 65, 131, 256, 257, 1024, 2049, 3000};
    for (int r = 0; r < OP_COUNT(op_rows); r++)
        for (int v = 0; v < OP_COUNT(symbols); v++)
            for (int types = 0; types < 4; types++)
                parity(op_rows[r], symbols[v], op_floats[types & 1], types >> 1);
    /* A row that ends in each of the rounds in which a device's lanes walk over it. */
    for (int end = 3; end < 8; end++) {
        for (int types = 0; types < 4; types++) {
            parity(5, end * 32 + 1 + end, op_floats[types & 1], types >> 1);
            parity(5, end * 256 + 200 + end, op_floats[types & 1], types >> 1);
            parity(5, end * 256 - 513, op_floats[types & 1], types >> 1);
            if (end < 7) parity(5, end * 256 + 1400, op_floats[types & 1], types >> 1);
        }
    }
    parity(3, 65536, MOTET_F32, true);
    parity(3, 65536, MOTET_BF16, false);
}

/* Equal logits over 8 allowed symbols: probabilities of 1/8, whatever the others are. */
static void test_exact(void **state) {
    (void)state;
    motet_tensor logits = op_matrix(MOTET_F32, 1, 40), loss = op_vector(MOTET_F32, 1);
    motet_tensor targets = op_vector(MOTET_I32, 1), legal = op_matrix(MOTET_I32, 1, 2);
    double want[40] = {0};
    for (int v = 0; v < 40; v++)
        op_set(logits, v, v % 5 ? 1e30 : 7);
    uint32_t words[2] = {0, 0};
    for (int v = 0; v < 40; v += 5)
        words[v / 32] |= 1u << v % 32, want[v] = 2;
    ((uint32_t *)legal.data)[0] = words[0];
    ((uint32_t *)legal.data)[1] = words[1];
    op_set(targets, 0, 35);
    want[35] = 2 - 16;
    op_ok(op_backend()->cross_entropy(loss, logits, targets, legal, 16));
    op_assert_equal("gradient", logits, want);
    const double want_loss = log(8);
    op_assert_close("loss", loss, &want_loss, op_limit(MOTET_F32));
}

/* Large logits do not overflow; a certain target has loss 0; NaN shows. */
static void test_extremes(void **state) {
    (void)state;
    motet_tensor logits = op_matrix(MOTET_F32, 3, 5), loss = op_vector(MOTET_F32, 3);
    motet_tensor targets = op_vector(MOTET_I32, 3);
    op_fill(logits, -1e30);
    op_set(logits, 1, 1e30);
    op_set(logits, 6, 1e30);
    op_set(logits, 14, NAN);
    const double target[] = {1, 0, 2};
    for (int n = 0; n < 3; n++)
        op_set(targets, n, target[n]);
    op_ok(op_backend()->cross_entropy(loss, logits, targets, op_none(), 1));
    assert_true(op_get(loss, 0) == 0);
    assert_true(op_get(loss, 1) > 1.9e30 && op_get(loss, 1) < 2.1e30);
    assert_true(isnan(op_get(loss, 2)));
    const double want[] = {0, 0, 0, 0, 0, -1, 1, 0, 0, 0};
    for (int i = 0; i < 10; i++)
        assert_true(op_get(logits, i) == want[i]);
    for (int i = 10; i < 15; i++)
        assert_true(isnan(op_get(logits, i)));
}

typedef struct setting {
    motet_tensor logits, targets, legal, loss;
} setting;

static double total(void *context) {
    setting *s = context;
    op_ok(op_backend()->cross_entropy(s->loss, s->logits, s->targets, s->legal, 0));
    double sum = 0;
    for (int64_t n = 0; n < s->loss.dims[0]; n++)
        sum += op_get(s->loss, n);
    return sum;
}

static void test_gradient(void **state) {
    (void)state;
    for (int masked = 0; masked < 2; masked++) {
        motet_tensor targets = op_vector(MOTET_I32, 5);
        op_fill_integers(targets, 2, -5, 12);
        setting s = {op_matrix(MOTET_F32, 5, 13), targets, masked ? masks(targets, 13) : op_none(),
                     op_vector(MOTET_F32, 5)};
        op_fill_normal(s.logits, 1, 1.0);
        motet_tensor gradient = op_copy(s.logits);
        op_ok(op_backend()->cross_entropy(s.loss, gradient, s.targets, s.legal, 1));
        op_assert_gradient("logits", s.logits, gradient, total, &s, 1e-2, 1e-6);
    }
}

static void test_bad_input(void **state) {
    (void)state;
    motet_tensor logits = op_matrix(MOTET_F32, 2, 33), loss = op_vector(MOTET_F32, 2);
    motet_tensor targets = op_vector(MOTET_I32, 2), legal = op_matrix(MOTET_I32, 2, 2);
    op_fill(logits, 1);
    op_fill(targets, 3);
    op_fill(legal, -1);
    op_fails(op_backend()->cross_entropy(loss, logits, targets, op_matrix(MOTET_I32, 2, 1), 1),
             MOTET_E_USAGE, "legal i32 [2,1]");
    op_fails(op_backend()->cross_entropy(op_vector(MOTET_F32, 3), logits, targets, legal, 1),
             MOTET_E_USAGE, "loss f32 [3]");
    op_set(targets, 1, 33);
    op_fails(op_backend()->cross_entropy(loss, logits, targets, legal, 1), MOTET_E_USAGE,
             op_on_cpu() ? "target 33 in row 1" : "row 1 has target 33, beyond the symbols");
    op_set(targets, 1, 32);
    op_set(legal, 3, -2);
    op_fails(op_backend()->cross_entropy(loss, logits, targets, legal, 1), MOTET_E_USAGE,
             op_on_cpu() ? "target 32 in row 1 is not an allowed symbol"
                         : "row 1 has target 32, which its mask does not allow");
    /* The row is untouched; a device does the rows that are right, the CPU none. */
    for (int i = op_on_cpu() ? 0 : 33; i < 66; i++)
        assert_true(op_get(logits, i) == 1);
    assert_true(isnan(op_get(loss, 1)));
}

/* Every kernel of a device, by width, says so; and nothing is done where nothing is there. */
static void test_bad_targets(void **state) {
    (void)state;
    const int64_t symbols[] = {40, 200, 900, 3000};
    for (int i = 0; i < OP_COUNT(symbols); i++) {
        for (int d = 0; d < 2; d++) {
            motet_tensor logits = op_matrix(op_floats[d], 3, symbols[i]);
            motet_tensor loss = op_vector(MOTET_F32, 3), targets = op_vector(MOTET_I32, 3);
            motet_tensor legal = op_matrix(MOTET_I32, 3, (symbols[i] + 31) / 32);
            op_fill(logits, 1);
            op_fill(legal, 1);
            op_fill(targets, 32);
            op_set(targets, 1, 33);
            motet_tensor before = op_copy(logits);
            op_fails(op_backend()->cross_entropy(loss, logits, targets, legal, 1), MOTET_E_USAGE,
                     "target 33");
            op_assert_same_bits("row 1", motet_tensor_rows(logits, 1, 1),
                                motet_tensor_rows(before, 1, 1));
            op_set(targets, 1, (double)symbols[i]);
            op_fails(op_backend()->cross_entropy(loss, logits, targets, op_none(), 1),
                     MOTET_E_USAGE, "target ");
        }
    }
    op_ok(op_backend()->cross_entropy(op_vector(MOTET_F32, 0), op_matrix(MOTET_F32, 0, 9),
                                      op_vector(MOTET_I32, 0), op_none(), 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {op_test(test_parity),    op_test(test_exact),
                                       op_test(test_extremes),  op_test(test_gradient),
                                       op_test(test_bad_input), op_test(test_bad_targets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
