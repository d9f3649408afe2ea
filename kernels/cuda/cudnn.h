/* cudnn: attention through NVIDIA's cuDNN, for whoever asks for it: MOTET_CUDA_ATTENTION=cudnn in
 * the environment. Without that it is not even looked for. Ignored in set-user-ID programs.
 *
 * It takes bf16 of head width 32, 64, 128 in rows at multiples of 16 bytes, causal only where
 * queries and keys are the same rows, if cuDNN has an engine whose sums run in a fixed order (9.19:
 * forward on sm_80 and sm_90, backward on sm_90) and its plan fits the workspace; whatever it does
 * not take, our own kernels do, with one warning for a shape. Plans are made once for a shape
 * (batches rounded up to 8, lengths to 64) and kept; making one takes up to a second.
 */
#ifndef MOTET_CUDA_CUDNN_H
#define MOTET_CUDA_CUDNN_H

#include <stdbool.h>

#include "kernels/attention.h"

/* Arguments as kernels/attention.h has them, checked by the caller. done: false if nobody asked, or
 * if cuDNN did not want the job, and nothing was launched. MOTET_E_UNSUPPORTED: it was asked for
 * and cannot be had, with what is missing. */
motet_status motet_cudnn_attention_forward(bool *done, motet_tensor out, motet_tensor lse,
                                           motet_tensor q, motet_tensor k, motet_tensor v,
                                           const motet_attention_spec *spec);
motet_status motet_cudnn_attention_backward(bool *done, motet_tensor dq, motet_tensor dk,
                                            motet_tensor dv, motet_tensor dout, motet_tensor out,
                                            motet_tensor lse, motet_tensor q, motet_tensor k,
                                            motet_tensor v, const motet_attention_spec *spec);

#endif
