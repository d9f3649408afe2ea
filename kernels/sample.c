#include "kernels/sample.h"

#include <math.h>
#include <omp.h>

#include "kernels/core/rng.h"
#include "kernels/sample_check.h"
#include "kernels/simd_table.h"

#define THREAD_WORK 32768 /* logits from which rows are shared out to threads */

/* A symbol that may still be drawn. key orders as the scaled logit does, as an unsigned number. */
typedef struct candidate {
    uint32_t key;
    int32_t symbol;
    float weight; /* exp(logit / temperature - largest) */
} candidate;

/* Working memory of one row of V symbols. */
typedef struct sampler {
    float *z;        /* [V + 16] guided logits; then those of the candidates, scaled */
    float *weights;  /* [V + 16] */
    candidate *kept; /* [V], in order of symbol */
    candidate *pool; /* [V] the candidates among which select still looks */
} sampler;

typedef enum row_fault { ROW_FINE, ROW_NAN, ROW_EMPTY } row_fault;

static bool has_bit(const int32_t *bits, int64_t v) {
    return !bits || ((uint32_t)bits[v / 32] >> (v % 32) & 1u);
}

/* Ascending floats give ascending keys (sign-magnitude to offset binary); -0 counts as 0. */
static uint32_t order_key(float x) {
    union {
        float f;
        uint32_t u;
    } bits = {x + 0.0f};
    return bits.u & 0x80000000u ? ~bits.u : bits.u | 0x80000000u;
}

/* Keeps the fewest of the largest candidates (ties: lower symbol first) whose weights, or whose
 * number if by_count, reach target. A radix descent: each pass looks at one byte of the keys of
 * those candidates that the pass before could not decide, so nothing is ever sorted. Returns how
 * many of `kept` remain, still in order of symbol. */
static int64_t select_largest(const sampler *s, int64_t n, double target, bool by_count) {
    const candidate *from = s->kept;
    int64_t undecided = n;
    uint32_t prefix = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        double mass[256] = {0};
        for (int64_t i = 0; i < undecided; i++)
            mass[from[i].key >> shift & 255u] += by_count ? 1.0 : (double)from[i].weight;
        uint32_t bin = 255;
        while (bin > 0 && mass[bin] < target)
            target -= mass[bin--];
        prefix |= bin << shift;
        int64_t left = 0;
        for (int64_t i = 0; i < undecided; i++)
            if ((from[i].key >> shift & 255u) == bin) s->pool[left++] = from[i];
        from = s->pool;
        undecided = left;
    }
    /* `undecided` candidates have the very key; the first few of them reach the target. */
    int64_t ties = 0;
    for (; ties < undecided && target > 0.0; ties++)
        target -= by_count ? 1.0 : (double)s->pool[ties].weight;
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        const candidate c = s->kept[i];
        if (c.key > prefix || (c.key == prefix && ties-- > 0)) s->kept[kept++] = c;
    }
    return kept;
}

static double total_weight(const candidate *kept, int64_t n) {
    double total = 0;
    for (int64_t i = 0; i < n; i++)
        total += (double)kept[i].weight;
    return total;
}

/* Largest and sum of exponentials of z, over the symbols of `bits`. Returns the log of the sum. */
static double log_sum_exp(sampler *s, const motet_simd *simd, int64_t symbols,
                          const int32_t *bits) {
    float top = -INFINITY;
    for (int64_t v = 0; v < symbols; v++)
        if (has_bit(bits, v) && s->z[v] > top) top = s->z[v];
    if (top == -INFINITY) return -INFINITY;
    simd->exp_row(s->weights, s->z, top, symbols);
    double sum = 0;
    for (int64_t v = 0; v < symbols; v++)
        if (has_bit(bits, v)) sum += (double)s->weights[v];
    return (double)top + log(sum);
}

/* Candidates by the steps of sample.h up to top_p. Returns their number. */
static int64_t choose_candidates(sampler *s, const motet_simd *simd, int64_t symbols,
                                 const int32_t *legal, const int32_t *seen,
                                 const motet_sample_params *p) {
    int64_t n = 0, best = 0;
    float top = -INFINITY;
    for (int64_t v = 0; v < symbols; v++) {
        if (!has_bit(legal, v) || s->z[v] == -INFINITY) continue;
        float z = s->z[v];
        if (seen && p->repetition_penalty != 1.0f && has_bit(seen, v))
            z = z > 0.0f ? z / p->repetition_penalty : z * p->repetition_penalty;
        if (z > top || n == 0) top = z, best = n;
        s->kept[n] = (candidate){.key = order_key(z), .symbol = (int32_t)v};
        s->weights[n++] = z;
    }
    if (p->temperature == 0.0f) {
        s->kept[0] = s->kept[best];
        s->kept[0].weight = 1.0f;
        return 1;
    }
    /* From the largest downwards, so that no temperature overflows. */
    for (int64_t i = 0; i < n; i++)
        s->weights[i] = (s->weights[i] - top) / p->temperature;
    simd->exp_row(s->weights, s->weights, 0.0f, n);
    for (int64_t i = 0; i < n; i++)
        s->kept[i].weight = s->weights[i];

    if (p->top_k > 0 && p->top_k < n) n = select_largest(s, n, p->top_k, true);
    if (p->min_p > 0.0f) { /* the largest weight is 1 */
        int64_t left = 0;
        for (int64_t i = 0; i < n; i++)
            if (s->kept[i].weight >= p->min_p) s->kept[left++] = s->kept[i];
        n = left;
    }
    if (p->top_p < 1.0f)
        n = select_largest(s, n, (double)p->top_p * total_weight(s->kept, n), false);
    return n;
}

static row_fault sample_row(motet_sample_result *result, sampler *s, const motet_simd *simd,
                            const float *logits, const float *unconditional, const int32_t *legal,
                            const int32_t *seen, int64_t symbols, const motet_sample_params *p) {
    if (p->guidance == 1.0f) unconditional = NULL;
    for (int64_t v = 0; v < symbols; v++) {
        const float c = logits[v];
        float z = c;
        /* Excluded by the model itself stays so, whatever the other prompt says. */
        if (unconditional && c != -INFINITY)
            z = unconditional[v] + p->guidance * (c - unconditional[v]);
        if (isnan(z) || z == INFINITY || (unconditional && isnan(unconditional[v]))) return ROW_NAN;
        s->z[v] = z;
    }
    const double allowed = log_sum_exp(s, simd, symbols, legal);
    if (allowed == -INFINITY) return ROW_EMPTY;
    const double everything = legal ? log_sum_exp(s, simd, symbols, NULL) : allowed;

    const int64_t n = choose_candidates(s, simd, symbols, legal, seen, p);
    uint32_t words[4];
    motet_philox(p->seed, p->stream, p->counter, words);
    const double aim = (double)motet_uniform_from_u32(words[0]) * total_weight(s->kept, n);
    double passed = 0;
    int64_t pick = 0;
    for (int64_t i = 0; i < n; i++) {
        if (s->kept[i].weight > 0.0f) pick = i;
        passed += (double)s->kept[i].weight;
        if (passed > aim) break;
    }
    result->symbol = s->kept[pick].symbol;
    result->log_prob = (float)((double)s->z[result->symbol] - allowed);
    const double mass = exp(allowed - everything);
    result->legal_mass = mass < 1.0 ? (float)mass : 1.0f;
    return ROW_FINE;
}

motet_status motet_cpu_sample(motet_sample_result *results, motet_tensor logits,
                              motet_tensor unconditional, motet_tensor legal, motet_tensor seen,
                              const motet_sample_params *params) {
    MOTET_TRY(motet_sample_check(logits, unconditional, legal, seen, params));
    const int64_t rows = logits.dims[0], symbols = logits.dims[1];
    const motet_simd *simd = motet_simd_table();
    const int64_t words = (symbols + 31) / 32, padded = symbols + 16;
    const size_t bytes =
        (size_t)padded * 2 * sizeof(float) + (size_t)symbols * 2 * sizeof(candidate);
    const int threads = rows > 1 && rows * symbols >= THREAD_WORK ? omp_get_max_threads() : 1;
    int64_t first_fault = INT64_MAX; /* row * 4 + fault: the lowest row is the one reported */
    bool starved = false;
#pragma omp parallel num_threads(threads) reduction(min : first_fault) reduction(|| : starved)
    {
        void *const block = motet_scratch(bytes);
        sampler s = {.z = block};
        if (block) {
            s.weights = s.z + padded;
            s.kept = (candidate *)(void *)(s.weights + padded);
            s.pool = s.kept + symbols;
        }
        starved = !block;
#pragma omp for schedule(static)
        for (int64_t b = 0; b < rows; b++) {
            if (!block) continue;
            const row_fault fault = sample_row(
                &results[b], &s, simd, (const float *)logits.data + b * symbols,
                unconditional.data ? (const float *)unconditional.data + b * symbols : NULL,
                legal.data ? (const int32_t *)legal.data + b * words : NULL,
                seen.data ? (const int32_t *)seen.data + b * words : NULL, symbols, &params[b]);
            if (fault != ROW_FINE && b * 4 + fault < first_fault) first_fault = b * 4 + fault;
        }
    }
    if (starved)
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %zu bytes of sampling scratch", bytes);
    if (first_fault == INT64_MAX) return MOTET_OK;
    if (first_fault % 4 == ROW_NAN)
        return MOTET_FAIL(MOTET_E_USAGE, "row %lld has a logit that is not a number (or infinite)",
                          (long long)(first_fault / 4));
    return MOTET_FAIL(MOTET_E_USAGE, "row %lld has no legal symbol", (long long)(first_fault / 4));
}
