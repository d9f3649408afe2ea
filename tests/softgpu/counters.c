#include "tests/softgpu/counters.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
    struct entry *next;
    char *kernel;
    uint32_t blocks[3], threads[3];
    uint64_t dynamic_shared;
    sg_counters counters;
} entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static entry *entries, **last = &entries; /* in the order of first launches */

static bool is(const entry *e, const char *kernel, const uint32_t blocks[3],
               const uint32_t threads[3], uint64_t dynamic_shared) {
    return e->dynamic_shared == dynamic_shared && !memcmp(e->blocks, blocks, sizeof e->blocks) &&
           !memcmp(e->threads, threads, sizeof e->threads) && !strcmp(e->kernel, kernel);
}

sg_counters *sg_counters_of(const char *kernel, const uint32_t blocks[3], const uint32_t threads[3],
                            uint64_t dynamic_shared) {
    static sg_counters lost; /* without memory the numbers are wrong, the run is not */
    pthread_mutex_lock(&lock);
    entry *e = entries;
    while (e && !is(e, kernel, blocks, threads, dynamic_shared))
        e = e->next;
    if (!e && (e = calloc(1, sizeof *e))) {
        e->kernel = strdup(kernel);
        if (!e->kernel) {
            free(e);
            e = NULL;
        } else {
            memcpy(e->blocks, blocks, sizeof e->blocks);
            memcpy(e->threads, threads, sizeof e->threads);
            e->dynamic_shared = dynamic_shared;
            *last = e;
            last = &e->next;
        }
    }
    pthread_mutex_unlock(&lock);
    return e ? &e->counters : &lost;
}

static void write_kinds(FILE *file, const char *key, const uint64_t values[SG_KINDS]) {
    static const char *const kinds[SG_KINDS] = {
        [SG_K_INTEGER] = "integer",
        [SG_K_FLOAT] = "float",
        [SG_K_SPECIAL] = "special",
        [SG_K_MOVE] = "move",
        [SG_K_COMPARE] = "compare",
        [SG_K_CONTROL] = "control",
        [SG_K_SYNC] = "sync",
        [SG_K_EXCHANGE] = "exchange",
        [SG_K_GLOBAL_LOAD] = "global_load",
        [SG_K_GLOBAL_STORE] = "global_store",
        [SG_K_SHARED_LOAD] = "shared_load",
        [SG_K_SHARED_STORE] = "shared_store",
        [SG_K_OTHER_MEMORY] = "other_memory",
        [SG_K_ATOMIC] = "atomic",
        [SG_K_ASYNC_COPY] = "async_copy",
        [SG_K_MMA] = "mma",
    };
    fprintf(file, ", \"%s\": {", key);
    for (int i = 0; i < SG_KINDS; i++)
        fprintf(file, "%s\"%s\": %llu", i ? ", " : "", kinds[i], (unsigned long long)values[i]);
    fputc('}', file);
}

static void write_pair(FILE *file, const char *key, const uint64_t values[2]) {
    fprintf(file, ", \"%s\": [%llu, %llu]", key, (unsigned long long)values[0],
            (unsigned long long)values[1]);
}

static void write_one(FILE *file, const char *key, uint64_t value) {
    fprintf(file, ", \"%s\": %llu", key, (unsigned long long)value);
}

static void write_entry(FILE *file, const entry *e) {
    const sg_counters *c = &e->counters;
    fprintf(file, "{\"kernel\": \"%s\", \"grid\": [%u, %u, %u], \"threads\": [%u, %u, %u]",
            e->kernel, e->blocks[0], e->blocks[1], e->blocks[2], e->threads[0], e->threads[1],
            e->threads[2]);
    write_one(file, "dynamic_shared", e->dynamic_shared);
    write_one(file, "launches", c->launches);
    write_one(file, "blocks", c->blocks);
    write_one(file, "warps", c->warps);
    write_kinds(file, "instructions", c->instructions);
    write_kinds(file, "lanes", c->lanes);
    write_pair(file, "global_requests", c->global_requests);
    write_pair(file, "global_sectors", c->global_sectors);
    write_pair(file, "global_bytes", c->global_bytes);
    write_pair(file, "global_footprint", c->global_footprint);
    write_pair(file, "shared_requests", c->shared_requests);
    write_pair(file, "shared_conflicts", c->shared_conflicts);
    write_one(file, "mma_flops", c->mma_flops);
    write_one(file, "barriers", c->barriers);
    write_one(file, "atomics", c->atomics);
    write_one(file, "async_bytes", c->async_bytes);
    fputs("}\n", file);
}

bool sg_counters_write(const char *path) {
    FILE *file = fopen(path, "a"); /* several test programs may share the file */
    if (!file) return false;
    pthread_mutex_lock(&lock);
    for (const entry *e = entries; e; e = e->next)
        write_entry(file, e);
    pthread_mutex_unlock(&lock);
    const bool wrong = ferror(file);
    return !(fclose(file) || wrong);
}
