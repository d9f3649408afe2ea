/* harness_sample: requests and results of the sampler, and the distribution that sample.h promises,
 * in double.
 */
#ifndef MOTET_TESTS_HARNESS_SAMPLE_H
#define MOTET_TESTS_HARNESS_SAMPLE_H

#include "tests/kernels/harness_op.h"

extern const motet_sample_params sample_plain; /* no knob is turned */

/* In shared memory; params all plain. Freed by op_teardown. */
motet_sample_params *sample_params(int64_t rows);
motet_sample_result *sample_results(int64_t rows);

/* Of the mask's first row; no mask has every bit. */
bool sample_bit(motet_tensor bits, int64_t v);

/* probability [V] of the first row by the words of sample.h, step by step; log_prob [V] and the
 * legal mass. */
void sample_distribution(double *probability, double *log_prob, double *mass, motet_tensor logits,
                         motet_tensor unconditional, motet_tensor legal, motet_tensor seen,
                         const motet_sample_params *params);

#endif
