/* The collectives, over any transport: rounds of exchanges that each fill at most one slot a rank.
 * A rank sends (ranks - 1) / ranks of a message for a reduce-scatter or an all-gather, as a ring
 * does, but without a ring's ranks - 1 steps one after another, and with its own order of sums.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "train/communicator.h"

static int on_host(const motet_communicator *c, motet_wire type) {
    return type > MOTET_WIRE_BF16 || c->backend.memory == &motet_host_memory;
}

static motet_status copy(const motet_communicator *c, void *to, const void *from, size_t bytes,
                         int host) {
    if (!host) return c->backend.memory->copy(to, from, bytes);
    memcpy(to, from, bytes);
    return MOTET_OK;
}

static motet_status post(motet_communicator *c, motet_transfer transfer) {
    if (c->transfer_count == c->transfer_room) {
        int room = c->transfer_room ? 2 * c->transfer_room : 256;
        motet_transfer *more = realloc(c->transfers, (size_t)room * sizeof *more);
        if (!more) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %d transfers", room);
        c->transfers = more;
        c->transfer_room = room;
    }
    c->transfers[c->transfer_count++] = transfer;
    return MOTET_OK;
}

/* ---- Memory that the transport cannot read is copied to and from some that it can. */

static int bounces(const motet_communicator *c, const motet_transfer *t) {
    int plain = c->backend.memory == &motet_host_memory;
    return !plain && t->host == c->transport->device;
}

static motet_status grow_bounce(motet_communicator *c, size_t bytes) {
    if (bytes <= c->bounce_bytes) return MOTET_OK;
    const motet_memory *memory =
        c->transport->device ? c->backend.memory : (const motet_memory *)&motet_host_memory;
    motet_placement placement = c->transport->device ? MOTET_ON_DEVICE : MOTET_SHARED;
    memory->give_back(c->bounce, placement);
    c->bounce = NULL;
    c->bounce_bytes = 0;
    void *block;
    MOTET_TRY(memory->take(&block, bytes, placement));
    c->bounce = block;
    c->bounce_bytes = bytes;
    return MOTET_OK;
}

/* The same data sent to many peers bounce once. */
static int repeats(const motet_transfer *list, int i) {
    return i > 0 && !list[i].receive && !list[i - 1].receive && list[i].data == list[i - 1].data &&
           list[i].bytes == list[i - 1].bytes;
}

static motet_status exchange_bounced(motet_communicator *c) {
    int count = c->transfer_count;
    motet_transfer *list = c->transfers, *moved = malloc((size_t)count * sizeof *moved);
    if (!moved) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %d transfers", count);
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        if (bounces(c, &list[i]) && !repeats(list, i)) bytes += (list[i].bytes + 63) / 64 * 64;
    motet_status status = grow_bounce(c, bytes);
    unsigned char *next = c->bounce;
    const motet_memory *memory = c->backend.memory;
    for (int i = 0; i < count && status == MOTET_OK; i++) {
        moved[i] = list[i];
        if (!bounces(c, &list[i])) continue;
        if (repeats(list, i)) {
            moved[i].data = moved[i - 1].data;
            continue;
        }
        moved[i].data = next;
        next += (list[i].bytes + 63) / 64 * 64;
        if (!list[i].receive) status = memory->copy(moved[i].data, list[i].data, list[i].bytes);
    }
    if (status == MOTET_OK) status = memory->synchronize();
    if (status == MOTET_OK) status = c->transport->exchange(c->link, moved, count, c->timeout_s);
    for (int i = 0; i < count && status == MOTET_OK; i++)
        if (list[i].receive && bounces(c, &list[i]))
            status = memory->copy(list[i].data, moved[i].data, list[i].bytes);
    if (status == MOTET_OK) status = memory->synchronize();
    free(moved);
    return status;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static motet_status exchange(motet_communicator *c) {
    if (!c->transfer_count) return MOTET_OK;
    motet_status status;
    double start = seconds();
    for (int i = 0; i < c->transfer_count; i++)
        *(c->transfers[i].receive ? &c->received_bytes : &c->sent_bytes) +=
            (int64_t)c->transfers[i].bytes;
    if (c->backend.memory == &motet_host_memory)
        status = c->transport->exchange(c->link, c->transfers, c->transfer_count, c->timeout_s);
    else
        status = exchange_bounced(c);
    c->transfer_count = 0;
    c->seconds += seconds() - start;
    if (status != MOTET_OK) c->broken = status;
    return status;
}

static motet_status begin(motet_communicator *c) {
    c->transfer_count = 0;
    if (c->broken == MOTET_OK) return MOTET_OK;
    return MOTET_FAIL(c->broken, "the ranks have lost each other: see the first error");
}

/* ---- Rounds. An owner's parts, one after another, are its stream; round k is the k-th slot's
 * worth of every stream. */

typedef struct segment {
    unsigned char *data;
    int64_t at; /* elements from the beginning of the round's window */
    int64_t count;
    int owner;
} segment;

typedef struct rounds {
    motet_communicator *c;
    const motet_part *parts;
    int count;
    int64_t window; /* elements of a round */
    size_t bytes;   /* of an element */
    int64_t round;
    int part; /* the next one to look at */
} rounds;

static rounds rounds_of(motet_communicator *c, const motet_part *parts, int count,
                        motet_wire type) {
    size_t bytes = motet_wire_bytes(type);
    return (rounds){.c = c,
                    .parts = parts,
                    .count = count,
                    .window = (int64_t)(c->slot_bytes / bytes),
                    .bytes = bytes,
                    .round = -1};
}

/* Moves on to the next round, if any stream reaches that far. */
static int next_round(rounds *r) {
    int64_t *offsets = r->c->offsets, longest = 0;
    memset(offsets, 0, (size_t)r->c->ranks * sizeof *offsets);
    for (int i = 0; i < r->count; i++) {
        int64_t end = offsets[r->parts[i].owner] += r->parts[i].count;
        if (end > longest) longest = end;
    }
    memset(offsets, 0, (size_t)r->c->ranks * sizeof *offsets);
    r->round++;
    r->part = 0;
    return r->round * r->window < longest;
}

static int next_segment(segment *s, rounds *r) {
    int64_t low = r->round * r->window, high = low + r->window;
    while (r->part < r->count) {
        const motet_part *p = &r->parts[r->part++];
        int64_t start = r->c->offsets[p->owner], end = start + p->count;
        r->c->offsets[p->owner] = end;
        int64_t from = start > low ? start : low, to = end < high ? end : high;
        if (from >= to) continue;
        *s = (segment){.at = from - low, .count = to - from, .owner = p->owner};
        s->data = p->data ? (unsigned char *)p->data + (size_t)(from - start) * r->bytes : NULL;
        return 1;
    }
    return 0;
}

static void rewind_round(rounds *r) {
    memset(r->c->offsets, 0, (size_t)r->c->ranks * sizeof *r->c->offsets);
    r->part = 0;
}

/* ---- Sums. */

static motet_status add(motet_communicator *c, void *to, void *from, int64_t count,
                        motet_wire type) {
    if (type == MOTET_WIRE_F32 || type == MOTET_WIRE_BF16) {
        motet_dtype dtype = type == MOTET_WIRE_F32 ? MOTET_F32 : MOTET_BF16;
        return c->backend.add(motet_vector(to, dtype, count), motet_vector(from, dtype, count));
    }
    if (type == MOTET_WIRE_F64) {
        double *a = to;
        const double *b = from;
        for (int64_t i = 0; i < count; i++)
            a[i] += b[i];
    } else {
        uint64_t *a = to; /* unsigned: a wrap is defined */
        const uint64_t *b = from;
        for (int64_t i = 0; i < count; i++)
            a[i] += b[i];
    }
    return MOTET_OK;
}

/* S(0, 1, ranks) of gradient_tree.h, from its leaves up. */
static motet_status add_slots(motet_communicator *c, unsigned char *slots, int64_t count,
                              motet_wire type) {
    int sums = c->ranks & -c->ranks; /* the largest power of two in it */
    for (int i = 0; i < sums; i++)
        for (int k = i + sums; k < c->ranks; k += sums)
            MOTET_TRY(add(c, slots + (size_t)i * c->slot_bytes, slots + (size_t)k * c->slot_bytes,
                          count, type));
    for (sums /= 2; sums; sums /= 2)
        for (int i = 0; i < sums; i++)
            MOTET_TRY(add(c, slots + (size_t)i * c->slot_bytes,
                          slots + (size_t)(i + sums) * c->slot_bytes, count, type));
    return MOTET_OK;
}

static motet_status reduce_round(rounds *r, motet_wire type) {
    motet_communicator *c = r->c;
    int host = on_host(c, type);
    unsigned char *slots = c->slots[!host];
    int64_t mine = 0;
    for (segment s; next_segment(&s, r);) {
        size_t bytes = (size_t)s.count * r->bytes, at = (size_t)s.at * r->bytes;
        motet_transfer t = {.peer = s.owner, .host = host, .bytes = bytes, .data = s.data};
        if (s.owner != c->rank) {
            MOTET_TRY(post(c, t));
            continue;
        }
        t.receive = 1;
        for (t.peer = 0; t.peer < c->ranks; t.peer++) {
            t.data = slots + (size_t)t.peer * c->slot_bytes + at;
            if (t.peer == c->rank)
                MOTET_TRY(copy(c, t.data, s.data, bytes, host));
            else
                MOTET_TRY(post(c, t));
        }
        mine = s.at + s.count;
    }
    MOTET_TRY(exchange(c));
    if (!mine) return MOTET_OK;
    MOTET_TRY(add_slots(c, slots, mine, type));
    rewind_round(r);
    for (segment s; next_segment(&s, r);)
        if (s.owner == c->rank)
            MOTET_TRY(
                copy(c, s.data, slots + (size_t)s.at * r->bytes, (size_t)s.count * r->bytes, host));
    return MOTET_OK;
}

motet_status motet_communicator_reduce_scatter(motet_communicator *c, const motet_part *parts,
                                               int count, motet_wire type) {
    if (c->ranks == 1) return MOTET_OK;
    MOTET_TRY(begin(c));
    rounds r = rounds_of(c, parts, count, type);
    while (next_round(&r))
        MOTET_TRY(reduce_round(&r, type));
    return MOTET_OK;
}

/* root < 0: to everybody. */
static motet_status gather_round(rounds *r, motet_wire type, int root) {
    motet_communicator *c = r->c;
    for (segment s; next_segment(&s, r);) {
        motet_transfer t = {.host = on_host(c, type) || (root >= 0 && c->rank == root),
                            .bytes = (size_t)s.count * r->bytes,
                            .data = s.data};
        if (s.owner != c->rank) {
            t.peer = s.owner;
            t.receive = 1;
            if (root < 0 || root == c->rank) MOTET_TRY(post(c, t));
            continue;
        }
        for (t.peer = 0; t.peer < c->ranks; t.peer++)
            if (t.peer != c->rank && (root < 0 || t.peer == root)) MOTET_TRY(post(c, t));
    }
    return exchange(c);
}

static motet_status gather(motet_communicator *c, const motet_part *parts, int count,
                           motet_wire type, int root) {
    if (c->ranks == 1) return MOTET_OK;
    MOTET_TRY(begin(c));
    rounds r = rounds_of(c, parts, count, type);
    while (next_round(&r))
        MOTET_TRY(gather_round(&r, type, root));
    return MOTET_OK;
}

/* ---- Parts of which one rank has most: first they are dealt out, then all gather them. */

int motet_communicator_is_dealt(const motet_part *parts, int count, int ranks) {
    int64_t all = 0, longest = 0;
    for (int r = 0; r < ranks; r++) {
        int64_t own = 0;
        for (int i = 0; i < count; i++)
            own += parts[i].owner == r ? parts[i].count : 0;
        all += own;
        if (own > longest) longest = own;
    }
    return longest > (all + longest) / ranks;
}

int motet_communicator_cut(motet_part *cut, int *from, const motet_part *parts, int count,
                           int ranks, size_t bytes) {
    int64_t all = 0, at = 0, end = 0;
    int pieces = 0, holder = -1;
    for (int i = 0; i < count; i++)
        all += parts[i].count;
    for (int i = 0; i < count; i++)
        for (int64_t done = 0; done < parts[i].count;) {
            while (at >= end)
                end += motet_communicator_slice(all, ++holder, ranks);
            int64_t left = parts[i].count - done, now = left < end - at ? left : end - at;
            unsigned char *data = parts[i].data;
            from[pieces] = parts[i].owner;
            cut[pieces++] = (motet_part){data ? data + (size_t)done * bytes : NULL, now, holder};
            done += now;
            at += now;
        }
    return pieces;
}

static motet_status deal_parts(rounds *r, motet_wire type, const int *from) {
    motet_communicator *c = r->c;
    for (segment s; next_segment(&s, r);) {
        int source = from[r->part - 1];
        motet_transfer t = {.peer = c->rank == source ? s.owner : source,
                            .receive = c->rank != source,
                            .host = on_host(c, type),
                            .bytes = (size_t)s.count * r->bytes,
                            .data = s.data};
        if (source != s.owner && (c->rank == source || c->rank == s.owner)) MOTET_TRY(post(c, t));
    }
    return exchange(c);
}

static motet_status gather_dealt(motet_communicator *c, const motet_part *parts, int count,
                                 motet_wire type) {
    size_t most = (size_t)count + (size_t)c->ranks;
    motet_part *cut = calloc(most, sizeof *cut);
    int *from = calloc(most, sizeof *from);
    motet_status status =
        cut && from ? begin(c) : MOTET_FAIL(MOTET_E_MEMORY, "no memory for %d parts", count);
    if (status == MOTET_OK) {
        count = motet_communicator_cut(cut, from, parts, count, c->ranks, motet_wire_bytes(type));
        rounds r = rounds_of(c, cut, count, type);
        while (status == MOTET_OK && next_round(&r))
            status = deal_parts(&r, type, from);
    }
    if (status == MOTET_OK) status = gather(c, cut, count, type, -1);
    free(cut);
    free(from);
    return status;
}

motet_status motet_communicator_all_gather_uneven(motet_communicator *c, const motet_part *parts,
                                                  int count, motet_wire type) {
    if (c->ranks > 1 && motet_communicator_is_dealt(parts, count, c->ranks))
        return gather_dealt(c, parts, count, type);
    return gather(c, parts, count, type, -1);
}

motet_status motet_communicator_all_gather(motet_communicator *c, const motet_part *parts,
                                           int count, motet_wire type) {
    return gather(c, parts, count, type, -1);
}

motet_status motet_communicator_gather(motet_communicator *c, const motet_part *parts, int count,
                                       motet_wire type, int root) {
    return gather(c, parts, count, type, root);
}

/* ---- Whole messages: a slice each, in multiples of 64 elements. */

static int64_t slice_end(int64_t count, int rank, int ranks) {
    int64_t blocks = (count + 63) / 64, r = rank + 1;
    int64_t end = 64 * (blocks / ranks * r + blocks % ranks * r / ranks);
    return end < count ? end : count;
}

int64_t motet_communicator_slice(int64_t count, int rank, int ranks) {
    return slice_end(count, rank, ranks) - (rank ? slice_end(count, rank - 1, ranks) : 0);
}

static motet_part *slice(const motet_communicator *c, void *data, int64_t count, size_t bytes) {
    motet_part *parts = calloc((size_t)c->ranks, sizeof *parts);
    if (!parts) return NULL;
    int64_t from = 0;
    for (int r = 0; r < c->ranks; r++) {
        int64_t own = motet_communicator_slice(count, r, c->ranks);
        parts[r] = (motet_part){(unsigned char *)data + (size_t)from * bytes, own, r};
        from += own;
    }
    return parts;
}

motet_status motet_communicator_all_reduce(motet_communicator *c, void *data, int64_t count,
                                           motet_wire type) {
    if (c->ranks == 1) return MOTET_OK;
    motet_part *parts = slice(c, data, count, motet_wire_bytes(type));
    if (!parts) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %d slices", c->ranks);
    motet_status status = motet_communicator_reduce_scatter(c, parts, c->ranks, type);
    if (status == MOTET_OK) status = motet_communicator_all_gather(c, parts, c->ranks, type);
    free(parts);
    return status;
}

/* Root deals the slices out, then all gather them: nobody sends the whole more than twice. */
static motet_status deal(rounds *r, motet_wire type, int root) {
    motet_communicator *c = r->c;
    for (segment s; next_segment(&s, r);) {
        motet_transfer t = {.peer = c->rank == root ? s.owner : root,
                            .receive = c->rank != root,
                            .host = on_host(c, type),
                            .bytes = (size_t)s.count * r->bytes,
                            .data = s.data};
        if (s.owner != root && (c->rank == root || c->rank == s.owner)) MOTET_TRY(post(c, t));
    }
    return exchange(c);
}

motet_status motet_communicator_broadcast(motet_communicator *c, void *data, int64_t count,
                                          motet_wire type, int root) {
    if (c->ranks == 1) return MOTET_OK;
    MOTET_TRY(begin(c));
    motet_part *parts = slice(c, data, count, motet_wire_bytes(type));
    if (!parts) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %d slices", c->ranks);
    motet_status status = MOTET_OK;
    rounds r = rounds_of(c, parts, c->ranks, type);
    while (status == MOTET_OK && next_round(&r))
        status = deal(&r, type, root);
    if (status == MOTET_OK) status = motet_communicator_all_gather(c, parts, c->ranks, type);
    free(parts);
    return status;
}
