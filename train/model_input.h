/* model_input: a batch of windows as the arrays that the networks read: features, rotary angles,
 * memory tokens, and for each field the rows where it exists and its targets. A pure function of
 * the batch and of (seed, step, rank), which decide what of caption and controls is dropped.
 */
#ifndef MOTET_MODEL_INPUT_H
#define MOTET_MODEL_INPUT_H

#include "data/loader.h"
#include "data/wordpiece.h"
#include "infer/attributes.h"
#include "infer/score_input.h"
#include "kernels/core/arena.h"

typedef struct motet_model_input {
    motet_score_input score;           /* features, angles, memory; see infer/score_input.h */
    int32_t *text_ids, *text_offsets;  /* [text rows], [sequences + 1]: captions of all windows */
    int32_t *field_rows[MOTET_FIELDS]; /* [field_counts[f]] rows of the batch; padded with -1 */
    int32_t *field_targets[MOTET_FIELDS]; /* symbols; -1 in the padding */
    int32_t *field_values[MOTET_FIELDS]; /* [count, earlier fields]: rows of weights.field_values */
    int32_t field_counts[MOTET_FIELDS];  /* multiples of MOTET_ROW_STEP, <= field_capacity */
    int32_t *attribute_targets;          /* [sequences, MOTET_ATTRIBUTES - 1], -1: no target */
    int32_t *program_targets;            /* [sequences, MOTET_PROGRAMS] 0 or 1 */
    int32_t targets;                     /* fields in all that count in the loss */
    int32_t events;                      /* events in all */
    int32_t text_rows;                   /* multiple of MOTET_ROW_STEP: padded by one more text */
    int32_t texts;                       /* sequences, + 1 if there is padding */
} motet_model_input;

#define MOTET_ROW_STEP 64 /* row counts are rounded up to it, so that few GEMM shapes occur */

/* How large a batch may get, from the settings: rows, sequences, text rows. */
typedef struct motet_input_limits {
    int32_t rows, sequences, text_rows, memory_rows;
} motet_input_limits;
motet_input_limits motet_input_limits_for(const motet_settings *settings);

void motet_model_input_layout(motet_model_input *input, motet_arena *arena,
                              const motet_settings *settings);

/* evaluate != 0: nothing is dropped. */
motet_status motet_model_input_build(motet_model_input *input, const motet_batch *batch,
                                     const motet_wordpiece *tokenizer,
                                     const motet_settings *settings, int64_t step, int rank,
                                     int evaluate);

#endif
