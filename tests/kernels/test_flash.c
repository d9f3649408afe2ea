/* attention in bf16 at widths of 32 and more, rows at multiples of 16 bytes: what the device's
 * tensor-core kernels take (sm_80: forward in two sizes of block, backward; sm_90a:
 * test_flash_hopper.sh has a device that is one). The CPU twin passes the same.
 *
 *     test_flash           all tests
 *     test_flash hopper    those that are more than the same again where all blocks have one size
 */
#include <math.h>
#include <string.h>

#include "tests/kernels/harness_flash.h"

static void test_lengths(void **state) {
    static const int lengths[] = {1, 17, 64, 129, 512};
    for (int w = 0; w < FLASH_WIDTHS; w++)
        for (int i = 0; i < OP_COUNT(lengths); i++)
            for (int causal = 0; causal < 2; causal++) {
                const int queries[] = {lengths[i], 2}, keys[] = {lengths[i], FLASH_ENOUGH};
                flash_problem p =
                    flash_make(lengths[i] == 512 ? 1 : 3, flash_widths[w], causal ? 1 : 2, queries,
                               causal ? NULL : keys, causal, 11);
                flash_check("self", &p);
                assert_int_equal(op_teardown(state), 0);
            }
}

static void test_long(void **state) {
    (void)state;
    flash_problem p = flash_make(1, 64, 1, (int[]){2049}, NULL, true, 5);
    flash_check("long", &p);
}

/* Sequences of any length, none among them; queries without keys, keys without queries. */
static void test_ragged(void **state) {
    static const int queries[] = {5, 0, 129, 64, 1, 33, 2},
                     keys[] = {20, 3, 0, 65, FLASH_ENOUGH, 97, 40};
    for (int w = 0; w < FLASH_WIDTHS; w++)
        for (int causal = 0; causal < 2; causal++) {
            flash_problem self = flash_make(2, flash_widths[w], 7, keys, NULL, causal, 21);
            flash_check("ragged", &self);
            flash_problem cross = flash_make(3, flash_widths[w], 7, queries, keys, causal, 22);
            flash_check("cross", &cross);
            assert_int_equal(op_teardown(state), 0);
        }
}

/* Enough blocks of 128 queries for every multiprocessor: the forward pass takes those then. */
static void test_many(void **state) {
    int queries[48], keys[48];
    for (int s = 0; s < 48; s++)
        queries[s] = s * 29 % 131, keys[s] = s * 37 % 90;
    queries[7] = 130, keys[7] = 0; /* a block that sees nothing */
    queries[9] = 5, keys[9] = FLASH_ENOUGH;
    for (int w = 0; w < FLASH_WIDTHS; w++) {
        flash_problem p = flash_make(3, flash_widths[w], 48, queries, keys, w != 2, 31);
        flash_check("many", &p);
        assert_int_equal(op_teardown(state), 0);
    }
}

/* Causal, and the last queries see all keys, so the first do not begin where a tile does; or see
 * nothing. Halves of blocks and of tiles end anywhere. */
static void test_shifts(void **state) {
    static const int queries[] = {200, 300, 64, 190, 129}, keys[] = {330, 250, 190, 254, 193};
    for (int w = 0; w < FLASH_WIDTHS; w++) {
        flash_problem p = flash_make(1, flash_widths[w], 5, queries, keys, true, 91);
        flash_check("shifted", &p);
        assert_int_equal(op_teardown(state), 0);
    }
}

/* Memories of 1 to 256 keys, and one of more. */
static void test_memories(void **state) {
    int queries[256], keys[256];
    for (int w = 0; w < FLASH_WIDTHS; w++) {
        int count = 0;
        for (int n = 1 + w; n <= 256; n += 3, count++)
            queries[count] = 1 + n * 5 % 13, keys[count] = n;
        queries[count] = 2, keys[count++] = FLASH_ENOUGH;
        flash_problem p = flash_make(1, flash_widths[w], count, queries, keys, false, 41);
        flash_check("memory", &p);
        assert_int_equal(op_teardown(state), 0);
    }
}

static void test_nothing_seen(void **state) {
    for (int w = 0; w < FLASH_WIDTHS; w++) {
        /* Of 150 queries the first 140 see none of 10 keys, the last of them not even a tile. */
        flash_problem p =
            flash_make(2, flash_widths[w], 2, (int[]){150, 3}, (int[]){10, 0}, true, 51);
        flash_check("nothing", &p);
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

/* Scores of 0 make every weight 1/512: means of small integers come out exactly. */
static void test_exact(void **state) {
    (void)state;
    for (int w = 0; w < FLASH_WIDTHS; w++) {
        flash_problem p = flash_make(1, flash_widths[w], 1, (int[]){70}, (int[]){512}, false, 1);
        op_fill(p.q, 0.0);
        op_fill_integers(p.k, 3, -1, 1); /* and of v, which is in its rows */
        flash_refer(&p);
        op_ok(op_backend()->attention_forward(p.out, p.lse, p.q, p.k, p.v, &p.spec));
        op_assert_equal("means", flash_packed(p.out, 70, p.spec.out_pitch, &p), p.want_out);
    }
}

/* Every query has the same scores: `rise` more (in powers of 2) with every 32 keys up to the
 * middle, then less again. Sums are rescaled, or not, and either way right. Values are positive:
 * weights that are all rounded one way then cost no more than a rounding of out. */
static void test_rising(void **state) {
    static const double rises[] = {3, 7.9, 8.1, 30, -6};
    for (int w = 0; w < FLASH_WIDTHS; w++)
        for (int r = 0; r < OP_COUNT(rises); r++) {
            flash_problem p =
                flash_make(1, flash_widths[w], 1, (int[]){20}, (int[]){400}, false, 61);
            for (int64_t i = 0; i < 20; i++)
                for (int c = 0; c < flash_widths[w]; c++)
                    op_set(p.q, i * p.spec.q_pitch + c, c == i % 16 ? 16.0 : 0.0);
            for (int64_t j = 0; j < 400; j++) {
                const double step = (double)(j < 200 ? j / 32 : 12 - j / 32) * rises[r];
                for (int c = 0; c < flash_widths[w]; c++)
                    op_set(p.v, j * p.spec.v_pitch + c, 1.0 + (double)((7 * j + 3 * c) % 9));
                for (int c = 0; c < flash_widths[w]; c++)
                    op_set(p.k, j * p.spec.k_pitch + c,
                           (step + (double)((j + c) % 5)) * log(2.0) * sqrt(flash_widths[w]) /
                               16.0);
            }
            flash_check_of("rising", &p, true);
            assert_int_equal(op_teardown(state), 0);
        }
}

/* Far apart scores: no overflow, neither in weights nor where keys end within a tile. */
static void test_large_scores(void **state) {
    for (int w = 0; w < FLASH_WIDTHS; w++) {
        flash_problem p = flash_make(1, flash_widths[w], 1, (int[]){40}, (int[]){300}, false, 71);
        op_fill(p.q, 24.0);
        for (int64_t j = 0; j < 300; j++) /* all below -128 powers of 2 */
            for (int c = 0; c < flash_widths[w]; c++)
                op_set(p.k, j * p.spec.k_pitch + c, -4.0 - (double)(j * 7 % 150) / 64.0);
        flash_check_of("low", &p, true);
        op_fill_normal(p.q, 72, 60.0);
        flash_check_of("far apart", &p, true);
        assert_int_equal(op_teardown(state), 0);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        op_test(test_lengths), op_test(test_long),     op_test(test_ragged),
        op_test(test_shifts),  op_test(test_memories), op_test(test_nothing_seen),
        op_test(test_exact),   op_test(test_rising),   op_test(test_large_scores),
    };
    const struct CMUnitTest of_sizes[] = {op_test(test_many)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (argc < 2 || strcmp(argv[1], "hopper") != 0)
        failed += cmocka_run_group_tests(of_sizes, NULL, NULL);
    return failed;
}
