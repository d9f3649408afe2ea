/* The object itself, and what is said through its collectives: agreement, flags, texts. */
#include "train/communicator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SENTENCE = 504, LINE = 200 };

size_t motet_wire_bytes(motet_wire type) {
    static const size_t bytes[] = {4, 2, 8, 8, 1};
    return bytes[type];
}

motet_communicator *motet_communicator_single(void) {
    static motet_communicator single = {.ranks = 1};
    return &single;
}

static motet_status take(motet_communicator *c, size_t staging_bytes) {
    const motet_memory *memory = c->backend.memory;
    size_t slot =
        (staging_bytes ? staging_bytes : MOTET_COMMUNICATOR_STAGING) / (size_t)c->ranks / 64 * 64;
    c->slot_bytes = slot ? slot : 64;
    c->offsets = calloc((size_t)c->ranks, sizeof *c->offsets);
    size_t bytes;
    if (!c->offsets || __builtin_mul_overflow(c->slot_bytes, (size_t)c->ranks, &bytes))
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a communicator of %d ranks", c->ranks);
    void *block;
    MOTET_TRY(motet_host_memory.take(&block, bytes, MOTET_SHARED));
    c->slots[0] = c->slots[1] = block;
    if (memory == &motet_host_memory) return MOTET_OK;
    c->slots[1] = NULL;
    MOTET_TRY(memory->take(&block, bytes, MOTET_ON_DEVICE));
    c->slots[1] = block;
    return MOTET_OK;
}

static void release(motet_communicator *c) {
    c->transport->close(c->link, c->broken == MOTET_OK);
    const motet_memory *memory = c->backend.memory;
    if (c->slots[1] != c->slots[0]) memory->give_back(c->slots[1], MOTET_ON_DEVICE);
    motet_host_memory.give_back(c->slots[0], MOTET_SHARED);
    if (c->transport->device)
        memory->give_back(c->bounce, MOTET_ON_DEVICE);
    else
        motet_host_memory.give_back(c->bounce, MOTET_SHARED);
    free(c->transfers);
    free(c->offsets);
    free(c);
}

motet_status motet_communicator_make(motet_communicator **communicator,
                                     const motet_transport *transport, void *link,
                                     const motet_backend *backend, int rank, int ranks,
                                     size_t staging_bytes) {
    *communicator = NULL;
    motet_communicator *c = calloc(1, sizeof *c);
    if (!c) {
        transport->close(link, 0);
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a communicator");
    }
    c->rank = rank;
    c->ranks = ranks;
    c->transport = transport;
    c->link = link;
    c->backend = *backend;
    motet_status status = take(c, staging_bytes);
    if (status != MOTET_OK) {
        c->broken = status;
        release(c);
        return status;
    }
    *communicator = c;
    return MOTET_OK;
}

void motet_communicator_close(motet_communicator *c) {
    if (c && c->transport) release(c);
}

int motet_communicator_threads(const motet_communicator *c) {
    return !c->transport || c->transport->threads;
}

void motet_communicator_abort(motet_communicator *c, int exit_status) {
    c->broken = MOTET_E_IO;
    if (c->transport) c->transport->abort(c->link, exit_status);
}

motet_status motet_communicator_barrier(motet_communicator *c) {
    int64_t nothing = 0;
    return motet_communicator_all_reduce(c, &nothing, 1, MOTET_WIRE_I64);
}

motet_status motet_communicator_any(motet_communicator *c, int *flag) {
    int64_t sum = *flag != 0;
    MOTET_TRY(motet_communicator_all_reduce(c, &sum, 1, MOTET_WIRE_I64));
    *flag = sum != 0;
    return MOTET_OK;
}

typedef struct verdict {
    int64_t status;
    char sentence[SENTENCE];
} verdict;

motet_status motet_communicator_agree(motet_communicator *c, motet_status status) {
    if (c->ranks == 1) return status;
    verdict *all = calloc((size_t)c->ranks, sizeof *all);
    motet_part *parts = calloc((size_t)c->ranks, sizeof *parts);
    if (!all || !parts) {
        free(all);
        free(parts);
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory to ask %d ranks", c->ranks);
    }
    all[c->rank].status = (int64_t)status;
    if (status != MOTET_OK)
        snprintf(all[c->rank].sentence, sizeof all->sentence, "%s", motet_error());
    for (int r = 0; r < c->ranks; r++)
        parts[r] = (motet_part){&all[r], sizeof *all, r};
    motet_status said = motet_communicator_all_gather(c, parts, c->ranks, MOTET_WIRE_BYTES);
    for (int r = 0; r < c->ranks && said == MOTET_OK; r++) {
        if (all[r].status == MOTET_OK) continue;
        said = MOTET_FAIL((motet_status)all[r].status, "rank %d: %s", r, all[r].sentence);
        c->agreed = 1;
    }
    free(all);
    free(parts);
    return said;
}

/* The line at `text` without its end; the position after it. */
static const char *next_line(char line[LINE], const char *text) {
    size_t length = strcspn(text, "\n");
    snprintf(line, LINE, "%.*s", (int)(length < LINE ? length : LINE - 1), text);
    return text + length + (text[length] == '\n');
}

static motet_status compare_texts(const char *own, const char *root) {
    char section[LINE] = "", a[LINE], b[LINE];
    while (*own || *root) {
        own = next_line(a, own);
        root = next_line(b, root);
        if (!strcmp(a, b)) {
            if (*a == '[') memcpy(section, a, sizeof section);
            continue;
        }
        return MOTET_FAIL(MOTET_E_USAGE,
                          "this rank has \"%s\"%s%s, rank 0 has \"%s\": all ranks of a run "
                          "must be started alike",
                          a, *section ? " in " : "", section, b);
    }
    return MOTET_OK;
}

motet_status motet_communicator_same_text(motet_communicator *c, const char *text) {
    if (c->ranks == 1) return MOTET_OK;
    int64_t length = (int64_t)strlen(text);
    MOTET_TRY(motet_communicator_broadcast(c, &length, 1, MOTET_WIRE_I64, 0));
    char *root = length >= 0 && length < INT64_C(1) << 30 ? calloc((size_t)length + 1, 1) : NULL;
    motet_status status = root ? MOTET_OK : MOTET_FAIL(MOTET_E_MEMORY, "no memory for a text");
    status = motet_communicator_agree(c, status);
    if (status == MOTET_OK) {
        if (c->rank == 0) memcpy(root, text, (size_t)length);
        status = motet_communicator_broadcast(c, root, length, MOTET_WIRE_BYTES, 0);
    }
    if (status == MOTET_OK) status = motet_communicator_agree(c, compare_texts(text, root));
    free(root);
    return status;
}
