/* layernorm: one warp a row, which it holds in registers, if the row is at most ROW_HELD wide and
 * aligned, and the residual has x's type; else one block a row ("wide"), element by element.
 * dweight and dbias in two steps: partial sums for each block's rows, then these in order ("fold").
 */
#include "kernels/cuda/row.cuh"

template <int X, int OUT, int WIDTH>
ROW_INLINE void forward_rows(const motet_norm_job &j, float4 *shared) {
    constexpr int C = row_chunk(X, OUT), CHUNKS = WIDTH / (32 * C);
    row_weights<C> *both = (row_weights<C> *)shared, &weights = both[0], &biases = both[1];
    const int width = (int)j.width, lane = row_lane();
    weights.fill(j.weight, width);
    biases.fill(j.bias, width);
    __syncthreads();
    const int64_t first = blockIdx.x * j.range, end = min(first + j.range, j.rows);
    for (int64_t row = first + row_warp(); row < end; row += ROW_WARPS) {
        float s[CHUNKS][C] = {}, sum = 0, squares = 0;
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
            if (row_has<WIDTH, C>(c, width))
                row_load<X>(s[c], j.x.data, row * width + (c * 32 + lane) * C);
        if (j.residual.data) {
#pragma unroll
            for (int c = 0; c < CHUNKS; c++) {
                if (!row_has<WIDTH, C>(c, width)) continue;
                float r[C];
                row_load<X>(r, j.residual.data, row * width + (c * 32 + lane) * C);
#pragma unroll
                for (int i = 0; i < C; i++)
                    s[c][i] += r[i];
            }
        }
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
#pragma unroll
            for (int i = 0; i < C; i++)
                sum += s[c][i];
        const float mean = row_warp_sum(sum) / (float)width;
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            if (!row_has<WIDTH, C>(c, width)) continue;
#pragma unroll
            for (int i = 0; i < C; i++) {
                s[c][i] -= mean;
                squares += s[c][i] * s[c][i];
            }
        }
        const float rstd = 1.0f / sqrtf(row_warp_sum(squares) / (float)width + j.eps);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            if (!row_has<WIDTH, C>(c, width)) continue;
            float w[C], b[C], y[C];
            weights.get(w, c * 32 + lane);
            biases.get(b, c * 32 + lane);
#pragma unroll
            for (int i = 0; i < C; i++)
                y[i] = s[c][i] * rstd * w[i] + b[i];
            row_store<OUT>(j.out.data, row * width + (c * 32 + lane) * C, y);
        }
        if (j.mean && lane == 0) j.mean[row] = mean;
        if (j.rstd && lane == 0) j.rstd[row] = rstd;
    }
}

template <int X, int OUT> ROW_INLINE void forward_256(const motet_norm_job &j, float4 *shared) {
    forward_rows<X, OUT, 256>(j, shared);
}
template <int X, int OUT> ROW_INLINE void forward_1024(const motet_norm_job &j, float4 *shared) {
    forward_rows<X, OUT, 1024>(j, shared);
}

#define WEIGHTS (2 * sizeof(row_weights<8>) / sizeof(float4))

ROW_KERNEL motet_layernorm_forward_256(const motet_norm_job j) {
    __shared__ float4 shared[WEIGHTS];
    ROW_DISPATCH(forward_256, j.x.type, j.out.type, j, shared);
}
ROW_KERNEL motet_layernorm_forward_1024(const motet_norm_job j) {
    __shared__ float4 shared[WEIGHTS];
    ROW_DISPATCH(forward_1024, j.x.type, j.out.type, j, shared);
}

ROW_INLINE float get_sum(const motet_norm_job &j, size_t at) {
    const float x = row_get(j.x, at);
    return j.residual.data ? x + row_get(j.residual, at) : x;
}

/* One block a row, of any width, types and alignment. */
ROW_KERNEL motet_layernorm_forward_wide(const motet_norm_job j) {
    __shared__ float sums[ROW_WARPS];
    const int64_t row = blockIdx.x, at = row * j.width;
    float sum = 0, squares = 0;
#pragma unroll 1
    for (int64_t d = threadIdx.x; d < j.width; d += ROW_THREADS)
        sum += get_sum(j, at + d);
    const float mean = row_block_sum(sum, sums) / (float)j.width;
#pragma unroll 1
    for (int64_t d = threadIdx.x; d < j.width; d += ROW_THREADS) {
        const float s = get_sum(j, at + d) - mean;
        squares += s * s;
    }
    const float rstd = 1.0f / sqrtf(row_block_sum(squares, sums) / (float)j.width + j.eps);
#pragma unroll 1
    for (int64_t d = threadIdx.x; d < j.width; d += ROW_THREADS)
        row_set(j.out, at + d,
                (get_sum(j, at + d) - mean) * rstd * row_get(j.weight, d) + row_get(j.bias, d));
    if (j.mean && threadIdx.x == 0) j.mean[row] = mean;
    if (j.rstd && threadIdx.x == 0) j.rstd[row] = rstd;
}

template <int X, int DOUT, int WIDTH>
ROW_INLINE void backward_rows(const motet_norm_job &j, float4 *shared, float4 *shares) {
    constexpr int C = 4, CHUNKS = WIDTH / (32 * C);
    row_weights<C> &weights = *(row_weights<C> *)shared;
    const int width = (int)j.width, lane = row_lane();
    weights.fill(j.weight, width);
    __syncthreads();
    float dweight[CHUNKS][C] = {}, dbias[CHUNKS][C] = {};
    const int64_t first = blockIdx.x * j.range, end = min(first + j.range, j.rows);
    for (int64_t row = first + row_warp(); row < end; row += ROW_WARPS) {
        float xhat[CHUNKS][C] = {}, dy[CHUNKS][C] = {}, sum = 0, dot = 0;
        const float mean = j.mean[row], rstd = j.rstd[row];
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const int d = (c * 32 + lane) * C;
            if (!row_has<WIDTH, C>(c, width)) continue;
            row_load<X>(xhat[c], j.x.data, row * width + d);
            row_load<DOUT>(dy[c], j.dout.data, row * width + d);
        }
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            if (!row_has<WIDTH, C>(c, width)) continue;
            float w[C];
            weights.get(w, c * 32 + lane);
#pragma unroll
            for (int i = 0; i < C; i++) {
                xhat[c][i] = (xhat[c][i] - mean) * rstd;
                dweight[c][i] += dy[c][i] * xhat[c][i];
                dbias[c][i] += dy[c][i];
                dy[c][i] *= w[i];
                sum += dy[c][i];
                dot += dy[c][i] * xhat[c][i];
            }
        }
        sum = row_warp_sum(sum) * j.part;
        dot = row_warp_sum(dot) * j.part;
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const int d = (c * 32 + lane) * C;
            if (!row_has<WIDTH, C>(c, width)) continue;
            float ds[C];
#pragma unroll
            for (int i = 0; i < C; i++)
                ds[i] = rstd * (dy[c][i] - sum - xhat[c][i] * dot);
            row_store<ROW_F32>(j.dx, row * width + d, ds);
        }
    }
    float *partial = j.partial + 2 * (size_t)blockIdx.x * width;
    row_fold_warps(partial, dweight, shares, width);
    __syncthreads(); /* shares were read */
    row_fold_warps(partial + width, dbias, shares, width);
}

template <int X, int DOUT>
ROW_INLINE void backward_256(const motet_norm_job &j, float4 *shared, float4 *shares) {
    backward_rows<X, DOUT, 256>(j, shared, shares);
}
template <int X, int DOUT>
ROW_INLINE void backward_1024(const motet_norm_job &j, float4 *shared, float4 *shares) {
    backward_rows<X, DOUT, 1024>(j, shared, shares);
}

ROW_KERNEL motet_layernorm_backward_256(const motet_norm_job j) {
    __shared__ float4 shared[256 / 4], shares[ROW_WARPS * 256 / 4];
    ROW_DISPATCH(backward_256, j.x.type, j.dout.type, j, shared, shares);
}
ROW_KERNEL motet_layernorm_backward_1024(const motet_norm_job j) {
    __shared__ float4 shared[1024 / 4], shares[ROW_WARPS * 1024 / 4];
    ROW_DISPATCH(backward_1024, j.x.type, j.dout.type, j, shared, shares);
}

/* A block's rows one after another, all of its threads on one row; a column's partial sums are
 * always the same thread's. */
ROW_KERNEL motet_layernorm_backward_wide(const motet_norm_job j) {
    __shared__ float sums[ROW_WARPS];
    float *dweight = j.partial + 2 * blockIdx.x * j.width, *dbias = dweight + j.width;
    const int64_t first = blockIdx.x * j.range, end = min(first + j.range, j.rows);
    for (int64_t row = first; row < end; row++) {
        const int64_t at = row * j.width;
        const float mean = j.mean[row], rstd = j.rstd[row];
        float sum = 0, dot = 0;
#pragma unroll 1
        for (int64_t d = threadIdx.x; d < j.width; d += ROW_THREADS) {
            const float dyw = row_get(j.dout, at + d) * row_get(j.weight, d);
            sum += dyw;
            dot += dyw * ((row_get(j.x, at + d) - mean) * rstd);
        }
        sum = row_block_sum(sum, sums) / (float)j.width;
        dot = row_block_sum(dot, sums) / (float)j.width;
#pragma unroll 1
        for (int64_t d = threadIdx.x; d < j.width; d += ROW_THREADS) {
            const float xhat = (row_get(j.x, at + d) - mean) * rstd, dy = row_get(j.dout, at + d);
            j.dx[at + d] = rstd * (dy * row_get(j.weight, d) - sum - xhat * dot);
            dweight[d] = (row == first ? 0 : dweight[d]) + dy * xhat;
            dbias[d] = (row == first ? 0 : dbias[d]) + dy;
        }
    }
}

/* blockIdx.y 0: dweight, 1: dbias. */
ROW_KERNEL motet_layernorm_fold(float *dweight, float *dbias, const float *partial, int64_t ranges,
                                int64_t width) {
    row_fold(blockIdx.y ? dbias : dweight, partial + blockIdx.y * width, ranges, 2 * width, width);
}
