#include "infer/quantise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void motet_row_to_f32(float *out, motet_tensor tensor, int64_t row) {
    const int64_t cols = tensor.dims[tensor.rank - 1];
    if (tensor.dtype == MOTET_F32) {
        memcpy(out, (const float *)tensor.data + row * cols, (size_t)cols * sizeof *out);
    } else if (tensor.dtype == MOTET_BF16) {
        const uint16_t *data = (const uint16_t *)tensor.data + row * cols;
        for (int64_t k = 0; k < cols; k++)
            out[k] = motet_f32_from_bf16(data[k]);
    } else {
        const int8_t *data = (const int8_t *)tensor.data + row * cols;
        for (int64_t k = 0; k < cols; k++)
            out[k] = tensor.scale[row] * (float)data[k];
    }
}

int motet_quantise_row(int8_t *data, float *scale, const float *row, int64_t cols) {
    float largest = 0;
    for (int64_t k = 0; k < cols; k++) {
        if (!isfinite(row[k])) return 0;
        largest = fmaxf(largest, fabsf(row[k]));
    }
    const float step = largest / 127.0f;
    if (!isnormal(step)) {
        memset(data, 0, (size_t)cols);
        *scale = 0;
        return 1;
    }
    for (int64_t k = 0; k < cols; k++) /* at most 127.00001 before rounding */
        data[k] = (int8_t)lrintf(row[k] / step);
    *scale = step;
    return 1;
}

motet_status motet_quantise_matrix(int8_t *data, float *scale, motet_tensor matrix) {
    const int64_t rows = matrix.dims[0], cols = matrix.dims[1];
    int64_t bad_row = -1;
    int starved = 0;
#pragma omp parallel
    {
        float *row = malloc((size_t)cols * sizeof *row);
        if (!row) {
#pragma omp atomic write
            starved = 1;
        }
#pragma omp for
        for (int64_t m = 0; m < rows; m++) {
            if (!row) continue;
            motet_row_to_f32(row, matrix, m);
            if (!motet_quantise_row(data + m * cols, &scale[m], row, cols)) {
#pragma omp atomic write
                bad_row = m;
            }
        }
        free(row);
    }
    if (starved) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a row of %lld", (long long)cols);
    if (bad_row >= 0)
        return MOTET_FAIL(MOTET_E_DATA, "row %lld holds a value that is not finite",
                          (long long)bad_row);
    return MOTET_OK;
}
