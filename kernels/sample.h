/* sample: logits -> symbol, in one pass over each row: guidance, mask, repetition penalty,
 * temperature, top-k, top-p, min-p, draw. The draw is exact: symbol v comes with its probability
 * under the distribution these steps define, up to f32 rounding.
 *
 * Order: z = u + guidance * (c - u) (Ho & Salimans 2022; u absent: z = c); symbols that are not
 * legal leave; z of symbols in `seen` is divided by the penalty if > 0, else multiplied (Keskar et
 * al. 2019); z / temperature; top_k keeps the k largest (ties: the lower symbol first), then min_p
 * those with probability >= min_p * largest, then top_p the fewest of the largest whose
 * probabilities reach top_p (Holtzman et al. 2020), renormalised after each; then the cumulative
 * sum in order of symbol passes the uniform. temperature 0: the largest, lowest symbol on ties.
 */
#ifndef MOTET_SAMPLE_H
#define MOTET_SAMPLE_H

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"

typedef struct motet_sample_params {
    float temperature;              /* >= 0; 1 leaves the distribution */
    float guidance;                 /* 1: conditional logits alone */
    float repetition_penalty;       /* 1: none */
    float top_p;                    /* (0, 1]; 1: off */
    float min_p;                    /* [0, 1]; 0: off */
    int32_t top_k;                  /* 0: off */
    uint64_t seed, stream, counter; /* Philox address of this row's uniform (core/rng.h), word 0 */
} motet_sample_params;

typedef struct motet_sample_result {
    int32_t symbol;
    float log_prob;   /* of the symbol under the guided, masked distribution at temperature 1 */
    float legal_mass; /* probability that the guided distribution at temperature 1 gave to legal
                         symbols, 0..1: small means the model wanted something else */
} motet_sample_result;

/* logits [B,V] f32; unconditional [B,V] f32, data NULL for none; legal, seen [B, ceil(V/32)] i32
 * bits, data NULL for all legal, none seen; params and results [B]. V <= 65,536. MOTET_E_USAGE,
 * with the row, if no symbol is legal, a logit is NaN, or a parameter is out of range. */
typedef motet_status motet_sample_fn(motet_sample_result *results, motet_tensor logits,
                                     motet_tensor unconditional, motet_tensor legal,
                                     motet_tensor seen, const motet_sample_params *params);

motet_sample_fn motet_cpu_sample;

#endif
