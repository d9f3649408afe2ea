/* attention_append: what its launcher hands to its kernel. Included by C and CUDA C. */
#ifndef MOTET_CUDA_ATTENTION_APPEND_H
#define MOTET_CUDA_ATTENTION_APPEND_H

#include <stdint.h>

#define APPEND_THREADS 128

typedef struct motet_append_args {
    void *cache[2];      /* k, v */
    float *scale[2];     /* of int8 caches */
    const void *from[2]; /* k, v */
    const int32_t *offsets, *lengths;
    struct motet_complaint *complaints;
    int64_t rows, most, pitch; /* of `from`: rows, elements between them; T */
    int32_t batch, heads;
} motet_append_args;

#endif
