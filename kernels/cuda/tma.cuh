/* tma: boxes of tensors on their way into shared memory, and the barriers that count their bytes;
 * sm_90, one instruction a function (PTX ISA 8.0, "cp.async.bulk.tensor", "mbarrier").
 *
 * An mbarrier goes through phases, the first has parity 0. It waits for arrivals and for bytes;
 * whoever waits names the parity of the phase that he wants to see the end of.
 */
#ifndef MOTET_CUDA_TMA_CUH
#define MOTET_CUDA_TMA_CUH

#include "kernels/cuda/row.cuh"

/* A CUtensorMap; as a parameter it is __grid_constant__. */
struct __align__(64) tma_map {
    unsigned char bytes[128];
};

/* Barriers are named by their address in shared memory, 8 bytes each. */
ROW_INLINE void tma_barrier_start(uint32_t barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals)
                 : "memory");
}
/* After the starts: TMA sees the barriers, once the block has synchronised. */
ROW_INLINE void tma_barriers_started() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
ROW_INLINE void tma_arrive(uint32_t barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
/* Arrives, and makes this phase wait for so many bytes more. */
ROW_INLINE void tma_arrive_expecting(uint32_t barrier, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
                 : "memory");
}
/* Arrives when this thread's cp.async so far have landed. */
ROW_INLINE void tma_arrive_with_copies(uint32_t barrier) {
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}
ROW_INLINE void tma_wait(uint32_t barrier, uint32_t parity) {
    uint32_t done;
    do {
        asm volatile("{\n\t.reg .pred done;\n\t"
                     "mbarrier.try_wait.parity.shared::cta.b64 done, [%1], %2;\n\t"
                     "selp.b32 %0, 1, 0, done;\n\t}"
                     : "=r"(done)
                     : "r"(barrier), "r"(parity)
                     : "memory");
    } while (!done);
}

ROW_INLINE void tma_load(uint32_t to, const tma_map &map, int column, int row, uint32_t barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, %3}], [%4];" ::"r"(to),
                 "l"(&map), "r"(column), "r"(row), "r"(barrier)
                 : "memory");
}
/* What this thread stored is seen by TMA and wgmma of those whom it tells of it. */
ROW_INLINE void tma_publish() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/* By all warps of a warpgroup: registers given back to the block, or taken. */
template <int registers> ROW_INLINE void tma_give_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
}
template <int registers> ROW_INLINE void tma_take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
}

/* Barrier number `id` of the block (0 is that of __syncthreads), for so many threads. */
ROW_INLINE void tma_meet(int id, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
ROW_INLINE void tma_pass(int id, int threads) {
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

#endif
