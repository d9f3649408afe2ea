#include "train/cluster_plan.h"

#include <stdlib.h>
#include <string.h>

#include "train/communicator.h"
#include "train/model_gradient.h"
#include "train/optimizer_step.h"
#include "train/run_plan.h"

/* ---- The parameters, as the optimizer would have them, but without memory. */

typedef struct shapes {
    motet_trained *list;
    int count, room;
    size_t scratch;
    motet_zero_part *parts;
    int part_count, ranks;
} shapes;

static motet_status add_shape(void *user, const motet_parameter *p, motet_tensor *slot) {
    shapes *s = user;
    (void)slot;
    if (s->count == s->room) {
        int room = s->room ? 2 * s->room : 256;
        motet_trained *more = realloc(s->list, (size_t)room * sizeof *more);
        if (!more) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a plan");
        s->list = more;
        s->room = room;
    }
    s->list[s->count++] = (motet_trained){
        .update = p->update,
        .master = {.dtype = MOTET_F32, .rank = p->rank, .dims = {p->dims[0], p->dims[1]}}};
    if (p->update != MOTET_UPDATE_MUON) return MOTET_OK;
    size_t scratch = motet_muon_scratch(p->dims[0], p->dims[1]);
    if (scratch > s->scratch) s->scratch = scratch;
    return MOTET_OK;
}

static void free_shapes(shapes *s) {
    free(s->list);
    free(s->parts);
}

static motet_status list_shapes(shapes *s, const motet_settings *settings, int ranks) {
    motet_weights *weights = calloc(1, sizeof *weights);
    *s = (shapes){.ranks = ranks};
    if (!weights) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a plan");
    motet_status status = motet_weights_visit(weights, settings, add_shape, s);
    free(weights);
    if (status == MOTET_OK)
        status = motet_zero_divide(&s->parts, &s->part_count, s->list, s->count, ranks);
    if (status != MOTET_OK) free_shapes(s);
    return status;
}

static motet_dtype dtype_of(const motet_settings *settings) {
    return strcmp(settings->train_dtype, "bf16") ? MOTET_F32 : MOTET_BF16;
}

/* As an arena takes it. */
static int64_t room(int64_t count, size_t bytes) {
    int64_t all = count * (int64_t)bytes;
    return (all + MOTET_ARENA_ALIGN - 1) / MOTET_ARENA_ALIGN * MOTET_ARENA_ALIGN;
}

/* ---- Memory. */

static int owns(const motet_zero_part *part, int rank, int sharded) {
    return !sharded || part->owner == rank;
}

/* A parameter whose parts are all this rank's is one tensor, otherwise each part is (zero.h). */
static int64_t moments_of(const shapes *s, int rank, int sharded) {
    int64_t sum = 0;
    for (int i = 0; i < s->part_count;) {
        int parameter = s->parts[i].parameter, first = i, all = 1;
        const motet_trained *p = &s->list[parameter];
        for (; i < s->part_count && s->parts[i].parameter == parameter; i++)
            all &= owns(&s->parts[i], rank, sharded);
        int moments = p->update == MOTET_UPDATE_ADAMW ? 2 : 1;
        if (all) sum += moments * room(motet_tensor_count(p->master), sizeof(float));
        for (int k = first; k < i && !all; k++)
            if (owns(&s->parts[k], rank, sharded))
                sum += 2 * room(s->parts[k].count, sizeof(float));
    }
    return sum;
}

static motet_status memory_of(motet_plan_memory *m, const shapes *s, const motet_settings *settings,
                              const motet_machine *machine, int rank, int threads) {
    motet_dtype dtype = dtype_of(settings);
    int sharded = settings->train_shard && s->ranks > 1, drawn = !*settings->run_encoder;
    *m = (motet_plan_memory){0};
    for (int i = 0; i < s->count; i++) {
        const motet_trained *p = &s->list[i];
        int64_t count = motet_tensor_count(p->master);
        int text = p->update == MOTET_UPDATE_TEXT;
        /* On the host a pretrained encoder is read where its file is mapped. */
        if (!text || drawn || !machine->host) m->masters += room(count, sizeof(float));
        if (!text) m->gradients += room(count, sizeof(float));
        if (p->master.rank == 2 && dtype != MOTET_F32)
            m->compute += room(count, motet_dtype_bytes(dtype));
    }
    int64_t scratch = (int64_t)((s->scratch + 63) / 64 * 64);
    m->compute += scratch * (machine->host ? threads : 1);
    m->moments = moments_of(s, rank, sharded);
    int64_t leaves = settings->train_accumulate / s->ranks;
    m->sums = m->gradients * __builtin_ctzll((unsigned long long)leaves);
    m->activations = motet_gradient_count(settings, dtype);
    if (m->activations < 0) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a plan");
    motet_arena input = {0};
    motet_model_input *tables = calloc(1, sizeof *tables);
    if (!tables) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a plan");
    motet_model_input_layout(tables, &input, settings);
    free(tables);
    m->input = (int64_t)input.used;
    if (s->ranks > 1) m->staging = MOTET_COMMUNICATOR_STAGING / s->ranks / 64 * 64 * s->ranks;
    return MOTET_OK;
}

static int64_t sum_of(const motet_plan_memory *m) {
    return m->masters + m->gradients + m->sums + m->moments + m->compute + m->activations +
           m->input + m->staging;
}

/* ---- Bytes on the wire. */

typedef struct wire {
    int64_t sent, received;
} wire;

static void reduce_scatter(wire *w, int64_t all, int64_t own, int64_t others) {
    w->sent += all - own;
    w->received += own * others;
}

static void all_gather(wire *w, int64_t all, int64_t own, int64_t others) {
    w->sent += own * others;
    w->received += all - own;
}

/* The communicator's own rule for parts, which have no data here. */
static motet_status gather_parts(wire *w, const motet_part *parts, int count, int64_t bytes,
                                 int rank, int ranks) {
    int64_t all = 0, own = 0;
    motet_part *cut = calloc((size_t)count + (size_t)ranks, sizeof *cut);
    int *from = calloc((size_t)count + (size_t)ranks, sizeof *from);
    int dealt = motet_communicator_is_dealt(parts, count, ranks), pieces = 0;
    if (!cut || !from) {
        free(cut);
        free(from);
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a plan");
    }
    if (dealt) pieces = motet_communicator_cut(cut, from, parts, count, ranks, 1);
    for (int i = 0; i < pieces; i++) {
        if (cut[i].owner == from[i]) continue;
        w->sent += from[i] == rank ? cut[i].count * bytes : 0;
        w->received += cut[i].owner == rank ? cut[i].count * bytes : 0;
    }
    const motet_part *list = dealt ? cut : parts;
    for (int i = 0; i < (dealt ? pieces : count); i++) {
        all += list[i].count * bytes;
        own += list[i].owner == rank ? list[i].count * bytes : 0;
    }
    all_gather(w, all, own, ranks - 1);
    free(cut);
    free(from);
    return MOTET_OK;
}

static void all_reduce(wire *w, int64_t count, int64_t bytes, int rank, int ranks) {
    int64_t own = motet_communicator_slice(count, rank, ranks) * bytes;
    reduce_scatter(w, count * bytes, own, ranks - 1);
    all_gather(w, count * bytes, own, ranks - 1);
}

/* What comes back of an update: compute weights of one type. */
static motet_status weights_back(wire *w, const shapes *s, motet_dtype dtype, motet_dtype want,
                                 int rank) {
    motet_part *parts = calloc((size_t)s->part_count + 1, sizeof *parts);
    int count = 0;
    if (!parts) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a plan");
    for (int i = 0; i < s->part_count; i++) {
        int matrix = s->list[s->parts[i].parameter].master.rank == 2;
        if ((matrix ? dtype : MOTET_F32) == want)
            parts[count++] = (motet_part){NULL, s->parts[i].count, s->parts[i].owner};
    }
    motet_status status =
        gather_parts(w, parts, count, (int64_t)motet_dtype_bytes(want), rank, s->ranks);
    free(parts);
    return status;
}

static motet_status wire_of(wire *w, const shapes *s, const motet_settings *settings, int rank) {
    int ranks = s->ranks;
    int64_t gradients = 0, own = 0;
    *w = (wire){0};
    if (ranks == 1) return MOTET_OK;
    for (int i = 0; i < s->part_count; i++) {
        int64_t bytes = s->parts[i].count * (int64_t)sizeof(float);
        gradients += bytes;
        own += s->parts[i].owner == rank ? bytes : 0;
    }
    reduce_scatter(w, gradients, own, ranks - 1);
    if (settings->train_shard) {
        MOTET_TRY(weights_back(w, s, dtype_of(settings), MOTET_F32, rank));
        MOTET_TRY(weights_back(w, s, dtype_of(settings), MOTET_BF16, rank));
        all_reduce(w, s->part_count, sizeof(double), rank, ranks); /* the norm's squares */
    } else {
        all_gather(w, gradients, own, ranks - 1);
    }
    int64_t losses = (int64_t)sizeof(motet_losses) * settings->train_accumulate / ranks;
    all_gather(w, losses * ranks, losses, ranks - 1);
    return MOTET_OK;
}

motet_status motet_cluster_plan_rank(motet_plan_memory *memory, int64_t *sent, int64_t *received,
                                     const motet_settings *settings, const motet_machine *machine,
                                     int rank, int ranks, int threads) {
    shapes s;
    MOTET_TRY(list_shapes(&s, settings, ranks));
    wire w;
    motet_status status = wire_of(&w, &s, settings, rank);
    *sent = w.sent;
    *received = w.received;
    if (status == MOTET_OK) status = memory_of(memory, &s, settings, machine, rank, threads);
    free_shapes(&s);
    return status;
}

/* ---- Time. */

static double most(double a, double b) {
    return a > b ? a : b;
}

/* Of a rank's bytes, the share that stays in its node goes over the link. */
static double travel(const motet_plan_row *row, const motet_machine *m, double bytes) {
    if (row->ranks == 1) return 0;
    double near = (double)(row->ranks_a_node - 1) / (row->ranks - 1);
    double link = bytes * near / m->link_bytes_s, net = bytes * (1 - near) / m->net_bytes_s;
    return most(link, net);
}

static double update_of(const shapes *s, const motet_settings *settings, const motet_machine *m,
                        int rank) {
    double seconds = 0;
    int sharded = settings->train_shard && s->ranks > 1;
    for (int i = 0; i < s->part_count; i++) {
        const motet_zero_part *part = &s->parts[i];
        const motet_trained *p = &s->list[part->parameter];
        if (!owns(part, rank, sharded)) continue;
        seconds += 28.0 * (double)part->count / m->memory_bytes_s;
        if (p->update == MOTET_UPDATE_MUON)
            seconds += (motet_zero_cost(p->master.dims[0], p->master.dims[1]) -
                        motet_zero_cost(part->count, 0)) /
                       m->update_flops;
    }
    return seconds;
}

static void time_of(motet_plan_row *row, const shapes *s, const motet_settings *settings,
                    const motet_machine *m, double flops, double gradient_bytes) {
    double micro = flops / settings->train_accumulate / m->flops;
    row->compute_s = micro * settings->train_accumulate / row->ranks;
    for (int r = 0; r < row->ranks; r++)
        row->update_s = most(row->update_s, update_of(s, settings, m, r));
    if (row->ranks > 1) {
        double scatter = gradient_bytes * (row->ranks - 1) / row->ranks;
        double rest = most((double)row->sent, (double)row->received) - scatter;
        double posted = (double)(row->ranks - 1) * row->buckets * m->message_s;
        double reduce = travel(row, m, scatter) + posted;
        double back = travel(row, m, most(rest, 0));
        double small = 4.0 * (row->ranks - 1) * m->message_s;
        double hidden = settings->train_overlap ? 2.0 / 3 * micro : 0;
        double last = settings->train_overlap ? reduce / row->buckets : reduce;
        row->comm_s = reduce + back + small;
        row->exposed_s = most(last, reduce - hidden) + back + small;
    }
    row->step_s = row->compute_s + row->update_s + row->exposed_s;
    row->events_s = (double)settings->train_accumulate * settings->train_rows / row->step_s;
}

static motet_status make_row(motet_plan_row *row, const motet_settings *asked,
                             const motet_machine *machine, int threads) {
    motet_settings settings = *asked;
    int ranks = row->ranks;
    settings.train_accumulate = (asked->train_accumulate + ranks - 1) / ranks * ranks;
    row->accumulate = settings.train_accumulate;
    motet_run_plan one;
    shapes s;
    MOTET_TRY(motet_run_plan_make(&one, &settings));
    MOTET_TRY(list_shapes(&s, &settings, ranks));
    motet_status status = MOTET_OK;
    for (int r = 0; r < ranks && status == MOTET_OK; r++) {
        wire w;
        status = wire_of(&w, &s, &settings, r);
        if (w.sent > row->sent) row->sent = w.sent;
        if (w.received > row->received) row->received = w.received;
        if (r == 0 && status == MOTET_OK)
            status = memory_of(&row->memory, &s, &settings, machine, r, threads);
        int64_t moments = moments_of(&s, r, settings.train_shard && ranks > 1);
        if (moments > row->memory.moments) row->memory.moments = moments;
    }
    row->bytes = sum_of(&row->memory);
    row->fits = machine->device_bytes == 0 || (double)row->bytes < 0.95 * machine->device_bytes;
    double gradients = (double)(one.muon + one.adamw) * sizeof(float);
    row->buckets = (int)(gradients / ((double)settings.train_bucket_mb * 1e6)) + 1;
    double flops = one.trunk + one.attention + one.fields + one.memory + one.text;
    if (status == MOTET_OK) time_of(row, &s, &settings, machine, flops, gradients);
    free_shapes(&s);
    return status;
}

/* ---- The rows. */

motet_status motet_cluster_plan_size(int *nodes, int *ranks_a_node, const char *text) {
    char *end;
    long first = strtol(text, &end, 10), second = 1;
    int one = *end == 0;
    if (*end == 'x' || *end == 'X') second = strtol(end + 1, &end, 10);
    if (*end || first < 1 || second < 1 || first > MOTET_PLAN_RANKS || second > MOTET_PLAN_RANKS ||
        first * second > MOTET_PLAN_RANKS)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "--plan %.40s: NODESxRANKS is wanted, as 4x8, %d ranks at most", text,
                          MOTET_PLAN_RANKS);
    *nodes = one ? 1 : (int)first;
    *ranks_a_node = one ? (int)first : (int)second;
    return MOTET_OK;
}

static int next_size(int now, int asked) {
    return now < asked && 2 * now > asked ? asked : 2 * now;
}

motet_status motet_cluster_plan_make(motet_cluster_plan *plan, const motet_settings *settings,
                                     const motet_machine *machine, int nodes, int ranks_a_node,
                                     int threads) {
    *plan = (motet_cluster_plan){.machine = machine, .threads = threads};
    plan->rows = calloc(64, sizeof *plan->rows); /* two sizes that double up to 4,096 */
    if (!plan->rows) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a plan");
    motet_status status = MOTET_OK;
    for (int n = 1, r = 1; status == MOTET_OK && n <= nodes && r <= ranks_a_node;) {
        motet_plan_row *row = &plan->rows[plan->count++];
        *row = (motet_plan_row){.nodes = n, .ranks_a_node = r, .ranks = n * r};
        status = make_row(row, settings, machine, threads);
        row->efficiency = row->events_s / row->ranks / plan->rows[0].events_s;
        if (r < ranks_a_node)
            r = next_size(r, ranks_a_node);
        else
            n = next_size(n, nodes);
    }
    if (status != MOTET_OK) motet_cluster_plan_free(plan);
    return status;
}

void motet_cluster_plan_free(motet_cluster_plan *plan) {
    free(plan->rows);
    *plan = (motet_cluster_plan){0};
}
