/* attention, forward and backward, beside naive loops in double; on the CPU at every instruction
 * set that this machine has. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/simd_table.h"
#include "tests/kernels/harness_op.h"

static const motet_simd_level levels[] = {MOTET_SIMD_PORTABLE, MOTET_SIMD_AVX2, MOTET_SIMD_AVX512};

/* On the CPU each instruction set that is there; a device once. */
static bool use_level(int l) {
    return op_on_cpu() ? motet_simd_limit(levels[l]) == levels[l] : l == 0;
}

#define GAP 0x1p-20

/* One problem: q, k and v in packed rows of their own pitches, and what the reference says. */
typedef struct problem {
    motet_attention_spec spec;
    int32_t *q_offsets, *k_offsets; /* [sequences + 1] */
    int64_t queries, keys;          /* rows in all */
    motet_tensor q, k, v, out, lse, dout, dq, dk, dv;
    double *want_out, *want_lse, *want_dq, *want_dk, *want_dv;
} problem;

/* An output before it is written: columns between rows belong to somebody else, and what is there
 * must stay. It is small, so that it does not count as something to be near to. In columns of the
 * heads is NaN, so that a row that is left out shows, however small it should be. */
static void fill_unwritten(motet_tensor t, int64_t row) {
    for (int64_t i = 0; i < motet_tensor_count(t); i++)
        op_set(t, i, i % t.dims[1] < row ? (double)NAN : GAP);
}

static problem make_problem(motet_dtype dtype, int heads, int width, int sequences,
                            const int *queries, const int *keys, bool causal, uint64_t seed) {
    problem p = {
        .spec = {.heads = heads, .width = width, .sequences = sequences, .causal = causal}};
    p.q_offsets = op_shared((size_t)(sequences + 1) * sizeof(int32_t));
    p.k_offsets = op_shared((size_t)(sequences + 1) * sizeof(int32_t));
    p.q_offsets[0] = p.k_offsets[0] = 0;
    for (int s = 0; s < sequences; s++) {
        p.q_offsets[s + 1] = p.q_offsets[s] + queries[s];
        p.k_offsets[s + 1] = p.k_offsets[s] + keys[s];
    }
    p.queries = p.q_offsets[sequences], p.keys = p.k_offsets[sequences];
    p.spec.q_offsets = p.q_offsets, p.spec.k_offsets = p.k_offsets;
    const int64_t row = heads * width;
    p.spec.q_pitch = row + 5, p.spec.k_pitch = row, p.spec.v_pitch = row + 32;
    p.spec.out_pitch = row + 3;
    p.q = op_matrix(dtype, p.queries, p.spec.q_pitch);
    p.k = op_matrix(dtype, p.keys, p.spec.k_pitch);
    p.v = op_matrix(dtype, p.keys, p.spec.v_pitch);
    p.out = op_matrix(dtype, p.queries, p.spec.out_pitch);
    p.dout = op_matrix(dtype, p.queries, p.spec.out_pitch);
    p.lse = op_matrix(MOTET_F32, p.queries, heads);
    p.dq = op_matrix(dtype, p.queries, p.spec.q_pitch);
    p.dk = op_matrix(dtype, p.keys, p.spec.k_pitch);
    p.dv = op_matrix(dtype, p.keys, p.spec.v_pitch);
    op_fill_normal(p.q, seed, 1.5);
    op_fill_normal(p.k, seed + 1, 1.5);
    op_fill_normal(p.v, seed + 2, 1.0);
    op_fill_normal(p.dout, seed + 3, 1.0);
    fill_unwritten(p.out, row);
    fill_unwritten(p.dq, row);
    fill_unwritten(p.dk, row);
    fill_unwritten(p.dv, row);
    return p;
}

static void refer(problem *p) {
    const motet_attention_spec *s = &p->spec;
    const int w = s->width;
    const double scale = 1.0 / sqrt(w);
    double *q = op_doubles(p->q), *k = op_doubles(p->k), *v = op_doubles(p->v);
    double *dout = op_doubles(p->dout), *weight = op_zeros(p->keys + 1);
    p->want_out = op_doubles(p->out), p->want_lse = op_zeros(p->queries * s->heads);
    p->want_dq = op_doubles(p->dq), p->want_dk = op_doubles(p->dk), p->want_dv = op_doubles(p->dv);
    for (int64_t h = 0; h < s->heads; h++) {
        for (int64_t i = 0; i < p->queries; i++)
            for (int c = 0; c < w; c++)
                p->want_dq[i * s->q_pitch + h * w + c] = 0;
        for (int64_t j = 0; j < p->keys; j++)
            for (int c = 0; c < w; c++)
                p->want_dk[j * s->k_pitch + h * w + c] = p->want_dv[j * s->v_pitch + h * w + c] = 0;
    }
    for (int n = 0; n < s->sequences; n++) {
        const int64_t q0 = p->q_offsets[n], nq = p->q_offsets[n + 1] - q0;
        const int64_t k0 = p->k_offsets[n], nk = p->k_offsets[n + 1] - k0;
        for (int h = 0; h < s->heads; h++) {
            for (int64_t i = 0; i < nq; i++) {
                int64_t seen = s->causal ? i + 1 + nk - nq : nk;
                seen = seen < 0 ? 0 : seen;
                const double *qi = q + (q0 + i) * s->q_pitch + h * w;
                const double *gi = dout + (q0 + i) * s->out_pitch + h * w;
                double *out = p->want_out + (q0 + i) * s->out_pitch + h * w;
                double *dq = p->want_dq + (q0 + i) * s->q_pitch + h * w;
                double top = -INFINITY, sum = 0, delta = 0;
                for (int64_t j = 0; j < seen; j++) {
                    double dot = 0;
                    for (int c = 0; c < w; c++)
                        dot += qi[c] * k[(k0 + j) * s->k_pitch + h * w + c];
                    weight[j] = dot * scale;
                    top = weight[j] > top ? weight[j] : top;
                }
                for (int64_t j = 0; j < seen; j++)
                    sum += weight[j] = exp(weight[j] - top);
                p->want_lse[(q0 + i) * s->heads + h] = seen ? top + log(sum) : -INFINITY;
                for (int c = 0; c < w; c++) {
                    out[c] = 0;
                    for (int64_t j = 0; j < seen; j++)
                        out[c] += weight[j] / sum * v[(k0 + j) * s->v_pitch + h * w + c];
                    delta += out[c] * gi[c];
                }
                for (int64_t j = 0; j < seen; j++) {
                    const double *kj = k + (k0 + j) * s->k_pitch + h * w;
                    const double *vj = v + (k0 + j) * s->v_pitch + h * w;
                    const double prob = weight[j] / sum;
                    double dp = 0;
                    for (int c = 0; c < w; c++) {
                        dp += gi[c] * vj[c];
                        p->want_dv[(k0 + j) * s->v_pitch + h * w + c] += prob * gi[c];
                    }
                    const double ds = prob * (dp - delta) * scale;
                    for (int c = 0; c < w; c++) {
                        dq[c] += ds * kj[c];
                        p->want_dk[(k0 + j) * s->k_pitch + h * w + c] += ds * qi[c];
                    }
                }
            }
        }
    }
}

static void run(problem *p) {
    op_ok(op_backend()->attention_forward(p->out, p->lse, p->q, p->k, p->v, &p->spec));
    op_ok(op_backend()->attention_backward(p->dq, p->dk, p->dv, p->dout, p->out, p->lse, p->q, p->k,
                                           p->v, &p->spec));
}

/* The columns behind each row's heads hold GAP still. */
static void check_gaps(motet_tensor t, int64_t row) {
    for (int64_t n = 0; n < t.dims[0]; n++)
        for (int64_t c = row; c < t.dims[1]; c++)
            assert_true(op_get(t, n * t.dims[1] + c) == GAP);
}

static void check_problem(const char *name, problem *p) {
    char what[160];
    const bool bf16 = p->q.dtype == MOTET_BF16 || p->dq.dtype == MOTET_BF16;
    refer(p);
    run(p);
#define CLOSE(field, limit)                                                                 \
    snprintf(what, sizeof what, "%s %s H%d W%d S%d causal %d: " #field, name,               \
             motet_dtype_name(p->q.dtype), p->spec.heads, p->spec.width, p->spec.sequences, \
             p->spec.causal);                                                               \
    op_assert_close(what, p->field, p->want_##field, limit)
    CLOSE(out, op_limit(p->q.dtype));
    CLOSE(lse, 1e-11);
    /* In bf16, delta comes from the rounded out, so gradients carry a little of its error. */
    CLOSE(dq, bf16 ? 2e-5 : 1e-10);
    CLOSE(dk, bf16 ? 2e-5 : 1e-10);
    CLOSE(dv, bf16 ? 2e-5 : 1e-10);
#undef CLOSE
    const int64_t row = p->spec.heads * p->spec.width;
    check_gaps(p->out, row);
    check_gaps(p->dq, row);
    check_gaps(p->dk, row);
    check_gaps(p->dv, row);
}

static void test_parity(void **state) {
    static const int widths[] = {16, 32, 64, 128};
    const int heads[] = {1, 3, 4, op_on_cpu() ? 16 : 5};
    static const int lengths[][4] = {
        {1, 17, 64, 129}, {5, 0, 33, 1}, {128, 7, 0, 40}, {65, 31, 2, 16}};
    static const int others[][4] = {
        {20, 90, 1, 45}, {0, 3, 33, 256}, {130, 0, 5, 64}, {66, 40, 2, 200}};
    for (int l = 0; l < OP_COUNT(levels); l++) {
        if (!use_level(l)) continue;
        for (int w = 0; w < OP_COUNT(widths); w++) {
            for (int i = 0; i < OP_COUNT(lengths); i++) {
                for (int causal = 0; causal < 2; causal++) {
                    const motet_dtype dtype = op_floats[(w + i) % 2];
                    const int h = widths[w] == 128 ? 2 : heads[(i + w) % 4];
                    problem self =
                        make_problem(dtype, h, widths[w], 4, lengths[i], lengths[i], causal, 100);
                    check_problem("self", &self);
                    problem cross = make_problem(op_floats[(w + i + 1) % 2], h, widths[w], 4,
                                                 lengths[i], others[i], causal, 200);
                    check_problem("cross", &cross);
                    assert_int_equal(op_teardown(state), 0);
                }
            }
        }
    }
    motet_simd_limit(MOTET_SIMD_AVX512);
}

/* Sequences that end at each row of a device's tiles, in queries and in keys, none and all; and
 * behind each a row of NaN, which belongs to the next. */
static void test_ends(void **state) {
    enum { LENGTHS = 33, SEQUENCES = 2 * LENGTHS };
    int queries[SEQUENCES], keys[SEQUENCES];
    for (int n = 0; n < LENGTHS; n++) {
        queries[2 * n] = n, keys[2 * n] = 5 * n % LENGTHS;
        queries[2 * n + 1] = keys[2 * n + 1] = 1;
    }
    for (int w = 16; w <= 128; w *= 2)
        for (int d = 0; d < 2; d++) {
            problem p = make_problem(op_floats[d], 1, w, SEQUENCES, queries, keys, true, 31);
            for (int n = 1; n < SEQUENCES; n += 2) {
                op_fill(motet_tensor_rows(p.q, p.q_offsets[n], 1), NAN);
                op_fill(motet_tensor_rows(p.k, p.k_offsets[n], 1), NAN);
                op_fill(motet_tensor_rows(p.v, p.k_offsets[n], 1), NAN);
                op_fill(motet_tensor_rows(p.dout, p.q_offsets[n], 1), NAN);
            }
            check_problem("ends", &p);
            assert_int_equal(op_teardown(state), 0);
            for (int n = 1; n < 32; n++) { /* and where the memory does: a stray read is reported */
                problem end = make_problem(op_floats[d], 1, w, 1, &n, &n, true, 37);
                run(&end);
                if (n <= 8) { /* of a warp, without a key */
                    problem blind = make_problem(op_floats[d], 1, w, 1, &n, &(int){0}, true, 37);
                    check_problem("blind", &blind);
                }
                assert_int_equal(op_teardown(state), 0);
            }
        }
}

static void test_long(void **state) {
    for (int d = 0; d < 2; d++) {
        problem p =
            make_problem(op_floats[d], 2, 64, 2, (int[]){512, 513}, (int[]){512, 700}, true, 7);
        check_problem("long", &p);
        assert_int_equal(op_teardown(state), 0);
    }
}

/* Scores of 0 make every weight 1/n: with powers of two, means of integers come out exactly. */
static void test_exact(void **state) {
    (void)state;
    problem p = make_problem(MOTET_F32, 2, 16, 1, (int[]){9}, (int[]){64}, false, 1);
    op_fill(p.q, 0.0);
    op_fill_integers(p.v, 3, -64, 64);
    refer(&p);
    op_ok(op_backend()->attention_forward(p.out, p.lse, p.q, p.k, p.v, &p.spec));
    op_assert_equal("means", p.out, p.want_out);
}

/* Far apart scores: no overflow, and the winner takes all. */
static void test_large_scores(void **state) {
    (void)state;
    problem p = make_problem(MOTET_F32, 1, 64, 1, (int[]){40}, (int[]){300}, false, 5);
    op_fill_normal(p.q, 1, 60.0);
    op_fill_normal(p.k, 2, 60.0);
    refer(&p);
    run(&p);
    op_assert_close("out", p.out, p.want_out, 1e-6);
    op_assert_close("lse", p.lse, p.want_lse, 1e-11);
}

/* Each key scores so much above those before it that they would weigh nothing beside it: one that
 * is not seen yet may not even be looked at. */
static void test_unseen_is_larger(void **state) {
    for (int w = 16; w <= 128; w *= 2)
        for (int d = 0; d < 2; d++) {
            const int n = 40;
            problem p = make_problem(op_floats[d], 1, w, 1, &n, &n, true, 1);
            op_fill(p.q, 1.0);
            for (int i = 0; i < n; i++)
                op_fill(motet_tensor_rows(p.k, i, 1), 200.0 * i / sqrt(w));
            refer(&p);
            op_ok(op_backend()->attention_forward(p.out, p.lse, p.q, p.k, p.v, &p.spec));
            op_assert_close("out", p.out, p.want_out, op_limit(op_floats[d]));
            op_assert_close("lse", p.lse, p.want_lse, 1e-11);
            assert_int_equal(op_teardown(state), 0);
        }
}

static void test_nothing_seen(void **state) {
    (void)state;
    /* More queries than keys under a causal mask: the first 6 queries see none. */
    problem p = make_problem(MOTET_F32, 2, 32, 2, (int[]){10, 3}, (int[]){4, 0}, true, 3);
    check_problem("nothing", &p);
    for (int i = 0; i < 6; i++) {
        for (int h = 0; h < 2; h++)
            assert_true(op_get(p.lse, i * 2 + h) == -INFINITY);
        for (int c = 0; c < 64; c++)
            assert_true(op_get(p.out, i * p.spec.out_pitch + c) == 0.0);
    }
}

static void test_nan_shows(void **state) {
    (void)state;
    problem p = make_problem(MOTET_F32, 1, 32, 1, (int[]){20}, (int[]){20}, true, 3);
    op_set(p.k, 12 * p.spec.k_pitch + 3, NAN);
    op_ok(op_backend()->attention_forward(p.out, p.lse, p.q, p.k, p.v, &p.spec));
    for (int i = 0; i < 20; i++) /* every query that sees key 12, and no other */
        assert_int_equal(isnan(op_get(p.out, i * p.spec.out_pitch)) != 0, i >= 12);
}

typedef struct scalar {
    problem *p;
} scalar;

static double weighted_out(void *context) {
    problem *p = ((scalar *)context)->p;
    op_ok(op_backend()->attention_forward(p->out, op_none(), p->q, p->k, p->v, &p->spec));
    double sum = 0;
    for (int64_t i = 0; i < p->queries; i++)
        for (int c = 0; c < p->spec.heads * p->spec.width; c++)
            sum += op_get(p->out, i * p->spec.out_pitch + c) *
                   op_get(p->dout, i * p->spec.out_pitch + c);
    return sum;
}

static void test_gradient(void **state) {
    for (int causal = 0; causal < 2; causal++) {
        problem p = make_problem(MOTET_F32, 2, 16, 2, (int[]){9, 5}, (int[]){9, 12}, causal, 11);
        /* The gaps of a pitch have no gradient. */
        op_fill(p.dq, 0.0);
        op_fill(p.dk, 0.0);
        op_fill(p.dv, 0.0);
        run(&p);
        scalar context = {&p};
        op_assert_gradient("dq", p.q, p.dq, weighted_out, &context, 2e-2, 1e-4);
        op_assert_gradient("dk", p.k, p.dk, weighted_out, &context, 2e-2, 1e-4);
        op_assert_gradient("dv", p.v, p.dv, weighted_out, &context, 2e-2, 1e-4);
        assert_int_equal(op_teardown(state), 0);
    }
}

static void test_threads(void **state) {
    (void)state;
    const int queries[] = {300, 17, 0, 129}, keys[] = {300, 40, 9, 129};
    for (int sequences = 1; sequences <= 4; sequences += 3) {
        problem p = make_problem(MOTET_F32, 2, 32, sequences, queries, keys, true, 9);
        op_threads(1);
        run(&p);
        problem one = p;
        one.out = op_copy(p.out), one.lse = op_copy(p.lse), one.dq = op_copy(p.dq);
        one.dk = op_copy(p.dk), one.dv = op_copy(p.dv);
        for (int threads = 2; threads <= 5; threads += 3) {
            op_threads(threads);
            run(&p);
            op_assert_same_bits("out", p.out, one.out);
            op_assert_same_bits("lse", p.lse, one.lse);
            op_assert_same_bits("dq", p.dq, one.dq);
            op_assert_same_bits("dk", p.dk, one.dk);
            op_assert_same_bits("dv", p.dv, one.dv);
        }
    }
}

static void test_refusals(void **state) {
    (void)state;
    problem p = make_problem(MOTET_F32, 2, 32, 2, (int[]){3, 4}, (int[]){3, 4}, false, 3);
#define REFUSED(words)                                                                           \
    op_fails(op_backend()->attention_forward(p.out, p.lse, p.q, p.k, p.v, &spec), MOTET_E_USAGE, \
             words)
    motet_attention_spec spec = p.spec;
    spec.width = 48;
    REFUSED("wide");
    spec = p.spec, spec.heads = 0;
    REFUSED("heads");
    spec = p.spec, spec.k_pitch = 63;
    REFUSED("pitch");
    spec = p.spec, spec.q_offsets = (const int32_t[]){1, 3, 7};
    REFUSED("start at 0");
    spec = p.spec, spec.k_offsets = (const int32_t[]){0, 7, 3};
    REFUSED("fall");
    spec = p.spec, p.v.dtype = MOTET_BF16;
    REFUSED("one dtype");
    p.v.dtype = MOTET_F32, p.lse.dtype = MOTET_BF16;
    REFUSED("lse");
#undef REFUSED
    op_fails(op_backend()->attention_backward(p.dq, p.dk, p.dv, p.dout, p.out, op_none(), p.q, p.k,
                                              p.v, &p.spec),
             MOTET_E_USAGE, "lse");
}

/* Gradients may be kept in the other type. */
static void test_gradient_types(void **state) {
    for (int d = 0; d < 2; d++) {
        problem p = make_problem(op_floats[d], 2, 32, 2, (int[]){40, 5}, (int[]){35, 9}, true, 31);
        p.dq = op_matrix(op_floats[!d], p.queries, p.spec.q_pitch);
        p.dk = op_matrix(op_floats[!d], p.keys, p.spec.k_pitch);
        p.dv = op_matrix(op_floats[!d], p.keys, p.spec.v_pitch);
        const int64_t row = p.spec.heads * p.spec.width;
        fill_unwritten(p.dq, row);
        fill_unwritten(p.dk, row);
        fill_unwritten(p.dv, row);
        check_problem("other type", &p);
        assert_int_equal(op_teardown(state), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        op_test(test_parity),         op_test(test_ends),      op_test(test_unseen_is_larger),
        op_test(test_long),           op_test(test_exact),     op_test(test_large_scores),
        op_test(test_nothing_seen),   op_test(test_nan_shows), op_test(test_gradient),
        op_test(test_gradient_types), op_test(test_refusals),
    };
    const struct CMUnitTest on_threads[] = {op_test(test_threads)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (op_on_cpu()) failed += cmocka_run_group_tests(on_threads, NULL, NULL);
    return failed;
}
