/* event_rules: rules say what constraints say, whatever event comes next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/event_rules.h"

/* Numbers that look random: xorshift. */
static uint64_t random_state;
static int below(int n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (int)(random_state >> 33) % n;
}

static int is_set(const int32_t *mask, int v) {
    return (uint32_t)mask[v >> 5] >> (v & 31) & 1;
}

/* The masks of a field in a state are those of the constraints, word for word. */
static void assert_masks(const motet_event_rules *rules, const motet_constraints *c, int field,
                         int state, const int32_t *symbols) {
    const motet_field_rule *rule = &rules->spec.rules[field];
    const int words = (rule->symbols + 31) / 32;
    int32_t mask[MOTET_MASK_WORDS];
    assert_true(state < rule->states);
    motet_constraints_mask(mask, c, field, symbols, 0);
    assert_memory_equal(rules->words + rule->offered + state * words, mask,
                        (size_t)words * sizeof *mask);
    motet_constraints_mask(mask, c, field, symbols, 1);
    assert_memory_equal(rules->words + rule->accepted + state * words, mask,
                        (size_t)words * sizeof *mask);
}

static int next_state(const motet_event_rules *rules, int field, int state, int symbol) {
    const motet_field_rule *rule = &rules->spec.rules[field];
    if (rule->next < 0) return 0;
    return ((const uint8_t *)(rules->words + rule->next))[state * rule->symbols + symbol];
}

static int pick(const motet_event_rules *rules, int field, int state, int first) {
    const motet_field_rule *rule = &rules->spec.rules[field];
    const int32_t *mask = rules->words + rule->accepted + state * ((rule->symbols + 31) / 32);
    int legal[MOTET_PITCH_SYMBOLS], count = 0;
    for (int v = 0; v < rule->symbols; v++)
        if (is_set(mask, v)) legal[count++] = v;
    assert_true(count > 0);
    return first ? legal[0] : legal[below(count)];
}

/* Draws an event at random by the rules, and compares the masks on its way. As often as not it is
 * the first symbol that is accepted, so that notes share positions and programs. */
static void walk_event(const motet_event_rules *rules, const motet_constraints *c,
                       int32_t symbols[7]) {
    int first, count, state = 0;
    assert_masks(rules, c, MOTET_FIELD_TYPE, 0, symbols);
    symbols[0] = pick(rules, MOTET_FIELD_TYPE, 0, 0);
    motet_type_fields(symbols[0], &first, &count);
    assert_int_equal(rules->spec.run_first[symbols[0]], first);
    assert_int_equal(rules->spec.run_count[symbols[0]], count);
    for (int i = 0; i < count; i++) {
        assert_masks(rules, c, first + i, state, symbols);
        symbols[1 + i] = pick(rules, first + i, state, below(2));
        state = next_state(rules, first + i, state, symbols[1 + i]);
    }
}

static motet_plan make_plan(int seed) {
    motet_plan plan = {.key = seed % 24,
                       .bars = 3 + seed % 6,
                       .metre = seed % 3 ? -1 : 2,
                       .tempo = seed % 2 ? 20 : -1,
                       .closes = seed % 4 == 0};
    for (int p = 0; p < MOTET_PROGRAMS; p++)
        plan.allowed[p] = seed % 5 == 0 || p % 7 == seed % 7 || p == MOTET_PROGRAM_DRUMS;
    for (int p = seed % 7; p < MOTET_PROGRAMS && plan.promised_count < seed % 4; p += 14)
        plan.promised[p] = 1, plan.promised_count++;
    return plan;
}

static void rules_are_the_constraints(void **state) {
    (void)state;
    int same_position = 0, same_program = 0, ended = 0;
    motet_event_rules rules;
    motet_event_rules_make(&rules, 1e-5f);
    rules.words = calloc((size_t)rules.spec.words, sizeof *rules.words);
    assert_non_null(rules.words);
    for (int seed = 0; seed < 60; seed++) {
        random_state = 88172645463325252ull + (uint64_t)seed;
        motet_plan plan = make_plan(seed);
        motet_constraints c;
        motet_constraints_start(&c, &plan, 40);
        motet_event_rules_start(&rules, &c);
        for (int n = 0; n < 200; n++) {
            int32_t symbols[7];
            motet_event event;
            walk_event(&rules, &c, symbols);
            if (symbols[0] == MOTET_EVENT_END) {
                ended++;
                break;
            }
            if (symbols[0] == MOTET_EVENT_NOTE && symbols[1 + MOTET_NOTE_POSITION] == c.position) {
                same_position++;
                same_program += symbols[1 + MOTET_NOTE_PROGRAM] == c.program;
            }
            motet_event_from_symbols(&event, symbols, c.shift);
            motet_constraints_advance(&c, &event);
            motet_event_rules_update(&rules, &c);
        }
    }
    free(rules.words);
    assert_true(ended > 10 && same_position > 100 && same_program > 30);
}

/* What comes at a position before the last note's is in no state at all: it is not accepted. */
static void earlier_positions_are_not_accepted(void **state) {
    (void)state;
    motet_event_rules rules;
    motet_event_rules_make(&rules, 1e-5f);
    rules.words = calloc((size_t)rules.spec.words, sizeof *rules.words);
    assert_non_null(rules.words);
    motet_plan plan = make_plan(5);
    motet_constraints c;
    motet_constraints_start(&c, &plan, 40);
    motet_event_rules_start(&rules, &c);
    const motet_event bar = {.type = MOTET_EVENT_BAR, .field = {[MOTET_BAR_DENSITY] = 8}};
    const motet_event note = {.type = MOTET_EVENT_NOTE,
                              .field = {[MOTET_NOTE_POSITION] = 12, [MOTET_NOTE_PITCH] = 60}};
    motet_constraints_advance(&c, &bar);
    motet_constraints_advance(&c, &note);
    motet_event_rules_update(&rules, &c);
    const motet_field_rule *position = &rules.spec.rules[MOTET_FIELD_NOTE + MOTET_NOTE_POSITION];
    for (int v = 0; v < position->symbols; v++) {
        assert_true(is_set(rules.words + position->offered, v));
        if (v < 12) assert_false(is_set(rules.words + position->accepted, v));
    }
    free(rules.words);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_the_constraints),
        cmocka_unit_test(earlier_positions_are_not_accepted),
    };
    return cmocka_run_group_tests_name("event_rules", tests, NULL, NULL);
}
