#include "train/zero.h"

#include <stdlib.h>
#include <string.h>

#include "train/optimizer_step.h"

/* ---- Who owns what. */

double motet_zero_cost(int64_t rows, int64_t cols) {
    /* Moving the ~28 bytes of an element takes as long as some 400 operations of a product. */
    if (!cols) return 400.0 * (double)rows;
    double small = (double)(rows < cols ? rows : cols), large = (double)(rows < cols ? cols : rows);
    return 5 * (4 * small * small * large + 2 * small * small * small) + 400 * small * large;
}

static double part_cost(const motet_zero_part *part, const motet_trained *parameters) {
    const motet_trained *p = &parameters[part->parameter];
    if (p->update == MOTET_UPDATE_MUON)
        return motet_zero_cost(p->master.dims[0], p->master.dims[1]);
    return motet_zero_cost(part->count, 0);
}

typedef struct ranked {
    double cost;
    int index;
} ranked;

static int dearest_first(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->cost != y->cost) return x->cost < y->cost ? 1 : -1;
    return x->index - y->index;
}

/* The dearest part that is left goes to the rank with the least so far. */
static motet_status choose_owners(motet_zero_part *parts, int count,
                                  const motet_trained *parameters, int ranks) {
    double *load = calloc((size_t)ranks, sizeof *load);
    ranked *order = calloc((size_t)count + 1, sizeof *order);
    if (!load || !order) {
        free(load);
        free(order);
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory to divide %d parts", count);
    }
    for (int i = 0; i < count; i++)
        order[i] = (ranked){part_cost(&parts[i], parameters), i};
    qsort(order, (size_t)count, sizeof *order, dearest_first);
    for (int i = 0; i < count; i++) {
        int least = 0;
        for (int r = 1; r < ranks; r++)
            if (load[r] < load[least]) least = r;
        parts[order[i].index].owner = least;
        load[least] += order[i].cost;
    }
    free(load);
    free(order);
    return MOTET_OK;
}

/* parts NULL: counts only. */
static int list_parts(motet_zero_part *parts, const motet_trained *parameters,
                      int parameter_count) {
    int count = 0;
    for (int i = 0; i < parameter_count; i++) {
        const motet_trained *p = &parameters[i];
        if (p->update == MOTET_UPDATE_TEXT) continue;
        int64_t all = motet_tensor_count(p->master);
        int64_t block = p->update == MOTET_UPDATE_MUON ? all : MOTET_ZERO_BLOCK;
        for (int64_t first = 0; first < all; first += block) {
            int64_t left = all - first;
            if (parts)
                parts[count] = (motet_zero_part){
                    .parameter = i, .first = first, .count = left < block ? left : block};
            count++;
        }
    }
    return count;
}

motet_status motet_zero_divide(motet_zero_part **parts, int *count, const motet_trained *parameters,
                               int parameter_count, int ranks) {
    *count = list_parts(NULL, parameters, parameter_count);
    *parts = calloc((size_t)*count + 1, sizeof **parts);
    if (!*parts) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %d parts", *count);
    list_parts(*parts, parameters, parameter_count);
    if (ranks == 1) return MOTET_OK;
    motet_status status = choose_owners(*parts, *count, parameters, ranks);
    if (status == MOTET_OK) return MOTET_OK;
    free(*parts);
    *parts = NULL;
    return status;
}

/* ---- Traffic. */

typedef enum which { COMPUTE_F32, COMPUTE_BF16, MASTER } which;

/* The tensor of a piece that is meant; none if it does not belong to that traffic. */
static motet_tensor pick(const motet_trained *piece, which what) {
    const motet_tensor none = {0};
    int copied = piece->compute.data != piece->master.data;
    switch (what) {
    case COMPUTE_F32:
        return piece->compute.dtype == MOTET_F32 ? piece->compute : none;
    case COMPUTE_BF16:
        return piece->compute.dtype == MOTET_BF16 ? piece->compute : none;
    case MASTER:
        return copied ? piece->master : none;
    }
    return none;
}

static int list_traffic(motet_optimizer *o, which what) {
    int count = 0;
    for (int i = 0; i < o->piece_count; i++) {
        motet_tensor t = pick(&o->pieces[i], what);
        if (t.data)
            o->traffic[count++] = (motet_part){t.data, motet_tensor_count(t), o->parts[i].owner};
    }
    return count;
}

motet_status motet_zero_gather_compute(motet_optimizer *o) {
    if (!o->sharded) return MOTET_OK;
    int count = list_traffic(o, COMPUTE_F32);
    MOTET_TRY(
        motet_communicator_all_gather_uneven(o->communicator, o->traffic, count, MOTET_WIRE_F32));
    count = list_traffic(o, COMPUTE_BF16);
    return motet_communicator_all_gather_uneven(o->communicator, o->traffic, count,
                                                MOTET_WIRE_BF16);
}

motet_status motet_zero_gather_masters(motet_optimizer *o) {
    if (!o->sharded) return MOTET_OK;
    int count = list_traffic(o, MASTER);
    return motet_communicator_all_gather_uneven(o->communicator, o->traffic, count, MOTET_WIRE_F32);
}

/* ---- Moments. */

static motet_tensor *moment_of(motet_trained *p, int second) {
    return second ? &p->second : &p->first;
}

static int has_moment(const motet_trained *p, int second) {
    return p->update == MOTET_UPDATE_ADAMW || (p->update == MOTET_UPDATE_MUON && !second);
}

static motet_status copy_piece(const motet_optimizer *o, void *to, const void *from,
                               int64_t count) {
    return o->memory->copy(to, from, (size_t)count * sizeof(float));
}

motet_status motet_zero_place_moment(motet_optimizer *o, int parameter, int second,
                                     const float *moment) {
    for (int i = 0; i < o->piece_count; i++) {
        const motet_zero_part *part = &o->parts[i];
        motet_tensor to = *moment_of(&o->pieces[i], second);
        if (part->parameter != parameter || !to.data) continue;
        MOTET_TRY(copy_piece(o, to.data, moment + part->first, part->count));
    }
    return MOTET_OK;
}

/* Tensors for all moments of which this rank has not all. */
static void layout_collected(motet_optimizer *o, motet_arena *arena) {
    for (int i = 0; i < o->count; i++)
        for (int second = 0; second < 2; second++) {
            motet_trained *p = &o->parameters[i];
            motet_tensor *moment = moment_of(p, second);
            if (!has_moment(p, second) || p->whole) continue;
            moment->data =
                motet_arena_tensor(arena, MOTET_F32, p->master.rank, p->master.dims).data;
        }
}

/* Rank 0 lists where parts go, their owners where they are. */
static motet_status collect(motet_optimizer *o, int second) {
    int count = 0, rank = o->communicator->rank;
    for (int i = 0; i < o->piece_count; i++) {
        const motet_zero_part *part = &o->parts[i];
        motet_trained *p = &o->parameters[part->parameter];
        if (!has_moment(p, second)) continue;
        void *here = moment_of(&o->pieces[i], second)->data;
        if (rank == 0 && !p->whole) {
            float *place = (float *)moment_of(p, second)->data + part->first;
            if (part->owner == 0) MOTET_TRY(copy_piece(o, place, here, part->count));
            here = place;
        }
        o->traffic[count++] = (motet_part){here, part->count, part->owner};
    }
    return motet_communicator_gather(o->communicator, o->traffic, count, MOTET_WIRE_F32, 0);
}

motet_status motet_zero_collect_moments(motet_optimizer *o) {
    if (!o->sharded) return MOTET_OK;
    motet_status status = MOTET_OK;
    if (o->communicator->rank == 0) {
        layout_collected(o, &o->collected);
        status = motet_arena_bind(&o->collected);
        if (status == MOTET_OK) layout_collected(o, &o->collected);
    }
    status = motet_communicator_agree(o->communicator, status);
    for (int second = 0; second < 2 && status == MOTET_OK; second++)
        status = collect(o, second);
    if (status == MOTET_OK) status = o->memory->synchronize();
    if (status != MOTET_OK) motet_zero_release_moments(o);
    return status;
}

void motet_zero_release_moments(motet_optimizer *o) {
    if (!o->sharded || o->communicator->rank != 0) return;
    for (int i = 0; i < o->count; i++)
        if (!o->parameters[i].whole)
            o->parameters[i].first.data = o->parameters[i].second.data = NULL;
    motet_arena_free(&o->collected);
}
