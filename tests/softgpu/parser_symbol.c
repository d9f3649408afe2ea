#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/parser.h"

#define LARGEST ((uint64_t)1 << 40) /* of a variable, in bytes */

int sg_parser_type_bytes(const char *type, int length) {
    static const struct {
        const char *name;
        int bytes;
    } types[] = {{".b8", 1},  {".u8", 1},  {".s8", 1},    {".b16", 2},    {".u16", 2},
                 {".s16", 2}, {".f16", 2}, {".bf16", 2},  {".b32", 4},    {".u32", 4},
                 {".s32", 4}, {".f32", 4}, {".f16x2", 4}, {".bf16x2", 4}, {".b64", 8},
                 {".u64", 8}, {".s64", 8}, {".f64", 8},   {".b128", 16}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if ((size_t)length == strlen(types[i].name) && !memcmp(type, types[i].name, (size_t)length))
            return types[i].bytes;
    return 0;
}

static bool read_align(uint64_t *align, sg_parser *p) {
    int64_t value;
    if (!sg_parser_integer(&value, p)) return false;
    if (value < 1 || value > 4096 || (value & (value - 1)))
        return sg_parser_fail(p, "an alignment must be a power of two up to 4096");
    *align = (uint64_t)value;
    return true;
}

/* .align 16 .v4 .f32: how wide an element is, and how a variable of it is aligned. */
static bool read_type(int *bytes, uint64_t *align, sg_parser *p) {
    int vector = 1;
    *align = 0;
    for (;;) {
        if (sg_parser_take_word(p, ".align")) {
            if (!read_align(align, p)) return false;
        } else if (sg_parser_take_word(p, ".v2")) {
            vector = 2;
        } else if (sg_parser_take_word(p, ".v4")) {
            vector = 4;
        } else {
            break;
        }
    }
    *bytes = p->failed || p->token.kind != SG_TOKEN_WORD
                 ? 0
                 : sg_parser_type_bytes(p->token.text, p->token.length);
    if (!*bytes)
        return sg_parser_fail(p, "a type is missing before '%.*s'", p->token.length, p->token.text);
    sg_parser_next(p);
    *bytes *= vector;
    if (!*align) *align = (uint64_t)*bytes;
    return !p->failed;
}

/* [4][2], []: the number of elements; 0 if it was left open. */
static bool read_extent(uint64_t *count, sg_parser *p) {
    *count = 1;
    while (sg_parser_take(p, '[')) {
        int64_t n = 0;
        if (!sg_parser_is(p, ']') && !sg_parser_integer(&n, p)) return false;
        if (n < 0 || __builtin_mul_overflow(*count, (uint64_t)n, count) || *count > LARGEST)
            return sg_parser_fail(p, "this array is too large");
        if (!sg_parser_expect(p, ']')) return false;
    }
    return !p->failed;
}

static void place_symbol(sg_symbol *symbol, uint64_t *end) {
    *end = (*end + symbol->align - 1) & ~(symbol->align - 1);
    symbol->offset = *end;
    *end += symbol->bytes;
}

/* One value of an initialiser: a number, or the address of a variable. */
static bool read_value(unsigned char *to, sg_parser *p, int symbol, uint64_t offset, int bytes) {
    if (p->failed) return false;
    if (p->token.kind == SG_TOKEN_WORD) {
        const bool generic = sg_parser_take_word(p, "generic");
        if (generic && !sg_parser_expect(p, '(')) return false;
        const int line = p->token.line;
        const char *name = sg_parser_name(p);
        if (!name) return false;
        int index;
        int64_t addend = 0;
        const sg_binding *b = sg_parser_find(p, name, &index);
        if (!b || b->is_register || b->of_function || bytes != 8)
            return sg_parser_fail_at(p, line, "'%s' is no address that can stand here", name);
        for (int outside = 0; outside < 1 + generic; outside++) { /* generic(x+4), generic(x)+4 */
            if ((sg_parser_is(p, '+') || sg_parser_is(p, '-')) && !sg_parser_integer(&addend, p))
                return false;
            if (generic && !outside && !sg_parser_expect(p, ')')) return false;
        }
        sg_relocation *r = SG_MORE(p, p->relocations);
        if (r)
            *r = (sg_relocation){
                .symbol = symbol, .target = index, .offset = offset, .addend = addend};
        return r;
    }
    uint64_t bits;
    if (p->token.kind == SG_TOKEN_NUMBER && p->token.literal != SG_INTEGER) {
        if ((p->token.literal == SG_F32_BITS ? 4 : 8) != bytes)
            return sg_parser_fail(p, "this literal has another width than the variable");
        bits = p->token.bits;
        sg_parser_next(p);
    } else {
        int64_t value;
        if (!sg_parser_integer(&value, p)) return false;
        bits = (uint64_t)value;
    }
    if (bytes > 8) return sg_parser_fail(p, "initial values of this type are not known here");
    memcpy(to, &bits, (size_t)bytes); /* little-endian, as the device is */
    return !p->failed;
}

static bool read_init(sg_symbol *symbol, sg_parser *p, int index, int element) {
    if (!symbol->bytes || symbol->bytes > (uint64_t)1 << 31)
        return sg_parser_fail(p, "'%s' has a value but no size that it can have", symbol->name);
    unsigned char *init = calloc(1, symbol->bytes);
    if (!init) return sg_parser_fail(p, "there is no memory for '%s'", symbol->name);
    symbol->init = init; /* the module owns it from here */
    if (!sg_parser_take(p, '{')) return read_value(init, p, index, 0, element);
    uint64_t at = 0;
    if (sg_parser_take(p, '}')) return true;
    do {
        if (at + (uint64_t)element > symbol->bytes)
            return sg_parser_fail(p, "'%s' has more values than room", symbol->name);
        if (!read_value(init + at, p, index, at, element)) return false;
        at += (uint64_t)element;
    } while (sg_parser_take(p, ','));
    return sg_parser_expect(p, '}');
}

static bool module_symbol(sg_parser *p, sg_symbol *symbol, bool is_extern, int element) {
    if (symbol->space == SG_SHARED) { /* functions that use it get a copy */
        sg_symbol *shared = SG_MORE(p, p->module_shared);
        if (!shared) return false;
        *shared = *symbol;
        const int index = -p->module_shared.count; /* negative: module_shared */
        return sg_parser_bind(p, symbol->name, false, false, index, -1) && sg_parser_expect(p, ';');
    }
    if (is_extern)
        return sg_parser_fail(p, "'%s' is of another module: modules are not linked here",
                              symbol->name);
    const int index = p->symbols.count;
    if (!SG_MORE(p, p->symbols) || !sg_parser_bind(p, symbol->name, false, false, index, -1))
        return false;
    p->symbols.items[index] = *symbol;
    if (sg_parser_take(p, '=') && !read_init(&p->symbols.items[index], p, index, element))
        return false;
    if (!symbol->bytes) return sg_parser_fail(p, "'%s' has no size", symbol->name);
    place_symbol(&p->symbols.items[index],
                 symbol->space == SG_CONST ? &p->module->const_bytes : &p->module->global_bytes);
    return sg_parser_expect(p, ';');
}

bool sg_parser_symbol(sg_parser *p, sg_space space, bool is_extern, bool in_function) {
    sg_symbol symbol = {.space = space};
    int element;
    uint64_t count;
    if (!read_type(&element, &symbol.align, p)) return false;
    const char *name = sg_parser_name(p);
    if (!name || !read_extent(&count, p)) return false;
    symbol.name = (char *)name;
    symbol.bytes = count * (uint64_t)element;
    symbol.dynamic = space == SG_SHARED && (is_extern || !count);
    if (symbol.dynamic) symbol.bytes = 0;
    if (symbol.bytes > LARGEST) return sg_parser_fail(p, "'%s' is too large", name);
    if (!in_function) return module_symbol(p, &symbol, is_extern, element);
    const int index = p->locals.count;
    if (!SG_MORE(p, p->locals)) return false;
    if (symbol.dynamic) {
        if (symbol.align > p->dynamic_align) p->dynamic_align = symbol.align;
    } else {
        place_symbol(&symbol,
                     space == SG_SHARED ? &p->function.shared_bytes : &p->function.local_bytes);
    }
    p->locals.items[index] = symbol;
    return sg_parser_bind(p, name, false, true, index, -1) && sg_parser_expect(p, ';');
}

int sg_parser_adopt(sg_parser *p, int module_shared) {
    sg_symbol symbol = p->module_shared.items[module_shared];
    for (int i = p->function.param_count; i < p->locals.count; i++)
        if (p->locals.items[i].space == SG_SHARED && p->locals.items[i].name == symbol.name)
            return i;
    const int index = p->locals.count;
    if (!SG_MORE(p, p->locals)) return -1;
    if (symbol.dynamic) {
        if (symbol.align > p->dynamic_align) p->dynamic_align = symbol.align;
    } else {
        place_symbol(&symbol, &p->function.shared_bytes);
    }
    p->locals.items[index] = symbol;
    return index;
}

bool sg_parser_param(sg_parser *p) {
    sg_symbol symbol = {.space = SG_PARAM};
    int element;
    uint64_t count, ignored;
    /* .param .u64 .ptr .global .align 16 name: what it points at, which nobody needs here. */
    if (!read_type(&element, &symbol.align, p)) return false;
    if (sg_parser_take_word(p, ".ptr")) {
        if (!sg_parser_take_word(p, ".global") && !sg_parser_take_word(p, ".const") &&
            !sg_parser_take_word(p, ".shared"))
            sg_parser_take_word(p, ".local");
        if (sg_parser_take_word(p, ".align") && !read_align(&ignored, p)) return false;
    }
    const char *name = sg_parser_name(p);
    if (!name || !read_extent(&count, p)) return false;
    symbol.name = (char *)name;
    symbol.bytes = count * (uint64_t)element;
    if (symbol.bytes > 32764) return sg_parser_fail(p, "parameter '%s' is too large", name);
    place_symbol(&symbol, &p->function.param_bytes);
    const int index = p->locals.count;
    if (!SG_MORE(p, p->locals)) return false;
    p->locals.items[index] = symbol;
    return sg_parser_bind(p, name, false, true, index, -1);
}
