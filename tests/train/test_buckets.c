/* Gradients that travel while the backward pass runs: the bits of those that wait for its end, on
 * any number of ranks, in buckets of any size; what is final is said once, in the order of travel;
 * a bucket does not wait for the others; a failure of the thread is the step's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/harness_walled.h"
#include "tests/train/harness_ranks.h"
#include "tests/train/harness_run.h"
#include "train/train_loop.h"

/* ---- Whole runs. */

typedef struct job {
    motet_settings settings;
    const motet_backend *backend;
    int buckets;
    int64_t sent;
} job;

static int one_run(motet_communicator *communicator, void *user) {
    job *j = user;
    motet_training t;
    motet_loop_options options = {0};
    RANK_CHECK(motet_training_open_rank(&t, &j->settings, j->backend, communicator, "p") ==
               MOTET_OK);
    if (j->backend == motet_backend_cpu()) t.backend.matmul = motet_cpu_matmul; /* as walled */
    RANK_CHECK(motet_train_loop(NULL, &t, &options) == MOTET_OK);
    if (communicator->rank == 0) {
        double busy, waited;
        motet_buckets_seconds(&busy, &waited, t.buckets);
        int beside = communicator->ranks > 1 && j->settings.train_overlap &&
                     j->backend == motet_backend_cpu();
        RANK_CHECK((busy > 0) == beside && waited >= 0);
        j->buckets = motet_buckets_count(t.buckets);
        j->sent = communicator->sent_bytes;
    }
    motet_training_close(&t);
    return 1;
}

typedef struct trial {
    int ranks, accumulate, shard, overlap;
    float bucket_mb;
} trial;

static job *run_trial(const trial *c, const char *dtype, const motet_backend *backend) {
    job *j = ranks_share(sizeof *j);
    char name[80];
    snprintf(name, sizeof name, "%d-%d-%d-%d-%g-%s-%s", c->ranks, c->accumulate, c->shard,
             c->overlap, (double)c->bucket_mb, dtype, backend->name);
    j->settings = run_settings(&run_group_place, name, dtype);
    j->settings.train_rows = 64;
    j->settings.train_steps = 3;
    j->settings.train_threads = 1;
    j->settings.train_accumulate = c->accumulate;
    j->settings.train_shard = c->shard;
    j->settings.train_overlap = c->overlap;
    j->settings.train_bucket_mb = c->bucket_mb;
    j->backend = backend;
    ranks_run(c->ranks, backend, 0, 60, one_run, j);
    return j;
}

static void same_as(const job *base, const trial *c, const char *dtype,
                    const motet_backend *backend, int least_buckets) {
    job *j = run_trial(c, dtype, backend);
    run_assert_same(&base->settings, &j->settings);
    if (j->buckets < least_buckets) fail_msg("%d buckets", j->buckets);
    ranks_unshare(j, sizeof *j);
}

static void test_same_bits(void **state) {
    (void)state;
    const motet_backend *cpu = motet_backend_cpu();
    job *one = run_trial(&(trial){1, 4, 1, 1, 25}, "bf16", cpu);
    assert_int_equal(one->buckets, 0);
    static const trial trials[] = {
        {2, 4, 1, 1, 0.02f},                                            /* one level of the tree */
        {2, 4, 0, 1, 0.02f}, {2, 4, 0, 0, 0.05f}, {4, 4, 1, 1, 0.001f}, /* none */
        {4, 4, 1, 0, 25},
    };
    static const int least[] = {5, 5, 3, 50, 1};
    for (int i = 0; i < 5; i++)
        same_as(one, &trials[i], "bf16", cpu, least[i]);
    ranks_unshare(one, sizeof *one);
}

/* Three ranks with two micro-batches each, f32: all ways of travel give the same sums. */
static void test_three_ranks(void **state) {
    (void)state;
    const motet_backend *cpu = motet_backend_cpu();
    job *base = run_trial(&(trial){3, 6, 1, 0, 25}, "f32", cpu);
    same_as(base, &(trial){3, 6, 1, 1, 0.01f}, "f32", cpu, 5);
    same_as(base, &(trial){3, 6, 0, 1, 0.1f}, "f32", cpu, 2);
    ranks_unshare(base, sizeof *base);
}

/* A back-end that cannot work beside itself waits for the end of the pass. */
static void test_device_memory(void **state) {
    (void)state;
    job *base = run_trial(&(trial){2, 2, 1, 1, 25}, "bf16", motet_backend_cpu());
    same_as(base, &(trial){2, 2, 1, 1, 0.02f}, "bf16", motet_walled_backend(0), 5);
    ranks_unshare(base, sizeof *base);
}

/* ---- What a pass says. */

typedef struct record {
    const motet_optimizer *optimizer;
    int said[512], count;
} record;

static motet_status note(void *user, const motet_tensor *gradients, int count) {
    record *r = user;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < r->optimizer->count; k++)
            if (gradients[i].data && gradients[i].data == r->optimizer->parameters[k].gradient.data)
                r->said[r->count++] = k;
    return MOTET_OK;
}

static int position(const record *r, const char *name) {
    for (int i = 0; i < r->count; i++)
        if (!strcmp(r->optimizer->parameters[r->said[i]].name, name)) return i;
    fail_msg("%s was not said to be final", name);
    return -1;
}

static void test_said_once(void **state) {
    (void)state;
    motet_training t;
    motet_settings s = run_settings(&run_group_place, "said", "f32");
    record *r = calloc(1, sizeof *r);
    motet_losses losses = {0};
    assert_non_null(r);
    assert_int_equal(motet_training_open(&t, &s, motet_backend_cpu()), MOTET_OK);
    r->optimizer = t.optimizer;
    assert_int_equal(motet_loader_batch(&t.batch, t.train, 0, 0), MOTET_OK);
    assert_int_equal(
        motet_model_input_build(&t.input, &t.batch, t.encoder.tokenizer, &t.settings, 0, 0, 1),
        MOTET_OK);
    assert_true(t.input.texts > 0);
    motet_gradient_tell(t.gradient, &(motet_gradient_hook){note, r});
    assert_int_equal(motet_gradient_run(&losses, t.optimizer->gradients, t.gradient, &t.backend,
                                        t.optimizer->compute, &t.settings, &t.input, 1),
                     MOTET_OK);
    int late = 0; /* the memory's are not said: the pass ends with them */
    for (int k = 0; k < t.optimizer->count; k++) {
        const motet_trained *p = &t.optimizer->parameters[k];
        int times = 0;
        for (int i = 0; i < r->count; i++)
            times += r->said[i] == k;
        int memory = !strncmp(p->name, "memory.", 7);
        late += memory;
        assert_int_equal(times, p->gradient.data && !memory);
    }
    assert_int_equal(late, 3);
    static const char *const order[] = {
        "attributes.queries", "fields.type.norm", "fields.velocity.out", "fields.values",
        "score.state_norm",   "score.1.down",     "score.0.qkv",         "score.events"};
    for (int i = 0; i + 1 < 8; i++)
        assert_true(position(r, order[i]) < position(r, order[i + 1]));
    motet_gradient_tell(t.gradient, NULL);
    motet_training_close(&t);
    free(r);
}

/* ---- Bucket by bucket. */

static int make_alone(motet_buckets **b, motet_optimizer **o, const motet_settings *s,
                      motet_communicator *communicator) {
    const motet_backend *cpu = motet_backend_cpu();
    RANK_CHECK(motet_optimizer_make_rank(o, s, NULL, &motet_host_memory, communicator) == MOTET_OK);
    RANK_CHECK(motet_buckets_make(b, *o, NULL, cpu, 4096, 1) == MOTET_OK);
    RANK_CHECK(motet_buckets_count(*b) > 5);
    return 1;
}

static void nap(void) {
    nanosleep(&(struct timespec){0, 1000000}, NULL);
}

/* The first bucket is reduced while no other gradient is final. */
static int goes_at_once(motet_communicator *communicator, void *user) {
    motet_optimizer *o;
    motet_buckets *b;
    if (!make_alone(&b, &o, user, communicator)) return 0;
    motet_gradient_hook hook = motet_buckets_hook(b);
    for (int step = 0; step < 2; step++) {
        for (int i = 0; i < o->count; i++)
            for (int64_t k = 0; k < motet_tensor_count(o->parameters[i].gradient); k++)
                if (o->parameters[i].gradient.data)
                    ((float *)o->parameters[i].gradient.data)[k] = (float)(i + communicator->rank);
        int64_t before = communicator->sent_bytes + communicator->received_bytes;
        RANK_CHECK(MOTET_IS_FINAL(&hook, &o->gradients->attributes) == MOTET_OK);
        for (int i = 0; i < 10000; i++, nap()) {
            if (*(volatile int64_t *)&communicator->sent_bytes +
                    *(volatile int64_t *)&communicator->received_bytes >
                before)
                break;
            RANK_CHECK(i < 9999);
        }
        RANK_CHECK(motet_buckets_finish(b) == MOTET_OK);
        for (int i = 0; i < o->piece_count; i++) {
            float expected = (float)(2 * o->parts[i].parameter + 1);
            const float *sum = o->pieces[i].gradient.data;
            if (o->parts[i].owner == communicator->rank) RANK_CHECK(*sum == expected);
        }
    }
    motet_buckets_free(b);
    motet_optimizer_free(o);
    return 1;
}

static void test_goes_at_once(void **state) {
    (void)state;
    motet_settings s = run_settings(&run_group_place, "once", "f32");
    ranks_run(2, motet_backend_cpu(), 0, 60, goes_at_once, &s);
}

static int one_is_missing(motet_communicator *communicator, void *user) {
    motet_optimizer *o;
    motet_buckets *b;
    if (!make_alone(&b, &o, user, communicator)) return 0;
    if (communicator->rank == 0) {
        RANK_CHECK(motet_buckets_finish(b) == MOTET_E_IO);
        RANK_CHECK(strstr(motet_error(), "rank 1"));
    }
    motet_buckets_free(b);
    motet_optimizer_free(o);
    return 1;
}

static void test_missing(void **state) {
    (void)state;
    motet_settings s = run_settings(&run_group_place, "missing", "f32");
    ranks_run(2, motet_backend_cpu(), 0, 0.2, one_is_missing, &s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),     cmocka_unit_test(test_three_ranks),
        cmocka_unit_test(test_device_memory), cmocka_unit_test(test_goes_at_once),
        cmocka_unit_test(test_missing),       cmocka_unit_test(test_said_once),
    };
    return cmocka_run_group_tests_name("buckets", tests, run_group_setup, run_group_teardown);
}
