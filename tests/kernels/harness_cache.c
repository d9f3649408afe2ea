#include "tests/kernels/harness_cache.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const int cache_widths[4] = {16, 32, 64, 128};

motet_dtype cache_query_type(int kind) {
    return op_floats[kind % 2];
}

motet_dtype cache_kept_type(int kind) {
    return kind < 2 ? op_floats[kind] : MOTET_I8;
}

motet_tensor cache_tensor(motet_dtype dtype, int64_t batch, int64_t most, int64_t heads,
                          int64_t width) {
    motet_tensor t = {.dtype = dtype, .rank = 3, .dims = {batch, most, heads * width}};
    t.data = op_shared((size_t)motet_tensor_count(t) * motet_dtype_bytes(dtype));
    if (dtype == MOTET_I8) t.scale = op_shared((size_t)(batch * heads * most) * sizeof(float));
    return t;
}

cache_case cache_problem(motet_dtype query, motet_dtype kept, int64_t batch, int64_t most,
                         int heads, int width, const int32_t *lengths) {
    cache_case p = {
        .batch = batch, .most = most, .row = heads * width, .heads = heads, .width = width};
    p.q = op_matrix(query, batch, p.row), p.out = op_matrix(query, batch, p.row);
    p.k = cache_tensor(kept, batch, most, heads, width);
    p.v = cache_tensor(kept, batch, most, heads, width);
    p.lengths = op_shared((size_t)batch * sizeof *lengths);
    memcpy(p.lengths, lengths, (size_t)batch * sizeof *lengths);
    return p;
}

float *cache_scale(cache_case *p, motet_tensor cache, int64_t b, int64_t h, int64_t t) {
    return (float *)(uintptr_t)cache.scale + (b * p->heads + h) * p->most + t;
}

double cache_get(cache_case *p, motet_tensor cache, int64_t b, int64_t t, int64_t column) {
    const int64_t i = (b * p->most + t) * p->row + column;
    if (cache.dtype != MOTET_I8) return op_get(cache, i);
    return (double)*cache_scale(p, cache, b, column / p->width, t) *
           ((const int8_t *)cache.data)[i];
}

void cache_fill(cache_case *p, motet_tensor cache, uint64_t seed, double size) {
    for (int64_t b = 0; b < p->batch; b++) {
        const int64_t rows = p->lengths[b];
        motet_tensor valid = motet_matrix((char *)cache.data + (size_t)(b * p->most * p->row) *
                                                                   motet_dtype_bytes(cache.dtype),
                                          cache.dtype, rows, p->row);
        if (cache.dtype != MOTET_I8) {
            op_fill_normal(valid, seed + (uint64_t)b, size);
            continue;
        }
        op_fill_integers(valid, seed + (uint64_t)b, -127, 127);
        for (int64_t h = 0; h < p->heads; h++)
            for (int64_t t = 0; t < rows; t++)
                *cache_scale(p, cache, b, h, t) =
                    (float)(size * (double)(1 + (7 * h + 3 * t) % 5) / 256);
    }
}

double *cache_refer(cache_case *p) {
    double *want = op_zeros(p->batch * p->row), *weight = op_zeros(p->most + 1);
    for (int64_t b = 0; b < p->batch; b++) {
        for (int64_t h = 0; h < p->heads; h++) {
            double top = -INFINITY, sum = 0;
            for (int64_t t = 0; t < p->lengths[b]; t++) {
                double dot = 0;
                for (int64_t c = h * p->width; c < (h + 1) * p->width; c++)
                    dot += op_get(p->q, b * p->row + c) * cache_get(p, p->k, b, t, c);
                weight[t] = dot / sqrt(p->width);
                top = weight[t] > top ? weight[t] : top;
            }
            for (int64_t t = 0; t < p->lengths[b]; t++)
                sum += weight[t] = exp(weight[t] - top);
            for (int64_t t = 0; t < p->lengths[b]; t++)
                for (int64_t c = h * p->width; c < (h + 1) * p->width; c++)
                    want[b * p->row + c] += weight[t] / sum * cache_get(p, p->v, b, t, c);
        }
    }
    return want;
}

void cache_run(cache_case *p) {
    op_ok(op_backend()->attention_decode(p->out, p->q, p->k, p->v, p->lengths, p->heads));
}

void cache_check(const char *name, cache_case *p) {
    char what[160];
    snprintf(what, sizeof what, "%s: %s on %s, H%d W%d B%d T%d", name, motet_dtype_name(p->q.dtype),
             motet_dtype_name(p->k.dtype), p->heads, p->width, (int)p->batch, (int)p->most);
    op_fill(p->out, NAN);
    cache_run(p);
    op_assert_close(what, p->out, cache_refer(p), op_limit(p->out.dtype));
}
