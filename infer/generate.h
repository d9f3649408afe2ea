/* generate: a request to events. A session owns caches and activations for one piece at a time; all
 * of its memory is taken when it is made, the loop over events allocates nothing.
 *
 * Guidance runs two sequences side by side, one with text and controls, one with neither. Windows
 * longer than the model's are continued from a bar line about half a window back, as training
 * windows begin.
 */
#ifndef MOTET_GENERATE_H
#define MOTET_GENERATE_H

#include "infer/constraints.h"
#include "infer/engine.h"
#include "infer/request.h"

typedef struct motet_generation_stats {
    int64_t events, notes;
    int64_t drawn_fields; /* fields drawn in all, those of rejected events included */
    int64_t rejected;     /* events drawn anew because they broke the grammar */
    int64_t forced;       /* events drawn under grammar masks after too many tries */
    double legal_mass;    /* sum over accepted fields of the mass that the promises left */
    int64_t accepted_fields;
    int64_t graph_launches; /* events that took one launch; 0 on back-ends without graphs */
    int prompt_tokens, prompt_truncated;
    double encode_seconds, generate_seconds;
} motet_generation_stats;

/* Called after each bar is complete, for progress; non-zero stops the piece there (MOTET_E_USAGE).
 */
typedef int motet_generation_progress(void *user, int bar, int bars);

typedef struct motet_session motet_session;
motet_status motet_session_make(motet_session **session, const motet_engine *engine);
void motet_session_free(motet_session *session);

/* Writes the piece's events (malloc'd, BAR first, END last) and the plan it follows. The same
 * request on the same model gives the same events. MOTET_E_USAGE as motet_request_check says. stats
 * and progress may be NULL. */
motet_status motet_generate(motet_event **events, int64_t *count, motet_plan *plan,
                            motet_generation_stats *stats, motet_session *session,
                            const motet_request *request, motet_generation_progress *progress,
                            void *user);

#endif
