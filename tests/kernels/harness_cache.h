/* harness_cache: caches of keys and values for the tests of attention against a cache, and what
 * decoding should make of them, by naive loops in double.
 */
#ifndef MOTET_TESTS_HARNESS_CACHE_H
#define MOTET_TESTS_HARNESS_CACHE_H

#include "tests/kernels/harness_op.h"

/* Queries against caches of B sequences; data starts as NaN, int8 as codes of -1 with NaN scales.
 */
typedef struct cache_case {
    int64_t batch, most, row;
    int heads, width;
    motet_tensor q, out, k, v;
    int32_t *lengths;
} cache_case;

/* Kinds of query and cache: f32, bf16, int8 beside either. */
enum { CACHE_KINDS = 4 };
motet_dtype cache_query_type(int kind);
motet_dtype cache_kept_type(int kind);

extern const int cache_widths[4]; /* 16, 32, 64, 128 */

/* A cache alone; int8 with scales. */
motet_tensor cache_tensor(motet_dtype dtype, int64_t batch, int64_t most, int64_t heads,
                          int64_t width);
/* query: of q and out; kept: of the caches. lengths [batch] are copied. */
cache_case cache_problem(motet_dtype query, motet_dtype kept, int64_t batch, int64_t most,
                         int heads, int width, const int32_t *lengths);
/* The valid rows of a cache: normal, or uniform codes with scales that differ. */
void cache_fill(cache_case *p, motet_tensor cache, uint64_t seed, double size);

/* The scale of an int8 cache's row of a head; the value of an element, whatever the type. */
float *cache_scale(cache_case *p, motet_tensor cache, int64_t b, int64_t h, int64_t t);
double cache_get(cache_case *p, motet_tensor cache, int64_t b, int64_t t, int64_t column);

/* What decoding should give, [B][H*W]; decoding; and both, compared. */
double *cache_refer(cache_case *p);
void cache_run(cache_case *p);
void cache_check(const char *name, cache_case *p);

#endif
