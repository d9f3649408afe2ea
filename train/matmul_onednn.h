/* matmul_onednn: the trainer's matrix product on oneDNN (https://github.com/oneapi-src/oneDNN).
 * Same contract as kernels/matmul.h. oneDNN computes where A and B have one dtype (bf16 or f32) and
 * C is no narrower than they are; int8 weights, mixed inputs and empty shapes go to the CPU twin.
 *
 * A primitive is made once per shape and kept, with its memory objects, so that a call in the
 * steady state allocates nothing. Each thread has a cache of its own: calls from several threads
 * are safe. Results do not depend on what was computed before, and are bit-equal between calls with
 * the same number of threads.
 */
#ifndef MOTET_MATMUL_ONEDNN_H
#define MOTET_MATMUL_ONEDNN_H

#include "kernels/matmul.h"

motet_matmul_fn motet_onednn_matmul;

/* Frees the calling thread's cache. */
void motet_onednn_release(void);

/* Primitives in the calling thread's cache. */
int motet_onednn_cached(void);

#endif
