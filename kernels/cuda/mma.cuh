/* mma: tensor cores and what feeds them on sm_80 and later, one instruction a function. bf16 in
 * memory, f32 sums.
 *
 * Fragments of mma m16n8k16, g = lane / 4, t = lane % 4; a register holds two neighbours:
 *
 *   A  a0, a1: rows g, g+8 of columns 2t, 2t+1;  a2, a3: the same rows of columns 2t+8, 2t+9
 *   B  b0: rows 2t, 2t+1 of column g;            b1: rows 2t+8, 2t+9 of column g
 *   C  c0, c1: row g of columns 2t, 2t+1;        c2, c3: row g+8 of the same columns
 *
 * So two neighbouring tiles of C, rounded to bf16, are one of A: a product of a product needs no
 * shared memory.
 */
#ifndef MOTET_CUDA_MMA_CUH
#define MOTET_CUDA_MMA_CUH

#include "kernels/cuda/row.cuh"

ROW_INLINE uint32_t mma_address(const void *shared) {
    return (uint32_t)__cvta_generic_to_shared(shared);
}

/* 16 bytes into shared memory, in the background; zeros, and nothing read, if not there. */
ROW_INLINE void mma_copy(uint32_t to, const void *from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}
ROW_INLINE void mma_copy(uint32_t to, const void *from, bool there) {
    const int bytes = there ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
                 : "memory");
}
/* 8 bytes. */
ROW_INLINE void mma_copy_half(uint32_t to, const void *from, bool there) {
    const int bytes = there ? 8 : 0;
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(to), "l"(from), "r"(bytes)
                 : "memory");
}
/* 16 bytes of shared memory. */
ROW_INLINE uint4 mma_read(uint32_t from) {
    uint4 words;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
                 : "r"(from)
                 : "memory");
    return words;
}
ROW_INLINE void mma_write_zeros(uint32_t to) {
    asm volatile("st.shared.v4.u32 [%0], {%1, %1, %1, %1};" ::"r"(to), "r"(0) : "memory");
}
ROW_INLINE void mma_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int pending> ROW_INLINE void mma_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

/* Four 8 x 8 matrices, whose rows' addresses are the lanes' in turn. */
ROW_INLINE void mma_load(uint32_t (&to)[4], uint32_t from) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(from)
                 : "memory");
}
ROW_INLINE void mma_load_transposed(uint32_t (&to)[4], uint32_t from) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(from)
                 : "memory");
}

/* sum += A B */
ROW_INLINE void mma_add(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#endif
