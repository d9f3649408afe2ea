/* plan: a request made definite before the first event: key and number of bars are always known,
 * the rest either promised, or guessed from the prompt by the attribute heads, or left to the
 * model.
 */
#ifndef MOTET_PLAN_H
#define MOTET_PLAN_H

#include "infer/attributes.h"
#include "infer/controls.h"
#include "infer/request.h"

typedef struct motet_plan {
    motet_controls controls;          /* what the model hears */
    int key, bars;                    /* 0..23; 1.. */
    int metre, tempo;                 /* promised: index, bin; -1: the model writes them */
    double tempo_bpm;                 /* promised exactly; 0: by bin */
    uint8_t allowed[MOTET_PROGRAMS];  /* programs that may sound */
    uint8_t promised[MOTET_PROGRAMS]; /* programs that must */
    int promised_count;
    int closes; /* the last bar is on the tonic chord */
} motet_plan;

/* attributes: logits of one text (row 0 of each), or NULL: then nothing is guessed. Guesses are
 * drawn with the request's seed. */
void motet_plan_make(motet_plan *plan, const motet_request *request,
                     const motet_attribute_acts *attributes);

#endif
