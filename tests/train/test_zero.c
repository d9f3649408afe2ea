/* Ranks that share a step: who owns what, and that N ranks do what one does, bit for bit, with and
 * without ZeRO, on the host's memory and on a device's. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "data/sha256.h"
#include "tests/harness_walled.h"
#include "tests/train/harness_ranks.h"
#include "tests/train/harness_run.h"
#include "train/evaluate.h"
#include "train/run_directory.h"
#include "train/train_loop.h"

/* ---- Who owns what. */

typedef struct shapes {
    motet_trained *list;
    int count;
} shapes;

static motet_status add_shape(void *user, const motet_parameter *p, motet_tensor *slot) {
    shapes *s = user;
    motet_trained *t = &s->list[s->count++];
    (void)slot;
    t->update = p->update;
    t->master =
        (motet_tensor){.dtype = MOTET_F32, .rank = p->rank, .dims = {p->dims[0], p->dims[1]}};
    return MOTET_OK;
}

static void load_of(double *least, double *most, double *dearest, const motet_zero_part *parts,
                    int count, const motet_trained *list, int ranks) {
    double load[64] = {0};
    *dearest = *most = 0, *least = INFINITY;
    for (int i = 0; i < count; i++) {
        const motet_trained *p = &list[parts[i].parameter];
        int muon = p->update == MOTET_UPDATE_MUON;
        double cost = muon ? motet_zero_cost(p->master.dims[0], p->master.dims[1])
                           : motet_zero_cost(parts[i].count, 0);
        load[parts[i].owner] += cost;
        *dearest = cost > *dearest ? cost : *dearest;
    }
    for (int r = 0; r < ranks; r++) {
        *least = load[r] < *least ? load[r] : *least;
        *most = load[r] > *most ? load[r] : *most;
    }
}

static void check_division(const shapes *s, int ranks, int *split) {
    motet_zero_part *parts, *one;
    int count, alone, next = 0;
    int64_t covered = 0;
    assert_int_equal(motet_zero_divide(&parts, &count, s->list, s->count, ranks), MOTET_OK);
    assert_int_equal(motet_zero_divide(&one, &alone, s->list, s->count, 1), MOTET_OK);
    assert_int_equal(count, alone);
    for (int i = 0; i < count; i++) {
        while (next < s->count && (s->list[next].update == MOTET_UPDATE_TEXT ||
                                   covered == motet_tensor_count(s->list[next].master)))
            next++, covered = 0;
        assert_int_equal(parts[i].parameter, next);
        assert_int_equal(parts[i].first, covered);
        assert_true(parts[i].count > 0 && parts[i].owner >= 0 && parts[i].owner < ranks);
        covered += parts[i].count;
        int whole = parts[i].count == motet_tensor_count(s->list[next].master);
        if (!whole) assert_int_equal(s->list[next].update, MOTET_UPDATE_ADAMW);
        *split += !whole;
        assert_int_equal(one[i].owner, 0);
        assert_int_equal(one[i].parameter, parts[i].parameter);
        assert_int_equal(one[i].first, parts[i].first);
        assert_int_equal(one[i].count, parts[i].count);
    }
    for (int i = next + 1; i < s->count; i++)
        assert_int_equal(s->list[i].update, MOTET_UPDATE_TEXT);
    double least, most, dearest;
    load_of(&least, &most, &dearest, parts, count, s->list, ranks);
    if (!(most - least <= dearest))
        fail_msg("loads of %g to %g, a part is %g", least, most, dearest);
    free(parts);
    free(one);
}

static void test_division(void **state) {
    (void)state;
    static const char *const configs[] = {"configs/tiny.ini", "configs/mini.ini",
                                          "configs/base.ini"};
    static const int worlds[] = {1, 2, 3, 4, 8, 64};
    motet_weights *weights = calloc(1, sizeof *weights);
    int split = 0;
    assert_non_null(weights);
    for (int c = 0; c < 4; c++) {
        motet_settings s;
        motet_settings_default(&s);
        if (c < 3) assert_int_equal(motet_settings_read_file(&s, configs[c]), MOTET_OK);
        if (c == 3) s.model_width = 8192, s.model_heads = 64;
        shapes list = {.list = calloc(4096, sizeof(motet_trained))};
        assert_non_null(list.list);
        assert_int_equal(motet_weights_visit(weights, &s, add_shape, &list), MOTET_OK);
        assert_true(list.count < 4096);
        for (int w = 0; w < 6; w++)
            check_division(&list, worlds[w], &split);
        free(list.list);
    }
    assert_true(split > 0);
    free(weights);
}

/* ---- A table larger than a block, which several ranks own together. */

/* Muon is not what is tested here, and slow at this width. */
static motet_status plain_descent(motet_tensor w, motet_tensor momentum, motet_tensor grad,
                                  const motet_muon_params *params, void *scratch,
                                  motet_matmul_fn *matmul, motet_dtype dtype) {
    (void)momentum, (void)scratch, (void)matmul, (void)dtype;
    float *to = w.data;
    const float *from = grad.data;
    for (int64_t i = 0; i < motet_tensor_count(w); i++)
        to[i] -= params->lr * params->grad_scale * from[i];
    return MOTET_OK;
}

static motet_settings wide_settings(void) {
    motet_settings s = run_settings(&run_group_place, "wide", "bf16");
    s.model_width = 1536;
    s.model_heads = 12;
    s.model_layers = 1;
    s.model_ffn = s.model_field_ffn = 16;
    s.train_clip = 0.01f;
    return s;
}

/* Two updates; *digest: of all masters and moments, of rank 0's after collecting. */
static motet_status wide_steps(char digest[MOTET_SHA256_HEX], motet_communicator *c, int *split) {
    motet_settings s = wide_settings();
    motet_backend backend = *motet_backend_cpu();
    motet_optimizer *o;
    backend.muon = plain_descent;
    MOTET_TRY(motet_optimizer_make_rank(&o, &s, NULL, &motet_host_memory, c));
    *split = o->piece_count;
    for (int i = 0; i < o->count; i++)
        *split -= o->parameters[i].update != MOTET_UPDATE_TEXT;
    motet_buckets *buckets;
    MOTET_TRY(motet_buckets_make(&buckets, o, NULL, &backend, 1 << 20, 1));
    MOTET_TRY(motet_optimizer_refresh(o, &backend, 1));
    for (int step = 1; step <= 2; step++) {
        double norm;
        for (int i = 0; i < o->count; i++) {
            motet_tensor g = o->parameters[i].gradient;
            for (int64_t k = 0; g.data && k < motet_tensor_count(g); k++)
                ((float *)g.data)[k] = (float)((k * 7 + i * 13 + step) % 31 - 15) * 1e-3f;
            /* Each rank has its share: the sum is exact. */
            for (int64_t k = 0; g.data && k < motet_tensor_count(g); k++)
                ((float *)g.data)[k] *= 1.0f / (float)c->ranks;
        }
        MOTET_TRY(motet_buckets_finish(buckets));
        MOTET_TRY(motet_optimizer_norm(&norm, o, &backend));
        MOTET_TRY(motet_optimizer_step(o, &backend, &s, step, 1, norm));
    }
    MOTET_TRY(motet_zero_gather_masters(o));
    MOTET_TRY(motet_zero_collect_moments(o));
    motet_sha256 hash;
    motet_sha256_init(&hash);
    for (int i = 0; i < o->count && c->rank == 0; i++) {
        const motet_trained *p = &o->parameters[i];
        const motet_tensor all[] = {p->master, p->compute, p->first, p->second};
        for (int k = 0; k < 4; k++)
            if (all[k].data)
                motet_sha256_update(&hash, all[k].data,
                                    (size_t)motet_tensor_count(all[k]) *
                                        motet_dtype_bytes(all[k].dtype));
    }
    unsigned char raw[MOTET_SHA256_BYTES];
    motet_sha256_final(raw, &hash);
    motet_sha256_hex(digest, raw);
    motet_zero_release_moments(o);
    motet_buckets_free(buckets);
    motet_optimizer_free(o);
    return MOTET_OK;
}

typedef struct digests {
    char text[2][MOTET_SHA256_HEX];
    int split;
} digests;

static int wide_rank(motet_communicator *communicator, void *user) {
    digests *d = user;
    char text[MOTET_SHA256_HEX];
    int split;
    RANK_CHECK(wide_steps(text, communicator, &split) == MOTET_OK);
    if (communicator->rank == 0) {
        memcpy(d->text[communicator->ranks > 1], text, sizeof text);
        d->split = split;
    }
    return 1;
}

static void test_split_table(void **state) {
    (void)state;
    digests *d = ranks_share(sizeof *d);
    ranks_run(1, motet_backend_cpu(), 0, 60, wide_rank, d);
    ranks_run(2, motet_backend_cpu(), 0, 60, wide_rank, d);
    assert_true(d->split > 0);
    assert_int_equal(strlen(d->text[0]), 64);
    assert_string_equal(d->text[0], d->text[1]);
    ranks_unshare(d, sizeof *d);
}

/* ---- Whole runs. */

enum { STEPS = 3 };

typedef struct job {
    motet_settings settings;
    const motet_backend *backend;
    char from[PATH_MAX]; /* resume */
    motet_step_report reports[STEPS];
    motet_losses evaluation;
    int64_t moment_bytes[8];
} job;

static int one_run(motet_communicator *communicator, void *user) {
    job *j = user;
    motet_training t;
    motet_communicator *c = communicator;
    RANK_CHECK(motet_training_open_rank(&t, &j->settings, j->backend, c, "p") == MOTET_OK);
    if (j->backend == motet_backend_cpu()) t.backend.matmul = motet_cpu_matmul; /* as walled */
    j->moment_bytes[c->rank] = (int64_t)motet_optimizer_memory(t.optimizer).moments;
    if (!*j->from)
        for (int i = 0; i < STEPS; i++) {
            motet_step_report report;
            RANK_CHECK(motet_training_step(&report, &t) == MOTET_OK && !report.skipped);
            if (c->rank == 0) j->reports[i] = report;
        }
    motet_losses losses;
    RANK_CHECK(motet_evaluate(&losses, &t) == MOTET_OK);
    if (c->rank == c->ranks - 1) j->evaluation = losses;
    motet_loop_options options = {.resume = *j->from ? j->from : NULL};
    RANK_CHECK(motet_train_loop(NULL, &t, &options) == MOTET_OK);
    motet_training_close(&t);
    return 1;
}

static job *make_job(const char *name, const char *dtype, int accumulate, int shard,
                     const motet_backend *backend) {
    job *j = ranks_share(sizeof *j);
    j->settings = run_settings(&run_group_place, name, dtype);
    j->settings.train_rows = 64;
    j->settings.train_accumulate = accumulate;
    j->settings.train_steps = 5;
    j->settings.train_eval_batches = 3;
    j->settings.train_shard = shard;
    j->settings.train_threads = 1;
    j->backend = backend;
    return j;
}

static job *run_job(const char *name, const char *dtype, int accumulate, int shard, int ranks,
                    const motet_backend *backend) {
    job *j = make_job(name, dtype, accumulate, shard, backend);
    ranks_run(ranks, backend, 0, 60, one_run, j);
    return j;
}

static void assert_same_jobs(const job *a, const job *b) {
    assert_memory_equal(a->reports, b->reports, sizeof a->reports);
    assert_memory_equal(&a->evaluation, &b->evaluation, sizeof a->evaluation);
    run_assert_same(&a->settings, &b->settings);
}

static void free_job(job *j) {
    ranks_unshare(j, sizeof *j);
}

static void test_ranks_are_one(void **state) {
    (void)state;
    const motet_backend *cpu = motet_backend_cpu();
    static const char *const dtypes[] = {"f32", "bf16"};
    for (int d = 0; d < 2; d++) {
        char name[32];
        snprintf(name, sizeof name, "one-%s", dtypes[d]);
        job *one = run_job(name, dtypes[d], 4, 1, 1, cpu);
        for (int ranks = d ? 4 : 2; ranks <= 4; ranks += 2)
            for (int shard = d; shard < 2; shard++) {
                snprintf(name, sizeof name, "r%d-%d-%s", ranks, shard, dtypes[d]);
                job *many = run_job(name, dtypes[d], 4, shard, ranks, cpu);
                assert_same_jobs(one, many);
                int64_t sum = 0;
                for (int r = 0; r < ranks; r++) {
                    sum += many->moment_bytes[r];
                    if (!shard) assert_int_equal(many->moment_bytes[r], one->moment_bytes[0]);
                }
                if (shard) assert_int_equal(sum, one->moment_bytes[0]);
                free_job(many);
            }
        free_job(one);
    }
}

/* Three ranks add in another order than one: close, and ZeRO still equals plain. */
static void test_three_ranks(void **state) {
    (void)state;
    const motet_backend *cpu = motet_backend_cpu();
    job *one = run_job("three-one", "f32", 6, 1, 1, cpu);
    job *zero = run_job("three-zero", "f32", 6, 1, 3, cpu);
    job *plain = run_job("three-plain", "f32", 6, 0, 3, cpu);
    assert_same_jobs(zero, plain);
    for (int i = 0; i < STEPS; i++) {
        double a = motet_losses_per_event(&one->reports[i].losses);
        double b = motet_losses_per_event(&zero->reports[i].losses);
        if (!(fabs(a - b) <= 1e-4 * a)) fail_msg("step %d: %.9g of one, %.9g of three", i, a, b);
    }
    free_job(one);
    free_job(zero);
    free_job(plain);
}

static void test_device_memory(void **state) {
    (void)state;
    const motet_backend *walled = motet_walled_backend(0);
    job *one = run_job("walled-one", "bf16", 2, 1, 1, motet_backend_cpu());
    job *zero = run_job("walled-zero", "bf16", 2, 1, 2, walled);
    job *plain = run_job("walled-plain", "bf16", 2, 0, 2, walled);
    assert_same_jobs(one, zero);
    assert_same_jobs(one, plain);
    free_job(one);
    free_job(zero);
    free_job(plain);
}

/* A checkpoint of four ranks goes on on two and on one, at the same samples, to the same weights.
 */
static void test_resume_elsewhere(void **state) {
    (void)state;
    const motet_backend *cpu = motet_backend_cpu();
    job *four = run_job("from-four", "bf16", 4, 1, 4, cpu);
    job *goes_on[3];
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "on-%d", 1 << i);
        goes_on[i] = make_job(name, "bf16", 4, i != 1, cpu);
        goes_on[i]->settings.train_steps = 7;
        assert_int_equal(motet_run_directory_latest(goes_on[i]->from, four->settings.run_dir),
                         MOTET_OK);
        ranks_run(1 << i, cpu, 0, 60, one_run, goes_on[i]);
    }
    run_assert_same(&goes_on[0]->settings, &goes_on[1]->settings);
    run_assert_same(&goes_on[0]->settings, &goes_on[2]->settings);
    for (int i = 0; i < 3; i++)
        free_job(goes_on[i]);
    free_job(four);
}

/* ---- What is refused, by every rank alike. */

static int refused(motet_communicator *communicator, void *user) {
    motet_settings s = *(motet_settings *)user;
    motet_training t;
    motet_communicator *c = communicator;
    RANK_CHECK(motet_training_open_rank(&t, &s, motet_backend_cpu(), c, "p") == MOTET_E_USAGE);
    RANK_CHECK(strstr(motet_error(), "train.accumulate = 1") && strstr(motet_error(), "2 ranks"));
    s.train_accumulate = 2;
    if (c->rank == 1) s.train_seed++;
    RANK_CHECK(motet_training_open_rank(&t, &s, motet_backend_cpu(), c, "p") == MOTET_E_USAGE);
    RANK_CHECK(strstr(motet_error(), "rank 1") && strstr(motet_error(), "seed = 1") &&
               strstr(motet_error(), "seed = 2"));
    s.train_seed = 1;
    const char *program = c->rank ? "abc" : "def";
    RANK_CHECK(motet_training_open_rank(&t, &s, motet_backend_cpu(), c, program) == MOTET_E_USAGE);
    RANK_CHECK(strstr(motet_error(), "program SHA-256 abc") && strstr(motet_error(), "def"));
    if (c->rank == 1) snprintf(s.data_corpus, sizeof s.data_corpus, "nowhere.h5");
    RANK_CHECK(motet_training_open_rank(&t, &s, motet_backend_cpu(), c, "p") != MOTET_OK);
    RANK_CHECK(strstr(motet_error(), "rank 1") && strstr(motet_error(), "nowhere.h5"));
    return 1;
}

static void test_refusals(void **state) {
    (void)state;
    motet_settings s = run_settings(&run_group_place, "refused", "f32");
    ranks_run(2, motet_backend_cpu(), 0, 60, refused, &s);
}

/* Rank 0 cannot write: all end, with its sentence. */
static int cannot_write(motet_communicator *communicator, void *user) {
    motet_settings *s = user;
    motet_training t;
    motet_loop_options options = {0};
    RANK_CHECK(motet_training_open_rank(&t, s, motet_backend_cpu(), communicator, "p") == MOTET_OK);
    RANK_CHECK(motet_train_loop(NULL, &t, &options) == MOTET_E_IO);
    RANK_CHECK(strstr(motet_error(), "rank 0: ") && communicator->agreed);
    motet_training_close(&t);
    return 1;
}

static void test_cannot_write(void **state) {
    (void)state;
    motet_settings s = run_settings(&run_group_place, "x", "f32");
    s.train_accumulate = 2;
    snprintf(s.run_dir, sizeof s.run_dir, "/proc/motet");
    ranks_run(2, motet_backend_cpu(), 0, 60, cannot_write, &s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_division),      cmocka_unit_test(test_split_table),
        cmocka_unit_test(test_ranks_are_one), cmocka_unit_test(test_three_ranks),
        cmocka_unit_test(test_device_memory), cmocka_unit_test(test_resume_elsewhere),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_cannot_write),
    };
    return cmocka_run_group_tests_name("zero", tests, run_group_setup, run_group_teardown);
}
