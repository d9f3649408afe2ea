#include "kernels/cross_entropy.h"

#include <math.h>

#include "kernels/row.h"
#include "kernels/row_check.h"

/* A row of the model's widest field and more stays in scratch from pass to pass. */
#define CHUNK 4096

typedef struct job {
    motet_tensor loss, logits, targets, legal;
    float scale;
} job;

/* values <- logits v..v+n-1 of the row, -infinity where a symbol is not allowed; v % 32 == 0. */
ROW_INLINE void load_masked(float *restrict values, const job *j, int64_t row, int64_t v,
                            int64_t n) {
    static const uint32_t bits[32] = {
        1u << 0,  1u << 1,  1u << 2,  1u << 3,  1u << 4,  1u << 5,  1u << 6,  1u << 7,
        1u << 8,  1u << 9,  1u << 10, 1u << 11, 1u << 12, 1u << 13, 1u << 14, 1u << 15,
        1u << 16, 1u << 17, 1u << 18, 1u << 19, 1u << 20, 1u << 21, 1u << 22, 1u << 23,
        1u << 24, 1u << 25, 1u << 26, 1u << 27, 1u << 28, 1u << 29, 1u << 30, 1u << 31};
    row_load(values, j->logits, row * j->logits.dims[1] + v, n);
    if (!j->legal.data) return;
    const uint32_t *words = (const uint32_t *)j->legal.data + row * j->legal.dims[1] + v / 32;
    for (int64_t i = 0; i < n; i += 32) {
        uint32_t word = words[i / 32];
        int64_t m = row_min(32, n - i);
#pragma omp simd
        for (int64_t b = 0; b < m; b++)
            values[i + b] = word & bits[b] ? values[i + b] : -INFINITY;
    }
}

ROW_CLONES static void cross_entropy_rows(const job *j, int64_t first, int64_t end) {
    alignas(64) float e[CHUNK];
    int64_t symbols = j->logits.dims[1];
    bool whole = symbols <= CHUNK; /* the row stays in e from pass to pass */
    for (int64_t row = first; row < end; row++) {
        int64_t target = ((const int32_t *)j->targets.data)[row], at = row * symbols;
        if (target < 0) {
            ((float *)j->loss.data)[row] = 0;
            size_t bytes = motet_dtype_bytes(j->logits.dtype);
            if (j->scale != 0)
                memset((char *)j->logits.data + (size_t)at * bytes, 0, (size_t)symbols * bytes);
            continue;
        }
        float most = -INFINITY, sum = 0, hit = 0;
        for (int64_t v = 0; v < symbols; v += CHUNK) {
            int64_t n = row_min(CHUNK, symbols - v);
            load_masked(e, j, row, v, n);
            if (target >= v && target < v + n) hit = e[target - v];
#pragma omp simd reduction(max : most)
            for (int64_t i = 0; i < n; i++)
                most = e[i] > most ? e[i] : most;
        }
        for (int64_t v = 0; v < symbols; v += CHUNK) {
            int64_t n = row_min(CHUNK, symbols - v);
            if (!whole) load_masked(e, j, row, v, n);
#pragma omp simd reduction(+ : sum)
            for (int64_t i = 0; i < n; i++) {
                e[i] = row_exp(e[i] - most);
                sum += e[i];
            }
        }
        ((float *)j->loss.data)[row] = logf(sum) + (most - hit);
        if (j->scale == 0) continue;
        float share = j->scale / sum;
        for (int64_t v = 0; v < symbols; v += CHUNK) {
            int64_t n = row_min(CHUNK, symbols - v);
            if (!whole) {
                load_masked(e, j, row, v, n);
#pragma omp simd
                for (int64_t i = 0; i < n; i++)
                    e[i] = row_exp(e[i] - most);
            }
#pragma omp simd
            for (int64_t i = 0; i < n; i++)
                e[i] *= share;
            if (target >= v && target < v + n) e[target - v] -= j->scale;
            row_store(j->logits, at + v, n, e);
        }
    }
}

motet_status motet_cpu_cross_entropy(motet_tensor loss, motet_tensor logits, motet_tensor targets,
                                     motet_tensor legal, float scale) {
    int64_t rows = logits.dims[0], symbols = logits.dims[1], words = (symbols + 31) / 32;
    MOTET_TRY(motet_cross_entropy_check(loss, logits, targets, legal));
    const int32_t *target = targets.data;
    for (int64_t row = 0; row < rows; row++) {
        if (target[row] < 0) continue;
        if (target[row] >= symbols)
            return MOTET_FAIL(MOTET_E_USAGE, "cross_entropy: target %d in row %lld of %lld symbols",
                              (int)target[row], (long long)row, (long long)symbols);
        if (!legal.data) continue;
        uint32_t word = ((const uint32_t *)legal.data)[row * words + target[row] / 32];
        if (!(word >> (target[row] % 32) & 1u))
            return MOTET_FAIL(MOTET_E_USAGE,
                              "cross_entropy: target %d in row %lld is not an allowed symbol",
                              (int)target[row], (long long)row);
    }
    job j = {.loss = loss, .logits = logits, .targets = targets, .legal = legal, .scale = scale};
    int64_t block = symbols > 1024 ? 1 : 32, blocks = (rows + block - 1) / block;
#pragma omp parallel for schedule(static) if (rows * symbols > ROW_PARALLEL / 4)
    for (int64_t b = 0; b < blocks; b++)
        cross_entropy_rows(&j, b * block, row_min(rows, (b + 1) * block));
    return MOTET_OK;
}
