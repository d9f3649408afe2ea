/* embed, backward: dtable[id,:] += the rows of dout whose bags hold id, in the order of rows,
 * whatever runs when. Six launches:
 *
 *   count    each warp counts the ids of its chunk of the batch              counts[chunk][id]
 *   offsets  for each id, the entries in the chunks before each, and in all
 *   starts   running sum of these over the ids: a list sorted by id, then by row
 *   place    each warp puts its chunk's entries where they belong in the list
 *   sum      each warp sums a tile of the list. An id that lies in one tile is done then; else
 *            its sum in the tile goes to `partial`
 *   spread   sums of ids that spread over tiles, in the order of tiles
 *
 * So a frequent id keeps many warps busy, and every row of dtable has one writer.
 */
#include "kernels/cuda/complaint.h"
#include "kernels/cuda/row.cuh"

/* The lanes that hold the same id as this one. */
ROW_INLINE uint32_t peers_of(int id) {
    uint32_t peers = 0;
#pragma unroll
    for (int lane = 0; lane < 32; lane++)
        peers |= (uint32_t)(__shfl_sync(0xffffffffu, id, lane) == id) << lane;
    return peers;
}

/* Entry i of the batch; -1 for what is absent, behind the end, or wrong. */
ROW_INLINE int load_id(const motet_sort_job &j, int64_t i) {
    const int id = i < j.count ? j.ids[i] : -1;
    return id < 0 || id >= j.limit ? -1 : id;
}

ROW_INLINE int64_t global_warp() {
    return (int64_t)blockIdx.x * ROW_WARPS + row_warp();
}

ROW_KERNEL motet_embed_count(const motet_sort_job j) {
    const int64_t chunk = global_warp();
    if (chunk >= j.chunks) return;
    int32_t *counts = j.counts + chunk * j.limit;
    for (int64_t id = row_lane(); id < j.limit; id += 32)
        counts[id] = 0;
    __syncwarp();
    for (int at = 0; at < SORT_CHUNK; at += 32) {
        const int64_t i = chunk * SORT_CHUNK + at + row_lane();
        const int id = load_id(j, i);
        if (i < j.count && j.ids[i] >= j.limit)
            motet_complain(j.complaints, MOTET_COMPLAINT_EMBED_ID, j.first_row + i / j.bag,
                           j.ids[i]);
        const uint32_t peers = peers_of(id);
        if (id >= 0 && row_lane() == __ffs(peers) - 1) counts[id] += __popc(peers);
        __syncwarp();
    }
}

/* One thread an id. starts[id + 1] <- its entries in all. */
ROW_KERNEL motet_embed_offsets(const motet_sort_job j) {
    const int64_t id = (int64_t)blockIdx.x * ROW_THREADS + threadIdx.x;
    if (id >= j.limit) return;
    int32_t before = 0;
#pragma unroll 4
    for (int64_t chunk = 0; chunk < j.chunks; chunk++) {
        const int32_t count = j.counts[chunk * j.limit + id];
        j.counts[chunk * j.limit + id] = before;
        before += count;
    }
    j.starts[id + 1] = before;
}

/* One block: starts <- running sums, from 0. */
ROW_KERNEL motet_embed_starts(const motet_sort_job j) {
    __shared__ int32_t warps[ROW_WARPS];
    int32_t carry = 0;
    if (threadIdx.x == 0) j.starts[0] = 0;
#pragma unroll 1
    for (int64_t tile = 0; tile < j.limit; tile += ROW_THREADS) {
        const int64_t id = tile + threadIdx.x;
        int32_t sum = id < j.limit ? j.starts[id + 1] : 0;
#pragma unroll
        for (int step = 1; step < 32; step *= 2) {
            const int32_t before = __shfl_up_sync(0xffffffffu, sum, step);
            if (row_lane() >= step) sum += before;
        }
        if (row_lane() == 31) warps[row_warp()] = sum;
        __syncthreads();
        int32_t all = 0;
#pragma unroll
        for (int warp = 0; warp < ROW_WARPS; warp++) {
            if (warp == row_warp()) sum += all;
            all += warps[warp];
        }
        if (id < j.limit) j.starts[id + 1] = carry + sum;
        carry += all;
        __syncthreads(); /* warps were read */
    }
}

ROW_KERNEL motet_embed_place(const motet_sort_job j) {
    const int64_t chunk = global_warp();
    if (chunk >= j.chunks) return;
    int32_t *counts = j.counts + chunk * j.limit;
    for (int at = 0; at < SORT_CHUNK; at += 32) {
        const int64_t i = chunk * SORT_CHUNK + at + row_lane();
        const int id = load_id(j, i);
        const uint32_t peers = peers_of(id), below = peers & ((1u << row_lane()) - 1);
        int32_t next = 0;
        if (id >= 0) {
            next = counts[id];
            const int32_t to = j.starts[id] + next + __popc(below);
            j.sorted_row[to] = (int32_t)(i / j.bag);
            j.sorted_id[to] = id;
        }
        __syncwarp();
        if (id >= 0 && below == 0) counts[id] = next + __popc(peers);
        __syncwarp();
    }
}

/* Where the sum of an id in a tile of the list goes. */
struct goal {
    float *row;
    bool adds;
};

/* All of the id is here: to its row of dtable. Else to the tile's partial row 0 (it began before)
 * or 1 (it goes on behind). */
ROW_INLINE goal goal_of(const motet_sort_job &j, int id, int64_t tile) {
    const int64_t first = tile * SORT_TILE;
    const bool began = j.starts[id] >= first, ends = j.starts[id + 1] <= first + SORT_TILE;
    if (began && ends) return {j.dtable + id * j.width, true};
    return {j.partial + (2 * tile + began) * j.width, false};
}

template <int DOUT> ROW_INLINE void sum_vector(const motet_sort_job &j, int64_t tile, int count) {
    constexpr int C = row_chunk(DOUT, DOUT), CHUNKS = ROW_SPAN / (32 * C), AHEAD = 4;
    const int64_t span = (int64_t)blockIdx.y * ROW_SPAN + row_lane() * C;
    const int64_t entry = tile * SORT_TILE + row_lane();
    const int rows = row_lane() < count ? j.sorted_row[entry] : 0;
    const int ids = row_lane() < count ? j.sorted_id[entry] : -1;
    const int next = __shfl_down_sync(0xffffffffu, ids, 1);
    const bool last = row_lane() + 1 == count || (row_lane() < count && next != ids);
    const uint32_t ends = __ballot_sync(0xffffffffu, last); /* where an id's entries end */
    float sum[CHUNKS][C] = {};
    for (int at = 0; at < count; at += AHEAD) {
        float v[AHEAD][CHUNKS][C] = {};
#pragma unroll
        for (int a = 0; a < AHEAD; a++) {
            const int64_t row = __shfl_sync(0xffffffffu, rows, at + a);
#pragma unroll
            for (int c = 0; c < CHUNKS; c++)
                if (at + a < count && span + c * 32 * C < j.width)
                    row_load<DOUT>(v[a][c], j.dout.data, row * j.width + span + c * 32 * C);
        }
#pragma unroll
        for (int a = 0; a < AHEAD; a++) {
#pragma unroll
            for (int c = 0; c < CHUNKS; c++)
#pragma unroll
                for (int i = 0; i < C; i++)
                    sum[c][i] += v[a][c][i];
            const int id = __shfl_sync(0xffffffffu, ids, at + a);
            if (!(ends >> (at + a) & 1)) continue;
            const goal to = goal_of(j, id, tile);
#pragma unroll
            for (int c = 0; c < CHUNKS; c++) {
                if (span + c * 32 * C >= j.width) continue;
#pragma unroll
                for (int i = 0; i < C; i += 4) {
                    float four[4] = {};
                    if (to.adds) row_load<ROW_F32>(four, to.row, span + c * 32 * C + i);
#pragma unroll
                    for (int e = 0; e < 4; e++)
                        four[e] += sum[c][i + e];
                    row_store<ROW_F32>(to.row, span + c * 32 * C + i, four);
                }
#pragma unroll
                for (int i = 0; i < C; i++)
                    sum[c][i] = 0;
            }
        }
    }
}

ROW_INLINE void sum_single(const motet_sort_job &j, int64_t tile, int count) {
    const int64_t end = min(j.width, (int64_t)(blockIdx.y + 1) * ROW_SPAN);
#pragma unroll 1
    for (int64_t d = (int64_t)blockIdx.y * ROW_SPAN + row_lane(); d < end; d += 32) {
        float sum = 0;
#pragma unroll 1
        for (int64_t at = tile * SORT_TILE; at < tile * SORT_TILE + count; at++) {
            const int id = j.sorted_id[at];
            sum += row_get(j.dout, j.sorted_row[at] * j.width + d);
            if (at + 1 < tile * SORT_TILE + count && j.sorted_id[at + 1] == id) continue;
            const goal to = goal_of(j, id, tile);
            to.row[d] = (to.adds ? to.row[d] : 0) + sum;
            sum = 0;
        }
    }
}

/* blockIdx.y: which span of columns. */
ROW_KERNEL motet_embed_sum(const motet_sort_job j) {
    const int64_t tile = global_warp();
    const int count = (int)min((int64_t)SORT_TILE, j.starts[j.limit] - tile * SORT_TILE);
    if (count <= 0) return;
    if (!j.vector)
        sum_single(j, tile, count);
    else if (j.dout.type == ROW_F32)
        sum_vector<ROW_F32>(j, tile, count);
    else
        sum_vector<ROW_BF16>(j, tile, count);
}

/* One warp an id, a column a lane at a time. */
ROW_KERNEL motet_embed_spread(const motet_sort_job j) {
    const int64_t id = global_warp();
    if (id >= j.limit) return;
    const int64_t start = j.starts[id], end = j.starts[id + 1];
    const int64_t first = start / SORT_TILE, last = (end - 1) / SORT_TILE;
    if (start == end || first == last) return;
    for (int64_t d = (int64_t)blockIdx.y * 32 + row_lane(); d < j.width; d += 32 * gridDim.y) {
        float sum = j.partial[(2 * first + 1) * j.width + d];
#pragma unroll 4
        for (int64_t tile = first + 1; tile <= last; tile++)
            sum += j.partial[2 * tile * j.width + d];
        j.dtable[id * j.width + d] += sum;
    }
}
