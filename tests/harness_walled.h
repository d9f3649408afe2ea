/* harness_walled: a back-end that is as strict as a device, for tests of whoever uses one. Its ops
 * are the CPU's; what differs is when they run and what they see:
 *
 *   - its device memory has no access rights but while ops run: a host that touches it dies there;
 *   - an op whose argument is neither in device nor in shared memory is refused, with its name;
 *   - nothing runs before synchronize or a copy (unless it is eager): who forgets to wait reads
 *     what was there before, and who overwrites what an op still needs gets other results.
 *
 * So what gives the CPU's bits on it, eager and not, is right on any back-end whose ops are right.
 * One for the process; not thread-safe.
 */
#ifndef MOTET_TESTS_HARNESS_WALLED_H
#define MOTET_TESTS_HARNESS_WALLED_H

#include "kernels/backend.h"

/* eager: ops run at once, and device memory is open. Only while no memory of it is taken. */
const motet_backend *motet_walled_backend(int eager);

/* How often somebody waited (synchronize, or a copy), and how many ops ran, since the last call. */
typedef struct motet_walled_counts {
    int64_t waits, ops;
} motet_walled_counts;
motet_walled_counts motet_walled_count(void);

/* Bytes taken and not given back. */
size_t motet_walled_bytes(motet_placement placement);

#endif
