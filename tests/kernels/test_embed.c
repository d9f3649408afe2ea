#include "tests/kernels/harness_op.h"

/* N bags of K ids of V; some are absent. */
static motet_tensor ids_of(int64_t rows, int64_t bag, int64_t vocabulary) {
    motet_tensor ids = op_matrix(MOTET_I32, rows, bag);
    op_fill_integers(ids, 9, -(int)vocabulary / 4 - 1, (int)vocabulary - 1);
    return ids;
}

static void parity(int64_t rows, int64_t bag, int64_t width, int64_t vocabulary,
                   motet_dtype type_table, motet_dtype type_out) {
    motet_tensor table = op_matrix(type_table, vocabulary, width);
    motet_tensor ids = ids_of(rows, bag, vocabulary), out = op_matrix(type_out, rows, width);
    op_fill_normal(table, 1, 1.0);
    double *want = op_zeros(rows * width);
    for (int64_t i = 0; i < rows * bag; i++) {
        int64_t id = (int64_t)op_get(ids, i);
        for (int64_t d = 0; d < width; d++)
            if (id >= 0) want[i / bag * width + d] += op_get(table, id * width + d);
    }
    op_ok(op_backend()->embed_forward(out, table, ids));
    op_assert_close("out", out, want, op_limit(type_out));

    motet_tensor dtable = op_matrix(MOTET_F32, vocabulary, width);
    motet_tensor dout = op_matrix(type_out, rows, width);
    op_fill_normal(dtable, 2, 1.0); /* it is added to */
    op_fill_normal(dout, 3, 1.0);
    double *want_table = op_doubles(dtable);
    for (int64_t i = 0; i < rows * bag; i++) {
        int64_t id = (int64_t)op_get(ids, i);
        for (int64_t d = 0; d < width; d++)
            if (id >= 0) want_table[id * width + d] += op_get(dout, i / bag * width + d);
    }
    op_ok(op_backend()->embed_backward(dtable, dout, ids));
    op_assert_close("dtable", dtable, want_table, op_limit(MOTET_F32));
    op_teardown(NULL);
}

static void test_parity(void **state) {
    (void)state;
    const motet_dtype tables[] = {MOTET_F32, MOTET_BF16, MOTET_I8};
    const int64_t bags[] = {0, 1, 3, 14};
    for (int r = 0; r < OP_COUNT(op_rows); r++)
        for (int k = 0; k < OP_COUNT(bags); k++)
            for (int c = 0; c < OP_COUNT(op_widths); c++)
                for (int types = 0; types < 6; types++)
                    if (!op_skips(r + k + c + types, 2))
                        parity(op_rows[r], bags[k], op_widths[c], 11, tables[types / 2],
                               op_floats[types % 2]);
    /* Bags beyond a warp's ids, and rows that end in each of the chunks of a device's lane. */
    for (int width = 40; width <= 168; width += 128)
        for (int types = 0; types < 6; types++)
            parity(3, 36, width, 11, tables[types / 2], op_floats[types % 2]);
    parity(64, 14, 256, 1400, MOTET_BF16, MOTET_BF16); /* the model's, on fewer rows */
    parity(37, 70, 40, 700, MOTET_F32, MOTET_F32);
    for (int vocabulary = 100; vocabulary <= 412; vocabulary += 156) /* 256, a block's threads */
        parity(37, 2, 40, vocabulary, MOTET_F32, MOTET_F32);
    parity(800, 14, 3, 220000, MOTET_F32, MOTET_F32); /* more than a device sorts at once */
}

/* Addresses that vectors cannot be read from. */
static void test_askew(void **state) {
    (void)state;
    for (int t = 0; t < 2; t++) {
        motet_dtype type = op_floats[t];
        motet_tensor ids = ids_of(9, 3, 5), table = op_askew(type, 5, 64);
        motet_tensor out = op_askew(type, 9, 64), dtable = op_askew(MOTET_F32, 5, 64);
        op_fill_normal(table, 1, 1.0);
        op_fill(dtable, 1);
        double *want = op_zeros(9 * 64), *want_table = op_doubles(dtable);
        for (int i = 0; i < 27 * 64; i++) {
            int64_t id = (int64_t)op_get(ids, i / 64), d = i % 64;
            if (id >= 0) want[i / 192 * 64 + d] += op_get(table, id * 64 + d);
        }
        op_ok(op_backend()->embed_forward(out, table, ids));
        op_assert_close("out", out, want, op_limit(type));
        for (int i = 0; i < 27 * 64; i++) {
            int64_t id = (int64_t)op_get(ids, i / 64), d = i % 64;
            if (id >= 0) want_table[id * 64 + d] += op_get(out, i / 192 * 64 + d);
        }
        op_ok(op_backend()->embed_backward(dtable, out, ids));
        op_assert_close("dtable", dtable, want_table, op_limit(MOTET_F32));
    }
}

static void test_exact(void **state) {
    (void)state;
    motet_tensor table = op_matrix(MOTET_F32, 3, 2), ids = op_matrix(MOTET_I32, 2, 3);
    motet_tensor out = op_matrix(MOTET_F32, 2, 2), dtable = op_matrix(MOTET_F32, 3, 2);
    const double values[] = {1, 2, 30, 40, 500, 600}, id[] = {2, 0, 2, -1, 1, -5};
    const double want[] = {1001, 1202, 30, 40};
    for (int i = 0; i < 6; i++)
        op_set(table, i, values[i]), op_set(ids, i, id[i]);
    op_ok(op_backend()->embed_forward(out, table, ids));
    op_assert_equal("out", out, want);
    const double want_table[] = {1001, 1202, 30, 40, 2002, 2404};
    op_fill(dtable, 0);
    op_ok(op_backend()->embed_backward(dtable, out, ids));
    op_assert_equal("dtable", dtable, want_table);
}

typedef struct setting {
    motet_tensor table, ids, out, dout;
} setting;

static double loss(void *context) {
    setting *s = context;
    op_ok(op_backend()->embed_forward(s->out, s->table, s->ids));
    return op_dot(s->out, s->dout);
}

static void test_gradient(void **state) {
    (void)state;
    setting s = {op_matrix(MOTET_F32, 11, 33), ids_of(17, 5, 11), op_matrix(MOTET_F32, 17, 33),
                 op_matrix(MOTET_F32, 17, 33)};
    motet_tensor dtable = op_matrix(MOTET_F32, 11, 33);
    op_fill_normal(s.table, 1, 1.0);
    op_fill_normal(s.dout, 2, 1.0);
    op_fill(dtable, 0);
    op_ok(op_backend()->embed_backward(dtable, s.dout, s.ids));
    op_assert_gradient("dtable", s.table, dtable, loss, &s, 0.1, 1e-9);
}

static void test_threads(void **state) {
    (void)state;
    int64_t rows = 300, vocabulary = 23, widths[] = {160, 7, 1100};
    for (int c = 0; c < 3; c++) {
        motet_tensor dtable[3], dout = op_matrix(MOTET_BF16, rows, widths[c]);
        motet_tensor ids = ids_of(rows, 14, vocabulary);
        op_fill_normal(dout, 1, 1.0);
        for (int t = 0; t < 3; t++) {
            op_threads(t == 2 ? 7 : t + 1);
            dtable[t] = op_matrix(MOTET_F32, vocabulary, widths[c]);
            op_fill(dtable[t], 0.5);
            op_ok(op_backend()->embed_backward(dtable[t], dout, ids));
            op_assert_same_bits("dtable", dtable[0], dtable[t]);
        }
    }
}

static void test_bad_input(void **state) {
    (void)state;
    motet_tensor table = op_matrix(MOTET_F32, 4, 8), out = op_matrix(MOTET_F32, 3, 8);
    motet_tensor ids = op_matrix(MOTET_I32, 3, 2);
    op_fill(ids, 3);
    op_fails(op_backend()->embed_forward(op_matrix(MOTET_F32, 3, 9), table, ids), MOTET_E_USAGE,
             "f32 [3,9]");
    op_fails(op_backend()->embed_forward(out, table, op_matrix(MOTET_I32, 2, 2)), MOTET_E_USAGE,
             "i32 [2,2]");
    op_fails(op_backend()->embed_backward(op_matrix(MOTET_BF16, 4, 8), out, ids), MOTET_E_USAGE,
             "bf16 [4,8]");
    motet_tensor unscaled = op_matrix(MOTET_I8, 4, 8);
    unscaled.scale = NULL;
    op_fails(op_backend()->embed_forward(out, unscaled, ids), MOTET_E_USAGE, "embed_forward: ");
    const char *words = op_on_cpu() ? "id 4 in row 1" : "row 1 has id 4";
    op_set(ids, 3, 4);
    op_fails(op_backend()->embed_forward(out, table, ids), MOTET_E_USAGE, words);
    op_fill(table, 1);
    op_fails(op_backend()->embed_backward(table, out, ids), MOTET_E_USAGE, words);
    for (int i = 0; i < 32 && op_on_cpu(); i++)
        assert_true(op_get(table, i) == 1); /* untouched; a device adds the ids that are right */
    motet_tensor long_bags = op_matrix(MOTET_I32, 3, 40);
    op_fill(long_bags, -1);
    op_set(long_bags, 2 * 40 + 37, 4);
    words = op_on_cpu() ? "id 4 in row 2" : "row 2 has id 4";
    op_fails(op_backend()->embed_forward(out, table, long_bags), MOTET_E_USAGE, words);
    op_fails(op_backend()->embed_forward(op_askew(MOTET_F32, 3, 8), table, long_bags),
             MOTET_E_USAGE, words);
}

/* Lists of a device's sort in which ids begin and end with a tile of 32 entries, and go over many.
 */
static void test_tiles(void **state) {
    (void)state;
    enum { IDS = 24, MOST = 2000 };
    int entries[IDS], rows = 0;
    for (int id = 0; id < 16; id += 2) {
        entries[id] = 1 + id / 2 % 4;
        entries[id + 1] = 32 - entries[id];
    }
    for (int id = 16; id < IDS; id++)
        entries[id] = 32 * (id - 15) + 5;
    entries[IDS - 1] += 25; /* one entry in the last tile */
    for (int t = 0; t < 4; t++) {
        motet_tensor ids = op_matrix(MOTET_I32, MOST, 1);
        rows = 0;
        for (int id = 0; id < IDS; id++)
            for (int n = 0; n < entries[id]; n++)
                op_set(ids, rows++, id);
        ids.dims[0] = rows;
        motet_tensor dout = (t / 2 ? op_askew : op_matrix)(op_floats[t % 2], rows, 40);
        motet_tensor dtable = op_matrix(MOTET_F32, IDS, 40);
        op_fill_integers(dout, 1, -9, 9);
        op_fill(dtable, 1);
        double *want = op_doubles(dtable);
        for (int i = 0; i < rows * 40; i++)
            want[(int64_t)op_get(ids, i / 40) * 40 + i % 40] += op_get(dout, i);
        op_ok(op_backend()->embed_backward(dtable, dout, ids));
        op_assert_equal("dtable", dtable, want);
    }
}

/* A wrong id is seen, and not used, for every type, and where vectors cannot be used. */
static void test_bad_ids(void **state) {
    (void)state;
    /* 264 columns: beyond what a device's warp sums. */
    const motet_dtype tables[] = {MOTET_F32, MOTET_BF16, MOTET_I8};
    for (int types = 0; types < 12; types++) {
        motet_dtype type = op_floats[types % 2];
        motet_tensor table = op_matrix(tables[types / 4], 4, 264),
                     ids = op_matrix(MOTET_I32, 3, 40);
        motet_tensor out = types / 2 % 2 ? op_askew(type, 3, 264) : op_matrix(type, 3, 264);
        op_fill_normal(table, 1, 1.0);
        op_fill(ids, 0);
        for (int at = 1; at < 40; at += 36) { /* among a warp's first ids, and its second ones */
            op_set(ids, 2 * 40 + at, 4);
            op_fails(op_backend()->embed_forward(out, table, ids), MOTET_E_USAGE,
                     op_on_cpu() ? "id 4 in row 2" : "row 2 has id 4");
            op_set(ids, 2 * 40 + at, 0);
        }
    }
    /* Among so many entries that a device counts them in several chunks. */
    motet_tensor ids = op_matrix(MOTET_I32, 3000, 1), dout = op_matrix(MOTET_F32, 3000, 8);
    motet_tensor dtable = op_matrix(MOTET_F32, 4, 8);
    op_fill_integers(ids, 3, -1, 4);
    op_fill(dout, 1);
    op_fill(dtable, 0);
    double want[32] = {0};
    for (int i = 0; i < 24000; i++) {
        int id = (int)op_get(ids, i / 8);
        if (id >= 0 && id < 4) want[id * 8 + i % 8]++;
    }
    op_fails(op_backend()->embed_backward(dtable, dout, ids), MOTET_E_USAGE,
             op_on_cpu() ? "id 4 in row" : "has id 4");
    if (!op_on_cpu()) op_assert_equal("ids that are right", dtable, want);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        op_test(test_parity),  op_test(test_exact),     op_test(test_askew), op_test(test_gradient),
        op_test(test_threads), op_test(test_bad_input), op_test(test_tiles), op_test(test_bad_ids)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
