/* event_rules: the constraints of the next event as rules of kernels/field_draw.h, so that all of
 * its fields can be drawn at once. What a field may be depends on the event's earlier symbols in
 * few ways, the states of the rules:
 *
 *   program   0: at a later position than the bar's last note, 1: at the same one
 *   pitch     p: played by program p, MOTET_PROGRAMS: by the last note's, at its position
 *
 * Offered is what the plan's promises leave, accepted what the grammar allows, too.
 */
#ifndef MOTET_EVENT_RULES_H
#define MOTET_EVENT_RULES_H

#include "infer/constraints.h"
#include "kernels/field_draw.h"

typedef struct motet_event_rules {
    motet_field_spec spec;
    int32_t *words; /* [spec.words], the owner's */
    /* private */
    int32_t bar;      /* whose header the bar fields' rules are for */
    int32_t replaced; /* program whose next state at the last note's position is not its own */
} motet_event_rules;

/* spec, the same for all models but for eps. */
void motet_event_rules_make(motet_event_rules *rules, float eps);

/* Writes all rules: at a piece's start. */
void motet_event_rules_start(motet_event_rules *rules, const motet_constraints *constraints);

/* Writes those that have changed since, for the event that these constraints of the same piece say
 * is next. */
void motet_event_rules_update(motet_event_rules *rules, const motet_constraints *constraints);

#endif
