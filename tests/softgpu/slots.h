/* slots: which registers may share a slot. Two registers of one class may if no lane can ever need
 * both: a lane needs a register from where it may have been written to where it may still be read.
 * Lanes that diverged are no matter, since each has its own part of every slot.
 */
#ifndef SOFTGPU_SLOTS_H
#define SOFTGPU_SLOTS_H

#include "tests/softgpu/program.h"

/* Operands of the program's ops are still numbers of registers (those below register_count; the
 * rest is passed over). numbers: for each register its place among the slots of its class, -1:
 * never used. counts: how many slots each class needs. False: no memory. */
bool sg_slots_share(int *numbers, int counts[4], const sg_program *program);

/* A mov from a register or constant to one register. If both end up in one slot it need not run. */
bool sg_is_plain_copy(const sg_op *op);

#endif
