/* constraints: which symbols a field may take next. Two kinds: promises of the plan (always masks)
 * and the grammar of music on paper (notes in order, inside the bar and the instrument's range,
 * bars neither empty nor bursting). Generation first draws under the promises alone and draws the
 * event anew when grammar is broken, so that the model's own distribution is kept; only after
 * several tries grammar masks too.
 */
#ifndef MOTET_CONSTRAINTS_H
#define MOTET_CONSTRAINTS_H

#include "infer/plan.h"
#include "infer/score_input.h"

#define MOTET_MASK_WORDS ((MOTET_PITCH_SYMBOLS + 31) / 32) /* enough for every field */

typedef struct motet_constraints {
    const motet_plan *plan;
    int32_t shift;
    int32_t most_notes;              /* that any bar may hold */
    int32_t bar;                     /* current bar, -1 before the first */
    int32_t bar_ticks, notes, level; /* of the current bar */
    int32_t position, program,
        pitch;           /* of the last note in the bar; pitch as symbol; -1 before it */
    int32_t silent_bars; /* empty bars just before the current one */
    int32_t total_notes;
    uint8_t heard[MOTET_PROGRAMS];
    int32_t last_bar[MOTET_PROGRAMS]; /* in which a program sounded */
    int32_t overdue; /* promised programs that have been silent for too long at this bar's start */
    int32_t melodic; /* programs heard, drums not counted: a MIDI file has channels for 15 */
} motet_constraints;

/* most_notes: no bar holds more, whatever it announced. */
void motet_constraints_start(motet_constraints *constraints, const motet_plan *plan,
                             int32_t most_notes);

/* Writes the mask of a field: bit v of legal (MOTET_MASK_WORDS words) is set where symbol v may
 * follow, given the event's earlier symbols (symbols[0] the type). grammar 0: promises only. At
 * least one bit is always set if the earlier symbols are legal. */
void motet_constraints_mask(int32_t legal[MOTET_MASK_WORDS], const motet_constraints *constraints,
                            int field, const int32_t *symbols, int grammar);

/* Follows an event that was accepted. */
void motet_constraints_advance(motet_constraints *constraints, const motet_event *event);

#endif
