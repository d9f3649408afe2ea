#include "infer/event_rules.h"

#include <string.h>

enum {
    POSITION = MOTET_FIELD_NOTE + MOTET_NOTE_POSITION,
    PROGRAM = MOTET_FIELD_NOTE + MOTET_NOTE_PROGRAM,
    PITCH = MOTET_FIELD_NOTE + MOTET_NOTE_PITCH,
    LATER = 0, /* states of the program */
    SAME,
    PROGRAM_STATES,
    AFTER_LAST = MOTET_PROGRAMS, /* state of the pitch */
    PITCH_STATES
};

static int states_of(int field) {
    return field == PROGRAM ? PROGRAM_STATES : field == PITCH ? PITCH_STATES : 1;
}

void motet_event_rules_make(motet_event_rules *rules, float eps) {
    *rules = (motet_event_rules){.spec = {.fields = MOTET_FIELDS, .eps = eps}};
    motet_field_spec *spec = &rules->spec;
    for (int type = 0; type < MOTET_EVENT_TYPES; type++) {
        int first, count;
        motet_type_fields(type, &first, &count);
        spec->run_first[type] = first;
        spec->run_count[type] = count;
    }
    for (int f = 0; f < MOTET_FIELDS; f++) {
        const int32_t symbols = motet_field_size(f), states = states_of(f);
        const int32_t masks = states * ((symbols + 31) / 32);
        const int leads = f == POSITION || f == PROGRAM;
        spec->rules[f] = (motet_field_rule){.symbols = symbols,
                                            .offset = motet_field_offset(f),
                                            .states = states,
                                            .offered = spec->words,
                                            .accepted = spec->words + masks,
                                            .next = leads ? spec->words + 2 * masks : -1};
        spec->words += 2 * masks + (leads ? (states * symbols + 3) / 4 : 0);
    }
}

/* Both masks of a field in a state, which `symbols` lead to. */
static void write_masks(const motet_event_rules *rules, const motet_constraints *c, int field,
                        int state, const int32_t *symbols) {
    const motet_field_rule *rule = &rules->spec.rules[field];
    const int32_t words = (rule->symbols + 31) / 32;
    int32_t mask[MOTET_MASK_WORDS];
    for (int grammar = 0; grammar < 2; grammar++) {
        motet_constraints_mask(mask, c, field, symbols, grammar);
        memcpy(rules->words + (grammar ? rule->accepted : rule->offered) + state * words, mask,
               (size_t)words * sizeof *mask);
    }
}

static uint8_t *next_of(const motet_event_rules *rules, int field) {
    return (uint8_t *)(rules->words + rules->spec.rules[field].next);
}

static void write_bar_fields(motet_event_rules *rules, const motet_constraints *c) {
    for (int f = MOTET_FIELD_BAR; f < MOTET_FIELD_NOTE; f++)
        write_masks(rules, c, f, 0, NULL);
    rules->bar = c->bar;
}

void motet_event_rules_start(motet_event_rules *rules, const motet_constraints *c) {
    int32_t symbols[7] = {MOTET_EVENT_NOTE};
    symbols[1 + MOTET_NOTE_POSITION] = c->position + 1;
    memset(rules->words, 0, (size_t)rules->spec.words * sizeof *rules->words);
    for (int f = 0; f < MOTET_FIELDS; f++)
        if (f < MOTET_FIELD_BAR || f > PITCH) write_masks(rules, c, f, 0, symbols);
    for (int p = 0; p < MOTET_PROGRAMS; p++) {
        symbols[1 + MOTET_NOTE_PROGRAM] = p;
        write_masks(rules, c, PITCH, p, symbols);
        for (int state = 0; state < PROGRAM_STATES; state++)
            next_of(rules, PROGRAM)[state * MOTET_PROGRAMS + p] = (uint8_t)p;
    }
    rules->replaced = -1;
    write_bar_fields(rules, c);
    motet_event_rules_update(rules, c);
}

void motet_event_rules_update(motet_event_rules *rules, const motet_constraints *c) {
    int32_t symbols[7] = {MOTET_EVENT_NOTE};
    uint8_t *const after_position = next_of(rules, POSITION);
    uint8_t *const after_program = next_of(rules, PROGRAM) + SAME * MOTET_PROGRAMS;
    write_masks(rules, c, MOTET_FIELD_TYPE, 0, symbols);
    if (c->bar != rules->bar) write_bar_fields(rules, c);
    write_masks(rules, c, POSITION, 0, symbols);
    symbols[1 + MOTET_NOTE_POSITION] = c->position + 1;
    write_masks(rules, c, PROGRAM, LATER, symbols);
    memset(after_position, LATER, MOTET_POSITIONS);
    if (rules->replaced >= 0) after_program[rules->replaced] = (uint8_t)rules->replaced;
    rules->replaced = c->position < 0 ? -1 : c->program;
    if (c->position < 0) return; /* the bar has no note yet */
    after_position[c->position] = SAME;
    after_program[c->program] = AFTER_LAST;
    symbols[1 + MOTET_NOTE_POSITION] = c->position;
    symbols[1 + MOTET_NOTE_PROGRAM] = c->program;
    write_masks(rules, c, PROGRAM, SAME, symbols);
    write_masks(rules, c, PITCH, AFTER_LAST, symbols);
}
