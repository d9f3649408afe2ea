/* attention against a cache, in f32, bf16 and int8, beside naive loops in double; on the CPU at
 * every instruction set that this machine has. */
#include <math.h>
#include <string.h>

#include "kernels/simd_table.h"
#include "tests/kernels/harness_cache.h"

static const motet_simd_level levels[] = {MOTET_SIMD_PORTABLE, MOTET_SIMD_AVX2, MOTET_SIMD_AVX512};

/* On the CPU each instruction set that is there; a device once. */
static bool use_level(int l) {
    return op_on_cpu() ? motet_simd_limit(levels[l]) == levels[l] : l == 0;
}

/* Lengths from none to the capacity, about the steps in which a device takes keys. */
static void test_parity(void **state) {
    static const int32_t lengths[] = {1, 0, 17, 64, 129, 300, 257, 47, 63, 72, 100, 150, 200, 2};
    for (int l = 0; l < OP_COUNT(levels); l++) {
        if (!use_level(l)) continue;
        for (int w = 0; w < OP_COUNT(cache_widths); w++) {
            for (int kind = 0; kind < CACHE_KINDS; kind++) {
                cache_case p =
                    cache_problem(cache_query_type(kind), cache_kept_type(kind), OP_COUNT(lengths),
                                  300, 1 + (w + kind) % 3, cache_widths[w], lengths);
                op_fill_normal(p.q, 1, 1.5);
                cache_fill(&p, p.k, 50, 1.5);
                cache_fill(&p, p.v, 60, 1.0);
                cache_check("parity", &p);
                assert_int_equal(op_teardown(state), 0);
            }
        }
    }
    motet_simd_limit(MOTET_SIMD_AVX512);
}

/* One sequence of each length from 0 to a few steps, and a cache that ends where the length does:
 * what is read behind it is reported, or NaN. */
static void test_every_length(void **state) {
    for (int w = 0; w < OP_COUNT(cache_widths); w++) {
        for (int kind = 0; kind < CACHE_KINDS; kind++) {
            const int most = op_on_cpu() ? 70 : 40;
            for (int32_t n = 0; n <= most; n++) {
                if (op_skips(n + w + kind, 3)) continue;
                cache_case p = cache_problem(cache_query_type(kind), cache_kept_type(kind), 1, n, 2,
                                             cache_widths[w], &n);
                op_fill_normal(p.q, 1, 1.5);
                cache_fill(&p, p.k, 50, 1.5);
                cache_fill(&p, p.v, 60, 1.0);
                cache_check("ends", &p);
                assert_int_equal(op_teardown(state), 0);
            }
        }
    }
}

/* More keys than one round of all the blocks that a head may have, and a launch after another:
 * what the last block of the first left behind must be what the second expects. */
static void test_long(void **state) {
    const int32_t lengths[][2] = {{2300, 600}, {1, 2299}, {2300, 2048}};
    for (int kind = 0; kind < CACHE_KINDS; kind++) {
        cache_case p = cache_problem(cache_query_type(kind), cache_kept_type(kind), 2, 2300, 1,
                                     16 << (kind + 1) % 4, lengths[0]);
        op_fill_normal(p.q, 1, 1.5);
        cache_fill(&p, p.k, 50, 1.5);
        p.lengths[1] = 2299;
        cache_fill(&p, p.k, 50, 1.5);
        cache_fill(&p, p.v, 60, 1.0);
        for (int i = 0; i < OP_COUNT(lengths); i++) {
            memcpy(p.lengths, lengths[i], sizeof lengths[i]);
            cache_check("long", &p);
        }
        assert_int_equal(op_teardown(state), 0);
    }
}

/* The same sequence alone in a cache that it fills, and in a larger one. */
static void test_capacity(void **state) {
    for (int kind = 0; kind < CACHE_KINDS; kind++) {
        const int32_t n = 333;
        cache_case small =
            cache_problem(cache_query_type(kind), cache_kept_type(kind), 1, n, 2, 32, &n);
        cache_case large =
            cache_problem(cache_query_type(kind), cache_kept_type(kind), 1, 1000, 2, 32, &n);
        op_fill_normal(small.q, 1, 1.5);
        cache_fill(&small, small.k, 50, 1.5);
        cache_fill(&small, small.v, 60, 1.0);
        large.q = small.q;
        const size_t bytes = (size_t)(n * small.row) * motet_dtype_bytes(small.k.dtype);
        memcpy(large.k.data, small.k.data, bytes);
        memcpy(large.v.data, small.v.data, bytes);
        for (int64_t h = 0; small.k.scale && h < 2; h++)
            for (int64_t t = 0; t < n; t++) {
                *cache_scale(&large, large.k, 0, h, t) = *cache_scale(&small, small.k, 0, h, t);
                *cache_scale(&large, large.v, 0, h, t) = *cache_scale(&small, small.v, 0, h, t);
            }
        cache_run(&small);
        cache_run(&large);
        op_assert_same_bits("capacity", small.out, large.out);
        assert_int_equal(op_teardown(state), 0);
    }
}

/* Scores of 0 make every weight 1/n: with powers of two, means of integers come out exactly, and
 * do in bf16 where they have few bits. */
static void test_exact(void **state) {
    for (int kind = 0; kind < CACHE_KINDS; kind++)
        for (int w = 0; w < OP_COUNT(cache_widths); w++) {
            const int32_t lengths[] = {128, 1, 2, 64};
            cache_case p = cache_problem(cache_query_type(kind), cache_kept_type(kind), 4, 128, 2,
                                         cache_widths[w], lengths);
            op_fill(p.q, 0.0);
            cache_fill(&p, p.k, 50, 1.0);
            cache_fill(&p, p.v, 60, 1.0);
            for (int64_t b = 0; b < 4; b++)
                for (int64_t t = 0; t < lengths[b]; t++)
                    for (int64_t c = 0; c < p.row; c++) {
                        const int64_t i = (b * p.most + t) * p.row + c;
                        const int value = (int)((c + 3 * b) % 65 - 32); /* the same at every t */
                        if (p.v.dtype == MOTET_I8)
                            ((int8_t *)p.v.data)[i] = (int8_t)value;
                        else
                            op_set(p.v, i, value);
                        if (p.v.scale) *cache_scale(&p, p.v, b, c / p.width, t) = 0.5f;
                    }
            cache_run(&p);
            op_assert_equal("means", p.out, cache_refer(&p));
            assert_int_equal(op_teardown(state), 0);
        }
}

/* Far apart scores: no overflow, and the winner takes all, wherever it stands. */
static void test_winner(void **state) {
    for (int kind = 0; kind < CACHE_KINDS; kind++) {
        const int32_t lengths[] = {500, 500, 500, 500};
        const int64_t winner[] = {0, 499, 250, 127};
        cache_case p =
            cache_problem(cache_query_type(kind), cache_kept_type(kind), 4, 510, 1, 64, lengths);
        op_fill(p.q, 8.0);
        cache_fill(&p, p.k, 50, 1.0);
        cache_fill(&p, p.v, 60, 1.0);
        for (int64_t b = 0; b < 4; b++)
            for (int64_t c = 0; c < p.row; c++) {
                const int64_t i = (b * p.most + winner[b]) * p.row + c;
                if (p.k.dtype == MOTET_I8)
                    ((int8_t *)p.k.data)[i] = 127, *cache_scale(&p, p.k, b, 0, winner[b]) = 1.0f;
                else
                    op_set(p.k, i, 127.0);
            }
        cache_run(&p);
        for (int64_t b = 0; b < 4; b++)
            for (int64_t c = 0; c < p.row; c++) {
                const double want = cache_get(&p, p.v, b, winner[b], c);
                const double got = op_get(p.out, b * p.row + c);
                assert_true(fabs(got - want) <=
                            fabs(want) * (p.out.dtype == MOTET_BF16 ? 0x1p-8 : 1e-6));
            }
        assert_int_equal(op_teardown(state), 0);
    }
}

/* A key, a value or a scale that is NaN shows in its head, and in no other. */
static void test_nan_shows(void **state) {
    for (int kind = 0; kind < CACHE_KINDS; kind++)
        for (int side = 0; side < 2; side++) {
            const int32_t lengths[] = {400, 400};
            cache_case p = cache_problem(cache_query_type(kind), cache_kept_type(kind), 2, 400, 3,
                                         32, lengths);
            op_fill_normal(p.q, 1, 1.0);
            cache_fill(&p, p.k, 50, 1.0);
            cache_fill(&p, p.v, 60, 1.0);
            motet_tensor spoilt = side ? p.v : p.k;
            if (spoilt.scale)
                *cache_scale(&p, spoilt, 1, 1, 333) = NAN;
            else
                op_set(spoilt, (p.most + 333) * p.row + 40, NAN);
            cache_run(&p);
            for (int64_t c = 0; c < 2 * p.row; c++) {
                bool spoils = c / p.width == 4; /* row 1, head 1; a value only in its column */
                if (side && !spoilt.scale) spoils = c == p.row + 40;
                assert_int_equal(isnan(op_get(p.out, c)) != 0, spoils);
            }
            assert_int_equal(op_teardown(state), 0);
        }
}

/* A query against a cache is the forward pass with one query a sequence; and that with none. */
static void test_forward(void **state) {
    for (int w = 0; w < OP_COUNT(cache_widths); w++)
        for (int d = 0; d < 2; d++) {
            const int32_t lengths[] = {40, 0, 1, 200}, queries[] = {1, 1, 0, 1};
            cache_case p =
                cache_problem(op_floats[d], op_floats[d], 4, 200, 2, cache_widths[w], lengths);
            op_fill_normal(p.q, 1, 1.5);
            cache_fill(&p, p.k, 50, 1.5);
            cache_fill(&p, p.v, 60, 1.0);
            cache_run(&p);
            motet_tensor k = op_matrix(op_floats[d], 241, p.row + 16), v = op_copy(k);
            motet_tensor q = op_matrix(op_floats[d], 3, p.row), out = op_copy(q);
            motet_tensor lse = op_matrix(MOTET_F32, 3, 2);
            int32_t *q_offsets = op_shared(5 * sizeof(int32_t)),
                    *k_offsets = op_shared(5 * sizeof(int32_t));
            q_offsets[0] = k_offsets[0] = 0;
            double *want = op_zeros(3 * p.row);
            for (int64_t b = 0; b < 4; b++) {
                q_offsets[b + 1] = q_offsets[b] + queries[b];
                k_offsets[b + 1] = k_offsets[b] + lengths[b];
                for (int64_t c = 0; c < p.row; c++) {
                    for (int64_t t = 0; t < lengths[b]; t++) {
                        const int64_t to = (k_offsets[b] + t) * k.dims[1] + c;
                        op_set(k, to, cache_get(&p, p.k, b, t, c));
                        op_set(v, to, cache_get(&p, p.v, b, t, c));
                    }
                    if (!queries[b]) continue;
                    op_set(q, q_offsets[b] * p.row + c, op_get(p.q, b * p.row + c));
                    want[q_offsets[b] * p.row + c] = op_get(p.out, b * p.row + c);
                }
            }
            const motet_attention_spec spec = {.heads = 2,
                                               .width = cache_widths[w],
                                               .sequences = 4,
                                               .q_offsets = q_offsets,
                                               .k_offsets = k_offsets,
                                               .q_pitch = p.row,
                                               .k_pitch = k.dims[1],
                                               .v_pitch = k.dims[1],
                                               .out_pitch = p.row,
                                               .causal = d == 0};
            op_ok(op_backend()->attention_forward(out, lse, q, k, v, &spec));
            op_assert_close("forward and decode", out, want, op_limit(op_floats[d]));
            for (int64_t i = 0; i < 3; i++) {
                const int64_t b = i < 2 ? i : 3;
                for (int64_t h = 0; h < 2; h++) {
                    double sum = 0;
                    for (int64_t t = 0; t < lengths[b]; t++) {
                        double dot = 0;
                        for (int64_t c = h * p.width; c < (h + 1) * p.width; c++)
                            dot += op_get(q, i * p.row + c) * cache_get(&p, p.k, b, t, c);
                        sum += exp(dot / sqrt(p.width));
                    }
                    const double got = op_get(lse, 2 * i + h);
                    assert_true(lengths[b] ? fabs(got - log(sum)) < 1e-5 : got == -INFINITY);
                }
            }
            assert_int_equal(op_teardown(state), 0);
        }
}

/* One row's heads are shared out to the threads, several rows are not split. */
static void test_threads(void **state) {
    (void)state;
    for (int kind = 0; kind < CACHE_KINDS; kind++)
        for (int64_t batch = 1; batch <= 4; batch += 3) {
            const int32_t lengths[] = {601, 600, 0, 333};
            cache_case p = cache_problem(cache_query_type(kind), cache_kept_type(kind), batch, 610,
                                         8, 128, lengths);
            op_fill_normal(p.q, 1, 1.0);
            cache_fill(&p, p.k, 2, 1.0);
            cache_fill(&p, p.v, 3, 1.0);
            op_threads(1);
            cache_run(&p);
            motet_tensor one = op_copy(p.out);
            for (int threads = 2; threads <= 5; threads++) {
                op_threads(threads);
                op_fill(p.out, NAN);
                cache_run(&p);
                op_assert_same_bits("threads", one, p.out);
            }
        }
}

static void test_refusals(void **state) {
    (void)state;
    const int32_t lengths[] = {3, 4};
    cache_case p = cache_problem(MOTET_F32, MOTET_F32, 2, 4, 1, 32, lengths);
    motet_tensor longer = cache_tensor(MOTET_F32, 2, 5, 1, 32),
                 other = cache_tensor(MOTET_BF16, 2, 4, 1, 32);
    motet_tensor bare = cache_tensor(MOTET_I8, 2, 4, 1, 32), int8 = bare;
    bare.scale = NULL;
#define REFUSED(k, v, heads, words)                                                             \
    op_fails(op_backend()->attention_decode(p.out, p.q, k, v, p.lengths, heads), MOTET_E_USAGE, \
             words)
    REFUSED(p.k, longer, 1, "caches");
    REFUSED(other, other, 1, "caches");
    REFUSED(bare, bare, 1, "caches");
    REFUSED(p.k, int8, 1, "caches");
    REFUSED(p.k, p.v, 3, "heads");
    REFUSED(p.k, p.v, 0, "heads");
#undef REFUSED
    cache_fill(&p, p.k, 1, 1.0);
    cache_fill(&p, p.v, 2, 1.0);
    op_fill_normal(p.q, 3, 1.0);
    for (int wrong = -1; wrong <= 5; wrong += 6) { /* the cache has 4 rows */
        p.lengths[1] = wrong;
        op_fails(op_backend()->attention_decode(p.out, p.q, p.k, p.v, p.lengths, 1), MOTET_E_USAGE,
                 op_on_cpu() ? "valid keys" : "sequence 1 has length ");
        for (int i = 32; i < 64; i++)
            assert_true(isnan(op_get(p.out, i)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        op_test(test_parity),    op_test(test_every_length), op_test(test_long),
        op_test(test_capacity),  op_test(test_exact),        op_test(test_winner),
        op_test(test_nan_shows), op_test(test_forward),      op_test(test_refusals),
    };
    const struct CMUnitTest on_threads[] = {op_test(test_threads)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (op_on_cpu()) failed += cmocka_run_group_tests(on_threads, NULL, NULL);
    return failed;
}
