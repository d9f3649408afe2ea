#include "kernels/row_check.h"

#include "kernels/row.h"

static bool has_floats(motet_tensor t) {
    return row_is_float(t) && row_has_data(t);
}
static bool is_rows(motet_tensor t, motet_tensor like) {
    return row_same_shape(t, like) && has_floats(t);
}
static bool is_vector(motet_tensor t, int64_t count) {
    return t.rank == 1 && t.dims[0] == count && has_floats(t);
}
static bool is_statistic(motet_tensor t, int64_t rows) {
    return row_is(t, MOTET_F32, 1) && t.dims[0] == rows && row_has_data(t);
}

/* `rows` is out or dout. */
static motet_status check_embed(const char *op, motet_tensor table, motet_tensor rows,
                                motet_tensor ids, bool table_types) {
    if (table.rank != 2 || rows.rank != 2 || !row_is(ids, MOTET_I32, 2) ||
        ids.dims[0] != rows.dims[0] || table.dims[1] != rows.dims[1] || !has_floats(rows) ||
        !table_types || !row_has_data(table) || !row_has_data(ids) ||
        (table.dtype == MOTET_I8 && !table.scale))
        return motet_row_fail(op, "the table is [V,D], rows [N,D], ids [N,K] i32", "table rows ids",
                              3, (motet_tensor[]){table, rows, ids});
    return MOTET_OK;
}
motet_status motet_embed_forward_check(motet_tensor out, motet_tensor table, motet_tensor ids) {
    return check_embed("embed_forward", table, out, ids, table.dtype != MOTET_I32);
}
motet_status motet_embed_backward_check(motet_tensor dtable, motet_tensor dout, motet_tensor ids) {
    return check_embed("embed_backward", dtable, dout, ids, dtable.dtype == MOTET_F32);
}

/* Either way: `picked` has a row for each index, `indexed` is where indices point. */
static motet_status check_indexed(const char *op, motet_tensor picked, motet_tensor indexed,
                                  motet_tensor rows) {
    if (picked.rank != 2 || indexed.rank != 2 || !row_is(rows, MOTET_I32, 1) ||
        picked.dims[0] != rows.dims[0] || picked.dims[1] != indexed.dims[1] ||
        !has_floats(picked) || !has_floats(indexed) || !row_has_data(rows))
        return motet_row_fail(op, "one row for each of the i32 indices, equal widths",
                              "picked indexed rows", 3, (motet_tensor[]){picked, indexed, rows});
    return MOTET_OK;
}
motet_status motet_gather_check(motet_tensor out, motet_tensor x, motet_tensor rows) {
    return check_indexed("gather", out, x, rows);
}
motet_status motet_scatter_add_check(motet_tensor out, motet_tensor x, motet_tensor rows) {
    return check_indexed("scatter_add", x, out, rows);
}
motet_status motet_add_check(motet_tensor out, motet_tensor x) {
    if (!is_rows(out, x) || !has_floats(x))
        return motet_row_fail("add", "out and x have one shape", "out x", 2,
                              (motet_tensor[]){out, x});
    return MOTET_OK;
}

motet_status motet_rmsnorm_forward_check(motet_tensor out, motet_tensor rstd, motet_tensor x,
                                         motet_tensor weight) {
    if (x.rank != 2 || !has_floats(x) || !is_rows(out, x) || !is_vector(weight, x.dims[1]) ||
        (rstd.data && !is_statistic(rstd, x.dims[0])))
        return motet_row_fail("rmsnorm_forward", "out and x are [N,D], weight [D], rstd [N] f32",
                              "out rstd x weight", 4, (motet_tensor[]){out, rstd, x, weight});
    return MOTET_OK;
}
motet_status motet_rmsnorm_backward_check(motet_tensor dx, motet_tensor dweight, motet_tensor dout,
                                          motet_tensor x, motet_tensor weight, motet_tensor rstd) {
    int64_t width = x.dims[1];
    if (x.rank != 2 || !has_floats(x) || !is_rows(dout, x) || !is_rows(dx, x) ||
        dx.dtype != MOTET_F32 || !is_vector(weight, width) || !is_vector(dweight, width) ||
        dweight.dtype != MOTET_F32 || !is_statistic(rstd, x.dims[0]))
        return motet_row_fail("rmsnorm_backward",
                              "dx [N,D] f32, dout and x [N,D], dweight [D] f32, weight [D], "
                              "rstd [N] f32",
                              "dx dweight dout x weight rstd", 6,
                              (motet_tensor[]){dx, dweight, dout, x, weight, rstd});
    return MOTET_OK;
}

motet_status motet_rmsnorm_add_forward_check(motet_tensor out, motet_tensor sum, motet_tensor rstd,
                                             motet_tensor x, motet_tensor branch,
                                             motet_tensor weight) {
    if (!row_is(x, MOTET_F32, 2) || !row_has_data(x) || !is_rows(sum, x) ||
        sum.dtype != MOTET_F32 || !is_rows(branch, x) || !is_rows(out, x) ||
        !is_vector(weight, x.dims[1]) || (rstd.data && !is_statistic(rstd, x.dims[0])))
        return motet_row_fail(
            "rmsnorm_add_forward",
            "x and sum are [N,D] f32, out and branch [N,D], weight [D], rstd [N] f32",
            "out sum rstd x branch weight", 6, (motet_tensor[]){out, sum, rstd, x, branch, weight});
    return MOTET_OK;
}
motet_status motet_rmsnorm_add_backward_check(motet_tensor dx, motet_tensor dbranch,
                                              motet_tensor dweight, motet_tensor dout,
                                              motet_tensor sum, motet_tensor weight,
                                              motet_tensor rstd) {
    if (!row_is(sum, MOTET_F32, 2) || !is_rows(dbranch, sum))
        return motet_row_fail("rmsnorm_add_backward", "sum is [N,D] f32, dbranch [N,D]",
                              "dbranch sum", 2, (motet_tensor[]){dbranch, sum});
    return motet_rmsnorm_backward_check(dx, dweight, dout, sum, weight, rstd);
}

motet_status motet_layernorm_forward_check(motet_tensor out, motet_tensor mean, motet_tensor rstd,
                                           motet_tensor x, motet_tensor residual,
                                           motet_tensor weight, motet_tensor bias) {
    int64_t rows = x.dims[0], width = x.dims[1];
    if (x.rank != 2 || !has_floats(x) || !is_rows(out, x) ||
        (residual.data && !is_rows(residual, x)) || !is_vector(weight, width) ||
        !is_vector(bias, width) || (mean.data && !is_statistic(mean, rows)) ||
        (rstd.data && !is_statistic(rstd, rows)))
        return motet_row_fail(
            "layernorm_forward",
            "out, x, residual are [N,D], weight and bias [D], mean and rstd [N] f32",
            "out mean rstd x residual weight bias", 7,
            (motet_tensor[]){out, mean, rstd, x, residual, weight, bias});
    return MOTET_OK;
}
motet_status motet_layernorm_backward_check(motet_tensor ds, motet_tensor dweight,
                                            motet_tensor dbias, motet_tensor dout, motet_tensor s,
                                            motet_tensor weight, motet_tensor mean,
                                            motet_tensor rstd) {
    int64_t rows = s.dims[0], width = s.dims[1];
    if (s.rank != 2 || !has_floats(s) || !is_rows(dout, s) || !is_rows(ds, s) ||
        ds.dtype != MOTET_F32 || !is_vector(weight, width) || !is_vector(dweight, width) ||
        dweight.dtype != MOTET_F32 || !is_vector(dbias, width) || dbias.dtype != MOTET_F32 ||
        !is_statistic(mean, rows) || !is_statistic(rstd, rows))
        return motet_row_fail("layernorm_backward",
                              "ds [N,D] f32, dout and s [N,D], dweight and dbias [D] f32, weight "
                              "[D], mean and rstd [N] f32",
                              "ds dweight dbias dout s weight mean rstd", 8,
                              (motet_tensor[]){ds, dweight, dbias, dout, s, weight, mean, rstd});
    return MOTET_OK;
}

motet_status motet_rope_check(motet_tensor x, motet_tensor table, int heads) {
    int64_t width = table.dims[1];
    if (x.rank != 2 || !row_is(table, MOTET_F32, 2) || table.dims[0] != x.dims[0] || width < 2 ||
        width % 2 != 0 || width > ROW_CHUNK || heads < 0 || heads > x.dims[1] / width ||
        !has_floats(x) || !row_has_data(table))
        return motet_row_fail("rope",
                              "x is [N,C], table [N,W] f32, W even and at most 1024, heads*W <= C",
                              "x table", 2, (motet_tensor[]){x, table});
    return MOTET_OK;
}

static bool is_packed(motet_tensor packed, motet_tensor narrow) {
    return narrow.rank == 2 && packed.rank == 2 && narrow.dims[0] == packed.dims[0] &&
           packed.dims[1] % 2 == 0 && narrow.dims[1] == packed.dims[1] / 2 && has_floats(narrow) &&
           has_floats(packed);
}
motet_status motet_swiglu_forward_check(motet_tensor out, motet_tensor gu) {
    if (!is_packed(gu, out))
        return motet_row_fail("swiglu_forward", "out is [N,F], gu [N,2F]", "out gu", 2,
                              (motet_tensor[]){out, gu});
    return MOTET_OK;
}
motet_status motet_swiglu_backward_check(motet_tensor dgu, motet_tensor dout, motet_tensor gu) {
    if (!is_packed(gu, dout) || !is_packed(dgu, dout))
        return motet_row_fail("swiglu_backward", "dout is [N,F], gu and dgu [N,2F]", "dgu dout gu",
                              3, (motet_tensor[]){dgu, dout, gu});
    return MOTET_OK;
}

motet_status motet_gelu_forward_check(motet_tensor out, motet_tensor x) {
    if (!is_rows(out, x) || !has_floats(x))
        return motet_row_fail("gelu_forward", "out and x have one shape", "out x", 2,
                              (motet_tensor[]){out, x});
    return MOTET_OK;
}
motet_status motet_gelu_backward_check(motet_tensor dx, motet_tensor dout, motet_tensor x) {
    if (!is_rows(dx, x) || !is_rows(dout, x) || !has_floats(x))
        return motet_row_fail("gelu_backward", "dx, dout and x have one shape", "dx dout x", 3,
                              (motet_tensor[]){dx, dout, x});
    return MOTET_OK;
}

motet_status motet_cross_entropy_check(motet_tensor loss, motet_tensor logits, motet_tensor targets,
                                       motet_tensor legal) {
    int64_t rows = logits.dims[0], words = (logits.dims[1] + 31) / 32;
    if (logits.rank != 2 || !is_statistic(loss, rows) || !row_is(targets, MOTET_I32, 1) ||
        targets.dims[0] != rows || !row_has_data(targets) || !has_floats(logits) ||
        (legal.data &&
         (!row_is(legal, MOTET_I32, 2) || legal.dims[0] != rows || legal.dims[1] != words)))
        return motet_row_fail(
            "cross_entropy",
            "loss [N] f32, logits [N,V], targets [N] i32, legal [N,ceil(V/32)] i32 or none",
            "loss logits targets legal", 4, (motet_tensor[]){loss, logits, targets, legal});
    return MOTET_OK;
}
