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

/* Whole parameters where this rank owns all of them, otherwise its own pieces. */
static void layout_moments(motet_optimizer *o, motet_arena *arena) {
    for (int i = 0; i < o->count; i++) {
        motet_trained *p = &o->parameters[i];
        if (p->update == MOTET_UPDATE_TEXT) continue;
        p->first = p->second = p->master;
        p->first.data = p->second.data = NULL;
        if (p->update == MOTET_UPDATE_MUON) p->second = (motet_tensor){0};
        if (!p->whole) continue;
        p->first = motet_arena_tensor(arena, MOTET_F32, p->master.rank, p->master.dims);
        if (p->update == MOTET_UPDATE_ADAMW)
            p->second = motet_arena_tensor(arena, MOTET_F32, p->master.rank, p->master.dims);
    }
    for (int i = 0; i < o->piece_count; i++) {
        const motet_zero_part *part = &o->parts[i];
        const motet_trained *p = &o->parameters[part->parameter];
        if (p->whole || part->owner != o->communicator->rank) continue;
        o->pieces[i].first = motet_arena_tensor(arena, MOTET_F32, 1, &part->count);
        o->pieces[i].second = motet_arena_tensor(arena, MOTET_F32, 1, &part->count);
    }
}

static motet_tensor view(motet_tensor whole, const motet_zero_part *part) {
    if (!whole.data || part->count == motet_tensor_count(whole)) return whole;
    size_t at = (size_t)part->first * motet_dtype_bytes(whole.dtype);
    return motet_vector((unsigned char *)whole.data + at, whole.dtype, part->count);
}

static void cut_pieces(motet_optimizer *o) {
    for (int i = 0; i < o->piece_count; i++) {
        const motet_zero_part *part = &o->parts[i];
        const motet_trained *p = &o->parameters[part->parameter];
        motet_trained piece = *p, made = o->pieces[i];
        piece.master = view(p->master, part);
        piece.gradient = view(p->gradient, part);
        piece.compute = view(p->compute, part);
        piece.first = p->whole ? view(p->first, part) : made.first;
        piece.second = p->whole ? view(p->second, part) : made.second;
        o->pieces[i] = piece;
    }
}

static motet_status divide(motet_optimizer *o) {
    int ranks = o->sharded ? o->communicator->ranks : 1;
    MOTET_TRY(motet_zero_divide(&o->parts, &o->piece_count, o->parameters, o->count, ranks));
    o->pieces = calloc((size_t)o->piece_count + 1, sizeof *o->pieces);
    o->traffic = calloc((size_t)o->piece_count + 1, sizeof *o->traffic);
    if (!o->pieces || !o->traffic) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the optimizer");
    for (int i = 0; i < o->count; i++)
        o->parameters[i].whole = 1;
    for (int i = 0; i < o->piece_count && o->sharded; i++)
        if (o->parts[i].owner != o->communicator->rank)
            o->parameters[o->parts[i].parameter].whole = 0;
    motet_arena_take(&o->shared_memory, o->piece_count, sizeof *o->squares);
    MOTET_TRY(motet_arena_bind(&o->shared_memory));
    o->squares = motet_arena_take(&o->shared_memory, o->piece_count, sizeof *o->squares);
    return MOTET_OK;
}

static void layout_compute(motet_optimizer *o, motet_arena *arena) {
    for (int i = 0; i < o->count; i++) {
        motet_trained *p = &o->parameters[i];
        p->compute = p->master;
        if (o->dtype != MOTET_F32 && p->master.rank == 2)
            p->compute = motet_arena_tensor(arena, o->dtype, p->master.rank, p->master.dims);
    }
}

static int is_host(const motet_optimizer *o) {
    return o->memory == &motet_host_memory;
}

/* Initial values are drawn on the host; a device gets them as one block, laid out alike. */
static motet_status draw_master(motet_optimizer *o, const motet_settings *settings, int with_text) {
    uint64_t seed = (uint64_t)settings->train_seed;
    if (is_host(o)) return motet_weights_init(o->master, settings, seed);
    motet_arena arena = {0};
    motet_weights *drawn = calloc(1, sizeof *drawn);
    if (!drawn) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the weights' tables");
    motet_status status = motet_weights_layout(drawn, &arena, settings, MOTET_F32, with_text);
    if (status == MOTET_OK) status = motet_arena_bind(&arena);
    if (status == MOTET_OK)
        status = motet_weights_layout(drawn, &arena, settings, MOTET_F32, with_text);
    if (status == MOTET_OK) status = motet_weights_init(drawn, settings, seed);
    if (status == MOTET_OK) status = o->memory->copy(o->master_memory.base, arena.base, arena.used);
    motet_arena_free(&arena);
    free(drawn);
    return status;
}

/* A frozen encoder from a file: the host's own back-end reads the file's mapping. */
static motet_status place_text(motet_optimizer *o, const motet_settings *settings,
                               const motet_text_weights *pretrained) {
    if (is_host(o)) {
        o->master->text = *pretrained;
        return MOTET_OK;
    }
    motet_weights *tables = calloc(2, sizeof *tables);
    if (!tables) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the weights' tables");
    tables[0].text = *pretrained;
    motet_status status =
        motet_weights_copy(&tables[1], &o->text_memory, &tables[0], settings, o->memory);
    if (status == MOTET_OK) o->master->text = tables[1].text;
    free(tables);
    return status;
}

static motet_status make_master(motet_optimizer *o, const motet_settings *settings,
                                const motet_text_weights *pretrained) {
    int with_text = pretrained == NULL;
    MOTET_TRY(motet_weights_layout(o->master, &o->master_memory, settings, MOTET_F32, with_text));
    MOTET_TRY(motet_arena_bind(&o->master_memory));
    MOTET_TRY(motet_weights_layout(o->master, &o->master_memory, settings, MOTET_F32, with_text));
    MOTET_TRY(draw_master(o, settings, with_text));
    if (pretrained) MOTET_TRY(place_text(o, settings, pretrained));
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
    if (!o->parameters) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the optimizer");

    walk masters = {.optimizer = o}, gradients = {.optimizer = o}, computes = {.optimizer = o};
    MOTET_TRY(motet_weights_visit(o->master, settings, take_master, &masters));
    MOTET_TRY(motet_weights_visit(o->gradients, settings, take_gradient, &gradients));
    MOTET_TRY(divide(o));
    layout_moments(o, &o->moment_memory);
    MOTET_TRY(motet_arena_bind(&o->moment_memory));
    layout_moments(o, &o->moment_memory);
    layout_compute(o, &o->compute_memory);
    o->threads = is_host(o) ? omp_get_max_threads() : 1;
    o->scratch_bytes = (masters.scratch + 63) / 64 * 64;
    int64_t scratch = (int64_t)o->scratch_bytes * o->threads;
    motet_arena_take(&o->compute_memory, scratch, 1);
    MOTET_TRY(motet_arena_bind(&o->compute_memory));
    layout_compute(o, &o->compute_memory);
    o->scratch = motet_arena_take(&o->compute_memory, scratch, 1);
    cut_pieces(o);
    return motet_weights_visit(o->compute, settings, take_compute, &computes);
}

motet_status motet_optimizer_make(motet_optimizer **optimizer, const motet_settings *settings,
                                  const motet_text_weights *pretrained,
                                  const motet_memory *memory) {
    return motet_optimizer_make_rank(optimizer, settings, pretrained, memory,
                                     motet_communicator_single());
}

motet_status motet_optimizer_make_rank(motet_optimizer **optimizer, const motet_settings *settings,
                                       const motet_text_weights *pretrained,
                                       const motet_memory *memory,
                                       motet_communicator *communicator) {
    *optimizer = NULL;
    motet_optimizer *o = calloc(1, sizeof *o);
    if (!o) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the optimizer");
    o->dtype = strcmp(settings->train_dtype, "bf16") ? MOTET_F32 : MOTET_BF16;
    o->memory = memory;
    o->communicator = communicator;
    o->sharded = communicator->ranks > 1 && settings->train_shard;
    motet_arenas arenas = motet_arenas_on(memory);
    o->master_memory = o->gradient_memory = o->moment_memory = o->compute_memory = o->text_memory =
        arenas.device;
    o->shared_memory = arenas.shared;
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
    motet_arena_free(&o->text_memory);
    motet_arena_free(&o->shared_memory);
    motet_arena_free(&o->collected);
    free(o->parts);
    free(o->pieces);
    free(o->traffic);
    free(o->parameters);
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

motet_status motet_optimizer_zero(motet_optimizer *o) {
    return o->memory->zero(o->gradient_memory.base, o->gradient_memory.used);
}

/* Work on one piece; scratch is the thread's own. */
typedef motet_status piece_fn(void *user, motet_trained *piece, void *scratch);

/* Runs work on the pieces that this rank owns, on the host one a thread: they are many and small,
 * and inside a product or a sum there would be thousands of barriers a step. The work on a piece
 * does not depend on which thread does it, so results repeat bit for bit. */
static motet_status each_piece(motet_optimizer *o, piece_fn *work, void *user) {
    motet_status failed = MOTET_OK;
    char sentence[512] = ""; /* errors are thread-local: carried over by hand */
#pragma omp parallel for schedule(dynamic) num_threads(o->threads) if (o->threads > 1)
    for (int i = 0; i < o->piece_count; i++) {
        if (o->sharded && o->parts[i].owner != o->communicator->rank) continue;
        unsigned char *scratch =
            (unsigned char *)o->scratch + o->scratch_bytes * (size_t)omp_get_thread_num();
        motet_status status = work(user, &o->pieces[i], scratch);
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
    return p->gradient.data ? work->backend->sum_squares(sum, p->gradient) : MOTET_OK;
}

motet_status motet_optimizer_norm(double *norm, motet_optimizer *o, const motet_backend *backend) {
    norm_work work = {backend, o->pieces, o->squares};
    MOTET_TRY(each_piece(o, square_one, &work));
    MOTET_TRY(backend->memory->synchronize());
    for (int i = 0; i < o->piece_count && o->sharded; i++)
        if (o->parts[i].owner != o->communicator->rank) o->squares[i] = 0;
    if (o->sharded) /* each square and zeros: exact */
        MOTET_TRY(motet_communicator_all_reduce(o->communicator, o->squares, o->piece_count,
                                                MOTET_WIRE_F64));
    double sum = 0;
    for (int i = 0; i < o->piece_count; i++)
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
    MOTET_TRY(each_piece(o, update_one, &work));
    return motet_zero_gather_compute(o);
}

motet_optimizer_bytes motet_optimizer_memory(const motet_optimizer *o) {
    return (motet_optimizer_bytes){.master = o->master_memory.size,
                                   .gradients = o->gradient_memory.size,
                                   .moments = o->moment_memory.size,
                                   .compute = o->compute_memory.size};
}

motet_status motet_optimizer_output_bias(motet_optimizer *o, const int64_t *counts) {
    for (int f = 0; f < MOTET_FIELDS; f++) {
        const int64_t *count = counts + motet_field_offset(f);
        float bias[MOTET_PITCH_SYMBOLS]; /* no field has more */
        int size = motet_field_size(f);
        double total = size;
        for (int i = 0; i < size; i++)
            total += (double)count[i];
        for (int i = 0; i < size; i++)
            bias[i] = (float)log(((double)count[i] + 1) / total);
        MOTET_TRY(
            o->memory->copy(o->master->fields[f].bias.data, bias, (size_t)size * sizeof *bias));
    }
    return MOTET_OK;
}

motet_status motet_optimizer_host_master(const motet_weights **weights, motet_weights *table,
                                         motet_arena *arena, const motet_optimizer *o,
                                         const motet_settings *settings) {
    *weights = is_host(o) ? o->master : table;
    if (is_host(o)) return MOTET_OK;
    return motet_weights_copy(table, arena, o->master, settings, o->memory);
}
