#include "kernels/sample_check.h"

#include <math.h>
#include <stdbool.h>

static motet_status check_params(const motet_sample_params *p, int64_t row) {
    const char *what = NULL;
    float value = 0.0f;
#define OUTSIDE(field, test) \
    if (!what && !(isfinite(p->field) && (test))) what = #field, value = p->field
    OUTSIDE(temperature, p->temperature >= 0.0f);
    OUTSIDE(guidance, true);
    OUTSIDE(repetition_penalty, p->repetition_penalty > 0.0f);
    OUTSIDE(top_p, p->top_p > 0.0f && p->top_p <= 1.0f);
    OUTSIDE(min_p, p->min_p >= 0.0f && p->min_p <= 1.0f);
#undef OUTSIDE
    if (!what && p->top_k < 0) what = "top_k", value = (float)p->top_k;
    if (what)
        return MOTET_FAIL(MOTET_E_USAGE, "row %lld cannot be sampled with %s = %g", (long long)row,
                          what, (double)value);
    return MOTET_OK;
}

static bool is_bits(motet_tensor t, int64_t rows, int64_t symbols) {
    return !t.data || (t.rank == 2 && t.dtype == MOTET_I32 && t.dims[0] == rows &&
                       t.dims[1] == (symbols + 31) / 32);
}

motet_status motet_sample_check(motet_tensor logits, motet_tensor unconditional, motet_tensor legal,
                                motet_tensor seen, const motet_sample_params *params) {
    if (logits.rank != 2 || logits.dtype != MOTET_F32)
        return MOTET_FAIL(MOTET_E_USAGE, "sample takes logits [B,V] in f32");
    const int64_t rows = logits.dims[0], symbols = logits.dims[1];
    if (symbols < 1 || symbols > MOTET_SAMPLE_MOST_SYMBOLS)
        return MOTET_FAIL(MOTET_E_USAGE, "sample takes 1 to %d symbols, not %lld",
                          MOTET_SAMPLE_MOST_SYMBOLS, (long long)symbols);
    if (unconditional.data && (unconditional.rank != 2 || unconditional.dtype != MOTET_F32 ||
                               unconditional.dims[0] != rows || unconditional.dims[1] != symbols))
        return MOTET_FAIL(MOTET_E_USAGE, "unconditional logits must match the conditional ones");
    if (!is_bits(legal, rows, symbols) || !is_bits(seen, rows, symbols))
        return MOTET_FAIL(MOTET_E_USAGE, "masks of sample are i32 [%lld,%lld]", (long long)rows,
                          (long long)((symbols + 31) / 32));
    for (int64_t b = 0; b < rows; b++)
        MOTET_TRY(check_params(&params[b], b));
    return MOTET_OK;
}
