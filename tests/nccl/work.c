#include "tests/nccl/work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/nccl/device.h"

#define WRONG(code, ...) (snprintf(error, size, __VA_ARGS__), (code))

size_t tn_type_bytes(ncclDataType_t type) {
    static const size_t bytes[] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2};
    return (unsigned)type < sizeof bytes / sizeof *bytes ? bytes[type] : 0;
}

bool tn_can_reduce(ncclDataType_t type, ncclRedOp_t op) {
    return (type == ncclFloat32 || type == ncclFloat64 || type == ncclInt32 || type == ncclInt64) &&
           (op == ncclSum || op == ncclProd || op == ncclMax || op == ncclMin);
}

size_t tn_call_send_bytes(const tn_call *c, int rank, int ranks) {
    size_t bytes = c->count * tn_type_bytes(c->type);
    if (c->kind == TN_SEND_RECEIVE) return c->send ? bytes : 0;
    if (c->kind == TN_BROADCAST) return rank == c->peer ? bytes : 0;
    return c->kind == TN_REDUCE_SCATTER ? bytes * (size_t)ranks : bytes;
}

size_t tn_call_receive_bytes(const tn_call *c, int rank, int ranks) {
    size_t bytes = c->count * tn_type_bytes(c->type);
    if (c->kind == TN_SEND_RECEIVE) return c->send ? 0 : bytes;
    if (c->kind == TN_REDUCE) return rank == c->peer ? bytes : 0;
    return c->kind == TN_ALL_GATHER ? bytes * (size_t)ranks : bytes;
}

/* ---- Messages of a call. Every rank of a collective hears of every other, if only its header. */

static bool is_rooted(tn_kind kind) {
    return kind == TN_REDUCE || kind == TN_BROADCAST;
}

static tn_header header_of(const tn_call *c) {
    return (tn_header){.kind = c->kind,
                       .type = (uint32_t)c->type,
                       .op = (uint32_t)c->op,
                       .root = is_rooted(c->kind) ? c->peer : -1,
                       .count = c->count,
                       .number = c->number};
}

static void add(tn_work *w, const tn_call *c, int peer, bool receive, unsigned char *data,
                size_t bytes) {
    w->messages[w->message_count++] = (tn_message){
        .peer = peer, .receive = receive, .expected = header_of(c), .data = data, .bytes = bytes};
    w->all_bytes += bytes;
}

/* Bytes from one rank to another, and where they begin in what that rank sends. */
static size_t share(const tn_call *c, int from, int to, size_t *offset) {
    size_t bytes = c->count * tn_type_bytes(c->type);
    *offset = c->kind == TN_REDUCE_SCATTER ? bytes * (size_t)to : 0;
    if (c->kind == TN_BROADCAST) return from == c->peer ? bytes : 0;
    if (c->kind == TN_REDUCE) return to == c->peer ? bytes : 0;
    return bytes;
}

static bool expand(tn_work *w, int i, int rank, int ranks) {
    const tn_call *c = &w->calls[i];
    size_t bytes = c->count * tn_type_bytes(c->type), offset;
    size_t sent = tn_call_send_bytes(c, rank, ranks);
    w->sends[i] = malloc(sent + 1);
    w->receives[i] = malloc(bytes * (size_t)ranks + 1);
    if (!w->sends[i] || !w->receives[i]) return false;
    if (c->kind == TN_SEND_RECEIVE) {
        add(w, c, c->peer, !c->send, c->send ? w->sends[i] : w->receives[i], bytes);
        return true;
    }
    for (int r = 0; r < ranks; r++) {
        size_t own = share(c, rank, r, &offset);
        add(w, c, r, false, w->sends[i] + (own ? offset : 0), own);
        add(w, c, r, true, w->receives[i] + (size_t)r * bytes, share(c, r, rank, &offset));
    }
    return true;
}

ncclResult_t tn_work_begin(tn_work *w, tn_call *calls, int count, int rank, int ranks, char *error,
                           size_t size) {
    *w = (tn_work){.calls = calls, .call_count = count};
    w->messages = calloc((size_t)count * 2 * (size_t)ranks + 1, sizeof *w->messages);
    w->sends = calloc((size_t)count + 1, sizeof *w->sends);
    w->receives = calloc((size_t)count + 1, sizeof *w->receives);
    if (!w->messages || !w->sends || !w->receives)
        return WRONG(ncclSystemError, "no memory for %d calls", count);
    for (int i = 0; i < count; i++) {
        if (!expand(w, i, rank, ranks)) return WRONG(ncclSystemError, "no memory for a call");
        size_t bytes = tn_call_send_bytes(&calls[i], rank, ranks);
        if (bytes && tn_device_copy(w->sends[i], calls[i].send, bytes) != CUDA_SUCCESS)
            return WRONG(ncclUnhandledCudaError, "what is sent is not one block of the device");
    }
    for (int i = 0; i < count; i++) {
        size_t bytes = tn_call_receive_bytes(&calls[i], rank, ranks);
        if (bytes && tn_device_fill(calls[i].receive, 0xff, bytes) != CUDA_SUCCESS)
            return WRONG(ncclUnhandledCudaError, "where to receive is not one block of the device");
    }
    return ncclSuccess;
}

static ncclResult_t check(const tn_message *m, int rank, char *error, size_t size) {
    if (memcmp(&m->expected, &m->got, sizeof m->got) == 0) return ncclSuccess;
    return WRONG(ncclInvalidUsage,
                 "rank %d says operation %u, %llu of type %u, reduction %u, root %d, number %llu; "
                 "rank %d says operation %u, %llu of type %u, reduction %u, root %d, number %llu",
                 m->peer, m->got.kind, (unsigned long long)m->got.count, m->got.type, m->got.op,
                 m->got.root, (unsigned long long)m->got.number, rank, m->expected.kind,
                 (unsigned long long)m->expected.count, m->expected.type, m->expected.op,
                 m->expected.root, (unsigned long long)m->expected.number);
}

static bool is_done(const tn_message *m) {
    return m->head_done == sizeof(tn_header) && m->done == m->bytes;
}

/* Header first, then the bytes, if the header is right. */
static ncclResult_t move(tn_message *m, tn_pipe *pipe, int rank, size_t *moved, char *error,
                         size_t size) {
    size_t head = 0;
    if (m->head_done < sizeof m->got) {
        tn_header *h = m->receive ? &m->got : &m->expected;
        head = tn_pipe_move(pipe, m->receive, (unsigned char *)h + m->head_done,
                            sizeof *h - m->head_done);
        m->head_done += head;
        *moved += head;
        if (m->head_done < sizeof m->got) return ncclSuccess;
        if (m->receive) {
            ncclResult_t result = check(m, rank, error, size);
            if (result != ncclSuccess) return result;
        }
    }
    size_t now = tn_pipe_move(pipe, m->receive, m->data + m->done, m->bytes - m->done);
    m->done += now;
    *moved += now;
    return ncclSuccess;
}

ncclResult_t tn_work_step(tn_work *w, tn_meeting *meeting, int rank, bool *moved, bool *done,
                          char *error, size_t size) {
    bool busy[TN_MOST_RANKS][2] = {{false}}; /* messages of one pipe keep their order */
    *moved = false;
    *done = true;
    for (int i = 0; i < w->message_count; i++) {
        tn_message *m = &w->messages[i];
        if (is_done(m) || busy[m->peer][m->receive]) continue;
        tn_pipe *pipe =
            m->receive ? &meeting->pipes[m->peer][rank] : &meeting->pipes[rank][m->peer];
        size_t bytes = 0;
        ncclResult_t result = move(m, pipe, rank, &bytes, error, size);
        if (result != ncclSuccess) return result;
        w->moved_bytes += bytes;
        *moved |= bytes > 0;
        if (is_done(m)) continue;
        busy[m->peer][m->receive] = true;
        *done = false;
    }
    return ncclSuccess;
}

/* ---- What is left to do with what has come. */

#define REDUCE(type_)                                             \
    do {                                                          \
        type_ *a = (type_ *)to;                                   \
        const type_ *b = (const type_ *)from;                     \
        for (size_t k = 0; k < count; k++)                        \
            a[k] = op == ncclSum    ? a[k] + b[k]                 \
                   : op == ncclProd ? a[k] * b[k]                 \
                   : op == ncclMax  ? (b[k] > a[k] ? b[k] : a[k]) \
                                    : (b[k] < a[k] ? b[k] : a[k]); \
    } while (0)

static void reduce(void *to, const void *from, size_t count, ncclDataType_t type, ncclRedOp_t op) {
    if (type == ncclFloat32)
        REDUCE(float);
    else if (type == ncclFloat64)
        REDUCE(double);
    else if (type == ncclInt32)
        REDUCE(int32_t);
    else
        REDUCE(int64_t);
}

static const unsigned char *result_of(tn_work *w, int i, int ranks) {
    const tn_call *c = &w->calls[i];
    unsigned char *all = w->receives[i];
    size_t bytes = c->count * tn_type_bytes(c->type);
    if (c->kind == TN_BROADCAST) return all + (size_t)c->peer * bytes;
    if (c->kind == TN_ALL_REDUCE || c->kind == TN_REDUCE || c->kind == TN_REDUCE_SCATTER)
        for (int r = 1; r < ranks; r++)
            reduce(all, all + (size_t)r * bytes, c->count, c->type, c->op);
    return all;
}

static bool is_overwritten(const tn_work *w, const tn_call *sent, size_t bytes, int rank,
                           int ranks) {
    uintptr_t from = (uintptr_t)sent->send, to = from + bytes;
    for (int i = 0; i < w->call_count; i++) {
        uintptr_t start = (uintptr_t)w->calls[i].receive;
        uintptr_t end = start + tn_call_receive_bytes(&w->calls[i], rank, ranks);
        if (start < to && from < end) return true;
    }
    return false;
}

static ncclResult_t look(tn_work *w, int i, int rank, int ranks, char *error, size_t size) {
    const tn_call *c = &w->calls[i];
    size_t bytes = tn_call_send_bytes(c, rank, ranks);
    if (!bytes || is_overwritten(w, c, bytes, rank, ranks)) return ncclSuccess;
    unsigned char *now = malloc(bytes);
    if (!now || tn_device_copy(now, c->send, bytes) != CUDA_SUCCESS) {
        free(now);
        return WRONG(ncclUnhandledCudaError, "what was sent is gone");
    }
    int differs = memcmp(now, w->sends[i], bytes);
    free(now);
    if (!differs) return ncclSuccess;
    return WRONG(ncclInvalidUsage, "what rank %d sent was changed while it was under way", rank);
}

ncclResult_t tn_work_end(tn_work *w, int rank, int ranks, char *error, size_t size) {
    for (int i = 0; i < w->call_count; i++) {
        ncclResult_t result = look(w, i, rank, ranks, error, size);
        if (result != ncclSuccess) return result;
    }
    for (int i = 0; i < w->call_count; i++) {
        const tn_call *c = &w->calls[i];
        size_t bytes = tn_call_receive_bytes(c, rank, ranks);
        if (bytes && tn_device_copy(c->receive, result_of(w, i, ranks), bytes) != CUDA_SUCCESS)
            return WRONG(ncclUnhandledCudaError, "where to receive is gone");
    }
    return ncclSuccess;
}

void tn_work_free(tn_work *w) {
    for (int i = 0; i < w->call_count; i++) {
        if (w->sends) free(w->sends[i]);
        if (w->receives) free(w->receives[i]);
    }
    free(w->sends);
    free(w->receives);
    free(w->messages);
    free(w->calls);
    *w = (tn_work){0};
}
