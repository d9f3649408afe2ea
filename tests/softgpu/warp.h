/* warp: 32 lanes that run a program, and the block and grid around them.
 *
 * Lanes that diverge form groups by their next instruction. The group with the lowest one runs, so
 * that they meet again where control flow joins; every SG_QUANTUM instructions another group and
 * another warp get their turn, so that a lane which spins on what another lane, warp or block will
 * write does not hang. Several blocks are alive at once, as on a device. The order in which warps
 * run is drawn from a seed.
 *
 * A lane is running, waiting (barrier, warp sync, or a handler's own condition) or has exited. When
 * nothing runs and something waits, that is a deadlock: each waiting lane's place is reported.
 */
#ifndef SOFTGPU_WARP_H
#define SOFTGPU_WARP_H

#include "tests/softgpu/program.h"

#define SG_LANES 32
#define SG_QUANTUM 64
#define SG_MAX_WARPS 32    /* of a block */
#define SG_MAX_BARRIERS 16 /* named barriers of a block */

typedef struct sg_block sg_block;
typedef struct sg_grid sg_grid;

struct sg_warp {
    unsigned char *file; /* register slots, aligned to 64 */
    sg_block *block;
    int index;       /* in its block */
    int id;          /* in the grid's launch order: block number * warps a block + index */
    uint32_t exists; /* lanes the block has */
    uint32_t exited;
    int pc;               /* of the running instruction; handlers may read it for reports */
    int next;             /* set by branch handlers: see control.c */
    void *schedule;       /* private to warp.c: groups, waiting lanes */
    void *race;           /* private to race.c: clocks */
    void *async;          /* private to async.c: cp.async groups of each lane */
    unsigned char *local; /* local memory, lane after lane, function->local_bytes each */
};

struct sg_block {
    sg_grid *grid;
    uint32_t index[3]; /* ctaid */
    int number;        /* linear */
    int warp_count, thread_count;
    sg_warp *warps;
    unsigned char *shared; /* static + dynamic bytes */
    uint64_t shared_bytes;
    void *barriers; /* private to barrier.c */
    void *shadow;   /* private to shadow.c: which shared bytes were written */
    void *race;     /* private to race.c */
    void *async;    /* private to async.c */
    void *mbarriers, *bulk, *wgmma, *cluster; /* private to the files of these names */
};

struct sg_grid {
    const sg_program *program;
    uint32_t blocks[3], threads[3];
    uint64_t dynamic_shared;
    bool together;               /* all blocks at once */
    const unsigned char *params; /* [function->param_bytes] */
    uint64_t launch;             /* number of this launch, from 1 */
    void *race;                  /* private to race.c */
    struct sg_counters *counters;
};

/* Register access. */
static inline uint32_t *sg_u32(const sg_warp *w, sg_slot s) {
    return (uint32_t *)(void *)(w->file + (s & ~63));
}
static inline uint64_t *sg_u64(const sg_warp *w, sg_slot s) {
    return (uint64_t *)(void *)(w->file + (s & ~63));
}
static inline float *sg_f32(const sg_warp *w, sg_slot s) {
    return (float *)(void *)(w->file + (s & ~63));
}
static inline double *sg_f64(const sg_warp *w, sg_slot s) {
    return (double *)(void *)(w->file + (s & ~63));
}
static inline uint32_t *sg_pred(const sg_warp *w, sg_slot s) {
    return (uint32_t *)(void *)(w->file + (s & ~63));
}
static inline uint32_t *sg_taint(const sg_warp *w, sg_slot s) {
    static const int at[4] = {4, 128, 256, 512};
    return (uint32_t *)(void *)(w->file + (s & ~63) + at[s & 3]);
}

/* Runs a whole launch. False if anything was reported during it; the grid is then abandoned (what
 * is in memory stays). Steps are bounded by SOFTGPU_STEPS instructions a warp (default 2^33). */
bool sg_run(sg_grid *grid);

/* For handlers that wait: the lanes stay at this instruction, which is run again for them whenever
 * the warp gets its turn, until it no longer says so. what: for the deadlock report. */
void sg_wait(sg_warp *warp, uint32_t lanes, const char *what);
/* The lane's thread index in the block. */
static inline int sg_thread(const sg_warp *w, int lane) {
    return w->index * SG_LANES + lane;
}
/* Stops the launch after this instruction (a report was made that makes going on useless). */
void sg_abandon(sg_warp *warp);

#endif
