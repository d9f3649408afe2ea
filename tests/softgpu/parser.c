#include "tests/softgpu/parser.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool fail(sg_parser *p, int line, const char *format, va_list args) {
    if (p->failed) return false;
    p->failed = true;
    int n = snprintf(p->sentence, p->room, "PTX line %d: ", line);
    if (n >= 0 && (size_t)n < p->room)
        vsnprintf(p->sentence + n, p->room - (size_t)n, format, args);
    return false;
}

bool sg_parser_fail(sg_parser *p, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fail(p, p->token.line, format, args);
    va_end(args);
    return false;
}

bool sg_parser_fail_at(sg_parser *p, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fail(p, line, format, args);
    va_end(args);
    return false;
}

void *sg_parser_grow(sg_parser *p, void *items, int count, int *room, size_t item) {
    if (count < *room || p->failed) return items;
    const int more = *room ? *room * 2 : 16;
    void *grown = more > 0 && more < 1 << 26 ? realloc(items, (size_t)more * item) : NULL;
    if (!grown) {
        sg_parser_fail(p, "there is no memory for this module");
        return items;
    }
    memset((char *)grown + (size_t)*room * item, 0, (size_t)(more - *room) * item);
    *room = more;
    return grown;
}

void sg_parser_next(sg_parser *p) {
    sg_lexer_next(&p->token, &p->lexer);
    if (p->token.kind == SG_TOKEN_BAD)
        sg_parser_fail(p, "'%.*s' is not PTX", p->token.length, p->token.text);
}

bool sg_parser_is(const sg_parser *p, char mark) {
    return !p->failed && p->token.kind == SG_TOKEN_MARK && p->token.mark == mark;
}

bool sg_parser_is_word(const sg_parser *p, const char *word) {
    return !p->failed && p->token.kind == SG_TOKEN_WORD &&
           (size_t)p->token.length == strlen(word) &&
           !memcmp(p->token.text, word, (size_t)p->token.length);
}

bool sg_parser_take(sg_parser *p, char mark) {
    if (!sg_parser_is(p, mark)) return false;
    sg_parser_next(p);
    return true;
}

bool sg_parser_take_word(sg_parser *p, const char *word) {
    if (!sg_parser_is_word(p, word)) return false;
    sg_parser_next(p);
    return true;
}

bool sg_parser_expect(sg_parser *p, char mark) {
    if (sg_parser_take(p, mark)) return true;
    return sg_parser_fail(p, "'%c' is missing before '%.*s'", mark, p->token.length, p->token.text);
}

bool sg_parser_integer(int64_t *value, sg_parser *p) {
    bool negative = false;
    while (sg_parser_is(p, '-') || sg_parser_is(p, '+')) {
        negative ^= p->token.mark == '-';
        sg_parser_next(p);
    }
    if (p->failed || p->token.kind != SG_TOKEN_NUMBER || p->token.literal != SG_INTEGER)
        return sg_parser_fail(p, "an integer is missing before '%.*s'", p->token.length,
                              p->token.text);
    *value = (int64_t)(negative ? 0 - p->token.bits : p->token.bits);
    sg_parser_next(p);
    return !p->failed;
}

const char *sg_parser_name(sg_parser *p) {
    if (p->failed || p->token.kind != SG_TOKEN_WORD) {
        sg_parser_fail(p, "a name is missing before '%.*s'", p->token.length, p->token.text);
        return NULL;
    }
    const char *name = sg_intern(p->module, p->token.text, p->token.length);
    if (!name) sg_parser_fail(p, "there is no memory for this module");
    sg_parser_next(p);
    return p->failed ? NULL : name;
}

bool sg_parser_skip_to(sg_parser *p, char mark) {
    while (!p->failed && !sg_parser_is(p, mark)) {
        if (p->token.kind == SG_TOKEN_END) return sg_parser_fail(p, "'%c' is missing", mark);
        sg_parser_next(p);
    }
    return sg_parser_take(p, mark);
}

static bool skip_braces(sg_parser *p) {
    int depth = 0;
    do {
        if (p->failed) return false;
        if (p->token.kind == SG_TOKEN_END) return sg_parser_fail(p, "'}' is missing");
        if (sg_parser_is(p, '{')) depth++;
        if (sg_parser_is(p, '}')) depth--;
        sg_parser_next(p);
    } while (depth);
    return !p->failed;
}

bool sg_parser_bind(sg_parser *p, const char *name, bool is_register, bool of_function, int index,
                    int count) {
    sg_binding *b = SG_MORE(p, p->bindings);
    if (!b) return false;
    *b = (sg_binding){.name = name,
                      .length = (int)strlen(name),
                      .count = count,
                      .is_register = is_register,
                      .of_function = of_function,
                      .index = index};
    return true;
}

/* The innermost declaration of an interned name; of a range, *index is the register's own. */
const sg_binding *sg_parser_find(const sg_parser *p, const char *name, int *index) {
    int stem = (int)strlen(name);
    const int length = stem;
    while (stem > 0 && name[stem - 1] >= '0' && name[stem - 1] <= '9')
        stem--;
    if (length - stem > 8 || (name[stem] == '0' && length - stem > 1)) stem = length;
    const int number = stem < length ? atoi(name + stem) : -1;
    for (int i = p->bindings.count - 1; i >= 0; i--) {
        const sg_binding *b = &p->bindings.items[i];
        *index = b->index;
        if (b->count < 0) {
            if (b->name == name) return b;
        } else if (b->length == stem && number >= 0 && number < b->count &&
                   !memcmp(b->name, name, (size_t)stem)) {
            *index += number;
            return b;
        }
    }
    return NULL;
}

/* .target sm_90a, debug */
static bool read_target(sg_parser *p) {
    if (p->failed || p->token.kind != SG_TOKEN_WORD || p->token.length < 5 ||
        memcmp(p->token.text, "sm_", 3))
        return sg_parser_fail(p, "'.target' needs an sm_NN, not '%.*s'", p->token.length,
                              p->token.text);
    p->module->target = atoi(p->token.text + 3);
    sg_parser_next(p);
    while (sg_parser_take(p, ','))
        if (!sg_parser_name(p)) return false;
    return !p->failed;
}

/* .file 1 "name", time, size */
static bool read_file(sg_parser *p) {
    int64_t number, ignored;
    if (!sg_parser_integer(&number, p)) return false;
    if (number < 0 || number > 1 << 16 || p->token.kind != SG_TOKEN_STRING)
        return sg_parser_fail(p, "'.file' needs a number and a name");
    const char *name = sg_intern(p->module, p->token.text, p->token.length);
    if (!name) return sg_parser_fail(p, "there is no memory for this module");
    while (p->files.count <= number)
        if (!SG_MORE(p, p->files)) return false;
    p->files.items[number] = (char *)name;
    sg_parser_next(p);
    while (sg_parser_take(p, ','))
        if (!sg_parser_integer(&ignored, p)) return false;
    return !p->failed;
}

static bool read_dims(int dims[3], sg_parser *p) {
    int64_t value = 0;
    int n = 0;
    dims[0] = dims[1] = dims[2] = 1;
    do {
        if (n == 3 || !sg_parser_integer(&value, p)) return sg_parser_fail(p, "too many sizes");
        if (value < 1 || value > 1 << 30) return sg_parser_fail(p, "this size is not possible");
        dims[n++] = (int)value;
    } while (sg_parser_take(p, ','));
    return !p->failed;
}

/* What stands between a function's parameters and its body. */
static bool read_tuning(sg_parser *p) {
    int dims[3];
    for (;;) {
        if (sg_parser_take_word(p, ".maxntid")) {
            if (!read_dims(p->function.max_threads, p)) return false;
        } else if (sg_parser_take_word(p, ".reqntid")) {
            if (!read_dims(p->function.required_threads, p)) return false;
        } else if (sg_parser_take_word(p, ".reqnctapercluster")) {
            if (!read_dims(dims, p)) return false;
            if ((int64_t)dims[0] * dims[1] * dims[2] != 1)
                return sg_parser_fail(p, "clusters of several blocks are not known here");
        } else if (sg_parser_take_word(p, ".minnctapersm") || sg_parser_take_word(p, ".maxnreg") ||
                   sg_parser_take_word(p, ".maxnctapersm") ||
                   sg_parser_take_word(p, ".maxclusterrank")) {
            if (!read_dims(dims, p)) return false;
        } else if (sg_parser_take_word(p, ".pragma")) {
            if (!sg_parser_skip_to(p, ';')) return false;
        } else if (!sg_parser_take_word(p, ".noreturn") &&
                   !sg_parser_take_word(p, ".explicitcluster")) {
            return !p->failed;
        }
    }
}

static bool read_params(sg_parser *p) {
    if (!sg_parser_take(p, '(')) return !p->failed;
    if (sg_parser_take(p, ')')) return true;
    do {
        const bool is_register = sg_parser_take_word(p, ".reg");
        if (!is_register && !sg_parser_take_word(p, ".param"))
            return sg_parser_fail(p, "a parameter is missing before '%.*s'", p->token.length,
                                  p->token.text);
        if (!sg_parser_param(p)) return false;
    } while (sg_parser_take(p, ','));
    return sg_parser_expect(p, ')');
}

/* Instructions are large, and lists have grown by doubling. */
static void trim(sg_parser *p) {
    void *smaller = realloc(p->instructions.items,
                            (size_t)p->instructions.count * sizeof *p->instructions.items);
    if (smaller) p->instructions.items = smaller;
    if (!p->registers.count) return;
    smaller = realloc(p->registers.items, (size_t)p->registers.count * sizeof *p->registers.items);
    if (smaller) p->registers.items = smaller;
}

static bool read_function(sg_parser *p, bool entry) {
    const int outer = p->bindings.count;
    p->function = (sg_function){.entry = entry};
    p->scope = p->scope_parents.count = p->labels.count = p->tables.count = p->refs.count = 0;
    p->table_names.count = p->inlines.count = 0;
    p->dynamic_align = 0;
    if (!entry && sg_parser_is(p, '(') && !read_params(p)) return false; /* what it returns */
    const char *name = sg_parser_name(p);
    if (!name || !read_params(p) || !read_tuning(p)) return false;
    p->function.name = (char *)name;
    p->function.param_count = p->locals.count;
    if (!sg_parser_take(p, ';')) { /* else only declared */
        if (!sg_parser_expect(p, '{') || !sg_parser_body(p)) return false;
        sg_function *f = SG_MORE(p, p->functions);
        if (!f) return false;
        *f = p->function;
        trim(p);
        f->registers = p->registers.items;
        f->register_count = p->registers.count;
        f->instructions = p->instructions.items;
        f->instruction_count = p->instructions.count;
        f->elements = p->elements.items;
        f->element_count = p->elements.count;
        f->symbols = p->locals.items;
        f->symbol_count = p->locals.count;
        memset(&p->registers, 0, sizeof p->registers);
        memset(&p->instructions, 0, sizeof p->instructions);
        memset(&p->elements, 0, sizeof p->elements);
        memset(&p->locals, 0, sizeof p->locals);
    }
    p->locals.count = 0;
    p->bindings.count = outer;
    return !p->failed;
}

static bool read_directive(sg_parser *p) {
    bool is_extern = false;
    for (;;) {
        if (sg_parser_take_word(p, ".extern"))
            is_extern = true;
        else if (!sg_parser_take_word(p, ".visible") && !sg_parser_take_word(p, ".weak") &&
                 !sg_parser_take_word(p, ".hidden") && !sg_parser_take_word(p, ".common"))
            break;
    }
    if (sg_parser_take_word(p, ".entry")) return read_function(p, true);
    if (sg_parser_take_word(p, ".func")) {
        if (sg_parser_take_word(p, ".attribute") && !sg_parser_skip_to(p, ')')) return false;
        sg_parser_take_word(p, ".noreturn");
        return read_function(p, false);
    }
    if (sg_parser_take_word(p, ".global")) return sg_parser_symbol(p, SG_GLOBAL, is_extern, false);
    if (sg_parser_take_word(p, ".const")) return sg_parser_symbol(p, SG_CONST, is_extern, false);
    if (sg_parser_take_word(p, ".shared")) return sg_parser_symbol(p, SG_SHARED, is_extern, false);
    if (is_extern) return sg_parser_fail(p, "this '.extern' is not known");
    if (sg_parser_take_word(p, ".version")) {
        if (p->token.kind != SG_TOKEN_NUMBER) return sg_parser_fail(p, "'.version' needs a number");
        sg_parser_next(p);
        return !p->failed;
    }
    if (sg_parser_take_word(p, ".target")) return read_target(p);
    if (sg_parser_take_word(p, ".address_size")) {
        int64_t size;
        if (!sg_parser_integer(&size, p)) return false;
        return size == 64 || sg_parser_fail(p, "addresses must have 64 bits, not %d", (int)size);
    }
    if (sg_parser_take_word(p, ".file")) return read_file(p);
    if (sg_parser_take_word(p, ".section")) return sg_parser_name(p) && skip_braces(p);
    if (sg_parser_take_word(p, ".pragma")) return sg_parser_skip_to(p, ';');
    return sg_parser_fail(p, "'%.*s' is not known here", p->token.length, p->token.text);
}

/* Gives what was read to the module; releases the rest. */
static void finish(sg_parser *p) {
    sg_module *m = p->module;
    m->files = p->files.items;
    m->file_count = p->files.count;
    m->symbols = p->symbols.items;
    m->symbol_count = p->symbols.count;
    m->functions = p->functions.items;
    m->function_count = p->functions.count;
    m->relocations = p->relocations.items;
    m->relocation_count = p->relocations.count;
    free(p->bindings.items);
    free(p->module_shared.items);
    free(p->registers.items);
    free(p->instructions.items);
    free(p->elements.items);
    free(p->locals.items);
    free(p->scope_parents.items);
    free(p->labels.items);
    free(p->tables.items);
    free(p->table_names.items);
    free(p->refs.items);
    free(p->inlines.items);
}

bool sg_module_parse(sg_module **module, const char *text, char *sentence, size_t room) {
    *module = NULL;
    sg_parser *p = calloc(1, sizeof *p);
    sg_module *m = calloc(1, sizeof *m);
    if (!p || !m || !(m->text = strdup(text))) {
        snprintf(sentence, room, "there is no memory for this module");
        free(p);
        free(m);
        return false;
    }
    p->module = m;
    p->sentence = sentence;
    p->room = room;
    sg_lexer_start(&p->lexer, m->text);
    sg_parser_next(p);
    while (!p->failed && p->token.kind != SG_TOKEN_END)
        if (!read_directive(p)) break;
    if (!p->failed && !m->target) sg_parser_fail_at(p, 1, "'.target' is missing");
    const bool failed = p->failed;
    finish(p);
    free(p);
    if (failed) {
        sg_module_free(m);
        return false;
    }
    *module = m;
    return true;
}
