/* wgmma: matrix products of a warpgroup (four warps, the first of them at a multiple of four) on
 * sm_90a, bf16 operands, f32 sums, 16 of the inner dimension an instruction. PTX ISA, "Asynchronous
 * warpgroup level matrix instructions".
 *
 * Warp w has rows 16 w.. of the 64, in each 8 columns as mma.cuh's C has them: sum[n][0], [1]: row
 * lane / 4 of columns 8 n + 2 (lane % 4) and the next; [2], [3]: the row 8 below. A in registers as
 * mma.cuh's A. So, again, a product of a product needs no shared memory.
 *
 * Operands in shared memory are in panels: [rows][64 columns] (or 32) of bf16, 8 chunks of 16 bytes
 * permuted by exclusive or with row % 8 (4 chunks, row / 2 % 4), as TMA leaves them with a swizzle
 * of 128 bytes (64). A panel starts at a multiple of 1,024 bytes.
 *
 * Products run beside the program. Between wgmma_start and the wgmma_wait that covers them, nobody
 * touches their sums, or writes their operands; wgmma_hold keeps the compiler from it.
 */
#ifndef MOTET_CUDA_WGMMA_CUH
#define MOTET_CUDA_WGMMA_CUH

#include "kernels/cuda/row.cuh"

/* Bytes of a panel's row by the number of columns that there are. */
constexpr __host__ __device__ int wgmma_row_bytes(int columns) {
    return columns < 64 ? 64 : 128;
}

/* Describes the matrix whose first panel starts at `address`; the next one is `panel_bytes` on
 * (matters only where columns are the product's outer dimension). */
template <int columns> ROW_INLINE uint64_t wgmma_matrix(uint32_t address, int panel_bytes) {
    constexpr uint64_t lines = 8 * wgmma_row_bytes(columns), swizzle = columns < 64 ? 2 : 1;
    return (uint64_t)((address & 0x3ffff) >> 4) | (uint64_t)(panel_bytes >> 4) << 16 |
           (lines >> 4) << 32 | swizzle << 62;
}
/* `bytes` further on: 32 for 16 columns, 16 rows' bytes for 16 rows. */
ROW_INLINE uint64_t wgmma_further(uint64_t matrix, int bytes) {
    return matrix + (uint64_t)(bytes >> 4);
}

/* Before the first product after sums or A were written. */
ROW_INLINE void wgmma_start() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
/* The products since the last one become a group. */
ROW_INLINE void wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/* Until at most the last `pending` groups still run. */
template <int pending> ROW_INLINE void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}
template <int N> ROW_INLINE void wgmma_hold(float (&sum)[N][4]) {
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int x = 0; x < 4; x++)
            asm volatile("" : "+f"(sum[n][x])::"memory");
}
template <int K> ROW_INLINE void wgmma_hold(uint32_t (&a)[K][4]) {
#pragma unroll
    for (int k = 0; k < K; k++)
#pragma unroll
        for (int x = 0; x < 4; x++)
            asm volatile("" : "+r"(a[k][x])::"memory");
}

#define WGMMA_8 "%0, %1, %2, %3, %4, %5, %6, %7, "
#define WGMMA_16 WGMMA_8 "%8, %9, %10, %11, %12, %13, %14, %15"
#define WGMMA_32                                                                             \
    WGMMA_16 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, " \
             "%31"
#define WGMMA_64                                                                             \
    WGMMA_32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, " \
             "%47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, "   \
             "%62, %63"
#define WGMMA_SUM(n) "+f"(sum[n][0]), "+f"(sum[n][1]), "+f"(sum[n][2]), "+f"(sum[n][3])
#define WGMMA_SUMS(n) WGMMA_SUM(n), WGMMA_SUM((n) + 1), WGMMA_SUM((n) + 2), WGMMA_SUM((n) + 3)
#define WGMMA_SUMS_16 WGMMA_SUMS(0)
#define WGMMA_SUMS_32 WGMMA_SUMS(0), WGMMA_SUMS(4)
#define WGMMA_SUMS_64 WGMMA_SUMS_32, WGMMA_SUMS(8), WGMMA_SUMS(12)
/* Operands are numbered behind the sums, of which a thread has `count`. */
#define WGMMA_ASM(shape, count, operands, more, ...)                                    \
    asm volatile("{\n\t.reg .pred more;\n\tsetp.ne.b32 more, " more ", 0;\n\t"          \
                 "wgmma.mma_async.sync.aligned." shape ".f32.bf16.bf16 {" WGMMA_##count \
                 "}, " operands "\n\t}"                                                 \
                 : WGMMA_SUMS_##count                                                   \
                 : __VA_ARGS__)
#define WGMMA_DOTS(shape, count, at_a, at_b, at_more)                                      \
    WGMMA_ASM(shape, count, at_a ", " at_b ", more, 1, 1, 0, 0;", at_more, "l"(a), "l"(b), \
              "r"(more))
#define WGMMA_MIX(shape, count, at_a, at_b, at_more)                                          \
    WGMMA_ASM(shape, count, at_a ", " at_b ", more, 1, 1, 1;", at_more, "r"(a[0]), "r"(a[1]), \
              "r"(a[2]), "r"(a[3]), "l"(b), "r"(1))

/* sum = A B' (more: sum += A B'), A [64][16] and B [8 N][16], both with the inner dimension in
 * rows. */
template <int N> ROW_INLINE void wgmma_dots(float (&sum)[N][4], uint64_t a, uint64_t b, int more) {
    static_assert(N == 8 || N == 16, "64 or 128 rows of B");
    if constexpr (N == 8)
        WGMMA_DOTS("m64n64k16", 32, "%32", "%33", "%34");
    else
        WGMMA_DOTS("m64n128k16", 64, "%64", "%65", "%66");
}

/* sum += A B, A [64][16] in registers, B [16][8 N]. */
template <int N> ROW_INLINE void wgmma_mix(float (&sum)[N][4], const uint32_t (&a)[4], uint64_t b) {
    static_assert(N == 4 || N == 8 || N == 16, "32, 64 or 128 columns of B");
    if constexpr (N == 4)
        WGMMA_MIX("m64n32k16", 16, "{%16, %17, %18, %19}", "%20", "%21");
    else if constexpr (N == 8)
        WGMMA_MIX("m64n64k16", 32, "{%32, %33, %34, %35}", "%36", "%37");
    else
        WGMMA_MIX("m64n128k16", 64, "{%64, %65, %66, %67}", "%68", "%69");
}

#endif
