/* sample_draw: what a block does with one row of the sampler, from the first look to the draw.
 * Internal to the kernels that sample. */
#ifndef MOTET_CUDA_SAMPLE_DRAW_CUH
#define MOTET_CUDA_SAMPLE_DRAW_CUH

#include "kernels/cuda/complaint.h"
#include "kernels/cuda/philox.cuh"
#include "kernels/cuda/sample_row.cuh"

/* First look at every symbol. */
template <int WARPS, int ITEMS>
static __device__ __forceinline__ sample_survey survey(sample_row<WARPS, ITEMS> *row) {
    sample_survey s = {0, 0, 0, SAMPLE_UNCUT, 0};
    sample_item items[sample_row<WARPS, ITEMS>::KEPT];
    if (ITEMS > 0) {
#pragma unroll
        for (int i = 0; i < ITEMS; i++)
            items[i] = row->load(i);
    }
#pragma unroll
    for (int i = 0; i < (ITEMS > 0 ? ITEMS : row->rounds); i++) {
        if (ITEMS == 0) items[0] = row->load(i);
        const sample_item &item = items[ITEMS > 0 ? i : 0];
        bool fault;
        const float g = row->guided(item, &fault);
        const uint32_t k = row->candidate(item, g);
        if (fault) s.faulty = min(s.faulty, row->first + i * 32);
        s.all_top = max(s.all_top, sample_key(g));
        s.top = max(s.top, k);
        if (k != 0) s.legal_top = max(s.legal_top, sample_key(g));
        s.candidates += k != 0;
        if (ITEMS > 0) {
            row->z[i] = g;
            row->key[i] = k;
        }
    }
    sample_gather(&s, &row->team);
    return s;
}

/* What a row weighs: sums over the block, and what candidates weigh in the warps before this. */
struct sample_mass {
    uint64_t left, number; /* weight and number of the candidates that are left */
    uint64_t before;       /* `left` of the warps before this one */
    uint64_t legal, all;   /* exponentials at temperature 1: of legal symbols, of all */
};

/* Weighs every candidate, and leaves out those below min_p. At temperature 0 quotients are
 * -infinity and NaN, so the largest weigh 1 and all others 0. */
template <int WARPS, int ITEMS>
static __device__ __forceinline__ sample_mass weigh(sample_row<WARPS, ITEMS> *row,
                                                    const sample_survey *s) {
    const float legal_top = sample_unkey(s->legal_top), all_top = sample_unkey(s->all_top);
    uint64_t sums[4] = {0, 0, 0, 0}, before;
#pragma unroll
    for (int i = 0; i < (ITEMS > 0 ? ITEMS : row->rounds); i++) {
        float g = -INFINITY;
        uint32_t k = 0;
        if (ITEMS > 0) {
            g = row->z[i];
            k = row->key[i];
        } else {
            const sample_item item = row->load(i);
            bool fault;
            g = row->guided(item, &fault);
            k = row->candidate(item, g);
        }
        if (row->legal && g != -INFINITY)
            sums[3] += sample_fixed(sample_weight(__fsub_rn(g, all_top)));
        if (k != 0) sums[2] += sample_fixed(sample_weight(__fsub_rn(g, legal_top)));
        const float w = row->weigh(k);
        const bool stays = k != 0 && w >= row->least;
        sums[0] += stays ? sample_fixed(w) : 0;
        sums[1] += stays;
        if (ITEMS > 0) {
            row->weight[i] = stays ? sample_fixed(w) : 0;
            row->key[i] = stays ? k : 0;
        }
    }
    row->team.sums(sums, &before);
    return sample_mass{sums[0], sums[1], before, sums[2], row->legal ? sums[3] : sums[2]};
}

/* Anew after a selection. */
template <int WARPS, int ITEMS>
static __device__ __forceinline__ void reweigh(sample_row<WARPS, ITEMS> *row, sample_mass *mass) {
    uint64_t sums[2] = {0, 0};
#pragma unroll
    for (int i = 0; i < (ITEMS > 0 ? ITEMS : row->rounds); i++) {
        uint32_t k;
        uint64_t w;
        row->template look<true>(i, &k, &w);
        sums[0] += w;
        sums[1] += k != 0;
    }
    row->team.sums(sums, &mass->before);
    mass->left = sums[0];
    mass->number = sums[1];
}

/* top_p of a total, rounded up: 32 bits of top_p, which are all of it from 2^-8 up. */
static __device__ __forceinline__ uint64_t share(float top_p, uint64_t total) {
    const uint64_t part = (uint32_t)(top_p * 0x1p32f);
    const uint64_t target = part * (total >> 32) + ((part * (uint32_t)total + 0xffffffffu) >> 32);
    return target > 0 ? target : 1;
}

/* The candidate at which the sum in order of symbol passes `aim` writes the result. */
template <int WARPS, int ITEMS>
static __device__ __forceinline__ void draw(sample_result *result, sample_row<WARPS, ITEMS> *row,
                                            const sample_mass *mass, const sample_survey *s,
                                            uint64_t aim) {
    uint64_t passed = mass->before, weight = 0, base = 0;
    int found = -1;
    float z = 0.0f;
#pragma unroll
    for (int i = 0; i < (ITEMS > 0 ? ITEMS : row->rounds); i++) {
        uint32_t k;
        uint64_t w;
        row->template look<true>(i, &k, &w);
        const uint64_t next = passed + sample_lanes_sum(w);
        if (passed <= aim && aim < next) {
            found = i;
            weight = w;
            base = passed;
            if (ITEMS > 0) z = row->z[i];
        }
        passed = next;
    }
    if (found < 0) return; /* the whole warp: it is another's */
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        const uint64_t other = __shfl_up_sync(SAMPLE_LANES, (unsigned long long)weight, step);
        if (row->team.lane >= step) weight += other;
    }
    const uint32_t beyond = __ballot_sync(SAMPLE_LANES, base + weight > aim);
    if (row->team.lane != __ffs((int)beyond) - 1) return;
    bool fault;
    if (ITEMS == 0) z = row->guided(row->load(found), &fault);
    const float legal = (float)mass->legal, all = (float)mass->all;
    const float legal_top = sample_unkey(s->legal_top), all_top = sample_unkey(s->all_top);
    result->symbol = row->first + found * 32;
    result->log_prob = (z - legal_top) - logf(legal * 0x1p-44f);
    result->legal_mass = fminf(1.0f, legal / all * exp2f((legal_top - all_top) * SAMPLE_LOG2_E));
}

/* Draws from a row that has begun, and writes the result: false, and a complaint of row b (none
 * if complaints is NULL), if that cannot be. All threads of the block take part and are told the
 * same. */
template <int WARPS, int ITEMS>
static __device__ __forceinline__ bool sample_draw(sample_result *result,
                                                   sample_row<WARPS, ITEMS> *row,
                                                   motet_complaint *complaints, int64_t b) {
    const bool greedy = !(row->p.temperature > 0.0f);
    row->least = greedy ? 0.0f : row->p.min_p;

    const sample_survey s = survey(row);
    if (s.faulty != SAMPLE_UNCUT || s.candidates == 0) {
        if (!complaints || row->team.warp > 0 || row->team.lane > 0) return false;
        if (s.faulty != SAMPLE_UNCUT)
            motet_complain(complaints, MOTET_COMPLAINT_SAMPLE_NAN, b, s.faulty);
        else
            motet_complain(complaints, MOTET_COMPLAINT_SAMPLE_NONE_LEGAL, b, row->symbols);
        return false;
    }
    row->top = sample_unkey(s.top);
    sample_mass mass = weigh(row, &s);
    if (!greedy && row->p.top_k > 0 && row->p.top_k < mass.number) {
        row->template select<false>(row->p.top_k, mass.number, mass.number, 0);
        reweigh(row, &mass);
    }
    if (!greedy && row->p.top_p < 1.0f) {
        row->template select<true>(share(row->p.top_p, mass.left), mass.number, mass.left, 1);
        reweigh(row, &mass);
    }
    uint32_t random[4];
    motet_philox(row->p.seed, row->p.stream, row->p.counter, random);
    const uint64_t u = greedy ? 0 : random[0] >> 8; /* in units of 2^-24 */
    draw(result, row, &mass, &s, u * (mass.left >> 24) + (u * (mass.left & 0xffffffu) >> 24));
    return true;
}

#endif
