#include "train/optimizer_step.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The visitor sees one table at a time; parameters are matched by their index. */
typedef struct walk {
    motet_optimizer *optimizer;
    int index;
    size_t scratch;
} walk;

static motet_status count_parameter(void *user, const motet_parameter *parameter,
                                    motet_tensor *slot) {
    (void)parameter, (void)slot;
    ++*(int *)user;
    return MOTET_OK;
}

static motet_status take_master(void *user, const motet_parameter *parameter, motet_tensor *slot) {
    walk *w = user;
    motet_trained *p = &w->optimizer->parameters[w->index++];
    snprintf(p->name, sizeof p->name, "%s", parameter->name);
    p->update = parameter->update;
    p->master = *slot;
    if (p->update == MOTET_UPDATE_MUON && parameter->rank == 2) {
        size_t bytes = motet_muon_scratch(parameter->dims[0], parameter->dims[1]);
        if (bytes > w->scratch) w->scratch = bytes;
    } else if (p->update == MOTET_UPDATE_MUON) {
        return MOTET_FAIL(MOTET_E_USAGE, "%s is no matrix: Muon cannot update it", p->name);
    }
    return MOTET_OK;
}

static motet_status take_gradient(void *user, const motet_parameter *parameter,
                                  motet_tensor *slot) {
    walk *w = user;
    (void)parameter;
    w->optimizer->parameters[w->index++].gradient = *slot;
    return MOTET_OK;
}

static motet_status take_compute(void *user, const motet_parameter *parameter, motet_tensor *slot) {
    walk *w = user;
    (void)parameter;
    *slot = w->optimizer->parameters[w->index++].compute;
    return MOTET_OK;
}

static void layout_moments(motet_optimizer *o, motet_arena *arena) {
    for (int i = 0; i < o->count; i++) {
        motet_trained *p = &o->parameters[i];
        if (p->update == MOTET_UPDATE_TEXT) continue;
        p->first = motet_arena_tensor(arena, MOTET_F32, p->master.rank, p->master.dims);
        if (p->update == MOTET_UPDATE_ADAMW)
            p->second = motet_arena_tensor(arena, MOTET_F32, p->master.rank, p->master.dims);
    }
}

static void layout_compute(motet_optimizer *o, motet_arena *arena) {
    for (int i = 0; i < o->count; i++) {
        motet_trained *p = &o->parameters[i];
        p->compute = p->master;
        if (o->dtype != MOTET_F32 && p->master.rank == 2)
            p->compute = motet_arena_tensor(arena, o->dtype, p->master.rank, p->master.dims);
    }
}

static motet_status make_master(motet_optimizer *o, const motet_settings *settings,
                                const motet_text_weights *pretrained) {
    int with_text = pretrained == NULL;
    MOTET_TRY(motet_weights_layout(o->master, &o->master_memory, settings, MOTET_F32, with_text));
    MOTET_TRY(motet_arena_bind(&o->master_memory));
    MOTET_TRY(motet_weights_layout(o->master, &o->master_memory, settings, MOTET_F32, with_text));
    MOTET_TRY(motet_weights_init(o->master, settings, (uint64_t)settings->train_seed));
    if (pretrained) o->master->text = *pretrained;
    MOTET_TRY(motet_weights_layout(o->gradients, &o->gradient_memory, settings, MOTET_F32, 0));
    MOTET_TRY(motet_arena_bind(&o->gradient_memory));
    return motet_weights_layout(o->gradients, &o->gradient_memory, settings, MOTET_F32, 0);
}

static motet_status make(motet_optimizer *o, const motet_settings *settings,
                         const motet_text_weights *pretrained) {
    o->master = calloc(1, sizeof *o->master);
    o->gradients = calloc(1, sizeof *o->gradients);
    o->compute = calloc(1, sizeof *o->compute);
    if (!o->master || !o->gradients || !o->compute)
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the weights' tables");
    MOTET_TRY(make_master(o, settings, pretrained));
    MOTET_TRY(motet_weights_visit(o->master, settings, count_parameter, &o->count));
    o->parameters = calloc((size_t)o->count, sizeof *o->parameters);
    o->squares = calloc((size_t)o->count, sizeof *o->squares);
    if (!o->parameters || !o->squares)
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the optimizer");

    walk masters = {.optimizer = o}, gradients = {.optimizer = o}, computes = {.optimizer = o};
    MOTET_TRY(motet_weights_visit(o->master, settings, take_master, &masters));
    MOTET_TRY(motet_weights_visit(o->gradients, settings, take_gradient, &gradients));
    layout_moments(o, &o->moment_memory);
    MOTET_TRY(motet_arena_bind(&o->moment_memory));
    layout_moments(o, &o->moment_memory);
    layout_compute(o, &o->compute_memory);
    o->threads = omp_get_max_threads();
    o->scratch_bytes = (masters.scratch + 63) / 64 * 64;
    int64_t scratch = (int64_t)o->scratch_bytes * o->threads;
    motet_arena_take(&o->compute_memory, scratch, 1);
    MOTET_TRY(motet_arena_bind(&o->compute_memory));
    layout_compute(o, &o->compute_memory);
    o->scratch = motet_arena_take(&o->compute_memory, scratch, 1);
    return motet_weights_visit(o->compute, settings, take_compute, &computes);
}

motet_status motet_optimizer_make(motet_optimizer **optimizer, const motet_settings *settings,
                                  const motet_text_weights *pretrained) {
    *optimizer = NULL;
    motet_optimizer *o = calloc(1, sizeof *o);
    if (!o) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the optimizer");
    o->dtype = strcmp(settings->train_dtype, "bf16") ? MOTET_F32 : MOTET_BF16;
    motet_status status = make(o, settings, pretrained);
    if (status != MOTET_OK) {
        motet_optimizer_free(o);
        return status;
    }
    *optimizer = o;
    return MOTET_OK;
}

void motet_optimizer_free(motet_optimizer *o) {
    if (!o) return;
    motet_arena_free(&o->master_memory);
    motet_arena_free(&o->gradient_memory);
    motet_arena_free(&o->moment_memory);
    motet_arena_free(&o->compute_memory);
    free(o->parameters);
    free(o->squares);
    free(o->master);
    free(o->gradients);
    free(o->compute);
    free(o);
}

motet_status motet_optimizer_refresh(motet_optimizer *o, const motet_backend *backend, int text) {
    for (int i = 0; i < o->count; i++) {
        motet_trained *p = &o->parameters[i];
        if (p->compute.data == p->master.data) continue;
        if (p->update == MOTET_UPDATE_TEXT && !text) continue;
        MOTET_TRY(backend->convert(p->compute, p->master));
    }
    return MOTET_OK;
}

void motet_optimizer_zero(motet_optimizer *o) {
    if (o->gradient_memory.base) memset(o->gradient_memory.base, 0, o->gradient_memory.used);
}

/* Work on one parameter; scratch is the thread's own. */
typedef motet_status parameter_fn(void *user, motet_trained *parameter, void *scratch);

/* Runs work on all parameters, on a CPU one parameter a thread: they are many and small, and inside
 * a product or a sum there would be thousands of barriers a step. The work on a parameter does not
 * depend on which thread does it, so results repeat bit for bit. */
static motet_status each_parameter(motet_optimizer *o, const motet_backend *backend,
                                   parameter_fn *work, void *user) {
    motet_status failed = MOTET_OK;
    char sentence[512] = ""; /* errors are thread-local: carried over by hand */
    int threads = !strcmp(backend->name, "cpu") ? o->threads : 1;
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int i = 0; i < o->count; i++) {
        unsigned char *scratch =
            (unsigned char *)o->scratch + o->scratch_bytes * (size_t)omp_get_thread_num();
        motet_status status = work(user, &o->parameters[i], scratch);
        if (status == MOTET_OK) continue;
#pragma omp critical(motet_optimizer_failure)
        {
            failed = status;
            snprintf(sentence, sizeof sentence, "%s", motet_error());
        }
    }
    return failed == MOTET_OK ? MOTET_OK : MOTET_FAIL(failed, "%s", sentence);
}

typedef struct norm_work {
    const motet_backend *backend;
    const motet_trained *first;
    double *squares; /* one each */
} norm_work;

static motet_status square_one(void *user, motet_trained *p, void *scratch) {
    norm_work *work = user;
    (void)scratch;
    double *sum = &work->squares[p - work->first];
    *sum = 0;
    return p->gradient.data ? work->backend->sum_squares(sum, p->gradient) : MOTET_OK;
}

motet_status motet_optimizer_norm(double *norm, motet_optimizer *o, const motet_backend *backend) {
    norm_work work = {backend, o->parameters, o->squares};
    MOTET_TRY(each_parameter(o, backend, square_one, &work));
    double sum = 0;
    for (int i = 0; i < o->count; i++)
        sum += o->squares[i];
    *norm = sqrt(sum);
    return MOTET_OK;
}

typedef struct update_work {
    const motet_backend *backend;
    motet_muon_params muon;
    motet_adamw_params adamw;
    motet_dtype muon_dtype;
    int attributes_only;
} update_work;

static motet_status update_one(void *user, motet_trained *p, void *scratch) {
    const update_work *work = user;
    if (p->update == MOTET_UPDATE_TEXT) return MOTET_OK;
    if (work->attributes_only && strncmp(p->name, "attributes.", 11) != 0) return MOTET_OK;
    if (p->update == MOTET_UPDATE_MUON)
        MOTET_TRY(work->backend->muon(p->master, p->first, p->gradient, &work->muon, scratch,
                                      work->backend->matmul, work->muon_dtype));
    else
        MOTET_TRY(work->backend->adamw(p->master, p->first, p->second, p->gradient, &work->adamw));
    if (p->compute.data == p->master.data) return MOTET_OK;
    return work->backend->convert(p->compute, p->master);
}

motet_status motet_optimizer_step(motet_optimizer *o, const motet_backend *backend,
                                  const motet_settings *settings, int64_t step, float lr_factor,
                                  double norm) {
    double clip = (double)settings->train_clip;
    float scale = clip > 0 && norm > clip ? (float)(clip / norm) : 1.0f;
    update_work work = {.backend = backend,
                        .muon_dtype = o->dtype,
                        .attributes_only = motet_settings_attributes_only(settings)};
    work.muon = (motet_muon_params){.lr = settings->train_muon_lr * lr_factor,
                                    .momentum = settings->train_muon_momentum,
                                    .weight_decay = settings->train_weight_decay,
                                    .grad_scale = scale,
                                    .steps = 5};
    work.adamw = (motet_adamw_params){.lr = settings->train_adamw_lr * lr_factor,
                                      .beta1 = settings->train_beta1,
                                      .beta2 = settings->train_beta2,
                                      .eps = 1e-8f,
                                      .grad_scale = scale,
                                      .step = step};
    return each_parameter(o, backend, update_one, &work);
}

motet_optimizer_bytes motet_optimizer_memory(const motet_optimizer *o) {
    return (motet_optimizer_bytes){.master = o->master_memory.size,
                                   .gradients = o->gradient_memory.size,
                                   .moments = o->moment_memory.size,
                                   .compute = o->compute_memory.size};
}

void motet_optimizer_output_bias(motet_optimizer *o, const int64_t *counts) {
    for (int f = 0; f < MOTET_FIELDS; f++) {
        const int64_t *count = counts + motet_field_offset(f);
        int size = motet_field_size(f);
        double total = size;
        for (int i = 0; i < size; i++)
            total += (double)count[i];
        float *bias = o->master->fields[f].bias.data;
        for (int i = 0; i < size; i++)
            bias[i] = (float)log(((double)count[i] + 1) / total);
    }
}
