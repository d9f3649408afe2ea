#include "train/buckets.h"

#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct bucket {
    int first, count; /* of the list of parts */
    int missing;      /* parameters of it that are not final yet in this step */
    void *mark;       /* when they were */
} bucket;

struct motet_buckets {
    motet_optimizer *optimizer;
    motet_gradient_tree *tree;
    motet_backend backend;
    motet_part *parts; /* in the order of travel */
    bucket *list;
    int count, part_count;
    int *order;      /* [optimizer->count] parameters as they become final; frozen ones are not */
    int order_count; /* in it */
    int *from, *to;  /* [optimizer->count] buckets that hold the parameter, both included */
    char *final;     /* [optimizer->count] */
    int next;        /* bucket that is to be handed over */
    int overlap;     /* there is a thread */
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    int ready, done; /* buckets handed over, and sent */
    int quits;
    motet_status status;
    char sentence[512]; /* errors are thread-local: carried over by hand */
    double busy, waited;
};

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- What goes when. */

static int begins(const motet_trained *p, const char *prefix) {
    return !strncmp(p->name, prefix, strlen(prefix));
}

/* The backward pass: heads of the attributes, of the fields one after another, the table that the
 * fields share, then from the last layer to the first and to the memory. */
static int stage_of(const motet_trained *p) {
    if (begins(p, "attributes.")) return 0;
    if (!begins(p, "fields.")) return 3;
    return begins(p, "fields.values") ? 2 : 1;
}

static void choose_order(motet_buckets *b) {
    const motet_optimizer *o = b->optimizer;
    for (int stage = 0; stage < 4; stage++)
        for (int k = 0; k < o->count; k++) {
            int i = stage == 3 ? o->count - 1 - k : k;
            const motet_trained *p = &o->parameters[i];
            if (p->gradient.data && stage_of(p) == stage) b->order[b->order_count++] = i;
        }
}

static void add_part(motet_buckets *b, const motet_zero_part *part, int64_t bucket_bytes,
                     int64_t *bytes) {
    const motet_trained *p = &b->optimizer->parameters[part->parameter];
    bucket *last = &b->list[b->count - 1];
    float *data = (float *)p->gradient.data + part->first;
    if (*bytes >= bucket_bytes) {
        last = &b->list[b->count++];
        *last = (bucket){.first = b->part_count};
        *bytes = 0;
    }
    if (b->from[part->parameter] < 0) b->from[part->parameter] = b->count - 1;
    b->to[part->parameter] = b->count - 1;
    b->parts[b->part_count++] = (motet_part){data, part->count, part->owner};
    last->count++;
    *bytes += part->count * (int64_t)sizeof(float);
}

static void fill(motet_buckets *b, const motet_zero_part *parts, int count, int64_t bucket_bytes) {
    int64_t bytes = 0;
    for (int i = 0; i < b->optimizer->count; i++)
        b->from[i] = b->to[i] = -1;
    b->count = 1;
    for (int k = 0; k < b->order_count; k++)
        for (int i = 0; i < count; i++)
            if (parts[i].parameter == b->order[k]) add_part(b, &parts[i], bucket_bytes, &bytes);
}

/* For the next step. */
static void rewind_buckets(motet_buckets *b) {
    for (int i = 0; i < b->count; i++)
        b->list[i].missing = 0;
    for (int i = 0; i < b->optimizer->count; i++)
        for (int k = b->from[i]; k >= 0 && k <= b->to[i]; k++)
            b->list[k].missing++;
    memset(b->final, 0, (size_t)b->optimizer->count);
    pthread_mutex_lock(&b->lock);
    b->next = b->ready = b->done = 0;
    pthread_mutex_unlock(&b->lock);
}

/* ---- One bucket. */

static motet_status send_bucket(motet_buckets *b, const bucket *one) {
    motet_communicator *c = b->optimizer->communicator;
    motet_part *parts = b->parts + one->first;
    MOTET_TRY(motet_communicator_reduce_scatter(c, parts, one->count, MOTET_WIRE_F32));
    if (b->optimizer->sharded) return MOTET_OK;
    return motet_communicator_all_gather(c, parts, one->count, MOTET_WIRE_F32);
}

static motet_status send_beside(motet_buckets *b, const bucket *one) {
    if (b->backend.memory->await) MOTET_TRY(b->backend.memory->await(one->mark));
    MOTET_TRY(send_bucket(b, one));
    return b->backend.memory->synchronize(); /* the last sums, before others read them */
}

static void work(motet_buckets *b) {
    pthread_mutex_lock(&b->lock);
    for (;;) {
        while (!b->quits && (b->done == b->ready || b->status != MOTET_OK))
            pthread_cond_wait(&b->changed, &b->lock);
        if (b->quits) break;
        const bucket *one = &b->list[b->done];
        pthread_mutex_unlock(&b->lock);
        double before = b->optimizer->communicator->seconds;
        motet_status status = send_beside(b, one);
        double took = b->optimizer->communicator->seconds - before;
        pthread_mutex_lock(&b->lock);
        b->busy += took;
        b->done++;
        if (status != MOTET_OK) {
            b->status = status;
            snprintf(b->sentence, sizeof b->sentence, "%s", motet_error());
        }
        pthread_cond_broadcast(&b->changed);
    }
    pthread_mutex_unlock(&b->lock);
}

static void *run(void *user) {
    motet_buckets *b = user;
    const motet_memory *memory = b->backend.memory;
    omp_set_num_threads(1); /* of this thread: the others compute */
    motet_status status = memory->branch(1);
    if (status != MOTET_OK) {
        pthread_mutex_lock(&b->lock);
        b->status = status;
        snprintf(b->sentence, sizeof b->sentence, "%s", motet_error());
        pthread_mutex_unlock(&b->lock);
    }
    work(b);
    if (status == MOTET_OK) (void)memory->branch(0);
    return NULL;
}

/* ---- Making. */

static motet_status make(motet_buckets *b, int64_t bucket_bytes) {
    motet_optimizer *o = b->optimizer;
    size_t count = (size_t)o->count + 1;
    b->order = calloc(count, sizeof *b->order);
    b->from = calloc(count, sizeof *b->from);
    b->to = calloc(count, sizeof *b->to);
    b->final = calloc(count, 1);
    b->parts = calloc((size_t)o->piece_count + 1, sizeof *b->parts);
    b->list = calloc((size_t)o->piece_count + 1, sizeof *b->list);
    if (!b->order || !b->from || !b->to || !b->final || !b->parts || !b->list)
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the buckets of gradients");
    choose_order(b);
    motet_zero_part *parts;
    int part_count;
    MOTET_TRY(
        motet_zero_divide(&parts, &part_count, o->parameters, o->count, o->communicator->ranks));
    fill(b, parts, part_count, bucket_bytes);
    free(parts);
    rewind_buckets(b);
    if (!b->overlap) return MOTET_OK;
    b->overlap = pthread_create(&b->thread, NULL, run, b) == 0;
    return b->overlap ? MOTET_OK : MOTET_FAIL(MOTET_E_MEMORY, "no thread to send gradients");
}

motet_status motet_buckets_make(motet_buckets **buckets, motet_optimizer *optimizer,
                                motet_gradient_tree *tree, const motet_backend *backend,
                                int64_t bucket_bytes, int overlap) {
    *buckets = NULL;
    motet_buckets *b = calloc(1, sizeof *b);
    if (!b) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the buckets of gradients");
    const motet_communicator *c = optimizer->communicator;
    b->optimizer = optimizer;
    b->tree = tree;
    b->backend = *backend;
    b->overlap = overlap && backend->memory->branch && motet_communicator_threads(c);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    motet_status status = c->ranks > 1 ? make(b, bucket_bytes) : MOTET_OK;
    if (status != MOTET_OK) {
        motet_buckets_free(b);
        return status;
    }
    *buckets = b;
    return MOTET_OK;
}

void motet_buckets_free(motet_buckets *b) {
    if (!b) return;
    if (b->overlap && b->count) {
        pthread_mutex_lock(&b->lock);
        b->quits = 1;
        pthread_cond_broadcast(&b->changed);
        pthread_mutex_unlock(&b->lock);
        pthread_join(b->thread, NULL);
    }
    for (int i = 0; i < b->count && b->backend.memory->unmark; i++)
        b->backend.memory->unmark(b->list[i].mark);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->changed);
    free(b->order);
    free(b->from);
    free(b->to);
    free(b->final);
    free(b->parts);
    free(b->list);
    free(b);
}

/* ---- A step. */

/* The tree's sums of one parameter, or of all, join the first. */
static motet_status fold(motet_buckets *b, int64_t first, int64_t count) {
    if (!b->tree) return MOTET_OK;
    return motet_gradient_tree_fold(b->tree, &b->optimizer->gradient_memory, &b->backend, first,
                                    count);
}

static motet_status hand_over(motet_buckets *b) {
    int from = b->next;
    while (b->next < b->count && b->list[b->next].missing == 0) {
        if (b->overlap && b->backend.memory->mark)
            MOTET_TRY(b->backend.memory->mark(&b->list[b->next].mark));
        b->next++;
    }
    if (from == b->next || !b->overlap) return MOTET_OK;
    pthread_mutex_lock(&b->lock);
    b->ready = b->next;
    pthread_cond_broadcast(&b->changed);
    motet_status status = b->status; /* no need to go on */
    pthread_mutex_unlock(&b->lock);
    return status == MOTET_OK ? MOTET_OK : MOTET_FAIL(status, "%s", b->sentence);
}

static motet_status one_is_final(motet_buckets *b, int parameter) {
    const motet_trained *p = &b->optimizer->parameters[parameter];
    if (b->from[parameter] < 0 || b->final[parameter]) return MOTET_OK;
    const float *base = (const float *)(const void *)b->optimizer->gradient_memory.base;
    MOTET_TRY(fold(b, (const float *)p->gradient.data - base, motet_tensor_count(p->gradient)));
    b->final[parameter] = 1;
    for (int k = b->from[parameter]; k <= b->to[parameter]; k++)
        b->list[k].missing--;
    return hand_over(b);
}

/* The parameter at this place of a table of gradients: all of them are laid out alike, and in the
 * order of the parameters. -1: none. */
static int find(const motet_buckets *b, size_t offset) {
    const motet_optimizer *o = b->optimizer;
    for (int i = 0; i < o->count; i++) {
        const unsigned char *data = o->parameters[i].gradient.data;
        if (data && (size_t)(data - o->gradient_memory.base) == offset) return i;
    }
    return -1;
}

static motet_status on_final(void *user, const motet_tensor *gradients, int count) {
    motet_buckets *b = user;
    const motet_arena *arena = &b->optimizer->gradient_memory;
    if (b->tree && b->tree->levels) arena = &b->tree->arenas[b->tree->levels - 1];
    for (int i = 0; i < count; i++) {
        const unsigned char *data = gradients[i].data;
        if (!data) continue;
        int parameter = find(b, (size_t)(data - arena->base));
        if (parameter < 0)
            return MOTET_FAIL(MOTET_E_USAGE, "a gradient that no table has is said to be final");
        MOTET_TRY(one_is_final(b, parameter));
    }
    return MOTET_OK;
}

motet_gradient_hook motet_buckets_hook(motet_buckets *b) {
    return b->count ? (motet_gradient_hook){on_final, b} : (motet_gradient_hook){0};
}

static motet_status wait_for_thread(motet_buckets *b) {
    double start = seconds();
    pthread_mutex_lock(&b->lock);
    while (b->done < b->count && b->status == MOTET_OK)
        pthread_cond_wait(&b->changed, &b->lock);
    b->waited += seconds() - start;
    motet_status status = b->status;
    pthread_mutex_unlock(&b->lock);
    return status == MOTET_OK ? MOTET_OK : MOTET_FAIL(status, "%s", b->sentence);
}

motet_status motet_buckets_finish(motet_buckets *b) {
    if (!b->count) return fold(b, 0, (int64_t)(b->optimizer->gradient_memory.used / sizeof(float)));
    for (int i = 0; i < b->order_count; i++)
        MOTET_TRY(one_is_final(b, b->order[i]));
    if (b->overlap) MOTET_TRY(wait_for_thread(b));
    for (int i = 0; i < b->count && !b->overlap; i++)
        MOTET_TRY(send_bucket(b, &b->list[i]));
    rewind_buckets(b);
    return MOTET_OK;
}

int motet_buckets_count(const motet_buckets *b) {
    return b->count;
}

void motet_buckets_seconds(double *busy, double *waited, const motet_buckets *b) {
    *busy = b->busy;
    *waited = b->waited;
}
