/* cudnn_job: what motet_cudnn_prepare is handed. Included by C and CUDA C. */
#ifndef MOTET_CUDA_CUDNN_JOB_H
#define MOTET_CUDA_CUDNN_JOB_H

#include <stdint.h>

#define CUDNN_THREADS 128
#define CUDNN_LISTS 7 /* lengths of q, k; starts of q, k, v, out, stats */

typedef struct motet_cudnn_job {
    const int32_t *q_offsets, *k_offsets; /* [sequences + 1] */
    int32_t *lists;                       /* [CUDNN_LISTS][list] */
    uint16_t *per_query, *per_key[2];     /* out; or dq and dk, dv: bf16, zeros for the blank */
    float *lse;                           /* [rows, heads], or NULL */
    int64_t query_pitch, key_pitch[2];    /* of per_query and per_key */
    int64_t pitch[4];                     /* of q, k, v, out: elements a row */
    int32_t sequences, batch, list, heads, width, unused;
} motet_cudnn_job;

#endif
