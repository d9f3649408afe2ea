/* field_draw: what the kernel of the fields of an event is told, by value as its one parameter.
 * Included by C and by CUDA C. */
#ifndef MOTET_CUDA_FIELD_DRAW_H
#define MOTET_CUDA_FIELD_DRAW_H

#include "kernels/cuda/row_job.h"
#include "kernels/field_rules.h"

#define FIELD_WARPS 8
#define FIELD_THREADS (32 * FIELD_WARPS)
#define FIELD_MOST_COLUMNS 4096 /* of the inner width and the width; two rows fit shared memory */

/* Floats from one row of activations in shared memory to the next: planes of them are padded. */
#define FIELD_STRIDE(columns) (((columns) + 3) / 4 * 4 + 128)

/* A matrix of weights, or a vector: then scale and chunked are not looked at. */
typedef struct motet_field_weight {
    const void *data;
    const float *scale; /* of int8 rows, else NULL */
    int32_t type;       /* ROW_F32, ROW_BF16, ROW_I8 */
    int32_t chunked;    /* rows begin at multiples of 16 bytes and are whole chunks of them */
} motet_field_weight;

typedef struct motet_field_weights_job {
    motet_field_weight norm, gate_up, down, out_norm, out, bias;
} motet_field_weights_job;

typedef struct motet_field_job {
    motet_field_result *result;
    const float *states; /* [rows][width] */
    const int32_t *rules;
    const void *params; /* motet_field_params */
    struct motet_complaint *complaints;
    uint32_t *barrier;   /* [2]: blocks that have arrived, barriers so far */
    void *params_copy;   /* both in the device's own memory */
    int32_t *rules_copy; /* [words] */
    float *hidden;       /* [rows][inner] */
    float *y;            /* [rows][width] */
    float *logits;       /* [rows][symbols] */
    motet_field_weight values;
    int32_t rows, width, inner;
    motet_field_spec spec;
    motet_field_weights_job networks[MOTET_FIELD_MOST];
} motet_field_job;

#endif
