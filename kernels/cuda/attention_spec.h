/* attention_spec: what the attention kernels are told of their rows, for host and device. */
#ifndef MOTET_CUDA_ATTENTION_SPEC_H
#define MOTET_CUDA_ATTENTION_SPEC_H

#include <stdint.h>

/* Packed rows of all heads: sequence s has rows offsets[s]..offsets[s+1]-1. */
typedef struct attention_spec {
    const int32_t *q_offsets, *k_offsets;
    int64_t q_pitch, k_pitch, v_pitch, out_pitch; /* elements */
    int32_t heads, causal;
} attention_spec;

#endif
