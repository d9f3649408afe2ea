/* field_decoder: the fields of one event, each from the event's state and the fields before it. For
 * each field a SwiGLU block of its own on state + sum of earlier fields' embeddings, then RMSNorm
 * and a linear layer with bias to its symbols:
 *
 *   u = state + sum over earlier fields j of field_values[offset_j + symbol_j]
 *   logits = out . rmsnorm(u + down . swiglu(gate_up . rmsnorm(u))) + bias
 */
#ifndef MOTET_FIELD_DECODER_H
#define MOTET_FIELD_DECODER_H

#include "infer/field_codec.h"
#include "infer/weights.h"
#include "kernels/backend.h"

/* One field's activations for R rows; all fields take turns with one set. */
typedef struct motet_field_acts {
    motet_tensor u, rstd, in;         /* [R,D] f32, [R], [R,D] */
    motet_tensor values;              /* [R,D] f32: what joins u (earlier fields), then y */
    motet_tensor gate_up, hidden;     /* [R,2F] [R,F] */
    motet_tensor y, out_rstd, out_in; /* [R,D] f32, [R], [R,D] */
    void *logits;                     /* [R,V] f32 for any field's V */
} motet_field_acts;

void motet_field_acts_layout(motet_field_acts *acts, motet_arena *arena,
                             const motet_settings *settings, int64_t rows, motet_dtype dtype);

/* How many earlier fields of the same event a field reads: itself - first, plus none for the type.
 */
int motet_field_earlier(int field);

/* Logits of a field at rows of the states. rows [R] i32 (-1: a row of zeros), data NULL for all
 * rows in order; values [R, motet_field_earlier(field)] i32 rows of weights->field_values. The
 * result is a view of acts->logits, [R, motet_field_size(field)] f32. */
motet_status motet_field_forward(motet_tensor *logits, motet_field_acts *acts,
                                 const motet_backend *backend, const motet_weights *weights,
                                 int field, motet_tensor states, motet_tensor rows,
                                 motet_tensor values);

#endif
