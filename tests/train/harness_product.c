#include "tests/train/harness_product.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/core/rng.h"

static double get(motet_tensor t, int64_t i) {
    return t.dtype == MOTET_F32 ? (double)((float *)t.data)[i]
                                : (double)motet_f32_from_bf16(((uint16_t *)t.data)[i]);
}

static void set(motet_tensor t, int64_t i, double value) {
    if (t.dtype == MOTET_F32)
        ((float *)t.data)[i] = (float)value;
    else
        ((uint16_t *)t.data)[i] = motet_bf16_from_f32((float)value);
}

static motet_tensor random_matrix(int rows, int cols, motet_dtype dtype, uint64_t stream) {
    motet_tensor t = motet_matrix(calloc((size_t)rows * (size_t)cols, 4), dtype, rows, cols);
    assert_non_null(t.data);
    motet_rng rng = motet_rng_make(5, stream);
    for (int64_t i = 0; i < motet_tensor_count(t); i++)
        set(t, i, (double)motet_rng_normal(&rng));
    return t;
}

product_data product_make(product_case p) {
    product_data d = {.p = p};
    d.a = p.spec.transpose_a ? random_matrix(p.k, p.m, p.in, 1) : random_matrix(p.m, p.k, p.in, 1);
    d.b = p.spec.transpose_b ? random_matrix(p.n, p.k, p.in, 2) : random_matrix(p.k, p.n, p.in, 2);
    d.c = random_matrix(p.m, p.n, p.out, 3);
    if (p.bias) {
        motet_dtype dtype = p.bias == 2 ? MOTET_BF16 : MOTET_F32;
        d.bias = random_matrix(1, p.n, dtype, 4);
        d.bias = motet_vector(d.bias.data, dtype, p.n);
    }
    d.start = malloc((size_t)p.m * (size_t)p.n * sizeof *d.start);
    assert_non_null(d.start);
    for (int64_t i = 0; i < motet_tensor_count(d.c); i++)
        d.start[i] = get(d.c, i);
    return d;
}

void product_free(product_data *d) {
    free(d->a.data);
    free(d->b.data);
    free(d->c.data);
    free(d->bias.data);
    free(d->start);
}

double *product_reference(const product_data *d) {
    const product_case *p = &d->p;
    double *want = malloc((size_t)p->m * (size_t)p->n * sizeof *want);
    assert_non_null(want);
    for (int64_t m = 0; m < p->m; m++)
        for (int64_t n = 0; n < p->n; n++) {
            double sum = d->bias.data ? get(d->bias, n) : 0;
            for (int64_t k = 0; k < p->k; k++)
                sum += get(d->a, p->spec.transpose_a ? k * p->m + m : m * p->k + k) *
                       get(d->b, p->spec.transpose_b ? n * p->k + k : k * p->n + n);
            if (p->spec.activation == MOTET_ACT_GELU) sum *= 0.5 * (1 + erf(sum / sqrt(2.0)));
            if (p->spec.accumulate) sum += d->start[m * p->n + n];
            want[m * p->n + n] = sum;
        }
    return want;
}

void product_run(product_data *d, motet_matmul_fn *matmul) {
    for (int64_t i = 0; i < motet_tensor_count(d->c); i++)
        set(d->c, i, d->p.spec.accumulate ? d->start[i] : (double)NAN);
    if (matmul(d->c, d->a, d->b, d->bias, d->p.spec) != MOTET_OK) fail_msg("%s", motet_error());
}

double product_nmse(const product_data *d, const double *want) {
    double error = 0, size = 0;
    for (int64_t i = 0; i < motet_tensor_count(d->c); i++) {
        double difference = get(d->c, i) - want[i];
        error += difference * difference;
        size += want[i] * want[i];
    }
    return error / size;
}
