/* the forward pass over memories of few keys, bf16, as cross-attention has them, which a device
 * keeps on chip: beside a naive reference in double; the CPU twin passes the same. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/kernels/harness_op.h"

#define GAP 77.0

static const int widths[] = {32, 64, 128};

/* Keys and values behind one another in packed rows; a column block between all rows that holds
 * GAP, or NaN where it is read from. */
typedef struct problem {
    motet_attention_spec spec;
    int32_t *q_offsets, *k_offsets;
    int64_t row;
    motet_tensor q, kv, v, out, lse;
} problem;

static problem make_problem(int heads, int width, int sequences, const int *queries,
                            const int *keys) {
    problem p = {.row = (int64_t)heads * width,
                 .spec = {.heads = heads, .width = width, .sequences = sequences}};
    p.q_offsets = op_shared((size_t)(sequences + 1) * sizeof(int32_t));
    p.k_offsets = op_shared((size_t)(sequences + 1) * sizeof(int32_t));
    p.q_offsets[0] = p.k_offsets[0] = 0;
    for (int s = 0; s < sequences; s++) {
        p.q_offsets[s + 1] = p.q_offsets[s] + queries[s];
        p.k_offsets[s + 1] = p.k_offsets[s] + keys[s];
    }
    p.spec.q_offsets = p.q_offsets, p.spec.k_offsets = p.k_offsets;
    p.spec.q_pitch = p.row + 16, p.spec.out_pitch = p.row + 8;
    p.spec.k_pitch = p.spec.v_pitch = 2 * p.row + 24;
    p.q = op_matrix(MOTET_BF16, p.q_offsets[sequences], p.spec.q_pitch);
    p.kv = op_matrix(MOTET_BF16, p.k_offsets[sequences], p.spec.k_pitch);
    p.out = op_matrix(MOTET_BF16, p.q_offsets[sequences], p.spec.out_pitch);
    p.lse = op_matrix(MOTET_F32, p.q_offsets[sequences], heads);
    op_fill_normal(p.q, 1, 1.2);
    op_fill_normal(p.kv, 2, 1.2);
    op_fill(p.out, GAP);
    p.v = p.kv;
    p.v.data = (uint16_t *)p.kv.data + p.row;
    return p;
}

static void run(problem *p) {
    op_ok(op_backend()->attention_forward(p->out, p->lse, p->q, p->kv, p->v, &p->spec));
}

static int64_t key_at(const problem *p, int64_t row, int64_t column) {
    return row * p->spec.k_pitch + column;
}

/* One query of one head: its out [W] and its lse, from the rows k0..k1-1. */
static double refer(const problem *p, double *out, int64_t query, int64_t h, int64_t k0,
                    int64_t k1) {
    const int w = p->spec.width;
    double top = -INFINITY, sum = 0, *weight = op_zeros(k1 - k0 + 1);
    for (int64_t j = k0; j < k1; j++) {
        double dot = 0;
        for (int64_t c = h * w; c < (h + 1) * w; c++)
            dot += op_get(p->q, query * p->spec.q_pitch + c) * op_get(p->kv, key_at(p, j, c));
        weight[j - k0] = dot / sqrt(w);
        top = fmax(top, weight[j - k0]);
    }
    for (int64_t j = 0; j < k1 - k0; j++)
        sum += weight[j] = exp(weight[j] - top);
    for (int c = 0; c < w; c++) {
        out[c] = 0;
        for (int64_t j = k0; j < k1; j++)
            out[c] += weight[j - k0] / sum * op_get(p->kv, key_at(p, j, p->row + h * w + c));
    }
    return k1 > k0 ? top + log(sum) : -INFINITY;
}

/* Every `step`-th query of a sequence, and its last ones, beside the reference. */
static void check(const char *name, problem *p, int64_t step) {
    const int w = p->spec.width, heads = p->spec.heads;
    run(p);
    double error = 0, size = 0, *want = op_zeros(w);
    for (int s = 0; s < p->spec.sequences; s++)
        for (int64_t i = p->q_offsets[s]; i < p->q_offsets[s + 1]; i++) {
            for (int64_t c = p->row; c < p->spec.out_pitch; c++)
                assert_true(op_get(p->out, i * p->spec.out_pitch + c) == GAP);
            if ((i - p->q_offsets[s]) % step && i + 3 < p->q_offsets[s + 1]) continue;
            for (int64_t h = 0; h < heads; h++) {
                const double lse = refer(p, want, i, h, p->k_offsets[s], p->k_offsets[s + 1]);
                const double got = op_get(p->lse, i * heads + h);
                if (!(isinf(lse) ? got == lse : fabs(got - lse) < 1e-5))
                    fail_msg("%s W%d: lse of query %d, head %d is %.9g, want %.9g", name, w, (int)i,
                             (int)h, got, lse);
                for (int c = 0; c < w; c++) {
                    const double e = op_get(p->out, i * p->spec.out_pitch + h * w + c) - want[c];
                    if (!isfinite(e))
                        fail_msg("%s W%d: query %d, head %d is not finite", name, w, (int)i,
                                 (int)h);
                    error += e * e, size += want[c] * want[c];
                }
            }
        }
    if (!(error <= op_limit(MOTET_BF16) * size))
        fail_msg("%s W%d: NMSE %.3g", name, w, error / size);
}

/* Memories of every length, with none, one, and many queries. */
static void test_memories(void **state) {
    int queries[257], keys[257];
    for (int w = 0; w < OP_COUNT(widths); w++) {
        int count = 0;
        for (int n = w; n <= 256; n += op_on_cpu() ? 1 : 3, count++)
            queries[count] = n * 7 % 37, keys[count] = n;
        keys[count - 1] = 256;
        problem p = make_problem(1, widths[w], count, queries, keys);
        check("memory", &p, 5);
        assert_int_equal(op_teardown(state), 0);
    }
}

/* More queries than all of a sequence's blocks have at a time, and sequences enough to fill a
 * device: each warp goes round several times. */
static void test_many(void **state) {
    for (int w = 0; w < OP_COUNT(widths); w++) {
        enum { S = 72 };
        int queries[S], keys[S];
        for (int s = 0; s < S; s++)
            queries[s] = s == 5 ? 700 : s * 29 % 140, keys[s] = s == 9 ? 0 : 1 + s * 37 % 90;
        problem p = make_problem(3, widths[w], S, queries, keys);
        check("many", &p, 41);
        problem few = make_problem(1, widths[w], 2, (int[]){900, 333}, (int[]){65, 31});
        check("few", &few, 97);
        assert_int_equal(op_teardown(state), 0);
    }
}

/* Rows of NaN before and behind each sequence belong to others; so do the columns between. */
static void test_neighbours(void **state) {
    for (int w = 0; w < OP_COUNT(widths); w++) {
        enum { S = 12 };
        const int queries[S] = {3, 1, 21, 1, 40, 2, 5, 16, 1, 17, 1, 1};
        const int keys[S] = {1, 33, 1, 30, 1, 64, 1, 12, 1, 20, 1, 50};
        problem p = make_problem(2, widths[w], S, queries, keys);
        for (int s = 0; s < S; s += 2) { /* whose results are NaN then, and nobody else's */
            op_fill(motet_tensor_rows(p.kv, p.k_offsets[s], keys[s]), NAN);
            op_fill(motet_tensor_rows(p.q, p.q_offsets[s], queries[s]), NAN);
        }
        for (int64_t j = 0; j < p.kv.dims[0]; j++)
            for (int64_t c = 2 * p.row; c < p.kv.dims[1]; c++)
                op_set(p.kv, key_at(&p, j, c), NAN);
        for (int64_t i = 0; i < p.q.dims[0]; i++)
            for (int64_t c = p.row; c < p.q.dims[1]; c++)
                op_set(p.q, i * p.spec.q_pitch + c, NAN);
        run(&p);
        for (int s = 0; s < S; s++)
            for (int64_t i = p.q_offsets[s]; i < p.q_offsets[s + 1]; i++) {
                for (int64_t c = 0; c < p.row; c++)
                    assert_int_equal(isnan(op_get(p.out, i * p.spec.out_pitch + c)) != 0,
                                     s % 2 == 0);
                assert_int_equal(isnan(op_get(p.lse, 2 * i)) != 0, s % 2 == 0);
            }
        assert_int_equal(op_teardown(state), 0);
    }
}

/* Queries and keys that end where their memory does, alone and after others enough to fill a
 * device: what is read behind them is reported. */
static void test_ends(void **state) {
    enum { S = 216 };
    int queries[S], keys[S];
    for (int s = 0; s < S; s++)
        queries[s] = s % 8 == 0, keys[s] = 1 + s % 3;
    for (int w = 0; w < OP_COUNT(widths); w++)
        for (int n = 2; n <= 32; n += 2) {
            problem one = make_problem(1, widths[w], 1, &n, &n);
            check("ends", &one, 4);
            /* In a warp's first round, and in its second. */
            const int rows = widths[w] == 128 ? 16 : 32;
            const bool counts = widths[w] == 128 || n % 4 == 0 || n == 2;
            for (int round = 0; round < 2 && counts && n <= rows; round++) {
                queries[S - 1] = n + round * 4 * rows, keys[S - 1] = n;
                problem many = make_problem(1, widths[w], S, queries, keys);
                check("many end", &many, 16);
            }
            assert_int_equal(op_teardown(state), 0);
        }
}

/* Scores of 0 make every weight 1/64: means of small integers come out exactly. */
static void test_exact(void **state) {
    for (int w = 0; w < OP_COUNT(widths); w++) {
        problem p = make_problem(2, widths[w], 1, (int[]){70}, (int[]){64});
        op_fill(p.q, 0.0);
        op_fill_integers(p.kv, 3, -1, 1);
        run(&p);
        double *want = op_zeros(widths[w]);
        for (int64_t i = 0; i < 70; i++)
            for (int64_t h = 0; h < 2; h++) {
                refer(&p, want, i, h, 0, 64);
                for (int c = 0; c < widths[w]; c++)
                    assert_true(op_get(p.out, i * p.spec.out_pitch + h * widths[w] + c) == want[c]);
            }
        assert_int_equal(op_teardown(state), 0);
    }
}

/* A row gets the same bits alone, in a tile of others, and however many queries there are. */
static void test_same_bits(void **state) {
    for (int w = 0; w < OP_COUNT(widths); w++) {
        enum { S = 54, IT = 7 };
        int queries[S], keys[S];
        for (int s = 0; s < S; s++)
            queries[s] = s == IT ? 130 : 2, keys[s] = s == IT ? 100 : 3;
        problem many = make_problem(2, widths[w], S, queries, keys);
        problem one = make_problem(2, widths[w], 1, (int[]){18}, (int[]){100});
        const int64_t q0 = many.q_offsets[IT], k0 = many.k_offsets[IT];
        memcpy(one.q.data, (uint16_t *)many.q.data + q0 * many.spec.q_pitch,
               18 * (size_t)one.spec.q_pitch * sizeof(uint16_t));
        memcpy(one.kv.data, (uint16_t *)many.kv.data + k0 * many.spec.k_pitch,
               100 * (size_t)one.spec.k_pitch * sizeof(uint16_t));
        run(&many);
        run(&one);
        op_assert_same_bits("alone", motet_tensor_rows(many.out, q0, 18), one.out);
        op_assert_same_bits("lse", motet_tensor_rows(many.lse, q0, 18), one.lse);
        op_fill(one.out, GAP);
        op_ok(op_backend()->attention_forward(one.out, op_none(), one.q, one.kv, one.v, &one.spec));
        op_assert_same_bits("without lse", motet_tensor_rows(many.out, q0, 18), one.out);
        assert_int_equal(op_teardown(state), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        op_test(test_memories), op_test(test_many),  op_test(test_neighbours),
        op_test(test_ends),     op_test(test_exact), op_test(test_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
