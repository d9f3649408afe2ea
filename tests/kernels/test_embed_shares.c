/* embed, backward: batches at the edges of a device's shares. There each of a block's eight warps
 * looks at an eighth of the ids, 128 at a time, and lets those of its block wait in a queue of 256,
 * from which it takes 32 together. */
#include <stdio.h>

#include "tests/kernels/harness_op.h"

enum { BATCH = 8 * 128 };

/* dtable += the rows of dout, exactly, for the ids as they are. */
static void check(motet_tensor ids, int64_t vocabulary, int64_t width, motet_dtype dtype) {
    const int64_t rows = ids.dims[0];
    motet_tensor dout = op_matrix(dtype, rows, width);
    motet_tensor dtable = op_matrix(MOTET_F32, vocabulary, width);
    op_fill_integers(dout, 1, -9, 9);
    op_fill_integers(dtable, 2, -9, 9);
    double *want = op_doubles(dtable);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t d = 0; d < width && op_get(ids, i) >= 0; d++)
            want[(int64_t)op_get(ids, i) * width + d] += op_get(dout, i * width + d);
    op_ok(op_backend()->embed_backward(dtable, dout, ids));
    char what[64];
    snprintf(what, sizeof what, "%lld ids of %lld, width %lld", (long long)rows,
             (long long)vocabulary, (long long)width);
    op_assert_equal(what, dtable, want);
}

/* Shares of every number of rounds, the last one whole or one id short; ids of one block, and of
 * one more that has a single row; widths that end with a block's columns, and in either half. */
static void test_whole_shares(void **state) {
    (void)state;
    const int64_t widths[] = {64, 33, 97};
    for (int share = 32; share <= 256; share += 32)
        for (int less = 0; less < 2; less++) {
            motet_tensor ids = op_matrix(MOTET_I32, 8 * share - less, 1);
            op_fill_integers(ids, 3, 0, 32);
            check(ids, 33, widths[(share / 32 + less) % 3], op_floats[less]);
            check(ids, 33, widths[share / 32 % 3], op_floats[!less]);
        }
}

/* Full queues: in each share 24 ids wait, and then all are the block's, so places in the queue are
 * taken again as soon as they may be. */
static void test_full_queue(void **state) {
    (void)state;
    for (int t = 0; t < 2; t++) {
        motet_tensor ids = op_matrix(MOTET_I32, 4 * BATCH, 1);
        op_fill_integers(ids, 4, 0, 31);
        for (int64_t i = 0; i < 4 * BATCH; i++)
            if (i % 512 >= 24 && i % 512 < 128) op_set(ids, i, i % 2 ? -1 : 32);
        check(ids, 40, 64, op_floats[t]);
    }
}

/* Fewer ids than a block has warps, or lanes. */
static void test_few(void **state) {
    (void)state;
    for (int64_t rows = 1; rows < 300; rows += 37) {
        motet_tensor ids = op_matrix(MOTET_I32, rows, 1);
        op_fill_integers(ids, (uint64_t)rows, -1, 63);
        check(ids, 64, 33, op_floats[rows % 2]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {op_test(test_whole_shares), op_test(test_full_queue),
                                       op_test(test_few)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
