/* sum_squares: in double, so that the norm of a big gradient is right to the last bit of an f32;
 * each thread sums every ROW_THREADS-th chunk of its block's range, then the block by halves, then
 * one block the blocks' sums. The order depends on the count alone. */
#include "kernels/cuda/row.cuh"

ROW_INLINE double block_sum(double x) {
    __shared__ double sums[ROW_THREADS];
    sums[threadIdx.x] = x;
    __syncthreads();
#pragma unroll
    for (int half = ROW_THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    return sums[0];
}

template <int X, int C>
ROW_INLINE double share(const motet_flat_job &j, int64_t first, int64_t end) {
    double sum = 0;
    int64_t at = first + threadIdx.x * C;
    if (j.vector) {
#pragma unroll 2
        for (; at + C <= end; at += ROW_THREADS * C) {
            float v[C];
            row_load<X>(v, j.a.data, at);
#pragma unroll
            for (int i = 0; i < C; i++)
                sum += (double)v[i] * (double)v[i];
        }
    }
#pragma unroll 1
    for (; at < end; at += ROW_THREADS * C) {
#pragma unroll 1
        for (int64_t i = at; i < min(at + C, end); i++) {
            const double x = row_get(j.a, i);
            sum += x * x;
        }
    }
    return sum;
}

/* partial[block]: the sum over elements [block * width, (block + 1) * width). */
ROW_KERNEL motet_sum_squares_ranges(double *partial, const motet_flat_job j) {
    const int64_t first = blockIdx.x * j.width, end = min(first + j.width, j.count);
    const double sum = block_sum(j.a.type == ROW_F32 ? share<ROW_F32, 4>(j, first, end)
                                                     : share<ROW_BF16, 8>(j, first, end));
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

ROW_KERNEL motet_sum_squares_fold(double *sum, const double *partial, int64_t ranges) {
    double share = 0;
#pragma unroll 1
    for (int64_t i = threadIdx.x; i < ranges; i += ROW_THREADS)
        share += partial[i];
    share = block_sum(share);
    if (threadIdx.x == 0) *sum = share;
}
