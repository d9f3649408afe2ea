#include "tests/softgpu/ptx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/parser.h"

/* Interned strings: a hash table of pointers, open addressing, never more than half full. */
typedef struct strings {
    char **slots;
    size_t room, count;
} strings;

static uint64_t hash_of(const char *text, int length) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (int i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
    return hash ^ hash >> 29;
}

static bool widen(strings *s) {
    const size_t room = s->room ? 2 * s->room : 1024;
    char **slots = calloc(room, sizeof *slots);
    if (!slots) return false;
    for (size_t i = 0; i < s->room; i++) {
        if (!s->slots[i]) continue;
        size_t at = hash_of(s->slots[i], (int)strlen(s->slots[i])) & (room - 1);
        while (slots[at])
            at = (at + 1) & (room - 1);
        slots[at] = s->slots[i];
    }
    free(s->slots);
    s->slots = slots;
    s->room = room;
    return true;
}

const char *sg_intern(sg_module *module, const char *text, int length) {
    strings *s = module->strings;
    if (!s) module->strings = s = calloc(1, sizeof *s);
    if (!s || (2 * s->count >= s->room && !widen(s))) return NULL;
    size_t at = hash_of(text, length) & (s->room - 1);
    for (; s->slots[at]; at = (at + 1) & (s->room - 1))
        if (!strncmp(s->slots[at], text, (size_t)length) && !s->slots[at][length])
            return s->slots[at];
    char *copy = strndup(text, (size_t)length);
    if (!copy) return NULL;
    s->count++;
    return s->slots[at] = copy;
}

void sg_module_free(sg_module *module) {
    if (!module) return;
    for (int i = 0; i < module->function_count; i++) {
        sg_function *f = &module->functions[i];
        free(f->registers);
        free(f->instructions);
        free(f->elements);
        free(f->symbols);
    }
    for (int i = 0; i < module->symbol_count; i++)
        free(module->symbols[i].init);
    strings *s = module->strings;
    for (size_t i = 0; s && i < s->room; i++)
        free(s->slots[i]);
    if (s) free(s->slots);
    free(s);
    free(module->functions);
    free(module->symbols);
    free(module->relocations);
    free(module->files);
    free(module->text);
    free(module);
}

static const char *base_name(const sg_module *module, int file) {
    if (file < 0 || file >= module->file_count || !module->files[file]) return "?";
    const char *slash = strrchr(module->files[file], '/');
    return slash ? slash + 1 : module->files[file];
}

static void add_text(char *text, size_t room, const char *format, const char *word, int number) {
    const size_t length = strlen(text);
    if (length < room) snprintf(text + length, room - length, format, word, number);
}

void sg_place_text(char *text, size_t room, const sg_module *module, const sg_place *place) {
    if (!room) return;
    text[0] = '\0';
    if (place->at.file >= 0) {
        add_text(text, room, "%s:%d", base_name(module, place->at.file), place->at.line);
        for (int i = 0; i < SG_INLINES && place->inlined_at[i].file >= 0; i++)
            add_text(text, room, i ? ", %s:%d" : " (inlined at %s:%d",
                     base_name(module, place->inlined_at[i].file), place->inlined_at[i].line);
        add_text(text, room, place->inlined_at[0].file >= 0 ? ")%s" : "%s", "", 0);
        add_text(text, room, "%s", ", ", 0);
    }
    add_text(text, room, "PTX line%s%d", " ", place->ptx_line);
}
