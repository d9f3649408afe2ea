#include "kernels/cuda/cudnn.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cudnn_job.h"
#include "kernels/cuda/cudnn_plan.h"
#include "kernels/cuda/device.h"

static bool is_wanted(void) {
    const char *wanted = secure_getenv("MOTET_CUDA_ATTENTION"); /* NOLINT: documented in cudnn.h */
    return wanted && strcmp(wanted, "cudnn") == 0;
}

#if HAS_CUDNN

#include <float.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>

#include "kernels/attention_check.h"
#include "kernels/core/log.h"

enum { PLANS = 256 }; /* a newcomer ends the plan that is at its place */

MOTET_CUDA_MODULE(cudnn);
static motet_cuda_kernel prepare_kernel = {.module = &cudnn_module, .name = "motet_cudnn_prepare"};

typedef struct entry {
    motet_cudnn_shape shape;
    motet_cudnn_plan plan; /* none: cuDNN has none, which is worth remembering too */
} entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static cudnnHandle_t handle;
static entry plans[PLANS];

/* The tensors of a call, and which of the attributes of spec each has. */
typedef struct call {
    motet_tensor q, k, v, out, lse, dout, dq, dk, dv; /* the last four: backward */
    const motet_attention_spec *spec;
} call;

/* Under the lock. */
static motet_status open_library(void) {
    const motet_cuda_device *device = motet_cuda_get_device();
    if (handle) return MOTET_OK;
    if (strncmp(device->name, "softgpu", 7) == 0)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED,
                          "MOTET_CUDA_ATTENTION=cudnn, but cuDNN does not run on %s: unset "
                          "MOTET_CUDA_ATTENTION",
                          device->name);
    MOTET_TRY(motet_cudnn_open(NULL));
    const cudnnStatus_t status = motet_cudnn.cudnnCreate(&handle);
    if (status != CUDNN_STATUS_SUCCESS) {
        handle = NULL;
        return motet_cudnn_fail(status, "starting");
    }
    const cudnnStatus_t bound = motet_cudnn.cudnnSetStream(handle, device->stream);
    return bound == CUDNN_STATUS_SUCCESS ? MOTET_OK : motet_cudnn_fail(bound, "taking the stream");
}

static bool is_aligned(motet_tensor t, int64_t pitch) {
    return pitch % 8 == 0 && (uintptr_t)t.data % 16 == 0;
}

static bool suits(const call *c) {
    const motet_attention_spec *s = c->spec;
    const int64_t rows = s->q_offsets[s->sequences], keys = s->k_offsets[s->sequences];
    const bool small = rows <= INT32_MAX / s->q_pitch && rows <= INT32_MAX / s->out_pitch &&
                       keys <= INT32_MAX / s->k_pitch && keys <= INT32_MAX / s->v_pitch;
    const bool half = c->q.dtype == MOTET_BF16 && (!c->dq.data || c->dq.dtype == MOTET_BF16);
    return half && small && rows > 0 && keys > 0 &&
           (s->width == 32 || s->width == 64 || s->width == 128) &&
           (!s->causal || s->q_offsets == s->k_offsets) && is_aligned(c->q, s->q_pitch) &&
           is_aligned(c->k, s->k_pitch) && is_aligned(c->v, s->v_pitch) &&
           is_aligned(c->out, s->out_pitch) && is_aligned(c->dout, s->out_pitch) &&
           is_aligned(c->dq, s->q_pitch) && is_aligned(c->dk, s->k_pitch) &&
           is_aligned(c->dv, s->v_pitch) && (uintptr_t)c->lse.data % 16 == 0;
}

static int64_t round_up(int64_t count, int64_t step) {
    return (count + step - 1) / step * step;
}

static motet_cudnn_shape shape_of(const call *c) {
    const motet_attention_spec *s = c->spec;
    int64_t queries, keys;
    motet_attention_longest(&queries, &keys, s);
    return (motet_cudnn_shape){.batch = round_up(s->sequences, 8),
                               .heads = s->heads,
                               .width = s->width,
                               .queries = round_up(queries, 64),
                               .keys = round_up(keys, 64),
                               .q_pitch = s->q_pitch,
                               .k_pitch = s->k_pitch,
                               .v_pitch = s->v_pitch,
                               .out_pitch = s->out_pitch,
                               .causal = s->causal,
                               .backward = c->dq.data != NULL,
                               .stats = c->lse.data != NULL};
}

/* Under the lock. */
static entry *find(const motet_cudnn_shape *shape) {
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    for (size_t i = 0; i < sizeof *shape; i++)
        hash = (hash ^ ((const unsigned char *)shape)[i]) * 1099511628211u;
    entry *e = &plans[(hash ^ hash >> 32) % PLANS];
    if (memcmp(&e->shape, shape, sizeof *shape) == 0) return e;
    motet_cudnn_plan_free(&e->plan);
    e->shape = *shape;
    if (motet_cudnn_plan_make(&e->plan, shape, handle, NULL) != MOTET_OK)
        motet_log(MOTET_LOG_WARN, "%s: our own kernels do it", motet_error());
    return e;
}

/* Lists, delta and what the plan wants, one after another in the workspace. */
typedef struct places {
    int32_t *lists;
    int32_t list; /* entries of one */
    float *delta;
    void *rest;
} places;

static bool place(places *p, const entry *e) {
    const motet_cudnn_shape *s = &e->shape;
    const int64_t list = round_up(s->batch + 1, 4);
    const int64_t lists = round_up(CUDNN_LISTS * list * 4, 256);
    const int64_t room = MOTET_CUDA_WORKSPACE;
    if (s->heads > room || s->batch > room / s->heads ||
        s->queries > room / (s->heads * s->batch) / 4)
        return false;
    const int64_t delta = s->backward ? round_up(s->batch * s->heads * s->queries * 4, 256) : 0;
    char *start = motet_cuda_workspace();
    if (e->plan.workspace_bytes > room || lists + delta > room - e->plan.workspace_bytes)
        return false;
    *p = (places){.lists = (int32_t *)(void *)start,
                  .list = (int32_t)list,
                  .delta = (float *)(void *)(start + lists),
                  .rest = start + lists + delta};
    return true;
}

static motet_status launch_prepare(const call *c, const motet_cudnn_shape *shape, const places *p) {
    const motet_attention_spec *s = c->spec;
    motet_cudnn_job j = {.q_offsets = s->q_offsets,
                         .k_offsets = s->k_offsets,
                         .lists = p->lists,
                         .per_query = shape->backward ? c->dq.data : c->out.data,
                         .per_key = {c->dk.data, c->dv.data},
                         .lse = shape->backward ? NULL : c->lse.data,
                         .query_pitch = shape->backward ? s->q_pitch : s->out_pitch,
                         .key_pitch = {s->k_pitch, s->v_pitch},
                         .pitch = {s->q_pitch, s->k_pitch, s->v_pitch, s->out_pitch},
                         .sequences = s->sequences,
                         .batch = (int32_t)shape->batch,
                         .list = p->list,
                         .heads = s->heads,
                         .width = s->width};
    return motet_cuda_launch(&prepare_kernel, (motet_cuda_grid){shape->batch + 1, 1, 1},
                             CUDNN_THREADS, 0, MOTET_CUDA_ARGS(&j));
}

static motet_status run_plan(const call *c, const entry *e, const places *p) {
    float scale = 1 / sqrtf((float)c->spec->width), lowest = -FLT_MAX, one = 1;
    const bool backward = e->shape.backward;
    void *addresses[MOTET_CUDNN_IDS] = {
        [MOTET_CUDNN_Q] = c->q.data,
        [MOTET_CUDNN_K] = c->k.data,
        [MOTET_CUDNN_V] = c->v.data,
        [MOTET_CUDNN_OUT] = c->out.data,
        [MOTET_CUDNN_STATS] = c->lse.data,
        [MOTET_CUDNN_SCALE] = &scale,
        [MOTET_CUDNN_LOWEST] = &lowest,
        [MOTET_CUDNN_ONE] = backward ? &one : NULL,
        [MOTET_CUDNN_DELTA] = backward ? p->delta : NULL,
        [MOTET_CUDNN_DOUT] = c->dout.data,
        [MOTET_CUDNN_DQ] = c->dq.data,
        [MOTET_CUDNN_DK] = c->dk.data,
        [MOTET_CUDNN_DV] = c->dv.data,
    };
    for (int i = 0; i < CUDNN_LISTS; i++) /* their ids follow each other */
        addresses[MOTET_CUDNN_Q_LENGTHS + i] = p->lists + (int64_t)i * p->list;
    if (!c->lse.data) addresses[MOTET_CUDNN_STATS_STARTS] = NULL;
    return motet_cudnn_plan_run(&e->plan, handle, addresses, p->rest);
}

static motet_status attend(bool *done, const call *c) {
    places p;
    *done = false;
    if (!is_wanted()) return MOTET_OK;
    pthread_mutex_lock(&lock);
    motet_status status = motet_cuda_enter();
    if (status == MOTET_OK) status = open_library();
    if (status == MOTET_OK && suits(c)) {
        const motet_cudnn_shape shape = shape_of(c);
        const entry *e = find(&shape);
        if (e->plan.plan && place(&p, e)) {
            status = launch_prepare(c, &shape, &p);
            if (status == MOTET_OK) status = run_plan(c, e, &p);
            *done = status == MOTET_OK;
        }
    }
    pthread_mutex_unlock(&lock);
    return status;
}

motet_status motet_cudnn_attention_forward(bool *done, motet_tensor out, motet_tensor lse,
                                           motet_tensor q, motet_tensor k, motet_tensor v,
                                           const motet_attention_spec *spec) {
    return attend(done, &(call){.q = q, .k = k, .v = v, .out = out, .lse = lse, .spec = spec});
}

motet_status motet_cudnn_attention_backward(bool *done, motet_tensor dq, motet_tensor dk,
                                            motet_tensor dv, motet_tensor dout, motet_tensor out,
                                            motet_tensor lse, motet_tensor q, motet_tensor k,
                                            motet_tensor v, const motet_attention_spec *spec) {
    return attend(done, &(call){.q = q,
                                .k = k,
                                .v = v,
                                .out = out,
                                .lse = lse,
                                .dout = dout,
                                .dq = dq,
                                .dk = dk,
                                .dv = dv,
                                .spec = spec});
}

#else /* built where the toolkit has no cuDNN */

static motet_status refuse(bool *done) {
    *done = false;
    if (!is_wanted()) return MOTET_OK;
    return MOTET_FAIL(MOTET_E_UNSUPPORTED, "MOTET_CUDA_ATTENTION=cudnn, but this libmotet_cuda.so "
                                           "was built without cuDNN's headers: build it with them, "
                                           "or unset MOTET_CUDA_ATTENTION");
}

motet_status motet_cudnn_attention_forward(bool *done, motet_tensor out, motet_tensor lse,
                                           motet_tensor q, motet_tensor k, motet_tensor v,
                                           const motet_attention_spec *spec) {
    (void)out, (void)lse, (void)q, (void)k, (void)v, (void)spec;
    return refuse(done);
}

motet_status motet_cudnn_attention_backward(bool *done, motet_tensor dq, motet_tensor dk,
                                            motet_tensor dv, motet_tensor dout, motet_tensor out,
                                            motet_tensor lse, motet_tensor q, motet_tensor k,
                                            motet_tensor v, const motet_attention_spec *spec) {
    (void)dq, (void)dk, (void)dv, (void)dout, (void)out, (void)lse, (void)q, (void)k, (void)v;
    (void)spec;
    return refuse(done);
}

#endif
