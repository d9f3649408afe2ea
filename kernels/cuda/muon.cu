/* muon: the elementwise kernels between Muon's matrix products; see kernels/optimizer.h and
 * kernels/muon.c, whose names and order these follow. X, the iterate, stays f32; `copy` is what
 * the products read of it, in f32 or bf16.
 */
#include "kernels/cuda/gemm.cuh"

#define THREADS 256

/* Four elements at `at` of `count`: all inside if vector, which says that count is a multiple of 4
 * and memory is aligned. */
ROW_INLINE float4 load4(const float *from, int64_t at, int64_t count, int vector) {
    if (vector) return *(const float4 *)(from + at);
    return make_float4(from[at], at + 1 < count ? from[at + 1] : 0,
                       at + 2 < count ? from[at + 2] : 0, at + 3 < count ? from[at + 3] : 0);
}
ROW_INLINE void store4(float *to, int64_t at, int64_t count, int vector, float4 v) {
    if (vector) {
        *(float4 *)(to + at) = v;
        return;
    }
    to[at] = v.x;
    if (at + 1 < count) to[at + 1] = v.y;
    if (at + 2 < count) to[at + 2] = v.z;
    if (at + 3 < count) to[at + 3] = v.w;
}
ROW_INLINE void store4_rounded(void *to, int64_t at, int64_t count, int vector, int bf16,
                               float4 v) {
    if (!bf16) {
        store4((float *)to, at, count, vector, v);
        return;
    }
    const uint32_t low = row_pack(v.x, v.y), high = row_pack(v.z, v.w);
    uint16_t *const pairs = (uint16_t *)to + at;
    if (vector) {
        *(uint2 *)pairs = make_uint2(low, high);
        return;
    }
    pairs[0] = (uint16_t)low;
    if (at + 1 < count) pairs[1] = (uint16_t)(low >> 16);
    if (at + 2 < count) pairs[2] = (uint16_t)high;
    if (at + 3 < count) pairs[3] = (uint16_t)(high >> 16);
}

ROW_INLINE float4 scaled(float4 v, float by) {
    return make_float4(v.x * by, v.y * by, v.z * by, v.w * by);
}
/* a y + b x */
ROW_INLINE float4 combined(float4 y, float a, float4 x, float b) {
    return make_float4(a * y.x + b * x.x, a * y.y + b * x.y, a * y.z + b * x.z, a * y.w + b * x.w);
}

ROW_INLINE int64_t first_of_thread() {
    return ((int64_t)blockIdx.x * THREADS + threadIdx.x) * 4;
}

/* The block's sum of `value` for all threads, by a tree of fixed shape. */
ROW_INLINE double sum_block(double value) {
    __shared__ double shares[THREADS];
    shares[threadIdx.x] = value;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) shares[threadIdx.x] += shares[threadIdx.x + half];
    }
    __syncthreads();
    return shares[0];
}

/* buffer <- momentum * buffer + scale * grad; x <- scale * grad + momentum * buffer; and the sum of
 * squares of the block's range of x, in double, to squares[block]. */
extern "C" __global__ void __launch_bounds__(THREADS)
    motet_muon_momentum(float *x, float *buffer, const float *grad, double *squares, int64_t count,
                        int64_t range, float scale, float momentum, int vector) {
    const int64_t start = blockIdx.x * range, end = min(count, start + range);
    double sum = 0;
#pragma unroll 1
    for (int64_t at = start + threadIdx.x * 4; at < end; at += THREADS * 4) {
        const float4 g = scaled(load4(grad, at, count, vector), scale);
        const float4 b = combined(load4(buffer, at, count, vector), momentum, g, 1);
        const float4 v = combined(g, 1, b, momentum);
        store4(buffer, at, count, vector, b);
        store4(x, at, count, vector, v);
        /* Beyond the end v is 0. */
        sum += (double)v.x * v.x + (double)v.y * v.y + ((double)v.z * v.z + (double)v.w * v.w);
    }
    sum = sum_block(sum);
    if (threadIdx.x == 0) squares[blockIdx.x] = sum;
}

/* x <- x / |x|; copy <- x; x <- a x. squares has at most THREADS partial sums. A norm of 0 leaves
 * zeros; NaN stays NaN. */
extern "C" __global__ void __launch_bounds__(THREADS)
    motet_muon_normalise(float *x, void *copy, const double *squares, int blocks, int64_t count,
                         float a, int bf16, int vector) {
    const double sum = sum_block(threadIdx.x < blocks ? squares[threadIdx.x] : 0);
    const float inverse = sum == 0 ? 0 : (float)(1 / sqrt(sum));
    const int64_t at = first_of_thread();
    if (at >= count) return;
    const float4 v = scaled(load4(x, at, count, vector), inverse);
    store4_rounded(copy, at, count, vector, bf16, v);
    store4(x, at, count, vector, scaled(v, a));
}

/* copy <- x; x <- a x */
extern "C" __global__ void __launch_bounds__(THREADS)
    motet_muon_copy(float *x, void *copy, int64_t count, float a, int bf16, int vector) {
    const int64_t at = first_of_thread();
    if (at >= count) return;
    const float4 v = load4(x, at, count, vector);
    store4_rounded(copy, at, count, vector, bf16, v);
    store4(x, at, count, vector, scaled(v, a));
}

/* factor <- c square + b gram */
extern "C" __global__ void __launch_bounds__(THREADS)
    motet_muon_factor(void *factor, const float *square, const float *gram, int64_t count, float c,
                      float b, int bf16, int vector) {
    const int64_t at = first_of_thread();
    if (at >= count) return;
    store4_rounded(
        factor, at, count, vector, bf16,
        combined(load4(square, at, count, vector), c, load4(gram, at, count, vector), b));
}

/* w <- decay w - size x */
extern "C" __global__ void __launch_bounds__(THREADS)
    motet_muon_update(float *w, const float *x, int64_t count, float decay, float size,
                      int vector) {
    const int64_t at = first_of_thread();
    if (at >= count) return;
    store4(w, at, count, vector,
           combined(load4(w, at, count, vector), decay, load4(x, at, count, vector), -size));
}
