/* gather: rows by index, for fields that exist only at some events.
 *
 *   gather:      out[i,:] = x[rows[i],:]            scatter_add: out[rows[i],:] += x[i,:]
 *
 * rows [N] i32; a negative index gathers zeros and scatters nothing. x, out f32 or bf16 each, equal
 * width. In scatter_add the rows >= 0 are distinct, so the order of sums does not matter.
 * MOTET_E_USAGE if an index is beyond the other tensor's rows.
 */
#ifndef MOTET_GATHER_H
#define MOTET_GATHER_H

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"

typedef motet_status motet_gather_fn(motet_tensor out, motet_tensor x, motet_tensor rows);
typedef motet_status motet_scatter_add_fn(motet_tensor out, motet_tensor x, motet_tensor rows);

/* out += x, one shape, f32 or bf16 each; sums in f32. */
typedef motet_status motet_add_fn(motet_tensor out, motet_tensor x);

motet_gather_fn motet_cpu_gather;
motet_scatter_add_fn motet_cpu_scatter_add;
motet_add_fn motet_cpu_add;

#endif
