/* Which bits attention on tensor cores gives: the same again, in any company, on any schedule; and
 * whom a NaN reaches.
 *
 *     test_flash_bits           the tests
 *     test_flash_bits digest    a number made of all bits of some results */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/kernels/harness_flash.h"

static void test_nan_shows(void **state) {
    (void)state;
    flash_problem p = flash_make(1, 64, 2, (int[]){20, 9}, NULL, true, 3);
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
    for (int w = 0; w < FLASH_WIDTHS; w++) {
        flash_problem p = flash_make(2, flash_widths[w], 3, lengths, NULL, true, 81), again = p;
        flash_run(&p);
        again.out = op_copy(p.out), again.lse = op_copy(p.lse), again.dq = op_copy(p.dq);
        again.dk = flash_column(again.dq, p.row), again.dv = flash_column(again.dq, 2 * p.row);
        op_fill(again.out, 77.0);
        op_fill(again.dq, 77.0);
        op_fill(again.lse, 0.0);
        flash_run(&again);
        op_assert_same_bits("out again", p.out, again.out);
        op_assert_same_bits("lse again", p.lse, again.lse);
        op_assert_same_bits("gradients again", p.dq, again.dq);
        op_fill(again.out, 77.0);
        op_ok(op_backend()->attention_forward(again.out, op_none(), p.q, p.k, p.v, &p.spec));
        op_assert_same_bits("out without lse", p.out, again.out);
        flash_problem alone = flash_make(2, flash_widths[w], 1, lengths + 1, NULL, true, 82);
        memcpy(alone.q.data, (uint16_t *)p.q.data + 70 * p.spec.q_pitch,
               200 * (size_t)p.spec.q_pitch * sizeof(uint16_t));
        memcpy(alone.dout.data, (uint16_t *)p.dout.data + 70 * p.spec.out_pitch,
               200 * (size_t)p.spec.out_pitch * sizeof(uint16_t));
        flash_run(&alone);
        op_assert_same_bits("out alone", motet_tensor_rows(p.out, 70, 200), alone.out);
        op_assert_same_bits("gradients alone", motet_tensor_rows(p.dq, 70, 200), alone.dq);
        assert_int_equal(op_teardown(state), 0);
    }
}

/* Rows of other sequences share tiles with a sequence's last rows, and change nothing. */
static void test_neighbours(void **state) {
    static const int queries[] = {40, 20, 140, 9}, keys[] = {90, 30, FLASH_ENOUGH, 60};
    for (int w = 0; w < FLASH_WIDTHS; w++)
        for (int causal = 0; causal < 2; causal++) {
            flash_problem p = flash_make(2, flash_widths[w], 4, queries, keys, causal, 101),
                          bad = p;
            flash_run(&p);
            bad.q = op_copy(p.q), bad.dout = op_copy(p.dout), bad.out = op_copy(p.out);
            bad.lse = op_copy(p.lse), bad.dq = op_copy(p.dq), bad.k = op_copy(p.k);
            bad.v = flash_column(bad.k, p.row), bad.dk = op_copy(p.dk);
            bad.dv = flash_column(bad.dk, p.row);
            for (int s = 1; s < 4; s += 2) {
                const int64_t q0 = p.q_offsets[s], k0 = p.k_offsets[s];
                op_fill(motet_tensor_rows(bad.q, q0, queries[s]), NAN);
                op_fill(motet_tensor_rows(bad.dout, q0, queries[s]), NAN);
                op_fill(motet_tensor_rows(bad.k, k0, keys[s]), NAN);
            }
            flash_run(&bad);
            for (int s = 0; s < 4; s += 2) {
                const int64_t q0 = p.q_offsets[s], k0 = p.k_offsets[s];
#define SAME(field, first, count)                                         \
    op_assert_same_bits(#field, motet_tensor_rows(p.field, first, count), \
                        motet_tensor_rows(bad.field, first, count))
                SAME(out, q0, queries[s]);
                SAME(lse, q0, queries[s]);
                SAME(dq, q0, queries[s]);
                SAME(dk, k0, keys[s]); /* and dv */
#undef SAME
            }
            assert_int_equal(op_teardown(state), 0);
        }
}

static uint64_t add_bits(uint64_t digest, motet_tensor t) {
    const unsigned char *bytes = t.data;
    const size_t count = (size_t)motet_tensor_count(t) * motet_dtype_bytes(t.dtype);
    for (size_t i = 0; i < count; i++)
        digest = (digest ^ bytes[i]) * 1099511628211u; /* FNV-1a */
    return digest;
}

static uint64_t digest_bits;

static void make_digest(void **state) {
    (void)state;
    digest_bits = 14695981039346656037u;
    for (int w = 0; w < FLASH_WIDTHS; w++)
        for (int causal = 0; causal < 2; causal++) {
            flash_problem p = flash_make(2, flash_widths[w], 3, (int[]){130, 3, 200},
                                         (int[]){200, 70, FLASH_ENOUGH}, causal, 111);
            flash_run(&p);
            digest_bits = add_bits(add_bits(digest_bits, p.out), p.lse);
            digest_bits = add_bits(add_bits(digest_bits, p.dq), p.dk);
        }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {op_test(test_nan_shows), op_test(test_same_bits),
                                       op_test(test_neighbours)};
    const struct CMUnitTest digest[] = {op_test(make_digest)};
    if (argc < 2 || strcmp(argv[1], "digest") != 0)
        return cmocka_run_group_tests(tests, NULL, NULL);
    const int failed = cmocka_run_group_tests(digest, NULL, NULL);
    printf("digest %016" PRIx64 "\n", digest_bits);
    return failed;
}
