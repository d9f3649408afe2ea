#include "kernels/field_draw.h"

#include <string.h>

#include "kernels/embed.h"
#include "kernels/field_draw_check.h"
#include "kernels/gather.h"
#include "kernels/matmul.h"
#include "kernels/optimizer.h"
#include "kernels/rmsnorm.h"
#include "kernels/swiglu.h"

/* One event being drawn; its activations lie in the scratch. */
typedef struct drawing {
    const motet_field_network *networks;
    const motet_field_spec *spec;
    const int32_t *rules;
    motet_sample_params sample;
    motet_tensor states, values;
    motet_tensor u, rstd, in, sum, gate_up, hidden, y, logits;
    int32_t *ids; /* [R, earlier fields] rows of values */
} drawing;

static void divide(drawing *d, motet_tensor scratch, const motet_field_sizes *sizes) {
    const int64_t r = sizes->rows;
    float *at = (float *)scratch.data + 32;
#define MATRIX(name, columns) d->name = motet_matrix(at, MOTET_F32, r, columns), at += r * (columns)
    MATRIX(u, sizes->width);
    MATRIX(in, sizes->width);
    MATRIX(sum, sizes->width);
    MATRIX(y, sizes->width);
    MATRIX(gate_up, 2 * sizes->inner);
    MATRIX(hidden, sizes->inner);
    MATRIX(logits, MOTET_FIELD_MOST_SYMBOLS);
#undef MATRIX
    d->rstd = motet_vector(at, MOTET_F32, r);
    d->ids = (int32_t *)(void *)(at + r);
}

/* d->logits <- those of a field, `earlier` symbols of the run before it. */
static motet_status run_network(drawing *d, int field, const int32_t *symbols, int earlier) {
    const motet_field_network *n = &d->networks[field];
    const motet_matmul_spec linear = {.transpose_b = true};
    const motet_matmul_spec linear_add = {.transpose_b = true, .accumulate = true};
    const motet_tensor none = {0};
    const int64_t rows = d->states.dims[0];
    MOTET_TRY(motet_cpu_convert(d->u, d->states));
    if (earlier > 0) {
        for (int64_t r = 0; r < rows; r++)
            for (int j = 0; j < earlier; j++)
                d->ids[r * earlier + j] = d->spec->rules[field - earlier + j].offset + symbols[j];
        MOTET_TRY(motet_cpu_embed_forward(d->sum, d->values,
                                          motet_matrix(d->ids, MOTET_I32, rows, earlier)));
        MOTET_TRY(motet_cpu_add(d->u, d->sum));
    }
    MOTET_TRY(motet_cpu_rmsnorm_forward(d->in, d->rstd, d->u, n->norm, d->spec->eps));
    MOTET_TRY(motet_cpu_matmul(d->gate_up, d->in, n->gate_up, none, linear));
    MOTET_TRY(motet_cpu_swiglu_forward(d->hidden, d->gate_up));
    MOTET_TRY(motet_cpu_convert(d->y, d->u));
    MOTET_TRY(motet_cpu_matmul(d->y, d->hidden, n->down, none, linear_add));
    MOTET_TRY(motet_cpu_rmsnorm_forward(d->in, d->rstd, d->y, n->out_norm, d->spec->eps));
    d->logits.dims[1] = d->spec->rules[field].symbols;
    return motet_cpu_matmul(d->logits, d->in, n->out, n->bias, linear);
}

/* Draws symbol `place` of the event; *state: that of the field, then of the next one of its run.
 * *accepted: whether the rules accept it. */
static motet_status draw(drawing *d, motet_field_result *result, int place, int field, int *state,
                         bool last_try, bool *accepted) {
    const motet_field_rule *rule = &d->spec->rules[field];
    const int32_t words = (rule->symbols + 31) / 32;
    if (*state >= rule->states)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "field_draw: field %d would be in state %d, which it does not have",
                          field, *state);
    const int32_t *const accepts = d->rules + rule->accepted + *state * words;
    const int32_t *const offers = last_try ? accepts : d->rules + rule->offered + *state * words;
    MOTET_TRY(run_network(d, field, result->symbols + 1, place > 0 ? place - 1 : 0));
    motet_sample_result drawn;
    const motet_tensor legal = motet_matrix((void *)(uintptr_t)offers, MOTET_I32, 1, words);
    MOTET_TRY(motet_cpu_sample(&drawn, motet_tensor_rows(d->logits, 0, 1),
                               d->states.dims[0] == 2 ? motet_tensor_rows(d->logits, 1, 1)
                                                      : (motet_tensor){0},
                               legal, (motet_tensor){0}, &d->sample));
    d->sample.counter++;
    result->draws++;
    result->symbols[place] = drawn.symbol;
    result->log_prob[place] = drawn.log_prob;
    result->legal_mass[place] = drawn.legal_mass;
    *accepted = (uint32_t)accepts[drawn.symbol >> 5] >> (drawn.symbol & 31) & 1u;
    *state =
        rule->next < 0
            ? 0
            : ((const uint8_t *)(d->rules + rule->next))[*state * rule->symbols + drawn.symbol];
    return MOTET_OK;
}

/* *accepted, and then result->count. */
static motet_status try_once(drawing *d, motet_field_result *result, bool last_try,
                             bool *accepted) {
    int state = 0;
    MOTET_TRY(draw(d, result, 0, 0, &state, last_try, accepted));
    const int kind = result->symbols[0];
    state = 0;
    for (int i = 0; *accepted && i < d->spec->run_count[kind]; i++)
        MOTET_TRY(draw(d, result, 1 + i, d->spec->run_first[kind] + i, &state, last_try, accepted));
    if (*accepted) result->count = 1 + d->spec->run_count[kind];
    return MOTET_OK;
}

motet_status motet_cpu_field_draw(motet_field_result *result, motet_tensor states,
                                  const motet_field_network *networks, motet_tensor values,
                                  motet_tensor rules, const motet_field_params *params,
                                  const motet_field_spec *spec, motet_tensor scratch) {
    motet_field_sizes sizes;
    MOTET_TRY(
        motet_field_draw_check(&sizes, states, networks, values, rules, params, spec, scratch));
    drawing d = {.networks = networks,
                 .spec = spec,
                 .rules = rules.data,
                 .sample = params->sample,
                 .states = states,
                 .values = values};
    divide(&d, scratch, &sizes);
    *result = (motet_field_result){0};
    for (bool accepted = false; !accepted;) {
        result->tries++;
        MOTET_TRY(try_once(&d, result, result->tries == params->tries, &accepted));
    }
    return MOTET_OK;
}
