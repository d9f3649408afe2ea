/* field_draw: the fields of one event, drawn one after another by small networks without anybody
 * else in between. Field 0 is drawn first; its symbol chooses a run of fields, which follow in
 * order, each given those before it in the run:
 *
 *   u = state + sum over the run's earlier fields j of values[offset_j + symbol_j]
 *   logits = out . rmsnorm(u + down . swiglu(gate_up . rmsnorm(u))) + bias      (infer's field
 * MLPs)
 *
 * and each as sample.h draws, with guidance if there are two states: of row 0, against row 1.
 *
 * What may be drawn is said by rules, a small automaton for each field: in each of its states it
 * has two masks, of what is offered and of what is accepted, and each of its symbols leads to a
 * state of the next field of the run. Fields are drawn from what is offered. A symbol that is not
 * accepted ends the try: all is drawn again, with fresh random numbers, so an accepted event has
 * the networks' own distribution given that it is accepted. The last try draws from what is
 * accepted alone.
 *
 * A device does all of this in one launch that can be captured in a graph: what changes from event
 * to event (states, rules, params) is in memory.
 */
#ifndef MOTET_FIELD_DRAW_H
#define MOTET_FIELD_DRAW_H

#include <stddef.h>

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"
#include "kernels/field_rules.h"
#include "kernels/sample.h"

/* Any mix of f32 and bf16; gate_up, down and out may be int8. */
typedef struct motet_field_network {
    motet_tensor norm, gate_up, down; /* [D] [2F,D] [D,F] */
    motet_tensor out_norm, out, bias; /* [D] [V,D] [V] */
} motet_field_network;

typedef struct motet_field_params {
    motet_sample_params sample; /* counter: the first draw's; each draw, of any try, takes one */
    int32_t tries;              /* >= 1 */
    int32_t pad;
} motet_field_params;

/* Floats of scratch that the op needs for fields of these sizes; F the inner width. */
size_t motet_field_draw_scratch(int64_t rows, int64_t width, int64_t inner);

/* result, rules and params are in memory that device and host share, and so ready after the next
 * synchronize. states [R,D] f32, R 1 or 2; networks [spec->fields] and spec are read at the call;
 * values [sum of V, D] f32, bf16 or int8; rules [spec->words] i32; scratch f32, zeroed before its
 * first use and nobody else's.
 *
 * MOTET_E_USAGE: shapes, dtypes or the spec disagree, a parameter is out of range as sample.h says
 * (at the call where the host sees it), a mask leaves nothing to draw, a logit is NaN, a state
 * leads to one that is not there; MOTET_E_UNSUPPORTED: more symbols or words than above. */
typedef motet_status motet_field_draw_fn(motet_field_result *result, motet_tensor states,
                                         const motet_field_network *networks, motet_tensor values,
                                         motet_tensor rules, const motet_field_params *params,
                                         const motet_field_spec *spec, motet_tensor scratch);

motet_field_draw_fn motet_cpu_field_draw;

#endif
