/* row_job: what the launchers of the row ops hand to their kernels. Included by C and CUDA C. */
#ifndef MOTET_CUDA_ROW_JOB_H
#define MOTET_CUDA_ROW_JOB_H

#include <stdint.h>

enum { ROW_F32, ROW_BF16, ROW_I8 };

#define ROW_WARPS 8
#define ROW_THREADS (32 * ROW_WARPS) /* of every block of a row kernel */
#define ROW_HELD 1024                /* columns that one warp holds in registers */
#define ROW_SPAN 256                 /* columns that one warp sums over a bag */

typedef struct motet_row_array {
    void *data;
    int64_t type;
} motet_row_array;

/* Norms. Not all are used by all; weight and bias may be of either type everywhere. */
typedef struct motet_norm_job {
    motet_row_array out, x, residual, weight, bias, dout;
    float *mean, *rstd; /* outputs of forward (may be NULL), inputs of backward */
    float *dx;          /* added to by rmsnorm, overwritten by layernorm */
    float *partial;     /* [ranges][2 with bias][width]: each block's share of dweight, dbias */
    int64_t rows, width;
    int64_t range; /* rows of a block */
    float eps;     /* forward */
    float part;    /* 1 / width, backward */
} motet_norm_job;

/* Elementwise ops: out from a, b, `count` elements each (for packed rows: of the narrow one). */
typedef struct motet_flat_job {
    motet_row_array out, a, b;
    int64_t count, width;
    int64_t vector; /* every access may be a whole chunk */
} motet_flat_job;

typedef struct motet_adamw_job {
    float *w, *m, *v;
    const float *grad;
    int64_t count, vector;
    float scale, beta1, beta2, eps;
    float size;       /* lr / (1 - beta1^t) */
    float correction; /* 1 / sqrt(1 - beta2^t) */
    float decay;      /* 1 - lr * weight_decay */
} motet_adamw_job;

/* Bags of rows (embed), single rows by index (gather, scatter_add), pairs turned (rope). */
typedef struct motet_index_job {
    motet_row_array out, x; /* x: embed's table */
    const float *scale;     /* of an int8 table */
    const int32_t *index;   /* [rows][bag] */
    struct motet_complaint *complaints;
    int64_t rows, bag, width;
    int64_t limit;  /* indices from here on are beyond */
    int64_t vector; /* every access may be a whole chunk */
} motet_index_job;

typedef struct motet_rope_job {
    motet_row_array x;
    const float *table;
    int64_t rows, pitch, width, heads;
    int64_t vector;
    float turn; /* 1, or -1 for the inverse */
} motet_rope_job;

/* The backward pass of embed sorts the ids of a batch: see embed_backward.cu. */
typedef struct motet_sort_job {
    float *dtable; /* [limit][width] */
    motet_row_array dout;
    const int32_t *ids; /* [count] */
    struct motet_complaint *complaints;
    int32_t *counts;     /* [chunks][limit]: an id's entries in a chunk, then in those before it */
    int32_t *starts;     /* [limit + 1]: where an id's entries start in the sorted list */
    int32_t *sorted_row; /* [count] */
    int32_t *sorted_id;  /* [count] */
    float *partial;      /* [tiles][2][width]: sums of ids that go on beyond a tile */
    int64_t count, bag, width, limit, chunks;
    int64_t first_row; /* of the batch, for complaints */
    int64_t vector;
} motet_sort_job;
#define SORT_CHUNK 256 /* ids that one warp counts and places */
#define SORT_TILE 32   /* sorted entries that one warp sums */

#endif
