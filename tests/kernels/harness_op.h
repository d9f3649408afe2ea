/* harness_op: what every op test needs. Guarded tensors, seeded fills, comparison with a reference
 * in double, gradients by central differences; all of it on the back-end that the environment
 * variable MOTET_TEST_DEVICE names ("cpu" without it, "cuda"), so that one test serves every twin.
 * MOTET_TEST_ONLY=PATTERN leaves only the tests of the program whose names match.
 *
 * Tensors come from one pool per test program, in memory that host and back-end share: their data
 * starts as NaN (i32, i8: -1), so an output that was not written is seen, and stands between two
 * guards of sentinel bytes (poisoned under AddressSanitizer, so that a stray read is seen too). The
 * software GPU sees every stray access by itself: there blocks have no guards, and end where the
 * tensor does. op_teardown checks all guards and frees the pool: give it to cmocka as every test's
 * teardown.
 *
 *     static void test_double(void **state) {
 *         motet_tensor x = op_matrix(MOTET_F32, 3, 7), out = op_matrix(MOTET_BF16, 3, 7);
 *         op_fill_normal(x, 1, 2.0);
 *         op_ok(op_backend()->twice(out, x));
 *         double *want = op_doubles(x);
 *         for (int i = 0; i < 21; i++) want[i] *= 2;
 *         op_assert_close("twice", out, want, op_limit(MOTET_BF16));
 *     }
 *     int main(void) {
 *         const struct CMUnitTest tests[] = {op_test(test_double)};
 *         return cmocka_run_group_tests(tests, NULL, NULL);
 *     }
 */
#ifndef MOTET_TESTS_HARNESS_OP_H
#define MOTET_TESTS_HARNESS_OP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/backend.h"

#define op_test(function) cmocka_unit_test_teardown(function, op_teardown)
#define OP_COUNT(array) ((int64_t)(sizeof(array) / sizeof *(array)))

/* Sizes worth testing: one, below and off the vector width, the model's, beyond a chunk. */
extern const int64_t op_rows[6];       /* 0, 1, 3, 17, 64, 130 */
extern const int64_t op_widths[7];     /* 1, 7, 16, 33, 256, 384, 1100 */
extern const motet_dtype op_floats[2]; /* f32, bf16 */

/* The back-end under test. The test fails if it cannot be opened. */
const motet_backend *op_backend(void);
/* For what holds on the CPU alone: a sentence of its own, vector widths, threads. */
bool op_on_cpu(void);

/* For loops over all combinations: a software GPU takes its time, so there it is one case of
 * `every`; all of them on the CPU. */
bool op_skips(int64_t number, int every);

/* New guarded tensors; freed by op_teardown. int8 matrices get a scale vector of ones. */
motet_tensor op_vector(motet_dtype dtype, int64_t n);
motet_tensor op_matrix(motet_dtype dtype, int64_t rows, int64_t cols);
/* A matrix that starts one element behind an aligned address: vector code must leave it alone. */
motet_tensor op_askew(motet_dtype dtype, int64_t rows, int64_t cols);
/* A copy with guards of its own. */
motet_tensor op_copy(motet_tensor t);
/* No tensor: data NULL. */
motet_tensor op_none(void);
/* Shared memory for what is no tensor (offsets, lengths, params, results), bytes of 0xFF. */
void *op_shared(size_t bytes);
/* Zeroed doubles of the host's, from the pool. */
double *op_zeros(int64_t count);

/* Element i as a double (an int8 one times its row's scale), and its store, rounded to the dtype.
 */
double op_get(motet_tensor t, int64_t i);
void op_set(motet_tensor t, int64_t i, double value);
/* All elements as doubles, from the pool. */
double *op_doubles(motet_tensor t);

void op_fill(motet_tensor t, double value);
/* Normal with standard deviation scale; for int8, uniform codes and scales around `scale`. */
void op_fill_normal(motet_tensor t, uint64_t seed, double scale);
/* Integers low..high, for exact tests, ids, targets. */
void op_fill_integers(motet_tensor t, uint64_t seed, int low, int high);

/* Sum of squared errors over the sum of squares of want (over count if want is all zero). NaN and
 * infinities must match in place; otherwise the result is infinite. */
double op_nmse(motet_tensor got, const double *want);
/* NMSE that an op with f32 inside may show with this output dtype: f32 1e-11; bf16 2^-16,
 * the square of the worst relative error of one rounding to 8 bits. */
double op_limit(motet_dtype out);
void op_assert_close(const char *what, motet_tensor got, const double *want, double nmse_limit);
void op_assert_equal(const char *what, motet_tensor got, const double *want);
/* Same dtype, same bytes. */
void op_assert_same_bits(const char *what, motet_tensor a, motet_tensor b);

/* The call succeeded, or failed with code and a sentence that contains `words`. Both wait until the
 * back-end is done: what it found wrong meanwhile counts as the call's. */
void op_assert_ok(motet_status status, const char *call, const char *file, int line);
void op_assert_fails(motet_status status, motet_status code, const char *words, const char *call,
                     const char *file, int line);
#define op_ok(call) op_assert_ok((call), #call, __FILE__, __LINE__)
#define op_fails(call, code, words) \
    op_assert_fails((call), (code), (words), #call, __FILE__, __LINE__)

/* Compares grad, the gradient of a scalar with respect to the f32 tensor x, with central
 * differences of `loss` (which runs the op on the tensors in context and returns the scalar, summed
 * in double) at up to 48 elements of x. step is the half distance, good near 1e-2 of x's size.
 * Fails if the NMSE over those elements is above limit (1e-4 suits f32). x is restored. */
typedef double op_loss_fn(void *context);
void op_assert_gradient(const char *what, motet_tensor x, motet_tensor grad, op_loss_fn *loss,
                        void *context, double step, double limit);
/* sum of a[i] * b[i] in double: the scalar whose gradient with respect to a is b. */
double op_dot(motet_tensor a, motet_tensor b);

/* Threads that OpenMP uses from now on; op_teardown goes back to the start's number. */
void op_threads(int count);

int op_teardown(void **state);

#endif
