/* field_draw on the device: kernels/field_draw.h in one launch. The blocks, all of them resident at
 * once, share the rows of every matrix, a warp a row, and meet three times a field: behind the
 * hidden layer, its output, the logits. What is cheap (the state, norms, the draw itself) each of
 * them does for itself, so nobody waits to be told a symbol. Weights are read once a field, 16
 * bytes a lane; activations are in shared memory. Sums are per lane in order, then over the lanes
 * as a tree: the same for every schedule. */
#include "kernels/cuda/field_draw.h"
#include "kernels/cuda/gemm.cuh"
#include "kernels/cuda/sample_draw.cuh"

/* Layout of motet_field_params, which field_draw_launch.c checks. */
struct field_params {
    sample_params sample;
    int32_t tries, pad;
};

/* ---- all blocks ---- */

/* Nobody goes on before everybody has come; then everybody sees what was written before. turn: how
 * often the blocks have met. The last one to come resets the count. */
ROW_INLINE void meet(uint32_t *barrier, uint32_t *turn) {
    __syncthreads();
    if (threadIdx.x == 0 && gridDim.x > 1) {
        uint32_t before, now;
        asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;"
                     : "=r"(before)
                     : "l"(barrier)
                     : "memory");
        if (before == gridDim.x - 1) {
            asm volatile("st.relaxed.gpu.global.u32 [%0], 0;" ::"l"(barrier) : "memory");
            asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(barrier + 1), "r"(*turn + 1)
                         : "memory");
        } else {
            do
                asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
                             : "=r"(now)
                             : "l"(barrier + 1)
                             : "memory");
            while (now == *turn);
        }
    }
    *turn += 1;
    __syncthreads();
}

/* ---- activations in shared memory ---- */

/* A row of activations as the weights that it meets are read: a lane's chunk of 16 bytes is 1, 2 or
 * 4 fours of elements, and fours of one number lie side by side, so lanes that read meet no bank
 * twice. Planes begin 16 or 8 banks apart, so neither do lanes that write neighbours. */
struct planes {
    int count, pitch; /* of fours in a chunk; in fours, from one plane to the next */

    __device__ __forceinline__ planes(const motet_field_weight &w, int k) {
        count = !w.chunked || w.type == ROW_F32 ? 1 : w.type == ROW_BF16 ? 2 : 4;
        pitch = k / (4 * count);
        pitch += (8 / count - pitch) & 7;
    }
    __device__ __forceinline__ int place(int i) const {
        const int four = i >> 2;
        return count == 1 ? i : (((four & (count - 1)) * pitch + four / count) << 2) + (i & 3);
    }
};

template <int ROWS> struct field_block {
    float *u;   /* [ROWS][stride]: the residual */
    float *act; /* [ROWS][stride]: what meets the next matrix */
    float *sums;
    int stride;      /* a multiple of 4 */
    int warp, warps; /* of this one in the grid, in all */
    uint32_t turn;
};

/* ---- products ---- */

/* Elements 4 p .. 4 p + 3 of a chunk. */
template <int TYPE> ROW_INLINE void expand_four(float (&w)[4], const uint4 &chunk, int p) {
    const uint32_t words[4] = {chunk.x, chunk.y, chunk.z, chunk.w};
    if (TYPE == ROW_F32) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            w[i] = __uint_as_float(words[i]);
    } else if (TYPE == ROW_BF16) {
        w[0] = row_low(words[2 * p]), w[1] = row_high(words[2 * p]);
        w[2] = row_low(words[2 * p + 1]), w[3] = row_high(words[2 * p + 1]);
    } else {
        const uint32_t codes = words[p] ^ 0x80808080u;
        w[0] = float_code<0>(codes), w[1] = float_code<1>(codes);
        w[2] = float_code<2>(codes), w[3] = float_code<3>(codes);
    }
}

/* A lane's first chunk of each of NR rows: asked for before it is needed. */
template <int NR> struct first_chunks {
    uint4 of[NR];

    __device__ __forceinline__ void fetch(const motet_field_weight &w, const int (&at)[NR], int k) {
        const int bytes = w.type == ROW_F32 ? 4 : w.type == ROW_BF16 ? 2 : 1;
        if (w.chunked && row_lane() * (16 / bytes) < k)
#pragma unroll
            for (int i = 0; i < NR; i++)
                of[i] = *(const uint4 *)((const char *)w.data + (size_t)at[i] * k * bytes +
                                         row_lane() * 16);
    }
};

/* sums[i][r] <- this lane's part of row at[i] of the matrix times activations r. */
template <int TYPE, int ROWS, int NR>
ROW_INLINE void dot_lanes(float (&sums)[NR][ROWS], const motet_field_weight &w, const int (&at)[NR],
                          int k, const field_block<ROWS> &block, const first_chunks<NR> &first) {
    constexpr int bytes = TYPE == ROW_F32 ? 4 : TYPE == ROW_BF16 ? 2 : 1, per_chunk = 16 / bytes;
    const char *const data = (const char *)w.data;
    if (w.chunked) {
        const int chunks = k / per_chunk, pitch = planes(w, k).pitch;
        first_chunks<NR> chunk = first;
#pragma unroll 1
        for (int c = row_lane(); c < chunks; c += 32) {
            const first_chunks<NR> now = chunk;
            if (c + 32 < chunks)
#pragma unroll
                for (int i = 0; i < NR; i++)
                    chunk.of[i] =
                        *(const uint4 *)(data + (size_t)at[i] * k * bytes + (size_t)(c + 32) * 16);
#pragma unroll
            for (int p = 0; p < per_chunk / 4; p++) {
                float weights[NR][4];
#pragma unroll
                for (int i = 0; i < NR; i++)
                    expand_four<TYPE>(weights[i], now.of[i], p);
#pragma unroll
                for (int r = 0; r < ROWS; r++) {
                    const float4 x =
                        *(const float4 *)(block.act + r * block.stride + (p * pitch + c) * 4);
#pragma unroll
                    for (int i = 0; i < NR; i++) {
                        sums[i][r] = fmaf(x.x, weights[i][0], sums[i][r]);
                        sums[i][r] = fmaf(x.y, weights[i][1], sums[i][r]);
                        sums[i][r] = fmaf(x.z, weights[i][2], sums[i][r]);
                        sums[i][r] = fmaf(x.w, weights[i][3], sums[i][r]);
                    }
                }
            }
        }
        return;
    }
#pragma unroll 1
    for (int c = row_lane(); c < k; c += 32)
#pragma unroll
        for (int i = 0; i < NR; i++) {
            const size_t from = (size_t)at[i] * k + c;
            const float weight =
                TYPE == ROW_I8 ? (float)((const int8_t *)data)[from] : load_float(data, from, TYPE);
#pragma unroll
            for (int r = 0; r < ROWS; r++)
                sums[i][r] = fmaf(block.act[r * block.stride + c], weight, sums[i][r]);
        }
}

/* sums[i][r] <- row at[i] of the matrix [n,k] times activations r, in every lane. */
template <int ROWS, int NR>
ROW_INLINE void dot(float (&sums)[NR][ROWS], const motet_field_weight &w, const int (&at)[NR],
                    int k, const field_block<ROWS> &block, const first_chunks<NR> &first) {
#pragma unroll
    for (int i = 0; i < NR; i++)
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            sums[i][r] = 0;
    if (w.type == ROW_F32)
        dot_lanes<ROW_F32>(sums, w, at, k, block, first);
    else if (w.type == ROW_BF16)
        dot_lanes<ROW_BF16>(sums, w, at, k, block, first);
    else
        dot_lanes<ROW_I8>(sums, w, at, k, block, first);
#pragma unroll
    for (int i = 0; i < NR; i++) {
        const float scale = w.scale ? w.scale[at[i]] : 1;
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            sums[i][r] = row_warp_sum(sums[i][r]) * scale;
    }
}

/* ---- a network ---- */

/* block.u <- the state and what the run's earlier fields add to it. */
template <int ROWS>
ROW_INLINE void load_state(const field_block<ROWS> &block, const motet_field_job &j, int field,
                           const int32_t *symbols, int earlier) {
    const motet_field_weight &v = j.values;
#pragma unroll 1
    for (int d = threadIdx.x; d < j.width; d += FIELD_THREADS) {
        float sum = 0;
#pragma unroll 1
        for (int i = 0; i < earlier; i++) {
            const int row = j.spec.rules[field - earlier + i].offset + symbols[i];
            const size_t at = (size_t)row * j.width + d;
            sum += v.type == ROW_I8 ? (float)((const int8_t *)v.data)[at] * v.scale[row]
                                    : load_float(v.data, at, v.type);
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            block.u[r * block.stride + d] = j.states[r * j.width + d] + sum;
    }
}

/* block.act <- rmsnorm of block.u, for a matrix that takes it. */
template <int ROWS>
ROW_INLINE void norm(const field_block<ROWS> &block, const motet_field_job &j,
                     const motet_field_weight &weight, const motet_field_weight &next) {
    const planes to(next, j.width);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        const float *const u = block.u + r * block.stride;
        float sum = 0;
#pragma unroll 1
        for (int d = threadIdx.x; d < j.width; d += FIELD_THREADS)
            sum = fmaf(u[d], u[d], sum);
        const float rstd =
            1.0f / sqrtf(row_block_sum(sum, block.sums) / (float)j.width + j.spec.eps);
#pragma unroll 1
        for (int d = threadIdx.x; d < j.width; d += FIELD_THREADS)
            block.act[r * block.stride + to.place(d)] =
                u[d] * rstd * load_float(weight.data, d, weight.type);
    }
    __syncthreads();
}

/* j.logits <- those of a field. */
template <int ROWS>
ROW_INLINE void run_network(field_block<ROWS> *block, const motet_field_job &j, int field,
                            const int32_t *symbols, int earlier) {
    const motet_field_weights_job &n = j.networks[field];
    const int lane = row_lane();
    first_chunks<2> pair;
    const int first_pair[2] = {block->warp, j.inner + block->warp};
    if (block->warp < j.inner) pair.fetch(n.gate_up, first_pair, j.width);
    load_state(*block, j, field, symbols, earlier);
    norm(*block, j, n.norm, n.gate_up); /* each thread reads what it wrote itself until the sums */
#pragma unroll 1
    for (int unit = block->warp; unit < j.inner; unit += block->warps) {
        float sums[2][ROWS];
        const int at[2] = {unit, j.inner + unit};
        if (unit != block->warp) pair.fetch(n.gate_up, at, j.width);
        dot(sums, n.gate_up, at, j.width, *block, pair);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            const float gate = sums[0][r];
            if (lane == r)
                j.hidden[r * j.inner + unit] =
                    gate * row_reciprocal(1.0f + expf(-gate)) * sums[1][r];
        }
    }
    first_chunks<1> row;
    const int first_row[1] = {block->warp};
    if (block->warp < j.width) row.fetch(n.down, first_row, j.inner);
    meet(j.barrier, &block->turn);
    const planes to(n.down, j.inner);
#pragma unroll 1
    for (int i = threadIdx.x; i < j.inner; i += FIELD_THREADS)
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            block->act[r * block->stride + to.place(i)] = j.hidden[r * j.inner + i];
    __syncthreads();
#pragma unroll 1
    for (int d = block->warp; d < j.width; d += block->warps) {
        float sums[1][ROWS];
        const int at[1] = {d};
        if (d != block->warp) row.fetch(n.down, at, j.inner);
        dot(sums, n.down, at, j.inner, *block, row);
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            if (lane == r) j.y[r * j.width + d] = block->u[r * block->stride + d] + sums[0][r];
    }
    const int count = j.spec.rules[field].symbols;
    if (block->warp < count) row.fetch(n.out, first_row, j.width);
    meet(j.barrier, &block->turn);
#pragma unroll 1
    for (int d = threadIdx.x; d < j.width; d += FIELD_THREADS)
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            block->u[r * block->stride + d] = j.y[r * j.width + d];
    norm(*block, j, n.out_norm, n.out);
#pragma unroll 1
    for (int v = block->warp; v < count; v += block->warps) {
        float sums[1][ROWS];
        const int at[1] = {v};
        if (v != block->warp) row.fetch(n.out, at, j.width);
        dot(sums, n.out, at, j.width, *block, row);
        const float bias = load_float(n.bias.data, v, n.bias.type);
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            if (lane == r) j.logits[r * count + v] = sums[0][r] + bias;
    }
    meet(j.barrier, &block->turn);
}

/* ---- the draw ---- */

/* A warp draws from j.logits. ITEMS * 32 symbols at most; 8 items: more than 64. */
template <int ROWS, int ITEMS>
ROW_INLINE bool draw_warp(sample_result *drawn, const motet_field_job &j, int symbols,
                          const int32_t *mask, int draws) {
    __shared__ uint64_t slots[2][SAMPLE_SLOTS][1];
    sample_row<1, ITEMS> row;
    row.p = ((const field_params *)j.params_copy)->sample;
    row.p.counter += (uint64_t)draws;
    row.logits = j.logits;
    row.unconditional = ROWS == 2 ? j.logits + symbols : nullptr;
    row.legal = (const uint32_t *)mask;
    row.seen = nullptr;
    row.symbols = symbols;
    row.begin(slots);
    return sample_draw(drawn, &row, blockIdx.x == 0 ? j.complaints : nullptr, 0);
}

/* The block's warp 0 draws; false if that cannot be. *symbol is shared, too. */
template <int ROWS>
ROW_INLINE bool draw_symbol(int32_t *symbol, sample_result *drawn, const motet_field_job &j,
                            int symbols, const int32_t *mask, int draws) {
    __shared__ int drew;
    if (row_warp() == 0) {
        const bool fine = symbols <= 64 ? draw_warp<ROWS, 2>(drawn, j, symbols, mask, draws)
                                        : draw_warp<ROWS, 8>(drawn, j, symbols, mask, draws);
        __syncwarp();
        if (row_lane() == 0) {
            drew = fine;
            if (fine) *symbol = drawn->symbol;
        }
    }
    __syncthreads();
    return drew;
}

template <int ROWS> ROW_INLINE void field_draw(const motet_field_job &j, float4 *memory) {
    __shared__ float sums[FIELD_WARPS];
    __shared__ sample_result drawn;
    __shared__ int32_t symbols[MOTET_FIELD_MOST_DRAWN];
    field_block<ROWS> block;
    block.stride = FIELD_STRIDE(max(j.width, j.inner));
    block.u = (float *)memory;
    block.act = block.u + ROWS * block.stride;
    block.sums = sums;
    block.warp = blockIdx.x * FIELD_WARPS + row_warp();
    block.warps = gridDim.x * FIELD_WARPS;
    block.turn = *(volatile uint32_t *)(j.barrier + 1); /* stays until this block has come */
    const bool first = blockIdx.x == 0, writes = first && threadIdx.x == 0;
    /* The host's memory is far: one block fetches what all read once they have met. */
    if (first) {
#pragma unroll 1
        for (int i = threadIdx.x; i < j.spec.words; i += FIELD_THREADS)
            j.rules_copy[i] = j.rules[i];
        if (threadIdx.x < sizeof(field_params) / sizeof(int32_t))
            ((int32_t *)j.params_copy)[threadIdx.x] = ((const int32_t *)j.params)[threadIdx.x];
    }
    if (writes) j.result->count = 0;
    const field_params *const params = (const field_params *)j.params_copy;
    int draws = 0, tries = 0, count;
    bool accepted;
    do {
        int state = 0, run = 0;
        accepted = true;
        count = 1;
        tries++;
#pragma unroll 1
        for (int place = 0; accepted && place < count; place++) {
            const int field = place == 0 ? 0 : run + place - 1;
            const motet_field_rule &rule = j.spec.rules[field];
            const int words = (rule.symbols + 31) / 32;
            if (state >= rule.states) {
                if (writes) motet_complain(j.complaints, MOTET_COMPLAINT_FIELD_STATE, field, state);
                return;
            }
            run_network(&block, j, field, symbols + 1, max(place - 1, 0));
            const int32_t *const accepts = j.rules_copy + rule.accepted + state * words;
            const int32_t *const offers =
                tries >= params->tries ? accepts : j.rules_copy + rule.offered + state * words;
            if (!draw_symbol<ROWS>(&symbols[place], &drawn, j, rule.symbols, offers, draws)) return;
            draws++;
            const int symbol = symbols[place];
            if (writes) {
                j.result->symbols[place] = symbol;
                j.result->log_prob[place] = drawn.log_prob;
                j.result->legal_mass[place] = drawn.legal_mass;
            }
            accepted = (uint32_t)accepts[symbol >> 5] >> (symbol & 31) & 1u;
            if (place == 0) {
                run = j.spec.run_first[symbol];
                count = 1 + j.spec.run_count[symbol];
            } else {
                state = rule.next < 0
                            ? 0
                            : ((const uint8_t *)(j.rules_copy +
                                                 rule.next))[state * rule.symbols + symbol];
            }
        }
    } while (!accepted);
    if (writes) {
        j.result->tries = tries;
        j.result->draws = draws;
        j.result->count = count;
    }
}

extern "C" __global__ void __launch_bounds__(FIELD_THREADS, 1)
    motet_field_draw_1(const __grid_constant__ motet_field_job j) {
    extern __shared__ float4 memory[];
    field_draw<1>(j, memory);
}
extern "C" __global__ void __launch_bounds__(FIELD_THREADS, 1)
    motet_field_draw_2(const __grid_constant__ motet_field_job j) {
    extern __shared__ float4 memory[];
    field_draw<2>(j, memory);
}
