/* communicator: what the ranks of a run say to each other. One rank is one process, 0 .. ranks - 1.
 *
 * One thread at a time may call, any thread if motet_communicator_threads says so. All functions
 * but abort, close and that one are collective: every rank calls the same ones in the same
 * order, with the same parts, counts and types; they return when this rank's data are there. Sums
 * are deterministic: element by element they are S(0, 1, ranks) of the ranks' values,
 *
 *     S(first, stride, n) = S(first, 2 stride, n / 2) + S(first + stride, 2 stride, n / 2)   n even
 *                         = v[first] + v[first + stride] + ... from left to right            n odd
 *
 * whatever the size of the message, the transport, or the chunks it travels in. 2^k ranks thus add
 * as a single one does that sums its micro-batches by the same rule (gradient_tree.h).
 *
 * Where data live depends on their type: f32 and bf16 in the memory of the back-end, the others in
 * the host's (or the back-end's shared memory). With one rank everything returns at once.
 *
 * Makers: motet_communicator_single (below), motet_communicator_mpi_open (communicator_mpi.h),
 * motet_communicator_nccl_open (communicator_nccl.h); each is a transport (transport.h) beneath the
 * one set of algorithms in communicator_collectives.c.
 *
 * A rank that does not answer within timeout_s, or is seen to have died, is named: MOTET_E_IO. The
 * communicator is then broken: every later call fails with the same status.
 */
#ifndef MOTET_COMMUNICATOR_H
#define MOTET_COMMUNICATOR_H

#include "kernels/backend.h"
#include "train/transport.h"

typedef enum motet_wire {
    MOTET_WIRE_F32,  /* in the back-end's memory */
    MOTET_WIRE_BF16, /* in the back-end's memory; each sum of two is rounded to bf16 */
    MOTET_WIRE_F64,
    MOTET_WIRE_I64,
    MOTET_WIRE_BYTES, /* no sums */
} motet_wire;

size_t motet_wire_bytes(motet_wire type); /* of one element */

enum { MOTET_COMMUNICATOR_STAGING = 32 << 20 }; /* bytes for the chunks in flight */

/* Of a whole message (all_reduce, broadcast) of count elements, how many are this rank's to sum. */
int64_t motet_communicator_slice(int64_t count, int rank, int ranks);

/* A stretch of elements that one rank is responsible for. */
typedef struct motet_part {
    void *data;
    int64_t count;
    int owner;
} motet_part;

typedef struct motet_communicator {
    int rank, ranks;
    double timeout_s; /* longest wait for a peer; 0: for ever. May be changed between calls */
    int agreed;       /* the last failure is known to every rank: rank 0 alone may report it */
    int64_t sent_bytes, received_bytes; /* by this rank, to and from others, so far */
    double seconds;                     /* that it spent in exchanges so far */
    /* private */
    const motet_transport *transport; /* NULL: one rank */
    void *link;
    motet_backend backend;
    motet_status broken;
    size_t slot_bytes;
    unsigned char *slots[2]; /* [ranks, slot_bytes], in the host's and in the back-end's memory */
    unsigned char *bounce;   /* in the memory that the transport reads */
    size_t bounce_bytes;
    motet_transfer *transfers;
    int transfer_count, transfer_room;
    int64_t *offsets; /* [ranks] */
} motet_communicator;

/* The communicator of a run of one process; nothing to close. */
motet_communicator *motet_communicator_single(void);

/* Any transport. Owns `link` from here on, also if it fails. back-end: where f32 and bf16 live.
 * staging_bytes: for the chunks in flight; 0: MOTET_COMMUNICATOR_STAGING. */
motet_status motet_communicator_make(motet_communicator **communicator,
                                     const motet_transport *transport, void *link,
                                     const motet_backend *backend, int rank, int ranks,
                                     size_t staging_bytes);
/* NULL and the single one are fine. */
void motet_communicator_close(motet_communicator *communicator);

/* Whether threads other than the one that opened it may call. */
int motet_communicator_threads(const motet_communicator *communicator);

/* data [count] becomes the sum of all ranks' data, the same bits on each. */
motet_status motet_communicator_all_reduce(motet_communicator *communicator, void *data,
                                           int64_t count, motet_wire type);

/* The parts that this rank owns become the sums over all ranks; the others stay as they are. */
motet_status motet_communicator_reduce_scatter(motet_communicator *communicator,
                                               const motet_part *parts, int count, motet_wire type);

/* Every part becomes what its owner has in it. */
motet_status motet_communicator_all_gather(motet_communicator *communicator,
                                           const motet_part *parts, int count, motet_wire type);

/* The same. If one rank owns so much that sending it to everybody would take longest, the parts are
 * first dealt out in equal slices, which all gather then. */
motet_status motet_communicator_all_gather_uneven(motet_communicator *communicator,
                                                  const motet_part *parts, int count,
                                                  motet_wire type);

/* Whether it does that, and the slices: pieces of the parts, one after another, owner: who holds
 * them then; from [pieces]: who owned them. cut, from: room for count + ranks; the number of
 * pieces. bytes: of an element. */
int motet_communicator_is_dealt(const motet_part *parts, int count, int ranks);
int motet_communicator_cut(motet_part *cut, int *from, const motet_part *parts, int count,
                           int ranks, size_t bytes);

/* Root receives every part of the others into its own part.data, which is in the host's memory;
 * elsewhere parts are where their type says, and those of other owners may be NULL. */
motet_status motet_communicator_gather(motet_communicator *communicator, const motet_part *parts,
                                       int count, motet_wire type, int root);

/* data [count] becomes root's. */
motet_status motet_communicator_broadcast(motet_communicator *communicator, void *data,
                                          int64_t count, motet_wire type, int root);

/* Returns when every rank has called it. */
motet_status motet_communicator_barrier(motet_communicator *communicator);

/* Not collective: ends all ranks as far as the transport can, with this exit status; may not
 * return. */
void motet_communicator_abort(motet_communicator *communicator, int exit_status);

/* Success if every rank comes with MOTET_OK, else on each the failure of the lowest rank that has
 * one, its sentence with "rank N: " before it. One rank: status. */
motet_status motet_communicator_agree(motet_communicator *communicator, motet_status status);

/* *flag: 1 on every rank if it was not 0 on any. */
motet_status motet_communicator_any(motet_communicator *communicator, int *flag);

/* Rank 0's text and this rank's must be alike, line by line; else every rank gets one sentence with
 * both lines of the first difference (MOTET_E_USAGE). An INI section before a line is named. */
motet_status motet_communicator_same_text(motet_communicator *communicator, const char *text);

#endif
