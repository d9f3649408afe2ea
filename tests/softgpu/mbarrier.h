/* mbarrier: barriers in shared memory that count arrivals and bytes, phase after phase.
 *
 * What a barrier knows is kept beside the block's memory; its 8 bytes hold a pattern, so that a
 * store into them is found out. Waits never sleep: a test that fails ends the warp's turn. When for
 * a long time nothing but failing tests happens, that is a deadlock, and each barrier waited for
 * says what it lacks.
 *
 * Work under way (flights) lands at tests of its barrier, in a random order, one test or some
 * later; the barrier's phase completes with the last arrival and the last byte. An arrival
 * publishes what its lane knows, landed work what it wrote, and who sees the phase complete learns
 * what was published up to there and no more.
 */
#ifndef SOFTGPU_MBARRIER_H
#define SOFTGPU_MBARRIER_H

#include "tests/softgpu/race_clock.h"
#include "tests/softgpu/warp.h"

typedef struct sg_mbarrier {
    uint64_t offset; /* in the block's shared window */
    bool live;
    bool published; /* the proxy may use it: fence.mbarrier_init came after its init */
    int number;
    int init_thread;
    uint32_t init_stamp;        /* of the race detector */
    uint32_t expected, missing; /* arrivals: of each phase, of this one */
    int64_t bytes;              /* expected in this phase and not landed */
    uint64_t phase;             /* how many are complete */
    sg_clock *gathered, *known; /* published in this phase; up to the last complete one */
    int flights;                /* under way to it */
} sg_mbarrier;

typedef struct sg_flight sg_flight;
struct sg_flight {
    sg_mbarrier *barrier;
    sg_warp *warp; /* who asked */
    const sg_op *op;
    int lane;
    void (*land)(sg_flight *flight);
    void (*drop)(sg_flight *flight); /* frees what the flight holds besides itself; may be NULL */
    sg_flight *next;                 /* private */
};

void sg_mbarriers_block_start(sg_block *block);
/* The block has ended by itself: what is still under way to it is reported. */
void sg_mbarriers_block_check(sg_block *block);
void sg_mbarriers_block_end(sg_block *block);

/* The live barrier at the address of a lane. NULL: reported. */
sg_mbarrier *sg_mbarrier_find(sg_warp *warp, const sg_op *op, int lane, sg_space space,
                              uint64_t address);
/* Takes the flight over. Its land is called later, while a lane of the block tests the barrier. */
void sg_flight_add(sg_flight *flight);
/* These bytes have landed. clock: what becomes known with them, stays the caller's. */
void sg_mbarrier_landed(sg_flight *flight, uint64_t bytes, sg_clock *clock);
/* An arrival of the flight's lane. */
void sg_mbarrier_flight_arrives(sg_flight *flight);
/* One more arrival is missing in this phase. */
void sg_mbarrier_owe(sg_mbarrier *barrier);

/* The barriers that these lanes have made may be used by the proxy (a fence). */
void sg_mbarriers_publish(sg_warp *warp, uint32_t lanes);
/* Reports the tests of this block that failed last, warp by warp. */
void sg_mbarriers_report_stuck(sg_block *block);

/* In a table that has other meanings of the opcode. */
sg_bind sg_bind_cp_mbarrier_arrive;

#endif
