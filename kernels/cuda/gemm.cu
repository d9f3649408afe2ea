/* gemm: C = A' B' in bf16 on tensor cores (mma.sync m16n8k16), sums in f32; see kernels/matmul.h.
 *
 * A block makes a tile of BM x BN of C. Tiles of A' and B' of BK = 32 of K go through a ring of
 * shared memory, filled by cp.async STAGES - 1 steps ahead, and from there by ldmatrix into the
 * registers of warps, each of which has WM x WN of the sums. A tile lies in shared memory as its
 * matrix does, K contiguous or not; ldmatrix transposes where mma wants the other. Chunks of 16
 * bytes are permuted within a line, so that the eight rows which ldmatrix reads together come from
 * different banks:
 *
 *   K contiguous:      64 bytes a row; chunk c of row r is at c ^ (r / 2 % 4)
 *   rows contiguous:   2 BM bytes a k; chunk c of k is at c ^ (k % 8)
 *
 * The sums leave through shared memory too, so that rows of C are written in whole sectors.
 *
 * `any` kernels take what cp.async does not: rows that do not start at 16 bytes, int8 B. They carry
 * the next tile in registers, element by element where they must.
 */
#include "kernels/cuda/gemm_tile.cuh"

#define BK GEMM_BK

extern __shared__ __align__(128) unsigned char ring[];

/* 16 bytes into shared memory; zeros if not there. */
ROW_INLINE void copy_async(uint32_t to, const void *from, bool there) {
    const int bytes = there ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
                 : "memory");
}
ROW_INLINE void commit_group() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int pending> ROW_INLINE void wait_group() {
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

template <bool transpose> ROW_INLINE void load_matrices(uint32_t (&to)[4], uint32_t from) {
    if (transpose)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                     : "r"(from)
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                     : "r"(from)
                     : "memory");
}

ROW_INLINE void multiply_add(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* Byte offset of an 8-element chunk: of K in row r, or of rows in k. */
template <int ROWS, bool K_CONTIGUOUS> ROW_INLINE int chunk_offset(int line, int chunk) {
    if (K_CONTIGUOUS) return line * (BK * 2) + ((chunk ^ ((line >> 1) & 3)) << 4);
    return line * (ROWS * 2) + ((chunk ^ (line & 7)) << 4);
}

/* One operand's way into shared memory by cp.async: ROWS rows (of A' or columns of B') from row0,
 * of `rows`, BK of K at a time from k0 up to k. Threads take chunks side by side; a thread's chunks
 * are `stride` lines apart, a multiple of 8, so they are permuted alike. */
template <int ROWS, bool K_CONTIGUOUS, int THREADS> struct async_operand {
    static const int per_line = K_CONTIGUOUS ? BK / 8 : ROWS / 8;
    static const int chunks = ROWS * BK / 8;
    static const int stride = THREADS / per_line;
    static const int count = (chunks + THREADS - 1) / THREADS;
    static_assert(stride % 8 == 0 || count == 1, "a thread's chunks must be permuted alike");
    static const int bytes = ROWS * BK * 2;

    const uint16_t *matrix, *from;
    size_t skip; /* elements between a thread's chunks */
    int row, k, rows, k_end, offset;
    size_t advance; /* elements between tiles */

    __device__ __forceinline__ void start(const void *data, int row0, int rows_, int k0, int k_) {
        const int line = threadIdx.x / per_line, chunk = threadIdx.x % per_line;
        matrix = (const uint16_t *)data;
        rows = rows_;
        k_end = k_;
        row = row0 + (K_CONTIGUOUS ? line : chunk * 8);
        k = k0 + (K_CONTIGUOUS ? chunk * 8 : line);
        const size_t pitch = K_CONTIGUOUS ? k_ : rows_;
        from = matrix + (K_CONTIGUOUS ? row * pitch + k : k * pitch + row);
        skip = stride * pitch;
        advance = K_CONTIGUOUS ? BK : BK * pitch;
        offset = chunk_offset<ROWS, K_CONTIGUOUS>(line, chunk);
    }

    __device__ __forceinline__ void load(uint32_t to) {
#pragma unroll
        for (int i = 0; i < count; i++) {
            const bool there = K_CONTIGUOUS ? row + i * stride < rows && k < k_end
                                            : row < rows && k + i * stride < k_end;
            const int line_bytes = K_CONTIGUOUS ? BK * 2 : ROWS * 2;
            if (chunks % THREADS == 0 || (int)threadIdx.x + i * THREADS < chunks)
                copy_async(to + offset + i * stride * line_bytes, there ? from + i * skip : matrix,
                           there);
        }
        from += advance;
        k += BK;
    }
};

/* The sums of one warp, and how it reads a stage. */
template <int BM, int BN, int WM, int WN, bool TA, bool TB> struct warp_tile {
    static const int frags_m = WM / 16, frags_n = WN / 8, across = BN / WN;
    static const int threads = (BM / WM) * across * 32;
    float sums[frags_m][frags_n][4];
    int m, n; /* of the warp within the block's tile */

    __device__ __forceinline__ void start() {
        const int warp = threadIdx.x / 32;
        m = warp / across * WM;
        n = warp % across * WN;
#pragma unroll
        for (int i = 0; i < frags_m; i++)
#pragma unroll
            for (int j = 0; j < frags_n; j++)
#pragma unroll
                for (int x = 0; x < 4; x++)
                    sums[i][j][x] = 0;
    }

    __device__ __forceinline__ void multiply(uint32_t a_tile, uint32_t b_tile) {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int k = 0; k < BK; k += 16) {
            uint32_t a[frags_m][4], b[frags_n / 2][4];
#pragma unroll
            for (int i = 0; i < frags_m; i++) {
                /* Matrices: rows 0-7, rows 8-15 of k 0-7, then of k 8-15. */
                const int row = m + i * 16;
                const int offset =
                    TA ? chunk_offset<BM, false>(k + (lane >> 4) * 8 + (lane & 7),
                                                 row / 8 + ((lane >> 3) & 1))
                       : chunk_offset<BM, true>(row + (lane & 15), k / 8 + (lane >> 4));
                load_matrices<TA>(a[i], a_tile + offset);
            }
#pragma unroll
            for (int j = 0; j < frags_n / 2; j++) {
                /* Matrices: k 0-7, k 8-15 of columns 0-7, then of columns 8-15. */
                const int column = n + j * 16;
                const int offset =
                    TB ? chunk_offset<BN, true>(column + (lane >> 4) * 8 + (lane & 7),
                                                k / 8 + ((lane >> 3) & 1))
                       : chunk_offset<BN, false>(k + (lane & 15), column / 8 + (lane >> 4));
                load_matrices<!TB>(b[j], b_tile + offset);
            }
#pragma unroll
            for (int i = 0; i < frags_m; i++)
#pragma unroll
                for (int j = 0; j < frags_n; j++)
                    multiply_add(sums[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
        }
    }

    /* Sums through shared memory to where they go. All warps have left the ring. */
    __device__ __forceinline__ void leave_by(float *stage, const motet_gemm_args &p,
                                             const block_work &work) {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int i = 0; i < frags_m; i++)
#pragma unroll
            for (int j = 0; j < frags_n; j++) {
                const int row = m + i * 16 + (lane >> 2), column = n + j * 8 + (lane & 3) * 2;
                const float(&sum)[4] = sums[i][j];
                store_shared2(&stage[stage_place<BN>(row, column)], sum[0], sum[1]);
                store_shared2(&stage[stage_place<BN>(row + 8, column)], sum[2], sum[3]);
            }
        __syncthreads();
        leave<BM, BN, threads>(p, work, stage);
    }
};

template <int BM, int BN, int WM, int WN, int STAGES, bool TA, bool TB>
ROW_INLINE void gemm_async(const motet_gemm_args &p) {
    typedef warp_tile<BM, BN, WM, WN, TA, TB> warp_sums;
    typedef async_operand<BM, !TA, warp_sums::threads> left;
    typedef async_operand<BN, TB, warp_sums::threads> right;
    static_assert(STAGES * (left::bytes + right::bytes) >= BM * BN * 4, "sums leave by the ring");
    const int stage_bytes = left::bytes + right::bytes;
    const uint32_t base = shared_address(ring);
    __shared__ block_work work;
    take_work<BM, BN>(&work, p);
    int k0;
    const int tiles = work_range<BK>(p, work, &k0);
    left a;
    right b;
    warp_sums sums;
    a.start(p.a, work.m0, p.m, k0, p.k);
    b.start(p.b, work.n0, p.n, k0, p.k);
    sums.start();
    int loaded = 0, fill = 0, use = 0;
    for (; loaded < STAGES - 1; loaded++) {
        if (loaded < tiles) {
            a.load(base + fill * stage_bytes);
            b.load(base + fill * stage_bytes + left::bytes);
        }
        fill = fill + 1 == STAGES ? 0 : fill + 1;
        commit_group();
    }
#pragma unroll 1
    for (int tile = 0; tile < tiles; tile++) {
        wait_group<STAGES - 2>();
        __syncthreads(); /* the tile is there for all, and all have left the stage filled next */
        if (loaded < tiles) {
            a.load(base + fill * stage_bytes);
            b.load(base + fill * stage_bytes + left::bytes);
        }
        loaded++;
        fill = fill + 1 == STAGES ? 0 : fill + 1;
        commit_group();
        sums.multiply(base + use * stage_bytes, base + use * stage_bytes + left::bytes);
        use = use + 1 == STAGES ? 0 : use + 1;
    }
    __syncthreads();
    sums.leave_by((float *)ring, p, work);
}

/* One operand's way through registers: as async_operand, but by elements (of bf16 or int8) where
 * rows are not aligned, and converted to bf16. */
template <int ROWS, bool K_CONTIGUOUS, int THREADS> struct carried_operand {
    static const int per_line = K_CONTIGUOUS ? BK : ROWS; /* elements */
    static const int elements = ROWS * BK / THREADS;
    static const int chunks = elements / 8;
    static const int bytes = ROWS * BK * 2;
    uint32_t carried[elements]; /* one a register, or the first 4 * chunks hold chunks */

    __device__ __forceinline__ void fetch(const void *data, int type, bool vector, int row0,
                                          int rows, int k0, int k_end) {
        const size_t pitch = K_CONTIGUOUS ? k_end : rows;
        const int width = vector ? 8 : 1, across = per_line / width;
        const int line = threadIdx.x / across, first = threadIdx.x % across * width;
        const int stride = THREADS / across;
        const int row = row0 + (K_CONTIGUOUS ? line : first);
        const int k = k0 + (K_CONTIGUOUS ? first : line);
        const size_t from = K_CONTIGUOUS ? row * pitch + k : k * pitch + row;
        const size_t skip = stride * pitch;
        if (vector) {
#pragma unroll
            for (int i = 0; i < chunks; i++) {
                uint4 chunk = make_uint4(0, 0, 0, 0);
                if (K_CONTIGUOUS ? row + i * stride < rows && k < k_end
                                 : row < rows && k + i * stride < k_end) {
                    if (type == ROW_BF16) {
                        chunk = *(const uint4 *)((const uint16_t *)data + from + i * skip);
                    } else {
                        const uint2 codes =
                            *(const uint2 *)((const int8_t *)data + from + i * skip);
                        chunk.x = codes.x;
                        chunk.y = codes.y;
                    }
                }
                carried[i * 4] = chunk.x;
                carried[i * 4 + 1] = chunk.y;
                carried[i * 4 + 2] = chunk.z;
                carried[i * 4 + 3] = chunk.w;
            }
        } else {
#pragma unroll
            for (int i = 0; i < elements; i++) {
                carried[i] = 0;
                if (K_CONTIGUOUS ? row + i * stride < rows && k < k_end
                                 : row < rows && k + i * stride < k_end)
                    carried[i] = type == ROW_BF16
                                     ? (uint32_t)((const uint16_t *)data)[from + i * skip]
                                     : (uint32_t)((const int8_t *)data)[from + i * skip];
            }
        }
    }

    __device__ __forceinline__ void put(unsigned char *to, int type, bool vector) const {
        if (vector) {
#pragma unroll
            for (int i = 0; i < chunks; i++) {
                const int at = threadIdx.x + i * THREADS;
                const int line = at / (per_line / 8), chunk = at % (per_line / 8);
                uint4 pairs = make_uint4(carried[i * 4], carried[i * 4 + 1], carried[i * 4 + 2],
                                         carried[i * 4 + 3]);
                if (type == ROW_I8) {
                    const uint32_t low = pairs.x ^ 0x80808080u, high = pairs.y ^ 0x80808080u;
                    pairs.x = row_pack(float_code<0>(low), float_code<1>(low));
                    pairs.y = row_pack(float_code<2>(low), float_code<3>(low));
                    pairs.z = row_pack(float_code<0>(high), float_code<1>(high));
                    pairs.w = row_pack(float_code<2>(high), float_code<3>(high));
                }
                *(uint4 *)(to + chunk_offset<ROWS, K_CONTIGUOUS>(line, chunk)) = pairs;
            }
        } else {
#pragma unroll
            for (int i = 0; i < elements; i++) {
                const int at = threadIdx.x + i * THREADS;
                const int line = at / per_line, first = at % per_line;
                const uint32_t value =
                    type == ROW_BF16 ? carried[i] : row_pack((float)(int32_t)carried[i], 0);
                const int offset =
                    chunk_offset<ROWS, K_CONTIGUOUS>(line, first / 8) + first % 8 * 2;
                *(uint16_t *)(to + offset) = (uint16_t)value;
            }
        }
    }
};

template <int BM, int BN, int WM, int WN, bool TA, bool TB>
ROW_INLINE void gemm_carried(const motet_gemm_args &p) {
    typedef warp_tile<BM, BN, WM, WN, TA, TB> warp_sums;
    typedef carried_operand<BM, !TA, warp_sums::threads> left;
    typedef carried_operand<BN, TB, warp_sums::threads> right;
    static_assert(2 * (left::bytes + right::bytes) >= BM * BN * 4, "sums leave by the ring");
    const int stage_bytes = left::bytes + right::bytes;
    __shared__ block_work work;
    take_work<BM, BN>(&work, p);
    const int m0 = work.m0, n0 = work.n0;
    int k;
    const int tiles = work_range<BK>(p, work, &k);
    left a;
    right b;
    warp_sums sums;
    sums.start();
    if (tiles > 0) {
        a.fetch(p.a, p.a_type, p.a_vector, m0, p.m, k, p.k);
        b.fetch(p.b, p.b_type, p.b_vector, n0, p.n, k, p.k);
    }
#pragma unroll 1
    for (int tile = 0; tile < tiles; tile++) {
        unsigned char *const stage = ring + tile % 2 * stage_bytes;
        a.put(stage, p.a_type, p.a_vector);
        b.put(stage + left::bytes, p.b_type, p.b_vector);
        __syncthreads(); /* the stage is there; whoever put the next one has left its last use */
        k += BK;
        if (tile + 1 < tiles) {
            a.fetch(p.a, p.a_type, p.a_vector, m0, p.m, k, p.k);
            b.fetch(p.b, p.b_type, p.b_vector, n0, p.n, k, p.k);
        }
        sums.multiply(shared_address(stage), shared_address(stage) + left::bytes);
    }
    __syncthreads();
    sums.leave_by((float *)ring, p, work);
}

/* Names: transposes of A and B as in BLAS; tile; nn, nt, tn, tt. */
#define GEMM_KERNELS(letters, ta, tb)                                         \
    extern "C" __global__ void __launch_bounds__(256, 2)                      \
        motet_gemm_128_##letters(const __grid_constant__ motet_gemm_args p) { \
        gemm_async<128, 128, 64, 32, 4, ta, tb>(p);                           \
    }                                                                         \
    extern "C" __global__ void __launch_bounds__(128, 4)                      \
        motet_gemm_64_##letters(const __grid_constant__ motet_gemm_args p) {  \
        gemm_async<64, 64, 32, 32, 4, ta, tb>(p);                             \
    }                                                                         \
    extern "C" __global__ void __launch_bounds__(256, 2)                      \
        motet_gemm_any_##letters(const __grid_constant__ motet_gemm_args p) { \
        gemm_carried<64, 64, 32, 16, ta, tb>(p);                              \
    }
GEMM_KERNELS(nn, false, false)
GEMM_KERNELS(nt, false, true)
GEMM_KERNELS(tn, true, false)
GEMM_KERNELS(tt, true, true)

/* Few rows: the weights are all that counts, so many of their bytes are under way. */
extern "C" __global__ void __launch_bounds__(128, 4)
    motet_gemm_16_nt(const __grid_constant__ motet_gemm_args p) {
    gemm_async<16, 64, 16, 16, 8, false, true>(p);
}
