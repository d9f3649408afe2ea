/* program: a function made ready to run. Every instruction becomes an op: a handler, and operands
 * that are slots of the warp's register file.
 *
 * A slot is 32 lanes side by side, so that a handler is a loop over lanes that the C compiler
 * vectorises. Registers that are never alive together share a slot, within their own width: a
 * 32-bit register that shared memory with a 64-bit one would break the isolation of lanes when a
 * warp diverges. Immediates, symbols' addresses and special registers that never change are slots,
 * too, filled when the warp starts.
 *
 * Layout of a slot, by class, at byte offset (slot & ~63) of the warp's file:
 *   predicate:  uint32 lanes, uint32 taint                                      64 bytes
 *   32-bit:     uint32[32], uint32 taint                                       192 bytes
 *   64-bit:     uint64[32], uint32 taint                                       320 bytes
 *   128-bit:    2 x uint64[32] (low halves, high halves), uint32 taint         576 bytes
 * 16-bit registers live in 32-bit slots, upper half zero. A taint bit: this lane's value comes from
 * bytes that nobody wrote. Low bits of the slot number: its class.
 */
#ifndef SOFTGPU_PROGRAM_H
#define SOFTGPU_PROGRAM_H

#include "tests/softgpu/ptx.h"

typedef int32_t sg_slot; /* byte offset | class; -1: none */
typedef enum sg_class { SG_SLOT_PRED, SG_SLOT_32, SG_SLOT_64, SG_SLOT_128 } sg_class;

typedef struct sg_warp sg_warp;
typedef struct sg_op sg_op;

/* Runs one instruction for `lanes` (never 0, all of them running and past the guard). Only these
 * lanes of the destinations may change. */
typedef void sg_handler(sg_warp *warp, const sg_op *op, uint32_t lanes);
/* Instructions whose lanes mix (shfl, mma, ldmatrix) say themselves how taint spreads. */
typedef void sg_taint_rule(sg_warp *warp, const sg_op *op, uint32_t lanes);

/* What an op is counted as; the profile's columns. */
typedef enum sg_kind {
    SG_K_INTEGER,
    SG_K_FLOAT,    /* add, mul, fma in f32, packed counts once */
    SG_K_SPECIAL,  /* ex2, lg2, rcp, rsqrt, sqrt, tanh, div */
    SG_K_MOVE,     /* mov, cvt, selp, prmt, cvta */
    SG_K_COMPARE,  /* setp, set */
    SG_K_CONTROL,  /* bra, ret */
    SG_K_SYNC,     /* bar, fence, waits */
    SG_K_EXCHANGE, /* shfl, vote, match, redux */
    SG_K_GLOBAL_LOAD,
    SG_K_GLOBAL_STORE,
    SG_K_SHARED_LOAD,
    SG_K_SHARED_STORE,
    SG_K_OTHER_MEMORY, /* param, const, local */
    SG_K_ATOMIC,
    SG_K_ASYNC_COPY,
    SG_K_MMA,
    SG_KINDS
} sg_kind;

enum { SG_PURE = 0, SG_IS_BRANCH = 1, SG_ENDS_LANES = 2, SG_MAY_BLOCK = 4, SG_IS_COPY = 8 };

struct sg_op {
    sg_handler *run;
    sg_taint_rule *taint; /* NULL: a destination is tainted where any source is */
    sg_slot guard;        /* -1: always */
    bool guard_negated;
    uint8_t
        kind; /* sg_kind; SG_K_*_LOAD and the like by the instruction's space; generic: global */
    uint8_t flags; /* SG_IS_COPY: moves bits unchanged, so taint stays "unwritten" */
    int16_t dest_count, source_count;
    const sg_slot *dest, *source; /* in the order the binder asked for them */
    int target;                   /* of a branch: index of an op */
    int32_t a, b, c;              /* whatever the handler's family wants: sizes, offsets, modes */
    int64_t offset;               /* of an address */
    const sg_instruction *instruction;
};

typedef struct sg_constant { /* a slot to fill when a warp starts */
    sg_slot slot;
    bool is_special;
    sg_special special;
    uint64_t bits; /* every lane the same */
} sg_constant;

typedef struct sg_program {
    const sg_module *module;
    const sg_function *function;
    sg_op *ops; /* one for each instruction, same index */
    int op_count;
    size_t file_bytes; /* of a warp's register file */
    sg_constant *constants;
    int constant_count;
    int registers_wanted; /* slots alive at most, 32-bit words a lane: not ptxas's number */
    void *memory;         /* private */
} sg_program;

/* module_base: address of the module's globals (symbol offsets are added), const_base likewise. */
bool sg_program_make(sg_program **program, const sg_module *module, const sg_function *function,
                     uint64_t global_base, uint64_t const_base, char *sentence, size_t room);
/* Where the instruction stands for which the last sg_program_make of this thread refused; NULL if
 * it failed for another reason. Belongs to the module. */
const sg_place *sg_program_refusal(void);
void sg_program_free(sg_program *program);

/* ---- For those who bind instructions: every family of instructions is a table in its own file. */

typedef struct sg_binder sg_binder;

/* Fills op (zeroed, guard and instruction set): run, kind, flags, destinations, sources, a, b, c.
 * Returns NULL, or why the instruction is refused ("modifier .cc is not known"). Everything that is
 * not understood must be refused. */
typedef const char *sg_bind(sg_op *op, const sg_instruction *in, sg_binder *binder);
typedef struct sg_family {
    const char *opcode; /* NULL ends the table */
    sg_bind *bind;
} sg_family;

extern const sg_family sg_integer_family[], sg_float_family[], sg_move_family[],
    sg_compare_family[], sg_control_family[], sg_exchange_family[]; /* ALU side */
extern const sg_family sg_memory_family[], sg_atomic_family[], sg_async_family[],
    sg_matrix_family[]; /* memory side */
extern const sg_family sg_mbarrier_family[], sg_wgmma_family[], sg_cluster_family[]; /* Hopper */

/* Adds operand `o` as the next destination or source of the op, as a slot of this class; vectors
 * add each element. An immediate becomes a constant slot: integers are cut to the width, an f32
 * literal gives its bits (as f64 for a 64-bit slot where `in` is f64: use bits as written). A
 * REGISTER of another width class is an error (sg_bind_error then says which). The sink "_" adds a
 * slot that nobody reads. */
bool sg_add_dest(sg_binder *binder, const sg_operand *o, sg_class class);
bool sg_add_source(sg_binder *binder, const sg_operand *o, sg_class class);
/* A source that is this constant in every lane. */
bool sg_add_constant(sg_binder *binder, uint64_t bits, sg_class class);
/* The base of an ADDRESS as a source (a register of either width, or a constant), its offset into
 * op->offset. Symbols: shared -> its offset in the block's window, local, param likewise; global
 * and const -> their address. Base class tells: SG_SLOT_32 or SG_SLOT_64. */
bool sg_add_address(sg_binder *binder, const sg_operand *o);
const char *sg_bind_error(const sg_binder *binder);
const sg_operand *sg_element(const sg_binder *binder, const sg_operand *vector, int i);

/* True and counted as seen if the modifier stands at position *at: then *at moves on. For parsing
 * modifiers from left to right; a family refuses unless all are used up. */
bool sg_take(const sg_instruction *in, int *at, const char *modifier);

/* Scalar types, as the last modifiers name them. */
typedef enum sg_type {
    SG_T_NONE,
    SG_T_PRED,
    SG_T_B8,
    SG_T_U8,
    SG_T_S8,
    SG_T_B16,
    SG_T_U16,
    SG_T_S16,
    SG_T_F16,
    SG_T_BF16,
    SG_T_B32,
    SG_T_U32,
    SG_T_S32,
    SG_T_F32,
    SG_T_F16X2,
    SG_T_BF16X2,
    SG_T_TF32,
    SG_T_B64,
    SG_T_U64,
    SG_T_S64,
    SG_T_F64,
    SG_T_B128,
} sg_type;
sg_type sg_take_type(const sg_instruction *in, int *at); /* SG_T_NONE if it is no type */
int sg_type_bytes(sg_type type);
sg_class sg_type_class(sg_type type);

#endif
