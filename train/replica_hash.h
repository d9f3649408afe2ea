/* replica_hash: do all ranks still have the same weights? A bit that flips in one rank's memory, or
 * a processor that computes wrongly now and then, raises no error: the ranks drift apart, or all
 * learn from one rank's wrong gradients. So now and then every rank hashes what it computes with,
 * bit by bit, and the ranks compare.
 *
 * Hashed are the compute weights, the frozen text encoder among them, and without ZeRO-1 the
 * masters. With ZeRO-1 each update overwrites the compute weights with their owners' copies, hence
 * the comparison is made after the backward pass, before the update.
 */
#ifndef MOTET_REPLICA_HASH_H
#define MOTET_REPLICA_HASH_H

#include "train/optimizer_step.h"

/* 64 bits of any bytes. Two texts of one length that differ in a single aligned 8-byte word have
 * different hashes: each step is a bijection of the word. No defence against intent. */
uint64_t motet_bits_hash(const void *bytes, size_t size, uint64_t seed);

/* Of this rank's replica; on a device through copies. */
motet_status motet_replica_hash(uint64_t *hash, const motet_optimizer *optimizer);

/* Collective: compares hashes. MOTET_E_DATA on every rank alike, naming the ranks that differ from
 * the majority, or, without a majority, saying that there is none. step: for the sentence. */
motet_status motet_replica_compare(motet_communicator *communicator, uint64_t hash, int64_t step);

#endif
