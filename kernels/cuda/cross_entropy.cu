/* cross_entropy on the device (kernels/cross_entropy.h): a warp a row up to 256 symbols, a block a
 * row beyond; up to 2,048 symbols the row stays in registers, so the logits are read once and
 * written once. Longer rows are read three times. Sums have one order: a lane's symbols, the lanes
 * by halves, the warps. Exponentials are 2^(x log2 e) with the hardware's 2^x: relative error
 * 2^-22 (1 + |x|/8), below 1e-6 wherever a probability is above 1e-6. */
#include "kernels/cuda/complaint.h"
#include "kernels/cuda/row.cuh"

#define LANES 0xffffffffu
#define LOG2_E 1.44269504088896341f
#define THREADS 256

/* bf16 is a uint16_t here. */
static __device__ __forceinline__ float load(const float *from) {
    return *from;
}
static __device__ __forceinline__ float load(const uint16_t *from) {
    return row_low(*from);
}
static __device__ __forceinline__ void store(float *to, float x) {
    *to = x;
}
static __device__ __forceinline__ void store(uint16_t *to, float x) {
    *to = (uint16_t)row_pack(x, 0.0f);
}

/* e^x; 0 for -infinity, NaN for NaN. */
static __device__ __forceinline__ float power(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x * LOG2_E));
    return y;
}

/* Of the warp's lanes, then of the team's warps. slots [WARPS], shared, is for this join alone. */
template <int WARPS, bool MAX> static __device__ __forceinline__ float join(float x, float *slots) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        const float other = __shfl_xor_sync(LANES, x, step);
        x = MAX ? fmaxf(x, other) : x + other;
    }
    if (WARPS == 1) return x;
    if (threadIdx.x % 32 == 0) slots[threadIdx.x / 32] = x;
    __syncthreads();
    x = slots[0];
#pragma unroll
    for (int w = 1; w < WARPS; w++)
        x = MAX ? fmaxf(x, slots[w]) : x + slots[w];
    return x;
}

/* A row and the team of WARPS warps on it: lane l of warp w has the symbols of words
 * w, w + WARPS, ... of the mask, each at bit l. */
template <int WARPS, int LEAST, typename T> struct team {
    T *logits;
    const uint32_t *legal; /* the row's words, or NULL */
    int symbols, warp, lane;

    __device__ __forceinline__ int symbol(int i) const {
        return (i * WARPS + warp) * 32 + lane;
    }
    __device__ __forceinline__ bool has(int i) const {
        return (LEAST > 0 && (i + 1) * WARPS * 32 <= LEAST) || symbol(i) < symbols;
    }
    /* The logit of round i; -infinity where the symbol is not there or not allowed. */
    __device__ __forceinline__ float masked(int i) const {
        const int v = symbol(i);
        if (!has(i)) return -INFINITY;
        if (legal && !(legal[v / 32] >> lane & 1u)) return -INFINITY;
        return load(logits + v);
    }
};

/* ITEMS symbols a lane, kept in registers; 0: any number, computed anew in each pass. LEAST symbols
 * are there in any case: shorter rows have another kernel. */
template <int WARPS, int ITEMS, int LEAST, typename T>
static __device__ __forceinline__ void
cross_entropy(float *loss, T *logits, const int32_t *targets, const uint32_t *legal,
              motet_complaint *complaints, int64_t rows, int symbols, float scale) {
    __shared__ float slots[2][WARPS];
    const int64_t row =
        WARPS == 1 ? (int64_t)blockIdx.x * (THREADS / 32) + threadIdx.x / 32 : blockIdx.x;
    if (WARPS == 1 && row >= rows) return;
    const int words = (symbols + 31) / 32, target = targets[row];
    team<WARPS, LEAST, T> t;
    t.logits = logits + row * symbols;
    t.legal = legal ? legal + row * words : nullptr;
    t.symbols = symbols;
    t.warp = WARPS == 1 ? 0 : (int)threadIdx.x / 32;
    t.lane = (int)threadIdx.x % 32;
    const int rounds = ITEMS > 0 ? ITEMS : (words + WARPS - 1) / WARPS;
    const bool leader = t.warp == 0 && t.lane == 0;

    if (target < 0) {
        if (leader) loss[row] = 0.0f;
        if (scale == 0.0f) return;
#pragma unroll
        for (int i = 0; i < rounds; i++)
            if (t.has(i)) store(t.logits + t.symbol(i), 0.0f);
        return;
    }
    const bool beyond = target >= symbols;
    if (beyond || (t.legal && !(t.legal[target / 32] >> (target % 32) & 1u))) {
        if (leader)
            motet_complain(complaints,
                           beyond ? MOTET_COMPLAINT_TARGET_BEYOND : MOTET_COMPLAINT_TARGET_ILLEGAL,
                           row, target);
        return;
    }

    float x[ITEMS > 0 ? ITEMS : 1], most = -INFINITY, sum = 0.0f, hit = 0.0f;
    bool mine = false; /* this lane has the target */
#pragma unroll
    for (int i = 0; i < rounds; i++) {
        const float z = t.masked(i);
        if (t.symbol(i) == target) {
            hit = z;
            mine = true;
        }
        most = fmaxf(most, z);
        if (ITEMS > 0) x[i] = z;
    }
    most = join<WARPS, true>(most, slots[0]);
#pragma unroll
    for (int i = 0; i < rounds; i++) {
        const float e = power((ITEMS > 0 ? x[i] : t.masked(i)) - most);
        sum += e;
        if (ITEMS > 0) x[i] = e;
    }
    sum = join<WARPS, false>(sum, slots[1]);
    if (mine) loss[row] = logf(sum) + (most - hit);
    if (scale == 0.0f) return;
    const float share = scale / sum;
#pragma unroll
    for (int i = 0; i < rounds; i++) {
        const int v = t.symbol(i);
        if (!t.has(i)) continue;
        const float e = ITEMS > 0 ? x[i] : power(t.masked(i) - most);
        store(t.logits + v, __fsub_rn(__fmul_rn(e, share), v == target ? scale : 0.0f));
    }
}

#define CROSS_ENTROPY_ENTRY(size, warps, items, least, name, type)                                \
    extern "C" __global__ void __launch_bounds__(THREADS, 4) motet_cross_entropy_##size##_##name( \
        float *loss, type *logits, const int32_t *targets, const uint32_t *legal,                 \
        motet_complaint *complaints, int64_t rows, int symbols, float scale) {                    \
        cross_entropy<warps, items, least>(loss, logits, targets, legal, complaints, rows,        \
                                           symbols, scale);                                       \
    }

CROSS_ENTROPY_ENTRY(64, 1, 2, 0, f32, float)
CROSS_ENTROPY_ENTRY(256, 1, 8, 64, f32, float)
CROSS_ENTROPY_ENTRY(2048, 8, 8, 256, f32, float)
CROSS_ENTROPY_ENTRY(any, 8, 0, 0, f32, float)
CROSS_ENTROPY_ENTRY(64, 1, 2, 0, bf16, uint16_t)
CROSS_ENTROPY_ENTRY(256, 1, 8, 64, bf16, uint16_t)
CROSS_ENTROPY_ENTRY(2048, 8, 8, 256, bf16, uint16_t)
CROSS_ENTROPY_ENTRY(any, 8, 0, 0, bf16, uint16_t)
