/* sample_row: one row of the sampler, held by a block of WARPS warps. Internal to sample_draw.cuh.
 *
 * Warp w of the block has a run of symbols of its own, 32 * rounds of them; in round i its lane l
 * has symbol (w * rounds + i) * 32 + l. So symbols rise with the warp, then the round, then the
 * lane. ITEMS > 0: rounds = ITEMS, and a lane keeps what it knows of its symbols in registers.
 * ITEMS = 0: any number of symbols, computed anew from the logits whenever they are looked at.
 *
 * Weights are the CPU twin's floats, bit for bit, and then fixed point, 44 bits behind the point:
 * sums of up to 65,536 of them stay below 2^60, are exact, and are the same in any order.
 */
#ifndef MOTET_CUDA_SAMPLE_ROW_CUH
#define MOTET_CUDA_SAMPLE_ROW_CUH

#include <stdint.h>

#define SAMPLE_LANES 0xffffffffu
#define SAMPLE_LOG2_E 1.44269504088896341f
#define SAMPLE_UNCUT 0x7fffffff

/* Layout of motet_sample_params and motet_sample_result, which sample_launch.c checks. */
struct sample_params {
    float temperature, guidance, repetition_penalty, top_p, min_p;
    int32_t top_k;
    uint64_t seed, stream, counter;
};
struct sample_result {
    int32_t symbol;
    float log_prob, legal_mass;
};

/* ---- weights ---- */

/* The arithmetic of v_exp2 in kernels/simd.h, for x <= 0; 2^-64 and less come out as 2^-64. */
static __device__ __forceinline__ float sample_exp2(float x) {
    x = fmaxf(x, -64.0f);
    const float shifted = __fadd_rn(x, 12582912.0f); /* the integer nearest to x in the low bits */
    const float f = __fsub_rn(x, __fsub_rn(shifted, 12582912.0f));
    float p = 0.000154614447f;
    p = __fmaf_rn(p, f, 0.001340042818f);
    p = __fmaf_rn(p, f, 0.009618056679f);
    p = __fmaf_rn(p, f, 0.05550327227f);
    p = __fmaf_rn(p, f, 0.2402265092f);
    p = __fmaf_rn(p, f, 0.6931472067f);
    p = __fmaf_rn(p, f, 1.0f);
    return __fmul_rn(p, __int_as_float((__float_as_int(shifted) - 0x4b400000 + 127) << 23));
}

/* e^x for x <= 0, and 1 for the NaN that two equal infinities leave. */
static __device__ __forceinline__ float sample_weight(float x) {
    const float w = sample_exp2(__fmul_rn(x, SAMPLE_LOG2_E));
    return x < 0.0f ? w : 1.0f;
}

static __device__ __forceinline__ uint64_t sample_fixed(float weight) {
    return (uint64_t)(weight * 0x1p44f);
}

/* Ascending floats give ascending keys, none of them 0; -0 counts as 0. */
static __device__ __forceinline__ uint32_t sample_key(float x) {
    const uint32_t bits = __float_as_uint(__fadd_rn(x, 0.0f));
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
static __device__ __forceinline__ float sample_unkey(uint32_t key) {
    return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

/* ---- sums over a warp and over the block ---- */

/* Sum over the lanes, each below 2^51: two sums of at most 27 bits a lane. */
static __device__ __forceinline__ uint64_t sample_lanes_sum(uint64_t x) {
    const uint32_t low = __reduce_add_sync(SAMPLE_LANES, (uint32_t)x & 0xffffffu);
    const uint32_t high = __reduce_add_sync(SAMPLE_LANES, (uint32_t)(x >> 24));
    return ((uint64_t)high << 24) + low;
}
/* The same for sums of warps, below 2^60. */
static __device__ __forceinline__ uint64_t sample_warps_sum(uint64_t x) {
    const uint32_t low = __reduce_add_sync(SAMPLE_LANES, (uint32_t)x & 0x3fffffu);
    const uint32_t middle = __reduce_add_sync(SAMPLE_LANES, (uint32_t)(x >> 22) & 0x3fffffu);
    const uint32_t high = __reduce_add_sync(SAMPLE_LANES, (uint32_t)(x >> 44));
    return ((uint64_t)high << 44) + ((uint64_t)middle << 22) + low;
}

/* What warps tell each other: one barrier an exchange, and two sets of slots in turn, so that
 * nobody overwrites what another warp still reads. */
#define SAMPLE_SLOTS 5
template <int WARPS> struct sample_team {
    uint64_t (*slots)[SAMPLE_SLOTS][WARPS]; /* [2], shared */
    int warp, lane, turn;

    /* Every lane has the same x of its warp; lane w gets warp w's, lanes beyond get `none`. */
    __device__ __forceinline__ void tell(const uint64_t *x, int count) {
        if (lane == 0)
            for (int i = 0; i < count; i++)
                slots[turn][i][warp] = x[i];
    }
    __device__ __forceinline__ uint64_t told(int i, uint64_t none) {
        return lane < WARPS ? slots[turn][i][lane] : none;
    }

    /* x[i] <- the block's sum of it; before: the sum of x[0] over the warps before this one. */
    template <int COUNT>
    __device__ __forceinline__ void sums(uint64_t (&x)[COUNT], uint64_t *before) {
#pragma unroll
        for (int i = 0; i < COUNT; i++)
            x[i] = sample_lanes_sum(x[i]);
        *before = 0;
        if (WARPS == 1) return;
        tell(x, COUNT);
        __syncthreads();
        *before = sample_warps_sum(lane < warp ? told(0, 0) : 0);
#pragma unroll
        for (int i = 0; i < COUNT; i++)
            x[i] = sample_warps_sum(told(i, 0));
        turn ^= 1;
    }
    __device__ __forceinline__ int lowest(int x) {
        x = __reduce_min_sync(SAMPLE_LANES, x);
        if (WARPS > 1) {
            const uint64_t mine = (uint64_t)(uint32_t)x;
            tell(&mine, 1);
            __syncthreads();
            x = __reduce_min_sync(SAMPLE_LANES, (int)(uint32_t)told(0, (uint32_t)SAMPLE_UNCUT));
            turn ^= 1;
        }
        return x;
    }
};

/* What is known of a row after one look at all its symbols. */
struct sample_survey {
    uint32_t top, legal_top, all_top; /* largest keys: of candidates, legal symbols, all symbols */
    int faulty;                       /* the lowest symbol that is not a number */
    uint32_t candidates;
};

template <int WARPS>
static __device__ __forceinline__ void sample_gather(sample_survey *s, sample_team<WARPS> *team) {
    s->top = __reduce_max_sync(SAMPLE_LANES, s->top);
    s->legal_top = __reduce_max_sync(SAMPLE_LANES, s->legal_top);
    s->all_top = __reduce_max_sync(SAMPLE_LANES, s->all_top);
    s->faulty = __reduce_min_sync(SAMPLE_LANES, s->faulty);
    s->candidates = __reduce_add_sync(SAMPLE_LANES, s->candidates);
    if (WARPS == 1) return;
    const uint64_t mine[SAMPLE_SLOTS] = {s->top, s->legal_top, s->all_top,
                                         (uint64_t)(uint32_t)s->faulty, s->candidates};
    team->tell(mine, SAMPLE_SLOTS);
    __syncthreads();
    s->top = __reduce_max_sync(SAMPLE_LANES, (uint32_t)team->told(0, 0));
    s->legal_top = __reduce_max_sync(SAMPLE_LANES, (uint32_t)team->told(1, 0));
    s->all_top = __reduce_max_sync(SAMPLE_LANES, (uint32_t)team->told(2, 0));
    s->faulty = __reduce_min_sync(SAMPLE_LANES, (int)(uint32_t)team->told(3, SAMPLE_UNCUT));
    s->candidates = __reduce_add_sync(SAMPLE_LANES, (uint32_t)team->told(4, 0));
    team->turn ^= 1;
}

/* ---- the row ---- */

/* What memory holds of a symbol; masks as the word whose bit `lane` is the symbol's. */
struct sample_item {
    float c, u;
    uint32_t legal, seen;
};

template <int WARPS, int ITEMS> struct sample_row {
    static const int KEPT = ITEMS > 0 ? ITEMS : 1;
    /* Rounds that are full in any case: up to 64 symbols have a kernel of their own. */
    static const int FULL = WARPS == 1 && ITEMS > 2 ? 2 : 0;
    sample_params p;
    sample_team<WARPS> team;
    const float *logits, *unconditional;
    const uint32_t *legal, *seen; /* the row's words, or NULL */
    int symbols, rounds, first;   /* first: this lane's symbol in round 0 */
    bool guiding;                 /* unconditional logits count */
    float top;                    /* the largest candidate */

    /* ITEMS > 0: of each round, the guided logit, the candidate's key (0: none) and weight. */
    float z[KEPT];
    uint32_t key[KEPT];
    uint64_t weight[KEPT];
    /* ITEMS = 0: who is left: keys above the cut, and at it the symbols below cut_symbol. */
    uint32_t cut[2];
    int cut_symbol[2];
    float least; /* weights below have left */

    /* p, logits, unconditional, legal, seen and symbols are set; slots is shared memory. */
    __device__ __forceinline__ void begin(uint64_t (*slots)[SAMPLE_SLOTS][WARPS]) {
        team.slots = slots;
        team.warp = (int)threadIdx.x / 32;
        team.lane = (int)threadIdx.x % 32;
        team.turn = 0;
        guiding = unconditional && p.guidance != 1.0f;
        rounds = ITEMS > 0 ? ITEMS : ((symbols + 31) / 32 + WARPS - 1) / WARPS;
        first = team.warp * rounds * 32 + team.lane;
        cut[0] = cut[1] = 0;
        cut_symbol[0] = cut_symbol[1] = SAMPLE_UNCUT;
    }

    /* Loads depend on nothing that was loaded, not even on the parameters, so those of all rounds
     * are on their way at once. */
    __device__ __forceinline__ sample_item load(int i) const {
        const int v = first + i * 32;
        const bool there = i < FULL || v < symbols;
        sample_item item;
        item.c = there ? logits[v] : -INFINITY;
        item.u = there && unconditional ? unconditional[v] : 0.0f;
        item.legal = there ? legal ? legal[v >> 5] : SAMPLE_LANES : 0;
        item.seen = there && seen ? seen[v >> 5] : 0;
        return item;
    }
    /* Guided logit; -infinity beyond the symbols. */
    __device__ __forceinline__ float guided(const sample_item &item, bool *fault) const {
        float g = item.c;
        *fault = false;
        if (guiding) {
            /* Excluded by the model itself stays so, whatever the other prompt says. */
            if (g != -INFINITY) g = __fadd_rn(item.u, __fmul_rn(p.guidance, __fsub_rn(g, item.u)));
            *fault = item.u != item.u;
        }
        *fault = *fault || g != g || g == INFINITY;
        return g;
    }
    /* The key under the repetition penalty; 0 for a symbol that is no candidate. */
    __device__ __forceinline__ uint32_t candidate(const sample_item &item, float g) const {
        if (g == -INFINITY || !(item.legal >> team.lane & 1u)) return 0;
        if (p.repetition_penalty != 1.0f && (item.seen >> team.lane & 1u))
            g = g > 0.0f ? __fdiv_rn(g, p.repetition_penalty) : __fmul_rn(g, p.repetition_penalty);
        return sample_key(g);
    }
    __device__ __forceinline__ float weigh(uint32_t k) const {
        return sample_weight(__fdiv_rn(__fsub_rn(sample_unkey(k), top), p.temperature));
    }

    /* Key and weight of round i as they are now; weights only where they are wanted. */
    template <bool WEIGHTS>
    __device__ __forceinline__ void look(int i, uint32_t *k, uint64_t *w) const {
        if (ITEMS > 0) {
            *k = key[i];
            *w = weight[i];
            return;
        }
        *k = 0;
        *w = 0;
        const int v = first + i * 32;
        const sample_item item = load(i);
        bool fault;
        const uint32_t at = candidate(item, guided(item, &fault));
        if (at == 0) return;
        for (int c = 0; c < 2; c++)
            if (at < cut[c] || (at == cut[c] && v >= cut_symbol[c])) return;
        if (WEIGHTS || least > 0.0f) {
            const float x = weigh(at);
            if (x < least) return;
            *w = sample_fixed(x);
        }
        *k = at;
    }

    /* The fewest of the largest candidates (ties: lower symbol first) whose weights, or number,
     * reach target stay, the others leave. `number` candidates of `total` are there. A descent
     * through the bits of the key: key `low` and those above reach the target, `high_sum` of
     * `high_number` candidates above it do not. It ends early, where they differ by one candidate
     * or the target is met exactly. stage: 0 first, then 1. */
    template <bool WEIGHTS>
    __device__ __forceinline__ void select(uint64_t target, uint64_t number, uint64_t total,
                                           int stage) {
        uint32_t low = 0;
        uint64_t low_sum = total, low_number = number, high_sum = 0, high_number = 0;
        bool tied = true;
        for (int bit = 31; tied && bit >= 0; bit--) {
            const uint32_t middle = low | 1u << bit;
            uint64_t found[WEIGHTS ? 2 : 1] = {0}, before; /* number, sum of weights */
#pragma unroll
            for (int i = 0; i < (ITEMS > 0 ? ITEMS : rounds); i++) {
                uint32_t k;
                uint64_t w;
                look<WEIGHTS>(i, &k, &w);
                found[0] += k >= middle;
                if (WEIGHTS) found[WEIGHTS] += k >= middle ? w : 0;
            }
            team.sums(found, &before);
            const uint64_t sum = found[WEIGHTS];
            if (sum >= target) {
                low = middle;
                low_sum = sum;
                low_number = found[0];
            } else {
                high_sum = sum;
                high_number = found[0];
            }
            tied = low_number - high_number > 1 && low_sum != target;
        }
        const int end = tied ? tie_end<WEIGHTS>(low, target - high_sum) : SAMPLE_UNCUT;
        cut[stage] = low;
        cut_symbol[stage] = end;
        if (ITEMS > 0) {
#pragma unroll
            for (int i = 0; i < ITEMS; i++)
                if (key[i] < low || (key[i] == low && first + i * 32 >= end)) drop(i);
        }
    }
    __device__ __forceinline__ void drop(int i) {
        key[i] = 0;
        weight[i] = 0;
    }

    /* Of the candidates with the very key, the first symbol that is not needed to reach rest. */
    template <bool WEIGHTS>
    __device__ __forceinline__ int tie_end(uint32_t tied_key, uint64_t rest) {
        uint64_t ties[1] = {0}, rank;
#pragma unroll
        for (int i = 0; i < (ITEMS > 0 ? ITEMS : rounds); i++) {
            uint32_t k;
            uint64_t w;
            look<false>(i, &k, &w);
            ties[0] += k == tied_key;
        }
        team.sums(ties, &rank);
        int end = SAMPLE_UNCUT;
#pragma unroll
        for (int i = 0; i < (ITEMS > 0 ? ITEMS : rounds); i++) {
            uint32_t k;
            uint64_t w;
            look<WEIGHTS>(i, &k, &w);
            const uint32_t same = __ballot_sync(SAMPLE_LANES, k == tied_key);
            const uint64_t mine = rank + (uint32_t)__popc(same & ((1u << team.lane) - 1u));
            if (k == tied_key && mine * (WEIGHTS ? w : 1) >= rest) end = min(end, first + i * 32);
            rank += (uint32_t)__popc(same);
        }
        return team.lowest(end);
    }
};

#endif
