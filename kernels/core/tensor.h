/* tensor: a typed view of memory, passed by value. Contiguous, row-major, no strides; owns nothing.
 *
 * An int8 tensor is a matrix [M,K] with one f32 scale for each of its M rows:
 * value[m,k] = scale[m] * data[m,k]. For every other dtype scale is NULL.
 */
#ifndef MOTET_CORE_TENSOR_H
#define MOTET_CORE_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#define MOTET_MAX_RANK 4

typedef enum motet_dtype {
    MOTET_F32,
    MOTET_BF16, /* the upper 16 bits of an f32, stored as uint16_t */
    MOTET_I8,   /* symmetric, -127..127, one scale a row */
    MOTET_I32,
} motet_dtype;

typedef struct motet_tensor {
    void *data;
    const float *scale; /* [dims[0]] for MOTET_I8, else NULL */
    motet_dtype dtype;
    int rank;
    int64_t dims[MOTET_MAX_RANK];
} motet_tensor;

static inline size_t motet_dtype_bytes(motet_dtype dtype) {
    return dtype == MOTET_I8 ? 1 : dtype == MOTET_BF16 ? 2 : 4;
}

static inline int64_t motet_tensor_count(motet_tensor t) {
    int64_t count = 1;
    for (int i = 0; i < t.rank; i++)
        count *= t.dims[i];
    return count;
}

/* "f32", "bf16", "i8", "i32". */
const char *motet_dtype_name(motet_dtype dtype);

/* Views of memory that somebody else owns. */
static inline motet_tensor motet_vector(void *data, motet_dtype dtype, int64_t n) {
    return (motet_tensor){.data = data, .dtype = dtype, .rank = 1, .dims = {n}};
}
static inline motet_tensor motet_matrix(void *data, motet_dtype dtype, int64_t rows, int64_t cols) {
    return (motet_tensor){.data = data, .dtype = dtype, .rank = 2, .dims = {rows, cols}};
}

/* The rows [first, first+rows) of a tensor of rank >= 1, as a view. */
static inline motet_tensor motet_tensor_rows(motet_tensor t, int64_t first, int64_t rows) {
    int64_t stride = 1;
    for (int i = 1; i < t.rank; i++)
        stride *= t.dims[i];
    t.data = (unsigned char *)t.data + (size_t)(first * stride) * motet_dtype_bytes(t.dtype);
    if (t.scale) t.scale += first;
    t.dims[0] = rows;
    return t;
}

/* bf16 by round-to-nearest-even; NaN stays NaN. */
static inline uint16_t motet_bf16_from_f32(float value) {
    union {
        float f;
        uint32_t u;
    } bits = {value};
    if ((bits.u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((bits.u >> 16) | 0x40u);
    return (uint16_t)((bits.u + 0x7fffu + ((bits.u >> 16) & 1u)) >> 16);
}
static inline float motet_f32_from_bf16(uint16_t value) {
    union {
        uint32_t u;
        float f;
    } bits = {(uint32_t)value << 16};
    return bits.f;
}

#endif
