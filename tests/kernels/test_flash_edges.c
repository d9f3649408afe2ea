/* attention in bf16 where the memory ends: the device's tensor-core kernels copy rows in tiles, and
 * of a tile only those that are there. Each copy of a thread has a row of its own to stop at, so
 * sequences end at each of them, with nothing behind, which a software GPU sees; and with rows of
 * NaN behind, which belong to the next sequence, and change nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/harness_op.h"

/* Between the rows that two copies of a thread take, by width. */
static const int widths[] = {32, 64, 128}, strides[] = {32, 16, 8};

/* Rows that are at one product, and share what they see: 32 of a warp, or 64 of four on Hopper. */
static int rows_together(void) {
    const char *driver = getenv("MOTET_CUDA_DRIVER"), *arch = getenv("SOFTGPU_ARCH");
    const bool is_80 = driver && (!arch || !strcmp(arch, "80")); /* a GPU's is not asked for */
    return op_on_cpu() || is_80 ? 32 : 64;
}

typedef struct batch {
    motet_attention_spec spec;
    motet_tensor qkv, out, lse, dout, dqkv;
} batch;

static motet_tensor column(motet_tensor t, int64_t first) {
    t.data = (uint16_t *)t.data + first;
    return t;
}

/* One head; q, k and v in one packed row. The same seed: the same rows, as far as there are any. */
static batch make_batch(int width, const int *lengths, int sequences, bool causal) {
    batch b = {.spec = {.heads = 1, .width = width, .sequences = sequences, .causal = causal}};
    int32_t *offsets = op_shared((size_t)(sequences + 1) * sizeof *offsets);
    offsets[0] = 0;
    for (int s = 0; s < sequences; s++)
        offsets[s + 1] = offsets[s] + lengths[s];
    b.spec.q_offsets = b.spec.k_offsets = offsets;
    b.spec.q_pitch = b.spec.k_pitch = b.spec.v_pitch = 3 * width;
    b.spec.out_pitch = width;
    b.qkv = op_matrix(MOTET_BF16, offsets[sequences], 3 * width);
    b.dqkv = op_matrix(MOTET_BF16, offsets[sequences], 3 * width);
    b.out = op_matrix(MOTET_BF16, offsets[sequences], width);
    b.dout = op_matrix(MOTET_BF16, offsets[sequences], width);
    b.lse = op_matrix(MOTET_F32, offsets[sequences], 1);
    op_fill_normal(b.qkv, 1, 1.2);
    op_fill_normal(b.dout, 2, 1.0);
    return b;
}

static void forward(batch *b) {
    const int w = b->spec.width;
    op_ok(op_backend()->attention_forward(b->out, b->lse, b->qkv, column(b->qkv, w),
                                          column(b->qkv, 2 * w), &b->spec));
}

static void backward(batch *b) {
    const int w = b->spec.width;
    op_ok(op_backend()->attention_backward(b->dqkv, column(b->dqkv, w), column(b->dqkv, 2 * w),
                                           b->dout, b->out, b->lse, b->qkv, column(b->qkv, w),
                                           column(b->qkv, 2 * w), &b->spec));
}

/* A sequence alone, and the same with NaN behind it. */
static void check_end(int width, int length, bool causal) {
    batch alone = make_batch(width, &length, 1, causal);
    forward(&alone);
    backward(&alone);
    batch before = make_batch(width, (int[]){length, 1}, 2, causal);
    op_fill(motet_tensor_rows(before.qkv, length, 1), NAN);
    op_fill(motet_tensor_rows(before.dout, length, 1), NAN);
    forward(&before);
    backward(&before);
    op_assert_same_bits("out", alone.out, motet_tensor_rows(before.out, 0, length));
    op_assert_same_bits("lse", alone.lse, motet_tensor_rows(before.lse, 0, length));
    op_assert_same_bits("gradients", alone.dqkv, motet_tensor_rows(before.dqkv, 0, length));
}

static void test_ends(void **state) {
    for (int w = 0; w < OP_COUNT(widths); w++)
        for (int n = 1; n <= 128; n += strides[w]) {
            check_end(widths[w], n, n / strides[w] % 2);
            assert_int_equal(op_teardown(state), 0);
        }
}

/* Blocks of 128 queries: enough sequences for every multiprocessor, most of them short. */
static void test_ends_of_many(void **state) {
    enum { SEQUENCES = 160 };
    int lengths[SEQUENCES] = {65};
    for (int s = 1; s < SEQUENCES; s++)
        lengths[s] = 1;
    for (int w = 0; w < OP_COUNT(widths); w++)
        for (int n = 1; n <= 128; n += strides[w]) {
            lengths[SEQUENCES - 1] = n;
            batch many = make_batch(widths[w], lengths, SEQUENCES, true);
            forward(&many);
            batch alone = make_batch(widths[w], &n, 1, true);
            const int64_t before = many.qkv.dims[0] - n;
            memcpy(alone.qkv.data, motet_tensor_rows(many.qkv, before, n).data,
                   (size_t)n * 3 * (size_t)widths[w] * sizeof(uint16_t));
            forward(&alone);
            op_assert_close("out", motet_tensor_rows(many.out, before, n), op_doubles(alone.out),
                            op_limit(MOTET_BF16));
            op_assert_close("lse", motet_tensor_rows(many.lse, before, n), op_doubles(alone.lse),
                            op_limit(MOTET_F32));
            assert_int_equal(op_teardown(state), 0);
        }
}

/* Keys and values that a warp's queries do not see, in chunks of their own: they may be NaN. */
static void test_unseen(void **state) {
    const int step = rows_together();
    for (int w = 0; w < OP_COUNT(widths); w++)
        for (int rows = step; rows < 128; rows += step) {
            const int n = 128, width = widths[w];
            batch plain = make_batch(width, &n, 1, true), bad = make_batch(width, &n, 1, true);
            forward(&plain);
            backward(&plain);
            for (int64_t i = rows; i < n; i++) {
                op_fill(
                    motet_vector((uint16_t *)bad.qkv.data + (3 * i + 1) * width, MOTET_BF16, width),
                    NAN);
                if (i >= (rows + 63) / 64 * 64)
                    op_fill(motet_vector((uint16_t *)bad.qkv.data + (3 * i + 2) * width, MOTET_BF16,
                                         width),
                            NAN);
            }
            forward(&bad);
            backward(&bad);
            op_assert_same_bits("out", motet_tensor_rows(plain.out, 0, rows),
                                motet_tensor_rows(bad.out, 0, rows));
            for (int64_t i = 0; i < rows; i++)
                op_assert_same_bits(
                    "dq",
                    motet_vector((uint16_t *)plain.dqkv.data + 3 * i * width, MOTET_BF16, width),
                    motet_vector((uint16_t *)bad.dqkv.data + 3 * i * width, MOTET_BF16, width));
            assert_int_equal(op_teardown(state), 0);
        }
}

/* Warps of a block that see the first tile of keys and no more, while others do. */
static void test_unseen_tile(void **state) {
    for (int w = 0; w < OP_COUNT(widths); w++) {
        const bool few = rows_together() == 32;
        const int n = few ? 128 : 192, shift = few ? 16 : 64, edge = few ? 64 : 128;
        const int width = widths[w];
        batch b = make_batch(width, &n, 1, true);
        int32_t *queries = op_shared(2 * sizeof *queries);
        queries[0] = 0;
        queries[1] = n - shift;
        b.spec.q_offsets = queries;
        b.out = motet_tensor_rows(b.out, 0, n - shift);
        b.lse = motet_tensor_rows(b.lse, 0, n - shift);
        forward(&b);
        motet_tensor out = op_copy(motet_tensor_rows(b.out, 0, edge - shift));
        for (int64_t i = edge; i < n; i++)
            op_fill(motet_vector((uint16_t *)b.qkv.data + (3 * i + 2) * width, MOTET_BF16, width),
                    NAN);
        forward(&b);
        op_assert_same_bits("out", motet_tensor_rows(b.out, 0, edge - shift), out);
        assert_int_equal(op_teardown(state), 0);
    }
}

/* "hopper": without what asks for blocks of two sizes. */
int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {op_test(test_ends), op_test(test_unseen),
                                       op_test(test_unseen_tile)};
    const struct CMUnitTest of_sizes[] = {op_test(test_ends_of_many)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (argc < 2 || strcmp(argv[1], "hopper") != 0)
        failed += cmocka_run_group_tests(of_sizes, NULL, NULL);
    return failed;
}
