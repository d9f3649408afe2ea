/* attention_short_launch: the forward pass over memories of few keys. Internal to the plug-in:
 * attention_launch.c chooses it, for bf16 of W >= 32 at multiples of 16 bytes.
 */
#ifndef MOTET_CUDA_ATTENTION_SHORT_LAUNCH_H
#define MOTET_CUDA_ATTENTION_SHORT_LAUNCH_H

#include <stdbool.h>

#include "kernels/attention.h"
#include "kernels/cuda/attention_spec.h"

/* keys: the most of any sequence. */
bool motet_cuda_attention_short_fits(const motet_attention_spec *spec, int64_t keys);

/* Checked arguments that fit. at: spec for the device; scale: of scores, base 2; queries, keys: the
 * most of any sequence. */
motet_status motet_cuda_attention_short(motet_tensor out, motet_tensor lse, motet_tensor q,
                                        motet_tensor k, motet_tensor v,
                                        const motet_attention_spec *spec, attention_spec at,
                                        int64_t queries, int64_t keys, float scale);

#endif
