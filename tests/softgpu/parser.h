/* parser: what the files of the PTX parser share. parser.c reads the module's directives,
 * parser_body.c a function's body, parser_operand.c operands, parser_symbol.c variables and their
 * initial values. After the first error nothing more is read: every function returns false.
 */
#ifndef SOFTGPU_PARSER_H
#define SOFTGPU_PARSER_H

#include "tests/softgpu/lexer.h"

/* A name that is declared: one register or symbol, or the range of registers %r<97>. */
typedef struct sg_binding {
    const char *name;  /* interned; of a range: the prefix */
    int length, count; /* count -1: not a range */
    bool is_register, of_function;
    int index;
} sg_binding;

/* Labels belong to the { } they stand in; those of inline assembly repeat. */
typedef struct sg_label {
    const char *name;
    int scope, instruction;
} sg_label;
typedef struct sg_table { /* name: .branchtargets a, b; its labels are refs in order */
    const char *name;
    int scope, first_name, count;
} sg_table;
typedef struct sg_ref { /* a name that may be a label further down */
    const char *name;
    int scope, instruction, operand, line; /* instruction -1: operand is an element */
} sg_ref;

typedef struct sg_inline { /* a .loc that said where it was inlined */
    int at[3], to[3];      /* file, line, column */
} sg_inline;

#define SG_LIST(type)    \
    struct {             \
        type *items;     \
        int count, room; \
    }

typedef struct sg_parser {
    sg_lexer lexer;
    sg_token token; /* the next one, not yet taken */
    sg_module *module;
    char *sentence;
    size_t room;
    bool failed;

    SG_LIST(sg_binding) bindings;     /* innermost scope last */
    SG_LIST(sg_symbol) module_shared; /* .shared outside functions: goes to those who use it */
    SG_LIST(sg_symbol) symbols;       /* of the module */
    SG_LIST(sg_relocation) relocations;
    SG_LIST(sg_function) functions;
    SG_LIST(char *) files; /* by the number of .file */

    /* of the function being read */
    sg_function function;
    SG_LIST(sg_register) registers;
    SG_LIST(sg_instruction) instructions;
    SG_LIST(sg_operand) elements;
    SG_LIST(sg_symbol) locals;
    SG_LIST(int) scope_parents; /* of each scope so far */
    SG_LIST(sg_label) labels;
    SG_LIST(sg_table) tables;
    SG_LIST(const char *) table_names;
    SG_LIST(sg_ref) refs;
    SG_LIST(sg_inline) inlines;
    int scope;
    uint64_t dynamic_align; /* of the extern shared arrays that are used; 0: none is */
    sg_place place;
} sg_parser;

/* Room for one more item: a pointer to it, zeroed; NULL and failed if there is no memory. */
void *sg_parser_grow(sg_parser *p, void *items, int count, int *room, size_t item);
#define SG_MORE(p, list)                                                                    \
    ((list).items =                                                                         \
         sg_parser_grow(p, (list).items, (list).count, &(list).room, sizeof *(list).items), \
     (p)->failed ? NULL : &(list).items[(list).count++])

/* Says what is wrong, with the line of the next token (or this one); returns false. */
bool sg_parser_fail(sg_parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool sg_parser_fail_at(sg_parser *p, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void sg_parser_next(sg_parser *p);
bool sg_parser_is(const sg_parser *p, char mark);
bool sg_parser_is_word(const sg_parser *p, const char *word);
bool sg_parser_take(sg_parser *p, char mark);             /* true: it was there, and is taken */
bool sg_parser_take_word(sg_parser *p, const char *word); /* the same for a word */
bool sg_parser_expect(sg_parser *p, char mark);           /* fails if it is not there */
bool sg_parser_integer(int64_t *value, sg_parser *p);     /* with a sign */
const char *sg_parser_name(sg_parser *p);                 /* takes a word; NULL: failed */
bool sg_parser_skip_to(sg_parser *p, char mark);          /* and the mark itself */

/* ptx.c: one pointer for equal strings; NULL: no memory. */
const char *sg_intern(sg_module *module, const char *text, int length);

const sg_binding *sg_parser_find(const sg_parser *p, const char *name, int *index);
bool sg_parser_bind(sg_parser *p, const char *name, bool is_register, bool of_function, int index,
                    int count);

/* parser_symbol.c. `space` and "extern" have been read; type, name, size, value and ; follow. */
bool sg_parser_symbol(sg_parser *p, sg_space space, bool is_extern, bool in_function);
bool sg_parser_param(sg_parser *p);                     /* .param has been read; up to , or ) */
int sg_parser_type_bytes(const char *type, int length); /* ".u32": 4; 0: no type */
/* The function's own copy of a shared variable of the module: its index. -1: failed. */
int sg_parser_adopt(sg_parser *p, int module_shared);

/* parser_operand.c. Opcode and guard have been read; operands up to and with the ; */
bool sg_parser_operands(sg_parser *p, sg_instruction *in);

/* parser_body.c. { has been read. */
bool sg_parser_body(sg_parser *p);

#endif
