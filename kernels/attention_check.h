/* attention_check: what the attention ops refuse, and how they name one head. Internal. */
#ifndef MOTET_ATTENTION_CHECK_H
#define MOTET_ATTENTION_CHECK_H

#include "kernels/simd_table.h"

/* MOTET_E_USAGE unless the spec obeys attention.h, and q, k, v, out share f32 or bf16. */
motet_status motet_attention_check(motet_tensor out, motet_tensor lse, motet_tensor q,
                                   motet_tensor k, motet_tensor v,
                                   const motet_attention_spec *spec);
motet_status motet_attention_backward_check(motet_tensor dq, motet_tensor dk, motet_tensor dv,
                                            motet_tensor dout, motet_tensor out, motet_tensor lse,
                                            motet_tensor q, motet_tensor k, motet_tensor v,
                                            const motet_attention_spec *spec);
/* Shapes and dtypes, not the lengths. */
motet_status motet_attention_decode_check(motet_tensor out, motet_tensor q, motet_tensor k_cache,
                                          motet_tensor v_cache, int heads);
motet_status motet_attention_append_check(motet_tensor k_cache, motet_tensor v_cache,
                                          motet_tensor k, motet_tensor v, int64_t pitch, int heads);

/* Head h of sequence s. lse.data may be NULL. */
motet_attention_head motet_attention_head_at(motet_tensor out, motet_tensor lse, motet_tensor q,
                                             motet_tensor k, motet_tensor v,
                                             const motet_attention_spec *spec, int s, int h);

/* The most queries and the most keys of any sequence. */
void motet_attention_longest(int64_t *queries, int64_t *keys, const motet_attention_spec *spec);

/* Sum over sequences of heads * queries * keys * width: what decides about threads. */
double motet_attention_work(const motet_attention_spec *spec);
#define MOTET_ATTENTION_THREAD_WORK 5e5

/* Element `i` of an f32 or bf16 tensor, as an address. */
static inline void *motet_attention_at(motet_tensor t, int64_t i) {
    return (unsigned char *)t.data + i * (int64_t)motet_dtype_bytes(t.dtype);
}

#endif
