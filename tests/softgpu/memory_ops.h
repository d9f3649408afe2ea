/* memory_ops: what loads, stores and atomics share: how their modifiers are read and where their
 * addresses come from. */
#ifndef SOFTGPU_MEMORY_OPS_H
#define SOFTGPU_MEMORY_OPS_H

#include "tests/softgpu/access.h"

/* What the modifiers of an access say, packed into op->c. */
enum {
    SG_M_SPACE = 7, /* sg_space */
    SG_M_SIGNED = 8,
    SG_M_ACQUIRE = 16,
    SG_M_RELEASE = 32,
    SG_M_STRONG = 64,
    SG_M_BLOCK = 128, /* its scope is the block */
};

/* Takes one of these words, a list that ends with NULL. */
bool sg_take_any(const sg_instruction *in, int *at, const char *const *words);
/* Parses what may stand before the vector and type: .weak .volatile .relaxed .acquire .release
 * .acq_rel, scopes, spaces, cache operators and hints. The bits of above, or -1 with a sentence. */
int32_t sg_take_access(const sg_instruction *in, int *at, const char **why);

/* The addresses of all lanes, from a base and an offset; garbage where a lane does not run. */
void sg_addresses_from(uint64_t addresses[SG_LANES], const sg_warp *warp, sg_slot base,
                       int64_t offset);
/* The same, from source 0 and the op's offset. */
static inline void sg_addresses(uint64_t addresses[SG_LANES], const sg_warp *warp,
                                const sg_op *op) {
    sg_addresses_from(addresses, warp, op->source[0], op->offset);
}
/* Reports lanes whose address comes from bytes that nobody wrote. */
void sg_check_addresses(sg_warp *warp, const sg_op *op, sg_slot base, uint32_t lanes);
static inline sg_space sg_op_space(const sg_op *op) {
    return (sg_space)(op->c & SG_M_SPACE);
}
sg_strength sg_op_strength(const sg_op *op);
/* Tells the race detector of a strong access of one lane. */
void sg_note_strong(sg_warp *warp, const sg_op *op, int lane, uint64_t address, int bytes,
                    bool load, bool store);
/* For ops that have set their destinations' taint themselves. */
void sg_taint_is_set(sg_warp *warp, const sg_op *op, uint32_t lanes);

#endif
