/* quantise: matrices as int8 with one scale a row: value[m,k] = scale[m] * data[m,k], data in
 * -127..127, scale = max|row| / 127, to nearest. (Searching for a smaller scale that clips a few
 * values lowers the squared error of all-MiniLM-L6-v2's matrices by 0.3 %: not worth having.)
 */
#ifndef MOTET_QUANTISE_H
#define MOTET_QUANTISE_H

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"

/* Row `row` of a matrix (or the whole of a vector, row 0) as f32: out [last dimension]. f32, bf16
 * or i8. */
void motet_row_to_f32(float *out, motet_tensor tensor, int64_t row);

/* data [cols], *scale from row [cols]: each value within half a scale. A row of zeros, or of values
 * too small for a normal f32 scale, gives scale 0. Returns 0, and writes nothing, if a value is not
 * finite, else 1. */
int motet_quantise_row(int8_t *data, float *scale, const float *row, int64_t cols);

/* data [M,K], scale [M] from a matrix [M,K] in f32, bf16 or i8. MOTET_E_DATA with the row on a
 * value that is not finite. */
motet_status motet_quantise_matrix(int8_t *data, float *scale, motet_tensor matrix);

#endif
