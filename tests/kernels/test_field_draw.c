/* field_draw: what comes out is what the networks say, under the rules, try by try. */
#include <math.h>
#include <string.h>

#include "tests/kernels/harness_op.h"

enum { FIELDS = 6, KINDS = 3, WORDS = 512, SEED = 9 };

/* Kind 0 has fields 1 and 2, kind 1 fields 3, 4, 5, kind 2 none. */
static const int sizes[FIELDS] = {KINDS, 7, 40, 70, 129, 256};

typedef struct model {
    motet_tensor states, values, rules, scratch;
    motet_field_network networks[FIELDS];
    motet_field_spec spec;
    motet_field_params *params;
    motet_field_result *result;
    int64_t rows, width, inner;
} model;

static int32_t *words_of(model *m, int32_t at) {
    return (int32_t *)m->rules.data + at;
}

static void allow(model *m, int32_t masks, int field, int state, int symbol) {
    const int words = (sizes[field] + 31) / 32;
    words_of(m, masks)[state * words + symbol / 32] |= (int32_t)(1u << symbol % 32);
}

static void allow_all(model *m, int field) {
    for (int state = 0; state < m->spec.rules[field].states; state++)
        for (int v = 0; v < sizes[field]; v++) {
            allow(m, m->spec.rules[field].offered, field, state, v);
            allow(m, m->spec.rules[field].accepted, field, state, v);
        }
}

/* Fields 2 and 4 have three states; all else, one. Everything is allowed, and every symbol leads to
 * state 0. */
static void make_rules(model *m) {
    m->spec = (motet_field_spec){.fields = FIELDS,
                                 .run_first = {1, 3, 0},
                                 .run_count = {2, 3, 0},
                                 .words = WORDS,
                                 .eps = 1e-5f};
    m->rules = op_vector(MOTET_I32, WORDS);
    op_fill(m->rules, 0);
    int32_t at = 0, offset = 0;
    for (int f = 0; f < FIELDS; f++) {
        motet_field_rule *rule = &m->spec.rules[f];
        const int states = f == 2 || f == 4 ? 3 : 1, words = states * ((sizes[f] + 31) / 32);
        *rule = (motet_field_rule){.symbols = sizes[f],
                                   .offset = offset,
                                   .states = states,
                                   .offered = at,
                                   .accepted = at + words,
                                   .next = f == 1 || f == 3 ? at + 2 * words : -1};
        at += 2 * words + (f == 1 || f == 3 ? (sizes[f] + 3) / 4 : 0);
        offset += sizes[f];
        allow_all(m, f);
    }
    assert_true(at <= WORDS);
}

static motet_tensor weights(motet_dtype dtype, int64_t rows, int64_t columns, uint64_t seed,
                            double scale) {
    motet_tensor t = columns ? op_matrix(dtype, rows, columns) : op_vector(dtype, rows);
    op_fill_normal(t, seed, scale);
    return t;
}

/* Values whose logits are a few units apart. */
static model make(int64_t rows, int64_t width, int64_t inner, motet_dtype matrices,
                  motet_dtype vectors) {
    model m = {.rows = rows, .width = width, .inner = inner};
    const double unit = 1 / sqrt((double)width);
    make_rules(&m);
    int total = 0;
    for (int f = 0; f < FIELDS; f++) {
        const uint64_t seed = SEED + 10 * (uint64_t)f;
        total += sizes[f];
        m.networks[f] = (motet_field_network){
            .norm = weights(vectors, width, 0, seed, 1),
            .gate_up = weights(matrices, 2 * inner, width, seed + 1, unit),
            .down = weights(matrices, width, inner, seed + 2, 1 / sqrt((double)inner)),
            .out_norm = weights(vectors, width, 0, seed + 3, 1),
            .out = weights(matrices, sizes[f], width, seed + 4, unit),
            .bias = weights(vectors, sizes[f], 0, seed + 5, 1),
        };
    }
    m.states = op_matrix(MOTET_F32, rows, width);
    op_fill_normal(m.states, SEED + 100, 1);
    m.values = weights(matrices, total, width, SEED + 101, 1);
    m.scratch = op_vector(MOTET_F32, (int64_t)motet_field_draw_scratch(rows, width, inner));
    op_fill(m.scratch, 0);
    m.params = op_shared(sizeof *m.params);
    *m.params = (motet_field_params){.sample = {.temperature = 1,
                                                .guidance = 2,
                                                .repetition_penalty = 1,
                                                .top_p = 1,
                                                .seed = SEED,
                                                .stream = 3},
                                     .tries = 8};
    m.result = op_shared(sizeof *m.result);
    return m;
}

static motet_status draw(model *m) {
    return op_backend()->field_draw(m->result, m->states, m->networks, m->values, m->rules,
                                    m->params, &m->spec, m->scratch);
}

/* ---- the reference: the equations, in double ---- */

static void norm(double *out, const double *x, motet_tensor weight, int64_t width, double eps) {
    double sum = 0;
    for (int64_t d = 0; d < width; d++)
        sum += x[d] * x[d];
    for (int64_t d = 0; d < width; d++)
        out[d] = x[d] / sqrt(sum / (double)width + eps) * op_get(weight, d);
}

static double dot(motet_tensor b, int64_t row, const double *x, int64_t k) {
    double sum = 0;
    for (int64_t i = 0; i < k; i++)
        sum += op_get(b, row * k + i) * x[i];
    return sum;
}

/* logits [symbols of the field] of one row, after the run's earlier symbols. */
static void reference(double *logits, const model *m, int64_t row, int field,
                      const int32_t *symbols, int earlier) {
    const motet_field_network *n = &m->networks[field];
    const int64_t width = m->width, inner = m->inner;
    double *u = op_zeros(width), *in = op_zeros(width), *hidden = op_zeros(inner);
    for (int64_t d = 0; d < width; d++) {
        u[d] = op_get(m->states, row * width + d);
        for (int j = 0; j < earlier; j++)
            u[d] += op_get(m->values,
                           (m->spec.rules[field - earlier + j].offset + symbols[j]) * width + d);
    }
    norm(in, u, n->norm, width, (double)m->spec.eps);
    for (int64_t i = 0; i < inner; i++) {
        const double gate = dot(n->gate_up, i, in, width);
        hidden[i] = gate / (1 + exp(-gate)) * dot(n->gate_up, inner + i, in, width);
    }
    for (int64_t d = 0; d < width; d++)
        u[d] += dot(n->down, d, hidden, inner);
    norm(in, u, n->out_norm, width, (double)m->spec.eps);
    for (int64_t v = 0; v < sizes[field]; v++)
        logits[v] = dot(n->out, v, in, width) + op_get(n->bias, v);
}

static bool allowed(const int32_t *mask, int v) {
    return (uint32_t)mask[v / 32] >> v % 32 & 1u;
}

static double mass(const double *z, const int32_t *mask, int count) {
    double sum = 0;
    for (int v = 0; v < count; v++)
        if (!mask || allowed(mask, v)) sum += exp(z[v]);
    return sum;
}

/* Symbol, probability and legal mass of one place of the event. */
static void check_place(model *m, int place, int field, int state, double tolerance) {
    const motet_field_result *result = m->result;
    const motet_field_rule *rule = &m->spec.rules[field];
    double *z = op_zeros(rule->symbols), *u = op_zeros(rule->symbols);
    const int earlier = place > 0 ? place - 1 : 0, symbol = result->symbols[place];
    reference(z, m, 0, field, result->symbols + 1, earlier);
    if (m->rows == 2) {
        reference(u, m, 1, field, result->symbols + 1, earlier);
        for (int v = 0; v < rule->symbols; v++)
            z[v] = u[v] + (double)m->params->sample.guidance * (z[v] - u[v]);
    }
    const int32_t at = result->tries < m->params->tries ? rule->offered : rule->accepted;
    const int32_t *mask = words_of(m, at + state * ((rule->symbols + 31) / 32));
    assert_in_range(symbol, 0, rule->symbols - 1);
    assert_true(allowed(words_of(m, rule->accepted + state * ((rule->symbols + 31) / 32)), symbol));
    const double legal = mass(z, mask, rule->symbols), all = mass(z, NULL, rule->symbols);
    assert_true(fabs((double)result->log_prob[place] - (z[symbol] - log(legal))) < tolerance);
    assert_true(fabs((double)result->legal_mass[place] - legal / all) < tolerance);
    if (m->params->sample.temperature == 0)
        for (int v = 0; v < rule->symbols; v++)
            if (allowed(mask, v)) assert_true(z[v] < z[symbol] + tolerance);
}

static void check_event(model *m, double tolerance) {
    const motet_field_result *result = m->result;
    const int kind = result->symbols[0];
    check_place(m, 0, 0, 0, tolerance);
    assert_int_equal(result->count, 1 + m->spec.run_count[kind]);
    assert_true(result->draws >= result->count);
    for (int i = 0, state = 0; i < m->spec.run_count[kind]; i++) {
        const int field = m->spec.run_first[kind] + i;
        const motet_field_rule *rule = &m->spec.rules[field];
        check_place(m, 1 + i, field, state, tolerance);
        state = rule->next < 0
                    ? 0
                    : ((uint8_t *)words_of(
                          m, rule->next))[state * rule->symbols + result->symbols[1 + i]];
    }
}

/* ---- tests ---- */

static void follows_the_networks(void **state) {
    (void)state;
    static const struct {
        int64_t width, inner;
        motet_dtype matrices, vectors;
    } cases[] = {
        {1, 1, MOTET_F32, MOTET_F32},      {16, 16, MOTET_F32, MOTET_BF16},
        {33, 7, MOTET_F32, MOTET_BF16},    {160, 144, MOTET_F32, MOTET_F32},
        {64, 48, MOTET_BF16, MOTET_F32},   {130, 41, MOTET_BF16, MOTET_BF16},
        {272, 264, MOTET_BF16, MOTET_F32}, {64, 80, MOTET_I8, MOTET_BF16},
        {30, 21, MOTET_I8, MOTET_F32},     {544, 16, MOTET_I8, MOTET_F32},
        {16, 528, MOTET_I8, MOTET_BF16},
    };
    for (int64_t i = 0; i < 2 * OP_COUNT(cases); i++) {
        const int64_t rows = 1 + i % 2;
        const int at = (int)(i / 2);
        model m =
            make(rows, cases[at].width, cases[at].inner, cases[at].matrices, cases[at].vectors);
        for (int n = 0; n < 12 && !(n > 1 && op_skips(1, 2)); n++) {
            m.params->sample.counter = 100 * (uint64_t)(n + i);
            m.params->sample.temperature = n % 3 == 1 ? 0 : 1;
            op_ok(draw(&m));
            assert_int_equal(m.result->tries, 1);
            assert_int_equal(m.result->draws, m.result->count);
            check_event(&m, 2e-4);
        }
        op_teardown(NULL);
    }
}

/* Draws are the CPU twin's, parameters and all. */
static void draws_as_the_cpu_does(void **state) {
    (void)state;
    model models[2] = {make(1, 64, 48, MOTET_F32, MOTET_F32),
                       make(2, 64, 48, MOTET_F32, MOTET_F32)};
    int seen = 0;
    for (int n = 0; n < 20; n++) {
        if (op_skips(n % 5, 2)) continue;
        model m = models[n % 2];
        m.params->sample.counter = 50 * (uint64_t)n;
        m.params->sample.guidance = 1 + 0.25f * (float)(n % 6);
        m.params->sample.top_p = n % 3 ? 0.95f : 1;
        m.params->sample.min_p = n % 4 ? 0.01f : 0;
        m.params->sample.top_k = n % 7 ? 0 : 20;
        op_ok(draw(&m));
        motet_field_result got = *m.result, want;
        motet_tensor scratch = op_copy(m.scratch);
        assert_int_equal(motet_cpu_field_draw(&want, m.states, m.networks, m.values, m.rules,
                                              m.params, &m.spec, scratch),
                         MOTET_OK);
        assert_int_equal(got.count, want.count);
        assert_int_equal(got.tries, want.tries);
        assert_memory_equal(got.symbols, want.symbols, (size_t)want.count * sizeof *got.symbols);
        seen |= 1 << want.symbols[0];
    }
    assert_true(seen & (seen - 1)); /* more than one kind of event */
}

static void clear(model *m, int32_t masks, int field) {
    const int words = m->spec.rules[field].states * ((sizes[field] + 31) / 32);
    memset(words_of(m, masks), 0, (size_t)words * sizeof(int32_t));
}

/* A symbol of field 3 chooses the mask of field 4. */
static void states_choose_masks(void **state) {
    (void)state;
    model m = make(1, 64, 48, MOTET_F32, MOTET_F32);
    const motet_field_rule *first = &m.spec.rules[3], *second = &m.spec.rules[4];
    uint8_t *next = (uint8_t *)words_of(&m, first->next);
    clear(&m, m.spec.rules[0].offered, 0);
    allow(&m, m.spec.rules[0].offered, 0, 0, 1);
    clear(&m, second->offered, 4);
    clear(&m, second->accepted, 4);
    for (int v = 0; v < sizes[3]; v++)
        next[v] = (uint8_t)(v % 3);
    for (int s = 0; s < 3; s++)
        for (int v = 40 + s; v < 44 + s; v += 3) {
            allow(&m, second->offered, 4, s, v);
            allow(&m, second->accepted, 4, s, v);
        }
    for (int n = 0; n < 12 && !(n > 3 && op_skips(1, 2)); n++) {
        m.params->sample.counter = 100 * (uint64_t)n;
        op_ok(draw(&m));
        assert_int_equal(m.result->symbols[0], 1);
        assert_int_equal((m.result->symbols[2] - 40) % 3, m.result->symbols[1] % 3);
        check_event(&m, 2e-4);
    }
}

/* What is offered but not accepted is drawn anew as a whole; each draw takes a random number, and
 * the try that succeeds is one that a first try with its numbers makes. */
static void what_is_not_accepted_is_drawn_again(void **state) {
    (void)state;
    model m = make(2, 64, 48, MOTET_F32, MOTET_F32);
    const motet_field_rule *rule = &m.spec.rules[4];
    clear(&m, rule->accepted, 4);
    for (int v = 0; v < sizes[4]; v += 3)
        allow(&m, rule->accepted, 4, 0, v);
    clear(&m, m.spec.rules[0].offered, 0);
    allow(&m, m.spec.rules[0].offered, 0, 0, 1);
    m.params->tries = 1000;
    int again = 0;
    for (int n = 0; n < 12 && !(n > 3 && op_skips(1, 2)); n++) {
        m.params->sample.counter = 1000 * (uint64_t)n;
        op_ok(draw(&m));
        const motet_field_result once = *m.result;
        check_event(&m, 2e-4);
        /* Each failed try ends with its third draw, in field 4. */
        assert_int_equal(once.draws, 3 * (once.tries - 1) + once.count);
        again += once.tries > 1;
        m.params->sample.counter += (uint64_t)(once.draws - once.count);
        op_ok(draw(&m));
        assert_int_equal(m.result->tries, 1);
        assert_memory_equal(m.result->symbols, once.symbols,
                            (size_t)once.count * sizeof *once.symbols);
    }
    assert_true(again > 0);
}

/* The last try has no choice but what is accepted. */
static void the_last_try_is_forced(void **state) {
    (void)state;
    model m = make(1, 64, 48, MOTET_BF16, MOTET_F32);
    op_set(m.networks[0].bias, 0, -60);
    clear(&m, m.spec.rules[0].accepted, 0);
    allow(&m, m.spec.rules[0].accepted, 0, 0, 0);
    for (int tries = 1; tries < 4; tries++) {
        m.params->tries = tries;
        op_ok(draw(&m));
        assert_int_equal(m.result->tries, tries);
        assert_int_equal(m.result->symbols[0], 0);
        assert_int_equal(m.result->draws, tries - 1 + m.result->count);
        assert_true(m.result->legal_mass[0] < 1e-6f);
        check_event(&m, 2e-4);
    }
}

static void faults_are_told(void **state) {
    (void)state;
    model m = make(1, 16, 16, MOTET_F32, MOTET_F32);
    clear(&m, m.spec.rules[0].offered, 0);
    op_fails(draw(&m), MOTET_E_USAGE, "no legal symbol");
    assert_int_equal(m.result->count, 0);
    allow(&m, m.spec.rules[0].offered, 0, 0, 1);
    op_ok(draw(&m));
    memset(words_of(&m, m.spec.rules[3].next), 3, (size_t)sizes[3]);
    op_fails(draw(&m), MOTET_E_USAGE, "field 4 would be in state 3");
    assert_int_equal(m.result->count, 0);
    memset(words_of(&m, m.spec.rules[3].next), 2, (size_t)sizes[3]);
    op_ok(draw(&m));
    op_set(m.states, 5, NAN);
    op_fails(draw(&m), MOTET_E_USAGE, "not a number");
    op_set(m.states, 5, 0);
    op_ok(draw(&m)); /* nothing of it stayed */
}

static void shapes_are_checked(void **state) {
    (void)state;
    model m = make(1, 16, 16, MOTET_F32, MOTET_F32), bad;
#define REFUSED(code, words, ...)          \
    do {                                   \
        bad = m;                           \
        __VA_ARGS__;                       \
        op_fails(draw(&bad), code, words); \
    } while (0)
    const motet_tensor wrong = op_matrix(MOTET_F32, 3, 5);
    REFUSED(MOTET_E_USAGE, "one or two states", bad.states = op_matrix(MOTET_F32, 3, 16));
    REFUSED(MOTET_E_USAGE, "one or two states", bad.states = op_matrix(MOTET_BF16, 1, 16));
    REFUSED(MOTET_E_USAGE, "values", bad.values = wrong);
    REFUSED(MOTET_E_USAGE, "gate_up of field 2", bad.networks[2].gate_up = wrong);
    REFUSED(MOTET_E_USAGE, "down of field 3", bad.networks[3].down = wrong);
    REFUSED(MOTET_E_USAGE, "out of field 5", bad.networks[5].out = wrong);
    REFUSED(MOTET_E_USAGE, "bias of field 1", bad.networks[1].bias = op_vector(MOTET_F32, 6));
    REFUSED(MOTET_E_USAGE, "norm of field 0", bad.networks[0].norm = op_vector(MOTET_F32, 15));
    REFUSED(MOTET_E_USAGE, "field 2 has rows", bad.spec.rules[2].offset = 500);
    REFUSED(MOTET_E_USAGE, "rules of field 4", bad.spec.rules[4].accepted = WORDS - 2);
    REFUSED(MOTET_E_USAGE, "rules of field 3", bad.spec.rules[3].next = WORDS - 2);
    REFUSED(MOTET_E_USAGE, "rules of field 1", bad.spec.rules[1].states = 0);
    REFUSED(MOTET_E_UNSUPPORTED, "more than 256", bad.spec.rules[5].symbols = 257);
    REFUSED(MOTET_E_USAGE, "followed by", bad.spec.run_count[1] = 4);
    REFUSED(MOTET_E_USAGE, "followed by", bad.spec.run_first[0] = 0);
    REFUSED(MOTET_E_USAGE, "rules of field_draw", bad.rules = op_vector(MOTET_I32, WORDS - 1));
    REFUSED(MOTET_E_USAGE, "scratch", bad.scratch.dims[0]--);
    m.params->tries = 0;
    REFUSED(MOTET_E_USAGE, "0 tries", (void)0);
    m.params->tries = 1;
    m.params->sample.top_p = 0;
    REFUSED(MOTET_E_USAGE, "top_p", (void)0);
#undef REFUSED
}

int main(void) {
    const struct CMUnitTest tests[] = {
        op_test(follows_the_networks),   op_test(draws_as_the_cpu_does),
        op_test(states_choose_masks),    op_test(what_is_not_accepted_is_drawn_again),
        op_test(the_last_try_is_forced), op_test(faults_are_told),
        op_test(shapes_are_checked),
    };
    return cmocka_run_group_tests_name("field_draw", tests, NULL, NULL);
}
