/* embed: a bag of embeddings. Row n of the output is the sum of K rows of one table.
 *
 *   out[n,:] = sum over k of table[ids[n,k],:]        (ids[n,k] < 0 adds nothing)
 *
 * table [V,D] f32, bf16 or i8; ids [N,K] i32; out [N,D] f32 or bf16. Sums in f32, in order of k.
 * MOTET_E_USAGE if shapes disagree or an id is >= V (nothing is read beyond the table).
 */
#ifndef MOTET_EMBED_H
#define MOTET_EMBED_H

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"

typedef motet_status motet_embed_forward_fn(motet_tensor out, motet_tensor table, motet_tensor ids);

/* dtable[ids[n,k],:] += dout[n,:], in a fixed order of n: bit-equal for any number of threads.
 * dtable [V,D] f32; dout [N,D] f32 or bf16. */
typedef motet_status motet_embed_backward_fn(motet_tensor dtable, motet_tensor dout,
                                             motet_tensor ids);

motet_embed_forward_fn motet_cpu_embed_forward;
motet_embed_backward_fn motet_cpu_embed_backward;

#endif
