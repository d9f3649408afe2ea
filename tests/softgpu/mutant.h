/* mutant: a kernel with one planted fault. Tests are only worth as much as the faults that they
 * notice, so `make test-mutants` deletes every barrier, fence and wait and shifts every bound of
 * every kernel, one at a time, and runs the tests again.
 *
 *   SOFTGPU_MUTANT=KERNEL:N    plants fault N into KERNEL when it is made ready to run
 *   SOFTGPU_MUTANTS=FILE       appends, when the process ends, a JSON line for each fault that
 * could be planted, for every kernel that was launched; "matters" is false for a shifted bound
 * whose two sides were never equal in a lane that ran, since the fault would have changed nothing
 */
#ifndef SOFTGPU_MUTANT_H
#define SOFTGPU_MUTANT_H

#include "tests/softgpu/program.h"

/* Before a program is made of the function. False: SOFTGPU_MUTANT names a fault that is not there.
 */
bool sg_mutate(const sg_module *module, sg_function *function);

/* For SOFTGPU_MUTANTS: watches the program's bounds from now on. */
void sg_mutants_watch(sg_program *program);

#endif
