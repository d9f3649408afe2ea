/* What cuDNN wants to know of packed sequences, made of their offsets: how long each is and at
 * which element of q, k, v, out and stats it starts. Sequences beyond the last are empty. One that
 * has only queries or only keys is told to be empty, too: its results are written here, zeros (and
 * a log-sum-exp of nothing). */
#include "kernels/cuda/cudnn_job.h"

static __device__ __forceinline__ void blank(uint16_t *rows, int64_t pitch, int64_t first,
                                             int64_t end, int64_t width) {
    for (int64_t row = first; row < end; row++)
        for (int64_t c = threadIdx.x; c < width; c += CUDNN_THREADS)
            rows[row * pitch + c] = 0;
}

extern "C" __global__ void __launch_bounds__(CUDNN_THREADS)
    motet_cudnn_prepare(const motet_cudnn_job j) {
    const int s = blockIdx.x, at = min(s, j.sequences), next = min(s + 1, j.sequences);
    const int64_t q = j.q_offsets[at], k = j.k_offsets[at];
    const int64_t q_end = j.q_offsets[next], k_end = j.k_offsets[next];
    const bool full = q < q_end && k < k_end;
    if (threadIdx.x == 0) {
        if (s < j.batch) {
            j.lists[s] = full ? (int32_t)(q_end - q) : 0;
            j.lists[j.list + s] = full ? (int32_t)(k_end - k) : 0;
        }
        j.lists[2 * j.list + s] = (int32_t)(q * j.pitch[0]);
        j.lists[3 * j.list + s] = (int32_t)(k * j.pitch[1]);
        j.lists[4 * j.list + s] = (int32_t)(k * j.pitch[2]);
        j.lists[5 * j.list + s] = (int32_t)(q * j.pitch[3]);
        j.lists[6 * j.list + s] = (int32_t)(q * j.heads);
    }
    if (full) return;
    const int64_t width = (int64_t)j.heads * j.width;
    blank(j.per_query, j.query_pitch, q, q_end, width);
    if (j.lse)
        for (int64_t i = q * j.heads + threadIdx.x; i < q_end * j.heads; i += CUDNN_THREADS)
            j.lse[i] = __int_as_float(0xff800000);
    for (int i = 0; i < 2; i++)
        if (j.per_key[i]) blank(j.per_key[i], j.key_pitch[i], k, k_end, width);
}
