/* rmsnorm: one warp a row, which it holds in registers, if the row is at most ROW_HELD wide and
 * aligned; else one block a row ("wide"), element by element. dweight in two steps: a partial sum
 * for each block's rows, then these in order ("fold").
 *
 * The norm of a residual sum ("add") makes the sum on the way, and its gradient writes what it adds
 * up a second time, in the type of the branch. */
#include "kernels/cuda/row.cuh"

#define ALONE (-1) /* BRANCH: there is none */

template <int X, int OUT, int WIDTH, int BRANCH = ALONE>
ROW_INLINE void forward_rows(const motet_norm_job &j, float4 *shared) {
    constexpr int C = row_chunk(X, OUT), CHUNKS = WIDTH / (32 * C);
    row_weights<C> &weights = *(row_weights<C> *)shared;
    const int width = (int)j.width, lane = row_lane();
    weights.fill(j.weight, width);
    __syncthreads();
    const int64_t first = blockIdx.x * j.range, end = min(first + j.range, j.rows);
    for (int64_t row = first + row_warp(); row < end; row += ROW_WARPS) {
        float x[CHUNKS][C] = {}, sum = 0;
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
            if (row_has<WIDTH, C>(c, width))
                row_load<X>(x[c], j.x.data, row * width + (c * 32 + lane) * C);
        if constexpr (BRANCH != ALONE) {
            float branch[CHUNKS][C] = {};
#pragma unroll
            for (int c = 0; c < CHUNKS; c++)
                if ((c * 32 + lane) * C < width)
                    row_load<BRANCH>(branch[c], j.residual.data, row * width + (c * 32 + lane) * C);
#pragma unroll
            for (int c = 0; c < CHUNKS; c++) {
#pragma unroll
                for (int i = 0; i < C; i++)
                    x[c][i] += branch[c][i];
                if ((c * 32 + lane) * C < width)
                    row_store<ROW_F32>(j.sum, row * width + (c * 32 + lane) * C, x[c]);
            }
        }
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
#pragma unroll
            for (int i = 0; i < C; i++)
                sum += x[c][i] * x[c][i];
        const float rstd = 1.0f / sqrtf(row_warp_sum(sum) / (float)width + j.eps);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            if (!row_has<WIDTH, C>(c, width)) continue;
            float w[C], y[C];
            weights.get(w, c * 32 + lane);
#pragma unroll
            for (int i = 0; i < C; i++)
                y[i] = x[c][i] * rstd * w[i];
            row_store<OUT>(j.out.data, row * width + (c * 32 + lane) * C, y);
        }
        if (j.rstd && lane == 0) j.rstd[row] = rstd;
    }
}

template <int X, int OUT> ROW_INLINE void forward_256(const motet_norm_job &j, float4 *shared) {
    forward_rows<X, OUT, 256>(j, shared);
}
template <int X, int OUT> ROW_INLINE void forward_1024(const motet_norm_job &j, float4 *shared) {
    forward_rows<X, OUT, 1024>(j, shared);
}

/* x and sum are f32 here. */
template <int BRANCH, int OUT> ROW_INLINE void add_256(const motet_norm_job &j, float4 *shared) {
    forward_rows<ROW_F32, OUT, 256, BRANCH>(j, shared);
}
template <int BRANCH, int OUT> ROW_INLINE void add_1024(const motet_norm_job &j, float4 *shared) {
    forward_rows<ROW_F32, OUT, 1024, BRANCH>(j, shared);
}

#define WEIGHTS ((sizeof(row_weights<8>) + sizeof(float4) - 1) / sizeof(float4))

ROW_KERNEL motet_rmsnorm_forward_256(const motet_norm_job j) {
    __shared__ float4 shared[WEIGHTS];
    ROW_DISPATCH(forward_256, j.x.type, j.out.type, j, shared);
}
ROW_KERNEL motet_rmsnorm_forward_1024(const motet_norm_job j) {
    __shared__ float4 shared[WEIGHTS];
    ROW_DISPATCH(forward_1024, j.x.type, j.out.type, j, shared);
}

ROW_KERNEL motet_rmsnorm_add_forward_256(const motet_norm_job j) {
    __shared__ float4 shared[WEIGHTS];
    ROW_DISPATCH(add_256, j.residual.type, j.out.type, j, shared);
}
ROW_KERNEL motet_rmsnorm_add_forward_1024(const motet_norm_job j) {
    __shared__ float4 shared[WEIGHTS];
    ROW_DISPATCH(add_1024, j.residual.type, j.out.type, j, shared);
}

/* One block a row, of any width and alignment; a thread reads again of the sum what it wrote. */
ROW_KERNEL motet_rmsnorm_forward_wide(const motet_norm_job j) {
    __shared__ float sums[ROW_WARPS];
    const int64_t row = blockIdx.x, at = row * j.width;
    float sum = 0;
    for (int64_t d = threadIdx.x; d < j.width; d += ROW_THREADS) {
        float x = row_get(j.x, at + d);
        if (j.sum) {
            x += row_get(j.residual, at + d);
            j.sum[at + d] = x;
        }
        sum += x * x;
    }
    const float rstd = 1.0f / sqrtf(row_block_sum(sum, sums) / (float)j.width + j.eps);
    for (int64_t d = threadIdx.x; d < j.width; d += ROW_THREADS) {
        const float x = j.sum ? j.sum[at + d] : row_get(j.x, at + d);
        row_set(j.out, at + d, x * rstd * row_get(j.weight, d));
    }
    if (j.rstd && threadIdx.x == 0) j.rstd[row] = rstd;
}

/* A block's rows, and its partial sum of dweight: each warp sums over its rows in registers, the
 * warps' sums are added in order. */
template <int X, int DOUT, int WIDTH, int BRANCH = ALONE>
ROW_INLINE void backward_rows(const motet_norm_job &j, float4 *shared, float4 *shares) {
    constexpr int C = 4, CHUNKS = WIDTH / (32 * C);
    row_weights<C> &weights = *(row_weights<C> *)shared;
    const int width = (int)j.width, lane = row_lane();
    weights.fill(j.weight, width);
    __syncthreads();
    float dweight[CHUNKS][C] = {};
    const int64_t first = blockIdx.x * j.range, end = min(first + j.range, j.rows);
    for (int64_t row = first + row_warp(); row < end; row += ROW_WARPS) {
        float x[CHUNKS][C] = {}, dy[CHUNKS][C] = {}, dot = 0;
        const float rstd = j.rstd[row];
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const int d = (c * 32 + lane) * C;
            if (!row_has<WIDTH, C>(c, width)) continue;
            row_load<X>(x[c], j.x.data, row * width + d);
            row_load<DOUT>(dy[c], j.dout.data, row * width + d);
        }
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            if (!row_has<WIDTH, C>(c, width)) continue;
            float w[C];
            weights.get(w, c * 32 + lane);
#pragma unroll
            for (int i = 0; i < C; i++) {
                x[c][i] *= rstd; /* xhat from here on */
                dweight[c][i] += dy[c][i] * x[c][i];
                dy[c][i] *= w[i];
                dot += dy[c][i] * x[c][i];
            }
        }
        const float pull = row_warp_sum(dot) * j.part;
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const int d = (c * 32 + lane) * C;
            if (!row_has<WIDTH, C>(c, width)) continue;
            float dx[C];
            row_load<ROW_F32>(dx, j.dx, row * width + d);
#pragma unroll
            for (int i = 0; i < C; i++)
                dx[i] += rstd * (dy[c][i] - x[c][i] * pull);
            row_store<ROW_F32>(j.dx, row * width + d, dx);
            if constexpr (BRANCH != ALONE) row_store<BRANCH>(j.out.data, row * width + d, dx);
        }
    }
    row_fold_warps(j.partial + (size_t)blockIdx.x * width, dweight, shares, width);
}

template <int X, int DOUT>
ROW_INLINE void backward_256(const motet_norm_job &j, float4 *shared, float4 *shares) {
    backward_rows<X, DOUT, 256>(j, shared, shares);
}
template <int X, int DOUT>
ROW_INLINE void backward_1024(const motet_norm_job &j, float4 *shared, float4 *shares) {
    backward_rows<X, DOUT, 1024>(j, shared, shares);
}

template <int BRANCH, int DOUT>
ROW_INLINE void add_backward_256(const motet_norm_job &j, float4 *shared, float4 *shares) {
    backward_rows<ROW_F32, DOUT, 256, BRANCH>(j, shared, shares);
}
template <int BRANCH, int DOUT>
ROW_INLINE void add_backward_1024(const motet_norm_job &j, float4 *shared, float4 *shares) {
    backward_rows<ROW_F32, DOUT, 1024, BRANCH>(j, shared, shares);
}

ROW_KERNEL motet_rmsnorm_backward_256(const motet_norm_job j) {
    __shared__ float4 shared[256 / 4], shares[ROW_WARPS * 256 / 4];
    ROW_DISPATCH(backward_256, j.x.type, j.dout.type, j, shared, shares);
}
ROW_KERNEL motet_rmsnorm_backward_1024(const motet_norm_job j) {
    __shared__ float4 shared[1024 / 4], shares[ROW_WARPS * 1024 / 4];
    ROW_DISPATCH(backward_1024, j.x.type, j.dout.type, j, shared, shares);
}

ROW_KERNEL motet_rmsnorm_add_backward_256(const motet_norm_job j) {
    __shared__ float4 shared[256 / 4], shares[ROW_WARPS * 256 / 4];
    ROW_DISPATCH(add_backward_256, j.out.type, j.dout.type, j, shared, shares);
}
ROW_KERNEL motet_rmsnorm_add_backward_1024(const motet_norm_job j) {
    __shared__ float4 shared[1024 / 4], shares[ROW_WARPS * 1024 / 4];
    ROW_DISPATCH(add_backward_1024, j.out.type, j.dout.type, j, shared, shares);
}

/* A block's rows one after another, all of its threads on one row; a column's partial sum is
 * always the same thread's. */
ROW_KERNEL motet_rmsnorm_backward_wide(const motet_norm_job j) {
    __shared__ float sums[ROW_WARPS];
    float *partial = j.partial + blockIdx.x * j.width;
    const int64_t first = blockIdx.x * j.range, end = min(first + j.range, j.rows);
    for (int64_t row = first; row < end; row++) {
        const int64_t at = row * j.width;
        const float rstd = j.rstd[row];
        float dot = 0;
#pragma unroll 1
        for (int64_t d = threadIdx.x; d < j.width; d += ROW_THREADS)
            dot += row_get(j.dout, at + d) * row_get(j.weight, d) * row_get(j.x, at + d);
        const float pull = row_block_sum(dot, sums) * rstd * rstd / (float)j.width;
#pragma unroll 1
        for (int64_t d = threadIdx.x; d < j.width; d += ROW_THREADS) {
            const float x = row_get(j.x, at + d), dy = row_get(j.dout, at + d);
            const float dx = j.dx[at + d] + rstd * (dy * row_get(j.weight, d) - x * pull);
            j.dx[at + d] = dx;
            if (j.out.data) row_set(j.out, at + d, dx);
            partial[d] = (row == first ? 0 : partial[d]) + dy * (x * rstd);
        }
    }
}

ROW_KERNEL motet_rmsnorm_fold(float *dweight, const float *partial, int64_t ranges, int64_t width) {
    row_fold(dweight, partial, ranges, width, width);
}
