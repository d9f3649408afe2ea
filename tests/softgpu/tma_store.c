/* Bulk stores: groups of each thread, and when their bytes move. */
#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/memory.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/race_proxy.h"
#include "tests/softgpu/report.h"
#include "tests/softgpu/tma.h"

#define SHARED_SLOTS 5 /* for the threads, of SG_PROXY_READS and SG_PROXY_WRITES each */

typedef struct store store;
struct store {
    sg_bulk bulk;
    sg_warp *warp;
    const sg_op *op;
    uint32_t lanes;                /* of one instruction */
    uint32_t group, reads, writes; /* stamps */
    unsigned char *bytes; /* as read, [span], then whether each was written; NULL: not yet */
    store *next;
};

typedef struct block_bulk {
    store *first, **last;
    uint32_t committed[SG_MAX_WARPS * SG_LANES];
} block_bulk;

void sg_bulk_block_start(sg_block *block) {
    block->bulk = NULL;
}

static block_bulk *of_block(sg_block *block) {
    if (block->bulk) return block->bulk;
    block_bulk *b = calloc(1, sizeof *b);
    if (b) b->last = &b->first;
    return block->bulk = b;
}

static void read_shared(store *s) {
    if (s->bytes) return;
    const uint64_t span = sg_bulk_span(&s->bulk);
    s->bytes = malloc(2 * span);
    if (!s->bytes) return;
    memcpy(s->bytes, s->warp->block->shared + s->bulk.shared, span);
    for (uint64_t i = 0; i < span; i++)
        s->bytes[span + i] = sg_written(s->warp, SG_SHARED, s->bulk.shared + i, 1);
}

static void put(void *user, uint64_t shared, sg_region *region, uint64_t offset, uint64_t bytes) {
    const store *s = user;
    if (!region) return; /* outside the tensor */
    const unsigned char *from = s->bytes + (shared - s->bulk.shared);
    const unsigned char *written = from + sg_bulk_span(&s->bulk);
    memcpy(region->host + offset, from, bytes);
    for (uint64_t i = 0; i < bytes; i++)
        sg_shadow_set(region, offset + i, 1, written[i]);
}

static void write_global(store *s) {
    read_shared(s);
    if (s->bytes) sg_bulk_each(&s->bulk, put, s);
}

void sg_bulk_block_check(sg_block *block) {
    const block_bulk *b = block->bulk;
    for (const store *s = b ? b->first : NULL; s; s = s->next)
        if (!s->bytes && sg_get_options()->full) {
            sg_report(SG_R_ASYNC_EARLY, s->warp, s->op, s->lanes,
                      "the block ends while this may still read its shared memory: no "
                      "cp.async.bulk.wait_group%s",
                      s->group < b->committed[sg_thread(s->warp, __builtin_ctz(s->lanes))]
                          ? ".read waited for it"
                          : " can wait for what no commit_group has committed");
            return;
        }
}

void sg_bulk_block_end(sg_block *block) {
    block_bulk *b = block->bulk;
    for (store *s = b ? b->first : NULL, *next; s; s = next) {
        next = s->next;
        write_global(s);
        free(s->bytes);
        free(s);
    }
    free(b);
    block->bulk = NULL;
}

void sg_bulk_store(sg_warp *warp, const sg_op *op, uint32_t lanes, const sg_bulk *bulk) {
    const int lane = __builtin_ctz(lanes);
    block_bulk *b = of_block(warp->block);
    store *s = b ? calloc(1, sizeof *s) : NULL;
    if (!s) return;
    const int thread = sg_thread(warp, lane), reads = SG_PROXY_READS + thread % SHARED_SLOTS,
              writes = SG_PROXY_WRITES + thread % SHARED_SLOTS;
    *s = (store){.bulk = *bulk,
                 .warp = warp,
                 .op = op,
                 .lanes = lanes,
                 .group = b->committed[thread],
                 .reads = sg_proxy_next(warp->block, reads),
                 .writes = sg_proxy_next(warp->block, writes)};
    if (!sg_bulk_check(warp, op, lane, bulk, false, reads, s->reads, writes, s->writes)) {
        free(s);
        sg_abandon(warp);
        return;
    }
    *b->last = s;
    b->last = &s->next;
}

void sg_bulk_commit(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    (void)op;
    block_bulk *b = of_block(warp->block);
    for (uint32_t rest = lanes; b && rest; rest &= rest - 1)
        b->committed[sg_thread(warp, __builtin_ctz(rest))]++;
}

static void learn(const store *s, uint32_t lanes, int slot, uint32_t stamp) {
    const int thread = sg_thread(s->warp, __builtin_ctz(s->lanes));
    sg_clock *clock = sg_proxy_clock(s->warp->block, slot + thread % SHARED_SLOTS, stamp);
    sg_proxy_learn(s->warp, lanes, clock);
    sg_clock_drop(clock);
}

void sg_bulk_wait(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    block_bulk *b = warp->block->bulk;
    if (!b) return;
    b->last = &b->first;
    for (store *s = b->first, *next; s; s = next) {
        next = s->next;
        const uint32_t waiting = s->warp == warp ? s->lanes & lanes : 0;
        const bool ready = waiting && s->group + (uint32_t)op->a <
                                          b->committed[sg_thread(warp, __builtin_ctz(waiting))];
        if (ready) {
            read_shared(s);
            learn(s, waiting, SG_PROXY_READS, s->reads);
        }
        if (ready && !op->b) {
            write_global(s);
            learn(s, waiting, SG_PROXY_WRITES, s->writes);
            free(s->bytes);
            free(s);
            continue;
        }
        *b->last = s;
        b->last = &s->next;
    }
    *b->last = NULL;
}
