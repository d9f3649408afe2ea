/* One update of all weights: groups, clipping, frozen encoder, independence of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/core/rng.h"
#include "train/matmul_onednn.h"
#include "train/optimizer_step.h"

static motet_settings tiny(const char *dtype) {
    motet_settings s;
    motet_settings_default(&s);
    if (motet_settings_read_file(&s, "configs/tiny.ini") != MOTET_OK) fail_msg("%s", motet_error());
    snprintf(s.train_dtype, sizeof s.train_dtype, "%s", dtype);
    return s;
}

static motet_backend backend_onednn(void) {
    motet_backend backend = *motet_backend_cpu();
    backend.matmul = motet_onednn_matmul;
    return backend;
}

static motet_optimizer *make(const motet_settings *s) {
    motet_optimizer *o;
    motet_backend backend = backend_onednn();
    if (motet_optimizer_make(&o, s, NULL, &motet_host_memory) != MOTET_OK)
        fail_msg("%s", motet_error());
    if (motet_optimizer_refresh(o, &backend, 1) != MOTET_OK) fail_msg("%s", motet_error());
    return o;
}

static void fill_gradients(motet_optimizer *o, float size) {
    for (int i = 0; i < o->count; i++) {
        motet_tensor g = o->parameters[i].gradient;
        motet_rng rng = motet_rng_make(9, (uint64_t)i);
        for (int64_t k = 0; g.data && k < motet_tensor_count(g); k++)
            ((float *)g.data)[k] = size * motet_rng_normal(&rng);
    }
}

static double step(motet_optimizer *o, const motet_settings *s, int64_t number) {
    motet_backend backend = backend_onednn();
    double norm;
    assert_int_equal(motet_optimizer_norm(&norm, o, &backend), MOTET_OK);
    if (motet_optimizer_step(o, &backend, s, number, 1, norm) != MOTET_OK)
        fail_msg("%s", motet_error());
    return norm;
}

static size_t bytes_of(motet_tensor t) {
    return (size_t)motet_tensor_count(t) * motet_dtype_bytes(t.dtype);
}

static void assert_same_masters(const motet_optimizer *a, const motet_optimizer *b, int same) {
    int different = 0;
    for (int i = 0; i < a->count; i++)
        different += memcmp(a->parameters[i].master.data, b->parameters[i].master.data,
                            bytes_of(a->parameters[i].master)) != 0;
    if (same)
        assert_int_equal(different, 0);
    else
        assert_true(different > 0);
}

/* bf16: vectors are shared with the masters, matrices are their rounded copies, also after a step.
 */
static void test_compute_set(void **state) {
    (void)state;
    motet_settings s = tiny("bf16");
    motet_optimizer *o = make(&s);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < o->count; i++) {
            const motet_trained *p = &o->parameters[i];
            if (p->master.rank == 1) {
                assert_ptr_equal(p->compute.data, p->master.data);
                continue;
            }
            assert_int_equal(p->compute.dtype, MOTET_BF16);
            const float *master = p->master.data;
            const uint16_t *copy = p->compute.data;
            for (int64_t k = 0; k < motet_tensor_count(p->master); k++)
                assert_int_equal(copy[k], motet_bf16_from_f32(master[k]));
        }
        fill_gradients(o, 0.01f);
        step(o, &s, round + 1);
    }
    motet_optimizer_free(o);
    motet_settings f32 = tiny("f32");
    o = make(&f32);
    for (int i = 0; i < o->count; i++)
        assert_ptr_equal(o->parameters[i].compute.data, o->parameters[i].master.data);
    motet_optimizer_free(o);
}

static void test_groups(void **state) {
    (void)state;
    motet_settings s = tiny("f32");
    s.train_clip = 0;
    motet_optimizer *o = make(&s), *start = make(&s);
    assert_same_masters(o, start, 1); /* the seed decides */
    fill_gradients(o, 0.01f);
    step(o, &s, 1);
    int frozen = 0, muon = 0, adamw = 0;
    for (int i = 0; i < o->count; i++) {
        const motet_trained *p = &o->parameters[i];
        const float *now = p->master.data, *before = start->parameters[i].master.data;
        const float *g = p->gradient.data;
        if (p->update == MOTET_UPDATE_TEXT) {
            assert_null(p->gradient.data);
            assert_memory_equal(now, before, bytes_of(p->master));
            frozen++;
        } else if (p->update == MOTET_UPDATE_ADAMW) {
            /* The first step of AdamW is lr times the sign, and nothing decays here. */
            for (int64_t k = 0; k < motet_tensor_count(p->master); k++) {
                if (fabsf(g[k]) < 1e-5f) continue;
                float want = before[k] - copysignf(s.train_adamw_lr, g[k]);
                assert_true(fabsf(now[k] - want) < 1e-5f);
            }
            adamw++;
        } else {
            assert_int_equal(p->master.rank, 2);
            assert_memory_not_equal(now, before, bytes_of(p->master));
            muon++;
        }
    }
    assert_true(frozen > 20 && muon > 20 && adamw > 20);
    motet_optimizer_free(o);
    motet_optimizer_free(start);
}

/* The norm is the norm; above the clip a gradient acts as if it had been scaled to it. */
static void test_norm_and_clip(void **state) {
    (void)state;
    motet_settings s = tiny("f32");
    motet_optimizer *a = make(&s), *b = make(&s);
    fill_gradients(a, 1);
    double sum = 0;
    for (int i = 0; i < a->count; i++) {
        motet_tensor g = a->parameters[i].gradient;
        for (int64_t k = 0; g.data && k < motet_tensor_count(g); k++)
            sum += (double)((float *)g.data)[k] * (double)((float *)g.data)[k];
    }
    s.train_clip = 0.5f;
    double norm = step(a, &s, 1);
    assert_true(fabs(norm - sqrt(sum)) < 1e-6 * norm);
    fill_gradients(b, (float)(0.5 / norm));
    s.train_clip = 0;
    step(b, &s, 1);
    for (int i = 0; i < a->count; i++) {
        motet_tensor first = a->parameters[i].first, other = b->parameters[i].first;
        for (int64_t k = 0; first.data && k < motet_tensor_count(first); k++) {
            float x = ((float *)first.data)[k], y = ((float *)other.data)[k];
            assert_true(fabsf(x - y) <= 1e-5f * fabsf(x) + 1e-12f);
        }
    }
    motet_optimizer_free(a);
    motet_optimizer_free(b);
}

static void test_threads_do_not_matter(void **state) {
    (void)state;
    motet_settings s = tiny("bf16");
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    motet_optimizer *one = make(&s);
    fill_gradients(one, 0.1f);
    double norm = step(one, &s, 1);
    omp_set_num_threads(3);
    motet_optimizer *three = make(&s);
    fill_gradients(three, 0.1f);
    assert_true(step(three, &s, 1) == norm);
    assert_same_masters(one, three, 1);
    fill_gradients(three, 0.2f);
    step(three, &s, 2);
    assert_same_masters(one, three, 0);
    omp_set_num_threads(threads);
    motet_optimizer_free(one);
    motet_optimizer_free(three);
}

static void test_output_bias(void **state) {
    (void)state;
    motet_settings s = tiny("f32");
    motet_optimizer *o = make(&s);
    int64_t *counts = calloc((size_t)motet_field_total(), sizeof *counts);
    counts[motet_field_offset(MOTET_FIELD_TYPE) + 1] = 95;
    assert_int_equal(motet_optimizer_output_bias(o, counts), MOTET_OK);
    for (int f = 0; f < MOTET_FIELDS; f++) {
        const float *bias = o->master->fields[f].bias.data;
        double total = 0;
        for (int i = 0; i < motet_field_size(f); i++)
            total += exp((double)bias[i]);
        assert_true(fabs(total - 1) < 1e-5);
    }
    const float *type = o->master->fields[MOTET_FIELD_TYPE].bias.data;
    assert_true(fabs(exp((double)type[1]) - 0.96) < 1e-6); /* (95 + 1) / (95 + 5) */
    free(counts);
    motet_optimizer_free(o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compute_set),   cmocka_unit_test(test_groups),
        cmocka_unit_test(test_norm_and_clip), cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_output_bias),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
