/* rope: rotary position embedding (Su et al. 2021) from a table of angles, in place.
 *
 * Each head's width W is split into halves; element i of the first half and of the second make a
 * pair, i = 0..W/2-1, turned by angle table[n,i]:
 *
 *   (a, b) -> (a cos - b sin, a sin + b cos)          inverse: by -angle, which is the backward
 * pass
 *
 * x [N,C] f32 or bf16: the first `heads` heads of W columns in each row are turned, the rest of the
 * row is left (so packed [q k v] rows take heads = 2H). table [N,W] f32: cos in columns 0..W/2-1,
 * sin in W/2..W-1. The table decides what a position is: event index, musical time, or both.
 */
#ifndef MOTET_ROPE_H
#define MOTET_ROPE_H

#include <stdbool.h>

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"

typedef motet_status motet_rope_fn(motet_tensor x, motet_tensor table, int heads, bool inverse);

motet_rope_fn motet_cpu_rope;

#endif
