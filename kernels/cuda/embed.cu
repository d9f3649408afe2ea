/* embed: one warp sums a span of ROW_SPAN columns of a row's bag, in the order of the bag, four
 * rows of the table in flight. The backward pass is in embed_backward.cu. */
#include "kernels/cuda/complaint.h"
#include "kernels/cuda/row.cuh"

/* Ids k.. of a row's bag, one a lane; -1 for what is absent, beyond the bag, or wrong. */
ROW_INLINE int load_ids(const motet_index_job &j, int64_t row, int64_t k) {
    if (k + row_lane() >= j.bag) return -1;
    const int id = j.index[row * j.bag + k + row_lane()];
    if (id < j.limit) return id;
    if (blockIdx.y == 0) motet_complain(j.complaints, MOTET_COMPLAINT_EMBED_ID, row, id);
    return -1;
}

template <int OUT, int TABLE> ROW_INLINE void sum_vector(const motet_index_job &j, int64_t row) {
    constexpr int C = row_chunk(OUT, TABLE), CHUNKS = ROW_SPAN / (32 * C), AHEAD = 4;
    const int64_t first = (int64_t)blockIdx.y * ROW_SPAN + row_lane() * C;
    float sum[CHUNKS][C] = {};
    for (int64_t k = 0; k < j.bag; k += 32) {
        const int ids = load_ids(j, row, k), count = (int)min((int64_t)32, j.bag - k);
        for (int at = 0; at < count; at += AHEAD) {
            float v[AHEAD][CHUNKS][C] = {}, scale[AHEAD];
#pragma unroll
            for (int a = 0; a < AHEAD; a++) { /* lanes behind the bag's end hold -1 */
                const int id = __shfl_sync(0xffffffffu, ids, at + a);
                scale[a] = TABLE == ROW_I8 && id >= 0 ? j.scale[id] : 1;
#pragma unroll
                for (int c = 0; c < CHUNKS; c++)
                    if (id >= 0 && first + c * 32 * C < j.width)
                        row_load<TABLE>(v[a][c], j.x.data, id * j.width + first + c * 32 * C);
            }
#pragma unroll
            for (int a = 0; a < AHEAD; a++)
#pragma unroll
                for (int c = 0; c < CHUNKS; c++)
#pragma unroll
                    for (int i = 0; i < C; i++)
                        sum[c][i] += TABLE == ROW_I8 ? scale[a] * v[a][c][i] : v[a][c][i];
        }
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
        if (first + c * 32 * C < j.width)
            row_store<OUT>(j.out.data, row * j.width + first + c * 32 * C, sum[c]);
}

/* Any alignment: a lane's columns one after another. */
ROW_INLINE void sum_single(const motet_index_job &j, int64_t row) {
    const int64_t end = min(j.width, (int64_t)(blockIdx.y + 1) * ROW_SPAN);
#pragma unroll 1
    for (int64_t k = 0; k < j.bag; k += 32)
        load_ids(j, row, k); /* which complains */
#pragma unroll 1
    for (int64_t span = (int64_t)blockIdx.y * ROW_SPAN; span < end; span += 32) {
        const int64_t d = span + row_lane();
        float sum = 0;
#pragma unroll 1
        for (int64_t k = 0; k < j.bag; k++) {
            const int64_t id = j.index[row * j.bag + k];
            if (id < 0 || id >= j.limit || d >= end) continue;
            if (j.x.type == ROW_I8)
                sum += j.scale[id] * (float)((const int8_t *)j.x.data)[id * j.width + d];
            else
                sum += row_get(j.x, id * j.width + d);
        }
        if (d < end) row_set(j.out, row * j.width + d, sum);
    }
}

/* x: the table. blockIdx.y: which span of columns. */
ROW_KERNEL motet_embed_bags(const motet_index_job j) {
    const int64_t row = (int64_t)blockIdx.x * ROW_WARPS + row_warp();
    if (row >= j.rows) return;
    if (!j.vector)
        sum_single(j, row);
    else if (j.x.type != ROW_I8)
        ROW_DISPATCH(sum_vector, j.out.type, j.x.type, j, row);
    else if (j.out.type == ROW_F32)
        sum_vector<ROW_F32, ROW_I8>(j, row);
    else
        sum_vector<ROW_BF16, ROW_I8>(j, row);
}
