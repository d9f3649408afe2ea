/* attention in bf16 at widths of 32 and more, rows at multiples of 16 bytes: what the device's
 * tensor-core kernels take (forward in two sizes of block, backward). Beside a naive reference in
 * double; the CPU twin passes the same. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/kernels/harness_op.h"

static const int widths[] = {32, 64, 128};

/* q, and k and v behind one another in packed rows; or all three in one row. The gaps hold 77. */
typedef struct problem {
    motet_attention_spec spec;
    int32_t *q_offsets, *k_offsets;
    int64_t queries, keys, row;
    motet_tensor q, k, v, out, lse, dout, dq, dk, dv;
    double *want_out, *want_lse, *want_dq, *want_dk, *want_dv; /* dense */
} problem;

static motet_tensor from_column(motet_tensor t, int64_t column) {
    t.data = (uint16_t *)t.data + column;
    return t;
}

static problem make_problem(int heads, int width, int sequences, const int *queries,
                            const int *keys, bool causal, uint64_t seed) {
    problem p = {.row = (int64_t)heads * width,
                 .spec = {.heads = heads, .width = width, .sequences = sequences}};
    p.spec.causal = causal;
    p.q_offsets = op_shared((size_t)(sequences + 1) * sizeof(int32_t));
    p.k_offsets = op_shared((size_t)(sequences + 1) * sizeof(int32_t));
    p.q_offsets[0] = p.k_offsets[0] = 0;
    for (int s = 0; s < sequences; s++) {
        p.q_offsets[s + 1] = p.q_offsets[s] + queries[s];
        p.k_offsets[s + 1] = p.k_offsets[s] + (keys ? keys : queries)[s];
    }
    p.queries = p.q_offsets[sequences], p.keys = p.k_offsets[sequences];
    p.spec.q_offsets = p.q_offsets, p.spec.k_offsets = p.k_offsets;
    if (!keys) { /* one packed row */
        p.spec.q_pitch = p.spec.k_pitch = p.spec.v_pitch = 3 * p.row + 8;
        motet_tensor qkv = op_matrix(MOTET_BF16, p.queries, p.spec.q_pitch), dqkv = op_copy(qkv);
        op_fill_normal(qkv, seed, 1.2);
        op_fill(dqkv, 77.0);
        p.q = qkv, p.k = from_column(qkv, p.row), p.v = from_column(qkv, 2 * p.row);
        p.dq = dqkv, p.dk = from_column(dqkv, p.row), p.dv = from_column(dqkv, 2 * p.row);
    } else {
        p.spec.q_pitch = p.row + 16, p.spec.k_pitch = p.spec.v_pitch = 2 * p.row;
        p.q = op_matrix(MOTET_BF16, p.queries, p.spec.q_pitch), p.dq = op_copy(p.q);
        motet_tensor kv = op_matrix(MOTET_BF16, p.keys, 2 * p.row), dkv = op_copy(kv);
        op_fill_normal(p.q, seed, 1.2);
        op_fill_normal(kv, seed + 1, 1.2);
        op_fill(p.dq, 77.0);
        op_fill(dkv, 77.0);
        p.k = kv, p.v = from_column(kv, p.row), p.dk = dkv, p.dv = from_column(dkv, p.row);
    }
    p.spec.out_pitch = p.row + 8;
    p.out = op_matrix(MOTET_BF16, p.queries, p.spec.out_pitch);
    p.dout = op_copy(p.out);
    p.lse = op_matrix(MOTET_F32, p.queries, heads);
    op_fill(p.out, 77.0);
    op_fill_normal(p.dout, seed + 2, 1.0);
    return p;
}

/* The columns that count, one row after another. */
static double *dense(motet_tensor t, int64_t rows, int64_t pitch, const problem *p) {
    double *d = op_zeros(rows * p->row + 1);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < p->row; c++)
            d[i * p->row + c] = op_get(t, i * pitch + c);
    return d;
}

static void refer_head(problem *p, const double *q, const double *k, const double *v,
                       const double *dout, double *weight, int s, int h) {
    const int64_t q0 = p->q_offsets[s], nq = p->q_offsets[s + 1] - q0, row = p->row;
    const int64_t k0 = p->k_offsets[s], nk = p->k_offsets[s + 1] - k0;
    const int w = p->spec.width;
    const double scale = 1.0 / sqrt(w);
    for (int64_t i = 0; i < nq; i++) {
        int64_t seen = p->spec.causal ? i + 1 + nk - nq : nk;
        seen = seen < 0 ? 0 : seen;
        const int64_t qi = (q0 + i) * row + h * w;
        double top = -INFINITY, sum = 0, delta = 0;
        for (int64_t j = 0; j < seen; j++) {
            double dot = 0;
            for (int c = 0; c < w; c++)
                dot += q[qi + c] * k[(k0 + j) * row + h * w + c];
            weight[j] = dot * scale;
            top = fmax(top, weight[j]);
        }
        for (int64_t j = 0; j < seen; j++)
            sum += weight[j] = exp(weight[j] - top);
        p->want_lse[(q0 + i) * p->spec.heads + h] = seen ? top + log(sum) : -INFINITY;
        for (int64_t j = 0; j < seen; j++)
            for (int c = 0; c < w; c++)
                p->want_out[qi + c] += weight[j] / sum * v[(k0 + j) * row + h * w + c];
        for (int c = 0; c < w; c++)
            delta += p->want_out[qi + c] * dout[qi + c];
        for (int64_t j = 0; j < seen; j++) {
            const int64_t kj = (k0 + j) * row + h * w;
            double dp = 0;
            for (int c = 0; c < w; c++) {
                dp += dout[qi + c] * v[kj + c];
                p->want_dv[kj + c] += weight[j] / sum * dout[qi + c];
            }
            const double ds = weight[j] / sum * (dp - delta) * scale;
            for (int c = 0; c < w; c++) {
                p->want_dq[qi + c] += ds * k[kj + c];
                p->want_dk[kj + c] += ds * q[qi + c];
            }
        }
    }
}

static void refer(problem *p) {
    const motet_attention_spec *s = &p->spec;
    const double *q = dense(p->q, p->queries, s->q_pitch, p);
    const double *k = dense(p->k, p->keys, s->k_pitch, p);
    const double *v = dense(p->v, p->keys, s->v_pitch, p);
    const double *dout = dense(p->dout, p->queries, s->out_pitch, p);
    double *weight = op_zeros(p->keys + 1);
    p->want_out = op_zeros(p->queries * p->row + 1), p->want_dq = op_zeros(p->queries * p->row + 1);
    p->want_dk = op_zeros(p->keys * p->row + 1), p->want_dv = op_zeros(p->keys * p->row + 1);
    p->want_lse = op_zeros(p->queries * s->heads + 1);
    for (int n = 0; n < s->sequences; n++)
        for (int h = 0; h < s->heads; h++)
            refer_head(p, q, k, v, dout, weight, n, h);
}

static void run(problem *p) {
    op_ok(op_backend()->attention_forward(p->out, p->lse, p->q, p->k, p->v, &p->spec));
    op_ok(op_backend()->attention_backward(p->dq, p->dk, p->dv, p->dout, p->out, p->lse, p->q, p->k,
                                           p->v, &p->spec));
}

/* The rows as a tensor without gaps. */
static motet_tensor packed(motet_tensor t, int64_t rows, int64_t pitch, const problem *p) {
    motet_tensor to = op_matrix(MOTET_BF16, rows, p->row);
    for (int64_t i = 0; i < rows; i++)
        memcpy((uint16_t *)to.data + i * p->row, (const uint16_t *)t.data + i * pitch,
               (size_t)p->row * sizeof(uint16_t));
    return to;
}

static void check_gaps(const problem *p) {
    const motet_attention_spec *s = &p->spec;
    const bool apart = s->q_pitch < 3 * p->row; /* k and v have no gap then */
    for (int64_t i = 0; i < p->queries; i++) {
        for (int64_t c = p->row; c < s->out_pitch; c++)
            assert_true(op_get(p->out, i * s->out_pitch + c) == 77.0);
        for (int64_t c = apart ? p->row : 3 * p->row; c < s->q_pitch; c++)
            assert_true(op_get(p->dq, i * s->q_pitch + c) == 77.0);
    }
}

static void check_finite(motet_tensor t, int64_t rows, int64_t pitch, const problem *p) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < p->row; c++)
            assert_true(isfinite(op_get(t, i * pitch + c)));
}

/* In f32 sums all but the last digits are right; bf16 rounds out, and the weights before it. The
 * gradients have delta from the rounded out, and rounded weights and slopes. Where all keys have
 * much in common, and slopes sum to 0, that leaves nothing of dq and dk (steep): there they need
 * only be finite. */
static void check_problem_of(const char *name, problem *p, bool steep) {
    char what[160];
    const motet_attention_spec *s = &p->spec;
    refer(p);
    run(p);
#define CLOSE(field, tensor, limit)                                                               \
    snprintf(what, sizeof what, "%s H%d W%d S%d queries %lld causal %d: " #field, name, s->heads, \
             s->width, s->sequences, (long long)p->queries, s->causal);                           \
    op_assert_close(what, tensor, p->want_##field, limit)
    CLOSE(out, packed(p->out, p->queries, s->out_pitch, p), op_limit(MOTET_BF16));
    CLOSE(lse, p->lse, 1e-11);
    CLOSE(dv, packed(p->dv, p->keys, s->v_pitch, p), 2e-5);
    check_gaps(p);
    if (steep) {
        check_finite(p->dq, p->queries, s->q_pitch, p);
        check_finite(p->dk, p->keys, s->k_pitch, p);
        return;
    }
    CLOSE(dq, packed(p->dq, p->queries, s->q_pitch, p), 2e-5);
    CLOSE(dk, packed(p->dk, p->keys, s->k_pitch, p), 2e-5);
#undef CLOSE
}

static void check_problem(const char *name, problem *p) {
    check_problem_of(name, p, false);
}

static void test_lengths(void **state) {
    static const int lengths[] = {1, 17, 64, 129, 512};
    for (int w = 0; w < OP_COUNT(widths); w++)
        for (int i = 0; i < OP_COUNT(lengths); i++)
            for (int causal = 0; causal < 2; causal++) {
                problem p = make_problem(lengths[i] == 512 ? 1 : 3, widths[w], 1, &lengths[i], NULL,
                                         causal, 11);
                check_problem("self", &p);
                assert_int_equal(op_teardown(state), 0);
            }
}

static void test_long(void **state) {
    (void)state;
    problem p = make_problem(1, 64, 1, (int[]){2049}, NULL, true, 5);
    check_problem("long", &p);
}

/* Sequences of any length, none among them; queries without keys, keys without queries. */
static void test_ragged(void **state) {
    static const int queries[] = {5, 0, 129, 64, 1, 33, 2}, keys[] = {20, 3, 0, 65, 256, 97, 40};
    for (int w = 0; w < OP_COUNT(widths); w++)
        for (int causal = 0; causal < 2; causal++) {
            problem self = make_problem(2, widths[w], 7, keys, NULL, causal, 21);
            check_problem("ragged", &self);
            problem cross = make_problem(3, widths[w], 7, queries, keys, causal, 22);
            check_problem("cross", &cross);
            assert_int_equal(op_teardown(state), 0);
        }
}

/* Enough blocks of 128 queries for every multiprocessor: the forward pass takes those then. */
static void test_many(void **state) {
    int queries[48], keys[48];
    for (int s = 0; s < 48; s++)
        queries[s] = s * 29 % 131, keys[s] = s * 37 % 90;
    queries[7] = 130, keys[7] = 0; /* a block that sees nothing */
    for (int w = 0; w < OP_COUNT(widths); w++) {
        problem p = make_problem(3, widths[w], 48, queries, keys, w != 2, 31);
        check_problem("many", &p);
        assert_int_equal(op_teardown(state), 0);
    }
}

/* Memories of 1 to 256 keys. */
static void test_memories(void **state) {
    int queries[256], keys[256];
    for (int w = 0; w < OP_COUNT(widths); w++) {
        int count = 0;
        for (int n = 1 + w; n <= 256; n += 3, count++)
            queries[count] = 1 + n * 5 % 13, keys[count] = n;
        problem p = make_problem(1, widths[w], count, queries, keys, false, 41);
        check_problem("memory", &p);
        assert_int_equal(op_teardown(state), 0);
    }
}

static void test_nothing_seen(void **state) {
    for (int w = 0; w < OP_COUNT(widths); w++) {
        /* Of 150 queries the first 140 see none of 10 keys, the last of them not even a tile. */
        problem p = make_problem(2, widths[w], 2, (int[]){150, 3}, (int[]){10, 0}, true, 51);
        check_problem("nothing", &p);
        for (int i = 0; i < 153; i += i == 139 ? 11 : 1) {
            for (int h = 0; h < 2; h++)
                assert_true(op_get(p.lse, i * 2 + h) == -INFINITY);
            for (int64_t c = 0; c < p.row; c++) {
                assert_true(op_get(p.out, i * p.spec.out_pitch + c) == 0.0);
                assert_true(op_get(p.dq, i * p.spec.q_pitch + c) == 0.0);
            }
        }
        assert_int_equal(op_teardown(state), 0);
    }
}

/* Scores of 0 make every weight 1/64: means of small integers come out exactly. */
static void test_exact(void **state) {
    (void)state;
    for (int w = 0; w < OP_COUNT(widths); w++) {
        problem p = make_problem(1, widths[w], 1, (int[]){70}, (int[]){64}, false, 1);
        op_fill(p.q, 0.0);
        op_fill_integers(p.k, 3, -1, 1); /* and of v, which is in its rows */
        refer(&p);
        op_ok(op_backend()->attention_forward(p.out, p.lse, p.q, p.k, p.v, &p.spec));
        op_assert_equal("means", packed(p.out, 70, p.spec.out_pitch, &p), p.want_out);
    }
}

/* Every query has the same scores: `rise` more (in powers of 2) with every 32 keys up to the
 * middle, then less again. Sums are rescaled, or not, and either way right. Values are positive:
 * weights that are all rounded one way then cost no more than a rounding of out. */
static void test_rising(void **state) {
    static const double rises[] = {3, 7.9, 8.1, 30, -6};
    for (int w = 0; w < OP_COUNT(widths); w++)
        for (int r = 0; r < OP_COUNT(rises); r++) {
            problem p = make_problem(1, widths[w], 1, (int[]){20}, (int[]){400}, false, 61);
            for (int64_t i = 0; i < 20; i++)
                for (int c = 0; c < widths[w]; c++)
                    op_set(p.q, i * p.spec.q_pitch + c, c == i % 16 ? 16.0 : 0.0);
            for (int64_t j = 0; j < 400; j++) {
                const double step = (double)(j < 200 ? j / 32 : 12 - j / 32) * rises[r];
                for (int c = 0; c < widths[w]; c++)
                    op_set(p.v, j * p.spec.v_pitch + c, 1.0 + (double)((7 * j + 3 * c) % 9));
                for (int c = 0; c < widths[w]; c++)
                    op_set(p.k, j * p.spec.k_pitch + c,
                           (step + (double)((j + c) % 5)) * log(2.0) * sqrt(widths[w]) / 16.0);
            }
            check_problem_of("rising", &p, true);
            assert_int_equal(op_teardown(state), 0);
        }
}

/* Far apart scores: no overflow, neither in weights nor where keys end within a tile. */
static void test_large_scores(void **state) {
    for (int w = 0; w < OP_COUNT(widths); w++) {
        problem p = make_problem(1, widths[w], 1, (int[]){40}, (int[]){150}, false, 71);
        op_fill(p.q, 24.0);
        for (int64_t j = 0; j < 150; j++) /* all below -128 powers of 2 */
            for (int c = 0; c < widths[w]; c++)
                op_set(p.k, j * p.spec.k_pitch + c, -4.0 - (double)(j * 7 % 150) / 64.0);
        check_problem_of("low", &p, true);
        op_fill_normal(p.q, 72, 60.0);
        check_problem_of("far apart", &p, true);
        assert_int_equal(op_teardown(state), 0);
    }
}

static void test_nan_shows(void **state) {
    (void)state;
    problem p = make_problem(1, 64, 2, (int[]){20, 9}, NULL, true, 3);
    op_set(p.k, 12 * p.spec.k_pitch + 3, NAN);
    op_ok(op_backend()->attention_forward(p.out, p.lse, p.q, p.k, p.v, &p.spec));
    for (int i = 0; i < 29; i++) { /* every query that sees key 12, and no other */
        assert_int_equal(isnan(op_get(p.out, i * p.spec.out_pitch)) != 0, i >= 12 && i < 20);
        assert_int_equal(isnan(op_get(p.lse, i)) != 0, i >= 12 && i < 20);
    }
}

/* The same bits again, and for a sequence alone what it gets in a batch. */
static void test_same_bits(void **state) {
    static const int lengths[] = {70, 200, 31};
    for (int w = 0; w < OP_COUNT(widths); w++) {
        problem p = make_problem(2, widths[w], 3, lengths, NULL, true, 81), again = p;
        run(&p);
        again.out = op_copy(p.out), again.lse = op_copy(p.lse), again.dq = op_copy(p.dq);
        again.dk = from_column(again.dq, p.row), again.dv = from_column(again.dq, 2 * p.row);
        op_fill(again.out, 77.0);
        op_fill(again.dq, 77.0);
        op_fill(again.lse, 0.0);
        run(&again);
        op_assert_same_bits("out again", p.out, again.out);
        op_assert_same_bits("lse again", p.lse, again.lse);
        op_assert_same_bits("gradients again", p.dq, again.dq);
        op_fill(again.out, 77.0);
        op_ok(op_backend()->attention_forward(again.out, op_none(), p.q, p.k, p.v, &p.spec));
        op_assert_same_bits("out without lse", p.out, again.out);
        problem alone = make_problem(2, widths[w], 1, lengths + 1, NULL, true, 82);
        memcpy(alone.q.data, (uint16_t *)p.q.data + 70 * p.spec.q_pitch,
               200 * (size_t)p.spec.q_pitch * sizeof(uint16_t));
        memcpy(alone.dout.data, (uint16_t *)p.dout.data + 70 * p.spec.out_pitch,
               200 * (size_t)p.spec.out_pitch * sizeof(uint16_t));
        run(&alone);
        op_assert_same_bits("out alone", motet_tensor_rows(p.out, 70, 200), alone.out);
        op_assert_same_bits("gradients alone", motet_tensor_rows(p.dq, 70, 200), alone.dq);
        assert_int_equal(op_teardown(state), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        op_test(test_lengths),   op_test(test_long),      op_test(test_ragged),
        op_test(test_many),      op_test(test_memories),  op_test(test_nothing_seen),
        op_test(test_exact),     op_test(test_rising),    op_test(test_large_scores),
        op_test(test_nan_shows), op_test(test_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
