/* schedule: what the files of the interpreter share about who runs next: warp.c (one warp's turn),
 * warp_grid.c (a launch), warp_deadlock.c, barrier.c, control.c.
 */
#ifndef SOFTGPU_SCHEDULE_H
#define SOFTGPU_SCHEDULE_H

#include "tests/softgpu/warp.h"

/* Flags of ops beyond those of program.h. */
enum {
    SG_GATHERS = 16,  /* .aligned: waits until every lane of the warp that lives is here */
    SG_LOADS = 32,    /* may read bytes nobody wrote, and sets its destinations' taint itself */
    SG_WATCHED = 128, /* touches registers of wgmma: sg_wgmma_touch */
    SG_SPINS = 64,    /* atomics, strong loads: a loop of these may be waiting for another lane */
};

typedef enum sg_waiting {
    SG_RUNS,
    SG_WAITS,  /* runs again when the warp gets its turn */
    SG_SLEEPS, /* ... when a barrier wakes the warp */
} sg_waiting;

typedef struct sg_group { /* lanes that run together */
    int pc;
    uint32_t lanes;
    sg_waiting waiting;
    const char *what; /* it waits for */
} sg_group;

/* What a handler asked for while it ran. */
enum { SG_E_WAIT = 1, SG_E_SLEEP = 2, SG_E_JUMP = 4, SG_E_YIELD = 8 };

typedef struct sg_schedule {
    sg_group groups[SG_LANES + 1]; /* no two share a lane or, when picked from, a pc */
    int count, current;
    int patience; /* instructions until another group gets its turn */
    int favoured; /* a lane of that group */
    int favour;   /* how many instructions it has left */
    int turns;
    unsigned events;
    uint32_t wait_lanes, jumped;
    const char *wait_what;
    uint32_t carry; /* of add.cc, lane by lane */
    bool tainted;   /* some register may be tainted */
    uint64_t steps; /* so far */
    struct sg_runner *runner;
} sg_schedule;

/* A launch under way. */
typedef struct sg_runner {
    sg_grid *grid;
    bool full, abandoned;
    uint64_t max_steps;
    uint64_t random;
    /* Of mbarriers: what happened to any of them, and tests that failed. */
    uint64_t events, failed_tests;
    unsigned char *image; /* what a warp's file starts as: constants, zeros */
    int *taint_at;        /* where registers keep their taint: byte offsets in a warp's file */
    int taint_count;
} sg_runner;

static inline sg_schedule *sg_schedule_of(const sg_warp *warp) {
    return warp->schedule;
}
static inline uint32_t sg_living(const sg_warp *warp) {
    return warp->exists & ~warp->exited;
}
static inline uint64_t sg_random(sg_runner *runner) { /* splitmix64 */
    uint64_t x = runner->random += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

/* ---- warp.c */
/* Runs at most about `budget` instructions; how many were done, 0: all lanes wait. */
int sg_turn(sg_warp *warp, int budget);
/* These lanes, of the running instruction, go on at op `target`. */
void sg_jump(sg_warp *warp, uint32_t lanes, int target);
/* Like sg_wait; not run again before sg_wake. */
void sg_sleep(sg_warp *warp, uint32_t lanes, const char *what);
void sg_wake(sg_warp *warp);
/* The warp's turn ends after this instruction. */
void sg_yield(sg_warp *warp);

/* ---- barrier.c */
bool sg_barriers_make(sg_block *block); /* false: no memory left */
void sg_barriers_start(sg_block *block);
void sg_barriers_free(sg_block *block);
/* Lanes of the block have exited: barriers that waited for them may complete. */
void sg_barriers_exit(sg_block *block);
/* "64 of 128 threads have arrived at barrier 1", for reports; empty if the op is no barrier. */
void sg_barrier_text(char *text, size_t room, const sg_warp *warp, const sg_op *op, int lane);

/* ---- exchange.c: for instructions with a mask of lanes that must be there. The lanes whose mask
 * has arrived as a whole; the others wait, or what is wrong with them was reported. */
uint32_t sg_lanes_together(sg_warp *warp, const sg_op *op, uint32_t lanes,
                           const uint32_t masks[SG_LANES]);

/* ---- warp_deadlock.c: reports every group of the block that waits. */
void sg_report_deadlock(const sg_block *block);

#endif
