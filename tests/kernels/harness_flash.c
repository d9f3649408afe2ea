#include "tests/kernels/harness_flash.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const int flash_widths[FLASH_WIDTHS] = {32, 64, 128};

motet_tensor flash_column(motet_tensor t, int64_t column) {
    t.data = (uint16_t *)t.data + column;
    return t;
}

flash_problem flash_make(int heads, int width, int sequences, const int *queries, const int *keys,
                         bool causal, uint64_t seed) {
    flash_problem p = {.row = (int64_t)heads * width,
                       .spec = {.heads = heads, .width = width, .sequences = sequences}};
    p.spec.causal = causal;
    p.q_offsets = op_shared((size_t)(sequences + 1) * sizeof(int32_t));
    p.k_offsets = op_shared((size_t)(sequences + 1) * sizeof(int32_t));
    p.q_offsets[0] = p.k_offsets[0] = 0;
    for (int s = 0; s < sequences; s++) {
        p.q_offsets[s + 1] = p.q_offsets[s] + queries[s];
        p.k_offsets[s + 1] = p.k_offsets[s] + (keys ? keys : queries)[s];
    }
    p.queries = p.q_offsets[sequences], p.keys = p.k_offsets[sequences];
    p.spec.q_offsets = p.q_offsets, p.spec.k_offsets = p.k_offsets;
    if (!keys) { /* one packed row */
        p.spec.q_pitch = p.spec.k_pitch = p.spec.v_pitch = 3 * p.row + 8;
        motet_tensor qkv = op_matrix(MOTET_BF16, p.queries, p.spec.q_pitch), dqkv = op_copy(qkv);
        op_fill_normal(qkv, seed, 1.2);
        op_fill(dqkv, 77.0);
        p.q = qkv, p.k = flash_column(qkv, p.row), p.v = flash_column(qkv, 2 * p.row);
        p.dq = dqkv, p.dk = flash_column(dqkv, p.row), p.dv = flash_column(dqkv, 2 * p.row);
    } else {
        p.spec.q_pitch = p.row + 16, p.spec.k_pitch = p.spec.v_pitch = 2 * p.row;
        p.q = op_matrix(MOTET_BF16, p.queries, p.spec.q_pitch), p.dq = op_copy(p.q);
        motet_tensor kv = op_matrix(MOTET_BF16, p.keys, 2 * p.row), dkv = op_copy(kv);
        op_fill_normal(p.q, seed, 1.2);
        op_fill_normal(kv, seed + 1, 1.2);
        op_fill(p.dq, 77.0);
        op_fill(dkv, 77.0);
        p.k = kv, p.v = flash_column(kv, p.row), p.dk = dkv, p.dv = flash_column(dkv, p.row);
    }
    p.spec.out_pitch = p.row + 8;
    p.out = op_matrix(MOTET_BF16, p.queries, p.spec.out_pitch);
    p.dout = op_copy(p.out);
    p.lse = op_matrix(MOTET_F32, p.queries, heads);
    op_fill(p.out, 77.0);
    op_fill_normal(p.dout, seed + 2, 1.0);
    return p;
}

/* The columns that count, one row after another. */
static double *dense(motet_tensor t, int64_t rows, int64_t pitch, const flash_problem *p) {
    double *d = op_zeros(rows * p->row + 1);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < p->row; c++)
            d[i * p->row + c] = op_get(t, i * pitch + c);
    return d;
}

static void refer_head(flash_problem *p, const double *q, const double *k, const double *v,
                       const double *dout, double *weight, int s, int h) {
    const int64_t q0 = p->q_offsets[s], nq = p->q_offsets[s + 1] - q0, row = p->row;
    const int64_t k0 = p->k_offsets[s], nk = p->k_offsets[s + 1] - k0;
    const int w = p->spec.width;
    const double scale = 1.0 / sqrt(w);
    for (int64_t i = 0; i < nq; i++) {
        int64_t seen = p->spec.causal ? i + 1 + nk - nq : nk;
        seen = seen < 0 ? 0 : seen;
        const int64_t qi = (q0 + i) * row + h * w;
        double top = -INFINITY, sum = 0, delta = 0;
        for (int64_t j = 0; j < seen; j++) {
            double dot = 0;
            for (int c = 0; c < w; c++)
                dot += q[qi + c] * k[(k0 + j) * row + h * w + c];
            weight[j] = dot * scale;
            top = fmax(top, weight[j]);
        }
        for (int64_t j = 0; j < seen; j++)
            sum += weight[j] = exp(weight[j] - top);
        p->want_lse[(q0 + i) * p->spec.heads + h] = seen ? top + log(sum) : -INFINITY;
        for (int64_t j = 0; j < seen; j++)
            for (int c = 0; c < w; c++)
                p->want_out[qi + c] += weight[j] / sum * v[(k0 + j) * row + h * w + c];
        for (int c = 0; c < w; c++)
            delta += p->want_out[qi + c] * dout[qi + c];
        for (int64_t j = 0; j < seen; j++) {
            const int64_t kj = (k0 + j) * row + h * w;
            double dp = 0;
            for (int c = 0; c < w; c++) {
                dp += dout[qi + c] * v[kj + c];
                p->want_dv[kj + c] += weight[j] / sum * dout[qi + c];
            }
            const double ds = weight[j] / sum * (dp - delta) * scale;
            for (int c = 0; c < w; c++) {
                p->want_dq[qi + c] += ds * k[kj + c];
                p->want_dk[kj + c] += ds * q[qi + c];
            }
        }
    }
}

void flash_refer(flash_problem *p) {
    const motet_attention_spec *s = &p->spec;
    const double *q = dense(p->q, p->queries, s->q_pitch, p);
    const double *k = dense(p->k, p->keys, s->k_pitch, p);
    const double *v = dense(p->v, p->keys, s->v_pitch, p);
    const double *dout = dense(p->dout, p->queries, s->out_pitch, p);
    double *weight = op_zeros(p->keys + 1);
    p->want_out = op_zeros(p->queries * p->row + 1), p->want_dq = op_zeros(p->queries * p->row + 1);
    p->want_dk = op_zeros(p->keys * p->row + 1), p->want_dv = op_zeros(p->keys * p->row + 1);
    p->want_lse = op_zeros(p->queries * s->heads + 1);
    for (int n = 0; n < s->sequences; n++)
        for (int h = 0; h < s->heads; h++)
            refer_head(p, q, k, v, dout, weight, n, h);
}

void flash_run(flash_problem *p) {
    op_ok(op_backend()->attention_forward(p->out, p->lse, p->q, p->k, p->v, &p->spec));
    op_ok(op_backend()->attention_backward(p->dq, p->dk, p->dv, p->dout, p->out, p->lse, p->q, p->k,
                                           p->v, &p->spec));
}

/* The rows as a tensor without gaps. */
motet_tensor flash_packed(motet_tensor t, int64_t rows, int64_t pitch, const flash_problem *p) {
    motet_tensor to = op_matrix(MOTET_BF16, rows, p->row);
    for (int64_t i = 0; i < rows; i++)
        memcpy((uint16_t *)to.data + i * p->row, (const uint16_t *)t.data + i * pitch,
               (size_t)p->row * sizeof(uint16_t));
    return to;
}

static void check_gaps(const flash_problem *p) {
    const motet_attention_spec *s = &p->spec;
    const bool apart = s->q_pitch < 3 * p->row; /* k and v have no gap then */
    for (int64_t i = 0; i < p->queries; i++) {
        for (int64_t c = p->row; c < s->out_pitch; c++)
            assert_true(op_get(p->out, i * s->out_pitch + c) == 77.0);
        for (int64_t c = apart ? p->row : 3 * p->row; c < s->q_pitch; c++)
            assert_true(op_get(p->dq, i * s->q_pitch + c) == 77.0);
    }
}

static void check_finite(motet_tensor t, int64_t rows, int64_t pitch, const flash_problem *p) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < p->row; c++)
            assert_true(isfinite(op_get(t, i * pitch + c)));
}

/* In f32 sums all but the last digits are right; bf16 rounds out, and the weights before it. The
 * gradients have delta from the rounded out, and rounded weights and slopes. Where all keys have
 * much in common, and slopes sum to 0, that leaves nothing of dq and dk (steep): there they need
 * only be finite. */
void flash_check_of(const char *name, flash_problem *p, bool steep) {
    char what[160];
    const motet_attention_spec *s = &p->spec;
    flash_refer(p);
    flash_run(p);
#define CLOSE(field, tensor, limit)                                                               \
    snprintf(what, sizeof what, "%s H%d W%d S%d queries %lld causal %d: " #field, name, s->heads, \
             s->width, s->sequences, (long long)p->queries, s->causal);                           \
    op_assert_close(what, tensor, p->want_##field, limit)
    CLOSE(out, flash_packed(p->out, p->queries, s->out_pitch, p), op_limit(MOTET_BF16));
    CLOSE(lse, p->lse, 1e-11);
    CLOSE(dv, flash_packed(p->dv, p->keys, s->v_pitch, p), 2e-5);
    check_gaps(p);
    if (steep) {
        check_finite(p->dq, p->queries, s->q_pitch, p);
        check_finite(p->dk, p->keys, s->k_pitch, p);
        return;
    }
    CLOSE(dq, flash_packed(p->dq, p->queries, s->q_pitch, p), 2e-5);
    CLOSE(dk, flash_packed(p->dk, p->keys, s->k_pitch, p), 2e-5);
#undef CLOSE
}

void flash_check(const char *name, flash_problem *p) {
    flash_check_of(name, p, false);
}
