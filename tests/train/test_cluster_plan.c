/* What a plan says of a rank is what the rank has and does: memory exactly its arenas, bytes
 * on the wire exactly the communicator's, on one to four ranks. And that tables of up to 1,024
 * ranks add up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/train/harness_ranks.h"
#include "tests/train/harness_run.h"
#include "train/cluster_plan.h"

enum { MOST = 4, STEPS = 2 };

typedef struct job {
    motet_settings settings, used; /* used: the vocabulary is learnt from the captions */
    motet_plan_memory memory[MOST];
    motet_traffic traffic[MOST];
} job;

static int one_rank(motet_communicator *communicator, void *user) {
    job *j = user;
    motet_training t;
    motet_communicator *c = communicator;
    RANK_CHECK(motet_training_open_rank(&t, &j->settings, motet_backend_cpu(), c, "p") == MOTET_OK);
    motet_optimizer_bytes o = motet_optimizer_memory(t.optimizer);
    motet_plan_memory *m = &j->memory[c->rank];
    *m = (motet_plan_memory){.masters = (int64_t)o.master,
                             .gradients = (int64_t)o.gradients,
                             .moments = (int64_t)o.moments,
                             .compute = (int64_t)o.compute,
                             .activations = motet_gradient_bytes(t.gradient),
                             .input = (int64_t)t.input_memory.size};
    for (int i = 0; i < t.tree.levels; i++)
        m->sums += (int64_t)t.tree.arenas[i].size;
    if (c->ranks > 1) m->staging = (int64_t)c->slot_bytes * c->ranks;
    for (int i = 0; i < STEPS; i++) {
        motet_step_report report;
        RANK_CHECK(motet_training_step(&report, &t) == MOTET_OK && !report.skipped);
    }
    j->traffic[c->rank] = t.traffic;
    if (c->rank == 0) j->used = t.settings;
    motet_training_close(&t);
    return 1;
}

static void same(const char *what, int64_t planned, int64_t measured) {
    if (planned != measured)
        fail_msg("%s: %lld planned, %lld measured", what, (long long)planned, (long long)measured);
}

static void compare(const job *j, int ranks) {
    const motet_machine *cpu;
    assert_int_equal(motet_machine_find(&cpu, "cpu"), MOTET_OK);
    for (int r = 0; r < ranks; r++) {
        motet_plan_memory p;
        int64_t sent, received;
        const motet_plan_memory *m = &j->memory[r];
        assert_int_equal(motet_cluster_plan_rank(&p, &sent, &received, &j->used, cpu, r, ranks,
                                                 j->settings.train_threads),
                         MOTET_OK);
        same("masters", p.masters, m->masters);
        same("gradients", p.gradients, m->gradients);
        same("sums", p.sums, m->sums);
        same("moments", p.moments, m->moments);
        same("compute", p.compute, m->compute);
        same("activations", p.activations, m->activations);
        same("input", p.input, m->input);
        assert_int_equal(p.staging, m->staging);
        assert_int_equal(STEPS * sent, j->traffic[r].sent_bytes);
        assert_int_equal(STEPS * received, j->traffic[r].received_bytes);
        assert_int_equal(sent > 0, ranks > 1);
    }
}

static void test_measured(void **state) {
    (void)state;
    static const struct {
        int ranks, accumulate, shard, overlap;
        const char *dtype;
    } cases[] = {
        {1, 4, 1, 1, "bf16"}, {2, 4, 1, 1, "bf16"}, {2, 2, 0, 0, "f32"},
        {3, 6, 1, 0, "f32"},  {4, 4, 1, 1, "f32"},  {4, 8, 0, 1, "bf16"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        job *j = ranks_share(sizeof *j);
        j->settings = run_settings(&run_group_place, "plan", cases[i].dtype);
        j->settings.train_rows = 64;
        j->settings.train_threads = 1;
        j->settings.train_accumulate = cases[i].accumulate;
        j->settings.train_shard = cases[i].shard;
        j->settings.train_overlap = cases[i].overlap;
        j->settings.train_bucket_mb = 0.05f;
        ranks_run(cases[i].ranks, motet_backend_cpu(), 0, 60, one_rank, j);
        compare(j, cases[i].ranks);
        ranks_unshare(j, sizeof *j);
    }
}

/* ---- Tables. */

static void check_rows(const motet_cluster_plan *p, const motet_settings *s) {
    for (int i = 0; i < p->count; i++) {
        const motet_plan_row *r = &p->rows[i];
        const motet_plan_memory *m = &r->memory;
        assert_int_equal(r->ranks, r->nodes * r->ranks_a_node);
        assert_int_equal(r->accumulate % r->ranks, 0);
        assert_true(r->accumulate >= s->train_accumulate &&
                    r->accumulate < s->train_accumulate + r->ranks);
        assert_int_equal(r->bytes, m->masters + m->gradients + m->sums + m->moments + m->compute +
                                       m->activations + m->input + m->staging);
        assert_true(r->exposed_s >= 0 && r->exposed_s <= r->comm_s + 1e-12);
        double step = r->compute_s + r->update_s + r->exposed_s;
        assert_true(step > 0 && r->step_s >= step * 0.999999 && r->step_s <= step * 1.000001);
        if (i == 0) continue;
        assert_true(r->ranks > p->rows[i - 1].ranks && r->sent > 0);
        assert_true(m->moments <= p->rows[i - 1].memory.moments);
        assert_true(r->update_s <= p->rows[i - 1].update_s * 1.000001);
    }
}

static void test_tables(void **state) {
    (void)state;
    static const char *const configs[] = {"configs/mini.ini", "configs/base.ini"};
    const motet_machine *h100;
    assert_int_equal(motet_machine_find(&h100, "h100"), MOTET_OK);
    for (int i = 0; i < 2; i++) {
        motet_settings s;
        motet_cluster_plan p, waits;
        motet_settings_default(&s);
        assert_int_equal(motet_settings_read_file(&s, configs[i]), MOTET_OK);
        assert_int_equal(motet_cluster_plan_make(&p, &s, h100, 128, 8, 1), MOTET_OK);
        assert_int_equal(p.count, 11);
        assert_int_equal(p.rows[10].ranks, 1024);
        check_rows(&p, &s);
        s.train_overlap = 0;
        assert_int_equal(motet_cluster_plan_make(&waits, &s, h100, 128, 8, 1), MOTET_OK);
        for (int k = 1; k < p.count; k++) {
            assert_int_equal(p.rows[k].sent, waits.rows[k].sent);
            assert_true(waits.rows[k].exposed_s >= p.rows[k].exposed_s);
        }
        motet_cluster_plan_free(&p);
        motet_cluster_plan_free(&waits);
    }
}

static void test_text(void **state) {
    (void)state;
    motet_settings s;
    char *text;
    motet_settings_default(&s);
    assert_int_equal(motet_cluster_plan_print(&text, &s, "3x4", NULL, 0), MOTET_OK);
    assert_non_null(strstr(text, " 1x4 "));
    assert_non_null(strstr(text, " 3x4 "));
    assert_non_null(strstr(text, "datasheet"));
    free(text);
    assert_int_equal(motet_cluster_plan_print(&text, &s, "2", "cpu", 1), MOTET_OK);
    json_t *all = json_loads(text, 0, NULL);
    assert_non_null(all);
    assert_string_equal(json_string_value(json_object_get(all, "machine")), "cpu");
    json_t *rows = json_object_get(all, "rows");
    assert_int_equal(json_array_size(rows), 2);
    json_t *last = json_array_get(rows, 1);
    assert_int_equal(json_integer_value(json_object_get(last, "ranks")), 2);
    assert_true(json_integer_value(json_object_get(last, "sent_bytes")) > 0);
    json_decref(all);
    free(text);
}

static void test_wrong(void **state) {
    (void)state;
    static const char *const sizes[] = {"", "0x8", "8x", "x8", "2x2x2", "-1x4", "8192", "100x100"};
    motet_settings s;
    char *text;
    int nodes, ranks;
    motet_settings_default(&s);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_int_equal(motet_cluster_plan_size(&nodes, &ranks, sizes[i]), MOTET_E_USAGE);
    assert_int_equal(motet_cluster_plan_size(&nodes, &ranks, "16x8"), MOTET_OK);
    assert_int_equal(nodes, 16);
    assert_int_equal(ranks, 8);
    assert_int_equal(motet_cluster_plan_print(&text, &s, "2x2", "abacus", 0), MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "h100, cpu"));
    assert_null(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measured),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_wrong),
    };
    return cmocka_run_group_tests_name("cluster_plan", tests, run_group_setup, run_group_teardown);
}
