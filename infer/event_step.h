/* event_step: from one event to the next on the back-end: the score decoder's step, and the draw of
 * all fields from its state (kernels/field_draw.h). On back-ends that have graphs, one launch.
 *
 * Everything here only asks for ops: what they read stays as it is, and `drawn` is ready, after the
 * next synchronize.
 */
#ifndef MOTET_EVENT_STEP_H
#define MOTET_EVENT_STEP_H

#include "infer/engine.h"
#include "infer/event_rules.h"
#include "infer/request.h"
#include "infer/score_decoder.h"

#define MOTET_EVENT_TRIES 8 /* the last of them under the grammar's masks */
#define MOTET_MOST_SEQUENCES 2

typedef struct motet_event_step {
    motet_event_rules rules;
    motet_field_result *drawn;
    uint64_t draws;         /* of the piece so far: random numbers that are used up */
    int64_t graph_launches; /* since the step was made */
    /* private */
    motet_field_params *params;
    motet_tensor scratch; /* of field_draw */
    motet_graph *graph;   /* of a step and the draw, for these sequences and rows of memory */
    int32_t sequences, memory_offsets[MOTET_MOST_SEQUENCES + 1];
    int ran; /* such a step was run op by op: its kernels are loaded */
} motet_event_step;

/* Of a step that was made zero. Called twice, before and after the arenas are bound. */
void motet_event_step_layout(motet_event_step *step, motet_arenas *arenas,
                             const motet_settings *settings);
void motet_event_step_free(motet_event_step *step, const motet_backend *backend);

/* Says what the next event may be: the first of a piece, or any later one. Writes what ops read, so
 * none may be running. */
void motet_event_step_start(motet_event_step *step, const motet_constraints *constraints,
                            const motet_request *request);
void motet_event_step_set(motet_event_step *step, const motet_constraints *constraints,
                          const motet_request *request);

/* Draws an event from the first rows of acts->states, one for each of the cache's sequences. */
motet_status motet_event_step_draw(motet_event_step *step, const motet_engine *engine,
                                   const motet_score_acts *acts, const motet_score_cache *cache);

/* motet_score_step with these, then the draw. The arguments are always the same objects; the cache
 * may have other sequences, and input another memory, in each piece. The first step of a kind runs
 * op by op, the second is recorded. */
motet_status motet_event_step_run(motet_event_step *step, const motet_engine *engine,
                                  motet_score_acts *acts, motet_score_cache *cache,
                                  const motet_score_input *input);

#endif
