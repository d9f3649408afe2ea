/* attributes: what a prompt implies without saying it. Each attribute has a learned query that
 * attends to the text encoder's states (in heads of 32 columns), and a linear layer on what it
 * finds.
 */
#ifndef MOTET_ATTRIBUTES_H
#define MOTET_ATTRIBUTES_H

#include "infer/controls.h"
#include "infer/weights.h"
#include "kernels/backend.h"

enum {
    MOTET_ATTRIBUTE_TEMPO,    /* MOTET_TEMPOS */
    MOTET_ATTRIBUTE_METRE,    /* MOTET_METRES */
    MOTET_ATTRIBUTE_KEY,      /* 24 */
    MOTET_ATTRIBUTE_BARS,     /* MOTET_CONTROL_BARS_LEVELS */
    MOTET_ATTRIBUTE_DENSITY,  /* MOTET_DENSITIES */
    MOTET_ATTRIBUTE_PROGRAMS, /* 2 * MOTET_PROGRAMS: for each program a pair of logits, no and yes
                               */
    MOTET_ATTRIBUTES
};

int motet_attribute_size(int attribute);
int motet_attribute_offset(int attribute); /* its first row in weights.out and weights.bias */
int motet_attribute_total(void);

/* "tempo", "metre", ... */
const char *motet_attribute_name(int attribute);

/* Columns of a head: 32, or 16 where 32 does not divide the text encoder's width. */
int motet_attribute_head_width(int text_width);

/* Activations of the heads for S texts (A: MOTET_ATTRIBUTES, D: text width); laid out once for the
 * most texts, kept for the backward pass. A run on fewer texts fills the first rows of each. Row
 * s*A + a of the first three is attribute a of text s. */
typedef struct motet_attribute_acts {
    motet_tensor queries;                    /* [S*A, D]: the queries, repeated for each text */
    motet_tensor pooled;                     /* [S*A, D] */
    motet_tensor lse;                        /* [S*A, heads] f32 */
    motet_tensor gathered[MOTET_ATTRIBUTES]; /* [S, D]: the rows of pooled of one attribute */
    motet_tensor logits[MOTET_ATTRIBUTES];   /* [S, size of the attribute] f32, shared memory */
    motet_tensor query_ids;                  /* [S*A, 1] i32: row of weights.queries */
    motet_tensor rows[MOTET_ATTRIBUTES];     /* [S] i32: s*A + a */
    int32_t *query_offsets;                  /* [S+1]: 0, A, 2A .. */
    int capacity;                            /* S */
} motet_attribute_acts;

void motet_attributes_layout(motet_attribute_acts *acts, motet_arenas *arenas,
                             const motet_settings *settings, int sequences, motet_dtype dtype);

/* states [text_offsets[S], D] of S packed texts, in the dtype of the activations; a text without
 * tokens pools to zeros. The host may read the logits after synchronize. MOTET_E_USAGE if there are
 * more texts than the layout holds. */
motet_status motet_attributes_forward(motet_attribute_acts *acts, const motet_backend *backend,
                                      const motet_attribute_weights *weights,
                                      const motet_settings *settings, motet_tensor states,
                                      const int32_t *text_offsets, int sequences);

#endif
