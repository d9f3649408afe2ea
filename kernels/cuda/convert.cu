/* convert: between f32 and bf16, bit for bit as the host does it: nearest even, a NaN keeps the
 * upper bits of its payload; or rounded up or down at random, so that the mean is exact. */
#include "kernels/cuda/flat.cuh"
#include "kernels/cuda/philox.cuh"

ROW_INLINE bool is_nan(uint32_t bits) {
    return (bits & 0x7fffffffu) > 0x7f800000u;
}
ROW_INLINE uint32_t nearest_bf16(uint32_t bits) {
    const uint32_t even = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    return is_nan(bits) ? bits >> 16 | 0x40u : even;
}
/* The lower 16 bits are the chance, in 2^-16, of being rounded away from zero. Infinity has none,
 * and the largest finite values may become infinite, as they do when rounded to nearest. */
ROW_INLINE uint32_t random_bf16(uint32_t bits, uint32_t word) {
    return is_nan(bits) ? bits >> 16 | 0x40u : (bits + (word >> 16)) >> 16;
}

/* Raw elements, four at a time: 32 bits each, whatever they are stored as. */
ROW_INLINE uint4 load_bits(motet_row_array a, int64_t at) {
    if (a.type == ROW_F32) return *(const uint4 *)((const uint32_t *)a.data + at);
    const uint2 two = *(const uint2 *)((const uint16_t *)a.data + at);
    return make_uint4(two.x << 16, two.x & 0xffff0000u, two.y << 16, two.y & 0xffff0000u);
}
ROW_INLINE uint32_t load_one(motet_row_array a, int64_t at) {
    return a.type == ROW_F32 ? ((const uint32_t *)a.data)[at]
                             : (uint32_t)((const uint16_t *)a.data)[at] << 16;
}

/* a f32 or bf16, out bf16 or f32. */
ROW_KERNEL motet_convert_nearest(const motet_flat_job j) {
    const int64_t first = flat_first<4>();
    const bool same = j.a.type != ROW_F32; /* its values are bf16 already */
    if (j.vector && first + 4 <= j.count) {
        const uint4 v = load_bits(j.a, first);
        if (j.out.type == ROW_F32)
            row_store_words((uint32_t *)j.out.data + first, v.x, v.y, v.z, v.w);
        else if (same)
            row_store_words((uint16_t *)j.out.data + first, __byte_perm(v.x, v.y, 0x7632),
                            __byte_perm(v.z, v.w, 0x7632));
        else
            row_store_words((uint16_t *)j.out.data + first,
                            nearest_bf16(v.x) | nearest_bf16(v.y) << 16,
                            nearest_bf16(v.z) | nearest_bf16(v.w) << 16);
        return;
    }
#pragma unroll 1
    for (int64_t i = first; i < min(first + 4, j.count); i++) {
        const uint32_t v = load_one(j.a, i);
        if (j.out.type == ROW_F32)
            ((uint32_t *)j.out.data)[i] = v;
        else
            ((uint16_t *)j.out.data)[i] = (uint16_t)(same ? v >> 16 : nearest_bf16(v));
    }
}

/* a f32, out bf16. Element i takes word i % 4 of Philox (seed, stream, i / 4). */
ROW_KERNEL motet_convert_random(const motet_flat_job j, uint64_t seed, uint64_t stream) {
    const int64_t first = flat_first<4>();
    if (first >= j.count) return;
    uint32_t words[4];
    motet_philox(seed, stream, (uint64_t)first / 4, words);
    uint16_t *out = (uint16_t *)j.out.data + first;
    const uint32_t *in = (const uint32_t *)j.a.data + first;
    if (j.vector && first + 4 <= j.count) {
        const uint4 v = *(const uint4 *)in;
        row_store_words(out, random_bf16(v.x, words[0]) | random_bf16(v.y, words[1]) << 16,
                        random_bf16(v.z, words[2]) | random_bf16(v.w, words[3]) << 16);
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (first + i < j.count) out[i] = (uint16_t)random_bf16(in[i], words[i]);
}
