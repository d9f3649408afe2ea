#include "kernels/attention_check.h"

motet_status motet_attention_check(motet_tensor out, motet_tensor lse, motet_tensor q,
                                   motet_tensor k, motet_tensor v,
                                   const motet_attention_spec *spec) {
    const int w = spec->width;
    if (w != 16 && w != 32 && w != 64 && w != 128)
        return MOTET_FAIL(MOTET_E_USAGE, "attention heads are 16, 32, 64 or 128 wide, not %d", w);
    if (spec->heads < 1 || spec->sequences < 0)
        return MOTET_FAIL(MOTET_E_USAGE, "attention over %d sequences and %d heads",
                          spec->sequences, spec->heads);
    if (q.dtype != MOTET_F32 && q.dtype != MOTET_BF16)
        return MOTET_FAIL(MOTET_E_USAGE, "attention takes f32 or bf16, not %s",
                          motet_dtype_name(q.dtype));
    if (k.dtype != q.dtype || v.dtype != q.dtype || out.dtype != q.dtype)
        return MOTET_FAIL(MOTET_E_USAGE, "attention wants one dtype, not q %s, k %s, v %s, out %s",
                          motet_dtype_name(q.dtype), motet_dtype_name(k.dtype),
                          motet_dtype_name(v.dtype), motet_dtype_name(out.dtype));
    if (lse.data && lse.dtype != MOTET_F32)
        return MOTET_FAIL(MOTET_E_USAGE, "attention keeps lse in f32, not %s",
                          motet_dtype_name(lse.dtype));
    const int64_t row = (int64_t)spec->heads * w;
    if (spec->q_pitch < row || spec->k_pitch < row || spec->v_pitch < row || spec->out_pitch < row)
        return MOTET_FAIL(MOTET_E_USAGE, "an attention pitch is below the %lld columns of a row",
                          (long long)row);
    if (spec->q_offsets[0] != 0 || spec->k_offsets[0] != 0)
        return MOTET_FAIL(MOTET_E_USAGE, "attention offsets must start at 0");
    for (int s = 0; s < spec->sequences; s++) {
        if (spec->q_offsets[s + 1] < spec->q_offsets[s] ||
            spec->k_offsets[s + 1] < spec->k_offsets[s])
            return MOTET_FAIL(MOTET_E_USAGE, "attention offsets fall after sequence %d", s);
    }
    return MOTET_OK;
}

motet_status motet_attention_backward_check(motet_tensor dq, motet_tensor dk, motet_tensor dv,
                                            motet_tensor dout, motet_tensor out, motet_tensor lse,
                                            motet_tensor q, motet_tensor k, motet_tensor v,
                                            const motet_attention_spec *spec) {
    MOTET_TRY(motet_attention_check(out, lse, q, k, v, spec));
    if (!lse.data)
        return MOTET_FAIL(MOTET_E_USAGE, "attention backward needs the lse of the forward pass");
    if (dout.dtype != q.dtype)
        return MOTET_FAIL(MOTET_E_USAGE, "attention backward wants dout in %s, not %s",
                          motet_dtype_name(q.dtype), motet_dtype_name(dout.dtype));
    if ((dq.dtype != MOTET_F32 && dq.dtype != MOTET_BF16) || dk.dtype != dq.dtype ||
        dv.dtype != dq.dtype)
        return MOTET_FAIL(
            MOTET_E_USAGE, "attention backward gives f32 or bf16 alike, not dq %s, dk %s, dv %s",
            motet_dtype_name(dq.dtype), motet_dtype_name(dk.dtype), motet_dtype_name(dv.dtype));
    return MOTET_OK;
}

static bool is_float(motet_tensor t) {
    return t.dtype == MOTET_F32 || t.dtype == MOTET_BF16;
}

/* [B,T,H*W] of `dtype`, or int8 with scales. */
static bool is_cache(motet_tensor cache, motet_dtype dtype) {
    return cache.rank == 3 && cache.dims[0] >= 0 && cache.dims[1] >= 0 &&
           (cache.dtype == dtype || (cache.dtype == MOTET_I8 && cache.scale));
}

static bool are_caches(motet_tensor k, motet_tensor v, motet_dtype dtype) {
    return is_cache(k, dtype) && is_cache(v, dtype) && k.dtype == v.dtype &&
           k.dims[0] == v.dims[0] && k.dims[1] == v.dims[1] && k.dims[2] == v.dims[2];
}

static motet_status heads_check(int64_t row, int heads) {
    const int64_t width = heads > 0 && row % heads == 0 ? row / heads : 0;
    if (width == 16 || width == 32 || width == 64 || width == 128) return MOTET_OK;
    return MOTET_FAIL(MOTET_E_USAGE,
                      "%d heads cannot share %lld columns at width 16, 32, 64 or 128", heads,
                      (long long)row);
}

motet_status motet_attention_decode_check(motet_tensor out, motet_tensor q, motet_tensor k_cache,
                                          motet_tensor v_cache, int heads) {
    if (q.rank != 2 || out.rank != 2 || out.dims[0] != q.dims[0] || out.dims[1] != q.dims[1] ||
        !is_float(q) || out.dtype != q.dtype)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "decode attention wants q and out of one shape [B,H*W], f32 or bf16");
    if (!are_caches(k_cache, v_cache, q.dtype) || k_cache.dims[0] != q.dims[0] ||
        k_cache.dims[2] != q.dims[1])
        return MOTET_FAIL(
            MOTET_E_USAGE,
            "decode attention wants caches [B,T,H*W] of q's B and width, of its dtype "
            "or int8 with scales");
    return heads_check(q.dims[1], heads);
}

motet_status motet_attention_append_check(motet_tensor k_cache, motet_tensor v_cache,
                                          motet_tensor k, motet_tensor v, int64_t pitch,
                                          int heads) {
    if (!are_caches(k_cache, v_cache, is_float(k_cache) ? k_cache.dtype : MOTET_F32))
        return MOTET_FAIL(
            MOTET_E_USAGE,
            "attention append wants caches of one shape [B,T,H*W], f32, bf16, or int8 "
            "with scales");
    if (!is_float(k) || v.dtype != k.dtype || k.rank < 1 || v.rank < 1 || k.dims[0] < 0 ||
        k.dims[0] != v.dims[0] || pitch < k_cache.dims[2])
        return MOTET_FAIL(MOTET_E_USAGE,
                          "attention append wants as many rows of k as of v, f32 or bf16 alike, of "
                          "%lld columns or more",
                          (long long)k_cache.dims[2]);
    return heads_check(k_cache.dims[2], heads);
}

motet_attention_head motet_attention_head_at(motet_tensor out, motet_tensor lse, motet_tensor q,
                                             motet_tensor k, motet_tensor v,
                                             const motet_attention_spec *spec, int s, int h) {
    const int64_t q0 = spec->q_offsets[s], k0 = spec->k_offsets[s];
    const int64_t column = (int64_t)h * spec->width;
    return (motet_attention_head){
        .q = motet_attention_at(q, q0 * spec->q_pitch + column),
        .k = motet_attention_at(k, k0 * spec->k_pitch + column),
        .v = motet_attention_at(v, k0 * spec->v_pitch + column),
        .out = motet_attention_at(out, q0 * spec->out_pitch + column),
        .lse = lse.data ? (float *)lse.data + q0 * spec->heads + h : NULL,
        .dtype = q.dtype,
        .heads = spec->heads,
        .width = spec->width,
        .queries = spec->q_offsets[s + 1] - q0,
        .keys = spec->k_offsets[s + 1] - k0,
        .q_pitch = spec->q_pitch,
        .k_pitch = spec->k_pitch,
        .v_pitch = spec->v_pitch,
        .out_pitch = spec->out_pitch,
        .causal = spec->causal,
    };
}

void motet_attention_longest(int64_t *queries, int64_t *keys, const motet_attention_spec *spec) {
    *queries = *keys = 0;
    for (int s = 0; s < spec->sequences; s++) {
        const int64_t nq = spec->q_offsets[s + 1] - spec->q_offsets[s];
        const int64_t nk = spec->k_offsets[s + 1] - spec->k_offsets[s];
        if (nq > *queries) *queries = nq;
        if (nk > *keys) *keys = nk;
    }
}

double motet_attention_work(const motet_attention_spec *spec) {
    double work = 0;
    for (int s = 0; s < spec->sequences; s++)
        work += (double)(spec->q_offsets[s + 1] - spec->q_offsets[s]) *
                (double)(spec->k_offsets[s + 1] - spec->k_offsets[s]);
    return work * spec->heads * spec->width;
}
