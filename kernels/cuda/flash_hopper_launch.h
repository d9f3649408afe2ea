/* flash_hopper_launch: attention on devices of compute capability 9.0, bf16, W = 32, 64, 128, data
 * at multiples of 16 bytes, pitches of 8 elements. attention_launch.c has checked the arguments.
 *
 * TMA is told how many rows there are, all sequences together: a captured launch that is replayed
 * with other offsets must have as many.
 */
#ifndef MOTET_CUDA_FLASH_HOPPER_LAUNCH_H
#define MOTET_CUDA_FLASH_HOPPER_LAUNCH_H

#include <stdbool.h>

#include "kernels/attention.h"
#include "kernels/cuda/attention_spec.h"

/* Is the device one of these, and are there any rows on both sides? */
bool motet_cuda_flash_hopper_can(const motet_attention_spec *spec);

/* at: spec for the device; scale: of scores, base 2; queries, keys: of the longest sequence. */
motet_status motet_cuda_flash_hopper_forward(motet_tensor out, motet_tensor lse, motet_tensor q,
                                             motet_tensor k, motet_tensor v,
                                             const motet_attention_spec *spec, attention_spec at,
                                             int64_t queries, float scale);

/* stats: room for two floats a query and head. */
motet_status motet_cuda_flash_hopper_backward(motet_tensor dq, motet_tensor dk, motet_tensor dv,
                                              motet_tensor dout, motet_tensor out, motet_tensor lse,
                                              motet_tensor q, motet_tensor k, motet_tensor v,
                                              const motet_attention_spec *spec, attention_spec at,
                                              int64_t queries, int64_t keys, void *stats,
                                              float scale);

#endif
