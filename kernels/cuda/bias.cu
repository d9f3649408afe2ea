/* bias: dbias[n] += sum over m of dy[m,n], in a fixed order; see kernels/matmul.h.
 *
 * A block has 128 columns, four a lane, and a range of rows that its warps take in turn; the warps'
 * sums are added in order. With several ranges the sums go to `partial` [ranges,N] and
 * motet_bias_add adds those in order.
 */
#include "kernels/cuda/gemm.cuh"

#define THREADS 256
#define WARPS (THREADS / 32)
#define COLUMNS 128

template <int TYPE>
ROW_INLINE void bias_backward(float *dbias, const void *dy, float *partial, int64_t rows, int n,
                              int rows_of_block, int vector) {
    __shared__ __align__(16) float shares[WARPS][COLUMNS];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, n0 = blockIdx.x * COLUMNS;
    const int64_t first = (int64_t)blockIdx.y * rows_of_block;
    const int64_t end = min(rows, first + rows_of_block);
    float sums[4] = {0, 0, 0, 0};
    if (vector) {
        const int column = n0 + lane * 4;
        if (column < n) {
#pragma unroll 4
            for (int64_t row = first + warp; row < end; row += WARPS) {
                if (TYPE == ROW_F32) {
                    const float4 v = *(const float4 *)((const float *)dy + row * n + column);
                    sums[0] += v.x, sums[1] += v.y, sums[2] += v.z, sums[3] += v.w;
                } else {
                    const uint2 v = *(const uint2 *)((const uint16_t *)dy + row * n + column);
                    sums[0] += row_low(v.x), sums[1] += row_high(v.x);
                    sums[2] += row_low(v.y), sums[3] += row_high(v.y);
                }
            }
        }
        *(float4 *)&shares[warp][lane * 4] = make_float4(sums[0], sums[1], sums[2], sums[3]);
    } else {
        for (int64_t row = first + warp; row < end; row += WARPS) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int column = n0 + i * 32 + lane;
                if (column < n) sums[i] += load_float(dy, row * n + column, TYPE);
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++)
            shares[warp][i * 32 + lane] = sums[i];
    }
    __syncthreads();
    const int column = n0 + threadIdx.x;
    if (threadIdx.x >= COLUMNS || column >= n) return;
    float sum = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++)
        sum += shares[w][threadIdx.x];
    if (partial)
        partial[(size_t)blockIdx.y * n + column] = sum;
    else
        dbias[column] += sum;
}

extern "C" __global__ void __launch_bounds__(THREADS)
    motet_bias_backward_f32(float *dbias, const void *dy, float *partial, int64_t rows, int n,
                            int rows_of_block, int vector) {
    bias_backward<ROW_F32>(dbias, dy, partial, rows, n, rows_of_block, vector);
}
extern "C" __global__ void __launch_bounds__(THREADS)
    motet_bias_backward_bf16(float *dbias, const void *dy, float *partial, int64_t rows, int n,
                             int rows_of_block, int vector) {
    bias_backward<ROW_BF16>(dbias, dy, partial, rows, n, rows_of_block, vector);
}

extern "C" __global__ void __launch_bounds__(THREADS)
    motet_bias_add(float *dbias, const float *partial, int n, int ranges) {
    const int column = blockIdx.x * THREADS + threadIdx.x;
    if (column >= n) return;
    float sum = 0;
    for (int r = 0; r < ranges; r++)
        sum += partial[(size_t)r * n + column];
    dbias[column] += sum;
}
