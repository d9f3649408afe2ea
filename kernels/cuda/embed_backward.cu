/* embed, backward: dtable[id,:] += the rows of dout whose bags hold id, in one launch and without
 * memory of its own.
 *
 * A block owns EMBED_OWNED rows of dtable (blockIdx.x), EMBED_COLUMNS of their columns
 * (blockIdx.y). It looks at the ids of the whole batch, which are few bytes beside the rows and
 * come from L2, each warp at a share of them. What it owns waits in the warp's queue; 32 at a time
 * the rows of dout are read, several in flight, and added in the order of the batch to sums that
 * the warp alone has in shared memory. In the end the warps' sums are added in the order of warps.
 *
 * So every element of dtable has one writer and is read and written once, a row that no bag holds
 * not at all, and a frequent id keeps all warps of its blocks busy.
 */
#include "kernels/cuda/complaint.h"
#include "kernels/cuda/row.cuh"

#define LANES 0xffffffffu
#define AHEAD 4   /* times 32 ids that a warp looks at together */
#define FLIGHT 8  /* rows of dout that a warp has under way */
#define QUEUE 256 /* of a warp: 31 wait, 32 AHEAD come; a power of two */
#define SUMS (EMBED_OWNED * EMBED_COLUMNS)
#define PARTS (EMBED_COLUMNS / 32) /* columns of a lane, 32 apart */

static_assert(EMBED_OWNED == 32, "a hit's lowest five bits, and a bit each in `touched`");
static_assert(QUEUE >= 31 + 32 * AHEAD && (QUEUE & (QUEUE - 1)) == 0,
              "a ring that never overflows");
static_assert(SUMS % ROW_THREADS == 0, "threads share the sums evenly");
static_assert(EMBED_SHARED == ROW_WARPS * (SUMS + QUEUE) * 4, "what the launcher asks for");

extern __shared__ __align__(16) float shared[]; /* sums [ROW_WARPS][SUMS], then the queues */

/* The ids of AHEAD rounds, one a lane, of which `left` are there; -1 behind them. */
ROW_INLINE void load_ids(int (&ids)[AHEAD], const int32_t *from, int left) {
    if (left >= 32 * AHEAD) {
#pragma unroll
        for (int a = 0; a < AHEAD; a++)
            ids[a] = from[a * 32 + row_lane()];
        return;
    }
#pragma unroll
    for (int a = 0; a < AHEAD; a++)
        ids[a] = a * 32 + row_lane() < left ? from[a * 32 + row_lane()] : -1;
}

/* A warp's way from hits to sums. The sums that hits go to one after another stay in registers: a
 * frequent id does not wait for shared memory. */
template <typename T> struct row_adder {
    const T *dout; /* at the lane's first column */
    float *sums;   /* there, too */
    uint32_t start, bag, width;
    bool there[PARTS];
    float *current; /* the row of sums that is in registers */
    float sum[PARTS];
    uint32_t touched; /* bit i: one of the lane's hits was owned row i */

    static __device__ __forceinline__ float value(float x) {
        return x;
    }
    static __device__ __forceinline__ float value(uint16_t x) {
        return row_low(x);
    }
    __device__ __forceinline__ void put_away() {
#pragma unroll
        for (int part = 0; part < PARTS; part++)
            current[32 * part] = sum[part];
    }

    /* Adds the rows of `count` hits; lane l has hit l. ALL: 32, and the lanes' columns are there.
     */
    template <bool ALL> __device__ __forceinline__ void add(uint32_t hit, int count) {
        const uint32_t own_row = (start + hit / EMBED_OWNED) / bag;
        if (ALL || row_lane() < count) touched |= 1u << hit % EMBED_OWNED;
#pragma unroll 1
        for (int at = 0; at < (ALL ? 32 : count); at += FLIGHT) {
            float v[FLIGHT][PARTS];
#pragma unroll
            for (int f = 0; f < FLIGHT; f++) {
                const T *from = dout + (uint64_t)__shfl_sync(LANES, own_row, at + f) * width;
#pragma unroll
                for (int part = 0; part < PARTS; part++)
                    v[f][part] =
                        ALL || (there[part] && at + f < count) ? value(from[32 * part]) : 0;
            }
#pragma unroll
            for (int f = 0; f < FLIGHT; f++) { /* behind the last hit: 0 to the first row */
                const uint32_t owned = __shfl_sync(LANES, hit, at + f) % EMBED_OWNED;
                float *const to = sums + owned * EMBED_COLUMNS;
                if (to != current) {
                    put_away();
                    current = to;
#pragma unroll
                    for (int part = 0; part < PARTS; part++)
                        sum[part] = current[32 * part];
                }
#pragma unroll
                for (int part = 0; part < PARTS; part++)
                    sum[part] += v[f][part];
            }
        }
    }
};

template <typename T> ROW_INLINE void embed_backward(const motet_embed_job &j) {
    __shared__ uint32_t touched; /* bit i: some bag has the block's row i */
    uint32_t *const queue = (uint32_t *)(shared + ROW_WARPS * SUMS) + row_warp() * QUEUE;
    const uint32_t first = blockIdx.x * EMBED_OWNED;
    const uint32_t owns = (uint32_t)min((int64_t)EMBED_OWNED, j.limit - first);
    const int64_t start = min(j.count, row_warp() * j.share);
    const int count = (int)min(j.share, j.count - start);
    const int32_t *const ids = j.ids + start;
    const int64_t column = blockIdx.y * EMBED_COLUMNS + row_lane();
    float *const sums = shared + row_warp() * SUMS + row_lane();
    row_adder<T> rows = {(const T *)j.dout.data + column,
                         sums,
                         (uint32_t)start,
                         (uint32_t)j.bag,
                         (uint32_t)j.width,
                         {},
                         sums};
#pragma unroll
    for (int part = 0; part < PARTS; part++)
        rows.there[part] = column + 32 * part < j.width;
    const bool whole = (blockIdx.y + 1) * EMBED_COLUMNS <= j.width;
    if (threadIdx.x == 0) touched = 0;
#pragma unroll 4
    for (int i = 0; i < ROW_WARPS * SUMS / 4 / ROW_THREADS; i++)
        ((float4 *)shared)[i * ROW_THREADS + threadIdx.x] = make_float4(0, 0, 0, 0);
    __syncthreads();
    if (blockIdx.x == 0 && blockIdx.y == 0)
#pragma unroll 1
        for (int at = row_lane(); at < count; at += 32)
            if (ids[at] >= j.limit)
                motet_complain(j.complaints, MOTET_COMPLAINT_EMBED_ID, (rows.start + at) / rows.bag,
                               ids[at]);
    uint32_t head = 0, tail = 0;
    int next[AHEAD];
    load_ids(next, ids, count);
#pragma unroll 1
    for (int at = 0; at < count; at += 32 * AHEAD) {
        uint32_t owned[AHEAD];
#pragma unroll
        for (int a = 0; a < AHEAD; a++)
            owned[a] = (uint32_t)next[a] - first; /* large for negative ids, too */
        load_ids(next, ids + at + 32 * AHEAD, count - at - 32 * AHEAD);
#pragma unroll
        for (int a = 0; a < AHEAD; a++) {
            const uint32_t hits = __ballot_sync(LANES, owned[a] < owns);
            if (owned[a] < owns) {
                const uint32_t to = tail + __popc(hits & ((1u << row_lane()) - 1));
                queue[to % QUEUE] = (at + a * 32 + row_lane()) * EMBED_OWNED + owned[a];
            }
            tail += __popc(hits);
        }
        __syncwarp();
#pragma unroll 1
        for (; tail - head >= 32; head += 32)
            if (whole)
                rows.template add<true>(queue[(head + row_lane()) % QUEUE], 32);
            else
                rows.template add<false>(queue[(head + row_lane()) % QUEUE], 32);
        __syncwarp(); /* the queue was read */
    }
    const int rest = (int)(tail - head);
    if (rest > 0)
        rows.template add<false>(row_lane() < rest ? queue[(head + row_lane()) % QUEUE] : 0, rest);
    rows.put_away();
    if (rows.touched) atomicOr(&touched, rows.touched);
    __syncthreads();
#pragma unroll 2
    for (int i = 0; i < SUMS / ROW_THREADS; i++) {
        const int at = i * ROW_THREADS + threadIdx.x, owned = at / EMBED_COLUMNS;
        const int64_t to = blockIdx.y * EMBED_COLUMNS + at % EMBED_COLUMNS;
        if (!(touched >> owned & 1) || to >= j.width) continue;
        float sum = shared[at];
#pragma unroll
        for (int warp = 1; warp < ROW_WARPS; warp++)
            sum += shared[warp * SUMS + at];
        j.dtable[(int64_t)(first + owned) * j.width + to] += sum;
    }
}

extern "C" __global__ void __launch_bounds__(ROW_THREADS, 2)
    motet_embed_backward_f32(const __grid_constant__ motet_embed_job j) {
    embed_backward<float>(j);
}
extern "C" __global__ void __launch_bounds__(ROW_THREADS, 2)
    motet_embed_backward_bf16(const __grid_constant__ motet_embed_job j) {
    embed_backward<uint16_t>(j);
}
