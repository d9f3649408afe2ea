/* NCCL's functions, as nccl.h declares them. Wrong arguments are refused at the call; what only
 * both ends together can see is an asynchronous error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/nccl/communicator.h"

#define ENTRY __attribute__((visibility("default")))

static _Thread_local char last_error[512];
#define WRONG(code, ...) (snprintf(last_error, sizeof last_error, __VA_ARGS__), (code))

/* ---- Communicators. */

ENTRY ncclResult_t ncclGetVersion(int *version) {
    *version = NCCL_VERSION_CODE;
    return ncclSuccess;
}

ENTRY ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
    memset(id, 0, sizeof *id);
    return tn_meeting_name(id->internal, sizeof id->internal) ? ncclSuccess : ncclSystemError;
}

ENTRY ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank,
                                          ncclConfig_t *config) {
    if (!comm || ranks < 1 || ranks > TN_MOST_RANKS || rank < 0 || rank >= ranks)
        return WRONG(ncclInvalidArgument, "rank %d of %d, at most %d", rank, ranks, TN_MOST_RANKS);
    if (!config || config->magic != 0xcafebeef ||
        config->size < offsetof(ncclConfig_t, cgaClusterSize))
        return WRONG(ncclInvalidArgument, "the config was not initialised");
    if (config->blocking != 0)
        return WRONG(ncclInvalidUsage, "only communicators that do not block are modelled");
    if (id.internal[0] != '/' || !memchr(id.internal, 0, sizeof id.internal))
        return WRONG(ncclInvalidArgument, "the id is none of ncclGetUniqueId");
    return tn_communicator_open(comm, ranks, id.internal, rank);
}

ENTRY ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *result) {
    if (!comm || !result) return WRONG(ncclInvalidArgument, "no communicator");
    *result = tn_communicator_state(comm);
    return ncclSuccess;
}

ENTRY ncclResult_t ncclCommFinalize(ncclComm_t comm) {
    if (!comm) return WRONG(ncclInvalidArgument, "no communicator");
    return tn_communicator_finalize(comm);
}

ENTRY ncclResult_t ncclCommDestroy(ncclComm_t comm) {
    if (!comm) return WRONG(ncclInvalidArgument, "no communicator");
    bool pending = tn_communicator_state(comm) == ncclInProgress;
    tn_communicator_close(comm);
    return pending ? WRONG(ncclInvalidUsage, "destroyed while something was under way")
                   : ncclSuccess;
}

ENTRY ncclResult_t ncclCommAbort(ncclComm_t comm) {
    if (!comm) return WRONG(ncclInvalidArgument, "no communicator");
    tn_communicator_close(comm);
    return ncclSuccess;
}

ENTRY ncclResult_t ncclCommCount(const ncclComm_t comm, int *count) {
    if (!comm || !count) return WRONG(ncclInvalidArgument, "no communicator");
    *count = comm->ranks;
    return ncclSuccess;
}

ENTRY ncclResult_t ncclCommUserRank(const ncclComm_t comm, int *rank) {
    if (!comm || !rank) return WRONG(ncclInvalidArgument, "no communicator");
    *rank = comm->rank;
    return ncclSuccess;
}

ENTRY ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int *device) {
    if (!comm || !device) return WRONG(ncclInvalidArgument, "no communicator");
    *device = comm->device.ordinal;
    return ncclSuccess;
}

ENTRY const char *ncclGetErrorString(ncclResult_t result) {
    static const char *const texts[] = {"no error",
                                        "unhandled cuda error",
                                        "unhandled system error",
                                        "internal error",
                                        "invalid argument",
                                        "invalid usage",
                                        "remote process exited or there was a network error",
                                        "NCCL operation in progress"};
    return (unsigned)result < sizeof texts / sizeof *texts ? texts[result] : "unknown result code";
}

ENTRY const char *ncclGetLastError(ncclComm_t comm) {
    if (!comm) return last_error;
    pthread_mutex_lock(&comm->lock);
    if (*comm->error) memcpy(last_error, comm->error, sizeof last_error);
    pthread_mutex_unlock(&comm->lock);
    return last_error;
}

/* ---- Groups: calls are kept until the outermost group ends. */

static _Thread_local struct {
    int depth, count, room;
    tn_call *calls;
    ncclComm_t comm;
    ncclResult_t failed;
} group;

static void forget(void) {
    group.calls = NULL;
    group.comm = NULL;
    group.count = group.room = 0;
    group.failed = ncclSuccess;
}

ncclResult_t ncclGroupStart(void); /* nccl.h's have no prototypes in C */
ncclResult_t ncclGroupEnd(void);

ENTRY ncclResult_t ncclGroupStart(void) {
    group.depth++;
    return ncclSuccess;
}

ENTRY ncclResult_t ncclGroupEnd(void) {
    if (group.depth == 0) return WRONG(ncclInvalidUsage, "a group ends that has not begun");
    if (--group.depth > 0) return ncclSuccess;
    ncclResult_t result = group.failed;
    if (result == ncclSuccess && group.count)
        result = tn_communicator_submit(group.comm, group.calls, group.count);
    else
        free(group.calls);
    forget();
    return result;
}

static ncclResult_t refuse(ncclResult_t why) {
    if (group.depth) group.failed = why;
    return why;
}

static ncclResult_t check(ncclComm_t comm, const tn_call *c) {
    if (!comm) return WRONG(ncclInvalidArgument, "no communicator");
    ncclResult_t state = tn_communicator_state(comm);
    if (state != ncclSuccess)
        return WRONG(ncclInvalidUsage, "the communicator is not ready: %s",
                     ncclGetErrorString(state));
    if (comm->finalized) return WRONG(ncclInvalidUsage, "the communicator was finalized");
    if (group.comm && group.comm != comm)
        return WRONG(ncclInvalidUsage, "groups of several communicators are not modelled");
    if (!tn_type_bytes(c->type)) return WRONG(ncclInvalidArgument, "type %d", (int)c->type);
    if (c->peer < 0 || c->peer >= comm->ranks)
        return WRONG(ncclInvalidArgument, "there is no rank %d", c->peer);
    if (c->count > SIZE_MAX / 64 / (size_t)comm->ranks)
        return WRONG(ncclInvalidArgument, "a count of %zu", c->count);
    if (!tn_device_is_stream((CUstream)c->stream)) return WRONG(ncclInvalidArgument, "no stream");
    size_t sends = tn_call_send_bytes(c, comm->rank, comm->ranks);
    size_t receives = tn_call_receive_bytes(c, comm->rank, comm->ranks);
    if (!tn_device_owns(c->send, sends))
        return WRONG(ncclInvalidArgument, "%zu bytes to send at %p: no device memory", sends,
                     c->send);
    if (!tn_device_owns(c->receive, receives))
        return WRONG(ncclInvalidArgument, "%zu bytes to receive at %p: no device memory", receives,
                     c->receive);
    return ncclSuccess;
}

static ncclResult_t keep(ncclComm_t comm, tn_call call) {
    ncclResult_t result = check(comm, &call);
    if (result != ncclSuccess) return refuse(result);
    ncclGroupStart();
    if (group.count == group.room) {
        int room = group.room ? 2 * group.room : 64;
        tn_call *more = realloc(group.calls, (size_t)room * sizeof *more);
        if (!more) {
            group.failed = ncclSystemError;
            return ncclGroupEnd();
        }
        group.calls = more;
        group.room = room;
    }
    group.calls[group.count++] = call;
    group.comm = comm;
    return ncclGroupEnd();
}

ENTRY ncclResult_t ncclSend(const void *data, size_t count, ncclDataType_t type, int peer,
                            ncclComm_t comm, cudaStream_t stream) {
    if (!data) return refuse(WRONG(ncclInvalidArgument, "nothing to send"));
    return keep(comm, (tn_call){.kind = TN_SEND_RECEIVE,
                                .send = data,
                                .count = count,
                                .type = type,
                                .peer = peer,
                                .stream = stream});
}

ENTRY ncclResult_t ncclRecv(void *data, size_t count, ncclDataType_t type, int peer,
                            ncclComm_t comm, cudaStream_t stream) {
    if (!data) return refuse(WRONG(ncclInvalidArgument, "nowhere to receive"));
    return keep(comm, (tn_call){.kind = TN_SEND_RECEIVE,
                                .receive = data,
                                .count = count,
                                .type = type,
                                .peer = peer,
                                .stream = stream});
}

static ncclResult_t collective(tn_kind kind, const void *send, void *receive, size_t count,
                               ncclDataType_t type, ncclRedOp_t op, int root, ncclComm_t comm,
                               cudaStream_t stream) {
    return keep(comm, (tn_call){kind, send, receive, count, type, op, root, stream, 0});
}

static ncclResult_t reduction(tn_kind kind, const void *send, void *receive, size_t count,
                              ncclDataType_t type, ncclRedOp_t op, int root, ncclComm_t comm,
                              cudaStream_t stream) {
    if (!tn_can_reduce(type, op))
        return refuse(WRONG(ncclInvalidArgument, "type %d with reduction %d is not modelled",
                            (int)type, (int)op));
    return collective(kind, send, receive, count, type, op, root, comm, stream);
}

ENTRY ncclResult_t ncclAllReduce(const void *send, void *receive, size_t count, ncclDataType_t type,
                                 ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
    return reduction(TN_ALL_REDUCE, send, receive, count, type, op, 0, comm, stream);
}

ENTRY ncclResult_t ncclReduce(const void *send, void *receive, size_t count, ncclDataType_t type,
                              ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t stream) {
    return reduction(TN_REDUCE, send, receive, count, type, op, root, comm, stream);
}

ENTRY ncclResult_t ncclReduceScatter(const void *send, void *receive, size_t count,
                                     ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
                                     cudaStream_t stream) {
    return reduction(TN_REDUCE_SCATTER, send, receive, count, type, op, 0, comm, stream);
}

ENTRY ncclResult_t ncclAllGather(const void *send, void *receive, size_t count, ncclDataType_t type,
                                 ncclComm_t comm, cudaStream_t stream) {
    return collective(TN_ALL_GATHER, send, receive, count, type, ncclSum, 0, comm, stream);
}

ENTRY ncclResult_t ncclBroadcast(const void *send, void *receive, size_t count, ncclDataType_t type,
                                 int root, ncclComm_t comm, cudaStream_t stream) {
    return collective(TN_BROADCAST, send, receive, count, type, ncclSum, root, comm, stream);
}
