/* row_check: what the row ops refuse, whatever they run on: MOTET_E_USAGE with the op, the rule and
 * the shapes that came, unless shapes, dtypes and pointers are as the op's header wants them. Does
 * not look at ids, indices and targets: the twins do, each where it can. Internal. */
#ifndef MOTET_ROW_CHECK_H
#define MOTET_ROW_CHECK_H

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"

motet_status motet_embed_forward_check(motet_tensor out, motet_tensor table, motet_tensor ids);
motet_status motet_embed_backward_check(motet_tensor dtable, motet_tensor dout, motet_tensor ids);

motet_status motet_gather_check(motet_tensor out, motet_tensor x, motet_tensor rows);
motet_status motet_scatter_add_check(motet_tensor out, motet_tensor x, motet_tensor rows);
motet_status motet_add_check(motet_tensor out, motet_tensor x);

motet_status motet_rmsnorm_forward_check(motet_tensor out, motet_tensor rstd, motet_tensor x,
                                         motet_tensor weight);
motet_status motet_rmsnorm_backward_check(motet_tensor dx, motet_tensor dweight, motet_tensor dout,
                                          motet_tensor x, motet_tensor weight, motet_tensor rstd);
motet_status motet_rmsnorm_add_forward_check(motet_tensor out, motet_tensor sum, motet_tensor rstd,
                                             motet_tensor x, motet_tensor branch,
                                             motet_tensor weight);
motet_status motet_rmsnorm_add_backward_check(motet_tensor dx, motet_tensor dbranch,
                                              motet_tensor dweight, motet_tensor dout,
                                              motet_tensor sum, motet_tensor weight,
                                              motet_tensor rstd);
motet_status motet_layernorm_forward_check(motet_tensor out, motet_tensor mean, motet_tensor rstd,
                                           motet_tensor x, motet_tensor residual,
                                           motet_tensor weight, motet_tensor bias);
motet_status motet_layernorm_backward_check(motet_tensor ds, motet_tensor dweight,
                                            motet_tensor dbias, motet_tensor dout, motet_tensor s,
                                            motet_tensor weight, motet_tensor mean,
                                            motet_tensor rstd);

motet_status motet_rope_check(motet_tensor x, motet_tensor table, int heads);

motet_status motet_swiglu_forward_check(motet_tensor out, motet_tensor gu);
motet_status motet_swiglu_backward_check(motet_tensor dgu, motet_tensor dout, motet_tensor gu);
motet_status motet_gelu_forward_check(motet_tensor out, motet_tensor x);
motet_status motet_gelu_backward_check(motet_tensor dx, motet_tensor dout, motet_tensor x);

motet_status motet_cross_entropy_check(motet_tensor loss, motet_tensor logits, motet_tensor targets,
                                       motet_tensor legal);

#endif
