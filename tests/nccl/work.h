/* work: what a group of NCCL calls amounts to: messages between ranks, each a header and bytes.
 * Both ends of a message have written down what they expect of it, and what differs is an error of
 * both: type, count, operation, root, and which collective of the communicator it is.
 */
#ifndef NCCL_TEST_WORK_H
#define NCCL_TEST_WORK_H

#include <nccl.h>

#include "tests/nccl/meeting.h"

typedef enum tn_kind {
    TN_SEND_RECEIVE,
    TN_ALL_REDUCE,
    TN_REDUCE,
    TN_REDUCE_SCATTER,
    TN_ALL_GATHER,
    TN_BROADCAST,
} tn_kind;

/* A call as it was made. */
typedef struct tn_call {
    tn_kind kind;
    const void *send; /* the device's; NULL: none, as of a receive */
    void *receive;
    size_t count;
    ncclDataType_t type;
    ncclRedOp_t op;
    int peer; /* or the root */
    cudaStream_t stream;
    uint64_t number; /* of the collective on its communicator */
} tn_call;

typedef struct tn_header {
    uint32_t kind, type, op;
    int32_t root;
    uint64_t count, number;
} tn_header;

typedef struct tn_message {
    int peer;
    bool receive;
    tn_header expected, got;
    size_t head_done, done, bytes;
    unsigned char *data; /* inside the buffers of its work */
} tn_message;

typedef struct tn_work {
    tn_call *calls;
    int call_count;
    tn_message *messages;
    int message_count;
    unsigned char **sends, **receives; /* [call_count] the host's copies */
    size_t all_bytes, moved_bytes;
} tn_work;

size_t tn_type_bytes(ncclDataType_t type); /* 0: no such type */

/* Is it a reduction that is modelled? */
bool tn_can_reduce(ncclDataType_t type, ncclRedOp_t op);

/* Bytes that a call reads and writes on this rank. */
size_t tn_call_send_bytes(const tn_call *call, int rank, int ranks);
size_t tn_call_receive_bytes(const tn_call *call, int rank, int ranks);

/* Takes over the calls. Reads what is sent; what will be received is made unusable until then. */
ncclResult_t tn_work_begin(tn_work *work, tn_call *calls, int count, int rank, int ranks,
                           char *error, size_t size);
/* Moves what can be moved. *moved: whether anything was; *done: whether all is. */
ncclResult_t tn_work_step(tn_work *work, tn_meeting *meeting, int rank, bool *moved, bool *done,
                          char *error, size_t size);
/* Reduces, writes what was received, and looks whether somebody changed what was being sent. */
ncclResult_t tn_work_end(tn_work *work, int rank, int ranks, char *error, size_t size);
void tn_work_free(tn_work *work);

#endif
