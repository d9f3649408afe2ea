#include "tests/kernels/harness_sample.h"

#include <math.h>
#include <stdlib.h>

const motet_sample_params sample_plain = {
    .temperature = 1, .guidance = 1, .repetition_penalty = 1, .top_p = 1};

typedef struct symbol {
    int id;
    double z, probability;
} symbol;

static int by_size(const void *a, const void *b) {
    const symbol *x = a, *y = b;
    if (x->z != y->z) return x->z < y->z ? 1 : -1;
    return x->id - y->id;
}

bool sample_bit(motet_tensor bits, int64_t v) {
    return !bits.data || ((uint32_t)((int32_t *)bits.data)[v / 32] >> (v % 32) & 1);
}

static void renormalise(symbol *s, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += s[i].probability;
    for (int64_t i = 0; i < n; i++)
        s[i].probability /= sum;
}

void sample_distribution(double *probability, double *log_prob, double *mass, motet_tensor logits,
                         motet_tensor unconditional, motet_tensor legal, motet_tensor seen,
                         const motet_sample_params *p) {
    const int64_t symbols = logits.dims[1];
    symbol *s = (symbol *)(void *)op_zeros(symbols * 3);
    double all = 0, allowed = 0;
    int64_t n = 0;
    for (int64_t v = 0; v < symbols; v++) {
        double z = op_get(logits, v);
        if (unconditional.data)
            z = op_get(unconditional, v) + (double)p->guidance * (z - op_get(unconditional, v));
        all += exp(z);
        log_prob[v] = z;
        probability[v] = 0;
        if (!sample_bit(legal, v)) continue;
        allowed += exp(z);
        if (seen.data && sample_bit(seen, v))
            z = z > 0 ? z / (double)p->repetition_penalty : z * (double)p->repetition_penalty;
        s[n++] = (symbol){(int)v, z / (double)p->temperature, exp(z / (double)p->temperature)};
    }
    for (int64_t v = 0; v < symbols; v++)
        log_prob[v] -= log(allowed);
    *mass = allowed / all;
    qsort(s, (size_t)n, sizeof *s, by_size);
    if (p->top_k > 0 && p->top_k < n) n = p->top_k;
    renormalise(s, n);
    int64_t kept = 0;
    while (kept < n && s[kept].probability >= (double)p->min_p * s[0].probability)
        kept++;
    n = kept;
    renormalise(s, n);
    if (p->top_p < 1) {
        double reached = 0;
        for (kept = 0; kept < n && reached < (double)p->top_p; kept++)
            reached += s[kept].probability;
        n = kept;
        renormalise(s, n);
    }
    for (int64_t i = 0; i < n; i++)
        probability[s[i].id] = s[i].probability;
}

motet_sample_params *sample_params(int64_t rows) {
    motet_sample_params *p = op_shared((size_t)rows * sizeof *p);
    for (int64_t b = 0; b < rows; b++)
        p[b] = sample_plain;
    return p;
}

motet_sample_result *sample_results(int64_t rows) {
    return op_shared((size_t)rows * sizeof(motet_sample_result));
}
