#include "kernels/field_draw_check.h"

#include "kernels/row.h"
#include "kernels/sample_check.h"

enum { MOST_STATES = 255 };

size_t motet_field_draw_scratch(int64_t rows, int64_t width, int64_t inner) {
    const size_t r = (size_t)rows, d = (size_t)width, f = (size_t)inner;
    /* A line of its own for the blocks' barrier; then what the twins keep: field_draw.c has most.
     */
    return 32 + r * (5 * d + 3 * f + MOTET_FIELD_MOST_SYMBOLS + 2 + MOTET_FIELD_MOST_DRAWN) +
           MOTET_FIELD_MOST_WORDS + sizeof(motet_field_params) / sizeof(float);
}

static bool is_vector(motet_tensor t, int64_t n) {
    return t.data && t.rank == 1 && row_is_float(t) && t.dims[0] == n;
}

static bool is_matrix(motet_tensor t, int64_t rows, int64_t columns) {
    return t.data && t.rank == 2 && (row_is_float(t) || (t.dtype == MOTET_I8 && t.scale)) &&
           t.dims[0] == rows && t.dims[1] == columns;
}

static motet_status check_network(const motet_field_network *n, int field, int64_t symbols,
                                  int64_t d, int64_t f) {
    const char *wrong = !is_vector(n->norm, d)             ? "norm"
                        : !is_matrix(n->gate_up, 2 * f, d) ? "gate_up"
                        : !is_matrix(n->down, d, f)        ? "down"
                        : !is_vector(n->out_norm, d)       ? "out_norm"
                        : !is_matrix(n->out, symbols, d)   ? "out"
                        : !is_vector(n->bias, symbols)     ? "bias"
                                                           : NULL;
    if (wrong)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "field_draw: %s of field %d is not what width %lld, inner width %lld and "
                          "%lld symbols ask for",
                          wrong, field, (long long)d, (long long)f, (long long)symbols);
    return MOTET_OK;
}

/* `count` words from `first` on are among the rules. */
static bool has_words(const motet_field_spec *spec, int64_t first, int64_t count) {
    return first >= 0 && first + count <= spec->words;
}

static motet_status check_rule(const motet_field_spec *spec, int field, int64_t values) {
    const motet_field_rule *rule = &spec->rules[field];
    if (rule->symbols < 1)
        return MOTET_FAIL(MOTET_E_USAGE, "field_draw: field %d has %d symbols", field,
                          rule->symbols);
    if (rule->symbols > MOTET_FIELD_MOST_SYMBOLS)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "field_draw: field %d has %d symbols, more than %d",
                          field, rule->symbols, MOTET_FIELD_MOST_SYMBOLS);
    if (rule->offset < 0 || rule->offset + (int64_t)rule->symbols > values)
        return MOTET_FAIL(MOTET_E_USAGE, "field_draw: field %d has rows %d to %lld of %lld", field,
                          rule->offset, (long long)rule->offset + rule->symbols - 1,
                          (long long)values);
    const int64_t states = rule->states, words = (rule->symbols + 31) / 32;
    if (states < 1 || states > MOST_STATES || !has_words(spec, rule->offered, states * words) ||
        !has_words(spec, rule->accepted, states * words) ||
        (rule->next != -1 && !has_words(spec, rule->next, (states * rule->symbols + 3) / 4)))
        return MOTET_FAIL(MOTET_E_USAGE, "field_draw: the rules of field %d do not lie in %d words",
                          field, spec->words);
    return MOTET_OK;
}

static motet_status check_spec(const motet_field_spec *spec, int64_t values) {
    if (spec->fields < 1 || spec->fields > MOTET_FIELD_MOST)
        return MOTET_FAIL(MOTET_E_USAGE, "field_draw takes 1 to %d fields, not %d",
                          MOTET_FIELD_MOST, spec->fields);
    if (spec->words < 1 || spec->words > MOTET_FIELD_MOST_WORDS)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "field_draw takes 1 to %d words of rules, not %d",
                          MOTET_FIELD_MOST_WORDS, spec->words);
    for (int f = 0; f < spec->fields; f++)
        MOTET_TRY(check_rule(spec, f, values));
    if (spec->rules[0].symbols > MOTET_FIELD_MOST_RUNS)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "field_draw: field 0 has %d symbols, more than %d",
                          spec->rules[0].symbols, MOTET_FIELD_MOST_RUNS);
    for (int s = 0; s < spec->rules[0].symbols; s++) {
        const int64_t first = spec->run_first[s], count = spec->run_count[s];
        if (count < 0 || count >= MOTET_FIELD_MOST_DRAWN || (count > 0 && first < 1) ||
            first + count > spec->fields)
            return MOTET_FAIL(MOTET_E_USAGE,
                              "field_draw: symbol %d of field 0 is followed by %lld fields from "
                              "%lld on, of %d",
                              s, (long long)count, (long long)first, spec->fields);
    }
    return MOTET_OK;
}

motet_status motet_field_draw_check(motet_field_sizes *sizes, motet_tensor states,
                                    const motet_field_network *networks, motet_tensor values,
                                    motet_tensor rules, const motet_field_params *params,
                                    const motet_field_spec *spec, motet_tensor scratch) {
    const int64_t rows = states.dims[0], d = states.dims[1];
    if (!states.data || states.rank != 2 || states.dtype != MOTET_F32 || rows < 1 || rows > 2 ||
        d < 1)
        return MOTET_FAIL(MOTET_E_USAGE, "field_draw takes one or two states, f32 [R,D]");
    if (!is_matrix(values, values.dims[0], d))
        return MOTET_FAIL(MOTET_E_USAGE, "values of field_draw have the states' width, %lld",
                          (long long)d);
    MOTET_TRY(check_spec(spec, values.dims[0]));
    const int64_t f = networks[0].down.dims[1];
    if (f < 1)
        return MOTET_FAIL(MOTET_E_USAGE, "field_draw: the inner width is %lld", (long long)f);
    for (int i = 0; i < spec->fields; i++)
        MOTET_TRY(check_network(&networks[i], i, spec->rules[i].symbols, d, f));
    if (!rules.data || rules.rank != 1 || rules.dtype != MOTET_I32 || rules.dims[0] != spec->words)
        return MOTET_FAIL(MOTET_E_USAGE, "the rules of field_draw are i32 [%d]", spec->words);
    const motet_tensor logits = {.data = states.data, .rank = 2, .dims = {1, 1}};
    MOTET_TRY(motet_sample_check(logits, (motet_tensor){0}, (motet_tensor){0}, (motet_tensor){0},
                                 &params->sample));
    if (params->tries < 1)
        return MOTET_FAIL(MOTET_E_USAGE, "field_draw cannot end within %d tries", params->tries);
    const size_t needed = motet_field_draw_scratch(rows, d, f);
    if (!scratch.data || scratch.rank != 1 || scratch.dtype != MOTET_F32 ||
        (size_t)scratch.dims[0] < needed)
        return MOTET_FAIL(MOTET_E_USAGE, "field_draw needs a scratch of %zu floats", needed);
    *sizes = (motet_field_sizes){rows, d, f};
    return MOTET_OK;
}
