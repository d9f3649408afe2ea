/* postprocess: events of a finished piece to the score that is written: the exact tempo that was
 * promised, key signature, no note cut by the next of its pitch, none ringing past the end, title.
 */
#ifndef MOTET_POSTPROCESS_H
#define MOTET_POSTPROCESS_H

#include "data/score.h"
#include "infer/plan.h"

/* *score is the caller's to free. title: UTF-8, cut to fit. */
motet_status motet_postprocess(motet_score *score, const motet_event *events, int64_t count,
                               const motet_plan *plan, const char *title);

#endif
