/* harness_flash: attention in bf16 on packed rows at multiples of 16 bytes, beside a naive
 * reference in double. For the tests of what tensor cores do. */
#ifndef TESTS_KERNELS_HARNESS_FLASH_H
#define TESTS_KERNELS_HARNESS_FLASH_H

#include "tests/kernels/harness_op.h"

/* Without a mask, fewer keys than this in all sequences choose kernels of their own. */
enum { FLASH_ENOUGH = 257, FLASH_WIDTHS = 3 };
extern const int flash_widths[FLASH_WIDTHS]; /* 32, 64, 128 */

/* q, and k and v behind one another in packed rows; or all three in one row. The gaps hold 77. */
typedef struct flash_problem {
    motet_attention_spec spec;
    int32_t *q_offsets, *k_offsets;
    int64_t queries, keys, row;
    motet_tensor q, k, v, out, lse, dout, dq, dk, dv;
    double *want_out, *want_lse, *want_dq, *want_dk, *want_dv; /* dense */
} flash_problem;

motet_tensor flash_column(motet_tensor t, int64_t column);

/* Sequences of queries[s] queries and keys[s] keys; keys NULL: as many keys as queries, in packed
 * rows of q, k, v. Values from the seed; outputs hold 77. */
flash_problem flash_make(int heads, int width, int sequences, const int *queries, const int *keys,
                         bool causal, uint64_t seed);

/* Fills want_*. */
void flash_refer(flash_problem *p);
/* Forward and backward. */
void flash_run(flash_problem *p);
/* The rows as a tensor without gaps. */
motet_tensor flash_packed(motet_tensor t, int64_t rows, int64_t pitch, const flash_problem *p);

/* Refers, runs, compares, gaps included. steep: of dq and dk only that they are finite. */
void flash_check(const char *name, flash_problem *p);
void flash_check_of(const char *name, flash_problem *p, bool steep);

#endif
