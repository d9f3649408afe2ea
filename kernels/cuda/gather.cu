/* gather: rows by index, one warp a row; and addition. */
#include "kernels/cuda/complaint.h"
#include "kernels/cuda/flat.cuh"

/* The index of this warp's row; beyond the end it is -1, after one lane has complained. */
ROW_INLINE int64_t checked_index(const motet_index_job &j, int64_t row, motet_complaint_code code) {
    const int64_t index = j.index[row];
    if (index < j.limit) return index;
    if (row_lane() == 0) motet_complain(j.complaints, code, row, index);
    return -1;
}

template <int OUT, int X>
ROW_INLINE void gather_row(const motet_index_job &j, int64_t row, int64_t index) {
    constexpr int C = row_chunk(OUT, X);
    for (int64_t d = row_lane() * C; d < j.width; d += 32 * C) {
        float v[C] = {};
        if (index >= 0) row_load<X>(v, j.x.data, index * j.width + d);
        row_store<OUT>(j.out.data, row * j.width + d, v);
    }
}

template <int OUT, int X>
ROW_INLINE void scatter_row(const motet_index_job &j, int64_t row, int64_t index) {
    constexpr int C = row_chunk(OUT, X);
    for (int64_t d = row_lane() * C; d < j.width; d += 32 * C) {
        float sum[C], v[C];
        row_load<OUT>(sum, j.out.data, index * j.width + d);
        row_load<X>(v, j.x.data, row * j.width + d);
#pragma unroll
        for (int i = 0; i < C; i++)
            sum[i] += v[i];
        row_store<OUT>(j.out.data, index * j.width + d, sum);
    }
}

ROW_INLINE float plus(float a, float b) {
    return a + b;
}
template <int OUT, int X> ROW_INLINE void add(motet_flat_job j) {
    j.a.type = OUT; /* a is out */
    flat_zip<OUT, X>(j, plus);
}

ROW_KERNEL motet_gather_rows(const motet_index_job j) {
    const int64_t row = (int64_t)blockIdx.x * ROW_WARPS + row_warp();
    if (row >= j.rows) return;
    const int64_t index = checked_index(j, row, MOTET_COMPLAINT_GATHER_ROW);
    if (j.vector) {
        ROW_DISPATCH(gather_row, j.out.type, j.x.type, j, row, index);
        return;
    }
#pragma unroll 1
    for (int64_t d = row_lane(); d < j.width; d += 32)
        row_set(j.out, row * j.width + d, index < 0 ? 0 : row_get(j.x, index * j.width + d));
}

ROW_KERNEL motet_scatter_add_rows(const motet_index_job j) {
    const int64_t row = (int64_t)blockIdx.x * ROW_WARPS + row_warp();
    if (row >= j.rows) return;
    const int64_t index = checked_index(j, row, MOTET_COMPLAINT_SCATTER_ROW);
    if (index < 0) return;
    if (j.vector) {
        ROW_DISPATCH(scatter_row, j.out.type, j.x.type, j, row, index);
        return;
    }
#pragma unroll 1
    for (int64_t d = row_lane(); d < j.width; d += 32) {
        const size_t at = index * j.width + d;
        row_set(j.out, at, row_get(j.out, at) + row_get(j.x, row * j.width + d));
    }
}

/* a is out. */
ROW_KERNEL motet_add_flat(const motet_flat_job j) {
    ROW_DISPATCH(add, j.out.type, j.b.type, j);
}
