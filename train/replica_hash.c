#include "train/replica_hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t chunk_bytes = (size_t)4 << 20; /* of what comes from a device at once */

/* xor with the word, an odd product, a rotation: each invertible, so no difference is lost. */
static inline uint64_t mix(uint64_t h, uint64_t word) {
    h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return h << 29 | h >> 35;
}

uint64_t motet_bits_hash(const void *bytes, size_t size, uint64_t seed) {
    const unsigned char *p = bytes;
    uint64_t lanes[4], words[4]; /* four chains of products keep the multiplier busy */
    for (uint64_t i = 0; i < 4; i++)
        lanes[i] = mix(seed, i);
    size_t left = size;
    for (; left >= sizeof words; left -= sizeof words, p += sizeof words) {
        memcpy(words, p, sizeof words);
        for (int i = 0; i < 4; i++)
            lanes[i] = mix(lanes[i], words[i]);
    }
    memset(words, 0, sizeof words);
    if (left) memcpy(words, p, left);
    uint64_t h = mix(seed, (uint64_t)size);
    for (int i = 0; i < 4; i++)
        h = mix(h, mix(lanes[i], words[i]));
    return h ^ h >> 32;
}

static uint64_t hash_host(motet_tensor t, uint64_t seed) {
    size_t bytes = (size_t)motet_tensor_count(t) * motet_dtype_bytes(t.dtype);
    return motet_bits_hash(t.data, bytes, seed);
}

static motet_status hash_device(uint64_t *hash, motet_tensor t, const motet_memory *memory,
                                unsigned char *chunk) {
    size_t bytes = (size_t)motet_tensor_count(t) * motet_dtype_bytes(t.dtype);
    for (size_t at = 0; at < bytes; at += chunk_bytes) {
        size_t take = bytes - at < chunk_bytes ? bytes - at : chunk_bytes;
        MOTET_TRY(memory->copy(chunk, (const unsigned char *)t.data + at, take));
        MOTET_TRY(memory->synchronize());
        *hash = motet_bits_hash(chunk, take, *hash);
    }
    return MOTET_OK;
}

/* What of a parameter every rank has alike; 0 to 2 tensors. */
static int replicas(motet_tensor out[2], const motet_optimizer *o, const motet_trained *p) {
    int count = 0;
    if (p->compute.data) out[count++] = p->compute;
    if (!o->sharded && p->master.data && p->master.data != p->compute.data)
        out[count++] = p->master;
    return count;
}

static uint64_t hash_parameter(const motet_optimizer *o, int index) {
    motet_tensor tensors[2];
    uint64_t hash = (uint64_t)index;
    int count = replicas(tensors, o, &o->parameters[index]);
    for (int i = 0; i < count; i++)
        hash = hash_host(tensors[i], hash);
    return hash;
}

static motet_status hash_all_device(uint64_t *hash, const motet_optimizer *o) {
    unsigned char *chunk = malloc(chunk_bytes);
    if (!chunk) return MOTET_FAIL(MOTET_E_MEMORY, "no memory to hash the weights");
    motet_status status = o->memory->synchronize();
    for (int i = 0; i < o->count && status == MOTET_OK; i++) {
        motet_tensor tensors[2];
        int count = replicas(tensors, o, &o->parameters[i]);
        for (int k = 0; k < count && status == MOTET_OK; k++)
            status = hash_device(hash, tensors[k], o->memory, chunk);
    }
    free(chunk);
    return status;
}

motet_status motet_replica_hash(uint64_t *hash, const motet_optimizer *o) {
    *hash = 0;
    if (o->memory != &motet_host_memory) return hash_all_device(hash, o);
    uint64_t *hashes = calloc((size_t)o->count + 1, sizeof *hashes);
    if (!hashes) return MOTET_FAIL(MOTET_E_MEMORY, "no memory to hash the weights");
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < o->count; i++)
        hashes[i] = hash_parameter(o, i);
    *hash = motet_bits_hash(hashes, (size_t)o->count * sizeof *hashes, 0);
    free(hashes);
    return MOTET_OK;
}

/* The hash that most ranks have, and how many. */
static int64_t majority(int *votes, const int64_t *hashes, int ranks) {
    int64_t best = hashes[0];
    *votes = 0;
    for (int r = 0; r < ranks; r++) {
        int count = 0;
        for (int k = 0; k < ranks; k++)
            count += hashes[k] == hashes[r];
        if (count > *votes) *votes = count, best = hashes[r];
    }
    return best;
}

static motet_status name_those(const int64_t *hashes, int ranks, int64_t step) {
    int votes;
    int64_t most = majority(&votes, hashes, ranks);
    if (votes == ranks) return MOTET_OK;
    char list[200] = "";
    int different = ranks - votes;
    for (int r = 0, said = 0; r < ranks && said < 16; r++)
        if (hashes[r] != most || 2 * votes <= ranks)
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s%d", said++ ? ", " : "",
                     r);
    if (2 * votes <= ranks)
        return MOTET_FAIL(MOTET_E_DATA,
                          "the weights of ranks %s differ at step %" PRId64 " and no majority says "
                          "which are right: check the memory of their machines, then --resume auto",
                          list, step);
    return MOTET_FAIL(MOTET_E_DATA,
                      "rank%s %s: weights differ from those of the %d other ranks at step %" PRId64
                      ": a bit flipped in memory or a processor erred there; leave that machine "
                      "out, then --resume auto",
                      different > 1 ? "s" : "", list, votes, step);
}

motet_status motet_replica_compare(motet_communicator *c, uint64_t hash, int64_t step) {
    if (c->ranks == 1) return MOTET_OK;
    int64_t *hashes = calloc((size_t)c->ranks, sizeof *hashes);
    motet_part *parts = calloc((size_t)c->ranks, sizeof *parts);
    motet_status status = hashes && parts ? MOTET_OK : MOTET_FAIL(MOTET_E_MEMORY, "no memory");
    if (status == MOTET_OK) {
        hashes[c->rank] = (int64_t)hash;
        for (int r = 0; r < c->ranks; r++)
            parts[r] = (motet_part){&hashes[r], 1, r};
        status = motet_communicator_all_gather(c, parts, c->ranks, MOTET_WIRE_I64);
    }
    if (status == MOTET_OK) {
        status = name_those(hashes, c->ranks, step);
        c->agreed |= status != MOTET_OK; /* every rank has come to the same */
    }
    free(hashes);
    free(parts);
    return status;
}
