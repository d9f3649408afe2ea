/* the rows that become caches of attention, in f32, bf16 and int8, and decoding from them. */
#include <math.h>
#include <string.h>

#include "tests/kernels/harness_cache.h"

/* Rows of k and v, views into packed rows of three times their width, for sequences of `counts`. */
typedef struct addition {
    cache_case p; /* its caches are what is appended to; q, out unused */
    motet_tensor packed, k, v;
    int32_t *offsets;
    int64_t pitch;
} addition;

static addition make_addition(motet_dtype from, motet_dtype cache, int heads, int width, int batch,
                              const int32_t *counts, const int32_t *lengths, int64_t most) {
    addition a = {.p = cache_problem(MOTET_F32, cache, batch, most, heads, width, lengths)};
    a.offsets = op_shared((size_t)(batch + 1) * sizeof(int32_t));
    a.offsets[0] = 0;
    for (int b = 0; b < batch; b++)
        a.offsets[b + 1] = a.offsets[b] + counts[b];
    const int64_t rows = a.offsets[batch], size = (int64_t)motet_dtype_bytes(from);
    a.pitch = 3 * a.p.row;
    a.packed = op_matrix(from, rows, a.pitch);
    op_fill_normal(a.packed, 70, 2.0);
    a.k = motet_matrix((char *)a.packed.data + a.p.row * size, from, rows, a.pitch);
    a.v = motet_matrix((char *)a.packed.data + 2 * a.p.row * size, from, rows, a.pitch);
    return a;
}

static motet_status append(addition *a) {
    return op_backend()->attention_append(a->p.k, a->p.v, a->k, a->v, a->pitch, a->offsets,
                                          a->p.lengths, a->p.heads);
}

/* What attention.h says becomes of one head's row. */
static void check_row(addition *a, motet_tensor cache, int64_t first_column, int64_t row, int64_t b,
                      int64_t t, int64_t h) {
    cache_case *p = &a->p;
    const int64_t from = row * a->pitch + first_column + h * p->width;
    const int64_t to = (b * p->most + t) * p->row + h * p->width;
    float largest = 0;
    bool finite = true;
    for (int c = 0; c < p->width; c++) {
        const float x = (float)op_get(a->packed, from + c);
        if (cache.dtype != MOTET_I8) {
            motet_tensor one = op_vector(cache.dtype, 1);
            op_set(one, 0, x);
            assert_true(op_get(one, 0) == op_get(cache, to + c));
        }
        largest = fmaxf(largest, fabsf(x));
        finite = finite && isfinite(x);
    }
    if (cache.dtype != MOTET_I8) return;
    const float scale = *cache_scale(p, cache, b, h, t), step = largest / 127.0f;
    if (!finite) {
        assert_true(isnan(scale));
        return;
    }
    assert_true(scale == (isnormal(step) ? step : 0.0f));
    for (int c = 0; c < p->width; c++) {
        const double x = op_get(a->packed, from + c), code = ((const int8_t *)cache.data)[to + c];
        if (scale == 0) assert_true(code == 0);
        /* Half a code and the rounding of the division. */
        if (scale > 0)
            assert_true(fabs(x / (double)scale - code) <= 0.5 + 1e-4 && fabs(code) <= 127);
    }
}

/* Rows land at their places, rounded as they should; nothing else of the caches changes. */
static void check_addition(addition *a) {
    cache_case *p = &a->p;
    motet_tensor caches[2] = {p->k, p->v}, before[2] = {op_copy(p->k), op_copy(p->v)};
    op_ok(append(a));
    for (int side = 0; side < 2; side++) {
        const size_t bytes = (size_t)p->row * motet_dtype_bytes(caches[side].dtype);
        for (int64_t b = 0; b < p->batch; b++)
            for (int64_t t = 0; t < p->most; t++) {
                const int64_t row = a->offsets[b + 1] - p->lengths[b] + t;
                const size_t at = (size_t)(b * p->most + t) * bytes;
                if (row >= a->offsets[b] && row < a->offsets[b + 1]) {
                    for (int64_t h = 0; h < p->heads; h++)
                        check_row(a, caches[side], (1 + side) * p->row, row, b, t, h);
                    continue;
                }
                assert_memory_equal((char *)caches[side].data + at, (char *)before[side].data + at,
                                    bytes);
                for (int64_t h = 0; caches[side].scale && h < p->heads; h++)
                    assert_true(isnan(*cache_scale(p, caches[side], b, h, t)));
            }
    }
}

static void test_append(void **state) {
    static const int32_t counts[] = {1, 0, 5, 3, 1}, lengths[] = {9, 4, 5, 12, 1};
    for (int w = 0; w < OP_COUNT(cache_widths); w++)
        for (int from = 0; from < 2; from++)
            for (int kind = 0; kind < 3; kind++) {
                const int heads = 1 + (w + kind + from) % 3;
                addition a = make_addition(op_floats[from], cache_kept_type(kind), heads,
                                           cache_widths[w], 5, counts, lengths, 12);
                check_addition(&a);
                assert_int_equal(op_teardown(state), 0);
            }
}

/* Rows of zeros, of numbers next to nothing, of the largest, and not finite ones, by heads. */
static void test_append_extremes(void **state) {
    static const double values[] = {0.0,      1e-40,     1.2e-38, 1e-37, 3e38,
                                    INFINITY, -INFINITY, NAN,     127.0};
    for (int w = 0; w < OP_COUNT(cache_widths); w++) {
        const int32_t count = OP_COUNT(values), length = count;
        addition a =
            make_addition(MOTET_F32, MOTET_I8, 2, cache_widths[w], 1, &count, &length, count);
        for (int64_t r = 0; r < count; r++) {
            for (int c = 0; c < cache_widths[w];
                 c++) /* the first head; the second stays as it is */
                op_set(a.packed, r * a.pitch + a.p.row + c, values[r] * (c % 5 - 2) / 2);
            op_set(a.packed, r * a.pitch + 2 * a.p.row + cache_widths[w] - 1, values[r]);
        }
        check_addition(&a);
        assert_int_equal(op_teardown(state), 0);
    }
}

/* Integers whose largest is 127 are their own codes: what goes in comes out. */
static void test_append_exact(void **state) {
    (void)state;
    const int32_t count = 20, length = 33;
    addition a = make_addition(MOTET_BF16, MOTET_I8, 2, 64, 1, &count, &length, 40);
    op_fill_integers(a.packed, 5, -127, 127);
    for (int64_t r = 0; r < count; r++)
        for (int64_t h = 0; h < 6; h++)
            op_set(a.packed, r * a.pitch + h * 64 + (r + h) % 64, h % 2 ? 127 : -127);
    op_ok(append(&a));
    for (int64_t r = 0; r < count; r++)
        for (int64_t c = 0; c < a.p.row; c++) {
            assert_true(cache_get(&a.p, a.p.k, 0, 13 + r, c) ==
                        op_get(a.packed, r * a.pitch + a.p.row + c));
            assert_true(cache_get(&a.p, a.p.v, 0, 13 + r, c) ==
                        op_get(a.packed, r * a.pitch + 2 * a.p.row + c));
        }
}

/* Steps as generation takes them: a row to each cache, then a query; int8 stays near to f32, though
 * its heads differ by a factor of a thousand. */
static void test_steps(void **state) {
    enum { STEPS = 40, HEADS = 3, WIDTH = 32 };
    const int32_t counts[] = {1, 1}, lengths[] = {0, 7};
    motet_tensor out[CACHE_KINDS];
    for (int kind = 0; kind < CACHE_KINDS; kind++) {
        addition a = make_addition(cache_query_type(kind), cache_kept_type(kind), HEADS, WIDTH, 2,
                                   counts, lengths, 7 + STEPS);
        cache_fill(&a.p, a.p.k, 50, 0.01);
        cache_fill(&a.p, a.p.v, 60, 0.01);
        for (int64_t h = 0; a.p.k.scale && h < HEADS; h++) /* as op_fill_normal fills floats */
            for (int64_t t = 0; t < 7; t++)
                *cache_scale(&a.p, a.p.k, 1, h, t) = *cache_scale(&a.p, a.p.v, 1, h, t) = 0;
        for (int64_t i = 0; !a.p.k.scale && i < 7 * a.p.row; i++) {
            op_set(a.p.k, a.p.most * a.p.row + i, 0);
            op_set(a.p.v, a.p.most * a.p.row + i, 0);
        }
        a.p.q = op_matrix(cache_query_type(kind), 2, a.p.row), a.p.out = op_copy(a.p.q);
        for (uint64_t step = 0; step < STEPS; step++) {
            op_fill_normal(a.p.q, 300 + step, 1.0);
            op_fill_normal(a.packed, 200 + step, 1.0);
            for (int64_t i = 0; i < motet_tensor_count(a.packed); i++) /* keys and values */
                op_set(a.packed, i,
                       op_get(a.packed, i) * pow(30, (double)(i % a.p.row / WIDTH) - 1));
            a.p.lengths[0]++, a.p.lengths[1]++;
            op_ok(append(&a));
            cache_check("step", &a.p);
        }
        out[kind] = a.p.out;
        /* Each head on its own: the quiet ones too. NMSE was 2e-5 to 5e-5, of bf16 6e-6. */
        for (int64_t h = 0; kind >= 2 && h < HEADS; h++) {
            double error = 0, size = 0;
            for (int64_t b = 0; b < 2; b++)
                for (int64_t c = h * WIDTH; c < (h + 1) * WIDTH; c++) {
                    const double want = op_get(out[0], b * a.p.row + c);
                    const double e = op_get(a.p.out, b * a.p.row + c) - want;
                    error += e * e, size += want * want;
                }
            assert_true(error <= 1e-4 * size);
        }
    }
    assert_int_equal(op_teardown(state), 0);
}

static void test_refusals(void **state) {
    (void)state;
    const int32_t lengths[] = {3, 4}, counts[] = {2, 1};
    motet_tensor longer = cache_tensor(MOTET_I8, 2, 5, 1, 32);
    motet_tensor bare = cache_tensor(MOTET_I8, 2, 4, 1, 32);
    bare.scale = NULL;
    addition a = make_addition(MOTET_F32, MOTET_I8, 1, 32, 2, counts, lengths, 4);
    addition wrong = a;
    wrong.p.v = longer;
    op_fails(append(&wrong), MOTET_E_USAGE, "one shape");
    wrong = a, wrong.p.k = wrong.p.v = bare;
    op_fails(append(&wrong), MOTET_E_USAGE, "scales");
    wrong = a, wrong.k.dtype = MOTET_BF16;
    op_fails(append(&wrong), MOTET_E_USAGE, "rows of k");
    wrong = a, wrong.pitch = 31;
    op_fails(append(&wrong), MOTET_E_USAGE, "32 columns");
    wrong = a, wrong.p.heads = 4;
    op_fails(append(&wrong), MOTET_E_USAGE, "4 heads");
    for (int length = 1; length <= 5; length += 4) { /* sequence 0 has 2 new rows, the cache 4 */
        a.p.lengths[0] = length;
        op_fails(append(&a), MOTET_E_USAGE, "sequence 0 has length ");
        for (int t = 0; t < 4; t++)
            assert_true(isnan(*cache_scale(&a.p, a.p.k, 0, 0, t)));
    }
    a.p.lengths[0] = 4;
    a.offsets[2] = 2; /* the third row is nobody's */
    op_fails(append(&a), MOTET_E_USAGE,
             op_on_cpu() ? "offsets run from 0 to 2" : "sequence 1 has length ");
    a.offsets[1] = 4, a.offsets[2] = 3;
    if (op_on_cpu()) op_fails(append(&a), MOTET_E_USAGE, "offsets fall after sequence 1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        op_test(test_append), op_test(test_append_extremes), op_test(test_append_exact),
        op_test(test_steps),  op_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
