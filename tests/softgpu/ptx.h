/* ptx: a PTX module, parsed. What PTX names by text is an index here: registers, symbols, labels,
 * source files. Spelling is kept where meaning is not decided yet: opcode and modifiers are the
 * strings of the text, and whoever binds an instruction (program.h) decides what they mean or
 * refuses them. PTX ISA: docs.nvidia.com/cuda/parallel-thread-execution.
 */
#ifndef SOFTGPU_PTX_H
#define SOFTGPU_PTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sg_space {
    SG_GENERIC,
    SG_GLOBAL,
    SG_SHARED,
    SG_LOCAL,
    SG_CONST,
    SG_PARAM,
} sg_space;

/* A position in the CUDA source, and where that was inlined (at most SG_INLINES deep). */
#define SG_INLINES 4
typedef struct sg_line {
    int file; /* index into the module's files, -1: none */
    int line;
} sg_line;
typedef struct sg_place {
    sg_line at, inlined_at[SG_INLINES]; /* ends with file -1 */
    int ptx_line;                       /* of the PTX text, from 1 */
} sg_place;

/* Global and constant variables of the module; shared and local ones and parameters of a function.
 * Extern shared arrays all start where the static ones end. */
typedef struct sg_symbol {
    char *name;
    sg_space space;
    uint64_t bytes, align;
    uint64_t offset;     /* within its space's window of the module (global, const) or function */
    unsigned char *init; /* [bytes] of global and const, NULL: zeros */
    bool dynamic;        /* extern shared */
} sg_symbol;

typedef enum sg_operand_kind {
    SG_REGISTER,
    SG_IMMEDIATE,
    SG_ADDRESS, /* [reg], [reg+offset], [symbol], [symbol+offset], [immediate] */
    SG_SYMBOL,  /* a symbol's address as a value (mov) */
    SG_SPECIAL, /* %tid.x and its like */
    SG_LABEL,
    SG_VECTOR, /* {a, b, ...}; the table of brx.idx: its labels; [a, {b, c}]: address, vector */
    SG_SINK,   /* _ */
} sg_operand_kind;

typedef enum sg_special {
    SG_TID_X,
    SG_TID_Y,
    SG_TID_Z,
    SG_NTID_X,
    SG_NTID_Y,
    SG_NTID_Z,
    SG_CTAID_X,
    SG_CTAID_Y,
    SG_CTAID_Z,
    SG_NCTAID_X,
    SG_NCTAID_Y,
    SG_NCTAID_Z,
    SG_LANEID,
    SG_WARPID,
    SG_NWARPID,
    SG_SMID,
    SG_NSMID,
    SG_LANEMASK_EQ,
    SG_LANEMASK_LE,
    SG_LANEMASK_LT,
    SG_LANEMASK_GE,
    SG_LANEMASK_GT,
    SG_CLOCK,
    SG_CLOCK64,
    SG_GLOBALTIMER,
    SG_DYNAMIC_SMEM_SIZE,
    SG_TOTAL_SMEM_SIZE,
    SG_WARPSZ,
    SG_CLUSTER_CTAID_X,
    SG_CLUSTER_CTAID_Y,
    SG_CLUSTER_CTAID_Z,
    SG_CLUSTER_NCTAID_X,
    SG_CLUSTER_NCTAID_Y,
    SG_CLUSTER_NCTAID_Z,
    SG_CLUSTERID_X,
    SG_CLUSTERID_Y,
    SG_CLUSTERID_Z,
    SG_NCLUSTERID_X,
    SG_NCLUSTERID_Y,
    SG_NCLUSTERID_Z,
    SG_CLUSTER_CTARANK,
    SG_CLUSTER_NCTARANK,
    SG_SPECIALS
} sg_special;

/* How a literal was written: its 64 bits mean an integer, an f32 (0f...), or an f64 (0d...). */
typedef enum sg_literal { SG_INTEGER, SG_F32_BITS, SG_F64_BITS } sg_literal;

typedef struct sg_operand {
    sg_operand_kind kind;
    bool negated;     /* !%p */
    int reg;          /* REGISTER; ADDRESS: base, -1: none. Index into the function's registers */
    int symbol;       /* SYMBOL; ADDRESS: base, -1: none. >= 0 */
    bool of_function; /* which table `symbol` indexes: the function's, else the module's */
    int64_t offset;   /* ADDRESS, SYMBOL */
    sg_special special;
    sg_literal literal;
    uint64_t bits;    /* IMMEDIATE */
    int target;       /* LABEL: index of the instruction it stands before */
    int first, count; /* VECTOR: elements [first, first+count) of the function's `elements` */
} sg_operand;

#define SG_MAX_MODIFIERS 14
#define SG_MAX_OPERANDS 8 /* the longest: a vector counts as one */

typedef struct sg_instruction {
    const char *opcode;                      /* "fma" */
    const char *modifiers[SG_MAX_MODIFIERS]; /* "rn", "f32"; "::" stays inside: "shared::cta" */
    int modifier_count;
    int guard; /* predicate register of @%p, -1: none */
    bool guard_negated;
    /* d|p, as shfl and setp write it, is two operands with `paired` set. In order of the text. */
    sg_operand operands[SG_MAX_OPERANDS];
    int operand_count;
    bool paired;
    sg_place place;
} sg_instruction;

typedef enum sg_width { SG_PRED, SG_W16, SG_W32, SG_W64, SG_W128 } sg_width;

typedef struct sg_register {
    sg_width width; /* .b8 and .b16 are W16 */
} sg_register;

typedef struct sg_function {
    char *name;
    bool entry;
    sg_register *registers;
    int register_count;
    sg_instruction *instructions;
    int instruction_count; /* the last one is ret, exit, bra or trap */
    sg_operand *elements;
    int element_count;
    sg_symbol *symbols; /* parameters first, then shared and local */
    int symbol_count, param_count;
    uint64_t param_bytes, shared_bytes, local_bytes; /* static */
    int max_threads[3], required_threads[3];         /* .maxntid, .reqntid; 0: not said */
} sg_function;

/* The initial value of 8 bytes of a global or constant variable is another one's address. */
typedef struct sg_relocation {
    int symbol, target; /* of the module's symbols */
    uint64_t offset;    /* within `symbol` */
    int64_t addend;
} sg_relocation;

typedef struct sg_module {
    char *text; /* the PTX, owned */
    char **files;
    int file_count;
    int target; /* 80, 90 */
    sg_symbol *symbols;
    int symbol_count;
    uint64_t global_bytes, const_bytes;
    sg_function *functions;
    int function_count;
    sg_relocation *relocations;
    int relocation_count;
    void *strings; /* private */
} sg_module;

/* Parses PTX text (copied). On failure *module is NULL and sentence (of `room` bytes) says what and
 * in which line. Directives that change meaning and are not known are failures, too. */
bool sg_module_parse(sg_module **module, const char *text, char *sentence, size_t room);
void sg_module_free(sg_module *module);

/* "rmsnorm.cu:31 (inlined at rmsnorm.cu:64), PTX line 210". */
void sg_place_text(char *text, size_t room, const sg_module *module, const sg_place *place);

/* fatbin.c: the PTX text for `arch` (80, 90) in what cuModuleLoadData gets: PTX itself, a fatbin
 * wrapper (magic 0x466243b1) or a fatbin (0xba55ed50), plain or zstd. The best that runs there: the
 * highest target <= arch (arch-specific "sm_90a" only on 90). malloc'd, ends with NUL. */
bool sg_image_ptx(char **text, const void *image, int arch, char *sentence, size_t room);

#endif
