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
    float *sum;         /* of rmsnorm_add_forward: x + residual; else NULL */
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

/* The backward pass of embed: see embed_backward.cu. */
typedef struct motet_embed_job {
    float *dtable; /* [limit][width] */
    motet_row_array dout;
    const int32_t *ids; /* [count], bags one after another */
    struct motet_complaint *complaints;
    int64_t count, bag, width, limit;
    int64_t share; /* of the ids, which one warp of a block looks at */
} motet_embed_job;
#define EMBED_OWNED 32   /* rows of the table that a block owns, */
#define EMBED_COLUMNS 64 /* so many columns of them */
#define EMBED_SHARED 73728
#define EMBED_MOST (1 << 30) /* ids: positions and rows are counted in 32 bits */

#endif
