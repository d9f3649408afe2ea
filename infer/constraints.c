#include "infer/constraints.h"

#include <string.h>

#include "data/instrument.h"

enum { MELODIC_CHANNELS = 15 };

static void allow(int32_t *legal, int symbol) {
    ((uint32_t *)legal)[symbol >> 5] |= 1u << (symbol & 31);
}

static void allow_range(int32_t *legal, int first, int last) {
    for (int v = first; v <= last; v++)
        allow(legal, v);
}

/* Bars that a promised instrument may rest: in a duet both play all the time, in an orchestra most
 * wait. */
static int32_t patience(const motet_plan *plan) {
    return plan->promised_count <= 4 ? 1 : plan->promised_count;
}

static int is_overdue(const motet_constraints *c, int program) {
    if (!c->plan->promised[program]) return 0;
    if (c->bar + 1 >= c->plan->bars && !c->heard[program]) return 1; /* now or never */
    return c->bar - c->last_bar[program] > patience(c->plan);
}

/* A bar may hold somewhat more notes than it announced, but never runs away. */
static int32_t most_notes(const motet_constraints *c) {
    int32_t most = motet_density_notes_max(c->level);
    if (most < c->most_notes) most += most / 4 + 1;
    return most < c->most_notes ? most : c->most_notes;
}

static int32_t fewest_notes(const motet_constraints *c) {
    int32_t fewest = motet_density_notes_min(c->level) / 2;
    return fewest > 0 ? fewest : motet_density_notes_min(c->level) > 0;
}

/* The range in symbols of a melodic program, in which some pitch above `above` may be left. */
static void pitch_range(const motet_constraints *c, int program, int *lowest, int *highest) {
    motet_program_range(program, lowest, highest);
    if (program == MOTET_PROGRAM_DRUMS) {
        *lowest += MOTET_PITCHES;
        *highest += MOTET_PITCHES;
        return;
    }
    *lowest -= c->shift;
    *highest -= c->shift;
    if (*lowest < 0) *lowest = 0;
    if (*highest > MOTET_PITCHES - 1) *highest = MOTET_PITCHES - 1;
}

/* Whether a note (position, program) can still follow the last one in order. */
static int has_room(const motet_constraints *c, int position, int program) {
    if (position > c->position || program > c->program) return 1;
    if (program < c->program) return 0;
    int lowest, highest;
    pitch_range(c, program, &lowest, &highest);
    return c->pitch < highest;
}

static int program_allowed(const motet_constraints *c, int program) {
    if (!c->plan->allowed[program]) return 0;
    if (c->melodic >= MELODIC_CHANNELS && program != MOTET_PROGRAM_DRUMS && !c->heard[program])
        return 0;
    /* Who has rested too long opens the bar, or comes in before it ends; the lowest first, so that
     * there is room for the others after it. */
    int last_bar = c->bar + 1 >= c->plan->bars;
    if (c->overdue > 0 && (c->notes == 0 || c->notes >= fewest_notes(c) || last_bar)) {
        for (int p = 0; p < program; p++)
            if (is_overdue(c, p)) return 0;
        return is_overdue(c, program);
    }
    return 1;
}

/* Whether any note can still follow in this bar at the last position itself. */
static int room_at_position(const motet_constraints *c) {
    for (int p = 0; p < MOTET_PROGRAMS && c->position >= 0; p++)
        if (program_allowed(c, p) && has_room(c, c->position, p)) return 1;
    return 0;
}

static void mask_type(int32_t *legal, const motet_constraints *c, int grammar) {
    int last_bar = c->bar + 1 >= c->plan->bars;
    int full = (c->notes >= most_notes(c) && c->overdue == 0) ||
               (c->position + 1 >= c->bar_ticks && !room_at_position(c));
    int thin = c->notes < fewest_notes(c) || c->overdue > 0;
    if (c->bar < 0) {
        allow(legal, MOTET_EVENT_BAR);
        return;
    }
    if (!full) allow(legal, MOTET_EVENT_NOTE);
    if (!grammar || !thin || full) allow(legal, last_bar ? MOTET_EVENT_END : MOTET_EVENT_BAR);
}

void motet_constraints_start(motet_constraints *constraints, const motet_plan *plan,
                             int32_t most_notes) {
    *constraints = (motet_constraints){.plan = plan,
                                       .shift = motet_key_shift(plan->key),
                                       .most_notes = most_notes,
                                       .bar = -1,
                                       .position = -1,
                                       .program = -1,
                                       .pitch = -1};
    for (int p = 0; p < MOTET_PROGRAMS; p++)
        constraints->last_bar[p] =
            plan->promised_count <= 4 ? -patience(plan) - 1 : -patience(plan);
}

/* The chords that a piece can close on: the tonic's, plain or with a seventh; in minor also the
 * major one. Symbols are relative to the key's relative major. */
static void allow_closing_chords(int32_t *legal, int key) {
    enum { MAJOR, MINOR, MAJOR7 = 3, MINOR7 };
    int minor = key >= 12, tonic = minor ? 9 : 0;
    allow(legal, MAJOR * 12 + tonic);
    allow(legal, (minor ? MINOR : MAJOR7) * 12 + tonic);
    if (minor) allow(legal, MINOR7 * 12 + tonic);
}

static void mask_bar_field(int32_t *legal, const motet_constraints *c, int field, int grammar) {
    int size = motet_field_size(MOTET_FIELD_BAR + field);
    if (field == MOTET_BAR_METRE && c->plan->metre >= 0)
        allow(legal, c->plan->metre);
    else if (field == MOTET_BAR_TEMPO && c->plan->tempo >= 0)
        allow(legal, c->plan->tempo);
    else if (field == MOTET_BAR_ECHO && grammar) {
        allow(legal, 0);
        for (int echo = 1; echo < size; echo++)
            if (motet_echo_bars(echo) <= c->bar + 1) allow(legal, echo);
    } else if (field == MOTET_BAR_DENSITY) {
        /* Silence is music for a bar, but neither first nor last. */
        int bar = c->bar + 1;
        int rest = bar > 0 && bar + 1 < c->plan->bars && c->silent_bars == 0;
        allow_range(legal, rest ? 0 : 1, size - 1);
    } else if (field == MOTET_BAR_CHORD && c->plan->closes && c->bar + 2 >= c->plan->bars) {
        allow_closing_chords(legal, c->plan->key);
    } else {
        allow_range(legal, 0, size - 1);
    }
}

static void mask_position(int32_t *legal, const motet_constraints *c, int grammar) {
    if (!grammar) {
        allow_range(legal, 0, MOTET_POSITIONS - 1);
        return;
    }
    if (room_at_position(c)) allow(legal, c->position);
    if (c->position + 1 < c->bar_ticks) allow_range(legal, c->position + 1, c->bar_ticks - 1);
}

static void mask_note_field(int32_t *legal, const motet_constraints *c, int field,
                            const int32_t *symbols, int grammar) {
    int position = symbols[1 + MOTET_NOTE_POSITION], program = symbols[1 + MOTET_NOTE_PROGRAM];
    if (field == MOTET_NOTE_POSITION) {
        mask_position(legal, c, grammar);
    } else if (field == MOTET_NOTE_PROGRAM) {
        for (int p = 0; p < MOTET_PROGRAMS; p++)
            if (program_allowed(c, p) && (!grammar || has_room(c, position, p))) allow(legal, p);
    } else if (field == MOTET_NOTE_PITCH) {
        int drums = program == MOTET_PROGRAM_DRUMS;
        int lowest = drums ? MOTET_PITCHES : 0, highest = lowest + MOTET_PITCHES - 1;
        if (grammar) {
            pitch_range(c, program, &lowest, &highest);
            if (position == c->position && program == c->program && c->pitch >= lowest)
                lowest = c->pitch + 1;
        }
        allow_range(legal, lowest, highest);
    } else {
        allow_range(legal, 0, motet_field_size(MOTET_FIELD_NOTE + field) - 1);
    }
}

void motet_constraints_mask(int32_t legal[MOTET_MASK_WORDS], const motet_constraints *constraints,
                            int field, const int32_t *symbols, int grammar) {
    memset(legal, 0, MOTET_MASK_WORDS * sizeof *legal);
    if (field == MOTET_FIELD_TYPE)
        mask_type(legal, constraints, grammar);
    else if (field < MOTET_FIELD_NOTE)
        mask_bar_field(legal, constraints, field - MOTET_FIELD_BAR, grammar);
    else
        mask_note_field(legal, constraints, field - MOTET_FIELD_NOTE, symbols, grammar);
}

void motet_constraints_advance(motet_constraints *c, const motet_event *event) {
    if (event->type == MOTET_EVENT_BAR) {
        int numerator, denominator;
        motet_metre_at(event->field[MOTET_BAR_METRE], &numerator, &denominator);
        c->silent_bars = c->bar >= 0 && c->notes == 0 ? c->silent_bars + 1 : 0;
        c->bar++;
        c->bar_ticks = motet_metre_ticks(numerator, denominator);
        c->level = event->field[MOTET_BAR_DENSITY];
        c->notes = 0;
        c->position = c->program = c->pitch = -1;
        c->overdue = 0;
        for (int p = 0; p < MOTET_PROGRAMS; p++)
            c->overdue += is_overdue(c, p);
    } else if (event->type == MOTET_EVENT_NOTE) {
        int32_t symbols[7];
        motet_event_symbols(symbols, event, c->shift);
        c->notes++;
        c->total_notes++;
        c->position = symbols[1 + MOTET_NOTE_POSITION];
        c->program = symbols[1 + MOTET_NOTE_PROGRAM];
        c->pitch = symbols[1 + MOTET_NOTE_PITCH];
        c->melodic += c->program != MOTET_PROGRAM_DRUMS && !c->heard[c->program];
        c->overdue -= is_overdue(c, c->program);
        c->heard[c->program] = 1;
        c->last_bar[c->program] = c->bar;
    }
}
