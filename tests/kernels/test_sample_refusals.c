/* sample: what it refuses, and the sentences. */
#include <math.h>
#include <string.h>

#include "tests/kernels/harness_sample.h"

static void test_refusals(void **state) {
    (void)state;
    motet_tensor logits = op_matrix(MOTET_F32, 3, 40), legal = op_matrix(MOTET_I32, 3, 2);
    motet_sample_params *p = sample_params(3);
    motet_sample_result *results = sample_results(3);
    op_fill(logits, 0);
    op_fill(legal, -1);
    ((int32_t *)legal.data)[4] = 0;
    ((int32_t *)legal.data)[5] = (int32_t)0xffffff00u; /* beyond symbol 39: no symbols */
#define REFUSED(words)                                                                             \
    op_fails(op_backend()->sample(results, logits, op_none(), legal, op_none(), p), MOTET_E_USAGE, \
             words)
    REFUSED("row 2 has no legal symbol");
    op_set(logits, 41, NAN);
    if (op_on_cpu()) REFUSED("row 1 has a logit that is not a number"); /* the first is told */
    op_fill(legal, -1);
    ((int32_t *)legal.data)[2] = 0; /* it need not be legal */
    REFUSED("row 1 has a logit that is not a number");
    op_set(logits, 41, 0);
    op_fill(legal, -1);
    static const struct {
        size_t offset;
        float value;
        const char *words;
    } bad[] = {
        {offsetof(motet_sample_params, temperature), -0.5f, "temperature = -0.5"},
        {offsetof(motet_sample_params, temperature), NAN, "temperature"},
        {offsetof(motet_sample_params, guidance), INFINITY, "guidance"},
        {offsetof(motet_sample_params, repetition_penalty), 0.0f, "repetition_penalty"},
        {offsetof(motet_sample_params, top_p), 0.0f, "top_p"},
        {offsetof(motet_sample_params, top_p), 1.5f, "top_p"},
        {offsetof(motet_sample_params, min_p), -0.1f, "min_p"},
        {offsetof(motet_sample_params, min_p), 1.1f, "min_p"},
    };
    for (int i = 0; i < OP_COUNT(bad); i++) {
        p[1] = sample_plain;
        memcpy((char *)&p[1] + bad[i].offset, &bad[i].value, sizeof bad[i].value);
        REFUSED(bad[i].words);
        REFUSED("row 1");
    }
    p[1] = sample_plain, p[1].top_k = -1;
    REFUSED("top_k");
    p[1] = sample_plain;
    motet_tensor narrow = op_matrix(MOTET_I32, 3, 1), wide = op_matrix(MOTET_F32, 1, 65537);
    op_fails(op_backend()->sample(results, logits, op_none(), narrow, op_none(), p), MOTET_E_USAGE,
             "masks");
    op_fails(op_backend()->sample(results, logits, narrow, op_none(), op_none(), p), MOTET_E_USAGE,
             "unconditional");
    op_fails(op_backend()->sample(results, wide, op_none(), op_none(), op_none(), p), MOTET_E_USAGE,
             "65536");
    op_ok(op_backend()->sample(results, logits, op_none(), legal, op_none(), p));
}

int main(void) {
    const struct CMUnitTest tests[] = {op_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
