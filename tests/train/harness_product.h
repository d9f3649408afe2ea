/* harness_product: one matrix product with seeded inputs and its reference in double. */
#ifndef MOTET_TESTS_HARNESS_PRODUCT_H
#define MOTET_TESTS_HARNESS_PRODUCT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/matmul.h"

typedef struct product_case {
    int m, n, k;
    motet_matmul_spec spec;
    motet_dtype in, out;
    int bias; /* 0 none, 1 f32, 2 bf16 */
} product_case;

typedef struct product_data {
    product_case p;
    motet_tensor a, b, c, bias;
    double *start; /* of C: what accumulate adds to */
} product_data;

product_data product_make(product_case p);
void product_free(product_data *data);
double *product_reference(const product_data *data); /* malloc'd [M,N] */
/* Puts C back to its start and runs the product; fails the test on an error. */
void product_run(product_data *data, motet_matmul_fn *matmul);
double product_nmse(const product_data *data, const double *want);

#endif
