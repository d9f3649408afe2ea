/* cudnn_plan: attention as cuDNN's graph API has it: a graph of products, pointwise operations and
 * reductions that its fused engines recognise (NVIDIA, cuDNN developer guide, "Graph patterns:
 * fused flash attention"), compiled into a plan. bf16 in and out, f32 between; sequences packed as
 * in kernels/attention.h: their lengths and the places where they start ("ragged offsets") are read
 * as the plan runs. Internal.
 *
 *   forward   S = Q K^T scale, masked by lengths and, if causal, above the diagonal
 *             O = softmax(S) V, stats = log of the sum of exponentials
 *   backward  delta = sum over columns of dO O;  P = exp(S - stats);  dV = P^T dO
 *             dS = P (dO V^T - delta) scale;  dK = dS^T Q;  dQ = dS K
 */
#ifndef MOTET_CUDA_CUDNN_PLAN_H
#define MOTET_CUDA_CUDNN_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/cuda/cudnn_library.h"

/* What a plan is made for. Fewer and shorter sequences are welcome. */
typedef struct motet_cudnn_shape {
    int64_t batch, heads, width; /* sequences; heads and their width */
    int64_t queries, keys;       /* rows of the longest sequence */
    int64_t q_pitch, k_pitch, v_pitch, out_pitch;
    int32_t causal, backward, stats, unused; /* stats: forward, too, has them */
} motet_cudnn_shape;

/* The tensors of a plan, by their unique ids. */
enum {
    MOTET_CUDNN_Q = 1,
    MOTET_CUDNN_K,
    MOTET_CUDNN_V,
    MOTET_CUDNN_OUT,
    MOTET_CUDNN_STATS,     /* [rows, heads] f32 */
    MOTET_CUDNN_Q_LENGTHS, /* [batch] i32: rows of a sequence */
    MOTET_CUDNN_K_LENGTHS,
    MOTET_CUDNN_Q_STARTS, /* [batch + 1] i32: elements before a sequence, in q and dq */
    MOTET_CUDNN_K_STARTS,
    MOTET_CUDNN_V_STARTS,
    MOTET_CUDNN_OUT_STARTS, /* and in dout */
    MOTET_CUDNN_STATS_STARTS,
    MOTET_CUDNN_SCALE,  /* host value */
    MOTET_CUDNN_LOWEST, /* host value: what is masked becomes this */
    MOTET_CUDNN_ONE,    /* host value */
    MOTET_CUDNN_DELTA,  /* [batch, heads, queries] f32, scratch of backward */
    MOTET_CUDNN_DOUT,
    MOTET_CUDNN_DQ,
    MOTET_CUDNN_DK,
    MOTET_CUDNN_DV,
    MOTET_CUDNN_IDS
};

#if HAS_CUDNN

typedef struct motet_cudnn_plan {
    cudnnBackendDescriptor_t plan;
    int64_t workspace_bytes;
} motet_cudnn_plan;

/* Exactly one of handle and device, a finalised DEVICEPROP descriptor, is there: with the latter a
 * plan is compiled for a device that is elsewhere. Only engines whose sums run in a fixed order.
 * MOTET_E_UNSUPPORTED with cuDNN's words if it has none. */
motet_status motet_cudnn_plan_make(motet_cudnn_plan *plan, const motet_cudnn_shape *shape,
                                   cudnnHandle_t handle, cudnnBackendDescriptor_t device);
void motet_cudnn_plan_free(motet_cudnn_plan *plan);

/* addresses[id]: of the tensor with this id; those of ids that the plan has not are NULL. */
motet_status motet_cudnn_plan_run(const motet_cudnn_plan *plan, cudnnHandle_t handle,
                                  void *const addresses[MOTET_CUDNN_IDS], void *workspace);

#endif
#endif
