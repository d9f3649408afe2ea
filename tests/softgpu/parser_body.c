#include <string.h>

#include "tests/softgpu/parser.h"

static bool read_registers(sg_parser *p) {
    const bool predicate = sg_parser_take_word(p, ".pred");
    int bytes = 0;
    if (!predicate) {
        if (!p->failed && p->token.kind == SG_TOKEN_WORD)
            bytes = sg_parser_type_bytes(p->token.text, p->token.length);
        if (!bytes)
            return sg_parser_fail(p, "registers of type '%.*s' are not known here", p->token.length,
                                  p->token.text);
        sg_parser_next(p);
    }
    const sg_width width = predicate    ? SG_PRED
                           : bytes <= 2 ? SG_W16
                           : bytes == 4 ? SG_W32
                           : bytes == 8 ? SG_W64
                                        : SG_W128;
    do {
        const char *name = sg_parser_name(p);
        if (!name) return false;
        int64_t count = -1;
        if (sg_parser_take(p, '<') && (!sg_parser_integer(&count, p) || !sg_parser_expect(p, '>')))
            return false;
        if (count < -1 || count > 1 << 20)
            return sg_parser_fail(p, "this many registers are not possible");
        if (!sg_parser_bind(p, name, true, true, p->registers.count, (int)count)) return false;
        for (int64_t i = 0; i < (count < 0 ? 1 : count); i++) {
            sg_register *r = SG_MORE(p, p->registers);
            if (!r) return false;
            r->width = width;
        }
    } while (sg_parser_take(p, ','));
    return sg_parser_expect(p, ';');
}

static const sg_inline *last_inline(const sg_parser *p, const int at[3]) {
    for (int i = p->inlines.count - 1; i >= 0; i--)
        if (!memcmp(p->inlines.items[i].at, at, sizeof p->inlines.items[i].at))
            return &p->inlines.items[i];
    return NULL;
}

/* .loc file line column, function_name label, inlined_at file line column. Where that was inlined
 * itself is what an earlier .loc of the same position said. */
static bool read_loc(sg_parser *p) {
    int64_t at[3], to[3];
    for (int i = 0; i < 3; i++)
        if (!sg_parser_integer(&at[i], p)) return false;
    sg_place *place = &p->place;
    place->at = (sg_line){(int)at[0], (int)at[1]};
    place->inlined_at[0].file = -1;
    if (!sg_parser_take(p, ',')) return !p->failed;
    int64_t ignored;
    if (!sg_parser_take_word(p, "function_name") || !sg_parser_name(p) ||
        (sg_parser_take(p, '+') && !sg_parser_integer(&ignored, p)) || !sg_parser_expect(p, ',') ||
        !sg_parser_take_word(p, "inlined_at"))
        return sg_parser_fail(p, "'.loc' goes on in a way that is not known");
    for (int i = 0; i < 3; i++)
        if (!sg_parser_integer(&to[i], p)) return false;
    sg_inline now;
    for (int i = 0; i < 3; i++) {
        now.at[i] = (int)at[i];
        now.to[i] = (int)to[i];
    }
    place->inlined_at[0] = (sg_line){now.to[0], now.to[1]};
    const int *seek = now.to;
    for (int depth = 1; depth < SG_INLINES; depth++) {
        const sg_inline *found = last_inline(p, seek);
        place->inlined_at[depth].file = found ? found->to[0] : -1;
        place->inlined_at[depth].line = found ? found->to[1] : 0;
        if (!found) break;
        seek = found->to;
    }
    const sg_inline *known = last_inline(p, now.at);
    if (known && !memcmp(known, &now, sizeof now)) return !p->failed;
    sg_inline *kept = SG_MORE(p, p->inlines);
    if (kept) *kept = now;
    return !p->failed;
}

static bool read_table(sg_parser *p, const char *name) {
    sg_table *table = SG_MORE(p, p->tables);
    if (!table) return false;
    *table = (sg_table){.name = name, .scope = p->scope, .first_name = p->table_names.count};
    do {
        const char *label = sg_parser_name(p);
        const char **kept = label ? SG_MORE(p, p->table_names) : NULL;
        if (!kept) return false;
        *kept = label;
        table->count++;
    } while (sg_parser_take(p, ','));
    return sg_parser_expect(p, ';');
}

static bool read_directive(sg_parser *p) {
    if (sg_parser_take_word(p, ".loc")) return read_loc(p);
    if (sg_parser_take_word(p, ".reg")) return read_registers(p);
    if (sg_parser_take_word(p, ".pragma")) return sg_parser_skip_to(p, ';');
    const bool is_extern = sg_parser_take_word(p, ".extern");
    if (sg_parser_take_word(p, ".shared")) return sg_parser_symbol(p, SG_SHARED, is_extern, true);
    if (sg_parser_take_word(p, ".local")) return sg_parser_symbol(p, SG_LOCAL, is_extern, true);
    /* Only calls need these, and a call is refused when its function is launched. */
    if (sg_parser_take_word(p, ".param")) return sg_parser_symbol(p, SG_PARAM, is_extern, true);
    return sg_parser_fail(p, "'%.*s' is not known in a function", p->token.length, p->token.text);
}

/* "ld.global.v4.f32" as opcode and modifiers. */
static bool split(sg_instruction *in, sg_parser *p, const char *word) {
    for (int i = -1; *word; i++) {
        const int length = (int)strcspn(word, ".");
        const char *part = sg_intern(p->module, word, length);
        if (!part || !length || i == SG_MAX_MODIFIERS)
            return sg_parser_fail(p, "'%s' is no instruction", word);
        if (i < 0)
            in->opcode = part;
        else
            in->modifiers[in->modifier_count++] = part;
        word += length;
        if (*word == '.' && !*++word) return sg_parser_fail(p, "an opcode ends in '.'");
    }
    return true;
}

static bool read_guard(sg_instruction *in, sg_parser *p) {
    in->guard_negated = sg_parser_take(p, '!');
    const int line = p->token.line;
    const char *name = sg_parser_name(p);
    if (!name) return false;
    int index;
    const sg_binding *b = sg_parser_find(p, name, &index);
    if (!b || !b->is_register || p->registers.items[index].width != SG_PRED)
        return sg_parser_fail_at(p, line, "'%s' is no predicate", name);
    in->guard = index;
    return true;
}

/* word: the opcode, or NULL if a guard comes first. */
static bool read_instruction(sg_parser *p, const char *word, int line) {
    const int index = p->instructions.count;
    if (!SG_MORE(p, p->instructions)) return false;
    sg_instruction in = {.guard = -1};
    if (!word) {
        if (!read_guard(&in, p)) return false;
        line = p->token.line;
        if (!(word = sg_parser_name(p))) return false;
    }
    if (!split(&in, p, word)) return false;
    in.place = p->place;
    in.place.ptx_line = line;
    if (!strcmp(in.opcode, "call")) { /* refused by whoever makes a program of it */
        if (!sg_parser_skip_to(p, ';')) return false;
    } else if (!sg_parser_operands(p, &in)) {
        return false;
    }
    p->instructions.items[index] = in;
    return true;
}

static int find_label(const sg_parser *p, const char *name, int scope) {
    for (; scope >= 0; scope = p->scope_parents.items[scope])
        for (int i = 0; i < p->labels.count; i++)
            if (p->labels.items[i].name == name && p->labels.items[i].scope == scope)
                return p->labels.items[i].instruction;
    return -1;
}

/* The table of a brx.idx becomes a vector of labels. */
static bool resolve_table(sg_operand *o, sg_parser *p, const sg_ref *ref) {
    for (int t = 0; t < p->tables.count; t++) {
        const sg_table *table = &p->tables.items[t];
        if (table->name != ref->name) continue;
        o->kind = SG_VECTOR;
        o->first = p->elements.count;
        o->count = table->count;
        for (int i = 0; i < table->count; i++) {
            const char *name = p->table_names.items[table->first_name + i];
            sg_operand *e = SG_MORE(p, p->elements);
            if (!e) return false;
            *e = (sg_operand){.kind = SG_LABEL, .reg = -1, .symbol = -1};
            e->target = find_label(p, name, table->scope);
            if (e->target < 0)
                return sg_parser_fail_at(p, ref->line, "label '%s' is missing", name);
        }
        return true;
    }
    return sg_parser_fail_at(p, ref->line, "'%s' is not declared", ref->name);
}

static bool resolve(sg_parser *p) {
    for (int i = 0; i < p->refs.count; i++) {
        const sg_ref *ref = &p->refs.items[i];
        sg_operand *o = ref->instruction < 0
                            ? &p->elements.items[ref->operand]
                            : &p->instructions.items[ref->instruction].operands[ref->operand];
        o->target = find_label(p, ref->name, ref->scope);
        if (o->target >= 0) continue;
        if (ref->instruction < 0)
            return sg_parser_fail_at(p, ref->line, "'%s' is not declared", ref->name);
        if (!resolve_table(o, p, ref)) return false;
    }
    return true;
}

/* Extern shared arrays start where the static ones end; the window ends aligned for them. */
static void place_dynamic(sg_parser *p) {
    sg_function *f = &p->function;
    if (p->dynamic_align)
        f->shared_bytes = (f->shared_bytes + p->dynamic_align - 1) & ~(p->dynamic_align - 1);
    for (int i = 0; i < p->locals.count; i++)
        if (p->locals.items[i].dynamic) p->locals.items[i].offset = f->shared_bytes;
    f->local_bytes = (f->local_bytes + 15) & ~(uint64_t)15;
}

/* A function that runs off its end returns, and a label may stand there. */
static bool add_return(sg_parser *p) {
    const sg_instruction *last =
        p->instructions.count ? &p->instructions.items[p->instructions.count - 1] : NULL;
    static const char *const ends[] = {"ret", "exit", "trap", "bra"};
    bool ended = false;
    for (size_t i = 0; last && i < sizeof ends / sizeof *ends; i++)
        ended |= last->guard < 0 && !strcmp(last->opcode, ends[i]);
    for (int i = 0; i < p->labels.count; i++)
        ended &= p->labels.items[i].instruction < p->instructions.count;
    if (ended) return true;
    sg_instruction *in = SG_MORE(p, p->instructions);
    const char *ret = sg_intern(p->module, "ret", 3);
    if (!in || !ret) return false;
    *in = (sg_instruction){.opcode = ret, .guard = -1, .place = p->place};
    in->place.ptx_line = p->token.line;
    return true;
}

bool sg_parser_body(sg_parser *p) {
    int *root = SG_MORE(p, p->scope_parents);
    if (!root) return false;
    *root = -1;
    p->scope = 0;
    p->place = (sg_place){.at = {-1, 0}, .inlined_at = {{-1, 0}}};
    int bindings[16], depth = 0; /* to go back to at the end of each inner scope */
    for (;;) {
        if (p->failed || p->token.kind == SG_TOKEN_END)
            return sg_parser_fail(p, "the body of '%s' does not end", p->function.name);
        if (sg_parser_take(p, '{')) {
            if (depth == 16) return sg_parser_fail(p, "scopes are nested too deeply");
            bindings[depth++] = p->bindings.count;
            int *parent = SG_MORE(p, p->scope_parents);
            if (!parent) return false;
            *parent = p->scope;
            p->scope = p->scope_parents.count - 1;
        } else if (sg_parser_take(p, '}')) {
            if (!depth) break;
            p->bindings.count = bindings[--depth];
            p->scope = p->scope_parents.items[p->scope];
        } else if (sg_parser_take(p, ';')) {
            continue; /* inline assembly ends in one more */
        } else if (sg_parser_take(p, '@')) {
            if (!read_instruction(p, NULL, 0)) return false;
        } else if (!p->failed && p->token.kind == SG_TOKEN_WORD && p->token.text[0] == '.') {
            if (!read_directive(p)) return false;
        } else {
            const int line = p->token.line;
            const char *word = sg_parser_name(p);
            if (!word) return false;
            if (!sg_parser_take(p, ':')) {
                if (!read_instruction(p, word, line)) return false;
            } else if (sg_parser_take_word(p, ".branchtargets")) {
                if (!read_table(p, word)) return false;
            } else if (sg_parser_is_word(p, ".callprototype")) {
                if (!sg_parser_skip_to(p, ';')) return false;
            } else {
                sg_label *label = SG_MORE(p, p->labels);
                if (!label) return false;
                *label = (sg_label){word, p->scope, p->instructions.count};
            }
        }
    }
    place_dynamic(p);
    return add_return(p) && resolve(p);
}
