/* mutant: a kernel with one planted fault. Tests are only worth as much as the faults that they
 * notice, so `make test-mutants` deletes every barrier, fence and wait and shifts every bound of
 * every kernel, one at a time, and runs the tests again.
 *
 *   SOFTGPU_MUTANT=KERNEL:N    plants fault N into KERNEL when it is made ready to run
 *   SOFTGPU_MUTANTS=FILE       appends a JSON line for each fault that could be planted, for every
 *                              kernel that is launched
 */
#ifndef SOFTGPU_MUTANT_H
#define SOFTGPU_MUTANT_H

#include "tests/softgpu/ptx.h"

/* Before a program is made of the function. False: SOFTGPU_MUTANT names a fault that is not there.
 */
bool sg_mutate(const sg_module *module, sg_function *function);

#endif
