/* rope: one warp a row. A lane keeps the angles of its chunk of pairs and turns that chunk in every
 * head; lanes left over beside the first head start at the next ones. */
#include "kernels/cuda/row.cuh"

/* Chunks of 8 pairs for bf16 (16 bytes), of 4 for f32. half % C == 0, half / C <= 32. */
template <int X> ROW_INLINE void turn_row(const motet_rope_job &j, int64_t row) {
    constexpr int C = row_chunk(X, X);
    const int half = (int)j.width / 2, across = half / C, heads_at_once = 32 / across;
    const int lane = row_lane(), i = lane % across * C, first = lane / across;
    if (first >= heads_at_once) return;
    float cosine[C], sine[C];
    const float *table = j.table + row * j.width + i;
#pragma unroll
    for (int c = 0; c < C; c += 4) {
        const float4 cos4 = *(const float4 *)(table + c);
        const float4 sin4 = *(const float4 *)(table + half + c);
        cosine[c] = cos4.x, cosine[c + 1] = cos4.y, cosine[c + 2] = cos4.z, cosine[c + 3] = cos4.w;
        sine[c] = sin4.x, sine[c + 1] = sin4.y, sine[c + 2] = sin4.z, sine[c + 3] = sin4.w;
    }
    for (int64_t head = first; head < j.heads; head += heads_at_once) {
        const size_t at = row * j.pitch + head * j.width + i;
        float a[C], b[C];
        row_load<X>(a, j.x.data, at);
        row_load<X>(b, j.x.data, at + half);
#pragma unroll
        for (int c = 0; c < C; c++) {
            const float s = sine[c] * j.turn, turned = a[c] * cosine[c] - b[c] * s;
            b[c] = a[c] * s + b[c] * cosine[c];
            a[c] = turned;
        }
        row_store<X>(j.x.data, at, a);
        row_store<X>(j.x.data, at + half, b);
    }
}

ROW_KERNEL motet_rope_vector(const motet_rope_job j) {
    const int64_t row = (int64_t)blockIdx.x * ROW_WARPS + row_warp();
    if (row >= j.rows) return;
    if (j.x.type == ROW_F32)
        turn_row<ROW_F32>(j, row);
    else
        turn_row<ROW_BF16>(j, row);
}

/* One block a row, pair by pair: any width and alignment. */
ROW_KERNEL motet_rope_single(const motet_rope_job j) {
    const int64_t row = blockIdx.x, half = j.width / 2;
    for (int64_t pair = threadIdx.x; pair < j.heads * half; pair += ROW_THREADS) {
        const int64_t head = pair / half, i = pair - head * half;
        const float c = j.table[row * j.width + i], s = j.table[row * j.width + half + i] * j.turn;
        const size_t at = row * j.pitch + head * j.width + i;
        const float a = row_get(j.x, at), b = row_get(j.x, at + half);
        row_set(j.x, at, a * c - b * s);
        row_set(j.x, at + half, a * s + b * c);
    }
}
