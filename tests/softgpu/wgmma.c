/* wgmma: the instructions, and what each warp computes of them. Layouts of operands in shared
 * memory are those of the PTX ISA, "Asynchronous warpgroup level matrix shared memory layout". */
#include "tests/softgpu/wgmma.h"

#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/access.h"
#include "tests/softgpu/async.h"
#include "tests/softgpu/counters.h"
#include "tests/softgpu/handler.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/race_proxy.h"
#include "tests/softgpu/schedule.h"
#include "tests/softgpu/tensor_map.h"
#include "tests/softgpu/wgmma_state.h"

#define ROWS 16 /* of a warp */
#define K 16
#define MOST_COLS 256
#define UNIT 8 /* elements of 16 bytes */

static int a_source(const sg_op *op) {
    return op->a / 2;
}
static int b_source(const sg_op *op) {
    return op->a / 2 + (op->b & SG_WG_A_IN_REGISTERS ? 4 : 1);
}

/* ---- Operands in shared memory. */

typedef struct matrix {
    uint64_t start, leading, stride; /* bytes */
    int swizzle;                     /* bits */
    bool mn_major;
} matrix;

static matrix matrix_of(uint64_t descriptor, bool mn_major) {
    static const int bits[4] = {0, 3, 2, 1};
    return (matrix){.start = (descriptor & 0x3fff) << 4,
                    .leading = (descriptor >> 16 & 0x3fff) << 4,
                    .stride = (descriptor >> 32 & 0x3fff) << 4,
                    .swizzle = bits[descriptor >> 62],
                    .mn_major = mn_major};
}

/* Where 8 elements of 16 bits lie side by side: along k from 8 * unit of line `line`, or, with the
 * other dimension contiguous, along that one, of k = line. */
static uint64_t place(const matrix *m, uint64_t line, uint64_t unit) {
    const uint64_t wide = 1ull << m->swizzle, in = line % 8, out = line / 8;
    uint64_t at;
    if (!m->mn_major)
        at = in * 16 * wide + out * m->stride + unit * (m->swizzle ? 16 : m->leading);
    else if (m->swizzle)
        at = in * 16 * wide + out * m->stride + unit % wide * 16 + unit / wide * m->leading;
    else
        at = in * 16 + out * m->leading + unit * m->stride;
    return sg_swizzled(m->start + at, m->swizzle);
}

typedef struct reading {
    sg_warp *warp;
    const sg_op *op;
    sg_region *region;
    bool full;
    int slot;
    uint32_t number;
} reading;

/* The 16 bytes at this place, *tainted if nobody wrote some of them; NULL: reported. */
static const unsigned char *unit_at(bool *tainted, const reading *r, uint64_t offset) {
    const uint64_t room = r->warp->block->shared_bytes;
    if (offset + 16 > room) {
        sg_report(SG_R_BOUNDS, r->warp, r->op, UINT32_MAX,
                  "wgmma reads 16 bytes at shared offset %llu of %llu", (unsigned long long)offset,
                  (unsigned long long)room);
        return NULL;
    }
    *tainted = false;
    if (r->full && r->region) {
        if (sg_async_in_flight(r->warp->block, offset, 16))
            sg_report(SG_R_ASYNC_EARLY, r->warp, r->op, UINT32_MAX,
                      "wgmma reads shared offset %llu, where an asynchronous copy is still under "
                      "way",
                      (unsigned long long)offset);
        sg_race_proxy(r->warp, r->op, 0, r->region, SG_SHARED, offset, 16, SG_READ, r->slot,
                      r->number);
        *tainted = !sg_shadow_has(r->region, offset, 16);
    }
    return r->warp->block->shared + offset;
}

static void decode(float to[UNIT], const unsigned char *from, bool half, float sign) {
    uint16_t bits[UNIT];
    memcpy(bits, from, sizeof bits);
    if (half)
        for (int i = 0; i < UNIT; i++)
            to[i] = sign * sg_f32_of_half(bits[i]);
    else
        for (int i = 0; i < UNIT; i++)
            to[i] = sign * sg_as_f32((uint32_t)bits[i] << 16);
}

/* Eight lines of an operand, k after k. */
typedef float strip[K][UNIT];

/* Fills strips with `lines` lines from `first` on; tainted: one a line. */
static bool load(strip *to, bool *tainted, const reading *r, const matrix *m, int first, int lines,
                 float sign) {
    const int strips = lines / UNIT;
    for (int i = 0; i < (m->mn_major ? K : lines); i++)
        for (int u = 0; u < (m->mn_major ? strips : K / UNIT); u++) {
            const uint64_t line = (uint64_t)(m->mn_major ? i : first + i);
            const uint64_t unit = (uint64_t)(m->mn_major ? first / UNIT + u : u);
            float values[UNIT];
            bool bad;
            const unsigned char *from = unit_at(&bad, r, place(m, line, unit));
            if (!from) return false;
            decode(values, from, r->op->b & SG_WG_HALF, sign);
            for (int e = 0; e < UNIT; e++)
                if (m->mn_major)
                    to[u][i][e] = values[e];
                else
                    to[i / UNIT][u * UNIT + e][i % UNIT] = values[e];
            for (int e = 0; bad && e < UNIT; e++)
                tainted[m->mn_major ? u * UNIT + e : i] = true;
        }
    return true;
}

/* ---- The product. Lane 4 g + t has of rows g and g + 8 columns 2 t and 2 t + 1 of each 8, in four
 * registers: of 8 rows by 8 columns, two hold the even and the odd columns, row after row. */

typedef struct registers {
    const float *from[MOST_COLS / 2];
    float *to[MOST_COLS / 2];
} registers;

typedef float vector __attribute__((vector_size(4 * UNIT)));

SG_CLONES static void multiply(const registers *r, const strip a[2], const strip *b, int cols,
                               bool accumulate) {
    for (int i = 0; i < cols / 2; i += 2) {
        const int half = i / 2 & 1; /* of the rows */
        float pairs[2 * SG_LANES] = {0};
        vector sum[8];
        for (int l = 0; accumulate && l < SG_LANES; l++) {
            pairs[2 * l] = r->from[i][l];
            pairs[2 * l + 1] = r->from[i + 1][l];
        }
        memcpy(sum, pairs, sizeof sum);
        for (int k = 0; k < K; k++) {
            vector line;
            memcpy(&line, b[i / 4][k], sizeof line);
#pragma GCC unroll 8
            for (int row = 0; row < 8; row++)
                sum[row] += a[half][k][row] * line;
        }
        memcpy(pairs, sum, sizeof pairs);
        for (int l = 0; l < SG_LANES; l++) {
            r->to[i][l] = pairs[2 * l];
            r->to[i + 1][l] = pairs[2 * l + 1];
        }
    }
}

static void load_registers(strip a[2], bool *tainted, const sg_warp *warp, const sg_op *op,
                           float sign) {
    for (int r = 0; r < 4; r++) {
        const sg_slot slot = op->source[a_source(op) + r];
        for (int l = 0; l < SG_LANES; l++) {
            const int row = l / 4, k = (r / 2) * 8 + l % 4 * 2;
            unsigned char unit[2 * UNIT] = {0};
            float values[UNIT];
            memcpy(unit, &sg_u32(warp, slot)[l], 4);
            decode(values, unit, op->b & SG_WG_HALF, sign);
            a[r & 1][k][row] = values[0];
            a[r & 1][k + 1][row] = values[1];
            tainted[row + (r & 1) * 8] |= *sg_taint(warp, slot) >> l & 1;
        }
    }
}

static void spread(sg_warp *warp, const sg_op *op, const bool *rows, const bool *cols,
                   bool accumulate) {
    for (int i = 0; i < op->a / 2; i++) {
        uint32_t taint = accumulate ? *sg_taint(warp, op->source[i]) : 0;
        for (int l = 0; l < SG_LANES; l++)
            taint |=
                (uint32_t)(rows[l / 4 + (i / 2 & 1) * 8] | cols[i / 4 * 8 + l % 4 * 2 + (i & 1)])
                << l;
        *sg_taint(warp, op->dest[i]) = taint;
    }
}

/* ---- Checks. */

static bool misused(sg_warp *warp, const sg_op *op, const char *why) {
    sg_report(SG_R_MATRIX, warp, op, UINT32_MAX, "%s", why);
    sg_abandon(warp);
    return true;
}

static bool is_uniform(const sg_warp *warp, sg_slot slot) {
    const uint64_t *d = sg_u64(warp, slot);
    for (int l = 1; l < SG_LANES; l++)
        if (d[l] != d[0]) return false;
    return true;
}

static bool bad_descriptor(sg_warp *warp, const sg_op *op, sg_slot slot) {
    if (!is_uniform(warp, slot))
        return misused(warp, op, "lanes of the warp have different matrix descriptors");
    const uint64_t d = sg_u64(warp, slot)[0];
    const matrix m = matrix_of(d, false);
    if (d >> 49 & 7) return misused(warp, op, "a base offset other than 0 is not known here");
    if (m.start >> 7 & ((1u << m.swizzle) - 1))
        return misused(warp, op,
                       "a swizzled matrix does not start where the swizzle's pattern does, and "
                       "its base offset is 0");
    return false;
}

/* The same instruction, with the same descriptors, in the four warps? */
static bool differs(sg_warp *warp, const sg_op *op, uint32_t number, uint64_t a, uint64_t b) {
    sg_wgmma_block *block = warp->block->wgmma;
    __typeof__(&block->kept[0][0]) kept =
        &block->kept[warp->index / SG_WARPGROUP][number % SG_WGMMA_KEPT];
    if (kept->number < number) {
        kept->number = number;
        kept->op = op;
        kept->a = a;
        kept->b = b;
    }
    if (kept->number != number) return false; /* too far behind to tell */
    if (kept->op != op)
        return misused(warp, op, "the warps of the warpgroup run different wgmma instructions");
    if (kept->a != a || kept->b != b)
        return misused(warp, op, "the warps of the warpgroup have different matrix descriptors");
    return false;
}

void sg_wgmma_run(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    static _Thread_local strip a[ROWS / UNIT], b[MOST_COLS / UNIT];
    bool rows[ROWS] = {false}, cols[MOST_COLS] = {false};
    sg_wgmma_warp *w = sg_wgmma_of(warp);
    const int quarter = warp->index % SG_WARPGROUP;
    if (!w) return;
    if (lanes != UINT32_MAX || warp->index - quarter + SG_WARPGROUP > warp->block->warp_count) {
        misused(warp, op, "wgmma needs all lanes of four warps");
        return;
    }
    const sg_slot a_slot = op->source[a_source(op)], b_slot = op->source[b_source(op)];
    const bool a_shared = !(op->b & SG_WG_A_IN_REGISTERS);
    if ((a_shared && bad_descriptor(warp, op, a_slot)) || bad_descriptor(warp, op, b_slot)) return;
    bool accumulate = op->c & 4;
    if (op->c & 1) {
        const uint32_t bits = *sg_pred(warp, op->source[op->source_count - 1]);
        if (bits != 0 && bits != UINT32_MAX) {
            misused(warp, op, "lanes of the warp differ in whether to accumulate");
            return;
        }
        accumulate = (bits != 0) != !!(op->c & 2);
    }
    const bool full = sg_get_options()->full;
    const uint64_t a_bits = a_shared ? sg_u64(warp, a_slot)[0] : 0,
                   b_bits = sg_u64(warp, b_slot)[0];
    if (differs(warp, op, w->issued + 1, a_bits, b_bits)) return;
    if (full) sg_wgmma_use(warp, op, op->a / 2, a_shared ? 0 : 4);
    w->issued++;
    const reading r = {.warp = warp,
                       .op = op,
                       .region = full ? sg_shared_region(warp->block) : NULL,
                       .full = full,
                       .slot = SG_PROXY_WARPGROUP + warp->index / SG_WARPGROUP,
                       .number = w->issued};
    const matrix ma = matrix_of(a_bits, op->b & SG_WG_A_MN_MAJOR),
                 mb = matrix_of(b_bits, op->b & SG_WG_B_MN_MAJOR);
    const float sign_a = op->b & SG_WG_MINUS_A ? -1.0f : 1.0f,
                sign_b = op->b & SG_WG_MINUS_B ? -1.0f : 1.0f;
    if (!a_shared) {
        load_registers(a, rows, warp, op, sign_a);
    } else if (!load(a, rows, &r, &ma, quarter * ROWS, ROWS, sign_a)) {
        sg_abandon(warp);
        return;
    }
    if (!load(b, cols, &r, &mb, 0, op->a, sign_b)) {
        sg_abandon(warp);
        return;
    }
    registers d;
    for (int i = 0; i < op->a / 2; i++) {
        d.from[i] = sg_f32(warp, op->source[i]);
        d.to[i] = sg_f32(warp, op->dest[i]);
    }
    multiply(&d, (const strip *)a, (const strip *)b, op->a, accumulate);
    if (full) spread(warp, op, rows, cols, accumulate);
    sg_counters *counters = warp->block->grid->counters;
    if (counters) counters->mma_flops += 2ull * ROWS * K * (unsigned)op->a;
}
