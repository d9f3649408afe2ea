/* attention_single: the forward pass where no sequence has more than one query, by the kernels of
 * decode attention. Internal to the plug-in: attention_launch.c chooses it.
 */
#ifndef MOTET_CUDA_ATTENTION_SINGLE_H
#define MOTET_CUDA_ATTENTION_SINGLE_H

#include <stdbool.h>

#include "kernels/attention.h"
#include "kernels/cuda/attention_decode.h"

/* queries: the most of any sequence. Rows must be at multiples of 16 bytes. */
bool motet_cuda_attention_single_fits(motet_tensor q, motet_tensor k, motet_tensor v,
                                      const motet_attention_spec *spec, int64_t queries);

/* Checked arguments that fit; keys: the most of any sequence. */
motet_status motet_cuda_attention_single(motet_tensor out, motet_tensor lse, motet_tensor q,
                                         motet_tensor k, motet_tensor v,
                                         const motet_attention_spec *spec, int64_t keys);

#endif
