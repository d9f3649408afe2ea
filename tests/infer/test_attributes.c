/* The attribute heads against plain loops in double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/attributes.h"
#include "kernels/core/rng.h"

#define MOST_ROWS 64
#define MOST_WIDTH 96

typedef struct rig {
    motet_settings settings;
    motet_attribute_weights weights;
    motet_attribute_acts acts;
    motet_tensor states;
    motet_arenas arenas;
} rig;

static void rig_layout(rig *r, int width, int texts, motet_dtype dtype) {
    const int64_t total = motet_attribute_total();
    const int64_t queries[] = {MOTET_ATTRIBUTES, width}, out[] = {total, width},
                  states[] = {MOST_ROWS, width};
    r->weights.queries = motet_arena_tensor(&r->arenas.device, dtype, 2, queries);
    r->weights.out = motet_arena_tensor(&r->arenas.device, dtype, 2, out);
    r->weights.bias = motet_arena_tensor(&r->arenas.device, MOTET_F32, 1, &total);
    r->states = motet_arena_tensor(&r->arenas.device, dtype, 2, states);
    motet_attributes_layout(&r->acts, &r->arenas, &r->settings, texts, dtype);
}

static void fill(motet_tensor tensor, motet_rng *rng) {
    for (int64_t i = 0; i < motet_tensor_count(tensor); i++) {
        const float value = motet_rng_normal(rng);
        if (tensor.dtype == MOTET_F32)
            ((float *)tensor.data)[i] = value;
        else
            ((uint16_t *)tensor.data)[i] = motet_bf16_from_f32(value);
    }
}

static double at(motet_tensor tensor, int64_t i) {
    return tensor.dtype == MOTET_F32 ? (double)((float *)tensor.data)[i]
                                     : (double)motet_f32_from_bf16(((uint16_t *)tensor.data)[i]);
}

static void rig_make(rig *r, int width, int texts, motet_dtype dtype) {
    memset(r, 0, sizeof *r);
    motet_settings_default(&r->settings);
    r->settings.model_text_width = width;
    rig_layout(r, width, texts, dtype);
    assert_int_equal(motet_arenas_bind(&r->arenas), MOTET_OK);
    rig_layout(r, width, texts, dtype);
    motet_rng rng = motet_rng_make(3, (uint64_t)width);
    fill(r->weights.queries, &rng);
    fill(r->weights.out, &rng);
    fill(r->weights.bias, &rng);
    fill(r->states, &rng);
}

/* pooled [width]: attribute a attends to states first..last-1 in heads. */
static void pool(double *pooled, const rig *r, int a, int first, int last) {
    const int width = r->settings.model_text_width, head = width % 32 ? 16 : 32;
    for (int c = 0; c < width; c++)
        pooled[c] = 0;
    for (int h = 0; h < width; h += head) {
        double weights[MOST_ROWS], sum = 0;
        for (int row = first; row < last; row++) {
            double dot = 0;
            for (int c = h; c < h + head; c++)
                dot += at(r->weights.queries, (int64_t)a * width + c) *
                       at(r->states, (int64_t)row * width + c);
            weights[row] = exp(dot / sqrt(head));
            sum += weights[row];
        }
        for (int row = first; row < last; row++)
            for (int c = h; c < h + head; c++)
                pooled[c] += weights[row] / sum * at(r->states, (int64_t)row * width + c);
    }
}

/* Largest difference to the reference, relative to the largest logit. */
static double largest_difference(const rig *r, const int32_t *offsets, int texts) {
    const int width = r->settings.model_text_width;
    double worst = 0, scale = 0;
    for (int s = 0; s < texts; s++) {
        int column = 0;
        for (int a = 0; a < MOTET_ATTRIBUTES; a++) {
            double pooled[MOST_WIDTH];
            pool(pooled, r, a, offsets[s], offsets[s + 1]);
            const int size = motet_attribute_size(a);
            for (int i = 0; i < size; i++, column++) {
                double logit = at(r->weights.bias, column);
                for (int c = 0; c < width; c++)
                    logit += pooled[c] * at(r->weights.out, (int64_t)column * width + c);
                const double got = at(r->acts.logits[a], (int64_t)s * size + i);
                worst = fmax(worst, fabs(got - logit));
                scale = fmax(scale, fabs(logit));
            }
        }
    }
    return worst / scale;
}

static void check_parity(int width, motet_dtype dtype, double tolerance) {
    static const int32_t offsets[] = {0, 1, 14, 14, 40}; /* the third text is empty */
    rig r;
    rig_make(&r, width, 6, dtype); /* laid out for more texts than there are */
    assert_int_equal(motet_attributes_forward(&r.acts, motet_backend_cpu(), &r.weights, &r.settings,
                                              r.states, offsets, 4),
                     MOTET_OK);
    const double difference = largest_difference(&r, offsets, 4);
    print_message("width %d, %s: largest difference %.2e\n", width, motet_dtype_name(dtype),
                  difference);
    assert_true(difference <= tolerance);
    motet_arenas_free(&r.arenas);
}

static void parity_f32(void **state) {
    (void)state;
    check_parity(96, MOTET_F32, 1e-5);
    check_parity(48, MOTET_F32, 1e-5); /* heads of 16 */
}

static void parity_bf16(void **state) {
    (void)state;
    check_parity(96, MOTET_BF16, 1e-2);
}

static void a_text_does_not_hear_its_neighbours(void **state) {
    (void)state;
    static const int32_t together[] = {0, 9, 20}, alone[] = {0, 9};
    rig r;
    rig_make(&r, 64, 2, MOTET_F32);
    const motet_backend *cpu = motet_backend_cpu();
    float *tempo = r.acts.logits[MOTET_ATTRIBUTE_TEMPO].data, first[MOTET_TEMPOS];
    assert_int_equal(
        motet_attributes_forward(&r.acts, cpu, &r.weights, &r.settings, r.states, together, 2),
        MOTET_OK);
    memcpy(first, tempo, sizeof first);
    assert_int_equal(
        motet_attributes_forward(&r.acts, cpu, &r.weights, &r.settings, r.states, alone, 1),
        MOTET_OK);
    for (int i = 0; i < MOTET_TEMPOS; i++)
        assert_true(fabsf(first[i] - tempo[i]) <= 1e-5f * fmaxf(1, fabsf(first[i])));
    motet_arenas_free(&r.arenas);
}

static void more_texts_than_laid_out_are_refused(void **state) {
    (void)state;
    static const int32_t offsets[] = {0, 1, 2, 3};
    rig r;
    rig_make(&r, 32, 2, MOTET_F32);
    assert_int_equal(motet_attributes_forward(&r.acts, motet_backend_cpu(), &r.weights, &r.settings,
                                              r.states, offsets, 3),
                     MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "2 texts, not 3"));
    motet_arenas_free(&r.arenas);
}

static void offsets_are_sums_of_sizes(void **state) {
    (void)state;
    int sum = 0;
    for (int a = 0; a < MOTET_ATTRIBUTES; a++) {
        assert_int_equal(motet_attribute_offset(a), sum);
        assert_non_null(motet_attribute_name(a));
        sum += motet_attribute_size(a);
    }
    assert_int_equal(motet_attribute_total(), sum);
    assert_int_equal(sum, MOTET_TEMPOS + MOTET_METRES + 24 + MOTET_CONTROL_BARS_LEVELS +
                              MOTET_DENSITIES + 2 * MOTET_PROGRAMS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_are_sums_of_sizes),
        cmocka_unit_test(parity_f32),
        cmocka_unit_test(parity_bf16),
        cmocka_unit_test(a_text_does_not_hear_its_neighbours),
        cmocka_unit_test(more_texts_than_laid_out_are_refused),
    };
    return cmocka_run_group_tests_name("attributes", tests, NULL, NULL);
}
